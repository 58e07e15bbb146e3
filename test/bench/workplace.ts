// The bench's folder: one run at a time in it, and nothing left behind. What a run makes outside the folder (cgroups, mounts, loop
// devices, a file in /dev/shm) is written down or found by its path, so that a killed run's leftovers go when the next one starts.

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const KILL_TRIES = 40;
const KILL_PAUSE_MS = 50;

function text(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** Does `command`, and says what went wrong instead of throwing: the rest must be cleared up too. */
function attempt(command: string, ...args: string[]): void {
  try {
    execFileSync(command, args, { stdio: ["ignore", "ignore", "pipe"] });
  } catch (e) {
    process.stderr.write(`bench: ${e instanceof Error ? e.message.split("\n")[0] : String(e)}\n`);
  }
}

/** The counter of the sink, in memory so that it costs no disk write. */
export function counterFile(pid = process.pid): string {
  return `/dev/shm/postern-bench-${pid}`;
}

function endGroup(folder: string): void {
  for (let i = 0; i < KILL_TRIES && existsSync(folder); i++) {
    const pids = text(join(folder, "cgroup.procs")).split("\n").filter(Boolean).map(Number);
    for (const pid of pids)
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It ended meanwhile.
      }
    if (pids.length > 0) pause(KILL_PAUSE_MS);
    else
      try {
        rmdirSync(folder);
      } catch {
        pause(KILL_PAUSE_MS);
      }
  }
}

export class Workplace {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
    mkdirSync(folder, { recursive: true });
  }

  get #lock(): string {
    return join(this.folder, "lock");
  }

  /** Throws when another run is at work here; clears up after one that was killed. */
  enter(): void {
    const pid = Number(text(this.#lock));
    if (pid > 0 && text(`/proc/${pid}/cmdline`).includes("bench"))
      throw new Error(`another bench runs in ${this.folder} (process ${pid})`);
    if (pid > 0) rmSync(counterFile(pid), { force: true });
    this.clear();
    rmSync(join(this.folder, "failed"), { recursive: true, force: true });
    writeFileSync(this.#lock, String(process.pid));
    mkdirSync(join(this.folder, "spools"), { recursive: true });
    mkdirSync(join(this.folder, "tmp"), { recursive: true });
  }

  /** Ends every process, mount and device of the run. Synchronous: signal handlers call it. */
  clear(): void {
    for (const group of text(join(this.folder, "groups")).split("\n").filter(Boolean)) endGroup(group);
    rmSync(join(this.folder, "groups"), { force: true });
    const mounts = text("/proc/self/mountinfo")
      .split("\n")
      .map((line) => line.split(" ")[4] ?? "")
      .filter((path) => path.startsWith(`${this.folder}/`));
    for (const path of mounts.reverse()) attempt("umount", "-l", path);
    const devices = execFileSync("losetup", ["-n", "-O", "NAME,BACK-FILE"], { encoding: "utf8" });
    for (const line of devices.split("\n")) {
      const [device = "", file = ""] = line.trim().split(/\s+/);
      if (file.startsWith(`${this.folder}/`)) attempt("losetup", "-d", device);
    }
    for (const part of ["spools", "tmp"]) rmSync(join(this.folder, part), { recursive: true, force: true });
    rmSync(counterFile(), { force: true });
  }

  leave(): void {
    this.clear();
    rmSync(this.#lock, { force: true });
  }
}
