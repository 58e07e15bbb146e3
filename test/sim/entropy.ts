// Entropy from a seed, so that a failing run can be repeated.

import type { Entropy } from "../../src/sys/entropy.ts";

export class SimEntropy implements Entropy {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0 || 1;
  }

  /** xorshift32 */
  next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state;
  }

  bytes(count: number): Buffer {
    const out = Buffer.alloc(count);
    for (let i = 0; i < count; i++) out[i] = this.next() & 0xff;
    return out;
  }

  below(limit: number): number {
    return this.next() % limit;
  }
}
