// The load: Postfix's smtp-source and smtp-sink, unpacked from Debian's package, in a cgroup of their own;
// and one connection of our own that times every message (latency).

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
} from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { Group, median, wait } from "./measure.ts";
import { counterFile } from "./workplace.ts";

const SINK_SESSIONS_MAX = 900;
const SENDER = "a@client.test";
const RECIPIENT = "b@dest.test";

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

export function listening(port: number): boolean {
  const tail = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return ["/proc/net/tcp", "/proc/net/tcp6"].some((file) =>
    readFileSync(file, "utf8")
      .split("\n")
      .some((line) => {
        const f = line.trim().split(/\s+/);
        return f[3] === "0A" && (f[1] ?? "").endsWith(tail);
      }),
  );
}

/** Waits until `test` holds; false when it did not within `seconds`. */
export async function within(seconds: number, test: () => boolean, stepMs = 5): Promise<boolean> {
  const end = performance.now() + seconds * 1000;
  while (!test()) {
    if (performance.now() > end) return false;
    await wait(stepMs);
  }
  return true;
}

export class Load {
  readonly group: Group;
  sinkPort = 0;
  readonly #tools: string;
  readonly #bin: string;
  readonly #environment: NodeJS.ProcessEnv;
  readonly #out: string;
  #sink: ChildProcess | null = null;

  constructor(work: string) {
    this.group = new Group("load", work);
    const tools = join(work, "tools");
    this.#tools = tools;
    this.#bin = join(tools, "usr/sbin");
    this.#environment = {
      ...process.env,
      LD_LIBRARY_PATH: ["usr/lib/postfix", "usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu"]
        .map((folder) => join(tools, folder))
        .join(":"),
    };
    this.#out = counterFile();
  }

  async startSink(): Promise<void> {
    if (this.#sink !== null) return;
    if (!existsSync(join(this.#bin, "smtp-source"))) unpackTools(this.#tools);
    this.sinkPort = this.sinkPort === 0 ? await freePort() : this.sinkPort;
    const out = openSync(this.#out, "w");
    const argv = [
      join(this.#bin, "smtp-sink"),
      "-c",
      // Connections that a contender keeps stay open while others have their turn.
      "-t",
      "3600",
      // And so that nobody's kept ones keep others out (256 is the default).
      "-m",
      String(SINK_SESSIONS_MAX),
      "-u",
      "nobody",
      "-h",
      "sink.test",
      `127.0.0.1:${this.sinkPort}`,
      "1024",
    ];
    const [command = "", ...args] = this.group.enter(argv);
    this.#sink = spawn(command, args, { env: this.#environment, stdio: ["ignore", out, "ignore"] });
    closeSync(out);
    if (!(await within(10, () => listening(this.sinkPort)))) throw new Error("smtp-sink does not listen");
  }

  async stopSink(): Promise<void> {
    const sink = this.#sink;
    this.#sink = null;
    if (sink === null) return;
    sink.kill("SIGTERM");
    await within(5, () => sink.exitCode !== null || sink.signalCode !== null);
  }

  /** Messages that the sink has taken. */
  count(): number {
    const size = existsSync(this.#out) ? statSync(this.#out).size : 0;
    const take = Math.min(size, 160);
    if (take === 0) return 0;
    const fd = openSync(this.#out, "r");
    const tail = Buffer.alloc(take);
    readSync(fd, tail, 0, take, size - take);
    closeSync(fd);
    return Number([...tail.toString("latin1").matchAll(/mesg=(\d+)\r/g)].at(-1)?.[1] ?? 0);
  }

  source(port: number, sessions: number, bytes: number, count: number, keep: boolean): ChildProcess {
    const argv = [
      join(this.#bin, "smtp-source"),
      ...["-s", String(Math.min(sessions, count)), "-m", String(count), "-l", String(bytes)],
      ...["-f", SENDER, "-t", RECIPIENT],
      ...(keep ? ["-d"] : []),
      `127.0.0.1:${port}`,
    ];
    const [command = "", ...args] = this.group.enter(argv);
    return spawn(command, args, { env: this.#environment, stdio: ["ignore", "ignore", "pipe"] });
  }

  async close(): Promise<void> {
    await this.stopSink();
    await this.group.end();
    this.group.remove();
    rmSync(this.#out, { force: true });
  }
}

function unpackTools(folder: string): void {
  mkdirSync(folder, { recursive: true });
  const get = (...names: string[]): void => {
    const download = (): Buffer =>
      execFileSync("apt-get", ["download", "-qq", ...names], { cwd: folder, stdio: "ignore" });
    try {
      download();
    } catch {
      execFileSync("apt-get", ["update", "-qq"], { stdio: "ignore" });
      download();
    }
    for (const deb of readdirSync(folder).filter((f) => f.endsWith(".deb"))) {
      execFileSync("dpkg-deb", ["-x", deb, "."], { cwd: folder });
      rmSync(join(folder, deb));
    }
  };
  get("postfix");
  const missing = execFileSync("ldd", ["usr/sbin/smtp-source"], {
    cwd: folder,
    encoding: "utf8",
    env: { ...process.env, LD_LIBRARY_PATH: join(folder, "usr/lib/postfix") },
  });
  if (missing.includes("not found"))
    get("libicu72", "libdb5.3", "libnsl2", "libtirpc3", "libsasl2-2", "libssl3");
}

export interface Latency {
  readonly message: { readonly p50: number; readonly p99: number };
  readonly dot: { readonly p50: number; readonly p99: number };
}

function percentiles(values: number[]): { p50: number; p99: number } {
  const sorted = [...values].sort((a, b) => a - b);
  return { p50: median(sorted), p99: sorted[Math.floor((sorted.length * 99) / 100)] ?? 0 };
}

/**
 * One connection, `count` messages of 1 kB one after the other, at most `seconds` of them;
 * milliseconds from MAIL to 250 and from body to 250.
 */
export async function latency(port: number, count: number, seconds = 60): Promise<Latency> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  let text = "";
  let wake: (() => void) | null = null;
  let closed = "";
  socket.on("data", (d) => {
    text += d.toString("latin1");
    wake?.();
  });
  socket.on("error", (e) => {
    closed = e.message;
    wake?.();
  });
  socket.on("close", () => {
    closed ||= "connection closed";
    wake?.();
  });
  const reply = async (want: string): Promise<void> => {
    for (;;) {
      const m = /^(?:\d{3}-[^\n]*\n)*(\d{3}) [^\n]*\n/.exec(text);
      if (m !== null) {
        text = text.slice(m[0].length);
        if (!(m[1] ?? "").startsWith(want)) throw new Error(m[0].trim());
        return;
      }
      if (closed !== "") throw new Error(closed);
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  const command = async (line: string, want = "2"): Promise<void> => {
    socket.write(line);
    await reply(want);
  };
  const body = `Subject: bench\r\n\r\n${`${"x".repeat(78)}\r\n`.repeat(12)}.\r\n`;
  const whole: number[] = [];
  const dot: number[] = [];
  await reply("2");
  await command("EHLO client.test\r\n");
  const end = performance.now() + seconds * 1000;
  for (let i = 0; i < count && performance.now() < end; i++) {
    const begun = performance.now();
    await command(`MAIL FROM:<${SENDER}>\r\n`);
    await command(`RCPT TO:<${RECIPIENT}>\r\n`);
    await command("DATA\r\n", "3");
    const sent = performance.now();
    await command(body);
    const done = performance.now();
    whole.push(done - begun);
    dot.push(done - sent);
  }
  socket.destroy();
  return { message: percentiles(whole), dot: percentiles(dot) };
}
