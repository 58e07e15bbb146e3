// Who talks to the gateway during a soak: clients that send mail, and those of reliability.md section 3.6 that cost without sending:
// silent, slow, greedy, lying, gone in the middle. Each attack is one connection; all choices come from the seed.

import { connect, type Socket } from "node:net";
import type { Chance } from "../fuzz/chance.ts";

const REPLY_MS = 60_000;
const SILENT_MS = 90_000;

export const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

/** Connections that are open, so that the end can drop them. */
export class Crowd {
  readonly #open = new Set<Socket>();
  readonly #port: number;
  readonly #control: string;
  over = false;

  /** `control` is the path of the control socket. */
  constructor(port: number, control: string) {
    this.#port = port;
    this.#control = control;
  }

  /** A connection for the attack of this name. */
  dial(attack: string): Talker {
    const socket = attack.startsWith("control")
      ? connect({ path: this.#control })
      : connect({ port: this.#port, host: "127.0.0.1", noDelay: true });
    this.#open.add(socket);
    socket.on("close", () => this.#open.delete(socket));
    return new Talker(socket);
  }

  get size(): number {
    return this.#open.size;
  }

  leave(): void {
    this.over = true;
    for (const socket of this.#open) socket.destroy();
  }
}

/** One connection. */
export class Talker {
  readonly socket: Socket;
  #text = "";
  #wake: () => void = () => {};

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (data) => {
      // Of a flood of answers nothing is kept.
      this.#text = (this.#text + data.toString("latin1")).slice(-8192);
      this.#wake();
    });
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#wake());
  }

  get gone(): boolean {
    return this.socket.destroyed;
  }

  send(text: string | Buffer): void {
    if (!this.gone) this.socket.write(typeof text === "string" ? Buffer.from(text, "latin1") : text);
  }

  /** The next whole reply, "" when there is none. */
  async reply(): Promise<string> {
    const end = performance.now() + REPLY_MS;
    for (;;) {
      const whole = /^(?:\d{3}-[^\n]*\n)*\d{3} [^\n]*\n/.exec(this.#text);
      if (whole !== null) {
        this.#text = this.#text.slice(whole[0].length);
        return whole[0].trimEnd();
      }
      if (this.gone || performance.now() > end) return "";
      await new Promise<void>((done) => {
        const timer = setTimeout(done, 1000);
        this.#wake = () => {
          clearTimeout(timer);
          done();
        };
      });
    }
  }

  say(line: string): Promise<string> {
    this.send(`${line}\r\n`);
    return this.reply();
  }

  /** Waits until the server has ended the connection; leaves by itself after SILENT_MS. */
  async outlast(): Promise<void> {
    const end = performance.now() + SILENT_MS;
    while (!this.gone && performance.now() < end) await pause(200);
    this.socket.destroy();
  }
}

const ENVELOPE = ["EHLO c.example.org", "MAIL FROM:<a@example.org>", "RCPT TO:<u@polkatistas.org>", "DATA"];

async function toData(talker: Talker, steps = ENVELOPE.length): Promise<void> {
  await talker.reply();
  for (const step of ENVELOPE.slice(0, steps)) await talker.say(step);
}

/** One attack; resolves when its connection is gone. */
export type Attack = (talker: Talker, chance: Chance) => Promise<void>;

/** By the names of reliability.md. */
export const ATTACKS: ReadonlyMap<string, Attack> = new Map<string, Attack>([
  ["RES-01 silent", (talker) => talker.outlast()],
  [
    "RES-02 drip",
    async (talker, chance) => {
      await toData(talker, chance.below(5));
      for (let n = 0; n < 60 && !talker.gone; n++) {
        talker.send("x");
        await pause(1000);
      }
      talker.socket.destroy();
    },
  ],
  [
    "RES-03 endless line",
    async (talker, chance) => {
      await talker.reply();
      talker.send(Buffer.alloc(chance.pick([3000, 100_000, 4_000_000]), "x"));
      await talker.outlast();
    },
  ],
  [
    "RES-04 header bomb",
    async (talker) => {
      await toData(talker);
      talker.send(`${"X-Bomb: x\r\n".repeat(20_000)}\r\n.\r\n`);
      await talker.reply();
      talker.socket.destroy();
    },
  ],
  [
    "RES-05 long body line",
    async (talker, chance) => {
      await toData(talker);
      talker.send(`Subject: x\r\n\r\n${"y".repeat(chance.pick([2000, 200_000]))}`);
      await pause(chance.below(500));
      // It never becomes a message.
      talker.socket.destroy();
    },
  ],
  [
    "RES-06 too large",
    async (talker) => {
      await talker.reply();
      await talker.say("EHLO c.example.org");
      await talker.say("MAIL FROM:<a@example.org> SIZE=99999999999");
      await talker.say("QUIT");
      talker.socket.destroy();
    },
  ],
  [
    "RES-07 guesses names",
    async (talker, chance) => {
      await toData(talker, 2);
      for (let n = 0; n < 40 && !talker.gone; n++)
        if ((await talker.say(`RCPT TO:<x${chance.below(1e6)}@elsewhere.example>`)) === "") break;
      talker.socket.destroy();
    },
  ],
  [
    "RES-08 never reads",
    async (talker) => {
      talker.socket.pause();
      for (let n = 0; n < 200 && !talker.gone; n++) if (!talker.socket.write("NOOP\r\n".repeat(1000))) break;
      await pause(30_000);
      talker.socket.destroy();
    },
  ],
  [
    "RES-11 reset",
    async (talker, chance) => {
      await toData(talker, chance.below(5));
      if (chance.next() < 0.5) talker.send("half a li");
      talker.socket.resetAndDestroy();
    },
  ],
  [
    "SMUG bare LF",
    async (talker, chance) => {
      await toData(talker);
      const end = chance.pick(["\n.\n", "\r.\r", "\n.\r\n", "\r\n.\r", "\r\n\0.\r\n"]);
      talker.send(`Subject: x\r\n\r\nx${end}MAIL FROM:<evil@example.org>\r\n.\r\n`);
      await talker.reply();
      talker.socket.destroy();
    },
  ],
  [
    "garbage",
    async (talker, chance) => {
      for (let n = 0; n < 20 && !talker.gone; n++) {
        talker.send(chance.bytes(1 + chance.below(400)));
        await pause(chance.below(100));
      }
      talker.socket.destroy();
    },
  ],
  [
    "control garbage",
    async (talker, chance) => {
      const call = chance.pick(["J\0\0\0\x02{}", "J\0\0\0\x04null", "X\0\0\0\0", "D\0\0\0\x01x", ""]);
      talker.send(Buffer.concat([Buffer.from(call, "latin1"), chance.bytes(chance.below(60_000))]));
      await pause(chance.below(3000));
      talker.socket.destroy();
    },
  ],
  [
    "HTTP",
    async (talker) => {
      await talker.reply();
      talker.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
      await talker.outlast();
    },
  ],
  [
    "relay",
    async (talker) => {
      await toData(talker, 2);
      await talker.say("RCPT TO:<b%elsewhere.example@polkatistas.org>");
      await talker.say('RCPT TO:<"b@elsewhere.example"@polkatistas.org>');
      await talker.say("QUIT");
      talker.socket.destroy();
    },
  ],
]);
