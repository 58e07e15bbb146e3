// Wrong passwords by client address, over all connections of a while: who hangs up after each guess is slowed all the same.
// Bounded: the address that has been quiet for longest is forgotten first.

import {
  AUTH_FAILURE_DELAY_MS,
  GUESS_ADDRESSES_MAX,
  GUESS_DELAY_MS_MAX,
  GUESS_MEMORY_MS,
} from "../base/limits.ts";
import type { Clock } from "../sys/clock.ts";

interface Count {
  failures: number;
  lastMs: number;
}

export class Guesses {
  readonly #clock: Clock;
  /** In the order of the last failure. */
  readonly #counts = new Map<string, Count>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  #of(address: string): Count | undefined {
    const count = this.#counts.get(address);
    if (count === undefined || this.#clock.monotonicMs() - count.lastMs <= GUESS_MEMORY_MS) return count;
    this.#counts.delete(address);
    return undefined;
  }

  /** Wrong guesses of this address that are remembered. */
  failures(address: string): number {
    return this.#of(address)?.failures ?? 0;
  }

  /** Counts one more: milliseconds that its answer has to wait. */
  failed(address: string): number {
    const failures = this.failures(address) + 1;
    this.#counts.delete(address);
    this.#counts.set(address, { failures, lastMs: this.#clock.monotonicMs() });
    if (this.#counts.size > GUESS_ADDRESSES_MAX) {
      const [quietest] = this.#counts.keys();
      if (quietest !== undefined) this.#counts.delete(quietest);
    }
    return Math.min(failures * AUTH_FAILURE_DELAY_MS, GUESS_DELAY_MS_MAX);
  }

  /** The address knew a password. */
  succeeded(address: string): void {
    this.#counts.delete(address);
  }
}
