// Room for mail: free blocks (MinFreeBlocks) and inodes of the spool, asked for in the background so that no session waits for a
// statfs, and the replies for a spool that cannot take a message (reliability.md FULL-01 to FULL-03).

import { FREE_INODES_MIN, SPACE_AGE_MS } from "../base/limits.ts";
import { type Reply, reply } from "../mail/reply.ts";
import type { Clock } from "../sys/clock.ts";
import type { Disk, DiskError, Space } from "../sys/disk.ts";

export const NO_SPACE: Reply = reply(452, "4.4.5", "Insufficient disk space; try again later");

/** What a client is told when the spool cannot keep its message. */
export function refusalFor(error: DiskError): Reply {
  if (error.code === "ENOSPC" || error.code === "EDQUOT") return NO_SPACE;
  if (error.code === "EROFS")
    return reply(421, "4.3.0", "The queue cannot be written: read-only file system");
  return reply(421, "4.3.0", "The queue cannot be written; try again later");
}

export class Room {
  readonly #disk: Disk;
  readonly #clock: Clock;
  readonly #folder: string;
  readonly #minFreeBlocks: number;
  #space: Space | null = null;
  #atMs = Number.NEGATIVE_INFINITY;
  #asked = false;

  constructor(disk: Disk, clock: Clock, folder: string, minFreeBlocks: number) {
    this.#disk = disk;
    this.#clock = clock;
    this.#folder = folder;
    this.#minFreeBlocks = minFreeBlocks;
  }

  /** True when the file system has room for `sizeBytes` more, as far as is known. */
  has(sizeBytes: number): boolean {
    this.#ask();
    const space = this.#space;
    if (space === null) return true;
    const needed = Math.ceil(sizeBytes / space.blockBytes);
    if (space.freeBlocks < this.#minFreeBlocks + needed) return false;
    return space.totalInodes === 0 || space.freeInodes >= FREE_INODES_MIN;
  }

  #ask(): void {
    const now = this.#clock.monotonicMs();
    if (this.#asked || now - this.#atMs < SPACE_AGE_MS) return;
    this.#asked = true;
    void this.learn();
  }

  /** Asks for the free space. */
  async learn(): Promise<void> {
    const space = await this.#disk.space(this.#folder);
    this.#asked = false;
    this.#atMs = this.#clock.monotonicMs();
    if (space.ok) this.#space = space.value;
  }
}
