// The event loop's next turn: work that waits one turn can be shared by everything that arrives in this one
// (the queue's log syncs once for all messages that came together), and long work gives way to what has arrived.

import { SLICE_MS } from "../base/limits.ts";

/** Calls `fn` after the input of this turn has been served. */
export function nextTurn(fn: () => void): void {
  setImmediate(fn);
}

/** When the present slice began; one for all, so that many long works together take no longer than one. */
let sliceBeganMs = 0;

/** A place in long work where others may have their turn: resolves at once until SLICE_MS are used up, then after what has arrived. */
export function breath(): Promise<void> | undefined {
  const now = performance.now();
  if (now - sliceBeganMs < SLICE_MS) return undefined;
  return new Promise((resolve) => {
    setImmediate(() => {
      // The first of those who waited begins the next slice.
      const resumed = performance.now();
      if (resumed - sliceBeganMs >= SLICE_MS) sliceBeganMs = resumed;
      resolve();
    });
  });
}
