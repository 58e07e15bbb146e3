// When messages are tried: at once after acceptance, at queue runs, and on request. A round takes one message through expansion,
// its groups' attempts and the notices, and ends with its state on flash or with the message finished (semantics 19 and 21).

import type { Lookup } from "../base/result.ts";
import type { Outcome } from "../mail/outcome.ts";
import type { Clock } from "../sys/clock.ts";
import type { Log } from "../sys/log.ts";
import { breath } from "../sys/turn.ts";
import { Deadlines, isOverdue } from "./deadline.ts";
import type { DeadHosts, Dispatcher, Group, GroupResult } from "./dispatch.ts";
import { type Content, type Delivery, type Entry, heldByProgram, priorityOf } from "./entry.ts";
import { expandEntry, UNROUTED, unroutedDeliveries } from "./expand.ts";
import { groupsOf } from "./groups.ts";
import { lastAnswer, type Notices, type Report } from "./notices.ts";
import type { Router } from "./router.ts";
import { type Selector, selects } from "./selector.ts";
import { ageFor, type Settings } from "./settings.ts";
import type { Store } from "./store.ts";
import { Suspects } from "./suspects.ts";
import { toLines } from "./wording.ts";

export interface ScheduleDeps {
  readonly store: Store;
  readonly dispatcher: Dispatcher;
  readonly router: Router;
  readonly settings: Settings;
  readonly notices: Notices;
  readonly clock: Clock;
  readonly log: Log;
  /** Mailers that are only used in queue runs (HoldExpensive). */
  readonly expensive: ReadonlySet<string>;
  /** The machine has too much to do to try this message now. */
  readonly tooLoaded: (entry: Entry) => boolean;
  /** Told of each delivery's end, for statistics and history. */
  readonly onOutcome: (entry: Entry, delivery: Delivery, result: Outcome) => void;
}

export interface RunReport {
  /** Messages that were due. */
  readonly tried: number;
}

/** Milliseconds that attempts have to end after they were told to. */
const ABORT_GRACE_MS = 2000;
/** Rounds of one queue run that are under way at the same time. */
const ROUNDS_AT_A_TIME = 256;

export class Schedule {
  readonly #deps: ScheduleDeps;
  readonly #rounds = new Set<Promise<void>>();
  readonly #abort = new AbortController();
  readonly #suspects: Suspects;
  readonly #deadlines: Deadlines;
  #timer: (() => void) | null = null;
  #intervalRun = false;
  #stopped = false;

  constructor(deps: ScheduleDeps) {
    this.#deps = deps;
    this.#deadlines = new Deadlines(deps.clock);
    const { store, clock } = deps;
    // Only what was there when the program ended can have been the reason.
    const ids = store.crashed ? store.entries.keys() : [];
    this.#suspects = new Suspects({ clock, ids, mark: (entry) => store.markInHand(entry) });
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Queue runs every `intervalMs` (0: none). */
  every(intervalMs: number): void {
    this.#timer?.();
    this.#timer = null;
    if (intervalMs <= 0 || this.#stopped) return;
    this.#timer = this.#deps.clock.after(intervalMs, () => {
      this.#timer = null;
      this.#deps.store.time.notice();
      if (!this.#intervalRun) {
        this.#intervalRun = true;
        void this.run([]).finally(() => {
          this.#intervalRun = false;
        });
      }
      this.every(intervalMs);
    });
  }

  /** First attempt of a message that has just been accepted. */
  fresh(entry: Entry): void {
    if (this.#stopped || this.#deps.store.suspended.has("delivery")) {
      this.#deps.store.forget(entry);
      return;
    }
    this.#track(this.#round(entry, null));
  }

  /**
   * First attempt of a message whose client waits. Resolves with the outcomes when its one next hop refused all recipients
   * for good and `mayRefuse` let it be the answer (the message is gone and nobody else was told), else with none.
   */
  async first(entry: Entry, mayRefuse: () => boolean): Promise<readonly Outcome[]> {
    if (this.#stopped || this.#deps.store.suspended.has("delivery")) return [];
    let refused: readonly Outcome[] = [];
    const round = this.#round(entry, null, (reports) => {
      const hops = new Set((entry.deliveries ?? []).map((d) => `${d.mailer}\0${d.host}`));
      const all = reports.length > 0 && reports.length === entry.deliveries?.length;
      if (!all || hops.size !== 1 || !reports.every((r) => r.outcome.kind === "failed")) return false;
      if (!mayRefuse()) return false;
      refused = reports.map((r) => r.outcome);
      return true;
    });
    this.#track(round);
    await round;
    return refused;
  }

  /** Waits for a round that runs on its own. */
  #track(round: Promise<void>): void {
    this.#rounds.add(round);
    void round.finally(() => this.#rounds.delete(round));
  }

  /** One queue run over the messages that the selectors mean; those tried too recently rest unless `all`. */
  async run(selectors: readonly Selector[], all = false): Promise<RunReport> {
    const { store } = this.#deps;
    if (this.#stopped || store.suspended.has("delivery")) return { tried: 0 };
    const due = this.#sorted([...store.entries.values()].filter((e) => this.#due(e, selectors, all)));
    const dead: DeadHosts = new Map();
    let next = 0;
    const worker = async (): Promise<void> => {
      for (let entry = due[next++]; entry !== undefined && !this.#stopped; entry = due[next++]) {
        if (!entry.running && !entry.finishing && entry.hold === "") {
          const round = this.#round(entry, dead);
          this.#track(round);
          await round;
        }
      }
    };
    const workers = Math.min(ROUNDS_AT_A_TIME, due.length);
    await Promise.all(Array.from({ length: workers }, worker));
    if (selectors.length === 0) await this.#ageHeld();
    return { tried: due.length };
  }

  /** What the program itself holds is not tried, but its sender is warned, and told when its time is over. */
  async #ageHeld(): Promise<void> {
    const { store, settings } = this.#deps;
    for (const entry of [...store.entries.values()]) {
      if (entry.running || entry.finishing || !heldByProgram(entry) || this.#stopped) continue;
      const age = store.time.now() - entry.arrivedSpoolMs;
      const ages = [
        ageFor(settings.returnMs, entry.urgency),
        entry.warned ? 0 : ageFor(settings.warnMs, entry.urgency),
      ];
      if (!ages.some((limit) => limit > 0 && age >= limit)) continue;
      entry.running = true;
      if (entry.deliveries === null) {
        entry.deliveries = unroutedDeliveries(entry.recipients);
        entry.recipients = [];
      }
      for (const delivery of entry.deliveries)
        if (delivery.state === "waiting") delivery.text = `held: ${entry.hold}`;
      const round = this.conclude(
        entry,
        [],
        once(() => store.load(entry)),
      );
      this.#track(round);
      await round;
    }
  }

  #due(entry: Entry, selectors: readonly Selector[], all: boolean): boolean {
    if (entry.running || entry.finishing || entry.hold !== "") return false;
    if (selectors.length > 0 && !selects(selectors, entry)) return false;
    // An explicit run is the administrator's decision.
    return all || (this.isRested(entry) && !this.#deps.tooLoaded(entry));
  }

  /** MinQueueAge, doubled at each try up to MaxQueueAge when that is set. */
  isRested(entry: Entry): boolean {
    const { settings, store } = this.#deps;
    if (entry.tries === 0) return true;
    const rest =
      settings.maxAgeMs > 0
        ? Math.min(settings.minAgeMs * 2 ** Math.min(entry.tries - 1, 30), settings.maxAgeMs)
        : settings.minAgeMs;
    return store.time.now() - entry.lastTryMs >= rest;
  }

  #sorted(entries: Entry[]): Entry[] {
    const { settings } = this.#deps;
    const byPriority = (e: Entry): number => priorityOf(e, settings.factors);
    switch (settings.sortOrder) {
      case "none":
      case "random":
        break;
      case "filename":
        entries.sort((a, b) => (a.id < b.id ? -1 : 1));
        break;
      case "time":
        entries.sort((a, b) => a.arrivedSpoolMs - b.arrivedSpoolMs);
        break;
      case "modification":
        entries.sort((a, b) => a.lastTryMs - b.lastTryMs);
        break;
      case "host":
        entries.sort((a, b) =>
          hostOf(a) < hostOf(b) ? -1 : hostOf(a) > hostOf(b) ? 1 : byPriority(a) - byPriority(b),
        );
        break;
      default:
        entries.sort((a, b) => byPriority(a) - byPriority(b));
    }
    return settings.runSizeMax > 0 ? entries.slice(0, settings.runSizeMax) : entries;
  }

  /**
   * Takes one message through an attempt; never rejects for what peers and disks do. `refuses` may take over the end: when it
   * says true, the sender is told by whoever asked, and the message is finished.
   */
  #round(
    entry: Entry,
    dead: DeadHosts | null,
    refuses: (reports: readonly Report[]) => boolean = () => false,
  ): Promise<void> {
    entry.running = true;
    return this.#suspects.run(entry, () => this.#attempt(entry, dead, refuses));
  }

  async #attempt(
    entry: Entry,
    dead: DeadHosts | null,
    refuses: (reports: readonly Report[]) => boolean,
  ): Promise<void> {
    const { store } = this.#deps;
    if (this.#stopped) {
      entry.running = false;
      return;
    }
    const loader = once(() => this.#load(entry));
    const expanded = await expandEntry(this.#deps.router, entry);
    const known = expanded?.known ?? new Map<Delivery, Outcome>();
    if (expanded !== null) {
      entry.deliveries = expanded.deliveries;
      entry.recipients = [];
      entry.expansionStored = false;
    }
    const groups = isOverdue(entry, store.time.now()) ? [] : this.#groups(entry, known, dead, loader);
    const reports: Report[] = [];
    const priority = priorityOf(entry, this.#deps.settings.factors);
    for (const [delivery, result] of known) {
      this.#set(entry, delivery, result, reports);
      if (result.kind !== "expanded") this.#log(entry, [delivery], result, delivery, 0, priority);
      await breath();
    }
    let pending = groups.length;
    let stopped = false;
    await Promise.all(
      groups.map(async (group) => {
        const result = await this.#deps.dispatcher.submit(group);
        pending--;
        if (!result.tried) {
          stopped = true;
          return;
        }
        this.applyGroup(group, result, reports);
        // What is delivered while other groups still run must not be delivered again after a crash.
        if (pending > 0 && result.outcomes.some((o) => o.kind !== "deferred" && o.kind !== "failed"))
          void store.persist(entry, false);
      }),
    );
    if (stopped && reports.length === 0) {
      entry.running = false;
      return;
    }
    if (refuses(reports)) {
      entry.running = false;
      await this.#finish(entry);
      return;
    }
    await this.conclude(entry, reports, loader);
  }

  /** A message that is damaged on flash is held, never delivered in part. */
  async #load(entry: Entry): Promise<Lookup<Content>> {
    const content = await this.#deps.store.load(entry);
    if (content.kind === "absent") {
      this.#deps.store.hold(entry, "damaged: its content does not match its checksum");
    }
    return content;
  }

  #groups(
    entry: Entry,
    known: ReadonlyMap<Delivery, Outcome>,
    dead: DeadHosts | null,
    load: Group["load"],
  ): Group[] {
    const waiting = (entry.deliveries ?? []).filter(
      (d) => d.state === "waiting" && !known.has(d) && d.mailer !== UNROUTED,
    );
    const mine = dead === null ? waiting.filter((d) => !this.#deps.expensive.has(d.mailer)) : waiting;
    return groupsOf(entry, mine, { dead, interactive: false, signal: this.#abort.signal, load });
  }

  /** Takes over a group's outcomes and logs them. */
  applyGroup(
    group: Pick<Group, "entry" | "mailer" | "host" | "deliveries">,
    result: GroupResult,
    reports: Report[],
  ): void {
    const before = priorityOf(group.entry, this.#deps.settings.factors);
    const same = new Map<string, { outcome: Outcome; deliveries: Delivery[] }>();
    for (const [i, delivery] of group.deliveries.entries()) {
      const one = result.outcomes[i];
      if (one === undefined) continue;
      const key = `${one.status}\0${one.text}\0${one.remote}`;
      const together = same.get(key);
      if (together === undefined) same.set(key, { outcome: one, deliveries: [delivery] });
      else together.deliveries.push(delivery);
      this.#set(group.entry, delivery, one, reports);
    }
    for (const { outcome: one, deliveries } of same.values())
      this.#log(group.entry, deliveries, one, group, result.tookMs, before);
  }

  #set(entry: Entry, delivery: Delivery, result: Outcome, reports: Report[]): void {
    if (delivery.text !== result.text || result.kind !== "deferred") entry.changed.push(delivery.index);
    delivery.status = result.status;
    delivery.text = result.text;
    if (result.remote !== "") delivery.remote = result.remote;
    this.#deps.onOutcome(entry, delivery, result);
    // A failure stays "waiting" until whoever must know of it has been told durably.
    if (result.kind === "failed") reports.push({ delivery, outcome: result });
    else if (result.kind !== "deferred") {
      delivery.state = "done";
      reports.push({ delivery, outcome: result });
    }
  }

  #log(
    entry: Entry,
    deliveries: readonly Delivery[],
    result: Outcome,
    where: { readonly mailer: string; readonly host: string },
    tookMs: number,
    priority: number,
  ): void {
    const { store, log } = this.#deps;
    const lines = toLines({
      entry,
      deliveries,
      outcome: result,
      mailer: where.mailer,
      host: where.host,
      delayMs: store.time.now() - entry.arrivedSpoolMs,
      tookMs,
      priority,
    });
    for (const line of lines) log.line(result.kind === "deferred" ? 8 : 2, line);
  }

  /** The notices of a message that needs no place in the queue. */
  async tell(entry: Entry, reports: readonly Report[], load: () => Promise<Lookup<Content>>): Promise<void> {
    await this.#deps.notices.tell(entry, reports, load);
  }

  /** The end of a round: notices first, then the state on flash, or the finish. */
  async conclude(entry: Entry, reports: Report[], load: () => Promise<Lookup<Content>>): Promise<void> {
    const { store, notices, settings } = this.#deps;
    const reported = new Set(reports.map((r) => r.delivery));
    const left = (entry.deliveries ?? []).filter((d) => d.state === "waiting" && !reported.has(d));
    const marked = entry.inHand > 0;
    entry.tries++;
    entry.lastTryMs = store.time.now();
    entry.inHand = 0;
    if (left.length > 0) this.#expire(entry, left, reports);
    const told = await notices.tell(entry, reports, load);
    if (told) {
      for (const { delivery, outcome: result } of reports)
        if (result.kind === "failed" && delivery.state === "waiting") {
          delivery.state = "failed";
          entry.changed.push(delivery.index);
        }
    }
    const waiting = (entry.deliveries ?? []).filter((d) => d.state === "waiting");
    if (waiting.length === 0) {
      entry.running = false;
      await this.#finish(entry);
      return;
    }
    const text = waiting[0]?.text ?? "";
    let worth =
      marked ||
      entry.hold !== "" ||
      entry.changed.length > 0 ||
      entry.text !== text ||
      !entry.expansionStored;
    entry.text = text;
    const age = entry.lastTryMs - entry.arrivedSpoolMs;
    // A DELIVERBY time that may be missed is reported once it is (RFC 2852 section 4.1.4.2).
    const warnAge =
      entry.deliverBy?.mode === "N"
        ? Math.max(1, entry.deliverBy.seconds * 1000)
        : ageFor(settings.warnMs, entry.urgency);
    if (
      !entry.warned &&
      warnAge > 0 &&
      age >= warnAge &&
      (await notices.warn(entry, waiting, warnAge, load))
    ) {
      entry.warned = true;
      worth = true;
    }
    store.forget(entry);
    entry.running = false;
    // A try that changed nothing is not worth a write: a dead host's queue must not wear the flash at each run.
    const needed = marked || reports.length > 0 || entry.hold !== "";
    if (worth) void store.persist(entry, false, needed);
    this.#deadlines.watch(entry, store.time.now(), () => this.#judge(entry));
  }

  /** The time that the sender gave the message is up. */
  #judge(entry: Entry): void {
    const { store } = this.#deps;
    if (this.#stopped || store.suspended.has("delivery") || store.entries.get(entry.id) !== entry) return;
    if (entry.running || entry.finishing || entry.hold !== "") return;
    this.#track(this.#round(entry, new Map()));
  }

  /** Removes the message; what it takes on flash is given back when its mark is durable. */
  async #finish(entry: Entry): Promise<void> {
    if (entry.finishing) return;
    this.#deadlines.forget(entry.id);
    await Promise.resolve();
    void this.#deps.store.finish(entry);
  }

  /** After queuereturn the rest is given up; a DELIVERBY time that must not be missed likewise (RFC 2852). */
  #expire(entry: Entry, left: readonly Delivery[], reports: Report[]): void {
    const { settings } = this.#deps;
    const age = entry.lastTryMs - entry.arrivedSpoolMs;
    if (isOverdue(entry, entry.lastTryMs)) {
      for (const delivery of left) {
        const last = lastAnswer(delivery, "failed", "5.4.7");
        const transcript = [...last.transcript, `<${delivery.address}>... Delivery time expired`];
        reports.push({ delivery, outcome: { ...last, text: "Delivery time expired", transcript } });
      }
      return;
    }
    const limit = ageFor(settings.returnMs, entry.urgency);
    if (limit <= 0 || age < limit) return;
    for (const delivery of left) {
      reports.push({ delivery, outcome: lastAnswer(delivery, "failed", "4.4.7"), expiredMs: limit });
    }
  }

  /** Resolves when nothing is being tried any more. */
  async settled(): Promise<void> {
    while (this.#rounds.size > 0) await Promise.all(this.#rounds);
  }

  /** Ends attempts soon; resolves when all rounds have ended. */
  async stop(graceMs: number): Promise<void> {
    this.#stopped = true;
    this.#timer?.();
    this.#timer = null;
    this.#deadlines.stop();
    this.#deps.dispatcher.stop();
    const cancel = this.#deps.clock.after(graceMs, () => this.#abort.abort());
    // A mailer that does not end when told costs a second copy of its messages, not a gateway that never stops.
    await new Promise<void>((resolve) => {
      const giveUp = this.#deps.clock.after(graceMs + ABORT_GRACE_MS, resolve);
      void this.settled().then(() => {
        giveUp();
        resolve();
      });
    });
    cancel();
  }
}

function hostOf(entry: Entry): string {
  return entry.deliveries?.find((d) => d.state === "waiting")?.host ?? entry.recipients[0]?.address ?? "";
}

/** The result of the first call, for all calls. */
function once<T>(fn: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | null = null;
  return () => {
    result ??= fn();
    return result;
  };
}
