// A clock that only moves when told: timers fire in order as time passes. Wall time can be set apart from it.

import type { Clock } from "../../src/sys/clock.ts";

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly fn: () => void;
}

export class SimClock implements Clock {
  #now = 0;
  #wallOffset: number;
  #order = 0;
  #timers: Timer[] = [];

  constructor(wallMs = Date.UTC(2026, 10, 22, 6, 43, 0)) {
    this.#wallOffset = wallMs;
  }

  monotonicMs(): number {
    return this.#now;
  }

  wallMs(): number {
    return this.#wallOffset + this.#now;
  }

  /** The wall clock jumps; monotonic time does not. */
  setWall(ms: number): void {
    this.#wallOffset = ms - this.#now;
  }

  after(ms: number, fn: () => void): () => void {
    const timer = { at: this.#now + Math.max(ms, 0), order: this.#order++, fn };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((t) => t !== timer);
    };
  }

  get pending(): number {
    return this.#timers.length;
  }

  /** Lets `ms` pass; whatever work a timer starts settles before the next one fires. */
  async pass(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      await settle();
      const due = this.#timers.filter((t) => t.at <= end).sort((a, b) => a.at - b.at || a.order - b.order)[0];
      if (due === undefined) break;
      this.#timers = this.#timers.filter((t) => t !== due);
      this.#now = Math.max(this.#now, due.at);
      due.fn();
    }
    this.#now = end;
    await settle();
  }
}

/** Lets everything run that needs no time. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 12; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}
