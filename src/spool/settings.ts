// The options that the queue obeys, under names of its own: delivery mode, ages, priorities, who is told of failures
// (semantics sections 4 and 24). Times are milliseconds.

import type { Options } from "../config/options.ts";
import type { Envelope } from "../mail/envelope.ts";
import type { PriorityFactors } from "./entry.ts";

/** Milliseconds by urgency. */
export type ByUrgency = ReadonlyMap<Envelope["urgency"], number>;

export interface Settings {
  readonly mode: "background" | "interactive" | "queueonly" | "deferred";
  /** Interactive mail is made durable before it is tried (SuperSafe=True), not only when it must wait. */
  readonly durableFirst: boolean;
  readonly minFreeBlocks: number;
  readonly minAgeMs: number;
  /** Longest rest between tries of the back-off; 0: every queue run tries. */
  readonly maxAgeMs: number;
  readonly returnMs: ByUrgency;
  readonly warnMs: ByUrgency;
  readonly factors: PriorityFactors;
  /** Messages of one run, 0: all. */
  readonly runSizeMax: number;
  readonly sortOrder: string;
  /** Who gets bounces of bounces, "" nobody. */
  readonly doubleBounce: string;
  /** Who gets a copy of every bounce, "" nobody. */
  readonly postmasterCopy: string;
  /** Bounces carry the header only (PrivacyOptions nobodyreturn). */
  readonly noBodyReturn: boolean;
  /** Bytes of the largest original that a bounce carries whole (MaxMessageSize), 0: all of them. */
  readonly returnBytesMax: number;
  /** Bounces do not name the address that an alias led to (PrivacyOptions noactualrecipient). */
  readonly noActualRecipient?: boolean;
  /** No success notices (PrivacyOptions noreceipts). */
  readonly noReceipts: boolean;
  /** Milliseconds that an interactive client waits for the next hop. */
  readonly deadlineMs: number;
}

export function settingsFrom(options: Options, deadlineMs: number): Settings {
  const privacy: readonly string[] = options.PrivacyOptions;
  return {
    mode: modeOf(options.DeliveryMode),
    durableFirst: options.SuperSafe === "true",
    minFreeBlocks: options.MinFreeBlocks,
    minAgeMs: options.MinQueueAge,
    maxAgeMs: options.MaxQueueAge,
    returnMs: new Map([
      ["normal", options["Timeout.queuereturn.normal"]],
      ["urgent", options["Timeout.queuereturn.urgent"]],
      ["non-urgent", options["Timeout.queuereturn.non-urgent"]],
      ["dsn", options["Timeout.queuereturn.dsn"]],
    ]),
    warnMs: new Map([
      ["normal", options["Timeout.queuewarn.normal"]],
      ["urgent", options["Timeout.queuewarn.urgent"]],
      ["non-urgent", options["Timeout.queuewarn.non-urgent"]],
      ["dsn", options["Timeout.queuewarn.dsn"]],
    ]),
    factors: {
      recipient: options.RecipientFactor,
      precedence: options.ClassFactor,
      attempt: options.RetryFactor,
    },
    runSizeMax: options.MaxQueueRunSize,
    sortOrder: options.QueueSortOrder,
    doubleBounce: options.DoubleBounceAddress,
    postmasterCopy: options.PostmasterCopy,
    noBodyReturn: privacy.includes("nobodyreturn"),
    returnBytesMax: options.MaxMessageSize,
    noActualRecipient: privacy.includes("noactualrecipient"),
    noReceipts: privacy.includes("noreceipts"),
    deadlineMs,
  };
}

function modeOf(text: string): Settings["mode"] {
  return text === "interactive" || text === "queueonly" || text === "deferred" ? text : "background";
}

/** The age (milliseconds) from a table of ages that applies to a message. */
export function ageFor(table: ByUrgency, urgency: Envelope["urgency"]): number {
  return table.get(urgency) ?? 0;
}
