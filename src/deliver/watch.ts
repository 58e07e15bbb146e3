// One coarse timer for all waits of the mailers, instead of one timer per command: a timer per reply costs more than the reply.
// Promises that a wait ends at most one tick after its deadline, and that no timer runs when nothing waits.

import type { Clock } from "../sys/clock.ts";

/** Something that waits. `expire` is called once, after `deadlineMs` of the monotonic clock has passed. */
export interface Waiting {
  deadlineMs: number;
  expire(): void;
}

/** Longest time that a wait can last beyond its deadline, milliseconds. */
const TICK_MS_MAX = 1000;
const TICK_MS_MIN = 20;

export class Watch {
  readonly #clock: Clock;
  readonly #tickMs: number;
  readonly #waiting = new Set<Waiting>();
  #ticking = false;

  /** `shortestMs`: the shortest time that anybody will wait; the tick is a quarter of it, within bounds. */
  constructor(clock: Clock, shortestMs: number) {
    this.#clock = clock;
    this.#tickMs = Math.min(TICK_MS_MAX, Math.max(TICK_MS_MIN, Math.trunc(shortestMs / 4)));
  }

  nowMs(): number {
    return this.#clock.monotonicMs();
  }

  enter(item: Waiting): void {
    this.#waiting.add(item);
    if (this.#ticking) return;
    this.#ticking = true;
    this.#arm();
  }

  leave(item: Waiting): void {
    this.#waiting.delete(item);
  }

  #arm(): void {
    this.#clock.after(this.#tickMs, () => {
      const now = this.#clock.monotonicMs();
      for (const item of this.#waiting) {
        if (item.deadlineMs > now) continue;
        this.#waiting.delete(item);
        item.expire();
      }
      if (this.#waiting.size > 0) this.#arm();
      else this.#ticking = false;
    });
  }
}
