// Reading the log back after a start: which segments are alive, what records they hold, what is damaged. Changes nothing but
// the durability of what it read, so recovering twice is recovering once.

import { SEGMENT_BYTES_MAX } from "../base/limits.ts";
import { err, ok, type Result } from "../base/result.ts";
import type { Disk, DiskError, DiskFile } from "../sys/disk.ts";
import { type Listing, readCatalogue } from "./catalogue.ts";
import {
  decodeSegmentHead,
  FORMAT_VERSION,
  hasRecords,
  RECORD_HEAD_BYTES,
  SEGMENT_END_BYTES,
  SEGMENT_HEAD_BYTES,
  type SegmentHead,
  scanSegment,
  searchIdentity,
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
  /** The latest epoch that anything shows; no other segment may have it. */
  readonly lastEpoch: number;
}

interface Slot {
  readonly name: string;
  readonly file: DiskFile;
  readonly bytes: number;
  /** From the start of the segment, or from what was found elsewhere. */
  readonly head: SegmentHead | null;
  /** Its start cannot be read, and it is not blank: it may hold what nobody else has, and is used again only when it cannot. */
  readonly wounded: boolean;
}

/** Messages that were in a segment and of which nothing was found there. */
export interface LostSegment {
  readonly epoch: number;
  /** What is wrong with the segment, "" when it is read whole. */
  readonly reason: string;
  /** The messages that it held when it was listed last; null when that is not known. */
  readonly ids: readonly string[] | null;
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
    const start = await opened.value.read(0, Math.min(SEGMENT_HEAD_BYTES, size.value));
    if (!start.ok) return start;
    const head = decodeSegmentHead(start.value);
    slots.push({ name, file: opened.value, bytes: size.value, head, wounded: false });
  }
  return ok(slots);
}

/** Nothing was ever written there, or the flash has lost all of it. */
function isBlank(bytes: Buffer): boolean {
  const first = bytes[0];
  return (
    first === undefined ||
    ((first === 0 || first === 0xff) && bytes.equals(Buffer.alloc(bytes.length, first)))
  );
}

/**
 * Who a segment is whose start cannot be read: by the copy of its head at the other end, by the catalogue's salts, or by its records.
 * An epoch that another segment has is none for this one.
 */
function identify(segment: Buffer, taken: ReadonlySet<number>, listing: Listing | null): SegmentHead | null {
  const end = decodeSegmentHead(segment.subarray(segment.length - SEGMENT_END_BYTES));
  const asHead = ({ salt, epoch }: { readonly salt: Buffer; readonly epoch: number }): SegmentHead => ({
    epoch,
    tail: 0,
    salt,
    bytes: segment.length,
    version: FORMAT_VERSION,
  });
  const candidates: SegmentHead[] = [];
  if (end !== null && end.version === FORMAT_VERSION) candidates.push(end);
  for (const listed of listing?.segments ?? []) candidates.push(asHead(listed));
  for (const head of candidates)
    if (!taken.has(head.epoch) && hasRecords(segment, head.salt, head.epoch)) return head;
  const found = searchIdentity(segment);
  if (found !== null && !taken.has(found.epoch)) return asHead(found);
  return end !== null && !taken.has(end.epoch) ? end : null;
}

async function identifyAll(slots: Slot[], listing: Listing | null): Promise<Result<Slot[], DiskError>> {
  const taken = new Set(slots.flatMap((s) => (s.head === null ? [] : [s.head.epoch])));
  const out: Slot[] = [];
  for (const slot of slots) {
    if (slot.head !== null || slot.bytes > SLOT_BYTES_MAX) {
      out.push(slot);
      continue;
    }
    const content = await slot.file.read(0, slot.bytes);
    if (!content.ok) return content;
    const blank = isBlank(content.value);
    const head = blank ? null : identify(content.value, taken, listing);
    if (head !== null) taken.add(head.epoch);
    out.push({ ...slot, head, wounded: !blank });
  }
  return ok(out);
}

/** What recovery tells while it reads. */
export interface RecoveryEvents {
  readonly onRecord: (record: RecoveredRecord) => void;
  readonly onDamage: (damage: Damage) => void;
  /** After all records: what a segment should have held. Whoever knows what became of each message judges what is missing. */
  readonly onLost: (lost: LostSegment) => void;
}

/**
 * Opens the log in `folder` and hands over its records, oldest first; then the damage. An unreadable disk is an error:
 * half a queue must not look like a whole one.
 */
export async function recoverLog(
  disk: Disk,
  folder: string,
  segmentBytes: number,
  events: RecoveryEvents,
): Promise<Result<RecoveredLog, DiskError>> {
  const files: DiskFile[] = [];
  const recovered = await recoverFiles(disk, folder, segmentBytes, files, events);
  if (!recovered.ok) for (const file of files) await file.close();
  return recovered;
}

async function recoverFiles(
  disk: Disk,
  folder: string,
  segmentBytes: number,
  files: DiskFile[],
  events: RecoveryEvents,
): Promise<Result<RecoveredLog, DiskError>> {
  const opened = await openSlots(disk, folder, files);
  if (!opened.ok) return opened;
  const listing = await readCatalogue(disk, folder);
  const identified = await identifyAll(opened.value, listing);
  if (!identified.ok) return identified;
  const slots = identified.value;
  const tail = tailOf(slots, listing);
  const line: Segment[] = [];
  const heads: SegmentHead[] = [];
  const free: FreeSegment[] = [];
  const wounded: Slot[] = [];
  let nextName = 1;
  for (const slot of slots) {
    nextName = Math.max(nextName, Number(slot.name.slice("segment-".length)) + 1);
    const { name, file, head } = slot;
    if (head !== null && head.version !== FORMAT_VERSION) {
      // Another version's: it knows what to do with it.
      const reason = `${name}: format version ${head.version} is not known to this program; the segment is left as it is`;
      events.onDamage({ name: `${head.epoch}-version`, reason, bytes: NOTHING, last: false });
      heads.push(head);
      await file.close();
    } else if (head !== null && head.epoch >= tail) {
      heads.push(head);
      line.push(segmentOf(slot, head));
    } else if (slot.wounded && head === null) wounded.push(slot);
    else free.push({ name, file, bytes: slot.bytes, epoch: head?.epoch ?? 0 });
  }
  line.sort((a, b) => a.epoch - b.epoch);
  for (const segment of line) {
    const read = await readSegment(segment, events);
    if (!read.ok) return read;
  }
  const missing = missingEpochs(heads, listing, tail);
  for (const epoch of missing) {
    const listed = listing?.segments.find((s) => s.epoch === epoch);
    const what = listed === undefined ? `segment with epoch ${epoch}` : `${listed.name} (epoch ${epoch})`;
    const reason = `${what} of the log is missing or cannot be read`;
    events.onLost({ epoch, reason, ids: listed?.ids ?? null });
  }
  for (const listed of listing?.segments ?? [])
    if (listed.epoch >= tail && !missing.includes(listed.epoch))
      events.onLost({ epoch: listed.epoch, reason: "", ids: listed.ids ?? [] });
  const lastEpoch = Math.max(0, listing?.segments.at(-1)?.epoch ?? 0, ...heads.map((head) => head.epoch));
  // The catalogue names all that is needed, and all of it is there: these are none of it.
  const complete = missing.length === 0 && listing?.segments.at(-1)?.epoch === lastEpoch;
  for (const { name, file, bytes } of wounded) {
    if (complete) free.push({ name, file, bytes, epoch: 0 });
    else {
      // Its bytes may be what is missing: never written over.
      const aside = name.replace("segment", "lost");
      const moved = await disk.rename(`${folder}/${name}`, `${folder}/${aside}`);
      const reason = `${name}: no record in it can be read; it is kept as log/${moved.ok ? aside : name}`;
      events.onDamage({ name: `${lastEpoch}-${aside}`, reason, bytes: NOTHING, last: false });
      await file.close();
    }
  }
  return ok({ line, free: await usable(disk, folder, free, segmentBytes), nextName, lastEpoch });
}

const NOTHING = Buffer.alloc(0);

/** The oldest epoch that is still needed, as the newest head says, or the catalogue when that head is lost. */
function tailOf(slots: readonly Slot[], listing: Listing | null): number {
  let epoch = listing?.segments.at(-1)?.epoch ?? 0;
  let tail = listing?.tail ?? 0;
  for (const { head } of slots) {
    // A head that was found by its records does not say where the tail was.
    if (head === null || head.tail === 0 || head.epoch < epoch) continue;
    epoch = head.epoch;
    tail = head.tail;
  }
  return tail;
}

/** Epochs of the line that no segment has, ascending: each head names the one before it, the catalogue names all. */
function missingEpochs(heads: readonly SegmentHead[], listing: Listing | null, tail: number): number[] {
  const there = new Set(heads.map((head) => head.epoch));
  const wanted = new Set<number>();
  for (const head of heads) if (head.previous !== undefined) wanted.add(head.previous);
  for (const { epoch } of listing?.segments ?? []) wanted.add(epoch);
  return [...wanted].filter((epoch) => epoch >= tail && !there.has(epoch)).sort((a, b) => a - b);
}

function segmentOf(slot: Slot, head: SegmentHead): Segment {
  return {
    name: slot.name,
    file: slot.file,
    bytes: slot.bytes,
    epoch: head.epoch,
    salt: head.salt,
    position: 0,
    batch: 0,
    liveMessages: 0,
    liveBytes: 0,
    suspect: false,
  };
}

async function readSegment(
  segment: Segment,
  { onRecord, onDamage }: RecoveryEvents,
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
