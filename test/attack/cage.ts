// A control group of the kernel that gives a program so much memory and no more (memory.max of version 2, memory.limit_in_bytes of
// version 1), and what the kernel counted in it. Page cache counts too, but is given back; anonymous memory is what can end a program.

import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";

/** Where groups can be made: the folder of one that has the controller, and whether the names are those of version 1. */
interface Place {
  readonly folder: string;
  readonly first: boolean;
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** The folder of this process's own group in the hierarchy that the mount `line` of mountinfo shows; "" when it lies outside. */
function ownFolder(line: string, own: string): string {
  const [, , , root = "/", point = ""] = line.split(" ");
  const inside = relative(root, own);
  return inside.startsWith("..") ? "" : join(point, inside);
}

function placeOf(): Place | null {
  const mounts = readText("/proc/self/mountinfo").split("\n");
  const groups = readText("/proc/self/cgroup").split("\n");
  const own = (pattern: RegExp): string =>
    groups.map((line) => pattern.exec(line)?.[1]).find((path) => path !== undefined) ?? "/";
  const first = mounts.find((line) => / - cgroup \S+ \S*\bmemory\b/.test(line));
  if (first !== undefined) {
    const folder = ownFolder(first, own(/^\d+:[^:]*\bmemory\b[^:]*:(.*)$/));
    return folder === "" || !existsSync(folder) ? null : { folder, first: true };
  }
  const second = mounts.find((line) => line.includes(" - cgroup2 "));
  if (second === undefined) return null;
  const folder = ownFolder(second, own(/^0::(.*)$/));
  // A group of version 2 that has processes can have no groups with limits beneath it: ours becomes a neighbour.
  const found = [dirname(folder), folder].find((path) =>
    /\bmemory\b/.test(readText(join(path, "cgroup.subtree_control"))),
  );
  return folder === "" || found === undefined ? null : { folder: found, first: false };
}

export class Cage {
  readonly #folder: string;
  readonly #first: boolean;

  private constructor(folder: string, first: boolean) {
    this.#folder = folder;
    this.#first = first;
  }

  /** A group of `bytes`; a reason when this machine gives none. */
  static make(bytes: number): Cage | string {
    const place = placeOf();
    if (place === null) return "no memory controller in which groups can be made";
    const folder = join(place.folder, `postern-test-${process.pid}`);
    try {
      mkdirSync(folder);
    } catch (e) {
      return `no group can be made: ${String(e)}`;
    }
    const cage = new Cage(folder, place.first);
    try {
      cage.limit(bytes);
      return cage;
    } catch (e) {
      cage.remove();
      return `no limit can be set: ${String(e)}`;
    }
  }

  limit(bytes: number): void {
    const name = this.#first ? "memory.limit_in_bytes" : "memory.max";
    writeFileSync(join(this.#folder, name), String(bytes));
    // Without swap or not: what is in here is to fit.
    const swap = join(this.#folder, this.#first ? "memory.swappiness" : "memory.swap.max");
    if (existsSync(swap)) writeFileSync(swap, "0");
  }

  /** Words in front of a command that has to live in here. */
  get before(): readonly string[] {
    const procs = join(this.#folder, "cgroup.procs");
    return ["/bin/sh", "-c", 'echo $$ >"$0" && exec "$@"', procs];
  }

  #number(name: string, pattern: RegExp): number {
    return Number(pattern.exec(readText(join(this.#folder, name)))?.[1] ?? 0);
  }

  /** The most that was in use, page cache included. */
  get peak(): number {
    return this.#number(this.#first ? "memory.max_usage_in_bytes" : "memory.peak", /^(\d+)/);
  }

  /** Anonymous memory now: heaps, stacks, buffers. */
  get anonymous(): number {
    return this.#first
      ? this.#number("memory.stat", /^total_rss (\d+)$/m)
      : this.#number("memory.stat", /^anon (\d+)$/m);
  }

  /** Processes that the kernel has ended for want of memory. */
  get kills(): number {
    return this.#number(this.#first ? "memory.oom_control" : "memory.events", /^oom_kill (\d+)$/m);
  }

  remove(): void {
    rmdirSync(this.#folder);
  }
}
