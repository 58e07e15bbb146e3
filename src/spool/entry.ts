// What the queue knows in memory of one message: enough to schedule and list it, never its header or body for long
// (a queue of 10,000 messages is a few megabytes).

import type { Envelope, NotifyWord, Recipient } from "../mail/envelope.ts";
import type { Body } from "./mailer.ts";
import type { Location } from "./segment.ts";

export type DeliveryState =
  /** To be tried. */
  | "waiting"
  /** Taken over or delivered. */
  | "done"
  /** Failed for good, and whoever had to be told was told. */
  | "failed";

/** One final recipient of a message and what became of it so far. */
export interface Delivery {
  readonly index: number;
  /** The envelope recipient that it came from. */
  readonly original: string;
  readonly mailer: string;
  readonly host: string;
  readonly user: string;
  /** For logs and listings. */
  readonly address: string;
  readonly via: string;
  readonly sender: string;
  readonly unsafe: boolean;
  readonly notify?: readonly NotifyWord[];
  readonly orcpt?: string;
  /** Equal for hosts that are served by the same machines: such deliveries share a transaction. Not stored: the host serves after a restart. */
  readonly signature?: string;
  state: DeliveryState;
  /** Last enhanced status and words ("4.4.1", "Deferred: Connection refused by x."). */
  status: string;
  text: string;
  /** Who said so; not stored. */
  remote?: string;
}

/** The parts of a message that are read back when it is tried. */
export interface Content {
  readonly envelope: Envelope;
  readonly header: Buffer;
  readonly body: Body;
}

/** Where header, body and envelope lie. */
export interface Placement {
  location: Location;
  readonly envelopeBytes: number;
  readonly headerBytes: number;
  readonly bodyBytes: number;
  /** In a file of its own (body, then header, then envelope) instead of in the record. */
  readonly inFile: boolean;
  /** The number of that file, 0 without one. */
  readonly slot: number;
  /** Checksums of the file's body and of header and envelope; 0 for records, which have their own. */
  readonly bodySum: number;
  readonly restSum: number;
  readonly eightBit: boolean;
  /** BodyForm.lineMax */
  readonly lineMax: number;
}

/** Why the program itself holds a message; persons and rules hold with words of their own. */
export type ProgramHold =
  | `damaged: ${string}`
  | `the program ended ${number} times while trying this message`;

/** Held by the program, not by a person or a rule: such mail ages and returns as other mail does. */
export function heldByProgram(entry: Entry): boolean {
  return /^(?:damaged: |the program ended \d+ times while trying this message$)/.test(entry.hold);
}

export interface Entry {
  readonly id: string;
  readonly sender: string;
  readonly place: Placement;
  readonly arrivedSpoolMs: number;
  readonly arrivedWallMs: number;
  readonly precedence: number;
  readonly urgency: Envelope["urgency"];
  /** RFC 2852: the time it has, from arrival; null when the sender set none. */
  readonly deliverBy: Envelope["deliverBy"] | null;
  /** The envelope's recipients until they are expanded, then empty. */
  recipients: readonly Recipient[];
  /** null before the first expansion. */
  deliveries: Delivery[] | null;
  /** The expansion is on flash, so changes can be written by index. */
  expansionStored: boolean;
  /** Indexes of deliveries whose change is not on flash yet. */
  readonly changed: number[];
  tries: number;
  /** Spool time of the last attempt, 0 before the first. */
  lastTryMs: number;
  warned: boolean;
  /** Quarantine reason, "" when it is not held. */
  hold: string;
  /** Message-level status for listings. */
  text: string;
  /** Marks of earlier starts that ended with this message in hand. */
  inHand: number;
  /** An attempt runs. */
  running: boolean;
  /** The finish record is on its way, or written. */
  finishing: boolean;
  /** A copy to the head of the log is on its way. */
  moving: Promise<void> | null;
  /** Kept from acceptance until the first attempt when memory allows. */
  fresh: Content | null;
}

/** Sendmail's priority: size + recipients * factor - class * factor, plus a step for each attempt; lower goes first. */
export function priorityOf(entry: Entry, factors: PriorityFactors): number {
  const recipients =
    entry.deliveries === null
      ? entry.recipients.length
      : entry.deliveries.reduce((n, d) => n + (d.state === "waiting" ? 1 : 0), 0);
  const { precedence, tries } = entry;
  const bytes = entry.place.bodyBytes + entry.place.headerBytes;
  return priorityFrom(bytes, { recipients, precedence, tries }, factors);
}

/** The same of a message of `bytes` that is no entry yet. */
export function priorityFrom(
  bytes: number,
  facts: { readonly recipients: number; readonly precedence: number; readonly tries: number },
  factors: PriorityFactors,
): number {
  return (
    bytes +
    facts.recipients * factors.recipient -
    facts.precedence * factors.precedence +
    facts.tries * factors.attempt
  );
}

export interface PriorityFactors {
  readonly recipient: number;
  readonly precedence: number;
  readonly attempt: number;
}
