// What a process uses, as the kernel counts it, and whether a row of samples grows.

import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";

const MEBIBYTE = 1024 * 1024;

/** One look at the gateway. */
export interface Sample {
  readonly seconds: number;
  /** MiB of memory that is its own. */
  readonly dirty: number;
  readonly rss: number;
  readonly descriptors: number;
  readonly sockets: number;
  readonly threads: number;
  /** Bytes written to the medium of the queue, the file system's own included. */
  readonly written: number;
  /** Bytes that the queue takes on the medium. */
  readonly queue: number;
  readonly accepted: number;
  readonly delivered: number;
  readonly refused: number;
  /** Bytes of log since the start. */
  readonly logged: number;
}

function number(text: string, pattern: RegExp): number {
  return Number(pattern.exec(text)?.[1] ?? 0);
}

/** Bytes of all files below a folder, by their blocks. */
export function bytesBelow(folder: string): number {
  let bytes = 0;
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    try {
      bytes += lstatSync(join(entry.parentPath, entry.name)).blocks * 512;
    } catch {
      // It was removed meanwhile.
    }
  }
  return bytes;
}

/** The part of a sample that the kernel knows. */
export function processUse(
  pid: number,
): Pick<Sample, "dirty" | "rss" | "descriptors" | "sockets" | "threads"> {
  const file = (name: string): string => readFileSync(`/proc/${pid}/${name}`, "utf8");
  const memory = file("smaps_rollup");
  const targets = readdirSync(`/proc/${pid}/fd`).map((name) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${name}`);
    } catch {
      return ""; // it was closed meanwhile
    }
  });
  return {
    dirty: number(memory, /^Private_Dirty:\s+(\d+)/m) / 1024,
    rss: number(memory, /^Rss:\s+(\d+)/m) / 1024,
    descriptors: targets.length,
    sockets: targets.filter((target) => target.startsWith("socket:")).length,
    threads: number(file("status"), /^Threads:\s+(\d+)/m),
  };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

/** Medians of a figure in the second quarter (the first is for warming up) and in the last. */
export function quarters(
  samples: readonly Sample[],
  of: (sample: Sample) => number,
): readonly [number, number] {
  const quarter = Math.max(1, Math.floor(samples.length / 4));
  return [median(samples.slice(quarter, 2 * quarter).map(of)), median(samples.slice(-quarter).map(of))];
}

/** Bytes written for each accepted message, in the same two quarters. */
export function writtenPerMessage(samples: readonly Sample[]): readonly [number, number] {
  const quarter = Math.max(1, Math.floor(samples.length / 4));
  const between = (from: number, to: number): number => {
    const [a, b] = [samples[from], samples[to]];
    if (a === undefined || b === undefined) return 0;
    return (b.written - a.written) / Math.max(1, b.accepted - a.accepted);
  };
  return [between(quarter, 2 * quarter), between(samples.length - 1 - quarter, samples.length - 1)];
}

/** One line of the table. */
export function line(sample: Sample, before: Sample): string {
  const seconds = Math.max(0.001, sample.seconds - before.seconds);
  const accepted = sample.accepted - before.accepted;
  return [
    sample.seconds.toFixed(0).padStart(6),
    (accepted / seconds).toFixed(1).padStart(8),
    sample.accepted.toString().padStart(9),
    sample.delivered.toString().padStart(9),
    sample.refused.toString().padStart(8),
    sample.dirty.toFixed(1).padStart(9),
    sample.rss.toFixed(1).padStart(8),
    sample.descriptors.toString().padStart(5),
    sample.threads.toString().padStart(5),
    ((sample.written - before.written) / Math.max(1, accepted) / 1024).toFixed(1).padStart(9),
    (sample.queue / MEBIBYTE).toFixed(1).padStart(8),
    ((sample.logged - before.logged) / 1024 / seconds).toFixed(1).padStart(8),
  ].join("");
}

/** The head of the table. */
export const HEAD = [
  "     s   msg/s accepted delivered attacks    dirty     rss   fd  thr   kB/msg   queue  log",
  "                                              MiB     MiB                       MiB kB/s",
].join("\n");
