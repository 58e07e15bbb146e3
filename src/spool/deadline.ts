// DELIVERBY (RFC 2852): when a message's time is up, and a timer so that it is looked at then, not at the next queue run.
// Nothing depends on the timer alone: every attempt judges the time too.

import type { Clock } from "../sys/clock.ts";
import type { Entry } from "./entry.ts";

/** The timer of the longest wait that a clock can be asked for; what is later is seen by queue runs. */
const WAIT_MS_MAX = 20 * 24 * 3600 * 1000;

/** Milliseconds that are left to the message at spool time `nowMs` (0 or less: none); null when the sender set no time. */
export function leftMs(entry: Entry, nowMs: number): number | null {
  const { deliverBy } = entry;
  return deliverBy === null || deliverBy === undefined
    ? null
    : deliverBy.seconds * 1000 - (nowMs - entry.arrivedSpoolMs);
}

/** True when the message must not be delivered any more (mode R). */
export function isOverdue(entry: Entry, nowMs: number): boolean {
  const left = leftMs(entry, nowMs);
  return entry.deliverBy?.mode === "R" && left !== null && left <= 0;
}

/** One timer for each message that waits for its time. */
export class Deadlines {
  readonly #clock: Clock;
  readonly #timers = new Map<string, () => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `judge` once when the message's time is up, unless it is watched already or has no time. */
  watch(entry: Entry, nowMs: number, judge: () => void): void {
    const left = leftMs(entry, nowMs);
    if (left === null || left <= 0 || left > WAIT_MS_MAX || this.#timers.has(entry.id)) return;
    const cancel = this.#clock.after(left + 1, () => {
      this.#timers.delete(entry.id);
      judge();
    });
    this.#timers.set(entry.id, cancel);
  }

  /** The message is gone. */
  forget(id: string): void {
    this.#timers.get(id)?.();
    this.#timers.delete(id);
  }

  stop(): void {
    for (const id of [...this.#timers.keys()]) this.forget(id);
  }
}
