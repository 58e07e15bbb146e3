// The constant database format (cr.yp.to/cdb/cdb.txt): 256 headers, records, 256 hash tables, all numbers 32 bit little
// endian. Reader: finds a key in place with two or three small reads, holds 2 kB (or the whole of a small file), believes
// nothing that the file says without checking it. Writer: streams records, keeps 8 bytes a record in memory.
// Files are those of Debian's tinycdb and of every other cdb tool, both ways.

import { MAP_HELD_BYTES_MAX, MAP_KEY_BYTES_MAX, MAP_VALUE_BYTES_MAX } from "../base/limits.ts";
import { ABSENT, err, found, type Lookup, ok, type Result, tempfail } from "../base/result.ts";
import type { ReadFile, Replacement } from "../sys/files.ts";

const HEADER_BYTES = 2048;
const SLOT_BYTES = 8;
/** Slots read at once: most probes end in the first read. */
const SLOTS_READ = 8;
/** Bytes of a record read at once: most keys and values come with the two lengths. */
const RECORD_READ_BYTES = 512;
const FILE_BYTES_MAX = 0xffffffff;

/** The hash of cdb.txt: h = ((h << 5) + h) ^ c, from 5381. */
export function cdbHash(key: Buffer): number {
  let h = 5381;
  for (let i = 0; i < key.length; i++) h = (((h << 5) + h) ^ (key[i] ?? 0)) >>> 0;
  return h;
}

/** An open constant database. */
export class CdbFile {
  readonly #name: string;
  readonly #file: ReadFile;
  readonly #size: number;
  /** The whole file when it is small, else its header. */
  readonly #held: Buffer;

  private constructor(name: string, file: ReadFile, held: Buffer) {
    this.#name = name;
    this.#file = file;
    this.#size = file.facts.size;
    this.#held = held;
  }

  /** Takes `file` over (close() closes it). Error, with the file still the caller's: not a constant database, or cut off. */
  static open(name: string, file: ReadFile): Result<CdbFile> {
    const size = file.facts.size;
    if (size > FILE_BYTES_MAX) return err(`${name} is too large for a constant database`);
    const held = Buffer.alloc(Math.min(size, size <= MAP_HELD_BYTES_MAX ? size : HEADER_BYTES));
    const got = file.readAt(held, 0);
    if (!got.ok) return got;
    const berkeley = berkeleyKind(held);
    if (berkeley !== null)
      return err(`${name} is a Berkeley database (${berkeley}), not a constant database`);
    if (got.value !== held.length || size < HEADER_BYTES)
      return err(`${name} is not a constant database: ${size} bytes are too few`);
    let end = HEADER_BYTES;
    for (let i = 0; i < 256; i++) {
      const position = held.readUInt32LE(i * 8);
      const slots = held.readUInt32LE(i * 8 + 4);
      if (slots > 0 && position < HEADER_BYTES)
        return err(`${name} is not a constant database: bad table ${i}`);
      if (slots > 0) end = Math.max(end, position + slots * SLOT_BYTES);
    }
    if (end > size) return err(`${name} is damaged: ${size} bytes where its header says ${end}`);
    return ok(new CdbFile(name, file, held));
  }

  /** The first value of `key`. tempfail: the file cannot be read or contradicts itself. */
  find(key: Buffer): Lookup<Buffer> {
    if (key.length > MAP_KEY_BYTES_MAX) return ABSENT;
    const hash = cdbHash(key);
    const table = this.#held.readUInt32LE((hash & 255) * 8);
    const slots = this.#held.readUInt32LE((hash & 255) * 8 + 4);
    if (slots === 0) return ABSENT;
    let slot = (hash >>> 8) % slots;
    for (let seen = 0; seen < slots; ) {
      const count = Math.min(SLOTS_READ, slots - slot, slots - seen);
      const piece = this.#read(table + slot * SLOT_BYTES, count * SLOT_BYTES);
      if (!piece.ok) return tempfail(piece.error);
      for (let i = 0; i < count; i++) {
        const position = piece.value.readUInt32LE(i * SLOT_BYTES + 4);
        if (position === 0) return ABSENT;
        if (piece.value.readUInt32LE(i * SLOT_BYTES) !== hash) continue;
        const value = this.#record(position, key);
        if (value.kind !== "absent") return value;
      }
      seen += count;
      slot = slot + count === slots ? 0 : slot + count;
    }
    return ABSENT;
  }

  /** Every record in file order, until the first error. */
  *records(): Generator<Result<{ readonly key: Buffer; readonly value: Buffer }>> {
    let end = this.#size;
    for (let i = 0; i < 256; i++)
      if (this.#held.readUInt32LE(i * 8 + 4) > 0) end = Math.min(end, this.#held.readUInt32LE(i * 8));
    for (let at = HEADER_BYTES; at < end; ) {
      const head = this.#head(at);
      if (!head.ok) return yield head;
      const body = this.#read(at + 8, head.value.key + head.value.value);
      if (!body.ok) return yield body;
      yield ok({
        key: body.value.subarray(0, head.value.key),
        value: body.value.subarray(head.value.key),
      });
      at += 8 + head.value.key + head.value.value;
    }
  }

  close(): void {
    this.#file.close();
  }

  /** The value at `position` when the record there has `key`. */
  #record(position: number, key: Buffer): Lookup<Buffer> {
    const first = this.#read(position, Math.min(RECORD_READ_BYTES, this.#size - position));
    if (!first.ok) return tempfail(first.error);
    const head = this.#head(position, first.value);
    if (!head.ok) return tempfail(head.error);
    if (head.value.key !== key.length) return ABSENT;
    const length = 8 + head.value.key + head.value.value;
    const whole = length <= first.value.length ? first : this.#read(position, length);
    if (!whole.ok) return tempfail(whole.error);
    if (key.compare(whole.value, 8, 8 + key.length) !== 0) return ABSENT;
    return found(whole.value.subarray(8 + key.length, length));
  }

  #head(position: number, bytes?: Buffer): Result<{ readonly key: number; readonly value: number }> {
    const head = bytes === undefined ? this.#read(position, 8) : ok(bytes);
    if (!head.ok) return head;
    if (head.value.length < 8) return this.#damaged();
    const key = head.value.readUInt32LE(0);
    const value = head.value.readUInt32LE(4);
    if (key > MAP_KEY_BYTES_MAX || value > MAP_VALUE_BYTES_MAX) return this.#damaged();
    return ok({ key, value });
  }

  #read(position: number, length: number): Result<Buffer> {
    if (position < HEADER_BYTES || length < 0 || position + length > this.#size) return this.#damaged();
    if (position + length <= this.#held.length) return ok(this.#held.subarray(position, position + length));
    const bytes = Buffer.allocUnsafe(length);
    const got = this.#file.readAt(bytes, position);
    if (!got.ok) return got;
    return got.value === length ? ok(bytes) : this.#damaged();
  }

  #damaged(): { readonly ok: false; readonly error: string } {
    return err(`${this.#name} is damaged`);
  }
}

/** "hash", "btree", ... when the bytes begin as a Berkeley DB file does (either byte order), else null. */
export function berkeleyKind(head: Buffer): string | null {
  const magics = new Map([
    [0x061561, "hash"],
    [0x053162, "btree"],
    [0x042253, "queue"],
    [0x040988, "log"],
  ]);
  // DB 1.85 has its magic number at 0, later versions at 12.
  for (const at of [12, 0]) {
    if (head.length < at + 4) continue;
    const kind = magics.get(head.readUInt32LE(at)) ?? magics.get(head.readUInt32BE(at));
    if (kind !== undefined) return kind;
  }
  return null;
}

/** Writes records into `target` as they come, tables and header at the end. Nothing is seen before finish() succeeded. */
export class CdbWriter {
  readonly #target: Replacement;
  #hashes = new Uint32Array(1024);
  #positions = new Uint32Array(1024);
  #count = 0;
  #position = HEADER_BYTES;
  /** Records on their way to the file, in order; the first is room for the header. */
  #pending: Buffer[] = [Buffer.alloc(HEADER_BYTES)];
  #pendingBytes = HEADER_BYTES;

  constructor(target: Replacement) {
    this.#target = target;
  }

  /** Adds a record; of records with the same key a reader finds the first. */
  add(key: Buffer, value: Buffer): Result<true> {
    if (key.length > MAP_KEY_BYTES_MAX) return err(`key of ${key.length} bytes is too long`);
    if (value.length > MAP_VALUE_BYTES_MAX) return err(`value of ${value.length} bytes is too long`);
    const bytes = Buffer.allocUnsafe(8 + key.length + value.length);
    bytes.writeUInt32LE(key.length, 0);
    bytes.writeUInt32LE(value.length, 4);
    key.copy(bytes, 8);
    value.copy(bytes, 8 + key.length);
    if (this.#position + bytes.length > FILE_BYTES_MAX) return err("more than 4 GB");
    if (this.#count === this.#hashes.length) this.#grow();
    this.#hashes[this.#count] = cdbHash(key);
    this.#positions[this.#count] = this.#position;
    this.#count += 1;
    this.#position += bytes.length;
    return this.#append(bytes);
  }

  /** Writes tables and header and puts the file in its place. */
  finish(): Result<true> {
    const header = Buffer.alloc(HEADER_BYTES);
    const written = this.#appendTables(header);
    if (!written.ok) return this.#fail(written.error);
    const flushed = this.#flush();
    if (!flushed.ok) return this.#fail(flushed.error);
    const headed = this.#target.writeAt(header, 0);
    if (!headed.ok) return this.#fail(headed.error);
    return this.#target.commit();
  }

  /** Drops everything; what stood in the place stays. */
  abandon(): void {
    this.#target.abandon();
  }

  #fail(reason: string): Result<true> {
    this.#target.abandon();
    return err(reason);
  }

  #grow(): void {
    const grow = (old: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> => {
      const larger = new Uint32Array(old.length * 2);
      larger.set(old);
      return larger;
    };
    this.#hashes = grow(this.#hashes);
    this.#positions = grow(this.#positions);
  }

  #appendTables(header: Buffer): Result<true> {
    const counts = new Uint32Array(257);
    for (let i = 0; i < this.#count; i++) {
      const table = (this.#hashes[i] ?? 0) & 255;
      counts[table + 1] = (counts[table + 1] ?? 0) + 1;
    }
    for (let t = 0; t < 256; t++) counts[t + 1] = (counts[t + 1] ?? 0) + (counts[t] ?? 0);
    // Record numbers sorted by table, in file order within one: the first of equal keys gets the first slot.
    const order = new Uint32Array(this.#count);
    const next = counts.slice();
    for (let i = 0; i < this.#count; i++) {
      const table = (this.#hashes[i] ?? 0) & 255;
      order[next[table] ?? 0] = i;
      next[table] = (next[table] ?? 0) + 1;
    }
    for (let t = 0; t < 256; t++) {
      const members = order.subarray(counts[t] ?? 0, counts[t + 1] ?? 0);
      const slots = members.length * 2;
      header.writeUInt32LE(this.#position, t * 8);
      header.writeUInt32LE(slots, t * 8 + 4);
      if (slots === 0) continue;
      if (this.#position + slots * SLOT_BYTES > FILE_BYTES_MAX) return err("more than 4 GB");
      const appended = this.#append(this.#table(members, slots));
      if (!appended.ok) return appended;
      this.#position += slots * SLOT_BYTES;
    }
    return ok(true);
  }

  #table(members: Uint32Array, slots: number): Buffer {
    const table = Buffer.alloc(slots * SLOT_BYTES);
    for (const member of members) {
      const hash = this.#hashes[member] ?? 0;
      let slot = (hash >>> 8) % slots;
      while (table.readUInt32LE(slot * SLOT_BYTES + 4) !== 0) slot = slot + 1 === slots ? 0 : slot + 1;
      table.writeUInt32LE(hash, slot * SLOT_BYTES);
      table.writeUInt32LE(this.#positions[member] ?? 0, slot * SLOT_BYTES + 4);
    }
    return table;
  }

  #append(bytes: Buffer): Result<true> {
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.length;
    return this.#pendingBytes < MAP_HELD_BYTES_MAX ? ok(true) : this.#flush();
  }

  #flush(): Result<true> {
    const bytes = Buffer.concat(this.#pending);
    this.#pending = [];
    this.#pendingBytes = 0;
    return this.#target.append(bytes);
  }
}
