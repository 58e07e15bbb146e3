// How long a client may keep us waiting: one deadline per thing that it owes us (a command, a message, an AUTH response), never
// put off by single bytes, and none while the client waits for us (reliability RES-02). Monotonic time only.

import type { Clock } from "../sys/clock.ts";

export class Patience {
  readonly #clock: Clock;
  /** Monotonic milliseconds; 0: nothing is owed. */
  #deadlineMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get waiting(): boolean {
    return this.#deadlineMs !== 0;
  }

  /** Something is due within `ms`; 0: whenever. */
  expect(ms: number): void {
    this.#deadlineMs = ms > 0 ? this.#clock.monotonicMs() + ms : 0;
  }

  nothing(): void {
    this.#deadlineMs = 0;
  }

  /** Stops the clock while we work: milliseconds that were left, 0 when nothing was due. */
  hold(): number {
    const left = this.#deadlineMs === 0 ? 0 : Math.max(1, this.#deadlineMs - this.#clock.monotonicMs());
    this.#deadlineMs = 0;
    return left;
  }

  /** Is it over, `graceMs` included? */
  over(nowMs: number, graceMs: number): boolean {
    return this.#deadlineMs !== 0 && nowMs >= this.#deadlineMs + graceMs;
  }
}
