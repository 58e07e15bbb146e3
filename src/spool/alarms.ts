// What somebody must look at: messages that the program holds, records and segments that are damaged or missing. Each is said in the log
// by whoever found it; here the postmaster is told, in one letter for all that comes within a moment.

import type { Clock } from "../sys/clock.ts";

/** Milliseconds that an alarm waits for company, and for the next try when the letter could not be stored. */
const COMPANY_MS = 1000;
const RETRY_MS = 60_000;
/** Lines of one letter; the log has all. */
const LINES_MAX = 100;
const SUBJECT = "mail that is damaged or held";
const WORDS = [
  "The queue of this gateway needs somebody to look at it. Held mail is listed by mailq -qQ, damaged records by",
  "postern spool verify; postern spool release gives held mail free, postern spool reinject sends what can be read",
  "of a damaged record. What is held by the gateway itself comes back to its sender when its time is over.",
  "",
];

/** Makes a letter to the postmaster durable; false when that is not possible now. */
type Announce = (subject: string, lines: readonly string[]) => Promise<boolean>;

export class Alarms {
  readonly #lines: string[] = [];
  #clock: Clock | null = null;
  #announce: Announce | null = null;
  #started = false;
  #timer: (() => void) | null = null;
  #telling = false;

  /** One line about one thing. */
  add(line: string): void {
    this.#lines.push(line);
    this.#soon(COMPANY_MS);
  }

  /** How the postmaster is told. */
  tell(clock: Clock, announce: Announce): void {
    this.#clock = clock;
    this.#announce = announce;
  }

  /** Letters can leave from now on. */
  start(): void {
    this.#started = true;
    this.#soon(COMPANY_MS);
  }

  stop(): void {
    this.#started = false;
    this.#timer?.();
    this.#timer = null;
  }

  #soon(ms: number): void {
    if (!this.#started || this.#telling || this.#timer !== null || this.#lines.length === 0) return;
    this.#timer =
      this.#clock?.after(ms, () => {
        this.#timer = null;
        void this.#send();
      }) ?? null;
  }

  async #send(): Promise<void> {
    const announce = this.#announce;
    if (announce === null) return;
    this.#telling = true;
    const count = this.#lines.length;
    const more = count > LINES_MAX ? [`and ${count - LINES_MAX} more: see the log`] : [];
    const stored = await announce(SUBJECT, [...WORDS, ...this.#lines.slice(0, LINES_MAX), ...more]);
    this.#telling = false;
    if (stored) this.#lines.splice(0, count);
    this.#soon(stored ? COMPANY_MS : RETRY_MS);
  }
}
