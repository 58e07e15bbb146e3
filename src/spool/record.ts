// The form of a record in the queue's log: a checked head, the payload, an end mark. Recovery reads them back and says what is damaged.
// Each segment has a random salt that every one of its records carries: records of the segment's earlier life are dead, and a
// message body cannot contain a record (a client does not know the salt). Checksums are CRC-32 seeded with the segment's epoch.

import { crc32, seedOf } from "../sys/checksum.ts";

/** Record types; the numbers are on flash and never change their meaning. */
export const RECORD = {
  /** A message: fixed part, envelope, header and body (or where they are). A later one of the same id moves it. */
  accept: 1,
  /** The whole delivery state of a message; replaces what was known. */
  progress: 2,
  /** Changes to the delivery state. */
  outcome: 3,
  /** The message is done; nothing of it is needed. */
  finish: 4,
  /** State of the spool itself: boot number, spool time, suspended parts. */
  global: 5,
  /** The message is about to be tried (only after an unclean end, to find the one that kills the program). */
  inHand: 6,
} as const;

/** Version of the payload forms; other versions are quarantined, never guessed at. */
export const FORMAT_VERSION = 1;
/** Where in a record its type is. */
export const RECORD_TYPE_AT = 12;
export const RECORD_HEAD_BYTES = 32;
export const RECORD_TAIL_BYTES = 4;
export const SEGMENT_HEAD_BYTES = 4096;
export const SALT_BYTES = 8;
const FLAG_MORE = 1;
const FLAG_CONTINUED = 2;
const END_MARK = 0x2e646e65;
const SEGMENT_MAGIC = Buffer.from("PSTNLOG1", "latin1");
/** The second copy of the segment's head lies in a sector of its own, the third at the segment's other end. */
const SEGMENT_COPY_OFFSET = 2048;
const SEGMENT_COPY_BYTES = 48;
/** Bytes at the end of a segment that hold its head once more; records end before them. */
export const SEGMENT_END_BYTES = 512;

/** What the head of a segment says. */
export interface SegmentHead {
  /** Counts activations of segments; the larger is the later. */
  readonly epoch: number;
  /** The oldest epoch that is still needed; older segments are free. */
  readonly tail: number;
  readonly salt: Buffer;
  /** Bytes of the whole segment. */
  readonly bytes: number;
  /** The epoch of the segment before it in the line; undefined for the first one, and in heads of earlier versions. */
  readonly previous?: number;
  /** Version of the forms in this segment; this program knows FORMAT_VERSION only. */
  readonly version: number;
}

function putHead(buffer: Buffer, at: number, head: Omit<SegmentHead, "version">): void {
  SEGMENT_MAGIC.copy(buffer, at);
  buffer.writeUInt32LE(FORMAT_VERSION, at + 8);
  buffer.writeUInt32LE(head.bytes, at + 12);
  buffer.writeDoubleLE(head.epoch, at + 16);
  buffer.writeDoubleLE(head.tail, at + 24);
  head.salt.copy(buffer, at + 32, 0, SALT_BYTES);
  const sum = crc32(buffer.subarray(at, at + 40), 0);
  buffer.writeUInt32LE(sum, at + 40);
  // How far back the one before is, disguised by the checksum: zero in heads of earlier versions, which say nothing of it.
  const back = head.previous === undefined ? 0 : head.epoch - head.previous;
  if (back > 0 && back < BACK_MAX) buffer.writeUInt32LE((sum ^ back) >>> 0, at + 44);
}

/** Epochs between two neighbours of the line: more than ever were. */
const BACK_MAX = 1_000_000;

/** The head as it is written at the start of a segment: two copies. */
export function encodeSegmentHead(head: Omit<SegmentHead, "version">): Buffer {
  const buffer = Buffer.alloc(SEGMENT_HEAD_BYTES);
  for (const at of [0, SEGMENT_COPY_OFFSET]) putHead(buffer, at, head);
  return buffer;
}

/** The same for the last SEGMENT_END_BYTES of a segment. */
export function encodeSegmentEnd(head: Omit<SegmentHead, "version">): Buffer {
  const buffer = Buffer.alloc(SEGMENT_END_BYTES);
  putHead(buffer, 0, head);
  return buffer;
}

/** The head from either copy at the start of a segment, or from its end; null when they are damaged or there never was one. */
export function decodeSegmentHead(buffer: Buffer): SegmentHead | null {
  for (const at of [0, SEGMENT_COPY_OFFSET]) {
    if (buffer.length < at + SEGMENT_COPY_BYTES) continue;
    if (!buffer.subarray(at, at + 8).equals(SEGMENT_MAGIC)) continue;
    const sum = buffer.readUInt32LE(at + 40);
    if (sum !== crc32(buffer.subarray(at, at + 40), 0)) continue;
    const epoch = buffer.readDoubleLE(at + 16);
    const back = (buffer.readUInt32LE(at + 44) ^ sum) >>> 0;
    return {
      epoch,
      tail: buffer.readDoubleLE(at + 24),
      salt: Buffer.from(buffer.subarray(at + 32, at + 32 + SALT_BYTES)),
      bytes: buffer.readUInt32LE(at + 12),
      version: buffer.readUInt32LE(at + 8),
      ...(back > 0 && back < BACK_MAX ? { previous: epoch - back } : {}),
    };
  }
  return null;
}

/** A record that waits for its place. */
export interface Draft {
  readonly type: number;
  /** True when further parts of the same payload follow. */
  readonly more: boolean;
  /** True when this part is not the first. */
  readonly continued: boolean;
  readonly pieces: readonly Buffer[];
  readonly payloadBytes: number;
}

export function draftOf(type: number, pieces: readonly Buffer[], more = false, continued = false): Draft {
  let payloadBytes = 0;
  for (const piece of pieces) payloadBytes += piece.length;
  return { type, more, continued, pieces, payloadBytes };
}

/** Bytes that a record takes in a segment: head, payload, end mark, rounded up to 8. */
export function recordBytes(payloadBytes: number): number {
  return (RECORD_HEAD_BYTES + payloadBytes + RECORD_TAIL_BYTES + 7) & ~7;
}

/** Adds the record, as it is written in the given segment and batch, to `out`. */
export function encodeRecord(
  draft: Draft,
  segment: { readonly salt: Buffer; readonly epoch: number },
  batch: number,
  out: Buffer[],
): void {
  const total = recordBytes(draft.payloadBytes);
  const tailBytes = total - RECORD_HEAD_BYTES - draft.payloadBytes;
  const frame = Buffer.alloc(RECORD_HEAD_BYTES + tailBytes);
  let sum = segment.epoch >>> 0;
  for (const piece of draft.pieces) sum = crc32(piece, sum);
  segment.salt.copy(frame, 0);
  frame.writeUInt32LE(batch >>> 0, 8);
  frame[12] = draft.type;
  frame[13] = (draft.more ? FLAG_MORE : 0) | (draft.continued ? FLAG_CONTINUED : 0);
  frame.writeUInt16LE(FORMAT_VERSION, 14);
  frame.writeUInt32LE(draft.payloadBytes, 16);
  frame.writeUInt32LE(sum, 20);
  frame.writeUInt32LE(crc32(frame.subarray(0, 24), segment.epoch >>> 0), 24);
  frame.writeUInt32LE((END_MARK ^ sum) >>> 0, frame.length - 4);
  out.push(frame.subarray(0, RECORD_HEAD_BYTES), ...draft.pieces, frame.subarray(RECORD_HEAD_BYTES));
}

/** A whole record found in a segment; `payload` is a view of the segment. */
export interface FoundRecord {
  readonly kind: "record";
  readonly type: number;
  readonly more: boolean;
  readonly continued: boolean;
  readonly batch: number;
  /** Offset of the record's head in the segment. */
  readonly offset: number;
  readonly payload: Buffer;
}

/** Bytes that should be a record and are none. */
export interface DamagedRecord {
  readonly kind: "damaged";
  readonly offset: number;
  readonly bytes: Buffer;
  readonly reason: string;
  /** True when nothing later was synced: most likely cut off by a power failure, never acknowledged. */
  readonly last: boolean;
}

interface Head {
  readonly type: number;
  readonly more: boolean;
  readonly continued: boolean;
  readonly batch: number;
  readonly version: number;
  readonly length: number;
  readonly sum: number;
}

function decodeHead(segment: Buffer, at: number, salt: Buffer, epoch: number): Head | null {
  if (at + RECORD_HEAD_BYTES + RECORD_TAIL_BYTES > segment.length) return null;
  if (salt.compare(segment, at, at + SALT_BYTES) !== 0) return null;
  if (segment.readUInt32LE(at + 24) !== crc32(segment.subarray(at, at + 24), epoch >>> 0)) return null;
  return {
    type: segment.readUInt8(at + RECORD_TYPE_AT),
    more: (segment.readUInt8(at + 13) & FLAG_MORE) !== 0,
    continued: (segment.readUInt8(at + 13) & FLAG_CONTINUED) !== 0,
    batch: segment.readUInt32LE(at + 8),
    version: segment.readUInt16LE(at + 14),
    length: segment.readUInt32LE(at + 16),
    sum: segment.readUInt32LE(at + 20),
  };
}

function verdict(segment: Buffer, at: number, head: Head, epoch: number): FoundRecord | string {
  const end = at + recordBytes(head.length);
  if (end > segment.length) return "truncated: the record is longer than its segment";
  if (head.version !== FORMAT_VERSION) return `format version ${head.version} is not known to this program`;
  const payload = segment.subarray(at + RECORD_HEAD_BYTES, at + RECORD_HEAD_BYTES + head.length);
  if (crc32(payload, epoch >>> 0) !== head.sum) return "the checksum does not match";
  if (segment.readUInt32LE(end - 4) !== (END_MARK ^ head.sum) >>> 0) return "the end mark is missing";
  const { type, more, continued, batch } = head;
  return { kind: "record", type, more, continued, batch, offset: at, payload };
}

/** The payload of the record at the start of `bytes`; null when anything about it is wrong. */
export function checkedPayload(bytes: Buffer, salt: Buffer, epoch: number): Buffer | null {
  const head = decodeHead(bytes, 0, salt, epoch);
  const result = head === null ? null : verdict(bytes, 0, head, epoch);
  return result === null || typeof result === "string" ? null : result.payload;
}

/**
 * Everything in a segment, in order. After damage the search goes on at the next record head, so that one bad record costs
 * only itself. `end` is where the last record ends.
 */
export function scanSegment(
  segment: Buffer,
  salt: Buffer,
  epoch: number,
): {
  readonly items: readonly (FoundRecord | DamagedRecord)[];
  readonly end: number;
  readonly batch: number;
} {
  const items: (FoundRecord | DamagedRecord)[] = [];
  const holes: { index: number; before: number }[] = [];
  let at = SEGMENT_HEAD_BYTES;
  let end = at;
  let batch = 0;
  const damaged = (from: number, to: number, reason: string): void => {
    holes.push({ index: items.length, before: batch });
    items.push({ kind: "damaged", offset: from, bytes: segment.subarray(from, to), reason, last: false });
  };
  while (at + RECORD_HEAD_BYTES + RECORD_TAIL_BYTES <= segment.length) {
    const head = decodeHead(segment, at, salt, epoch);
    const result = head === null ? null : verdict(segment, at, head, epoch);
    if (result !== null && typeof result !== "string") {
      items.push(result);
      batch = result.batch;
      at += recordBytes(result.payload.length);
      end = at;
      continue;
    }
    const next = nextHead(segment, at + 8, salt, epoch);
    if (typeof result === "string") {
      const claimed = head === null ? 0 : recordBytes(head.length);
      const to = Math.min(segment.length, next < 0 ? at + claimed : Math.min(next, at + claimed));
      damaged(at, to, result);
      end = Math.max(end, to);
    } else if (next >= 0) {
      damaged(at, next, "no record head where one should be");
    }
    if (next < 0) break;
    at = next;
  }
  // A later batch is only written when the earlier one was synced: damage before it was not made by a power failure.
  for (const hole of holes) {
    const item = items[hole.index];
    if (item?.kind === "damaged" && (batch === hole.before || batch === hole.before + 1))
      items[hole.index] = { ...item, last: true };
  }
  return { items, end, batch };
}

/** True when a record of this salt and epoch begins somewhere in the segment. */
export function hasRecords(segment: Buffer, salt: Buffer, epoch: number): boolean {
  return nextHead(segment, SEGMENT_HEAD_BYTES, salt, epoch) >= 0;
}

/** The record types, as bounds for a quick look. */
const TYPE_MAX = Math.max(...Object.values(RECORD));

/**
 * The salt and epoch of a segment of which nothing else is known, from records that prove themselves: the head's checksum gives the
 * epoch that it was seeded with, and payload and end mark must agree with it. What lies inside of a proven record is not looked at, so
 * that no client can put one there; of several salts the one with most bytes wins. null when no record is whole.
 */
export function searchIdentity(segment: Buffer): { readonly salt: Buffer; readonly epoch: number } | null {
  const found = new Map<string, { salt: Buffer; epoch: number; bytes: number }>();
  for (let at = SEGMENT_HEAD_BYTES; at + RECORD_HEAD_BYTES + RECORD_TAIL_BYTES <= segment.length; at += 8) {
    const type = segment.readUInt8(at + RECORD_TYPE_AT);
    if (type === 0 || type > TYPE_MAX || segment.readUInt16LE(at + 14) !== FORMAT_VERSION) continue;
    const length = segment.readUInt32LE(at + 16);
    if (at + recordBytes(length) > segment.length) continue;
    const epoch = seedOf(segment.subarray(at, at + 24), segment.readUInt32LE(at + 24));
    const salt = Buffer.from(segment.subarray(at, at + SALT_BYTES));
    if (epoch === 0 || checkedPayload(segment.subarray(at), salt, epoch) === null) continue;
    const key = `${salt.toString("hex")} ${epoch}`;
    const known = found.get(key) ?? { salt, epoch, bytes: 0 };
    known.bytes += recordBytes(length);
    found.set(key, known);
    at += recordBytes(length) - 8;
  }
  return [...found.values()].sort((a, b) => b.bytes - a.bytes)[0] ?? null;
}

function nextHead(segment: Buffer, from: number, salt: Buffer, epoch: number): number {
  for (let at = segment.indexOf(salt, from); at >= 0; at = segment.indexOf(salt, at + 1)) {
    if (at % 8 === 0 && decodeHead(segment, at, salt, epoch) !== null) return at;
  }
  return -1;
}
