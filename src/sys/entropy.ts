// Randomness, the only place that makes it,
// so that tests can give a seeded source.

import { randomBytes } from "node:crypto";

export interface Entropy {
  bytes(count: number): Buffer;
  /** 0 <= n < limit, limit at most 2^32. */
  below(limit: number): number;
}

export const systemEntropy: Entropy = {
  bytes: (count) => randomBytes(count),
  below: (limit) => Math.floor((randomBytes(4).readUInt32LE(0) / 2 ** 32) * limit),
};
