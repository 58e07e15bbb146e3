// Queue ids in the shape of Sendmail's (eight letters or digits, six digits), unique without asking a clock: the number of the
// boot (synced before the first id of that boot can reach flash), twelve random bits and a counter.

import type { Entropy } from "../sys/entropy.ts";

const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const ID = /^[0-9A-Za-z]{14}$/;
export const ID_BYTES = 14;
const BOOTS = 2 ** 20;
const RANDOMS = 2 ** 12;
/** How often the six digits may run over in one boot; then the next boot's numbers would be taken. */
const ROUNDS = 2 ** 15;

export function isQueueId(text: string): boolean {
  return ID.test(text);
}

/** Makes the ids of one boot. */
export function idMaker(boot: number, entropy: Entropy): () => string {
  const random = entropy.below(RANDOMS);
  let count = 0;
  return () => {
    const round = Math.floor(count / 1_000_000) % ROUNDS;
    let high = ((boot % BOOTS) * RANDOMS + random) * ROUNDS + round;
    let text = "";
    for (let i = 0; i < 8; i++) {
      text = DIGITS.charAt(high % 62) + text;
      high = Math.floor(high / 62);
    }
    return text + String(count++ % 1_000_000).padStart(6, "0");
  };
}
