// How loaded the machine is, as the kernel counts it. Read at most once a second (the kernel itself looks every five), and only where
// the configuration has a limit for it.

import { loadavg } from "node:os";

const READ_MS = 1000;

let load = 0;
let readAtMs = Number.NEGATIVE_INFINITY;

/** Load average of the last minute, to the nearest whole number as Sendmail compares it. */
export function loadAverage(): number {
  const now = performance.now();
  if (now - readAtMs >= READ_MS) {
    readAtMs = now;
    load = Math.floor((loadavg()[0] ?? 0) + 0.5);
  }
  return load;
}
