// Harness of the flow tests: a gateway process from the sources with a configuration folder of its own on loopback, a next hop that
// records what it gets, and a client that types lines. Ports are free ones; every process is ended by its pid.

import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const MAIN = join(import.meta.dirname, "../../src/main.ts");

export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Waits until `test` gives something; throws with `what` after `seconds`. */
export async function until<T>(
  what: string,
  seconds: number,
  test: () => T | Promise<T>,
): Promise<NonNullable<T>> {
  const end = performance.now() + seconds * 1000;
  for (;;) {
    const value = await test();
    if (value) return value;
    if (performance.now() > end) throw new Error(`${what}: not within ${seconds} s`);
    await delay(20);
  }
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

export interface Received {
  readonly mail: string;
  readonly rcpt: readonly string[];
  /** After removing dot-stuffing. */
  readonly data: string;
}

/** The configuration of a gateway between `port` of this machine and what its mailertable names; `more`: lines before its features. */
export function relayMc(port: number, more = ""): string {
  return `OSTYPE(\`linux')dnl
define(\`confDOMAIN_NAME', \`mail.polkatistas.org')dnl
define(\`confTO_IDENT', \`0')dnl
${more}FEATURE(\`mailertable')dnl
FEATURE(\`access_db')dnl
FEATURE(\`nocanonify')dnl
FEATURE(\`accept_unresolvable_domains')dnl
FEATURE(\`no_default_msa')dnl
DAEMON_OPTIONS(\`Name=MTA, Family=inet, Addr=127.0.0.1, Port=${port}')dnl
MAILER(\`smtp')dnl
`;
}

/** A server on loopback that is there for a test, and its connections with it. */
export abstract class LoopbackServer {
  port = 0;
  readonly #noDelay: boolean;
  #server: Server | null = null;
  readonly #sockets = new Set<Socket>();

  constructor(noDelay = false) {
    this.#noDelay = noDelay;
  }

  /** Speaks with one client. */
  protected abstract serve(socket: Socket): void;

  async start(port = 0): Promise<void> {
    const server = createServer({ noDelay: this.#noDelay }, (socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
      socket.on("error", () => socket.destroy());
      this.serve(socket);
    });
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, "127.0.0.1", resolve);
    });
    const address = server.address();
    this.port = typeof address === "object" && address !== null ? address.port : 0;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => {
      if (this.#server === null) resolve();
      else this.#server.close(() => resolve());
    });
    this.#server = null;
  }
}

/** A next hop that takes everything (or answers as `replies` says by verb, or by the address of RCPT) and remembers it. */
export class Sink extends LoopbackServer {
  readonly received: Received[] = [];
  /** RCPT commands that have come, whatever they were answered. */
  rcptSeen = 0;
  readonly replies = new Map<string, string>();

  protected override serve(socket: Socket): void {
    let text = "";
    let mail = "";
    let rcpt: string[] = [];
    let inData = false;
    const say = (verb: string, line: string): void => {
      socket.write(`${this.replies.get(verb) ?? line}\r\n`);
    };
    say("CONNECT", "220 sink ESMTP");
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      for (;;) {
        if (inData) {
          const end = text.startsWith(".\r\n") ? 0 : text.indexOf("\r\n.\r\n") + 2;
          if (end === 1) return;
          const data = text.slice(0, end).replace(/^\.\./gm, ".");
          text = text.slice(end + 3);
          inData = false;
          const refusal = this.replies.get(".");
          if (refusal === undefined) this.received.push({ mail, rcpt, data });
          say(".", "250 2.0.0 taken");
          mail = "";
          rcpt = [];
          continue;
        }
        const nl = text.indexOf("\r\n");
        if (nl < 0) return;
        const line = text.slice(0, nl);
        text = text.slice(nl + 2);
        const verb = line.slice(0, 4).toUpperCase();
        if (verb === "EHLO")
          socket.write("250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-DSN\r\n250 SIZE\r\n");
        else if (verb === "MAIL") {
          mail = line;
          say("MAIL", "250 2.1.0 ok");
        } else if (verb === "RCPT") {
          rcpt.push(line);
          this.rcptSeen++;
          const address = /<(.*)>/.exec(line)?.[1] ?? "";
          say(this.replies.has(address) ? address : "RCPT", "250 2.1.5 ok");
        } else if (verb === "DATA") {
          const refusal = this.replies.get("DATA");
          say("DATA", "354 go");
          inData = refusal === undefined;
        } else if (verb === "QUIT") {
          socket.end("221 bye\r\n");
          return;
        } else socket.write("250 ok\r\n");
      }
    });
  }
}

/** A client that types lines and reads whole replies. */
export class Client {
  readonly #socket: Socket;
  #text = "";
  #wake: (() => void) | null = null;
  #ended = false;

  constructor(port: number, host = "127.0.0.1") {
    this.#socket = connect({ port, host, noDelay: true });
    this.#socket.on("data", (d) => {
      this.#text += d.toString("latin1");
      this.#wake?.();
    });
    this.#socket.on("error", () => {
      this.#ended = true;
      this.#wake?.();
    });
    this.#socket.on("close", () => {
      this.#ended = true;
      this.#wake?.();
    });
  }

  /** The next whole reply, lines joined with LF; "EOF" at the end. */
  async reply(seconds = 20): Promise<string> {
    const end = performance.now() + seconds * 1000;
    for (;;) {
      const m = /^(?:\d{3}-[^\n]*\n)*\d{3}(?: [^\n]*)?\r\n/.exec(this.#text);
      if (m !== null) {
        this.#text = this.#text.slice(m[0].length);
        return m[0].replace(/\r\n$/, "").replaceAll("\r\n", "\n");
      }
      if (this.#ended) return "EOF";
      if (performance.now() > end)
        throw new Error(`no reply within ${seconds} s; so far: ${JSON.stringify(this.#text)}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        setTimeout(resolve, 100);
      });
    }
  }

  async say(line: string): Promise<string> {
    this.#socket.write(`${line}\r\n`, "latin1");
    return this.reply();
  }

  raw(bytes: string | Buffer): void {
    this.#socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
  }

  /** The same, as fast as it is taken. */
  async pour(bytes: Buffer): Promise<void> {
    if (this.#ended || this.#socket.write(bytes)) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#socket.off("drain", done);
        this.#socket.off("close", done);
        resolve();
      };
      this.#socket.on("drain", done);
      this.#socket.on("close", done);
    });
  }

  close(): void {
    this.#socket.destroy();
  }
}

/** One whole message; gives the last reply. Stops at the first refusal. */
export async function send(
  port: number,
  from: string,
  to: readonly string[],
  data: string,
  helo = "client.test",
): Promise<string> {
  const client = new Client(port);
  try {
    const steps = [`EHLO ${helo}`, `MAIL FROM:<${from}>`, ...to.map((r) => `RCPT TO:<${r}>`), "DATA"];
    let last = await client.reply();
    if (!last.startsWith("2")) return last;
    for (const step of steps) {
      last = await client.say(step);
      if (!/^[23]/.test(last)) return last;
    }
    client.raw(`${data}.\r\n`);
    last = await client.reply();
    client.raw("QUIT\r\n");
    return last;
  } finally {
    client.close();
  }
}

export interface Files {
  readonly [path: string]: string;
}

/** A gateway in a folder of its own. */
export class Gateway {
  readonly folder: string;
  readonly config: string;
  readonly queue: string;
  readonly control: string;
  port = 0;
  output = "";
  /** What runs the program: Node, with limits in front of it or options behind it. */
  command: readonly string[] = [process.execPath];
  /** Who starts it; null: whoever runs the tests. */
  user: { readonly uid: number; readonly gid: number } | null = null;
  #process: ChildProcess | null = null;

  constructor(name: string) {
    this.folder = mkdtempSync(join(tmpdir(), `postern-${name}-`));
    this.config = join(this.folder, "mail");
    this.queue = join(this.folder, "mqueue");
    this.control = join(this.folder, "control");
    // The daemon started as root becomes 8:12 and must get through to its folders.
    chmodSync(this.folder, 0o755);
    mkdirSync(this.config);
    mkdirSync(this.queue, { mode: 0o700 });
  }

  /** Writes configuration files; those named in `secret` get mode 0600. */
  write(files: Files, secret: readonly string[] = []): void {
    for (const [path, text] of Object.entries(files)) {
      const file = join(this.config, path);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, text);
      chmodSync(file, secret.includes(path) ? 0o600 : 0o644);
    }
  }

  /** The options that keep this gateway inside its folder. */
  options(): string[] {
    return [
      ...["-C", this.config],
      `-OQueueDirectory=${this.queue}`,
      `-OControlSocketName=${this.control}`,
      `-OPidFile=${join(this.folder, "pid")}`,
    ];
  }

  /** Starts `sendmail -bD`; resolves when it listens, throws with its output when it ends instead. */
  async start(more: readonly string[] = ["-q15m"], environment: NodeJS.ProcessEnv = {}): Promise<void> {
    this.output = "";
    const [program = "", ...before] = this.command;
    const child = spawn(program, [...before, MAIN, "sendmail", ...this.options(), "-bD", ...more], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...environment },
      ...(this.user === null ? {} : { uid: this.user.uid, gid: this.user.gid, cwd: "/" }),
    });
    this.#process = child;
    const take = (d: Buffer): void => {
      this.output += d.toString("utf8");
    };
    child.stdout?.on("data", take);
    child.stderr?.on("data", take);
    await until("the gateway listens", 20, () => {
      if (child.exitCode !== null)
        throw new Error(`the gateway ended with ${child.exitCode}: ${this.output}`);
      return this.output.includes("started as");
    });
  }

  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  /** Ends it as `signal` says; gives the exit status or the signal's name. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number | string> {
    const child = this.#process;
    if (child === null) return 0;
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    await until("the gateway ends", 30, () => child.exitCode !== null || child.signalCode !== null);
    this.#process = null;
    return child.exitCode ?? child.signalCode ?? "";
  }

  /** Runs an applet with this gateway's options; gives its status and what it printed. */
  async run(
    applet: string,
    args: readonly string[],
    input = "",
  ): Promise<{ status: number; out: string; err: string }> {
    const child = spawn(process.execPath, [MAIN, applet, ...args], { stdio: ["pipe", "pipe", "pipe"] });
    let out = "";
    let err = "";
    child.stdout.on("data", (d: Buffer) => {
      out += d.toString("utf8");
    });
    child.stderr.on("data", (d: Buffer) => {
      err += d.toString("utf8");
    });
    child.stdin.on("error", () => child.stdin.destroy());
    child.stdin.end(input);
    const timer = setTimeout(() => child.kill("SIGKILL"), 30_000);
    const status = await new Promise<number>((resolve) => child.on("close", (code) => resolve(code ?? -1)));
    clearTimeout(timer);
    return { status, out, err };
  }

  async remove(): Promise<void> {
    await this.stop("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  }
}
