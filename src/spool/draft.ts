// A message being received: bytes in memory while they are few, else in a file of their own, with back-pressure.
// What goes wrong on the way is kept and becomes the refusal at commit().

import { assert } from "../base/assert.ts";
import { BODIES_IN_MEMORY_BYTES_MAX, BODY_IN_MEMORY_BYTES_MAX, HELD_BYTES_MAX } from "../base/limits.ts";
import type { Envelope } from "../mail/envelope.ts";
import { isAscii } from "../sys/ascii.ts";
import type { DiskError } from "../sys/disk.ts";
import type { BodyFile } from "./body.ts";
import type { Draft, Verdict } from "./intake.ts";
import type { BodySource } from "./messagefile.ts";

/** Bytes of bodies in memory, over all drafts and held messages. */
export class MemoryBudget {
  #used = 0;

  get used(): number {
    return this.#used;
  }

  take(bytes: number): boolean {
    if (this.#used + bytes > BODIES_IN_MEMORY_BYTES_MAX) return false;
    this.#used += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#used -= bytes;
    assert(this.#used >= 0, "memory is given back once");
  }
}

/** What a draft asks of the spool. */
export interface DraftHost {
  readonly budget: MemoryBudget;
  /** Larger bodies are held in memory when the next hop may take them at once. */
  readonly interactive: boolean;
  openBody(): Promise<{ readonly file: BodyFile } | { readonly error: DiskError }>;
  dropBody(file: BodyFile): Promise<void>;
  commit(draft: ReceivedDraft, envelope: Envelope, header: Buffer, lineMax: number): Promise<Verdict>;
}

export class ReceivedDraft implements Draft {
  readonly id: string;
  readonly #host: DraftHost;
  #pieces: Buffer[] = [];
  #bytes = 0;
  #taken = 0;
  #eightBit = false;
  #file: BodyFile | null = null;
  #opening: Promise<void> | null = null;
  #error: DiskError | null = null;
  #ended = false;
  #aborted = false;

  constructor(id: string, host: DraftHost) {
    this.id = id;
    this.#host = host;
  }

  get eightBit(): boolean {
    return this.#eightBit;
  }

  get error(): DiskError | null {
    return this.#error ?? this.#file?.error ?? null;
  }

  get bytes(): number {
    return this.#bytes;
  }

  write(chunk: Buffer): Promise<void> | undefined {
    if (this.#ended || this.error !== null || chunk.length === 0) return undefined;
    this.#bytes += chunk.length;
    if (!this.#eightBit && !isAscii(chunk)) this.#eightBit = true;
    if (this.#file !== null) return this.#file.give(chunk);
    this.#pieces.push(chunk);
    const max = this.#host.interactive ? HELD_BYTES_MAX : BODY_IN_MEMORY_BYTES_MAX;
    if (this.#opening === null && this.#bytes <= max && this.#host.budget.take(chunk.length)) {
      this.#taken += chunk.length;
      return undefined;
    }
    // Until the file is open the source waits, so that what is held stays small.
    this.#opening ??= this.#spill();
    return this.#opening;
  }

  async #spill(): Promise<void> {
    const opened = await this.#host.openBody();
    const pieces = this.#pieces;
    this.#pieces = [];
    this.#release();
    if ("error" in opened) {
      this.#error = opened.error;
      return;
    }
    this.#file = opened.file;
    if (this.#aborted) return this.#dropFile(opened.file);
    let wait: Promise<void> | undefined;
    for (const piece of pieces) wait = opened.file.put(piece);
    if (wait !== undefined) await wait;
  }

  #release(): void {
    this.#host.budget.give(this.#taken);
    this.#taken = 0;
  }

  async #dropFile(file: BodyFile): Promise<void> {
    await this.#host.dropBody(file);
  }

  /** The body as received; call after the last write. */
  async source(): Promise<BodySource> {
    if (this.#opening !== null) await this.#opening;
    return this.#file !== null
      ? { kind: "file", file: this.#file }
      : { kind: "memory", pieces: this.#pieces, bytes: this.#bytes };
  }

  async commit(envelope: Envelope, header: Buffer, lineMax = 0): Promise<Verdict> {
    assert(!this.#ended, "a draft ends once");
    this.#ended = true;
    if (this.#opening !== null) await this.#opening;
    const verdict = await this.#host.commit(this, envelope, header, lineMax);
    this.#release();
    this.#pieces = [];
    return verdict;
  }

  abort(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#aborted = true;
    this.#pieces = [];
    this.#release();
    if (this.#file !== null) void this.#dropFile(this.#file);
  }
}
