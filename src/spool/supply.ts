// Free segments of the log: made of zeros before they are needed, reused oldest first, given back when there are too many.
// A file system without room is asked again after a while, not for each message.

import { DISK_RETRY_MS, SEGMENTS_IDLE_MAX } from "../base/limits.ts";
import type { Clock } from "../sys/clock.ts";
import type { Disk } from "../sys/disk.ts";
import type { FreeSegment } from "./segment.ts";

export interface SupplyDeps {
  readonly disk: Disk;
  readonly clock: Clock;
  /** Folder of the segment files. */
  readonly folder: string;
  /** Size of new segments. */
  readonly segmentBytes: number;
  /** Bytes that a new segment must leave free on the file system. */
  readonly keepFreeBytes: number;
}

export class SegmentSupply {
  readonly #deps: SupplyDeps;
  #free: FreeSegment[];
  /** Segments on their way back to the file system. */
  #surplus: FreeSegment[] = [];
  #leaving: Promise<unknown> = Promise.resolve();
  #nextName: number;
  #growing: Promise<void> | null = null;
  #growAgainMs = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(deps: SupplyDeps, free: readonly FreeSegment[], nextName: number) {
    this.#deps = deps;
    this.#free = [...free].sort((a, b) => a.epoch - b.epoch);
    this.#nextName = nextName;
  }

  /** Segments that can be used. */
  get count(): number {
    return this.#free.length;
  }

  /** Segments that are free or on their way back. */
  get idle(): number {
    return this.#free.length + this.#surplus.length;
  }

  get growing(): boolean {
    return this.#growing !== null;
  }

  /** The latest epoch that any of them has had. */
  get lastEpoch(): number {
    return this.#free.reduce((last, slot) => Math.max(last, slot.epoch), 0);
  }

  /** Takes the oldest; undefined when there is none. */
  take(): FreeSegment | undefined {
    return this.#free.shift();
  }

  /** The log needs it no more. One of another size is from before the spool was resized, and is not used again. */
  add(slot: FreeSegment): void {
    if (slot.bytes === this.#deps.segmentBytes) this.#free.push(slot);
    else this.#surplus.push(slot);
  }

  /**
   * Gives what is too much back to the file system. Only segments below the durable tail, which recovery ignores: names go in no
   * particular order, and of two segments that it still reads the later must not vanish before the earlier.
   */
  shrink(durableTail: number): void {
    this.#free.sort((a, b) => a.epoch - b.epoch);
    while (this.#free.length > SEGMENTS_IDLE_MAX && (this.#free[0]?.epoch ?? 0) < durableTail) {
      const slot = this.#free.shift();
      if (slot !== undefined) this.#surplus.push(slot);
    }
    const rest: FreeSegment[] = [];
    for (const slot of this.#surplus) {
      if (slot.epoch >= durableTail) rest.push(slot);
      else this.#leaving = Promise.all([this.#leaving, this.#giveBack(slot)]);
    }
    this.#surplus = rest;
  }

  async #giveBack(slot: FreeSegment): Promise<void> {
    // Left behind it is a free segment at the next start.
    await this.#deps.disk.unlink(`${this.#deps.folder}/${slot.name}`);
    await slot.file.close();
  }

  /** Begins to make segments until `wanted` are free. */
  growInBackground(wanted: number): void {
    if (this.#growing !== null || this.#closed) return;
    if (this.#deps.clock.monotonicMs() < this.#growAgainMs) return;
    this.#growing = this.grow(wanted).finally(() => {
      this.#growing = null;
    });
  }

  /** Makes new zeroed segments until `wanted` are free or the file system has no room. */
  async grow(wanted: number): Promise<void> {
    if (this.#growing !== null) await this.#growing;
    while (this.#free.length < wanted) {
      const space = await this.#deps.disk.space(this.#deps.folder);
      const room = space.ok ? space.value.freeBytes - this.#deps.segmentBytes - this.#deps.keepFreeBytes : -1;
      const made = room >= 0 ? await this.#make() : null;
      if (made === null) {
        // A file system without room is not asked for each message.
        this.#growAgainMs = this.#deps.clock.monotonicMs() + DISK_RETRY_MS;
        return;
      }
      this.#free.unshift(made);
    }
  }

  async #make(): Promise<FreeSegment | null> {
    const { disk, folder, segmentBytes } = this.#deps;
    const name = `segment-${String(this.#nextName++).padStart(6, "0")}`;
    const path = `${folder}/${name}`;
    const opened = await disk.open(path, "create");
    if (!opened.ok) return null;
    const file = opened.value;
    // Zeros are written, not only reserved: a later write into the segment then changes no metadata of the file.
    const zeros = Buffer.alloc(Math.min(segmentBytes, 256 * 1024));
    for (let at = 0; at < segmentBytes; at += zeros.length) {
      const done = await file.write([zeros.subarray(0, Math.min(zeros.length, segmentBytes - at))], at);
      if (!done.ok) return this.#discard(file, path);
    }
    const synced = await file.sync("the zeros and the size of a new segment");
    if (!synced.ok) return this.#discard(file, path);
    const named = await disk.syncFolder(folder, "the name of a new segment before records go into it");
    if (!named.ok) return this.#discard(file, path);
    return { name, file, bytes: segmentBytes, epoch: 0 };
  }

  async #discard(file: { close(): Promise<void> }, path: string): Promise<null> {
    await file.close();
    // Left behind it would be a free segment at the next start, which is harmless.
    await this.#deps.disk.unlink(path);
    return null;
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#growing !== null) await this.#growing;
    await this.#leaving;
    for (const slot of [...this.#free, ...this.#surplus]) await slot.file.close();
  }
}
