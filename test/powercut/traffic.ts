// Mail through an appliance whose power will be cut: clients that note each 250 with its place in the write log, and a next hop that
// notes what it takes, refuses some recipients for a while and a few for good. All of it comes from a seed.

import { createHash } from "node:crypto";
import { connect, createServer, type Socket } from "node:net";
import { random } from "./writelog.ts";

const REPLY_MS = 60_000;
/** QEMU's own network now and then loses the beginning of a connection for good, when several come at once: it is made again. */
const GREETING_MS = 5_000;
const PAUSE_MS = 20;

const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

/** A message that was acknowledged. */
export interface Acknowledged {
  readonly tag: string;
  readonly id: string;
  readonly users: readonly string[];
  /** Entries of the write log when the 250 was read: those that made it durable are among them. */
  readonly place: number;
}

/** A recipient that the next hop has taken. */
export interface Taken {
  readonly key: string;
  /** Entries of the write log before the next hop said 250: no mark of the delivery is among them. */
  readonly place: number;
  /** performance.now(). */
  readonly atMs: number;
}

/** What the outside world has seen. */
export interface Record {
  readonly acknowledged: Acknowledged[];
  readonly taken: Taken[];
  /** Messages whose data was not what was sent; must stay empty. */
  readonly damaged: string[];
  /** Answers at the final dot that were not 250. */
  readonly refused: string[];
}

/** Name of a recipient of a message. */
export const keyOf = (tag: string, user: string): string => `${tag} ${user}`;

/** The body of a message, from its tag alone: most are small, one in twelve is larger than fits into the log of the queue. */
export function bodyOf(tag: string): string {
  const next = random(createHash("sha256").update(tag).digest().readUInt32LE(0));
  const lines = next() < 1 / 12 ? 1500 + Math.floor(next() * 2500) : 1 + Math.floor(next() * 40);
  const text: string[] = [`begin ${tag}`, ".one dot"];
  for (let n = 0; n < lines; n++)
    text.push(
      `${n} ${Math.floor(next() * 2 ** 32)
        .toString(36)
        .repeat(10)}`,
    );
  return `${text.join("\r\n")}\r\nend ${tag}\r\n`;
}

/** Tag of a message from its header and body, and whether the body is whole. */
export function inspect(text: string): { readonly tag: string; readonly whole: boolean } {
  const tag = /^X-Tag: (\S+)\r?$/m.exec(text)?.[1] ?? "";
  const at = text.indexOf("\r\n\r\n");
  return { tag, whole: tag !== "" && text.slice(at + 4) === bodyOf(tag) };
}

class Lines {
  readonly socket: Socket;
  #text = "";
  #wake: () => void = () => {};

  constructor(port: number) {
    this.socket = connect({ port, host: "127.0.0.1", noDelay: true });
    this.socket.on("data", (data) => {
      this.#text += data.toString("latin1");
      this.#wake();
    });
    const over = () => this.#wake();
    this.socket.on("error", () => this.socket.destroy());
    this.socket.on("close", over);
  }

  /** The next whole reply; "" when the connection is gone or silent for too long. */
  async reply(limitMs = REPLY_MS): Promise<string> {
    const end = performance.now() + limitMs;
    for (;;) {
      const whole = /^(?:\d{3}-[^\n]*\n)*\d{3} [^\n]*\n/.exec(this.#text);
      if (whole !== null) {
        this.#text = this.#text.slice(whole[0].length);
        return whole[0].trimEnd();
      }
      if (this.socket.destroyed || performance.now() > end) return "";
      await new Promise<void>((done) => {
        const timer = setTimeout(done, 1000);
        this.#wake = () => {
          clearTimeout(timer);
          done();
        };
      });
    }
  }

  say(text: string): Promise<string> {
    this.socket.write(text, "latin1");
    return this.reply();
  }
}

/** Sessions that send until they are stopped or the appliance is gone. */
export class Clients {
  readonly #port: number;
  readonly #place: () => number;
  readonly #record: Record;
  readonly #pauseMs: number;
  readonly #open = new Set<Socket>();
  #stopped = false;

  /** `place` gives the place in the write log; each session rests about `pauseMs` between messages. */
  constructor(port: number, record: Record, place: () => number, pauseMs = 0) {
    this.#port = port;
    this.#place = place;
    this.#record = record;
    this.#pauseMs = pauseMs;
  }

  /** Runs `count` sessions, each with its own seed. Resolves when all have ended. */
  async run(count: number, seed: number): Promise<void> {
    await Promise.all(Array.from({ length: count }, (_, n) => this.#session(`${seed}-${n}`, seed * 100 + n)));
  }

  /** Drops everything at once. */
  stop(): void {
    this.#stopped = true;
    for (const socket of this.#open) socket.destroy();
  }

  async #session(name: string, seed: number): Promise<void> {
    const next = random(seed);
    for (let n = 0; !this.#stopped; ) {
      const lines = new Lines(this.#port);
      this.#open.add(lines.socket);
      if (
        (await lines.reply(GREETING_MS)).startsWith("220") &&
        (await lines.say("EHLO c.example.org\r\n")) !== ""
      )
        for (let kept = 0; kept < 20 && !this.#stopped && !lines.socket.destroyed; kept++, n++) {
          if (!(await this.#message(lines, `${name}-${n}`, next))) break;
          if (this.#pauseMs > 0) await pause(next() * 2 * this.#pauseMs);
        }
      lines.socket.destroy();
      this.#open.delete(lines.socket);
      if (!this.#stopped) await pause(PAUSE_MS);
    }
  }

  async #message(lines: Lines, tag: string, next: () => number): Promise<boolean> {
    const users = [`u${Math.floor(next() * 1e9)}`];
    if (next() < 0.3) users.push(`v${Math.floor(next() * 1e9)}`);
    const steps = [
      "MAIL FROM:<ann@example.org>\r\n",
      ...users.map((user) => `RCPT TO:<${user}@polkatistas.org>\r\n`),
      "DATA\r\n",
    ];
    for (const step of steps) if (!/^[23]/.test(await lines.say(step))) return false;
    const header = `From: ann@example.org\r\nTo: bob@polkatistas.org\r\nX-Tag: ${tag}\r\n\r\n`;
    const reply = await lines.say(`${header}${bodyOf(tag).replace(/^\./gm, "..")}.\r\n`);
    const id = /^250 2\.0\.0 (\S+) Message accepted/.exec(reply)?.[1];
    if (id !== undefined) this.#record.acknowledged.push({ tag, id, users, place: this.#place() });
    else if (reply !== "") this.#record.refused.push(reply);
    return id !== undefined;
  }
}

const userOf = (line: string): string => /<([^@>]*)/.exec(line)?.[1] ?? "";

/** The next hop. Recipients are refused by their number: a third twice with a 451, some always. */
export class NextHop {
  readonly #record: Record;
  readonly #place: () => number;
  readonly #tries = new Map<string, number>();
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((socket) => this.#serve(socket));
  /** Takes everything from now on. */
  willing = false;
  /** One recipient in this many is never taken; 0: all are in the end. */
  never = 10;

  /** `place` gives the place in the write log before each 250. */
  constructor(record: Record, place: () => number) {
    this.#record = record;
    this.#place = place;
  }

  listen(port: number): Promise<void> {
    return new Promise((done, failed) => {
      this.#server.once("error", failed);
      this.#server.listen(port, "127.0.0.1", done);
    });
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((done) => this.#server.close(done));
  }

  #refuses(user: string): boolean {
    if (this.willing) return false;
    const number = Number(user.slice(1));
    const tries = (this.#tries.get(user) ?? 0) + 1;
    this.#tries.set(user, tries);
    return (this.never > 0 && number % this.never === 0) || (number % 3 === 0 && tries <= 2);
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    let text = "";
    let users: string[] = [];
    let inData = false;
    socket.write("220 inner ESMTP\r\n");
    const command = (line: string): string => {
      const verb = line.slice(0, 4).toUpperCase();
      if (verb === "EHLO") return "250-inner\r\n250-PIPELINING\r\n250 8BITMIME";
      if (verb === "RCPT") {
        const user = userOf(line);
        if (this.#refuses(user)) return "451 4.2.0 later";
        users.push(user);
      }
      if (verb === "MAIL" || verb === "RSET") users = [];
      if (verb === "DATA") inData = users.length > 0;
      if (verb === "DATA") return inData ? "354 go" : "503 5.5.1 no recipient";
      return verb === "QUIT" ? "221 bye" : "250 2.0.0 ok";
    };
    socket.on("data", (data) => {
      text += data.toString("latin1");
      for (;;) {
        const end = text.indexOf(inData ? "\r\n.\r\n" : "\r\n");
        if (end < 0) return;
        if (inData) {
          this.#take(text.slice(0, end + 2), users);
          socket.write("250 2.0.0 taken\r\n");
          text = text.slice(end + 5);
          inData = false;
        } else {
          socket.write(`${command(text.slice(0, end))}\r\n`);
          text = text.slice(end + 2);
        }
      }
    });
  }

  #take(data: string, users: readonly string[]): void {
    const { tag, whole } = inspect(data.replace(/^\.\./gm, "."));
    if (!whole) this.#record.damaged.push(tag === "" ? data.slice(0, 300) : tag);
    const place = this.#place();
    for (const user of users)
      this.#record.taken.push({ key: keyOf(tag, user), place, atMs: performance.now() });
  }
}
