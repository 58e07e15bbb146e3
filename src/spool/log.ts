// The append-only log of the queue: preallocated segments, recycled in the order of their age; one writev and one fdatasync for
// everything that arrived meanwhile (group commit). A resolved append is durable. The live part of the log is the line of
// segments from tail to head; the tail is freed when no message in it is live, so marks always outlive what they mark.
// After a failed write or sync the segment is never believed again: records go to a fresh one, or the append fails.

import { assert } from "../base/assert.ts";
import {
  DISK_RETRY_MS,
  MARK_DELAY_MS,
  MARK_RESERVE_BYTES,
  SEGMENTS_IDLE_MAX,
  SEGMENTS_RESERVED,
} from "../base/limits.ts";
import { ABSENT, err, found, type Lookup, ok, type Result, tempfail } from "../base/result.ts";
import type { DiskError } from "../sys/disk.ts";
import type { Entropy } from "../sys/entropy.ts";
import { nextTurn } from "../sys/turn.ts";
import { Catalogue } from "./catalogue.ts";
import { idOf } from "./codec.ts";
import {
  checkedPayload,
  type Draft,
  encodeRecord,
  encodeSegmentEnd,
  encodeSegmentHead,
  RECORD_HEAD_BYTES,
  recordBytes,
  SALT_BYTES,
  SEGMENT_END_BYTES,
  SEGMENT_HEAD_BYTES,
} from "./record.ts";
import type { RecoveredLog } from "./recovery.ts";
import type { Location, Segment } from "./segment.ts";
import { SegmentSupply, type SupplyDeps } from "./supply.ts";

export interface LogDeps extends SupplyDeps {
  readonly entropy: Entropy;
  /** First record of every segment: the state of the spool itself. */
  readonly opening: () => Draft;
  /** A segment was begun or is not trusted any more: see whether messages must be copied (`SegmentLog.crowded`). */
  readonly onTurn: () => void;
  /** Told about failures and recoveries of the disk, for log and health. */
  readonly onTrouble: (text: string) => void;
  /** Ids of the messages that are live in each segment, by epoch. */
  readonly liveIds: () => ReadonlyMap<number, readonly string[]>;
  /** The disk is known not to work from the start. */
  readonly trouble?: DiskError;
}

/** How urgently, and from which reserve, a record is written. */
export type AppendClass =
  /** A message being accepted: fails when only the reserve is left or the disk fails. */
  | "accept"
  /** An outcome or other mark: synced within MARK_DELAY_MS, kept and written again when the disk fails. */
  | "mark"
  /** As mark, but synced at once. */
  | "urgent";

interface Waiting {
  readonly draft: Draft;
  readonly bytes: number;
  readonly kind: AppendClass;
  /** Bytes by which the record's segment becomes live; 0 for marks. */
  readonly cost: number;
  readonly resolve: (result: Result<Location, DiskError>) => void;
}

/** The most that one batch writes; more waits for the next. */
const BATCH_BYTES_MAX = 4 * 1024 * 1024;
const FULL: DiskError = { code: "ENOSPC", operation: "the queue's log is full" };

const NOTHING = Buffer.alloc(0);

/** Bytes that records may still take in a segment. */
function roomIn(head: Segment): number {
  return head.bytes - SEGMENT_END_BYTES - head.position;
}

export class SegmentLog {
  readonly #deps: LogDeps;
  /** From tail to head; empty only before the first activation. */
  #line: Segment[];
  readonly #supply: SegmentSupply;
  readonly #catalogue: Catalogue;
  /** A new segment is to be begun although the head has room. */
  #rotate = false;
  /** Messages in the log. */
  #live = 0;
  #waiting: Waiting[] = [];
  #busy = false;
  #timer: (() => void) | null = null;
  #brokenUntil = 0;
  #trouble: DiskError | null = null;
  #closed = false;
  #idle: ((durable: boolean) => void)[] = [];
  #written = 0;
  #syncs = 0;

  /** The latest epoch that was there at the start. */
  readonly #lastEpoch: number;

  /** What recovery has found. */
  constructor(deps: LogDeps, { line, free, nextName, lastEpoch }: RecoveredLog) {
    this.#lastEpoch = lastEpoch;
    this.#deps = deps;
    this.#line = line;
    this.#supply = new SegmentSupply(deps, free, nextName);
    this.#catalogue = new Catalogue(deps.disk, deps.clock, deps.folder, deps.segmentBytes);
    this.#trouble = deps.trouble ?? null;
  }

  /** The largest payload that one record may have. */
  get payloadBytesMax(): number {
    return Math.floor(this.#deps.segmentBytes / 4);
  }

  /** null: the last disk operation went well. */
  get trouble(): DiskError | null {
    return this.#trouble;
  }

  get figures(): { written: number; syncs: number; segments: number; free: number; bytes: number } {
    const bytes = this.#line.reduce((sum, s) => sum + s.bytes, 0);
    return {
      written: this.#written,
      syncs: this.#syncs,
      segments: this.#line.length,
      free: this.#supply.count,
      bytes,
    };
  }

  /** Room for a message of `bytes` in the log, not counting the reserve; a hint, commit decides. */
  roomFor(bytes: number): boolean {
    const head = this.#line.at(-1);
    const left = head === undefined || head.suspect ? 0 : roomIn(head);
    if (!this.#dipped() && (left >= recordBytes(bytes) || !this.tight)) return true;
    this.#supply.growInBackground(this.#reserved + 2);
    return this.#supply.growing;
  }

  /** Segments that only marks may use: a few, and what the marks of everything queued will take. */
  get #reserved(): number {
    return SEGMENTS_RESERVED + Math.floor((this.#live * MARK_RESERVE_BYTES) / this.#deps.segmentBytes);
  }

  /** Only the reserve is left: marks that can be done without are not written. */
  get tight(): boolean {
    return this.#supply.count <= this.#reserved;
  }

  /** The reserve is being used up: no message may have any of it. Sees whether the file system has room again. */
  #dipped(): boolean {
    if (this.#supply.count >= this.#reserved) return false;
    this.#supply.growInBackground(this.#reserved + 2);
    return !this.#supply.growing;
  }

  /** Activates a segment for this run of the program; makes the first ones when there are none. */
  async start(): Promise<Result<true, DiskError>> {
    await this.#supply.grow(SEGMENTS_RESERVED + 1);
    const started = await this.#activate(true);
    if (!started.ok && this.#line.length > 0 && this.#line.at(-1)?.suspect === false) return ok(true);
    return started;
  }

  /**
   * Resolves when the record is durable, with its place. "accept" may fail; the others wait until a disk takes them (or
   * close() gives up). Appends become durable in the order of the calls. `cost` > 0 counts a message in the segment.
   */
  append(draft: Draft, kind: AppendClass, cost = 0): Promise<Result<Location, DiskError>> {
    if (this.#closed) return Promise.resolve(err({ code: "ECANCELED", operation: "the queue is closed" }));
    if (kind === "accept" && this.#trouble !== null) return Promise.resolve(err(this.#trouble));
    if (kind === "accept" && this.#dipped()) return Promise.resolve(err(FULL));
    const bytes = recordBytes(draft.payloadBytes);
    assert(bytes <= this.#deps.segmentBytes / 2, "a record fits into a segment");
    return new Promise((resolve) => {
      this.#waiting.push({ draft, bytes, kind, cost, resolve });
      if (kind === "mark") this.#soon(MARK_DELAY_MS);
      else this.#soon(0);
    });
  }

  /** Appends in order; true when all of them are durable. */
  async appendAll(drafts: readonly Draft[], kind: AppendClass): Promise<boolean> {
    const results = await Promise.all(drafts.map((draft) => this.append(draft, kind)));
    return results.every((result) => result.ok);
  }

  /** Counts a message that recovery found in its segment. */
  hold(location: Location, bytes: number): void {
    const segment = this.segment(location.epoch);
    if (segment !== undefined) this.#count(segment, 1, bytes);
  }

  #count(segment: Segment, messages: number, bytes: number): void {
    segment.liveMessages += messages;
    this.#live += messages;
    segment.liveBytes += bytes;
    assert(segment.liveMessages >= 0, "a segment is not left by more messages than entered it");
  }

  /** The message is done (durably) or has moved (durably). */
  drop(location: Location, bytes: number): void {
    const segment = this.segment(location.epoch);
    if (segment === undefined) return;
    this.#count(segment, -1, -bytes);
    this.#freeTail();
  }

  segment(epoch: number): Segment | undefined {
    const first = this.#line[0];
    if (first === undefined) return undefined;
    // Epochs in the line ascend by one, except where a damaged segment is missing.
    const guess = this.#line[epoch - first.epoch];
    return guess?.epoch === epoch ? guess : this.#line.find((s) => s.epoch === epoch);
  }

  /** Reads a payload back and checks it again; absent when it is damaged. */
  async readChecked(location: Location): Promise<Lookup<Buffer>> {
    const segment = this.segment(location.epoch);
    if (segment === undefined) return tempfail(`no segment with epoch ${location.epoch}`);
    const length = recordBytes(location.length);
    const got = await segment.file.read(location.offset - RECORD_HEAD_BYTES, length);
    if (!got.ok) return tempfail(`${got.error.operation}: ${got.error.code}`);
    const payload = checkedPayload(got.value, segment.salt, segment.epoch);
    return payload === null || payload.length !== location.length ? ABSENT : found(payload);
  }

  /** Epochs whose live messages should be copied to the head now: suspects, and a sparse tail. */
  crowded(): readonly number[] {
    const epochs = this.#line.filter((s) => s.suspect && s.liveMessages > 0).map((s) => s.epoch);
    const tail = this.#line[0];
    if (
      tail !== undefined &&
      this.#line.length > 2 &&
      tail.liveMessages > 0 &&
      !epochs.includes(tail.epoch)
    ) {
      let live = 0;
      let all = 0;
      for (const segment of this.#line) {
        live += segment.liveBytes;
        all += segment.bytes;
      }
      // Copying while less than half is live: each byte accepted causes at most one byte of copying in the long run.
      // A full disk makes it worth four.
      const share = this.tight ? 1.25 : 2;
      if (all > share * live + 2 * tail.bytes) epochs.push(tail.epoch);
    }
    return epochs;
  }

  /** Resolves with true when everything appended so far is durable, with false when the disk does not take it now. */
  flushed(): Promise<boolean> {
    if (!this.#busy && this.#waiting.length === 0) return Promise.resolve(true);
    return new Promise((resolve) => {
      this.#idle.push(resolve);
      this.#soon(0);
    });
  }

  /** Writes what waits, then closes the files. On a broken disk the marks are given up: their messages are tried again. */
  async close(): Promise<void> {
    if (this.#closed) return;
    if (!this.#broken()) await this.flushed();
    this.#closed = true;
    this.#timer?.();
    this.#timer = null;
    for (const waiting of this.#waiting.splice(0))
      waiting.resolve(err(this.#trouble ?? { code: "ECANCELED", operation: "the queue is closed" }));
    await this.#supply.close();
    await this.#catalogue.close();
    for (const segment of this.#line) await segment.file.close();
  }

  #broken(): boolean {
    return this.#trouble !== null && this.#deps.clock.monotonicMs() < this.#brokenUntil;
  }

  #soon(ms: number): void {
    if (this.#busy || this.#closed) return;
    if (ms > 0) {
      this.#timer ??= this.#deps.clock.after(ms, () => {
        this.#timer = null;
        this.#soon(0);
      });
      return;
    }
    this.#timer?.();
    this.#timer = null;
    this.#busy = true;
    // One turn later, so that sessions that are served in this turn share the sync.
    nextTurn(() => {
      void this.#run();
    });
  }

  async #run(): Promise<void> {
    if (this.#rotate && !this.#closed) {
      this.#rotate = false;
      await this.#activate(true);
    }
    while (this.#waiting.length > 0 && !this.#closed) {
      const progress = await this.#batch();
      if (!progress) break;
    }
    this.#busy = false;
    // Asked for while this ran.
    if (this.#rotate) this.#soon(MARK_DELAY_MS);
    if (this.#waiting.length === 0) {
      for (const resolve of this.#idle.splice(0)) resolve(true);
    } else if (!this.#closed) {
      // Only marks are left, on a disk that does not take them now.
      this.#timer ??= this.#deps.clock.after(DISK_RETRY_MS, () => {
        this.#timer = null;
        this.#soon(0);
      });
      for (const resolve of this.#idle.splice(0)) resolve(false);
    }
  }

  /** Writes and syncs one batch; false when the disk takes nothing now. */
  async #batch(): Promise<boolean> {
    let head = this.#line.at(-1);
    const first = this.#waiting[0];
    if (first === undefined) return true;
    if (head === undefined || head.suspect || first.bytes > roomIn(head)) {
      let activated = await this.#activate(false);
      if (!activated.ok) {
        // What is left is for marks alone.
        this.#refuseAccepts(activated.error);
        if (this.#waiting.length === 0) return true;
        activated = await this.#activate(true);
      }
      if (!activated.ok) {
        this.#refuseAccepts(activated.error);
        return false;
      }
      head = this.#line.at(-1);
      if (head === undefined) return false;
    }
    const taken = this.#take(head);
    if (taken.length === 0) {
      this.#refuseAccepts(FULL);
      return this.#waiting.length > 0;
    }
    return this.#write(head, taken);
  }

  /** The waiting appends that fit into the head, in order. */
  #take(head: Segment): Waiting[] {
    let bytes = 0;
    let count = 0;
    for (const waiting of this.#waiting) {
      if (bytes + waiting.bytes > roomIn(head) || bytes > BATCH_BYTES_MAX) break;
      bytes += waiting.bytes;
      count++;
    }
    return this.#waiting.splice(0, count);
  }

  async #write(head: Segment, taken: readonly Waiting[]): Promise<boolean> {
    const batch = head.batch + 1;
    const pieces: Buffer[] = [];
    const places: number[] = [];
    let at = head.position;
    for (const waiting of taken) {
      places.push(at);
      encodeRecord(waiting.draft, head, batch, pieces);
      at += waiting.bytes;
      // From now on, so that the segment is not freed under a message that is being written.
      if (waiting.cost > 0) this.#count(head, 1, waiting.cost);
    }
    const start = head.position;
    head.batch = batch;
    head.position = at;
    let done = await head.file.write(pieces, start);
    if (done.ok) done = await head.file.sync("a batch of records before they are believed");
    if (!done.ok) {
      this.#suspect(head, done.error, taken);
      return true;
    }
    this.#written += at - start;
    this.#syncs++;
    this.#healed();
    for (const [i, waiting] of taken.entries()) {
      const length = waiting.draft.payloadBytes;
      if (waiting.cost > 0) this.#catalogue.accepted(idOf(waiting.draft.pieces[0] ?? NOTHING) ?? "");
      waiting.resolve(ok({ epoch: head.epoch, offset: (places[i] ?? 0) + RECORD_HEAD_BYTES, length }));
    }
    return true;
  }

  /** The batch may or may not be on flash. Messages are refused; marks go to the next segment. */
  #suspect(head: Segment, error: DiskError, taken: readonly Waiting[]): void {
    head.suspect = true;
    this.#trouble = error;
    this.#brokenUntil = this.#deps.clock.monotonicMs() + DISK_RETRY_MS;
    this.#deps.onTrouble(`${error.operation}: ${error.code}; segment ${head.name} is not used any more`);
    const again: Waiting[] = [];
    for (const waiting of taken) {
      if (waiting.cost > 0) this.#count(head, -1, -waiting.cost);
      if (waiting.kind === "accept") waiting.resolve(err(error));
      else again.push(waiting);
    }
    this.#waiting.unshift(...again);
    this.#probe();
    this.#deps.onTurn();
  }

  #refuseAccepts(error: DiskError): void {
    const refused = this.#waiting.filter((w) => w.kind === "accept");
    this.#waiting = this.#waiting.filter((w) => w.kind !== "accept");
    for (const waiting of refused) waiting.resolve(err(error));
  }

  /** A mark that waits for the disk: its success tells that the disk works again. */
  #probe(): void {
    if (this.#waiting.some((w) => w.kind !== "accept")) return;
    const probe = this.#deps.opening();
    const bytes = recordBytes(probe.payloadBytes);
    this.#waiting.push({ draft: probe, bytes, kind: "mark", cost: 0, resolve: () => undefined });
  }

  #healed(): void {
    if (this.#trouble === null) return;
    this.#trouble = null;
    this.#deps.onTrouble("the disk of the queue works again");
  }

  /**
   * Makes a free segment the head. Its head is synced before any record is written over what the segment held: until then
   * the marks of its earlier life are intact, and from then on recovery knows the new tail.
   */
  async #activate(mayUseReserve: boolean): Promise<Result<true, DiskError>> {
    if (this.#broken()) return err(this.#trouble ?? FULL);
    if (this.tight) await this.#supply.grow(this.#reserved + 1);
    const usable = this.#supply.count - (mayUseReserve ? 0 : this.#reserved);
    const lastEpoch = Math.max(this.#lastEpoch, this.#line.at(-1)?.epoch ?? 0, this.#supply.lastEpoch);
    const slot = usable > 0 ? this.#supply.take() : undefined;
    if (slot === undefined) return err(this.#trouble ?? FULL);
    const epoch = lastEpoch + 1;
    const tail = this.#line[0]?.epoch ?? epoch;
    const salt = this.#deps.entropy.bytes(SALT_BYTES);
    const opening = this.#deps.opening();
    const previous = this.#line.at(-1)?.epoch;
    const content = { epoch, tail, salt, bytes: slot.bytes, ...(previous === undefined ? {} : { previous }) };
    let done = await slot.file.write([encodeSegmentHead(content)], 0);
    if (done.ok) done = await slot.file.write([encodeSegmentEnd(content)], slot.bytes - SEGMENT_END_BYTES);
    if (done.ok) done = await slot.file.sync("the head of a segment before its old records are overwritten");
    if (!done.ok) {
      this.#trouble = done.error;
      this.#brokenUntil = this.#deps.clock.monotonicMs() + DISK_RETRY_MS;
      this.#deps.onTrouble(`${done.error.operation}: ${done.error.code}`);
      // It may show either head now; as the youngest free one it is tried again last, with a higher epoch.
      this.#supply.add({ name: slot.name, file: slot.file, bytes: slot.bytes, epoch });
      this.#probe();
      return err(done.error);
    }
    const segment: Segment = {
      name: slot.name,
      file: slot.file,
      bytes: slot.bytes,
      epoch,
      salt,
      position: SEGMENT_HEAD_BYTES,
      batch: 0,
      liveMessages: 0,
      liveBytes: 0,
      suspect: false,
    };
    this.#line.push(segment);
    this.#list(tail);
    this.#syncs++;
    this.#freeTail();
    this.#supply.shrink(tail);
    // The opening record rides with the first batch: nothing in it is needed while the earlier segment is still read.
    const bytes = recordBytes(opening.payloadBytes);
    this.#waiting.unshift({ draft: opening, bytes, kind: "mark", cost: 0, resolve: () => undefined });
    if (this.tight) this.#supply.growInBackground(this.#reserved + 2);
    this.#deps.onTurn();
    return ok(true);
  }

  /** What the line is now, for the case that flash loses some of it. */
  #list(tail: number): void {
    const ids = this.#deps.liveIds();
    const segments = this.#line.map(({ epoch, name, salt }) => ({
      epoch,
      name,
      salt,
      ids: ids.get(epoch) ?? [],
    }));
    this.#catalogue.begin({ tail, segments });
  }

  #freeTail(): void {
    for (;;) {
      const tail = this.#line[0];
      if (tail === undefined || this.#line.length < 2 || tail.liveMessages > 0) return;
      this.#line.shift();
      this.#supply.add({ name: tail.name, file: tail.file, bytes: tail.bytes, epoch: tail.epoch });
      this.relieve(2 * SEGMENTS_IDLE_MAX);
    }
  }

  /** Gives space back when more than `most` segments are free: the next head moves the durable tail past them. */
  relieve(most = SEGMENTS_IDLE_MAX): void {
    if (this.#supply.idle <= most) return;
    this.#rotate = true;
    this.#soon(MARK_DELAY_MS);
  }
}
