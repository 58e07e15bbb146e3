// Random choices that a seed gives again, and random damage to texts and bytes. One Chance is one case of the fuzzer.

/** A stream of choices from a seed (mulberry32). */
export class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 0 <= number < 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number below `limit`. */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  /** One of a list that is not empty. */
  pick<T>(from: readonly T[]): T {
    const found = from[this.below(from.length)];
    if (found === undefined) throw new Error("nothing to pick from");
    return found;
  }

  /** Random bytes. */
  bytes(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.below(256)));
  }

  /** `input` in pieces as a network would cut it; together they are the same bytes. */
  pieces(input: Buffer): Buffer[] {
    const pieces: Buffer[] = [];
    const longest = this.pick([1, 3, 40, 1500, 70_000]);
    for (let at = 0; at < input.length; ) {
      const end = Math.min(input.length, at + 1 + this.below(longest));
      // A copy: whoever keeps a view of a buffer that is used again shall be found out.
      pieces.push(Buffer.from(input.subarray(at, end)));
      at = end;
    }
    return pieces;
  }

  /** `input` with a few changes: bytes flipped, cut out, doubled, exchanged, words of `dictionary` put in. */
  mutate(input: Buffer, dictionary: readonly string[], rounds = 1 + this.below(6)): Buffer {
    let bytes = input;
    for (let n = 0; n < rounds; n++) bytes = this.#change(bytes, dictionary);
    return bytes;
  }

  #change(bytes: Buffer, dictionary: readonly string[]): Buffer {
    const at = this.below(bytes.length + 1);
    const to = Math.min(bytes.length, at + 1 + this.below(this.pick([1, 8, 200])));
    const [head, middle, tail] = [bytes.subarray(0, at), bytes.subarray(at, to), bytes.subarray(to)];
    switch (this.below(7)) {
      case 0:
        return Buffer.concat([head, tail]);
      case 1:
        return Buffer.concat([head, middle, middle, tail]);
      case 2:
        return Buffer.concat([head, this.bytes(1 + this.below(8)), tail]);
      case 3:
        return Buffer.concat([tail, middle, head]);
      case 4: {
        const many = Array.from({ length: 1 + this.below(300) }, () => middle);
        return Buffer.concat([head, ...many, tail]).subarray(0, 1 << 16);
      }
      case 5: {
        const flipped = Buffer.from(bytes);
        if (at < flipped.length) flipped[at] = (flipped[at] ?? 0) ^ (1 << this.below(8));
        return flipped;
      }
      default:
        return Buffer.concat([head, Buffer.from(this.pick(dictionary), "latin1"), middle, tail]);
    }
  }
}
