// The log that QEMU's blklogwrites driver keeps of a disk (dm-log-writes, version 1): every write and every flush in the order in
// which the disk took them. Read while QEMU still writes it, so that what the outside world sees can be given a place in it.

import { closeSync, copyFileSync, openSync, readSync, statSync, writeSync } from "node:fs";
import { execa } from "execa";

const MAGIC = 0x6a736677736872n;
const FLUSH = 1n;
const FUA = 2n;
const DISCARD = 4n;
const HEAD_BYTES = 32;
const SECTOR = 512;
/** A single request of a guest is smaller than this. */
const REQUEST_BYTES_MAX = 64 << 20;

/** One request. */
export interface Entry {
  /** Bytes from the start of the disk. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
  /** All that was completed before it is on the medium. */
  readonly flush: boolean;
  /** On the medium when it was completed. */
  readonly direct: boolean;
  readonly discard: boolean;
  /** Where its bytes are in the log file. */
  readonly dataAt: number;
  /** performance.now() when it was first seen here, at most one poll late. */
  readonly seenMs: number;
}

/** A log that may still grow. */
export class WriteLog implements Disposable {
  readonly entries: Entry[] = [];
  readonly #file: number;
  #at = SECTOR;
  #begun = false;

  constructor(path: string) {
    this.#file = openSync(path, "r");
  }

  /** Reads what is new. The number of entries, which is the place of what happens now. */
  poll(): number {
    if (!this.#begun) {
      const head = Buffer.alloc(28);
      if (readSync(this.#file, head, 0, 28, 0) < 28 || head.readBigUInt64LE(0) !== MAGIC) return 0;
      if (head.readBigUInt64LE(8) !== 1n || head.readUInt32LE(24) !== SECTOR)
        throw new Error("not a write log of version 1 with sectors of 512 bytes");
      this.#begun = true;
    }
    const now = performance.now();
    const head = Buffer.alloc(HEAD_BYTES);
    // The head of the log is written late, so its count is not believed: an entry of zeros is the end.
    while (readSync(this.#file, head, 0, HEAD_BYTES, this.#at) === HEAD_BYTES) {
      const flags = head.readBigUInt64LE(16);
      const length = Number(head.readBigUInt64LE(8)) * SECTOR;
      if (flags === 0n && length === 0) break;
      if (length > REQUEST_BYTES_MAX && (flags & DISCARD) === 0n) throw new Error("an entry is too long");
      const dataAt = this.#at + SECTOR;
      this.entries.push({
        offset: Number(head.readBigUInt64LE(0)) * SECTOR,
        length,
        flush: (flags & FLUSH) !== 0n,
        direct: (flags & FUA) !== 0n,
        discard: (flags & DISCARD) !== 0n,
        dataAt,
        seenMs: now,
      });
      this.#at = dataAt + ((flags & DISCARD) === 0n ? length : 0);
    }
    return this.entries.length;
  }

  /** The bytes of an entry. */
  data(entry: Entry): Buffer {
    const bytes = Buffer.alloc(entry.length);
    if (!entry.discard) readSync(this.#file, bytes, 0, entry.length, entry.dataAt);
    return bytes;
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
  }
}

/** A part of a disk. */
export interface Part {
  /** Bytes. */
  readonly offset: number;
  readonly length: number;
}

/** The partition with this GPT label. */
export function partition(disk: string, label: string): Part {
  const file = openSync(disk, "r");
  try {
    const head = Buffer.alloc(92);
    readSync(file, head, 0, head.length, SECTOR);
    if (head.toString("latin1", 0, 8) !== "EFI PART") throw new Error(`${disk} has no GPT`);
    const first = Number(head.readBigUInt64LE(72)) * SECTOR;
    const entry = Buffer.alloc(head.readUInt32LE(84));
    for (let n = 0; n < head.readUInt32LE(80); n++) {
      readSync(file, entry, 0, entry.length, first + n * entry.length);
      if (entry.toString("utf16le", 56, 128).replace(/\0+$/, "") !== label) continue;
      const start = Number(entry.readBigUInt64LE(32));
      return { offset: start * SECTOR, length: (Number(entry.readBigUInt64LE(40)) - start + 1) * SECTOR };
    }
    throw new Error(`${disk} has no partition ${label}`);
  } finally {
    closeSync(file);
  }
}

/** Copies a part of a disk to a file of its own, without the parts that are zero. */
export async function extract(disk: string, { offset, length }: Part, target: string): Promise<void> {
  await execa("dd", [
    `if=${disk}`,
    `of=${target}`,
    "bs=64K",
    ...[`skip=${offset}`, `count=${length}`, "iflag=skip_bytes,count_bytes", "conv=sparse", "status=none"],
  ]);
}

/** Random numbers that a seed gives again: 0 <= number < 1. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What one state of the medium is made of. */
export interface Cut {
  /** Everything before this entry is on the medium: it is the one behind a flush. */
  readonly durable: number;
  /** Of the writes from `durable` up to here any may be there, whole or in part. */
  readonly end: number;
  /** null: none of them is. */
  readonly seed: number | null;
}

/** The image of a partition as it moves forward through a log, and what a cut leaves of it. */
export class Replay {
  readonly #log: WriteLog;
  readonly #part: Part;
  readonly #image: string;
  #done = 0;

  /** `image` is the partition at the beginning of the log; it is changed. */
  constructor(log: WriteLog, part: Part, image: string) {
    this.#log = log;
    this.#part = part;
    this.#image = image;
  }

  /** Writes what `cut` leaves to `target`. Cuts must come in the order of their `durable`. Gives how many writes were dropped or torn. */
  async make(cut: Cut, target: string): Promise<number> {
    if (cut.durable < this.#done) throw new Error("a replay does not go backwards");
    const image = openSync(this.#image, "r+");
    for (; this.#done < cut.durable; this.#done++) this.#apply(image, this.#done, () => true);
    closeSync(image);
    await execa("cp", ["--sparse=auto", this.#image, target]);
    if (cut.seed === null) return cut.end - cut.durable;
    const next = random(cut.seed);
    const copy = openSync(target, "r+");
    let changed = 0;
    for (let n = cut.durable; n < cut.end; n++) {
      const entry = this.#log.entries[n];
      if (entry === undefined || entry.length === 0) continue;
      const fate = entry.direct ? 0 : next();
      // A third stays whole, a third is lost, a third is torn between sectors.
      if (fate >= 1 / 3) changed++;
      if (fate < 1 / 3) this.#apply(copy, n, () => true);
      else if (fate < 2 / 3) this.#apply(copy, n, () => next() < 0.5);
    }
    closeSync(copy);
    return changed;
  }

  #apply(file: number, index: number, keeps: (sector: number) => boolean): void {
    const entry = this.#log.entries[index];
    if (entry === undefined || entry.length === 0) return;
    const at = entry.offset - this.#part.offset;
    if (at < 0 || at + entry.length > this.#part.length) return;
    const data = this.#log.data(entry);
    let start = -1;
    for (let byte = 0; byte <= data.length; byte += SECTOR) {
      const kept = byte < data.length && keeps(byte / SECTOR);
      if (kept && start < 0) start = byte;
      if (kept || start < 0) continue;
      writeSync(file, data, start, byte - start, at + start);
      start = -1;
    }
  }
}

/** Puts the image of a partition into a copy of a whole disk. */
export async function restore(disk: string, part: Part, image: string, target: string): Promise<void> {
  copyFileSync(disk, target);
  await execa("dd", [
    `if=${image}`,
    `of=${target}`,
    "bs=64K",
    ...[`seek=${part.offset}`, "oflag=seek_bytes", "conv=notrunc", "status=none"],
  ]);
  if (statSync(target).size < part.offset + part.length) throw new Error("the disk is too short");
}
