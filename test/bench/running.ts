// A contender that runs: its processes in a cgroup, its spool on a loop device of its own, its log in a file.
// Whatever it is asked to do ends with stop(), which leaves no process, mount or device.

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, copyFileSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Contender, Start } from "./contender.ts";
import { freePort, type Load, listening, within } from "./load.ts";
import { Group, LoopSpool, wait } from "./measure.ts";

const SPOOL_MB = 1024;
const START_SECONDS_MAX = 40;
const SETTLE_MS = 1000;
const LOG_TAIL_CHARS = 300;

export class Running {
  readonly contender: Contender;
  readonly group: Group;
  readonly spool: LoopSpool;
  readonly at: Start;
  readonly #process: ChildProcess;

  constructor(c: Contender, group: Group, spool: LoopSpool, at: Start, child: ChildProcess) {
    this.contender = c;
    this.group = group;
    this.spool = spool;
    this.at = at;
    this.#process = child;
  }

  /** Keeps its log, and its list of connections, for who wants to know why `cell` failed. */
  keepLog(cell: string): void {
    const folder = join(this.at.work, "failed");
    mkdirSync(folder, { recursive: true });
    const kept = join(folder, `${this.contender.name}-${cell.replaceAll("/", "-")}`);
    copyFileSync(logOf(this.at.work, this.contender.name), `${kept}.log`);
    const connections = readFileSync("/proc/net/tcp", "latin1").split("\n");
    const port = this.at.sink.toString(16).toUpperCase().padStart(4, "0");
    writeFileSync(`${kept}.tcp`, `${connections.filter((l) => l.includes(`:${port} `)).join("\n")}\n`);
  }

  get alive(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  async stop(): Promise<void> {
    await this.group.end();
    await within(5, () => !this.alive);
    this.group.remove();
    this.spool.release();
  }

  /** Runs one of its commands (mailq, flush) to its end or `seconds`; false when it was cut. */
  async command(argv: readonly string[], seconds: number): Promise<boolean> {
    const [command = "", ...args] = this.group.enter(argv);
    const child = spawn(command, args, { stdio: "ignore" });
    child.on("error", () => child.kill());
    if (await within(seconds, () => child.exitCode !== null || child.signalCode !== null, 2)) return true;
    child.kill("SIGKILL");
    return false;
  }
}

function logOf(work: string, name: string): string {
  return join(work, "spools", `${name}.log`);
}

/** Starts `c` on a fresh spool. Throws with the end of its log when it does not listen. */
export async function start(
  c: Contender,
  load: Load,
  work: string,
  fileSystem = "ext4",
  wrapper: readonly string[] = [],
): Promise<Running> {
  const spool = new LoopSpool(work, c.name, SPOOL_MB, fileSystem);
  const group = new Group(c.name, work);
  const at: Start = { work, spool: spool.folder, port: await freePort(), sink: load.sinkPort };
  const logFile = logOf(work, c.name);
  let running: Running | null = null;
  try {
    const argv = c.start(at);
    const log = openSync(logFile, "w");
    const [command = "", ...args] = group.enter([...wrapper, ...argv]);
    const child = spawn(command, args, { stdio: ["ignore", log, log], detached: true });
    child.on("error", () => child.kill());
    closeSync(log);
    running = new Running(c, group, spool, at, child);
    const up = await within(
      START_SECONDS_MAX,
      () => listening(at.port) || (child.exitCode ?? 0) !== 0 || child.signalCode !== null,
      20,
    );
    if (!up || !listening(at.port)) {
      const said = readFileSync(logFile, "latin1").trim().slice(-LOG_TAIL_CHARS).replaceAll("\n", " | ");
      const ended = child.exitCode === null ? "" : ` (ended with ${child.exitCode})`;
      throw new Error(`does not listen${ended}: ${said || "its log is empty"}`);
    }
    await wait(SETTLE_MS);
    return running;
  } catch (e) {
    if (running !== null) await running.stop();
    else {
      group.remove();
      spool.release();
    }
    throw e;
  }
}
