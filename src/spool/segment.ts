// One segment file of the log: where records of the current epoch are, and how many messages still need it.
// A segment without live messages at the tail of the line is free and is used again.

import { SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, SEGMENTS_PER_SPOOL } from "../base/limits.ts";
import type { DiskFile } from "../sys/disk.ts";

/** Where a record's payload lies. */
export interface Location {
  readonly epoch: number;
  /** Offset of the payload in the segment file. */
  readonly offset: number;
  readonly length: number;
}

/** A segment in use. Segments form a line by epoch: freed at the tail, written at the head. */
export interface Segment {
  readonly name: string;
  readonly file: DiskFile;
  readonly bytes: number;
  readonly epoch: number;
  readonly salt: Buffer;
  /** Where the next record goes. */
  position: number;
  /** Number of the last batch. */
  batch: number;
  /** Messages whose accept record is here and that are not done. */
  liveMessages: number;
  liveBytes: number;
  /** A sync failed: what was written since is not believed, and nothing more is written. */
  suspect: boolean;
}

/** A segment file that nothing needs. */
export interface FreeSegment {
  readonly name: string;
  readonly file: DiskFile;
  readonly bytes: number;
  /** The epoch of its last life, 0 for a new one: the oldest is reused first. */
  readonly epoch: number;
}

/** The smaller the spool, the smaller its segments. */
export function segmentBytesFor(totalBytes: number): number {
  const share = totalBytes / SEGMENTS_PER_SPOOL;
  let bytes = SEGMENT_BYTES_MIN;
  while (bytes * 2 <= share && bytes < SEGMENT_BYTES_MAX) bytes *= 2;
  return bytes;
}
