// A whole gateway under attack: the real program with a next hop that keeps every byte it is sent, and the three questions that each
// attack ends with (reliability section 2): is a good message still taken within two seconds, is every file descriptor back, and
// has memory stayed within its bound?

import assert from "node:assert/strict";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { NODE_OPTIONS } from "../../scripts/nodeoptions.ts";
import { Client, delay, freePort, Gateway, LoopbackServer, send, until } from "../flow/gateway.ts";

/** One transaction that the next hop took, as it came over the wire. */
export interface Taken {
  readonly mail: string;
  readonly rcpt: readonly string[];
  /** Between 354 and the final dot, dots stuffed. */
  readonly wire: Buffer;
}

/** A next hop that believes in CRLF and in CRLF.CRLF only, and remembers all it hears. */
export class Recorder extends LoopbackServer {
  readonly taken: Taken[] = [];
  /** Every byte of every connection, commands included. */
  readonly heard: Buffer[] = [];
  /** Milliseconds before the final dot is answered. */
  slowMs = 0;
  /** Keeps the messages themselves; a count is enough for floods. */
  keep = true;
  count = 0;
  /** Answers to RCPT by address, bytes of any kind; "\0CLOSE" ends the connection. */
  readonly refuse = new Map<string, string>();
  /** Extensions besides PIPELINING and SIZE. */
  extensions: readonly string[] = ["8BITMIME"];
  /** Sees the bytes as they come. */
  watch: (chunk: Buffer) => void = () => undefined;

  constructor() {
    super(true);
  }

  protected override serve(socket: Socket): void {
    let text = Buffer.alloc(0);
    let data: Buffer[] | null = null;
    let tail = Buffer.from("\r\n");
    let mail = "";
    let rcpt: string[] = [];
    socket.write("220 recorder ESMTP\r\n");
    const end = (): void => {
      this.count++;
      if (this.keep) this.taken.push({ mail, rcpt, wire: Buffer.concat(data ?? []) });
      data = null;
      rcpt = [];
      setTimeout(() => socket.write("250 2.0.0 taken\r\n"), this.slowMs);
    };
    socket.on("data", (chunk: Buffer) => {
      if (this.keep) this.heard.push(chunk);
      this.watch(chunk);
      let rest = Buffer.concat([text, chunk]);
      text = Buffer.alloc(0);
      while (rest.length > 0) {
        if (data !== null) {
          const seen = Buffer.concat([tail, rest]);
          const at = seen.indexOf("\r\n.\r\n");
          if (at < 0) {
            if (this.keep) data.push(rest);
            tail = seen.subarray(Math.max(0, seen.length - 4));
            return;
          }
          const used = at + 5 - tail.length;
          if (this.keep) data.push(rest.subarray(0, Math.max(0, used - 3)));
          rest = rest.subarray(used);
          end();
          continue;
        }
        const lf = rest.indexOf("\r\n");
        if (lf < 0) {
          text = rest;
          return;
        }
        const line = rest.toString("latin1", 0, lf);
        rest = rest.subarray(lf + 2);
        const verb = line.slice(0, 4).toUpperCase();
        if (verb === "EHLO")
          socket.write(
            ["recorder", ...this.extensions, "PIPELINING"].map((l) => `250-${l}\r\n`).join("") +
              "250 SIZE\r\n",
          );
        else if (verb === "DATA" && rcpt.length === 0) socket.write("503 5.5.1 nobody\r\n");
        else if (verb === "DATA") {
          socket.write("354 go\r\n");
          data = [];
          tail = Buffer.from("\r\n");
        } else {
          if (verb === "MAIL") mail = line;
          const refusal = this.refuse.get(/^RCPT To:<([^>]*)>/i.exec(line)?.[1] ?? "");
          if (refusal !== undefined) {
            const [bytes = "", close] = refusal.split("\0CLOSE");
            socket.write(Buffer.from(close === undefined ? `${bytes}\r\n` : bytes, "latin1"));
            if (close !== undefined) socket.end();
            continue;
          }
          if (verb === "RCPT") rcpt.push(line);
          socket.write(verb === "QUIT" ? "221 bye\r\n" : "250 ok\r\n");
          if (verb === "QUIT") socket.end();
        }
      }
    });
  }
}

/** How a board runs the program: its options of V8, and one arena of the C library. */
const ENVIRONMENT = { MALLOC_ARENA_MAX: "1" };
const AS_ON_A_BOARD = NODE_OPTIONS;

export interface SiegeOptions {
  /** Lines of sendmail.mc before its features. */
  readonly more?: string;
  readonly files?: Readonly<Record<string, string>>;
  /** Words in front of the program, and options of V8 besides those of a board. */
  readonly before?: readonly string[];
  readonly flags?: readonly string[];
}

export function mc(port: number, more = ""): string {
  return `OSTYPE(\`linux')dnl
define(\`confDOMAIN_NAME', \`gw.test')dnl
define(\`confTO_IDENT', \`0')dnl
define(\`confMCI_CACHE_TIMEOUT', \`2s')dnl
${more}FEATURE(\`mailertable')dnl
FEATURE(\`access_db')dnl
FEATURE(\`nocanonify')dnl
FEATURE(\`accept_unresolvable_domains')dnl
FEATURE(\`no_default_msa')dnl
FEATURE(\`use_cw_file')dnl
DAEMON_OPTIONS(\`Name=MTA, Family=inet, Addr=127.0.0.1, Port=${port}')dnl
MAILER(\`local')dnl
MAILER(\`smtp')dnl
`;
}

/** The gateway's own: private dirty memory in bytes (what it takes from others; not the pages of its program), open files. */
export interface Figures {
  readonly memory: number;
  readonly files: number;
}

export class Siege {
  readonly gateway: Gateway;
  readonly hop = new Recorder();
  #before: Figures = { memory: 0, files: 0 };

  private constructor(name: string) {
    this.gateway = new Gateway(name);
  }

  /** A gateway that relays gw2.test to the recorder for clients of 127.0.0.1. */
  static async start(name: string, options: SiegeOptions = {}): Promise<Siege> {
    const siege = new Siege(name);
    const { gateway, hop } = siege;
    const { more = "", files = {}, before = [], flags = [] } = options;
    await hop.start();
    gateway.port = await freePort();
    gateway.command = [...before, process.execPath, ...AS_ON_A_BOARD, ...flags];
    gateway.write({
      "sendmail.mc": mc(gateway.port, more),
      mailertable: `gw2.test\tsmtp:[127.0.0.1]:${hop.port}\nc.test\tsmtp:[127.0.0.1]:${hop.port}\n`,
      access: "Connect:127.0.0.1\tRELAY\n",
      "local-host-names": "gw.test\n",
      aliases: "postmaster: root\nMAILER-DAEMON: postmaster\nroot: root@gw2.test\n",
      ...files,
    });
    await gateway.start(["-q1s"], ENVIRONMENT);
    await siege.good();
    siege.#before = siege.figures();
    return siege;
  }

  /** Another life of the gateway, with `between` while nothing runs. */
  async restart(between: () => Promise<void> = async () => undefined, options = ["-q1s"]): Promise<void> {
    await this.gateway.stop();
    await between();
    await this.gateway.start(options, ENVIRONMENT);
    await this.good();
    this.#before = this.figures();
  }

  figures(): Figures {
    const { pid } = this.gateway;
    const sums = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
    return {
      memory: Number(/^Private_Dirty:\s+(\d+) kB/m.exec(sums)?.[1] ?? 0) * 1024,
      files: readdirSync(`/proc/${pid}/fd`).length,
    };
  }

  /** What the gateway has open, most frequent first. */
  #openFiles(): string {
    const folder = `/proc/${this.gateway.pid}/fd`;
    const names = readdirSync(folder).map((name) => {
      try {
        return readlinkSync(join(folder, name)).replace(/\[\d+\]$/, "");
      } catch {
        return "closed meanwhile";
      }
    });
    const counts = new Map<string, number>();
    for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
    return [...counts]
      .sort((a, b) => b[1] - a[1])
      .map(([name, count]) => `${count} ${name}`)
      .join(", ");
  }

  /** A message from a fresh connection is taken within two seconds. */
  async good(): Promise<void> {
    const started = performance.now();
    const answer = await send(
      this.gateway.port,
      "good@c.test",
      ["good@gw2.test"],
      "Subject: good\r\n\r\nx\r\n",
    );
    assert.match(answer, /^250 2\.0\.0 \S+ Message accepted for delivery$/);
    const took = performance.now() - started;
    assert.ok(took < 2000, `a good client waited ${Math.round(took)} ms`);
  }

  /** The three questions. `growth`: bytes of its own memory that the attack may leave behind. */
  async holds(growth = 20e6): Promise<void> {
    await this.good();
    const { files } = this.#before;
    // Connections that linger, and sessions with the next hop that are kept for a while, go by themselves.
    await until(`open files are back at ${files}`, 30, () => this.figures().files <= files + 1).catch(
      (e: unknown) => {
        throw new Error(`${String(e)}: ${this.#openFiles()}`);
      },
    );
    const grown = this.figures().memory - this.#before.memory;
    assert.ok(grown <= growth, `memory of its own grew by ${Math.round(grown / 1e6)} MB`);
    assert.doesNotMatch(this.gateway.output, /SYSERR|assertion/);
  }

  /** Waits until nothing is queued. */
  drained(seconds = 30): Promise<unknown> {
    return until("the queue is empty", seconds, async () =>
      (await this.gateway.run("mailq", this.gateway.options())).out.includes("is empty"),
    );
  }

  async end(): Promise<void> {
    await this.gateway.remove();
    await this.hop.stop();
  }
}

/** Runs `attack` against a gateway of its own, asks the three questions, and leaves nothing behind. */
export async function besieged(
  name: string,
  options: SiegeOptions & { readonly growth?: number },
  attack: (siege: Siege) => Promise<void>,
): Promise<void> {
  const siege = await Siege.start(name, options);
  try {
    await attack(siege);
    await siege.holds(options.growth);
  } finally {
    await siege.end();
  }
}

/** The most memory of its own that the gateway had while `work` ran, in bytes. */
export async function peak(siege: Siege, work: Promise<unknown>): Promise<number> {
  let most = 0;
  let over = false;
  const done = work.finally(() => {
    over = true;
  });
  while (!over) {
    most = Math.max(most, siege.figures().memory);
    await Promise.race([delay(20), done.catch(() => undefined)]);
  }
  await done;
  return most;
}

/** A socket on which nothing that happens is an error. */
export function quiet(port: number): Socket {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  socket.on("error", () => socket.destroy());
  socket.resume();
  return socket;
}

/** Waits until each has been said something. */
export async function greeted(sockets: readonly Socket[]): Promise<void> {
  await Promise.all(
    sockets.map((socket) => new Promise<void>((resolve) => socket.once("data", () => resolve()))),
  );
}

/** A client that has come to where message bytes are wanted. */
export async function toData(siege: Siege, ...rcpt: readonly string[]): Promise<Client> {
  const client = new Client(siege.gateway.port);
  await client.reply();
  const to = rcpt.length === 0 ? ["b@gw2.test"] : rcpt;
  for (const command of ["EHLO c.test", "MAIL FROM:<a@c.test>", ...to.map((r) => `RCPT TO:<${r}>`), "DATA"])
    assert.match(await client.say(command), /^[23]/);
  return client;
}

/** The next hop's copy of the message whose subject is `tag`. */
export async function copyOf(siege: Siege, tag: string): Promise<Buffer> {
  const taken = await until(`the next hop has ${tag}`, 60, () =>
    siege.hop.taken.find((t) => t.wire.includes(`Subject: ${tag}\r\n`)),
  );
  return taken.wire;
}
