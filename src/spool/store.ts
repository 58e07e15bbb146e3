// The queue on flash: accept, state, finish, move, recover. What accept() has resolved survives the power plug; what finish() was
// told is not delivered again once its mark is synced. Everything else in spool/ is about when to try what.

import { assert } from "../base/assert.ts";
import {
  FRESH_BYTES_MAX,
  SEGMENT_BYTES_MIN,
  SPARE_FILES_BYTES_MAX,
  STARTS_IN_HAND_MAX,
} from "../base/limits.ts";
import { ABSENT, found, type Lookup, ok, type Result } from "../base/result.ts";
import type { Reply } from "../mail/reply.ts";
import { crc32 } from "../sys/checksum.ts";
import type { Clock } from "../sys/clock.ts";
import type { Disk, DiskError } from "../sys/disk.ts";
import type { Entropy } from "../sys/entropy.ts";
import type { Log } from "../sys/log.ts";
import { type Accepting, costOf, newEntry } from "./accepting.ts";
import { SpoolTime } from "./age.ts";
import { Alarms } from "./alarms.ts";
import { type BodyFile, MemoryBody } from "./body.ts";
import {
  ACCEPT_FIXED_BYTES,
  decodeEnvelope,
  encodeAccept,
  encodeEnvelope,
  encodeGlobal,
  encodeOutcome,
} from "./codec.ts";
import { finishDraft, progressDrafts } from "./drafts.ts";
import type { Content, Entry, ProgramHold } from "./entry.ts";
import { describe, Fold } from "./fold.ts";
import { idMaker } from "./identity.ts";
import { SegmentLog } from "./log.ts";
import { lossesOf } from "./losses.ts";
import { MessageFiles } from "./messagefile.ts";
import { Mover } from "./mover.ts";
import { noDisk } from "./nodisk.ts";
import { keptSlot, openQuarantine, Quarantine } from "./quarantine.ts";
import { type Draft, draftOf, RECORD } from "./record.ts";
import { type Damage, type LostSegment, recoverLog } from "./recovery.ts";
import { NO_SPACE, Room, refusalFor } from "./room.ts";
import type { FilePlace } from "./salvage.ts";
import { segmentBytesFor } from "./segment.ts";

export interface StoreDeps {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
  /** The queue folder. */
  readonly folder: string;
  /** MinFreeBlocks: blocks that must be free for mail to be taken. */
  readonly minFreeBlocks: number;
  /** A wall time (milliseconds) that has certainly passed, e.g. when the program was built. */
  readonly clockFloorMs: number;
  /** Bytes of new segments; undefined: by the size of the file system. */
  readonly segmentBytes?: number;
  /** Whoever started the program has seen it end by itself; what the program has seen is in the queue folder (CRASH_MARK). */
  readonly crashed?: boolean;
}

/** A file in the queue folder: the program has ended by itself, because of a bug. */
export const CRASH_MARK = "crashed";

export class Store {
  readonly entries: Map<string, Entry>;
  readonly time: SpoolTime;
  readonly quarantine: Quarantine;
  readonly newId: () => string;
  /** What somebody must look at; said in the log already. */
  readonly alarms = new Alarms();
  /** The program ended by itself: marks are made before recovered messages are tried (suspects.ts). */
  readonly crashed: boolean;
  readonly room: Room;
  readonly #files: MessageFiles;
  readonly #deps: StoreDeps;
  readonly #boot: number;
  /** Files that only damaged records point to. */
  readonly #kept = new Set<number>();
  #log: SegmentLog;
  #suspended: ReadonlySet<string>;
  #closing = false;
  #freshBytes = 0;
  readonly #mover: Mover;

  private constructor(
    deps: StoreDeps,
    fold: Fold,
    quarantine: Quarantine,
    spareBytesMax: number,
    crashed: boolean,
    log: (store: Store) => SegmentLog,
  ) {
    this.#deps = deps;
    this.room = new Room(deps.disk, deps.clock, deps.folder, deps.minFreeBlocks);
    this.#files = new MessageFiles(deps.disk, `${deps.folder}/body`, spareBytesMax);
    this.entries = fold.entries;
    this.quarantine = quarantine;
    this.#boot = fold.boots + 1;
    this.crashed = crashed && fold.global?.clean !== true;
    this.#suspended = new Set(fold.global?.suspended ?? []);
    this.time = new SpoolTime(deps.clock, deps.clockFloorMs, fold.newest);
    this.newId = idMaker(this.#boot, deps.entropy);
    this.#log = log(this);
    this.#mover = new Mover(this.entries, this.#log, deps.log);
  }

  /** Opens the queue folder, making it when it is new, and recovers what is in it. */
  static async open(deps: StoreDeps): Promise<Result<Store, DiskError>> {
    const { disk, folder } = deps;
    for (const name of ["log", "body", "quarantine"]) {
      const made = await disk.makeFolder(`${folder}/${name}`);
      if (!made.ok) return made;
    }
    const named = await disk.syncFolder(folder, "the folders of a new queue");
    if (!named.ok) return named;
    const space = await disk.space(folder);
    if (!space.ok) return space;
    const quarantine = await openQuarantine(disk, `${folder}/quarantine`);
    if (!quarantine.ok) return quarantine;
    const damages: Damage[] = [];
    const fold = new Fold((damage) => damages.push(damage));
    const segmentBytes = deps.segmentBytes ?? segmentBytesFor(space.value.totalBytes);
    const lost: LostSegment[] = [];
    const recovered = await recoverLog(disk, `${folder}/log`, segmentBytes, {
      onRecord: (record) => fold.apply(record),
      onDamage: (damage) => damages.push(damage),
      onLost: (segment) => lost.push(segment),
    });
    if (!recovered.ok) return recovered;
    await quarantine.value.forgetBelow(recovered.value.line[0]?.epoch ?? 0);
    const spareBytesMax = Math.min(SPARE_FILES_BYTES_MAX, space.value.totalBytes / 16);
    const mark = await disk.open(`${folder}/${CRASH_MARK}`, "read");
    if (mark.ok) await mark.value.close();
    const crashed = mark.ok || deps.crashed === true;
    const store = new Store(deps, fold, quarantine.value, spareBytesMax, crashed, (self) => {
      return new SegmentLog(
        {
          disk,
          clock: deps.clock,
          entropy: deps.entropy,
          folder: `${folder}/log`,
          segmentBytes,
          keepFreeBytes: Math.min(
            deps.minFreeBlocks * space.value.blockBytes + segmentBytes,
            space.value.totalBytes / 4,
          ),
          opening: () => self.#global(),
          onTurn: () => self.#mover.soon(),
          liveIds: () => self.#liveIds(),
          onTrouble: (text) => deps.log.line(1, `queue: ${text}`),
        },
        recovered.value,
      );
    });
    const started = await store.#start(lossesOf(lost, fold, damages, deps.log), fold.stated);
    if (started.ok) return ok(store);
    await store.#log.close();
    return started;
  }

  /** A store of nothing that takes nothing, because the queue folder cannot be used: nothing in it is read or touched. */
  static without(deps: StoreDeps, trouble: DiskError): Store {
    const disk = noDisk(trouble);
    const around = { ...deps, disk };
    return new Store(
      around,
      new Fold(() => undefined),
      new Quarantine(disk, deps.folder),
      0,
      false,
      (self) => {
        const { clock, entropy, folder } = deps;
        const quiet = {
          onTurn: () => undefined,
          liveIds: () => new Map(),
          onTrouble: () => undefined,
          opening: () => self.#global(),
        };
        const sizes = { segmentBytes: SEGMENT_BYTES_MIN, keepFreeBytes: 0 };
        const nothing = { line: [], free: [], nextName: 1, lastEpoch: 0 };
        return new SegmentLog({ disk, clock, entropy, folder, ...sizes, ...quiet, trouble }, nothing);
      },
    );
  }

  async #start(damages: readonly Damage[], stated: ReadonlySet<string>): Promise<Result<true, DiskError>> {
    for (const entry of this.entries.values()) this.#log.hold(entry.place.location, costOf(entry));
    const files = await this.#claimFiles(stated, damages);
    if (!files.ok) return files;
    for (const damage of damages) await this.#damaged(damage);
    const started = await this.#log.start();
    if (!started.ok) return started;
    // The boot number must be on flash before an id of this boot can be.
    const marked = await this.#log.append(this.#global(), "accept");
    if (!marked.ok) return marked;
    // The marks of messages that are held since a moment ago could not be written before.
    for (const entry of this.entries.values())
      if (entry.hold.startsWith("damaged: ")) void this.persist(entry, true);
    for (const entry of this.entries.values()) this.#judge(entry);
    return ok(true);
  }

  /** What a message has to do with the end of the program, as far as its marks tell. */
  #judge(entry: Entry): void {
    if (entry.inHand === 0 || entry.hold !== "") return;
    if (!this.crashed) {
      // A power cut or a kill: none of those in hand had anything to do with it.
      entry.inHand = 0;
      void this.persist(entry, false);
    } else if (entry.inHand >= STARTS_IN_HAND_MAX) {
      this.hold(entry, `the program ended ${entry.inHand} times while trying this message`);
      void this.persist(entry, true);
    }
  }

  /** The program itself does not deliver this message: somebody has to look at it, and is told. */
  hold(entry: Entry, reason: ProgramHold): void {
    // Said at an earlier start.
    if (entry.hold === reason) return;
    entry.hold = reason;
    this.#deps.log.line(1, `${entry.id}: quarantine=${reason}`);
    this.alarms.add(`${entry.id} from <${entry.sender}> is held: ${reason}`);
  }

  /** Deliveries begin: what the last end of the program tells is known now. */
  async forgetCrash(): Promise<void> {
    const { disk, folder, log } = this.#deps;
    const gone = await disk.unlink(`${folder}/${CRASH_MARK}`);
    if (!gone.ok && gone.error.code === "ENOENT") return;
    // A power cut must not bring it back: that would be an end of the program that never was.
    const done = gone.ok ? await disk.syncFolder(folder, "that the note of the program's end is gone") : gone;
    if (!done.ok) log.line(3, `queue: cannot remove ${CRASH_MARK}: ${done.error.code}`);
  }

  /** Large messages: files of no message go, those that are missing or damaged are told of. */
  async #claimFiles(
    stated: ReadonlySet<string>,
    damages: readonly Damage[],
  ): Promise<Result<true, DiskError>> {
    const owned = new Set<number>();
    for (const { place } of this.entries.values()) if (place.inFile) owned.add(place.slot);
    const fresh = damages.filter((d) => !this.quarantine.isDone(d.name)).map(keptSlot);
    for (const slot of [...this.quarantine.slots, ...fresh])
      if (slot > 0 && !owned.has(slot)) this.#kept.add(slot);
    const claimed = await this.#files.claim(new Set([...owned, ...this.#kept]));
    if (!claimed.ok) return claimed;
    for (const entry of [...this.entries.values()]) {
      if (!entry.place.inFile) continue;
      const rest = await this.#files.rest(entry);
      if (rest.kind === "found") {
        this.entries.set(entry.id, describe(entry, rest.value.envelope, stated.has(entry.id)));
      } else {
        const reason = rest.kind === "absent" ? "its file is missing or damaged" : rest.reason;
        this.hold(entry, `damaged: ${reason}`);
      }
    }
    return ok(true);
  }

  async #damaged(damage: Damage): Promise<void> {
    const reason = damage.last
      ? `${damage.reason} (the end of the log: cut off while it was written, or damaged since)`
      : damage.reason;
    const kept = await this.quarantine.keep({ ...damage, reason });
    if (kept.ok && kept.value === "known") return;
    const what = kept.ok ? kept.value : `not kept: ${kept.error.code}`;
    this.#deps.log.line(1, `queue: damaged record ${damage.name}: ${reason} (${what})`);
    // What a power failure cut off was promised to nobody.
    if (!damage.last) this.alarms.add(`damaged record ${damage.name}: ${reason} (${what})`);
  }

  #liveIds(): ReadonlyMap<number, readonly string[]> {
    const ids = new Map<number, string[]>();
    for (const { id, place } of this.entries.values()) {
      const list = ids.get(place.location.epoch);
      if (list === undefined) ids.set(place.location.epoch, [id]);
      else list.push(id);
    }
    return ids;
  }

  /** The large message that a damaged record points to; absent when its file is not there, or another message has it. */
  salvageFile(place: FilePlace): Promise<Lookup<Content>> {
    return this.#kept.has(place.slot) ? this.#files.salvage(place) : Promise.resolve(ABSENT);
  }

  /** Somebody has dealt with a damaged record: its bytes go, and the file that only it pointed to. */
  async dismiss(name: string): Promise<boolean> {
    const slot = this.quarantine.slotOf(name);
    if (!(await this.quarantine.remove(name))) return false;
    if (this.#kept.delete(slot)) this.#told(await this.#files.remove(slot));
    return true;
  }

  get suspended(): ReadonlySet<string> {
    return this.#suspended;
  }

  get figures(): ReturnType<() => SegmentLog["figures"]> {
    return this.#log.figures;
  }

  get trouble(): DiskError | null {
    return this.#log.trouble;
  }

  /** Survives a reboot. */
  async setSuspended(parts: ReadonlySet<string>): Promise<void> {
    this.#suspended = parts;
    await this.#log.append(this.#global(), "urgent");
  }

  #global(): Draft {
    const moment = this.time.moment();
    const state = { boot: this.#boot, ...moment, clean: this.#closing, suspended: [...this.#suspended] };
    return draftOf(RECORD.global, [encodeGlobal(state)]);
  }

  /** null when a message of `sizeBytes` (0: unknown) can be taken now, else the refusal. */
  admit(sizeBytes: number): Reply | null {
    const trouble = this.#log.trouble;
    if (trouble !== null) return refusalFor(trouble);
    if (!this.room.has(sizeBytes)) {
      void this.#files.trim();
      this.#log.relieve();
      return NO_SPACE;
    }
    return this.#log.roomFor(Math.min(sizeBytes, this.#log.payloadBytesMax)) ? null : NO_SPACE;
  }

  /** A file for a body that is too large for the log. `lasting`: it will probably be synced. */
  openBody(lasting: boolean): Promise<Result<BodyFile, DiskError>> {
    return this.#files.open(lasting);
  }

  /** The body's message is not taken into the queue. */
  async dropBody(file: BodyFile): Promise<void> {
    await file.close();
    this.#told(await this.#files.release(file.slot, file.allocated, file.named));
  }

  #told(code: string | null): void {
    if (code !== null) this.#deps.log.line(3, `queue: cannot remove a file: ${code}; the next start does`);
  }

  /** Resolves when the message is durable. A refused message leaves nothing behind. */
  async accept(message: Accepting): Promise<Result<Entry, DiskError>> {
    const envelopeBytes = encodeEnvelope(message.envelope);
    const bodyBytes = message.body.kind === "memory" ? message.body.bytes : message.body.file.size;
    const inline = ACCEPT_FIXED_BYTES + envelopeBytes.length + message.header.length + bodyBytes;
    const inFile = message.body.kind === "file" || inline > this.#log.payloadBytesMax;
    let bodySum = 0;
    let restSum = 0;
    let slot = 0;
    if (inFile) {
      const filed = await this.#files.seal(message.body, message.header, envelopeBytes);
      if (!filed.ok) return filed;
      bodySum = filed.value.sum;
      slot = filed.value.slot;
      restSum = crc32(envelopeBytes, crc32(message.header, 0));
    }
    const moment = this.time.moment();
    const place = {
      envelopeBytes: envelopeBytes.length,
      headerBytes: message.header.length,
      bodyBytes,
      inFile,
      slot,
      bodySum,
      restSum,
      ...message.form,
    };
    const facts = {
      id: message.id,
      arrivedSpoolMs: moment.spoolMs,
      arrivedWallMs: moment.wallMs,
      trusted: moment.trusted,
      copy: false,
      place,
    };
    const pieces = [encodeAccept(facts)];
    if (!inFile && message.body.kind === "memory")
      pieces.push(envelopeBytes, message.header, ...message.body.pieces);
    const entry = newEntry(message, facts);
    const appended = this.#log.append(draftOf(RECORD.accept, pieces), "accept", costOf(entry));
    // Shares the batch; when it is lost alone, the window of duplicates is what any mark has.
    if (message.progress !== undefined)
      void this.#log.appendAll(progressDrafts(entry, this.#log.payloadBytesMax), "mark");
    const done = await appended;
    if (!done.ok) {
      // The record may be on flash all the same (a failed sync says nothing): tell recovery that it is void.
      void this.#void(entry);
      return done;
    }
    entry.place.location = done.value;
    entry.expansionStored = entry.deliveries !== null;
    this.entries.set(entry.id, entry);
    this.#keepFresh(entry, message);
    return ok(entry);
  }

  /** The mark of a refused message; what it pointed to stays until the mark is durable. */
  async #void(entry: Entry): Promise<void> {
    const done = await this.#log.append(finishDraft(entry.id), "mark");
    if (done.ok) await this.#giveBack(entry);
  }

  /** The message is durably done: its file is free. */
  async #giveBack({ place }: Entry): Promise<void> {
    if (!place.inFile) return;
    const bytes = place.bodyBytes + place.headerBytes + place.envelopeBytes;
    this.#told(await this.#files.release(place.slot, bytes, true));
  }

  #keepFresh(entry: Entry, message: Accepting): void {
    if (entry.hold !== "") return;
    const { body, envelope, header, form } = message;
    if (body.kind === "file") {
      entry.fresh = { envelope, header, body: this.#files.body(entry) };
      return;
    }
    if (this.#freshBytes + body.bytes > FRESH_BYTES_MAX) return;
    this.#freshBytes += body.bytes;
    entry.fresh = { envelope, header, body: new MemoryBody(body.pieces, form) };
  }

  /** The message's content is not needed in memory any more. */
  forget(entry: Entry): void {
    if (entry.fresh === null) return;
    if (entry.fresh.body.pieces !== null) this.#freshBytes -= entry.fresh.body.size;
    entry.fresh = null;
  }

  /** The message as it was accepted; absent when it is damaged (never deliver it), tempfail when it cannot be read now. */
  async load(entry: Entry): Promise<Lookup<Content>> {
    if (entry.fresh !== null) return found(entry.fresh);
    const { place } = entry;
    if (place.inFile) return this.#files.load(entry);
    const payload = await this.#log.readChecked(place.location);
    if (payload.kind !== "found") return payload;
    const atHeader = ACCEPT_FIXED_BYTES + place.envelopeBytes;
    const atBody = atHeader + place.headerBytes;
    const envelope = decodeEnvelope(payload.value.subarray(ACCEPT_FIXED_BYTES, atHeader));
    if (!envelope.ok) return ABSENT;
    return found({
      envelope: envelope.value,
      header: payload.value.subarray(atHeader, atBody),
      body: new MemoryBody([payload.value.subarray(atBody)], place),
    });
  }

  /**
   * Writes the state of a message as it is now; resolves when it is durable. What is only good to know (not `needed`) is left out
   * on a full disk, where the room is kept for what is done.
   */
  async persist(entry: Entry, urgent: boolean, needed = true): Promise<void> {
    if (entry.finishing || (!needed && this.#log.tight)) return;
    const kind = urgent ? "urgent" : "mark";
    let drafts: Draft[];
    if (entry.deliveries !== null && !entry.expansionStored) {
      drafts = progressDrafts(entry, this.#log.payloadBytesMax);
      entry.expansionStored = true;
    } else {
      const changed = [...new Set(entry.changed)].flatMap((index) => entry.deliveries?.[index] ?? []);
      const delta = encodeOutcome(entry.id, entry, changed);
      drafts =
        delta.length <= this.#log.payloadBytesMax
          ? [draftOf(RECORD.outcome, [delta])]
          : progressDrafts(entry, this.#log.payloadBytesMax);
    }
    entry.changed.length = 0;
    await this.#log.appendAll(drafts, kind);
  }

  /** Marks that the message is about to be tried; resolves when the mark is durable. */
  async markInHand(entry: Entry): Promise<void> {
    entry.inHand++;
    await this.#log.append(draftOf(RECORD.inHand, [Buffer.from(entry.id, "latin1")]), "urgent");
  }

  /** The message is done: out of the index at once, off the flash when its mark is durable. */
  async finish(entry: Entry): Promise<void> {
    assert(!entry.finishing, "a message is finished once");
    entry.finishing = true;
    this.forget(entry);
    this.entries.delete(entry.id);
    // A copy that is on its way must not come after the mark.
    if (entry.moving !== null) await entry.moving;
    const done = await this.#log.append(finishDraft(entry.id), "mark");
    if (!done.ok) return;
    this.#log.drop(entry.place.location, costOf(entry));
    await this.#giveBack(entry);
  }

  /** Resolves when everything told so far is durable; false when the disk does not take it now. */
  settle(): Promise<boolean> {
    return this.#log.flushed();
  }

  /** Writes what waits and that the end was clean. */
  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    // On a disk that takes nothing copies and marks wait for ever: only closing the log ends their wait.
    await Promise.race([this.#mover.stop(), this.#log.flushed()]);
    const said = this.#log.trouble === null ? this.#log.append(this.#global(), "urgent") : null;
    await this.#log.close();
    await said;
  }
}
