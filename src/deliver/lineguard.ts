// The last look at a message before it leaves: what goes out is CRLF lines of at most L= bytes, dots stuffed, and nothing else.
// Bodies that smtpd's data gate has proved clean (BodyForm.lineMax) do not come here (payload.ts); of the others a clean chunk passes
// untouched after one scan.
// What is not clean is repaired: a stray CR, LF or NUL becomes a blank (as Postfix does), a line longer than L= is cut with "!"
// and goes on after a blank (Sendmail's putbody, semantics section 18). So no message of ours can end early at the next hop.

const CR = 13;
const LF = 10;
const DOT = 46;
const BLANK = 32;
const BANG = 33;
const CRLF = Buffer.from("\r\n");
const NOTHING = Buffer.alloc(0);
/** Bytes that the slow path collects before it makes a buffer of them. */
const LINE_PIECE_BYTES = 65536;

export class LineGuard {
  readonly #lineMax: number;
  /** Input lines already carry an extra dot (bodies); without it (headers) the guard adds it. */
  readonly #stuffed: boolean;
  /** Content bytes of the line that is being passed on. */
  #column = 0;
  /** Last bytes that say nothing without the next: a CR, a dot that begins a line, the byte that fills a line. */
  #held: Buffer | null = null;

  /** lineMax: L= of the mailer, 0 for no limit. */
  constructor(lineMax: number, stuffed: boolean) {
    this.#lineMax = lineMax > 0 ? Math.max(lineMax, 4) : 0;
    this.#stuffed = stuffed;
  }

  /** The bytes to send for `chunk`, in order. */
  push(chunk: Buffer): Buffer {
    const data = this.#held === null ? chunk : Buffer.concat([this.#held, chunk]);
    this.#held = null;
    let used = data.length;
    if (used > 0 && this.#undecided(data)) used--;
    const column = this.#cleanColumn(data.subarray(0, used));
    if (column < 0) return this.#repair(data, used);
    // The last byte of a full line: an end or a cut follows it.
    const full = this.#lineMax > 0 && column === this.#lineMax ? 1 : 0;
    this.#column = column - full;
    return this.#keep(data, used - full);
  }

  /** What is still held back, and the last line's CRLF where it is missing. */
  end(): Buffer {
    const held = this.#held;
    this.#held = null;
    if (held === null) {
      const open = this.#column > 0;
      this.#column = 0;
      return open ? CRLF : NOTHING;
    }
    const last = held[held.length - 1] === CR ? held.subarray(0, held.length - 1) : held;
    const data = Buffer.concat([last, CRLF]);
    return this.#repair(data, data.length);
  }

  /** The first `used` bytes of `data`; the rest waits for the next chunk. */
  #keep(data: Buffer, used: number): Buffer {
    if (used === data.length) return data;
    this.#held = Buffer.from(data.subarray(used));
    return data.subarray(0, used);
  }

  #undecided(data: Buffer): boolean {
    const last = data[data.length - 1];
    if (last === CR) return true;
    return last === DOT && (data.length === 1 ? this.#column === 0 : data[data.length - 2] === LF);
  }

  /** Column after `data` when it can pass as it is, -1 when it cannot. */
  #cleanColumn(data: Buffer): number {
    if (data.length === 0) return this.#column;
    if (data.includes(0)) return -1;
    const max = this.#lineMax === 0 ? Number.MAX_SAFE_INTEGER : this.#lineMax;
    let start = 0;
    let column = this.#column;
    for (;;) {
      const end = data.indexOf(LF, start);
      const to = end < 0 ? data.length : end;
      const cr = data.indexOf(CR, start);
      // Exactly one CR, right before the LF; none in a line that goes on.
      if (end >= 0 ? cr < 0 || cr !== end - 1 : cr >= 0) return -1;
      const length = to - start - (end < 0 ? 0 : 1);
      if (column === 0 && length > 0 && data[start] === DOT) {
        // ".." at the start of a body line is one dot of content; any other dot there was never stuffed.
        if (!this.#stuffed || data[start + 1] !== DOT) return -1;
        column = -1;
      }
      if (column + length > max) return -1;
      if (end < 0) return length > 0 ? column + length : Math.max(column, 0);
      column = 0;
      start = end + 1;
      if (start === data.length) return 0;
    }
  }

  /** Byte by byte: correct for anything. Looks at the first `used` bytes of `data`; what it cannot decide yet is held back. */
  #repair(data: Buffer, used: number): Buffer {
    const out: Buffer[] = [];
    let line: number[] = [];
    const flush = (): void => {
      if (line.length > 0) out.push(Buffer.from(line));
      line = [];
    };
    let i = 0;
    for (; i < used; i++) {
      if (data[i] === CR && data[i + 1] === LF && i + 1 < used) {
        line.push(CR, LF);
        this.#column = 0;
        i++;
        flush();
        continue;
      }
      if (this.#full() && i + 2 >= data.length) break;
      i += this.#content(line, data, i);
      if (line.length >= LINE_PIECE_BYTES) flush();
    }
    flush();
    this.#keep(data, i);
    return Buffer.concat(out);
  }

  #full(): boolean {
    return this.#lineMax > 0 && this.#column >= this.#lineMax - 1;
  }

  /** Passes on one byte of content; returns how many further input bytes it used. */
  #content(line: number[], data: Buffer, at: number): number {
    const raw = data[at] ?? 0;
    const byte = raw === CR || raw === LF || raw === 0 ? BLANK : raw;
    if (this.#column === 0 && byte === DOT) {
      line.push(DOT, DOT);
      this.#column = 1;
      return this.#stuffed && data[at + 1] === DOT ? 1 : 0;
    }
    // The byte that fills the line may stand there only when the line ends after it.
    if (this.#full() && !(data[at + 1] === CR && data[at + 2] === LF)) {
      line.push(BANG, CR, LF, BLANK);
      this.#column = 1;
    }
    line.push(byte);
    this.#column++;
    return 0;
  }
}
