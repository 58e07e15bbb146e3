// The thread in which one target runs, so that a case which never ends can be stopped and named. It tells which case it is at in
// shared memory: [number of the case].

import { parentPort, workerData } from "node:worker_threads";
import { Chance } from "./chance.ts";
import { TARGETS } from "./targets.ts";

interface Work {
  readonly target: string;
  readonly seed: number;
  /** First case; with `cases` = 1 the only one. */
  readonly first: number;
  readonly cases: number;
  readonly limitMs: number;
  readonly at: SharedArrayBuffer;
}

/** Seed of a case: neighbours have nothing in common. */
function seedOf(seed: number, number: number): number {
  return Math.imul(seed ^ Math.imul(number + 1, 0x9e3779b1), 0x85ebca6b) >>> 0;
}

const { target, seed, first, cases, limitMs, at } = workerData as Work;
const current = new Uint32Array(at);
const run = TARGETS.get(target);
const end = performance.now() + limitMs;
let number = first;
let failure: string | null = null;
for (; number < first + cases && performance.now() < end && run !== undefined; number++) {
  Atomics.store(current, 0, number);
  try {
    await run(new Chance(seedOf(seed, number)));
  } catch (e) {
    failure = e instanceof Error ? (e.stack ?? e.message) : String(e);
    break;
  }
}
parentPort?.postMessage({ done: number - first, number, failure });
