// Counts per mailer (mailstats) and the last events of each message (postern trace message ID): in memory, bounded, handed to state/
// now and then. Rebuildable by nature: without state a restart begins at zero, as a new statistics file does with Sendmail.

import type { OutcomeEvent } from "../spool/spool.ts";
import type { Clock } from "../sys/clock.ts";

/** One mailer's row: Sendmail's msgsfr bytes_from msgsto bytes_to msgsrej msgsdis msgsqur. */
export interface MailerRow {
  readonly mailer: string;
  readonly messagesFrom: number;
  readonly bytesFrom: number;
  readonly messagesTo: number;
  readonly bytesTo: number;
  readonly rejected: number;
  readonly discarded: number;
  readonly quarantined: number;
  /** Not a column of Sendmail's: attempts that ended in "Deferred". */
  readonly deferred: number;
}

/** Sendmail's row C. */
export interface Totals {
  readonly connectionsFrom: number;
  readonly connectionsTo: number;
  readonly connectionsRejected: number;
}

export interface HistoryEvent {
  readonly id: string;
  readonly wallMs: number;
  readonly recipient: string;
  readonly mailer: string;
  /** "accepted", then what each attempt ended with: "delivered", "failed", "deferred", ... */
  readonly result: string;
  readonly status: string;
  readonly text: string;
}

/** What is kept over a restart. Events are the newest ones. */
export interface Snapshot {
  readonly sinceWallMs: number;
  readonly rows: readonly MailerRow[];
  readonly totals: Totals;
  readonly events: readonly HistoryEvent[];
}

/** Events that are remembered, of all messages together. */
const EVENTS_MAX = 4096;
/** Characters of a text that are remembered. */
const TEXT_CHARS_MAX = 300;
/** Mailers of one configuration. */
const MAILERS_MAX = 64;

type Row = { -readonly [K in keyof MailerRow]: MailerRow[K] };

function emptyRow(mailer: string): Row {
  return {
    mailer,
    messagesFrom: 0,
    bytesFrom: 0,
    messagesTo: 0,
    bytesTo: 0,
    rejected: 0,
    discarded: 0,
    quarantined: 0,
    deferred: 0,
  };
}

export class Statistics {
  readonly #clock: Clock;
  readonly #rows = new Map<string, Row>();
  readonly #events: HistoryEvent[] = [];
  readonly #totals = { connectionsFrom: 0, connectionsTo: 0, connectionsRejected: 0 };
  #next = 0;
  #sinceWallMs: number;
  /** Told of every change; state/ writes now and then what has changed. */
  onChange: () => void = () => undefined;
  #changes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#sinceWallMs = clock.wallMs();
  }

  /** How often something was counted since the start. */
  get changes(): number {
    return this.#changes;
  }

  #changed(): void {
    this.#changes++;
    this.onChange();
  }

  get sinceWallMs(): number {
    return this.#sinceWallMs;
  }

  get totals(): Totals {
    return { ...this.#totals };
  }

  #row(mailer: string): Row {
    this.#changed();
    const known = this.#rows.get(mailer);
    if (known !== undefined) return known;
    const row = emptyRow(mailer);
    if (this.#rows.size < MAILERS_MAX) this.#rows.set(mailer, row);
    return row;
  }

  /** One delivery's end in an attempt. */
  note(event: OutcomeEvent): void {
    const row = this.#row(event.delivery.mailer);
    const { kind, status, text } = event.outcome;
    if (kind === "failed") row.rejected++;
    else if (kind === "deferred") row.deferred++;
    else {
      row.messagesTo++;
      row.bytesTo += event.sizeBytes;
    }
    this.#remember(event.id, event.delivery.address, event.delivery.mailer, kind, status, text);
  }

  /** A message was taken in; `mailer` is the one that the sender's address resolves to. */
  accepted(
    id: string,
    mailer: string,
    sender: string,
    sizeBytes: number,
    how: "queued" | "discarded" | "quarantined",
  ): void {
    const row = this.#row(mailer);
    if (how === "discarded") row.discarded++;
    else {
      row.messagesFrom++;
      row.bytesFrom += sizeBytes;
    }
    if (how === "quarantined") row.quarantined++;
    this.#remember(id, "", mailer, "accepted", "", `from <${sender}>, ${sizeBytes} bytes, ${how}`);
  }

  /** A sender, recipient or message was refused in its session. */
  refused(mailer: string): void {
    this.#row(mailer).rejected++;
  }

  connection(refused: boolean): void {
    this.#changed();
    if (refused) this.#totals.connectionsRejected++;
    else this.#totals.connectionsFrom++;
  }

  #remember(
    id: string,
    recipient: string,
    mailer: string,
    result: string,
    status: string,
    text: string,
  ): void {
    const wallMs = this.#clock.wallMs();
    this.#keep({ id, wallMs, recipient, mailer, result, status, text: text.slice(0, TEXT_CHARS_MAX) });
  }

  #keep(event: HistoryEvent): void {
    this.#events[this.#next] = event;
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

  snapshot(): Snapshot {
    return {
      sinceWallMs: this.#sinceWallMs,
      rows: this.rows(),
      totals: this.totals,
      events: this.history([]),
    };
  }

  /** Takes over what an earlier run counted; what this run counted already stays. */
  restore(before: Snapshot): void {
    this.#sinceWallMs = Math.min(this.#sinceWallMs, before.sinceWallMs);
    const events = this.history([]);
    this.#events.length = 0;
    this.#next = 0;
    for (const event of [...before.events, ...events].slice(-EVENTS_MAX)) this.#keep(event);
    for (const old of before.rows) {
      const row = this.#row(old.mailer);
      row.messagesFrom += old.messagesFrom;
      row.bytesFrom += old.bytesFrom;
      row.messagesTo += old.messagesTo;
      row.bytesTo += old.bytesTo;
      row.rejected += old.rejected;
      row.discarded += old.discarded;
      row.quarantined += old.quarantined;
      row.deferred += old.deferred;
    }
    this.#totals.connectionsFrom += before.totals.connectionsFrom;
    this.#totals.connectionsTo += before.totals.connectionsTo;
    this.#totals.connectionsRejected += before.totals.connectionsRejected;
  }
}
