// The spool as the rest of the program sees it: intake for what receives mail, administration for who looks after it.
// makeSpool() recovers the queue; start() begins to deliver. daemon/ gives it its mailers and its router.

import { err, ok, type Result } from "../base/result.ts";
import type { Envelope } from "../mail/envelope.ts";
import type { Outcome } from "../mail/outcome.ts";
import type { Reply } from "../mail/reply.ts";
import type { Clock } from "../sys/clock.ts";
import type { Disk, DiskError } from "../sys/disk.ts";
import type { Entropy } from "../sys/entropy.ts";
import type { Log } from "../sys/log.ts";
import { Dispatcher } from "./dispatch.ts";
import { type DraftHost, MemoryBudget, ReceivedDraft } from "./draft.ts";
import type { Delivery, Entry } from "./entry.ts";
import { priorityFrom, priorityOf } from "./entry.ts";
import type { Draft, Intake, Verdict } from "./intake.ts";
import { Interactive, type Offer } from "./interactive.ts";
import type { Mailer } from "./mailer.ts";
import { type NoticeNames, Notices } from "./notices.ts";
import { copied, inMemory } from "./original.ts";
import type { DamagedItem } from "./quarantine.ts";
import { refusalFor } from "./room.ts";
import type { Router } from "./router.ts";
import { type Salvaged, salvage } from "./salvage.ts";
import { type RunReport, Schedule } from "./schedule.ts";
import { recipientsOf, type Selector, selects } from "./selector.ts";
import type { Settings } from "./settings.ts";
import { Store } from "./store.ts";
import { fromLine } from "./wording.ts";

export interface SpoolDeps {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
  /** The queue folder (QueueDirectory). */
  readonly folder: string;
  readonly settings: Settings;
  readonly router: Router;
  readonly mailers: ReadonlyMap<string, Mailer>;
  readonly names: NoticeNames;
  /** A wall time (milliseconds) that has certainly passed, e.g. when the program was built. */
  readonly clockFloorMs: number;
  /** Mailers with the flag e when HoldExpensive is set. */
  readonly expensive?: ReadonlySet<string>;
  /**
   * True when the machine has too much to do to try a message of this priority now (QueueLA); `daemon`: the listener that it has
   * just come through, "" at queue runs.
   */
  readonly tooLoaded?: (priority: number, daemon: string) => boolean;
  /** Bytes of new segments; undefined: by the size of the file system. */
  readonly segmentBytes?: number;
  /** Whoever started the program saw it end by itself, so that the mail that it was at may be the reason. */
  readonly crashed?: boolean;
  /** Told of each delivery's end in an attempt, for statistics, host status and history. */
  readonly onOutcome?: (event: OutcomeEvent) => void;
}

export interface OutcomeEvent {
  readonly id: string;
  readonly sender: string;
  readonly sizeBytes: number;
  readonly delivery: Delivery;
  readonly outcome: Outcome;
}

/** One queued message, as listings show it. */
export interface QueueEntry {
  readonly id: string;
  readonly sender: string;
  /** Body bytes. */
  readonly sizeBytes: number;
  readonly arrivedMs: number;
  readonly priority: number;
  /** What still has to be delivered, with the last words about each. */
  readonly recipients: readonly { readonly address: string; readonly text: string }[];
  /** Message-level status. */
  readonly text: string;
  /** Quarantine reason, "" when it is not held. */
  readonly hold: string;
  readonly running: boolean;
  /** Too loaded a machine for the next run (QueueLA). */
  readonly tooLoaded: boolean;
  /** Tried too recently for the next run. */
  readonly resting: boolean;
  readonly tries: number;
}

export interface SpoolFigures {
  readonly messages: number;
  readonly held: number;
  readonly running: number;
  readonly waiting: number;
  readonly bodiesInMemoryBytes: number;
  readonly log: {
    readonly written: number;
    readonly syncs: number;
    readonly segments: number;
    readonly free: number;
    readonly bytes: number;
  };
  readonly damaged: number;
  readonly suspended: readonly string[];
  /** What is wrong with the disk, "" when nothing is. */
  readonly trouble: string;
}

const NONE: ReadonlySet<string> = new Set();

export class Spool implements Intake {
  #deps: SpoolDeps;
  readonly #store: Store;
  readonly #dispatcher: Dispatcher;
  readonly #schedule: Schedule;
  readonly #interactive: Interactive;
  readonly #host: DraftHost;
  readonly #notices: Notices;
  readonly #committing = new Set<Promise<unknown>>();
  #started = false;
  #closed = false;

  constructor(deps: SpoolDeps, store: Store) {
    this.#deps = deps;
    this.#store = store;
    const { clock, log, router } = deps;
    const now = (): SpoolDeps => this.#deps;
    this.#dispatcher = new Dispatcher(clock, deps.mailers);
    const notices = new Notices({
      store,
      get settings() {
        return now().settings;
      },
      get names() {
        return now().names;
      },
      clock,
      log,
      onAccepted: (entry) => this.#fresh(entry),
    });
    this.#notices = notices;
    store.alarms.tell(clock, (subject, lines) => notices.announce(subject, lines));
    this.#schedule = new Schedule({
      store,
      dispatcher: this.#dispatcher,
      router,
      get settings() {
        return now().settings;
      },
      notices,
      clock,
      log,
      get expensive() {
        return now().expensive ?? NONE;
      },
      tooLoaded: (entry) => this.#tooLoaded(priorityOf(entry, now().settings.factors)),
      onOutcome: (entry, delivery, outcome) =>
        deps.onOutcome?.({
          id: entry.id,
          sender: entry.sender,
          sizeBytes: entry.place.bodyBytes,
          delivery,
          outcome,
        }),
    });
    this.#interactive = new Interactive({
      store,
      disk: deps.disk,
      dispatcher: this.#dispatcher,
      router,
      schedule: this.#schedule,
      clock,
      get deadlineMs() {
        return now().settings.deadlineMs;
      },
      get durableFirst() {
        return now().settings.durableFirst;
      },
      onNote: (line) => log.line(5, line),
    });
    this.#host = {
      budget: new MemoryBudget(),
      get interactive() {
        const { mode, durableFirst } = now().settings;
        return mode === "interactive" && !durableFirst;
      },
      openBody: async () => {
        const opened = await store.openBody(now().settings.mode !== "interactive");
        return opened.ok ? { file: opened.value } : { error: opened.error };
      },
      dropBody: (file) => store.dropBody(file),
      commit: (draft, envelope, header, lineMax) =>
        this.#track(this.#commit(draft, envelope, header, lineMax)),
    };
  }

  #track<T>(work: Promise<T>): Promise<T> {
    this.#committing.add(work);
    void work.finally(() => this.#committing.delete(work));
    return work;
  }

  /** Takes over a new configuration; messages that are being tried end under the old one. */
  reconfigure(change: Pick<SpoolDeps, "settings" | "names" | "expensive">): void {
    this.#deps = { ...this.#deps, ...change };
  }

  /**
   * Begins to deliver: what recovery found is tried in a first queue run, then every `intervalMs` (0: no queue runs). Without `firstRun`
   * (a command that came for something else) only what comes in or is asked for is tried.
   */
  start(intervalMs: number, firstRun = true): void {
    this.#started = true;
    void this.#store.forgetCrash();
    this.#store.alarms.start();
    this.#schedule.every(intervalMs);
    if (!firstRun) return;
    const { mode } = this.#deps.settings;
    if (intervalMs > 0 || mode === "background" || mode === "interactive") void this.#schedule.run([]);
  }

  admit(sizeBytes: number): Reply | null {
    const refusal = this.#store.admit(sizeBytes);
    // Interactive relaying needs no flash.
    return refusal !== null && this.#host.interactive && this.#store.trouble !== null ? null : refusal;
  }

  newId(): string {
    return this.#store.newId();
  }

  open(id = this.newId()): Draft {
    return new ReceivedDraft(id, this.#host);
  }

  #fresh(entry: Entry, daemon = ""): void {
    const { mode, factors } = this.#deps.settings;
    const soon = mode === "background" || mode === "interactive";
    if (entry.hold === "" && this.#started && soon && !this.#tooLoaded(priorityOf(entry, factors), daemon))
      this.#schedule.fresh(entry);
    else this.#store.forget(entry);
  }

  #tooLoaded(priority: number, daemon = ""): boolean {
    return this.#deps.tooLoaded?.(priority, daemon) === true;
  }

  async #commit(draft: ReceivedDraft, envelope: Envelope, header: Buffer, lineMax: number): Promise<Verdict> {
    const { log } = this.#deps;
    const { id } = draft;
    const error = draft.error;
    const body = await draft.source();
    if (error !== null || envelope.discard === true) {
      if (body.kind === "file") await this.#store.dropBody(body.file);
      if (error !== null) return { kind: "refused", reply: refusalFor(error) };
      log.line(5, fromLine(id, envelope, header, draft.bytes));
      log.line(5, `${id}: discarded`);
      return { kind: "accepted", id, how: "discarded" };
    }
    log.line(5, fromLine(id, envelope, header, draft.bytes));
    const offer = { id, envelope, header, body, form: { eightBit: draft.eightBit, lineMax } };
    const { mode, factors } = this.#deps.settings;
    if (mode === "interactive" && envelope.quarantine === undefined && this.#started) {
      const facts = { recipients: envelope.recipients.length, precedence: envelope.precedence, tries: 0 };
      const priority = priorityFrom(header.length + draft.bytes, facts, factors);
      if (!this.#tooLoaded(priority, envelope.origin.daemon)) return this.#interactive.offer(offer);
    }
    const accepted = await this.#store.accept(offer);
    if (!accepted.ok) {
      const { code, operation } = accepted.error;
      log.line(1, `${id}: cannot be stored: ${operation}: ${code}`);
      return { kind: "refused", reply: refusalFor(accepted.error) };
    }
    this.#fresh(accepted.value, envelope.origin.daemon);
    return { kind: "accepted", id, how: "spooled" };
  }

  /** The queue, in the order of its next run; quarantined messages only when a selector asks for a reason. */
  list(selectors: readonly Selector[] = []): QueueEntry[] {
    const rows = [...this.#store.entries.values()]
      .filter((e) => selects(selectors, e))
      .map((e) => this.#row(e));
    return rows.sort((a, b) => a.priority - b.priority);
  }

  #row(entry: Entry): QueueEntry {
    const waiting = entry.deliveries?.filter((d) => d.state === "waiting");
    const priority = priorityOf(entry, this.#deps.settings.factors);
    return {
      id: entry.id,
      sender: entry.sender,
      sizeBytes: entry.place.bodyBytes,
      arrivedMs: entry.arrivedWallMs,
      priority,
      recipients:
        waiting?.map((d) => ({ address: d.address, text: d.text })) ??
        recipientsOf(entry).map((address) => ({ address, text: "" })),
      text: entry.text,
      hold: entry.hold,
      running: entry.running,
      tooLoaded: this.#tooLoaded(priority),
      resting: !this.#schedule.isRested(entry),
      tries: entry.tries,
    };
  }

  /** One message with its header and envelope; null when there is none with this id or it cannot be read. */
  async show(
    id: string,
  ): Promise<{ readonly entry: QueueEntry; readonly envelope: Envelope; readonly header: Buffer } | null> {
    const entry = this.#store.entries.get(id);
    if (entry === undefined) return null;
    const content = await this.#store.load(entry);
    if (content.kind !== "found") return null;
    return { entry: this.#row(entry), envelope: content.value.envelope, header: content.value.header };
  }

  /** Quarantines what the selectors mean (-Qreason); the number of messages. */
  async hold(selectors: readonly Selector[], reason: string): Promise<number> {
    return this.#change(selectors, (entry) => {
      entry.hold = reason;
      this.#deps.log.line(1, `${entry.id}: quarantine=${reason}`);
    });
  }

  /** Gives quarantined messages free (-Q with an empty reason). */
  async release(selectors: readonly Selector[]): Promise<number> {
    return this.#change(selectors, (entry) => {
      entry.hold = "";
      entry.inHand = 0;
      this.#deps.log.line(1, `${entry.id}: unquarantine`);
    });
  }

  async #change(selectors: readonly Selector[], change: (entry: Entry) => void): Promise<number> {
    const meant = [...this.#store.entries.values()].filter((e) => !e.finishing && selects(selectors, e));
    await Promise.all(
      meant.map((entry) => {
        change(entry);
        return this.#store.persist(entry, true);
      }),
    );
    return meant.length;
  }

  /** Removes messages for good, without notices; those being tried are left. The number removed. */
  async remove(selectors: readonly Selector[]): Promise<number> {
    const meant = [...this.#store.entries.values()].filter(
      (e) => !e.running && !e.finishing && selects(selectors, e),
    );
    await Promise.all(
      meant.map((entry) => {
        this.#deps.log.line(1, `${entry.id}: removed by the administrator`);
        return this.#store.finish(entry);
      }),
    );
    return meant.length;
  }

  /** A queue run now over what the selectors mean (-q, -qI, ETRN), whatever MinQueueAge says. */
  flush(selectors: readonly Selector[] = []): Promise<RunReport> {
    this.#dispatcher.retryNow();
    return this.#schedule.run(selectors, true);
  }

  /** A letter to the postmaster about the gateway itself; false when it could not be stored. */
  announce(subject: string, lines: readonly string[]): Promise<boolean> {
    return this.#notices.announce(subject, lines);
  }

  /** Resolves when nothing is being tried any more (jobs without a daemon). */
  idle(): Promise<void> {
    return this.#schedule.settled();
  }

  /** Forgets the routing of messages that have not been delivered in part, and tries them (after a change of tables). */
  async requeue(selectors: readonly Selector[]): Promise<RunReport> {
    for (const entry of this.#store.entries.values()) {
      if (entry.running || entry.finishing || !selects(selectors, entry)) continue;
      if (entry.deliveries === null || entry.deliveries.some((d) => d.state !== "waiting")) continue;
      const content = await this.#store.load(entry);
      if (content.kind !== "found" || entry.running || entry.finishing) continue;
      entry.recipients = content.value.envelope.recipients;
      entry.deliveries = null;
      entry.expansionStored = false;
      entry.changed.length = 0;
    }
    return this.#schedule.run(selectors, true);
  }

  /** "delivery" stops attempts, "listener" is kept for the one who listens; both survive a reboot. */
  async suspend(part: string): Promise<void> {
    await this.#store.setSuspended(new Set([...this.#store.suspended, part]));
  }

  async resume(part: string): Promise<void> {
    await this.#store.setSuspended(new Set([...this.#store.suspended].filter((p) => p !== part)));
    if (part === "delivery") void this.#schedule.run([], true);
  }

  get suspended(): ReadonlySet<string> {
    return this.#store.suspended;
  }

  /** Damaged records, with reasons. */
  damaged(): Promise<readonly DamagedItem[]> {
    return this.#store.quarantine.list();
  }

  /** Forgets a damaged record. */
  discardDamaged(name: string): Promise<boolean> {
    return this.#store.dismiss(name);
  }

  /**
   * Puts the message in a damaged record back into the queue, as far as it can be read, under a new id; the record is then
   * forgotten. An error says why not. Without `hold` it is tried at once.
   */
  async reinject(name: string, hold: string): Promise<Result<string>> {
    const item = await this.#store.quarantine.read(name);
    if (item === null) return err(`${name}: no such damaged record`);
    const saved = salvage(item.bytes);
    if (saved === null) return err(`${name}: no whole message can be read from it (${item.reason})`);
    const content = await this.#contentOf(saved);
    if (content === null) return err(`${name}: no whole message can be read from it (${item.reason})`);
    const { envelope, header, body, form } = content;
    const { quarantine: _old, ...free } = envelope;
    const accepted = await this.#store.accept({
      id: this.#store.newId(),
      envelope: hold === "" ? free : { ...free, quarantine: hold },
      header,
      body,
      form,
    });
    if (!accepted.ok) return err(`${accepted.error.operation}: ${accepted.error.code}`);
    this.#deps.log.line(1, `${accepted.value.id}: from damaged record ${name}: ${item.reason}`);
    await this.#store.dismiss(name);
    this.#fresh(accepted.value);
    return ok(accepted.value.id);
  }

  /** What can be had of a damaged message; a large body is copied into a file of its own. */
  async #contentOf(saved: Salvaged): Promise<Omit<Offer, "id"> | null> {
    if (saved.kind === "whole") return { ...saved, body: inMemory([saved.body]) };
    const content = await this.#store.salvageFile(saved.place);
    if (content.kind !== "found") return null;
    const { envelope, header, body } = content.value;
    const copy = await copied(this.#store, body);
    return copy === null
      ? null
      : { envelope, header, body: copy, form: { eightBit: body.eightBit, lineMax: 0 } };
  }

  figures(): SpoolFigures {
    const entries = [...this.#store.entries.values()];
    const { trouble } = this.#store;
    return {
      messages: entries.length,
      held: entries.filter((e) => e.hold !== "").length,
      running: this.#dispatcher.running,
      waiting: this.#dispatcher.waiting,
      bodiesInMemoryBytes: this.#host.budget.used,
      log: this.#store.figures,
      damaged: this.#store.quarantine.count,
      suspended: [...this.#store.suspended],
      trouble: trouble === null ? "" : `${trouble.operation}: ${trouble.code}`,
    };
  }

  /** Resolves when everything known is durable; false when the disk does not take it now. */
  settled(): Promise<boolean> {
    return this.#store.settle();
  }

  /** Attempts get `graceMs` to end; then everything known is written and the end is marked as clean. */
  async close(graceMs: number): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#store.alarms.stop();
    await this.#schedule.stop(graceMs);
    await Promise.allSettled(this.#committing);
    await this.#interactive.stop();
    await this.#schedule.stop(0);
    await this.#store.close();
  }
}

/** A spool without a queue folder: interactive mail goes through when the next hop takes it at once, all else is refused. */
export function makeRelay(deps: SpoolDeps, trouble: DiskError): Spool {
  const { disk, clock, entropy, log, folder, clockFloorMs } = deps;
  const around = { disk, clock, entropy, log, folder, clockFloorMs, minFreeBlocks: 0 };
  return new Spool(deps, Store.without(around, trouble));
}

/** Opens the queue folder and recovers what is in it; nothing is delivered before start(). */
export async function makeSpool(deps: SpoolDeps): Promise<Result<Spool, DiskError>> {
  const store = await Store.open({
    disk: deps.disk,
    clock: deps.clock,
    entropy: deps.entropy,
    log: deps.log,
    folder: deps.folder,
    minFreeBlocks: deps.settings.minFreeBlocks,
    clockFloorMs: deps.clockFloorMs,
    ...(deps.segmentBytes === undefined ? {} : { segmentBytes: deps.segmentBytes }),
    crashed: deps.crashed === true,
  });
  if (!store.ok) return err(store.error);
  await store.value.room.learn();
  return ok(new Spool(deps, store.value));
}
