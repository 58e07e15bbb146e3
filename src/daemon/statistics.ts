// Counts per mailer (mailstats) and the last events of each message (postern trace message ID): in memory, bounded.
// Rebuildable by nature: a restart begins at zero, as a new statistics file does with Sendmail.

import type { OutcomeEvent } from "../spool/spool.ts";
import type { Clock } from "../sys/clock.ts";

export interface MailerRow {
  readonly mailer: string;
  messagesTo: number;
  bytesTo: number;
  rejected: number;
  deferred: number;
}

export interface HistoryEvent {
  readonly id: string;
  readonly wallMs: number;
  readonly recipient: string;
  readonly mailer: string;
  readonly result: string;
  readonly status: string;
  readonly text: string;
}

/** Events that are remembered, of all messages together. */
const EVENTS_MAX = 4096;

export class Statistics {
  readonly #clock: Clock;
  readonly #rows = new Map<string, MailerRow>();
  readonly #events: HistoryEvent[] = [];
  #next = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  note(event: OutcomeEvent): void {
    const { mailer } = event.delivery;
    let row = this.#rows.get(mailer);
    if (row === undefined) {
      row = { mailer, messagesTo: 0, bytesTo: 0, rejected: 0, deferred: 0 };
      this.#rows.set(mailer, row);
    }
    const { kind, status, text } = event.outcome;
    if (kind === "failed") row.rejected++;
    else if (kind === "deferred") row.deferred++;
    else {
      row.messagesTo++;
      row.bytesTo += event.sizeBytes;
    }
    this.#events[this.#next] = {
      id: event.id,
      wallMs: this.#clock.wallMs(),
      recipient: event.delivery.address,
      mailer,
      result: kind,
      status,
      text,
    };
    this.#next = (this.#next + 1) % EVENTS_MAX;
  }

  rows(): readonly MailerRow[] {
    return [...this.#rows.values()].sort((a, b) => a.mailer.localeCompare(b.mailer));
  }

  /** What happened to the messages of these ids (all when none is given), oldest first. */
  history(ids: readonly string[]): readonly HistoryEvent[] {
    const ordered = [...this.#events.slice(this.#next), ...this.#events.slice(0, this.#next)];
    return ids.length === 0 ? ordered : ordered.filter((e) => ids.includes(e.id));
  }
}
