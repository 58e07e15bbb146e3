// From envelope recipients to final deliveries, at the first attempt: asks the router, removes duplicates, and keeps what cannot be
// routed now as an unrouted delivery that is asked about again at the next run.

import type { Recipient } from "../mail/envelope.ts";
import { type Outcome, outcome } from "../mail/outcome.ts";
import { breath } from "../sys/turn.ts";
import type { Delivery, Entry } from "./entry.ts";
import type { RoutedDelivery, Router } from "./router.ts";

/** Mailer name of a delivery that is not routed yet. */
export const UNROUTED = "";
/** Recipients that the router is asked about at the same time. */
const AT_A_TIME = 16;

export interface Expanded {
  readonly deliveries: Delivery[];
  /** Deliveries that are decided without a mailer: routing errors, lists that were expanded. */
  readonly known: Map<Delivery, Outcome>;
}

type Draft = Omit<Delivery, "index">;

/** A delivery for each recipient of a message that is not routed at all. */
export function unroutedDeliveries(recipients: readonly Recipient[]): Delivery[] {
  return recipients.map((r, index) => ({ ...waiting(r, r.address), index }));
}

function waiting(recipient: Recipient, original: string): Draft {
  return {
    original,
    mailer: UNROUTED,
    host: "",
    user: recipient.address,
    address: recipient.address,
    via: "",
    sender: "",
    unsafe: false,
    ...(recipient.notify === undefined ? {} : { notify: recipient.notify }),
    ...(recipient.orcpt === undefined ? {} : { orcpt: recipient.orcpt }),
    state: "waiting",
    status: "",
    text: "",
  };
}

/**
 * What of the sender's NOTIFY and ORCPT goes with a delivery. A list's members have a sender of their own, its owner, who asked for nothing
 * and hears of failures (RFC 3461 5.2.7.3); that the list was the original recipient stays, as with Sendmail. Of several names behind an alias none is reported to have it, as with Sendmail: whoever may
 * write to the alias would learn them; what was said of failures stays.
 */
function wishes(recipient: Recipient, routed: RoutedDelivery): Pick<Recipient, "notify" | "orcpt"> {
  const notify = routed.notify ?? recipient.notify;
  const orcpt = routed.orcpt ?? recipient.orcpt;
  const named = orcpt === undefined ? {} : { orcpt };
  if (routed.member === "list") return named;
  if (notify === undefined) return named;
  if (routed.member === undefined || !notify.includes("SUCCESS")) return { ...named, notify };
  const rest = notify.filter((word) => word !== "SUCCESS");
  return { ...named, notify: rest.length === 0 ? ["NEVER"] : rest };
}

/** One recipient's deliveries; each with its outcome when that is known already. */
async function expandOne(
  router: Router,
  recipient: Recipient,
  sender: string,
): Promise<[Draft, Outcome | null][]> {
  const routed = await router.expand(recipient, sender);
  const base = waiting(recipient, recipient.address);
  const { notify: _notify, orcpt: _orcpt, ...plain } = base;
  const out: [Draft, Outcome | null][] = [];
  for (const d of routed.deliveries) {
    const { notify, orcpt } = wishes(recipient, d);
    const { mailer, host, user, address, via, unsafe } = d;
    out.push([
      {
        ...plain,
        mailer,
        host,
        user,
        address,
        via,
        sender: d.sender,
        unsafe,
        ...(notify === undefined ? {} : { notify }),
        ...(orcpt === undefined ? {} : { orcpt }),
        ...(d.signature === undefined ? {} : { signature: d.signature }),
      },
      null,
    ]);
  }
  for (const e of routed.errors) {
    const draft = {
      ...base,
      user: e.address,
      address: e.address,
      via: e.via,
      status: e.status,
      text: e.text,
    };
    const kind = e.permanent ? "failed" : "deferred";
    out.push([
      draft,
      outcome(kind, e.status, e.text, {
        // The address stands in its own field, and in the transcript.
        diagnostic: e.diagnostic.replace(/<[^>]*>\.\.\. /, ""),
        transcript: [e.diagnostic],
      }),
    ]);
  }
  if (routed.expanded === true && recipient.notify?.includes("SUCCESS") === true)
    out.push([{ ...base }, outcome("expanded", "2.0.0", "delivered to mailing list")]);
  return out;
}

/** Routes everything of `entry` that is not routed yet; null when there is nothing. */
export async function expandEntry(router: Router, entry: Entry): Promise<Expanded | null> {
  const old = entry.deliveries ?? [];
  const unrouted = old.filter((d) => d.mailer === UNROUTED && d.state === "waiting");
  const recipients: readonly Recipient[] =
    entry.deliveries === null
      ? entry.recipients
      : unrouted.map((d) => ({
          address: d.user,
          ...(d.notify === undefined ? {} : { notify: d.notify }),
          ...(d.orcpt === undefined ? {} : { orcpt: d.orcpt }),
        }));
  if (recipients.length === 0) return entry.deliveries === null ? { deliveries: [], known: new Map() } : null;
  const asked = new Set(unrouted);
  const deliveries = old.filter((d) => !asked.has(d));
  const seen = new Set(deliveries.map(identity));
  const known = new Map<Delivery, Outcome>();
  for (let at = 0; at < recipients.length; at += AT_A_TIME) {
    const some = recipients.slice(at, at + AT_A_TIME);
    for (const drafts of await Promise.all(some.map((r) => expandOne(router, r, entry.sender)))) {
      for (const [draft, result] of drafts) {
        const key = identity(draft);
        if (result === null && seen.has(key)) continue;
        seen.add(key);
        const delivery: Delivery = { ...draft, index: deliveries.length };
        deliveries.push(delivery);
        if (result !== null) known.set(delivery, result);
        await breath();
      }
    }
  }
  return { deliveries: deliveries.map((d, index) => renumber(d, index, known)), known };
}

function identity(d: Draft): string {
  return `${d.mailer}\0${d.host.toLowerCase()}\0${d.user}\0${d.sender}`;
}

/** Deliveries keep their place in the list as index. */
function renumber(delivery: Delivery, index: number, known: Map<Delivery, Outcome>): Delivery {
  if (delivery.index === index) return delivery;
  const moved = { ...delivery, index };
  const result = known.get(delivery);
  if (result !== undefined) {
    known.delete(delivery);
    known.set(moved, result);
  }
  return moved;
}
