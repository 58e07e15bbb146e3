// A message on its way into the queue: what is known when it is accepted, and the entry that it becomes.
// Interactive delivery may know of deliveries that are done already; they are never tried again.

import type { Envelope } from "../mail/envelope.ts";
import { ACCEPT_FIXED_BYTES, type AcceptFacts } from "./codec.ts";
import type { Delivery, Entry } from "./entry.ts";
import type { BodyForm } from "./mailer.ts";
import type { BodySource } from "./messagefile.ts";

export interface Accepting {
  readonly id: string;
  readonly envelope: Envelope;
  readonly header: Buffer;
  readonly body: BodySource;
  readonly form: BodyForm;
  /** What is known already (interactive delivery that was done in part). */
  readonly progress?: { readonly deliveries: Delivery[]; readonly text: string; readonly tried: boolean };
}

/** The entry of a message whose record is being written; its place in the log is not known yet. */
export function newEntry(message: Accepting, facts: AcceptFacts): Entry {
  const { envelope, progress } = message;
  return {
    id: message.id,
    sender: envelope.sender,
    place: { ...facts.place, location: { epoch: 0, offset: 0, length: 0 } },
    arrivedSpoolMs: facts.arrivedSpoolMs,
    arrivedWallMs: facts.arrivedWallMs,
    precedence: envelope.precedence,
    urgency: envelope.urgency,
    deliverBy: envelope.deliverBy ?? null,
    recipients: progress === undefined ? envelope.recipients : [],
    deliveries: progress?.deliveries ?? null,
    expansionStored: false,
    changed: [],
    tries: progress?.tried === true ? 1 : 0,
    lastTryMs: progress?.tried === true ? facts.arrivedSpoolMs : 0,
    warned: false,
    hold: envelope.quarantine ?? "",
    text: progress?.text ?? "",
    inHand: 0,
    running: false,
    finishing: false,
    moving: null,
    fresh: null,
  };
}

/** Bytes that a message takes in the log. */
export function costOf(entry: Entry): number {
  const { place } = entry;
  return ACCEPT_FIXED_BYTES + (place.inFile ? 0 : place.envelopeBytes + place.headerBytes + place.bodyBytes);
}
