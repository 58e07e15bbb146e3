// Spool time: milliseconds that only grow, across restarts, and by which queued mail ages. It runs on the monotonic clock; the time
// that the device was off is added only when the wall clock can be trusted, and never more than a day at one start.
// So a clock at 1970, or one that jumps, expires nothing early (house rule 10).

import { DOWNTIME_CREDIT_MS_MAX } from "../base/limits.ts";
import type { Clock } from "../sys/clock.ts";

/** A moment as the log keeps it. */
export interface Moment {
  readonly spoolMs: number;
  readonly wallMs: number;
  /** Whether the wall clock was believed then. */
  readonly trusted: boolean;
}

export class SpoolTime {
  readonly #clock: Clock;
  readonly #floorMs: number;
  readonly #startedMs: number;
  readonly #last: Moment;
  #credit = 0;
  #credited = false;

  /** `last` is the newest moment in the log (zeros when it is empty); `floorMs` a wall time that has certainly passed. */
  constructor(clock: Clock, floorMs: number, last: Moment) {
    this.#clock = clock;
    this.#floorMs = Math.max(floorMs, last.trusted ? last.wallMs : 0);
    this.#startedMs = clock.monotonicMs();
    this.#last = last;
    this.notice();
  }

  /** Milliseconds of spool time. */
  now(): number {
    return this.#last.spoolMs + this.#credit + (this.#clock.monotonicMs() - this.#startedMs);
  }

  moment(): Moment {
    return { spoolMs: this.now(), wallMs: this.#clock.wallMs(), trusted: this.trusted() };
  }

  /** The wall clock shows nothing that is certainly past. */
  trusted(): boolean {
    return this.#clock.wallMs() >= this.#floorMs;
  }

  /** To be called now and then: a clock that has become trustworthy tells how long the device was off. */
  notice(): void {
    if (this.#credited || !this.trusted()) return;
    this.#credited = true;
    if (!this.#last.trusted) return;
    const running = this.#clock.monotonicMs() - this.#startedMs;
    const off = this.#clock.wallMs() - this.#last.wallMs - running;
    this.#credit = Math.min(Math.max(off, 0), DOWNTIME_CREDIT_MS_MAX);
  }
}
