// Time and timers, the only place that reads them. Wall time is hostile (1970 at boot):
// retries and limits use monotonicMs().

/** What the rest of the program sees of time; tests give a simulated one. */
export interface Clock {
  /** Milliseconds that only grow; the origin is arbitrary. */
  monotonicMs(): number;
  /** Wall-clock milliseconds since 1970; may be wrong or jump. */
  wallMs(): number;
  /** Calls `fn` once after `ms`; the result cancels it. */
  after(ms: number, fn: () => void): () => void;
}

export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  after(ms, fn) {
    const timer = setTimeout(fn, Math.min(Math.max(ms, 0), 0x7fffffff));
    return () => clearTimeout(timer);
  },
};

/** Resolves after `ms` on `clock`. */
export function sleep(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(ms, resolve);
  });
}
