// The quiet after work: two seconds in which nobody connected, nothing was accepted and no delivery ended. Then the memory that the
// work has used is given back (sys/heap.ts): collecting everything takes 20 to 65 ms, which nobody waits for now.
// Once for the start and once for each piece of work, so that an idle gateway does nothing.

import type { Clock } from "../sys/clock.ts";

/** How often is looked: the quiet lasts this long at least, and less than twice as long. */
const LOOK_MS = 2000;

/** `done`: a number that grows with each piece of work. Calls `rest` when it has stopped growing; the result ends the watch. */
export function watchQuiet(clock: Clock, done: () => number, rest: () => void): () => void {
  let seen = -1;
  let rested = -1;
  let cancel = clock.after(LOOK_MS, look);
  function look(): void {
    const now = done();
    if (now === seen && now !== rested) {
      rested = now;
      rest();
    }
    seen = now;
    cancel = clock.after(LOOK_MS, look);
  }
  return () => cancel();
}
