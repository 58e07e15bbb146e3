// Interactive delivery: a message is offered to its one next hop while the client waits, and touches flash only when it must
// (contract section 8 item 10). All accepted: 250. All refused for good by the one next hop: that refusal. Anything else, or the
// deadline: durable first, then 250, and what the running attempt still achieves counts.

import { found } from "../base/result.ts";
import type { Envelope } from "../mail/envelope.ts";
import type { Outcome } from "../mail/outcome.ts";
import { type Reply, reply } from "../mail/reply.ts";
import type { Clock } from "../sys/clock.ts";
import type { Disk, DiskError } from "../sys/disk.ts";
import { FileBody, MemoryBody } from "./body.ts";
import type { Dispatcher, GroupResult } from "./dispatch.ts";
import type { Content, Delivery, Entry } from "./entry.ts";
import { expandEntry, UNROUTED } from "./expand.ts";
import { groupsOf } from "./groups.ts";
import type { Verdict } from "./intake.ts";
import type { BodyForm } from "./mailer.ts";
import type { BodySource } from "./messagefile.ts";
import type { Report } from "./notices.ts";
import { refusalFor } from "./room.ts";
import type { Router } from "./router.ts";
import type { Schedule } from "./schedule.ts";
import type { Store } from "./store.ts";

export interface InteractiveDeps {
  readonly store: Store;
  readonly disk: Disk;
  readonly dispatcher: Dispatcher;
  readonly router: Router;
  readonly schedule: Schedule;
  readonly clock: Clock;
  readonly deadlineMs: number;
  /** Make the message durable before it is tried (SuperSafe=True). */
  readonly durableFirst: boolean;
  readonly onNote: (line: string) => void;
}

export interface Offer {
  readonly id: string;
  readonly envelope: Envelope;
  readonly header: Buffer;
  readonly body: BodySource;
  readonly form: BodyForm;
}

/** An entry that is in no index: the message is held in memory only. */
function heldEntry(offer: Offer, store: Store): Entry {
  const { envelope } = offer;
  const moment = store.time.moment();
  const bodyBytes = offer.body.kind === "memory" ? offer.body.bytes : offer.body.file.size;
  return {
    id: offer.id,
    sender: envelope.sender,
    place: {
      location: { epoch: 0, offset: 0, length: 0 },
      envelopeBytes: 0,
      headerBytes: offer.header.length,
      bodyBytes,
      inFile: false,
      slot: 0,
      bodySum: 0,
      restSum: 0,
      ...offer.form,
    },
    arrivedSpoolMs: moment.spoolMs,
    arrivedWallMs: moment.wallMs,
    precedence: envelope.precedence,
    urgency: envelope.urgency,
    deliverBy: envelope.deliverBy ?? null,
    recipients: envelope.recipients,
    deliveries: null,
    expansionStored: false,
    changed: [],
    tries: 0,
    lastTryMs: 0,
    warned: false,
    hold: "",
    text: "",
    inHand: 0,
    running: true,
    finishing: false,
    moving: null,
    fresh: null,
  };
}

/** The next hop's refusal as our reply: its own code and status, else 550 with the status of the outcome. */
export function refusalReply(outcomes: readonly Outcome[]): Reply {
  const [first] = outcomes;
  const match = /^([45]\d\d)(?:[ -](\d\.\d{1,3}\.\d{1,3}))? ?(.*)$/.exec(first?.diagnostic ?? "");
  const status = first?.status ?? "5.0.0";
  if (match === null) return reply(550, status, first?.text ?? "Delivery failed");
  const code = Number(match[1]);
  return reply(code >= 500 ? code : 550, match[2] ?? status, match[3] ?? "");
}

export class Interactive {
  readonly #deps: InteractiveDeps;
  /** Attempts whose clients have been answered. */
  readonly #late = new Set<Promise<void>>();

  constructor(deps: InteractiveDeps) {
    this.#deps = deps;
  }

  /** Takes the message to its end or to flash; the answer to the client. */
  async offer(offer: Offer): Promise<Verdict> {
    if (this.#deps.durableFirst) return this.#durableFirst(offer);
    const { store, schedule, dispatcher } = this.#deps;
    if (offer.body.kind === "file") {
      const written = await offer.body.file.settle();
      if (!written.ok) {
        await this.#drop(offer);
        return { kind: "refused", reply: refusalFor(written.error) };
      }
    }
    const held = heldEntry(offer, store);
    const content = this.#content(offer);
    held.fresh = content;
    const expanded = await expandEntry(this.#deps.router, held);
    const deliveries = expanded?.deliveries ?? [];
    const one = deliveries[0];
    const groups = groupsOf(held, deliveries, {
      dead: null,
      interactive: true,
      signal: schedule.signal,
      load: () => Promise.resolve(found(content)),
    });
    const [group] = groups;
    const plain =
      one !== undefined &&
      group !== undefined &&
      groups.length === 1 &&
      (expanded?.known.size ?? 0) === 0 &&
      one.mailer !== UNROUTED &&
      !dispatcher.isDown(one.mailer, one.host) &&
      !store.suspended.has("delivery");
    if (!plain) return this.#spooled(offer);
    held.deliveries = deliveries;
    held.recipients = [];
    const patience = new AbortController();
    const attempt = dispatcher.submit({
      ...group,
      signal: AbortSignal.any([schedule.signal, patience.signal]),
    });
    const first = await this.#within(attempt);
    if (first !== null) return this.#decided(offer, held, group.deliveries, first);
    patience.abort();
    return this.#overdue(offer, held, group.deliveries, attempt);
  }

  /** SuperSafe=True: on flash before the attempt, which the client still waits for, as Sendmail's interactive mode does. */
  async #durableFirst(offer: Offer): Promise<Verdict> {
    const { store, schedule } = this.#deps;
    const accepted = await store.accept(offer);
    if (!accepted.ok) return { kind: "refused", reply: refusalFor(accepted.error) };
    // Either the client hears the refusal or the sender gets a notice: whoever decides first.
    let late = false;
    let decided = false;
    const tried = schedule.first(accepted.value, () => {
      decided = !late;
      return decided;
    });
    this.#track(tried.then(() => undefined));
    let refused = await this.#within(tried);
    late = true;
    if (decided) refused = await tried;
    if (refused !== null && refused.length > 0) return { kind: "refused", reply: refusalReply(refused) };
    return { kind: "accepted", id: offer.id, how: "spooled" };
  }

  #content(offer: Offer): Content {
    const { body, form } = offer;
    return {
      envelope: offer.envelope,
      header: offer.header,
      body:
        body.kind === "memory"
          ? new MemoryBody(body.pieces, form)
          : new FileBody(this.#deps.disk, body.file.path, body.file.size, form),
    };
  }

  /** The attempt's result, or null when the client's patience has ended. */
  #within<T>(attempt: Promise<T>): Promise<T | null> {
    return new Promise((resolve) => {
      const cancel = this.#deps.clock.after(this.#deps.deadlineMs, () => resolve(null));
      void attempt.then((result) => {
        cancel();
        resolve(result);
      });
    });
  }

  /** The ordinary way: durable, then tried by the schedule. */
  async #spooled(offer: Offer): Promise<Verdict> {
    const { store, schedule } = this.#deps;
    const accepted = await store.accept(offer);
    if (!accepted.ok) return { kind: "refused", reply: refusalFor(accepted.error) };
    schedule.fresh(accepted.value);
    return { kind: "accepted", id: offer.id, how: "spooled" };
  }

  async #decided(
    offer: Offer,
    held: Entry,
    deliveries: readonly Delivery[],
    result: GroupResult,
  ): Promise<Verdict> {
    const { outcomes } = result;
    if (outcomes.every((o) => o.kind === "failed")) {
      this.#log(held, deliveries, result, []);
      await this.#drop(offer);
      return { kind: "refused", reply: refusalReply(outcomes) };
    }
    const reports: Report[] = [];
    if (outcomes.every((o) => o.kind !== "deferred" && o.kind !== "failed")) {
      this.#log(held, deliveries, result, reports);
      // A success notice is a new message; that the original is delivered does not wait for it.
      await this.#deps.schedule.tell(held, reports, () => Promise.resolve(found(this.#content(offer))));
      await this.#drop(offer);
      // A notice of success may have been made of its bytes.
      const told = offer.envelope.recipients.some(({ notify }) => notify?.includes("SUCCESS") === true);
      if (!told && held.fresh?.body instanceof MemoryBody) held.fresh.body.free();
      return { kind: "accepted", id: offer.id, how: "relayed" };
    }
    this.#log(held, deliveries, result, reports);
    const kept = await this.#keep(offer, held);
    if (!kept.ok) return { kind: "refused", reply: refusalFor(kept.error) };
    this.#track(
      this.#deps.schedule.conclude(kept.value, rebase(reports, kept.value), () =>
        this.#deps.store.load(kept.value),
      ),
    );
    return { kind: "accepted", id: offer.id, how: "spooled" };
  }

  /** Durable with everything that is known already. */
  async #keep(
    offer: Offer,
    held: Entry,
  ): Promise<{ ok: true; value: Entry } | { ok: false; error: DiskError }> {
    const kept = await this.#deps.store.accept({
      ...offer,
      progress: { deliveries: held.deliveries ?? [], text: held.text, tried: false },
    });
    if (kept.ok) kept.value.running = true;
    return kept;
  }

  /** The client is answered as soon as the message is durable; the attempt goes on. */
  async #overdue(
    offer: Offer,
    held: Entry,
    deliveries: readonly Delivery[],
    attempt: Promise<GroupResult>,
  ): Promise<Verdict> {
    const kept = await this.#keep(offer, held);
    if (!kept.ok) {
      // Nothing was promised yet, so the attempt may still decide.
      const result = await attempt;
      if (result.outcomes.every((o) => o.kind === "delivered" || o.kind === "relayed"))
        return this.#decided(offer, held, deliveries, result);
      return { kind: "refused", reply: refusalFor(kept.error) };
    }
    this.#track(this.#later(kept.value, attempt));
    return { kind: "accepted", id: offer.id, how: "spooled" };
  }

  async #later(entry: Entry, attempt: Promise<GroupResult>): Promise<void> {
    const result = await attempt;
    const reports: Report[] = [];
    this.#log(entry, entry.deliveries ?? [], result, reports);
    await this.#deps.schedule.conclude(entry, reports, () => this.#deps.store.load(entry));
  }

  #log(entry: Entry, deliveries: readonly Delivery[], result: GroupResult, reports: Report[]): void {
    const [first] = deliveries;
    if (first === undefined) return;
    this.#deps.schedule.applyGroup(
      { entry, mailer: first.mailer, host: first.host, deliveries },
      result,
      reports,
    );
  }

  async #drop(offer: Offer): Promise<void> {
    if (offer.body.kind === "file") await this.#deps.store.dropBody(offer.body.file);
  }

  #track(work: Promise<void>): void {
    this.#late.add(work);
    void work.finally(() => this.#late.delete(work));
  }

  /** Resolves when the attempts of answered clients have ended. */
  async stop(): Promise<void> {
    while (this.#late.size > 0) await Promise.all(this.#late);
  }
}

/** The same reports for the entry that is in the index. */
function rebase(reports: readonly Report[], entry: Entry): Report[] {
  return reports.flatMap((report) => {
    const delivery = entry.deliveries?.[report.delivery.index];
    return delivery === undefined ? [] : [{ ...report, delivery }];
  });
}
