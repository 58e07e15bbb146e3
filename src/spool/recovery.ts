// Reading the log back after a start: which segments are alive, what records they hold, what is damaged. Changes nothing but
// the durability of what it read, so recovering twice is recovering once.

import { SEGMENT_BYTES_MAX } from "../base/limits.ts";
import { err, ok, type Result } from "../base/result.ts";
import type { Disk, DiskError, DiskFile } from "../sys/disk.ts";
import {
  decodeSegmentHead,
  RECORD_HEAD_BYTES,
  type SegmentHead,
  saltOfFirstRecord,
  scanSegment,
} from "./record.ts";
import type { FreeSegment, Location, Segment } from "./segment.ts";

/** A whole record with its place. */
export interface RecoveredRecord {
  readonly type: number;
  readonly more: boolean;
  readonly continued: boolean;
  readonly payload: Buffer;
  readonly location: Location;
}

/** Damage that somebody should know of. */
export interface Damage {
  /** Same name for the same damage at every start. */
  readonly name: string;
  readonly reason: string;
  readonly bytes: Buffer;
  /** Most likely cut off by a power failure and never acknowledged. */
  readonly last: boolean;
}

export interface RecoveredLog {
  readonly line: Segment[];
  readonly free: FreeSegment[];
  readonly nextName: number;
}

interface Slot {
  readonly name: string;
  readonly file: DiskFile;
  readonly bytes: number;
  readonly head: SegmentHead | null;
}

/** Far above what is ever made; a file that claims more is foreign. */
const SLOT_BYTES_MAX = 64 * SEGMENT_BYTES_MAX;

/** Opens all segment files; `files` gets each of them, also when a later one fails. */
async function openSlots(disk: Disk, folder: string, files: DiskFile[]): Promise<Result<Slot[], DiskError>> {
  const names = await disk.list(folder);
  if (!names.ok) return names;
  // A program that was killed may have left names that are in the cache only, and records are about to go into those files.
  const named = await disk.syncFolder(folder, "names of segments found by recovery before they are used");
  if (!named.ok) return named;
  const slots: Slot[] = [];
  for (const name of names.value) {
    if (!/^segment-\d{6,12}$/.test(name)) continue;
    const opened = await disk.open(`${folder}/${name}`, "write");
    if (!opened.ok) return opened;
    files.push(opened.value);
    const size = await opened.value.size();
    if (!size.ok) return size;
    const start = await opened.value.read(0, Math.min(4096, size.value));
    if (!start.ok) return start;
    slots.push({ name, file: opened.value, bytes: size.value, head: decodeSegmentHead(start.value) });
  }
  return ok(slots);
}

/** The head of a segment whose own head is unreadable, from its first record: epochs near those that are known are tried. */
function guessHead(segment: Buffer, epochs: readonly number[]): SegmentHead | null {
  const top = Math.max(0, ...epochs) + 2;
  for (let epoch = top; epoch > 0 && epoch > top - 10_000; epoch--) {
    if (epochs.includes(epoch)) continue;
    const salt = saltOfFirstRecord(segment, epoch);
    if (salt !== null) return { epoch, tail: 0, salt, bytes: segment.length };
  }
  return null;
}

async function guessHeads(slots: Slot[]): Promise<Result<Slot[], DiskError>> {
  const known = slots.flatMap((s) => (s.head === null ? [] : [s.head.epoch]));
  const out: Slot[] = [];
  for (const slot of slots) {
    if (slot.head !== null || slot.bytes > SLOT_BYTES_MAX) {
      out.push(slot);
      continue;
    }
    const content = await slot.file.read(0, slot.bytes);
    if (!content.ok) return content;
    out.push({ ...slot, head: guessHead(content.value, known) });
  }
  return ok(out);
}

/**
 * Opens the log in `folder` and hands over its records, oldest first; then the damage. An unreadable disk is an error:
 * half a queue must not look like a whole one.
 */
export async function recoverLog(
  disk: Disk,
  folder: string,
  segmentBytes: number,
  onRecord: (record: RecoveredRecord) => void,
  onDamage: (damage: Damage) => void,
): Promise<Result<RecoveredLog, DiskError>> {
  const files: DiskFile[] = [];
  const recovered = await recoverFiles(disk, folder, segmentBytes, files, onRecord, onDamage);
  if (!recovered.ok) for (const file of files) await file.close();
  return recovered;
}

async function recoverFiles(
  disk: Disk,
  folder: string,
  segmentBytes: number,
  files: DiskFile[],
  onRecord: (record: RecoveredRecord) => void,
  onDamage: (damage: Damage) => void,
): Promise<Result<RecoveredLog, DiskError>> {
  const opened = await openSlots(disk, folder, files);
  if (!opened.ok) return opened;
  const guessed = await guessHeads(opened.value);
  if (!guessed.ok) return guessed;
  const slots = guessed.value;
  const heads = slots.flatMap((s) => (s.head === null ? [] : [s.head]));
  const last = heads.reduce<SegmentHead | null>((a, b) => (a === null || b.epoch > a.epoch ? b : a), null);
  const tail = last?.tail ?? 0;
  const line: Segment[] = [];
  const free: FreeSegment[] = [];
  let nextName = 1;
  for (const slot of slots) {
    nextName = Math.max(nextName, Number(slot.name.slice("segment-".length)) + 1);
    const { name, file, head } = slot;
    if (head === null || head.epoch < tail) {
      free.push({ name, file, bytes: slot.bytes, epoch: head?.epoch ?? 0 });
      continue;
    }
    line.push({
      name,
      file,
      bytes: slot.bytes,
      epoch: head.epoch,
      salt: head.salt,
      position: 0,
      batch: 0,
      liveMessages: 0,
      liveBytes: 0,
      suspect: false,
    });
  }
  line.sort((a, b) => a.epoch - b.epoch);
  for (const segment of line) {
    const read = await readSegment(segment, onRecord, onDamage);
    if (!read.ok) return read;
  }
  return ok({ line, free: await usable(disk, folder, free, segmentBytes), nextName });
}

async function readSegment(
  segment: Segment,
  onRecord: (record: RecoveredRecord) => void,
  onDamage: (damage: Damage) => void,
): Promise<Result<true, DiskError>> {
  const content = await segment.file.read(0, segment.bytes);
  if (!content.ok) return content;
  // After a killed process the last records may be in the page cache only. They are acted on, so they must stay.
  const synced = await segment.file.sync("records found by recovery before they are acted on");
  if (!synced.ok) return err(synced.error);
  const { items, end, batch } = scanSegment(content.value, segment.salt, segment.epoch);
  segment.position = end;
  segment.batch = batch + 1;
  for (const item of items) {
    if (item.kind === "record") {
      const { type, more, continued, payload } = item;
      const location: Location = {
        epoch: segment.epoch,
        offset: item.offset + RECORD_HEAD_BYTES,
        length: payload.length,
      };
      onRecord({ type, more, continued, payload, location });
    } else {
      const name = `${segment.epoch}-${item.offset}`;
      onDamage({ name, reason: item.reason, bytes: Buffer.from(item.bytes), last: item.last });
    }
  }
  return ok(true);
}

/** Free segments of today's size; a stump (power failed while it was made) or another size (the spool has grown) is removed. */
async function usable(
  disk: Disk,
  folder: string,
  free: readonly FreeSegment[],
  segmentBytes: number,
): Promise<FreeSegment[]> {
  const out: FreeSegment[] = [];
  for (const slot of free) {
    if (slot.bytes === segmentBytes) {
      out.push(slot);
      continue;
    }
    await slot.file.close();
    await disk.unlink(`${folder}/${slot.name}`);
  }
  return out;
}
