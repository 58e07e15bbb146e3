// How far V8 compiles what runs often. Its last compiler, TurboFan, works in threads of its own for milliseconds at a time, and on a
// small machine the mail in hand, its client and the disk wait behind them: it is the likeliest cause of the slowest hundredth of messages
// (performance.md). Maglev, the compiler before it, costs a tenth to a fifth more CPU with
// large bodies and none with small ones.

import { setFlagsFromString } from "node:v8";

/** From now on Maglev's code is the last. Said at run time: a start is too short for it to matter. */
export function compileBriefly(): void {
  setFlagsFromString("--no-turbofan");
}
