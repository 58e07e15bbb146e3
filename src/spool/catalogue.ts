// What should be in the log: which segments, with which salts, and which messages are in each. It is written beside the log without
// any sync, so it may be late by what the kernel holds back, but never ahead of the log: it tells only what is durable already.
// Recovery needs none of it. When flash has lost a page or a file, it says what is missing, so that no message disappears in silence.
//
// The file has two areas, used in turn: one for each segment that is begun. An area has a head (the line as it was then, as JSON) and
// the ids that were accepted since, each with a checksum that is seeded with the segment's epoch.

import { CATALOGUE_DELAY_MS } from "../base/limits.ts";
import { crc32 } from "../sys/checksum.ts";
import type { Clock } from "../sys/clock.ts";
import type { Disk, DiskFile } from "../sys/disk.ts";
import { ID_BYTES, isQueueId } from "./identity.ts";

const MAGIC = Buffer.from("PSTNLINE", "latin1");
/** Magic, bytes of the JSON, its checksum. */
const HEAD_BYTES = 16;
const ENTRY_BYTES = 18;
/** An area's two parts are each this share of a segment. */
const PART_SHARE = 16;
const SALT_HEX = /^[0-9a-f]{16}$/;

/** A segment of the line. */
export interface ListedSegment {
  readonly epoch: number;
  readonly name: string;
  readonly salt: Buffer;
  /** Messages that were in it and not done; null when there was no room to say. */
  readonly ids: readonly string[] | null;
}

/** What the catalogue says of the line. */
export interface Listing {
  readonly tail: number;
  /** From tail to head. */
  readonly segments: readonly ListedSegment[];
}

/** Ids in order as text: "PREFIX:000001-000004,000009;PREFIX2:000000". */
export function rangesOf(ids: readonly string[]): string {
  const byPrefix = new Map<string, number[]>();
  for (const id of ids) {
    const prefix = id.slice(0, 8);
    const numbers = byPrefix.get(prefix);
    if (numbers === undefined) byPrefix.set(prefix, [Number(id.slice(8))]);
    else numbers.push(Number(id.slice(8)));
  }
  const six = (n: number): string => String(n).padStart(6, "0");
  const parts: string[] = [];
  for (const [prefix, numbers] of byPrefix) {
    numbers.sort((a, b) => a - b);
    const runs: string[] = [];
    for (let i = 0; i < numbers.length; ) {
      const first = numbers[i] ?? 0;
      let last = first;
      while (numbers[i + 1] === last + 1) {
        last++;
        i++;
      }
      i++;
      runs.push(first === last ? six(first) : `${six(first)}-${six(last)}`);
    }
    parts.push(`${prefix}:${runs.join(",")}`);
  }
  return parts.join(";");
}

/** The ids of such a text; what is not of its form is left out. */
function idsOf(text: string): string[] {
  const ids: string[] = [];
  for (const part of text.split(";")) {
    const colon = part.indexOf(":");
    const prefix = part.slice(0, colon);
    for (const run of part.slice(colon + 1).split(",")) {
      const [first = "", last = first] = run.split("-");
      if (!isQueueId(prefix + first) || !isQueueId(prefix + last)) continue;
      for (let n = Number(first); n <= Number(last); n++) ids.push(prefix + String(n).padStart(6, "0"));
    }
  }
  return ids;
}

function encodeHead(listing: Listing, bytesMax: number): Buffer | null {
  const rows = listing.segments.map((s) => ({
    row: [s.epoch, s.name, s.salt.toString("hex")] as const,
    ids: s.ids === null ? null : rangesOf(s.ids),
  }));
  for (;;) {
    const json = Buffer.from(
      JSON.stringify({ t: listing.tail, s: rows.map((r) => [...r.row, r.ids]) }),
      "latin1",
    );
    if (HEAD_BYTES + json.length <= bytesMax) {
      const head = Buffer.alloc(HEAD_BYTES);
      MAGIC.copy(head, 0);
      head.writeUInt32LE(json.length, 8);
      head.writeUInt32LE(crc32(json, 0), 12);
      return Buffer.concat([head, json]);
    }
    const longest = rows.reduce((a, b) => ((b.ids?.length ?? 0) > (a.ids?.length ?? 0) ? b : a));
    if (longest.ids === null || longest.ids === "") return null;
    longest.ids = null;
  }
}

function decodeHead(area: Buffer): Listing | null {
  if (area.length < HEAD_BYTES || !area.subarray(0, 8).equals(MAGIC)) return null;
  const length = area.readUInt32LE(8);
  const json = area.subarray(HEAD_BYTES, HEAD_BYTES + length);
  if (json.length !== length || crc32(json, 0) !== area.readUInt32LE(12)) return null;
  const value = JSON.parse(json.toString("latin1")) as { t?: unknown; s?: unknown };
  if (!Array.isArray(value.s) || !Number.isSafeInteger(value.t)) return null;
  const segments: ListedSegment[] = [];
  for (const row of value.s) {
    if (!Array.isArray(row)) return null;
    const [epoch, name, salt, ids] = row as unknown[];
    if (!Number.isSafeInteger(epoch) || typeof name !== "string") return null;
    if (typeof salt !== "string" || !SALT_HEX.test(salt)) return null;
    segments.push({
      epoch: Number(epoch),
      name,
      salt: Buffer.from(salt, "hex"),
      ids: typeof ids === "string" ? idsOf(ids) : null,
    });
  }
  return { tail: Number(value.t), segments };
}

/** The ids that were accepted into the newest segment. */
function entriesOf(part: Buffer, epoch: number): string[] {
  const ids: string[] = [];
  for (let at = 0; at + ENTRY_BYTES <= part.length; at += ENTRY_BYTES) {
    const id = part.subarray(at, at + ID_BYTES);
    if (crc32(id, epoch >>> 0) !== part.readUInt32LE(at + ID_BYTES)) break;
    ids.push(id.toString("latin1"));
  }
  return ids;
}

/** What the catalogue in `folder` says; null when there is none or it cannot be read. */
export async function readCatalogue(disk: Disk, folder: string): Promise<Listing | null> {
  const opened = await disk.open(`${folder}/${CATALOGUE_NAME}`, "read");
  if (!opened.ok) return null;
  const size = await opened.value.size();
  const content = size.ok ? await opened.value.read(0, size.value) : size;
  await opened.value.close();
  if (!content.ok) return null;
  const area = Math.floor(content.value.length / 2);
  let best: Listing | null = null;
  for (const at of [0, area]) {
    const bytes = content.value.subarray(at, at + area);
    const listing = decodeHead(bytes);
    const newest = listing?.segments.at(-1);
    if (listing === null || newest === undefined) continue;
    if (best !== null && (best.segments.at(-1)?.epoch ?? 0) >= newest.epoch) continue;
    const since = entriesOf(bytes.subarray(Math.floor(area / 2)), newest.epoch);
    const whole = { ...newest, ids: newest.ids === null ? null : [...newest.ids, ...since] };
    best = { ...listing, segments: [...listing.segments.slice(0, -1), whole] };
  }
  return best;
}

const CATALOGUE_NAME = "catalogue";

/** The catalogue of a running log. What cannot be written is left out: the log does not depend on it. */
export class Catalogue {
  readonly #disk: Disk;
  readonly #clock: Clock;
  readonly #path: string;
  readonly #partBytes: number;
  #file: DiskFile | null = null;
  #epoch = 0;
  /** Bytes of entries that the area has. */
  #entryBytes = 0;
  #pending: string[] = [];
  #timer: (() => void) | null = null;
  #work: Promise<void> = Promise.resolve();

  constructor(disk: Disk, clock: Clock, folder: string, segmentBytes: number) {
    this.#disk = disk;
    this.#clock = clock;
    this.#path = `${folder}/${CATALOGUE_NAME}`;
    this.#partBytes = Math.floor(segmentBytes / PART_SHARE);
  }

  /** A segment was begun: the line as it is now. */
  begin(listing: Listing): void {
    const epoch = listing.segments.at(-1)?.epoch ?? 0;
    this.#pending = [];
    this.#epoch = epoch;
    this.#entryBytes = 0;
    const head = encodeHead(listing, this.#partBytes);
    if (head !== null) this.#write(this.#areaAt(), head);
  }

  /** A message is durable in the newest segment. */
  accepted(id: string): void {
    this.#pending.push(id);
    this.#timer ??= this.#clock.after(CATALOGUE_DELAY_MS, () => this.#flush());
  }

  #flush(): void {
    this.#timer?.();
    this.#timer = null;
    const ids = this.#pending;
    this.#pending = [];
    if (ids.length === 0 || this.#entryBytes + ids.length * ENTRY_BYTES > this.#partBytes) return;
    const bytes = Buffer.alloc(ids.length * ENTRY_BYTES);
    ids.forEach((id, i) => {
      const at = i * ENTRY_BYTES;
      bytes.write(id, at, ID_BYTES, "latin1");
      bytes.writeUInt32LE(crc32(bytes.subarray(at, at + ID_BYTES), this.#epoch >>> 0), at + ID_BYTES);
    });
    this.#write(this.#areaAt() + this.#partBytes + this.#entryBytes, bytes);
    this.#entryBytes += bytes.length;
  }

  #areaAt(): number {
    return (this.#epoch % 2) * 2 * this.#partBytes;
  }

  #write(at: number, bytes: Buffer): void {
    this.#work = this.#work.then(async () => {
      this.#file ??= await this.#open();
      await this.#file?.write([bytes], at);
    });
  }

  /** The file in its full size, so that later writes change no metadata. */
  async #open(): Promise<DiskFile | null> {
    const bytes = 4 * this.#partBytes;
    const there = await this.#disk.open(this.#path, "write");
    if (there.ok) {
      const size = await there.value.size();
      if (size.ok && size.value === bytes) return there.value;
      await there.value.close();
      await this.#disk.unlink(this.#path);
    }
    const made = await this.#disk.open(this.#path, "create");
    if (!made.ok) return null;
    await made.value.write([Buffer.alloc(bytes)], 0);
    return made.value;
  }

  async close(): Promise<void> {
    this.#flush();
    await this.#work;
    await this.#file?.close();
    this.#file = null;
  }
}
