// How much memory there is for all: the machine's, or what a control group leaves of it. Limits of what one message may
// cost follow it. Asked once, so that asking costs nothing.

import { totalmem } from "node:os";

/** 0: not asked yet; the answer comes from files of the kernel. */
let known = 0;

function memoryBytes(): number {
  if (known === 0) {
    const constrained = process.constrainedMemory();
    known = constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
  }
  return known;
}

/** `share` of the machine's memory in bytes, not less than `least` and not more than `most`. */
export function memoryShare(share: number, least: number, most: number): number {
  return Math.max(least, Math.min(most, Math.floor(memoryBytes() * share)));
}
