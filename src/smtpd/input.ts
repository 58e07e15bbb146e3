// Bytes of a client that nobody has read yet: lines for commands, the rest for the data gate. Bounded by its owner, who stops
// reading the socket; a line that is longer than it may be is known before its end has come.

const LF = 10;
const CR = 13;
const NOTHING = Buffer.alloc(0);

export class Input {
  #bytes: Buffer = NOTHING;
  #at = 0;

  /** Bytes that wait. */
  get waiting(): number {
    return this.#bytes.length - this.#at;
  }

  add(chunk: Buffer): void {
    this.#bytes = this.waiting === 0 ? chunk : Buffer.concat([this.#bytes.subarray(this.#at), chunk]);
    this.#at = 0;
  }

  clear(): void {
    this.#bytes = NOTHING;
    this.#at = 0;
  }

  /** The first characters that wait, one per byte. */
  peek(count: number): string {
    return this.#bytes.toString("latin1", this.#at, this.#at + count);
  }

  /**
   * The next line without its end, one character per byte; null when it has not come yet; a number, its bytes so far, when it is
   * longer than `max` bytes with its end. A bare LF ends a command as CRLF does (reliability SMUG-19).
   */
  line(max: number): string | number | null {
    const lf = this.#bytes.indexOf(LF, this.#at);
    const length = (lf < 0 ? this.#bytes.length : lf + 1) - this.#at;
    if (length > max) return length;
    if (lf < 0) return null;
    const end = lf > this.#at && this.#bytes[lf - 1] === CR ? lf - 1 : lf;
    const line = this.#bytes.toString("latin1", this.#at, end);
    this.#at = lf + 1;
    return line;
  }

  /** Gives what waits to `take`, which returns the index after the last byte it used. */
  give(take: (bytes: Buffer, from: number) => number): void {
    this.#at = take(this.#bytes, this.#at);
    if (this.waiting === 0) this.clear();
  }
}
