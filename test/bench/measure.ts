// What a contender costs, as the kernel counts it: CPU seconds of a cgroup (children that ended are counted too),
// memory of its processes from smaps_rollup, sectors written to a loop-mounted spool (journal included), and how busy
// the machine was with others meanwhile. Method: figures that are counted are exact, rates are compared in the same run only.

import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { cpus } from "node:os";
import { basename, join } from "node:path";

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

export function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Seconds of CPU that the whole machine used so far (all but idle, iowait and steal). */
export function machineBusySeconds(): number {
  const f = (read("/proc/stat").split("\n")[0] ?? "").trim().split(/\s+/).slice(1).map(Number);
  const total = f.slice(0, 8).reduce((a, b) => a + b, 0);
  return (total - (f[3] ?? 0) - (f[4] ?? 0) - (f[7] ?? 0)) / 100;
}

export function processors(): number {
  return cpus().length;
}

export interface Memory {
  processes: number;
  rss: number;
  pss: number;
  dirty: number;
}

/** A cgroup (v1 cpuacct or v2) that holds every process of a contender. */
export class Group {
  readonly #folder: string;
  readonly #v2: boolean;

  /** Its folder is written down in `work`, for who clears up after a run that was killed (workplace.ts). */
  constructor(name: string, work: string) {
    this.#v2 = existsSync("/sys/fs/cgroup/cgroup.controllers");
    this.#folder = `${this.#v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpuacct"}/postern-bench-${process.pid}-${name}`;
    appendFileSync(join(work, "groups"), `${this.#folder}\n`);
    mkdirSync(this.#folder, { recursive: true });
  }

  /** argv that enters the group and then becomes `argv`. */
  enter(argv: readonly string[]): string[] {
    return ["/bin/sh", "-c", `echo $$ > ${this.#folder}/cgroup.procs; exec "$@"`, "sh", ...argv];
  }

  cpuSeconds(): number {
    if (this.#v2)
      return Number(/usage_usec (\d+)/.exec(read(join(this.#folder, "cpu.stat")))?.[1] ?? 0) / 1e6;
    return Number(read(join(this.#folder, "cpuacct.usage"))) / 1e9;
  }

  pids(): number[] {
    return read(join(this.#folder, "cgroup.procs")).split("\n").filter(Boolean).map(Number);
  }

  memory(): Memory {
    const sum: Memory = { processes: 0, rss: 0, pss: 0, dirty: 0 };
    for (const pid of this.pids()) {
      const text = read(`/proc/${pid}/smaps_rollup`);
      const kb = (name: string): number =>
        Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1] ?? 0);
      if (text === "") continue;
      sum.processes++;
      sum.rss += kb("Rss") / 1024;
      sum.pss += kb("Pss") / 1024;
      sum.dirty += kb("Private_Dirty") / 1024;
    }
    return sum;
  }

  /** Ends all members: politely, then not. */
  async end(): Promise<void> {
    for (const signal of ["SIGTERM", "SIGKILL"] as const)
      for (let i = 0; i < 80; i++) {
        const left = this.pids();
        if (left.length === 0) return;
        if (i === 0 || signal === "SIGKILL")
          for (const pid of left)
            try {
              process.kill(pid, signal);
            } catch {
              // It ended meanwhile.
            }
        await wait(50);
      }
  }

  remove(): void {
    try {
      rmdirSync(this.#folder);
    } catch {
      process.stderr.write(`bench: ${this.#folder} is not empty\n`);
    }
  }
}

/** True when this kernel has the file system, as a module or built in. */
export function hasFileSystem(type: string): boolean {
  const known = (): boolean => new RegExp(`\\t${type}$`, "m").test(read("/proc/filesystems"));
  if (known()) return true;
  try {
    execFileSync("modprobe", [type], { stdio: "ignore" });
  } catch {
    return false;
  }
  return known();
}

/** An ext4 or f2fs image on a loop device; its sectors written are the flash wear. Needs root. */
export class LoopSpool {
  readonly folder: string;
  readonly #image: string;
  #device = "";

  constructor(work: string, name: string, megabytes: number, type = "ext4") {
    this.folder = join(work, "spools", name);
    this.#image = `${this.folder}.img`;
    mkdirSync(this.folder, { recursive: true });
    this.release();
    mkdirSync(this.folder, { recursive: true });
    writeFileSync(this.#image, "");
    execFileSync("truncate", ["-s", `${megabytes}M`, this.#image]);
    // No lazy initialisation: it would write in the background of the run.
    if (type === "ext4")
      execFileSync("mkfs.ext4", [
        "-q",
        "-F",
        "-N",
        "65536",
        "-E",
        "lazy_itable_init=0,lazy_journal_init=0",
        this.#image,
      ]);
    else execFileSync(`mkfs.${type}`, ["-q", this.#image]);
    this.#device = execFileSync("losetup", ["--show", "-f", this.#image], { encoding: "utf8" }).trim();
    try {
      execFileSync("mount", ["-t", type, "-o", "noatime", this.#device, this.folder]);
    } catch (e) {
      this.release();
      throw e;
    }
  }

  /** Bytes written to the device so far, after everything was flushed. */
  written(): number {
    execFileSync("sync", ["-f", this.folder]);
    return this.writtenNow();
  }

  writtenNow(): number {
    const stat = read(`/sys/block/${basename(this.#device)}/stat`)
      .trim()
      .split(/\s+/);
    return Number(stat[6] ?? 0) * 512;
  }

  release(): void {
    const devices = execFileSync("losetup", ["-n", "-O", "NAME", "-j", this.#image], { encoding: "utf8" });
    for (const device of devices.split("\n").filter(Boolean)) {
      const mounts = read("/proc/self/mountinfo")
        .split("\n")
        .filter((l) => l.includes(` ${device.trim()} `));
      for (const line of mounts.reverse()) execFileSync("umount", ["-l", line.split(" ")[4] ?? ""]);
      execFileSync("losetup", ["-d", device.trim()]);
    }
    rmSync(this.#image, { force: true });
  }
}

/** Peak memory of a group, sampled every 50 ms until stop(). */
export function sampleMemory(group: Group): { stop(): Memory } {
  const peak: Memory = { processes: 0, rss: 0, pss: 0, dirty: 0 };
  const take = (): void => {
    const now = group.memory();
    for (const key of Object.keys(peak) as (keyof Memory)[]) peak[key] = Math.max(peak[key], now[key]);
  };
  const timer = setInterval(take, 50);
  return {
    stop() {
      clearInterval(timer);
      take();
      return peak;
    },
  };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const mid = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[mid] ?? 0) : ((sorted[mid - 1] ?? 0) + (sorted[mid] ?? 0)) / 2;
}
