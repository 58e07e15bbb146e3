// How V8 keeps its heap. A gateway has little to keep, and a heap that may not grow ahead of need halves its memory at the same
// speed (performance.md).

import { setFlagsFromString } from "node:v8";

/** Old space is collected when it has grown by this much, in percent, not by V8's guess of up to four times. */
const GROWING_PERCENT = 20;

/**
 * From now on the heap grows in small steps. Said by the program when it is up, and not on Node's command line: V8 names the
 * options of the command line in its code caches, Node's own among them, and would compile all of Node anew at every start.
 */
export function growHeapSlowly(): void {
  setFlagsFromString(`--heap-growing-percent=${GROWING_PERCENT}`);
}
