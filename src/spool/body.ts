// Bodies in wire form, from memory or from a file, and the file that a large message is received into.
// A file holds body, header and envelope in that order; its checksums are in the message's record.

import { err, ok, type Result } from "../base/result.ts";
import { crc32 } from "../sys/checksum.ts";
import type { Disk, DiskError, DiskFile } from "../sys/disk.ts";
import { letGo } from "../sys/heap.ts";
import type { Body, BodyForm } from "./mailer.ts";

/** Ten large bodies on their way out together must not need a small machine's memory. */
const CHUNK_BYTES = 64 * 1024;

export class MemoryBody implements Body {
  readonly size: number;
  readonly pieces: readonly Buffer[];
  readonly eightBit: boolean;
  readonly lineMax: number;
  #left = false;

  constructor(pieces: readonly Buffer[], form: BodyForm) {
    this.pieces = pieces;
    this.size = pieces.reduce((sum, piece) => sum + piece.length, 0);
    this.eightBit = form.eightBit;
    this.lineMax = form.lineMax;
  }

  async *chunks(): AsyncGenerator<Buffer> {
    yield* this.pieces;
  }

  leaving(underWay: boolean): void {
    this.#left = !underWay;
  }

  /** The message is done and its owner has no more use for it: its memory is free now, where nothing can read it any more. */
  free(): void {
    if (this.#left) for (const piece of this.pieces) letGo(piece);
  }
}

/** Thrown by chunks() when the file cannot be read to its end; the mailer must not complete the message. */
export class BodyUnreadable extends Error {
  override readonly name = "BodyUnreadable";
}

export class FileBody implements Body {
  readonly size: number;
  readonly pieces = null;
  readonly eightBit: boolean;
  readonly lineMax: number;
  readonly #disk: Disk;
  readonly #path: string;

  constructor(disk: Disk, path: string, size: number, form: BodyForm) {
    this.#disk = disk;
    this.#path = path;
    this.size = size;
    this.eightBit = form.eightBit;
    this.lineMax = form.lineMax;
  }

  async *chunks(): AsyncGenerator<Buffer> {
    const opened = await this.#disk.open(this.#path, "read");
    if (!opened.ok) throw new BodyUnreadable(`${opened.error.operation}: ${opened.error.code}`);
    try {
      for (let at = 0; at < this.size; ) {
        const got = await opened.value.read(at, Math.min(CHUNK_BYTES, this.size - at));
        if (!got.ok) throw new BodyUnreadable(`${got.error.operation}: ${got.error.code}`);
        if (got.value.length === 0) throw new BodyUnreadable(`${this.#path} is too short`);
        yield got.value;
        at += got.value.length;
      }
    } finally {
      await opened.value.close();
    }
  }
}

/** The checksum of a body, read once; a reason when it cannot be read. */
export async function sumOf(body: Body): Promise<Result<number>> {
  let sum = 0;
  try {
    for await (const chunk of body.chunks()) sum = crc32(chunk, sum);
    return ok(sum);
  } catch (e) {
    if (e instanceof BodyUnreadable) return err(e.message);
    throw e;
  }
}

/** Receives a large body into its own file, at most `WINDOW_BYTES` behind its source. */
const WINDOW_BYTES = 256 * 1024;

export class BodyFile {
  readonly path: string;
  /** Its number among the files of messages. */
  readonly slot: number;
  /** Its name is durable: it has held a message before. */
  readonly named: boolean;
  readonly #file: DiskFile;
  readonly #before: number;
  #at = 0;
  #grew = false;
  #sum = 0;
  #queue: Buffer[] = [];
  #queued = 0;
  /** Those of the queue that are the file's own. */
  #given: Buffer[] = [];
  #writing: Promise<void> | null = null;
  #error: DiskError | null = null;

  /** `before`: bytes that the file had. */
  constructor(path: string, slot: number, file: DiskFile, named: boolean, before: number) {
    this.path = path;
    this.slot = slot;
    this.#file = file;
    this.named = named;
    this.#before = before;
  }

  /** Bytes that the file takes. */
  get allocated(): number {
    return Math.max(this.size, this.#before);
  }

  /** What was sealed needed more room than the file had. */
  get grew(): boolean {
    return this.#grew;
  }

  get error(): DiskError | null {
    return this.#error;
  }

  /** Bytes written or waiting. */
  get size(): number {
    return this.#at + this.#queued;
  }

  /** CRC-32 of everything put in so far. */
  get sum(): number {
    return this.#sum;
  }

  /** As put(), of a chunk that nobody else will look at: it is freed when it is written, and not at some collection of garbage. */
  give(chunk: Buffer): Promise<void> | undefined {
    if (this.#error === null) this.#given.push(chunk);
    return this.put(chunk);
  }

  /** Takes bytes; a promise asks the source to wait. */
  put(chunk: Buffer): Promise<void> | undefined {
    if (this.#error !== null) return undefined;
    this.#sum = crc32(chunk, this.#sum);
    this.#queue.push(chunk);
    this.#queued += chunk.length;
    this.#writing ??= this.#drain();
    return this.#queued > WINDOW_BYTES ? this.#writing : undefined;
  }

  async #drain(): Promise<void> {
    while (this.#queue.length > 0 && this.#error === null) {
      const pieces = this.#queue;
      const bytes = this.#queued;
      const given = this.#given;
      this.#queue = [];
      this.#given = [];
      const done = await this.#file.write(pieces, this.#at);
      if (!done.ok) this.#error = done.error;
      for (const chunk of given) letGo(chunk);
      this.#at += bytes;
      this.#queued -= bytes;
    }
    this.#queue = [];
    this.#writing = null;
  }

  /** Adds the last parts and makes the file (not its name) durable. */
  async seal(rest: readonly Buffer[]): Promise<Result<true, DiskError>> {
    if (this.#writing !== null) await this.#writing;
    if (this.#error !== null) return err(this.#error);
    this.#grew = rest.reduce((sum, part) => sum + part.length, this.#at) > this.#before;
    const done = await this.#file.write(rest, this.#at);
    if (!done.ok) return done;
    return this.#file.sync("a large message before its record");
  }

  /** Waits until the bytes are in the file; not durable. */
  async settle(): Promise<Result<true, DiskError>> {
    if (this.#writing !== null) await this.#writing;
    return this.#error === null ? ok(true) : err(this.#error);
  }

  async close(): Promise<void> {
    if (this.#writing !== null) await this.#writing;
    await this.#file.close();
  }
}
