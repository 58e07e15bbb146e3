// From the log's records to the queue: applied in order, each record makes the state of its message what it says.
// Records of messages that are done, or that never were, change nothing; unreadable ones are damage.

import { present } from "../base/assert.ts";
import type { Moment } from "./age.ts";
import {
  ACCEPT_FIXED_BYTES,
  type AcceptFacts,
  decodeAccept,
  decodeEnvelope,
  decodeGlobal,
  decodeOutcome,
  decodeProgress,
  type GlobalState,
  idOf,
  type MessageState,
} from "./codec.ts";
import type { Entry } from "./entry.ts";
import { RECORD } from "./record.ts";
import type { Damage, RecoveredRecord } from "./recovery.ts";

/** Takes over a state record's values. */
export function applyState(entry: Entry, state: MessageState): void {
  entry.tries = state.tries;
  entry.lastTryMs = state.lastTryMs;
  entry.warned = state.warned;
  entry.hold = state.hold;
  entry.text = state.text;
  entry.inHand = state.inHand;
}

export class Fold {
  readonly entries = new Map<string, Entry>();
  global: GlobalState | null = null;
  boots = 0;
  newest: Moment = { spoolMs: 0, wallMs: 0, trusted: false };
  /** Messages of which a state record was read: it says whether they are held, not the envelope. */
  readonly stated = new Set<string>();
  readonly #finished = new Set<string>();
  readonly #parts = new Map<string, Buffer[]>();
  readonly #onDamage: (damage: Damage) => void;

  constructor(onDamage: (damage: Damage) => void) {
    this.#onDamage = onDamage;
  }

  /** A mark says that the message is done. */
  isFinished(id: string): boolean {
    return this.#finished.has(id);
  }

  apply(record: RecoveredRecord): void {
    if (record.type === RECORD.global) {
      this.#global(record.payload);
      return;
    }
    const id = idOf(record.payload);
    if (id === null) {
      this.#damage(record, "a record without a queue id");
      return;
    }
    if (this.#finished.has(id)) return;
    switch (record.type) {
      case RECORD.accept:
        this.#accept(record);
        return;
      case RECORD.progress:
        this.#progress(id, record);
        return;
      case RECORD.outcome:
        this.#outcome(id, record);
        return;
      case RECORD.inHand:
        this.#inHand(id);
        return;
      case RECORD.finish:
        this.#finished.add(id);
        this.entries.delete(id);
        return;
      default:
        this.#damage(record, `record type ${record.type} is not known to this program`);
    }
  }

  #damage(record: RecoveredRecord, reason: string): void {
    const { epoch, offset } = record.location;
    this.#onDamage({
      name: `${epoch}-${offset}-record`,
      reason,
      bytes: Buffer.from(record.payload),
      last: false,
    });
  }

  #global(payload: Buffer): void {
    const state = decodeGlobal(payload);
    if (state === null) return;
    this.global = state;
    this.boots = Math.max(this.boots, state.boot);
    this.#moment(state);
  }

  #moment(moment: Moment): void {
    const spoolMs = Math.max(this.newest.spoolMs, moment.spoolMs);
    // The newest trusted wall time counts; an untrusted one only when there is nothing better.
    const wall =
      moment.trusted || !this.newest.trusted
        ? { wallMs: moment.wallMs, trusted: moment.trusted }
        : { wallMs: this.newest.wallMs, trusted: this.newest.trusted };
    this.newest = { spoolMs, ...wall };
  }

  #accept(record: RecoveredRecord): void {
    const decoded = decodeAccept(record.payload);
    if (!decoded.ok) {
      this.#damage(record, decoded.error);
      return;
    }
    const facts = decoded.value;
    const known = this.entries.get(facts.id);
    if (known !== undefined) {
      known.place.location = record.location;
      return;
    }
    if (!facts.copy)
      this.#moment({ spoolMs: facts.arrivedSpoolMs, wallMs: facts.arrivedWallMs, trusted: facts.trusted });
    const entry = entryOf(facts, record);
    if (!facts.place.inFile) {
      const bytes = record.payload.subarray(
        ACCEPT_FIXED_BYTES,
        ACCEPT_FIXED_BYTES + facts.place.envelopeBytes,
      );
      const envelope = decodeEnvelope(bytes);
      if (!envelope.ok) {
        this.#damage(record, envelope.error);
        return;
      }
      this.entries.set(facts.id, describe(entry, envelope.value, false));
      return;
    }
    this.entries.set(facts.id, entry);
  }

  /** The whole payload once its last part is there. */
  #join(id: string, record: RecoveredRecord): Buffer | null {
    // A part that continues nothing begins anew: an append that failed is written again from its start.
    const parts = record.continued ? (this.#parts.get(id) ?? []) : [];
    if (record.more) {
      parts.push(Buffer.from(record.payload));
      this.#parts.set(id, parts);
      return null;
    }
    this.#parts.delete(id);
    if (parts.length === 0) return record.payload;
    const rest = [...parts.slice(1), record.payload].map((part) => part.subarray(id.length));
    return Buffer.concat([present(parts[0], "the first part"), ...rest]);
  }

  #progress(id: string, record: RecoveredRecord): void {
    const payload = this.#join(id, record);
    const entry = this.entries.get(id);
    if (payload === null || entry === undefined) return;
    const decoded = decodeProgress(payload);
    if (!decoded.ok) {
      this.#damage(record, decoded.error);
      return;
    }
    this.stated.add(id);
    applyState(entry, decoded.value.state);
    entry.deliveries = decoded.value.deliveries;
    entry.expansionStored = decoded.value.deliveries !== null;
    if (entry.deliveries !== null) entry.recipients = [];
  }

  #outcome(id: string, record: RecoveredRecord): void {
    const entry = this.entries.get(id);
    if (entry === undefined) return;
    const decoded = decodeOutcome(record.payload);
    if (!decoded.ok) {
      this.#damage(record, decoded.error);
      return;
    }
    this.stated.add(id);
    applyState(entry, decoded.value.state);
    for (const change of decoded.value.changes) {
      const delivery = entry.deliveries?.[change.index];
      if (delivery === undefined) continue;
      delivery.state = change.state;
      delivery.status = change.status;
      delivery.text = change.text;
    }
  }

  #inHand(id: string): void {
    const entry = this.entries.get(id);
    if (entry !== undefined) entry.inHand++;
  }
}

function entryOf(facts: AcceptFacts, record: RecoveredRecord): Entry {
  return {
    id: facts.id,
    sender: "",
    place: { ...facts.place, location: record.location },
    arrivedSpoolMs: facts.arrivedSpoolMs,
    arrivedWallMs: facts.arrivedWallMs,
    precedence: 0,
    urgency: "normal",
    deliverBy: null,
    recipients: [],
    deliveries: null,
    expansionStored: false,
    changed: [],
    tries: 0,
    lastTryMs: 0,
    warned: false,
    hold: "",
    text: "",
    inHand: 0,
    running: false,
    finishing: false,
    moving: null,
    fresh: null,
  };
}

/** The entry with what its envelope says; a state that is known already (`stated`) stays. */
export function describe(
  entry: Entry,
  envelope: {
    readonly sender: string;
    readonly recipients: Entry["recipients"];
    readonly precedence: number;
    readonly urgency: Entry["urgency"];
    readonly deliverBy?: Entry["deliverBy"];
    readonly quarantine?: string;
  },
  stated: boolean,
): Entry {
  return {
    ...entry,
    sender: envelope.sender,
    precedence: envelope.precedence,
    urgency: envelope.urgency,
    deliverBy: envelope.deliverBy ?? null,
    recipients: entry.deliveries === null ? envelope.recipients : [],
    hold: stated ? entry.hold : (envelope.quarantine ?? ""),
  };
}
