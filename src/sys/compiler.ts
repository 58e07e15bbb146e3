// How far V8 compiles what runs often, and what that may cost. Its last compiler, TurboFan, works in threads of its own for milliseconds at
// a time, and on a small machine the mail in hand, its client and the disk wait behind them: it is the likeliest cause of the slowest
// hundredth of messages (performance.md). Maglev, the compiler before it, costs a tenth to a fifth more CPU with
// large bodies and none with small ones. What a compilation has used is freed by a thread of low rank, which on a busy machine has no
// turn for seconds while some hundreds of functions are compiled: 10 to 30 MB. The main thread frees it at once.

import { setFlagsFromString } from "node:v8";

/** What is switched off when the program is up. A code cache names all such words, so it is made with these still on (scripts/warm.ts). */
export const SWITCHED_OFF: readonly string[] = ["turbofan", "maglev-destroy-on-background"];

/** From now on Maglev's code is the last, and compilations are cleared away at once. Said at run time: a start is too short for it to matter. */
export function compileBriefly(): void {
  for (const word of SWITCHED_OFF) setFlagsFromString(`--no-${word}`);
}
