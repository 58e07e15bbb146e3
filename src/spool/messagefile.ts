// Files of large messages: body, then header, then envelope; durable, with their names, before the record that points to them.
// Checksums of the parts are in the record: a file that does not match is damaged and never delivered. A file whose message is
// durably done is kept for the next one (within bounds): overwriting it changes no metadata, which on ext4 is 3 to 6 % of the writes.

import { SPARE_FILES_MAX } from "../base/limits.ts";
import { ABSENT, found, type Lookup, ok, type Result, tempfail } from "../base/result.ts";
import type { Envelope } from "../mail/envelope.ts";
import { crc32 } from "../sys/checksum.ts";
import type { Disk, DiskError } from "../sys/disk.ts";
import { BodyFile, FileBody, sumOf } from "./body.ts";
import { decodeEnvelope } from "./codec.ts";
import type { Content, Entry } from "./entry.ts";
import type { FilePlace } from "./salvage.ts";

/** Where the body of a message being accepted is. */
export type BodySource =
  | { readonly kind: "memory"; readonly pieces: readonly Buffer[]; readonly bytes: number }
  | { readonly kind: "file"; readonly file: BodyFile };

/** A sealed file: durable with its name. */
export interface Sealed {
  readonly slot: number;
  /** Checksum of the body. */
  readonly sum: number;
}

/** A file that no message needs. */
interface Spare {
  readonly slot: number;
  readonly bytes: number;
  /** Its name is durable. */
  readonly named: boolean;
}

export class MessageFiles {
  readonly #disk: Disk;
  readonly #folder: string;
  /** Bytes that spare files may take together. */
  readonly #spareBytesMax: number;
  #spares: Spare[] = [];
  #next = 1;

  constructor(disk: Disk, folder: string, spareBytesMax: number) {
    this.#disk = disk;
    this.#folder = folder;
    this.#spareBytesMax = spareBytesMax;
  }

  path(slot: number): string {
    return `${this.#folder}/${String(slot).padStart(6, "0")}`;
  }

  /** Bytes that could be given back to the file system. */
  get spareBytes(): number {
    return this.#spares.reduce((sum, spare) => sum + spare.bytes, 0);
  }

  /** A file for a body. `lasting`: a spare one will do, since the message will probably be synced. */
  async open(lasting: boolean): Promise<Result<BodyFile, DiskError>> {
    const spare = lasting ? this.#spares.shift() : undefined;
    if (spare !== undefined) {
      const reopened = await this.#disk.open(this.path(spare.slot), "write");
      if (reopened.ok)
        return ok(new BodyFile(this.path(spare.slot), spare.slot, reopened.value, spare.named, spare.bytes));
    }
    const slot = this.#next++;
    const opened = await this.#disk.open(this.path(slot), "create");
    return opened.ok ? ok(new BodyFile(this.path(slot), slot, opened.value, false, 0)) : opened;
  }

  /** Nothing durable needs the file any more: it becomes a spare, or goes. The errno when it cannot be removed. */
  async release(slot: number, bytes: number, named: boolean): Promise<string | null> {
    if (named && this.#spares.length < SPARE_FILES_MAX && this.spareBytes + bytes <= this.#spareBytesMax) {
      this.#spares.push({ slot, bytes, named });
      return null;
    }
    return this.remove(slot);
  }

  /** Removes a file; the errno when that failed and it is still there. The next start sees to it. */
  async remove(slot: number): Promise<string | null> {
    const gone = await this.#disk.unlink(this.path(slot));
    return gone.ok || gone.error.code === "ENOENT" ? null : gone.error.code;
  }

  /** Gives the spare files back to the file system, because it is full. */
  async trim(): Promise<void> {
    for (const { slot } of this.#spares.splice(0)) await this.remove(slot);
  }

  /** Writes what is missing and makes the file and its name durable. */
  async seal(source: BodySource, header: Buffer, envelope: Buffer): Promise<Result<Sealed, DiskError>> {
    let file: BodyFile;
    if (source.kind === "file") {
      file = source.file;
    } else {
      const opened = await this.open(true);
      if (!opened.ok) return opened;
      file = opened.value;
      for (const piece of source.pieces) await file.put(piece);
    }
    const done = await this.#durable(file, header, envelope);
    await file.close();
    // What a failed sync has left is not known: such a file is never used again.
    if (!done.ok) await this.remove(file.slot);
    return done.ok ? ok({ slot: file.slot, sum: file.sum }) : done;
  }

  async #durable(file: BodyFile, header: Buffer, envelope: Buffer): Promise<Result<true, DiskError>> {
    const sealed = await file.seal([header, envelope]);
    // f2fs keeps where new blocks are in a chain of inodes until its next checkpoint, and drops the chain whole when power fails in
    // the midst of its last one, which may be another message's. Syncing the folder is a checkpoint; on ext4 it is one flush.
    if (!sealed.ok || (file.named && !file.grew)) return sealed;
    return this.#disk.syncFolder(this.#folder, "the name of a large message before its record");
  }

  /** Header and envelope; absent when the file is missing or damaged. */
  rest(entry: Entry): Promise<Lookup<{ readonly envelope: Envelope; readonly header: Buffer }>> {
    return this.#rest(entry.place, true);
  }

  /** A message by what is left of its record, whatever the checksums say; absent when it cannot be read. */
  async salvage(place: FilePlace): Promise<Lookup<Content>> {
    const rest = await this.#rest(place, false);
    return rest.kind === "found" ? found({ ...rest.value, body: this.#bodyAt(place) }) : rest;
  }

  async #rest(
    place: FilePlace,
    checked: boolean,
  ): Promise<Lookup<{ readonly envelope: Envelope; readonly header: Buffer }>> {
    const opened = await this.#disk.open(this.path(place.slot), "read");
    if (!opened.ok) return opened.error.code === "ENOENT" ? ABSENT : tempfail(opened.error.code);
    const wanted = place.headerBytes + place.envelopeBytes;
    const got = await opened.value.read(place.bodyBytes, wanted);
    await opened.value.close();
    if (!got.ok) return tempfail(`${got.error.operation}: ${got.error.code}`);
    if (got.value.length !== wanted) return ABSENT;
    if (checked && crc32(got.value, 0) !== place.restSum) return ABSENT;
    const envelope = decodeEnvelope(got.value.subarray(place.headerBytes));
    if (!envelope.ok) return ABSENT;
    return found({ envelope: envelope.value, header: got.value.subarray(0, place.headerBytes) });
  }

  body(entry: Entry): FileBody {
    return this.#bodyAt(entry.place);
  }

  #bodyAt(place: FilePlace): FileBody {
    return new FileBody(this.#disk, this.path(place.slot), place.bodyBytes, place);
  }

  /** The whole message, its body checked once by reading it through; absent when it is damaged. */
  async load(entry: Entry): Promise<Lookup<Content>> {
    const rest = await this.rest(entry);
    if (rest.kind !== "found") return rest;
    const body = this.body(entry);
    const sum = await sumOf(body);
    if (!sum.ok) return tempfail(sum.error);
    return sum.value === entry.place.bodySum ? found({ ...rest.value, body }) : ABSENT;
  }

  /** After a start: files of no message become spares or go; their senders got no 250, or they are done. */
  async claim(owned: ReadonlySet<number>): Promise<Result<true, DiskError>> {
    const names = await this.#disk.list(this.#folder);
    if (!names.ok) return names;
    for (const name of names.value) {
      const slot = /^\d{6,9}$/.test(name) ? Number(name) : 0;
      this.#next = Math.max(this.#next, slot + 1);
      if (owned.has(slot)) continue;
      if (slot === 0) {
        await this.#disk.unlink(`${this.#folder}/${name}`);
        continue;
      }
      const bytes = await this.#sizeOf(slot);
      // Whether its name is durable is not known, so it is synced once more when the file is used.
      if (
        bytes > 0 &&
        this.#spares.length < SPARE_FILES_MAX &&
        this.spareBytes + bytes <= this.#spareBytesMax
      )
        this.#spares.push({ slot, bytes, named: false });
      else await this.remove(slot);
    }
    return ok(true);
  }

  async #sizeOf(slot: number): Promise<number> {
    const opened = await this.#disk.open(this.path(slot), "read");
    if (!opened.ok) return 0;
    const size = await opened.value.size();
    await opened.value.close();
    return size.ok ? size.value : 0;
  }
}
