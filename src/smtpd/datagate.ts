// The data gate: message bytes after 354, from the wire to the draft (RFC 5321 4.5.2; reliability 3.1).
// Only CRLF.CRLF ends a message. A bare CR or LF ends the gate at once (421 4.5.0); NUL, size and header limits are noted
// and answered after the true end. The body keeps its wire form (dots stuffed), the header is collected without stuffing.
// The result is the same however TCP cuts the stream: nothing here depends on where a chunk ends.

import { HEADER_BYTES_MAX, HEADER_NAME_BYTES_MAX } from "../base/limits.ts";
import { isFromLine } from "../mail/fromline.ts";

const NUL = 0;
const TAB = 9;
const LF = 10;
const CR = 13;
const SPACE = 32;
const DASH = 45;
const DOT = 46;
const COLON = 58;

/** Where the scanner stands in a line. */
const LINE_START = 0;
const AFTER_DOT = 1;
const AFTER_DOT_CR = 2;
const TEXT = 3;
const AFTER_CR = 4;

/** Chunks from this length on are searched by words of four bytes. */
const WORDWISE_BYTES_MIN = 64;
const WORD_BYTES = 4;
/** The top bit of each byte of a word, as a signed number. */
const TOP_BITS = 0x80808080 | 0;
const NO_WORDS = new Int32Array(0);

const HELD_DOT = Buffer.from(".");
const HELD_DOT_CR = Buffer.from(".\r");
const RECEIVED = "received:";

/** open: more data wanted; end: the final dot was seen; the others say what broke the protocol. */
export type GateState = "open" | "end" | "bare-cr" | "bare-lf";

export interface GateLimits {
  /** MaxMessageSize in bytes as RFC 1870 counts them, 0: none. */
  readonly sizeMax: number;
  /** MaxHeadersLength in bytes, 0: only the built-in bound. */
  readonly headerMax: number;
  /** Look for bytes above 127 (EightBitMode strict); costs a second look at each byte. */
  readonly watchEightBit?: boolean;
  /** Take the eighth bit off each byte (SevenBitInput). */
  readonly sevenBit?: boolean;
}

/** Takes body bytes in wire form; a promise asks the caller to wait (back-pressure). */
export type BodySink = (chunk: Buffer) => Promise<void> | undefined;

/** The part of `chunk` that can be read as words, and how many bytes (0 to 3) it begins before the chunk's first. */
function wordsOf(chunk: Buffer): { readonly words: Int32Array; readonly shift: number } {
  if (chunk.length < WORDWISE_BYTES_MIN) return { words: NO_WORDS, shift: 0 };
  const shift = chunk.byteOffset & (WORD_BYTES - 1);
  const words = new Int32Array(chunk.buffer, chunk.byteOffset - shift, (chunk.length + shift) >> 2);
  return { words, shift };
}

/** The first byte of `chunk` from `i` on that is at most CR, or its end: no CR, LF or NUL is passed over. */
function endOfText(chunk: Buffer, from: number, words: Int32Array, shift: number): number {
  const n = chunk.length;
  let i = from;
  while (i < n && (chunk[i] as number) > CR) {
    i++;
    if (((i + shift) & (WORD_BYTES - 1)) !== 0) continue;
    let at = (i + shift) >> 2;
    // Four bytes at once: into the top bit of each byte goes whether any of its upper four is set; where none is, it is below 16.
    // Shifts only: a subtraction would leave the numbers that a processor counts with.
    for (; at < words.length; at++) {
      let word = words[at] as number;
      word |= word << 1;
      word |= word << 2;
      if ((word & TOP_BITS) !== TOP_BITS) break;
    }
    i = at * WORD_BYTES - shift;
  }
  return i;
}

type LineKind = "field" | "continuation" | "blank" | "from" | "body" | "undecided";

/** Is this the start of a header field? Sendmail's isheader(): a name without blanks, blanks, a colon. */
function fieldKind(line: Buffer, at: number, end: number): LineKind {
  if (end - at >= 2 && line[at] === DASH && line[at + 1] === DASH) return "body";
  const stop = Math.min(end, at + HEADER_NAME_BYTES_MAX);
  let i = at;
  while (i < stop) {
    const c = line[i] as number;
    // 8-bit bytes are negative characters to Sendmail: no field name.
    if (c <= SPACE || c === COLON || c > 0x7e) break;
    i++;
  }
  if (i === at && i < stop) return "body";
  while (i < stop && (line[i] === SPACE || line[i] === TAB)) i++;
  if (i < stop) return line[i] === COLON ? "field" : "body";
  return stop < end || stop === at + HEADER_NAME_BYTES_MAX ? "body" : "undecided";
}

export class DataGate {
  state: GateState = "open";
  /** What the last body write asked to wait for. */
  pending: Promise<void> | undefined = undefined;
  /** Received fields seen in the header. */
  hops = 0;
  hasNul = false;
  /** The mbox line on top, which is no part of the message; null when there was none. */
  fromLine: Buffer | null = null;
  headerTooLarge = false;
  /** Set only when `watchEightBit` asked for it. */
  hasEightBit = false;

  readonly #sizeMax: number;
  readonly #headerMax: number;
  /** A line that is longer is refused or body before its end has come; long enough to tell which. */
  readonly #lineMax: number;
  readonly #sink: BodySink;
  readonly #watchEightBit: boolean;
  readonly #sevenBit: boolean;
  #scan = LINE_START;
  /** Bytes of the current line that came in earlier chunks. */
  #lineBytes = 0;
  /** No line seen so far is longer; its CRLF is not counted. */
  #longest = 1;
  /** A line began with a dot that stands alone: the client does not stuff. */
  #unstuffed = false;
  /** Wire bytes of earlier chunks; at the end without the dot line. */
  #wire = 0;
  #stuffed = 0;
  #dropping = false;
  #inHeader = true;
  /** Start of the current header line when it began in an earlier chunk. */
  #carry: Buffer[] = [];
  #carryBytes = 0;
  #fields: Buffer[] = [];
  #fieldBytes = 0;
  #firstLine = true;

  constructor(limits: GateLimits, sink: BodySink) {
    this.#sizeMax = limits.sizeMax > 0 ? limits.sizeMax : Number.POSITIVE_INFINITY;
    this.#headerMax = limits.headerMax > 0 ? limits.headerMax : HEADER_BYTES_MAX;
    this.#lineMax = Math.max(this.#headerMax, 2 * HEADER_NAME_BYTES_MAX);
    this.#sink = sink;
    this.#watchEightBit = limits.watchEightBit === true;
    this.#sevenBit = limits.sevenBit === true;
  }

  /** Message bytes so far: CRLF counts two, stuffing dots none. */
  get size(): number {
    return this.#wire - this.#stuffed - this.#held;
  }

  /** Bytes at the end of what was seen that may turn out to be the final dot. */
  get #held(): number {
    return this.#scan === AFTER_DOT ? 1 : this.#scan === AFTER_DOT_CR ? 2 : 0;
  }

  /** BodyForm.lineMax of the body that was handed on: at least its longest line, 0 when something in it is not clean. */
  get lineMax(): number {
    return this.state !== "end" || this.#dropping || this.#unstuffed || this.hasNul ? 0 : this.#longest;
  }

  get tooLarge(): boolean {
    return this.size > this.#sizeMax;
  }

  /** The header fields collected, CRLF lines, not stuffed, without the blank line. */
  header(): Buffer {
    return Buffer.concat(this.#fields, this.#fieldBytes);
  }

  /** Takes `chunk` from `from` on; returns the index after the last byte that belongs to the message. */
  feed(chunk: Buffer, from: number): number {
    const end = this.#scanChunk(this.#sevenBit ? Buffer.from(chunk.map((c) => c & 0x7f)) : chunk, from);
    if (this.#watchEightBit && !this.hasEightBit)
      for (let i = from; i < end; i++) if ((chunk[i] as number) > 127) this.hasEightBit = true;
    return end;
  }

  #scanChunk(chunk: Buffer, from: number): number {
    const n = chunk.length;
    // `mark`: start of what is not yet handed on: the current line in the header, any bytes in the body.
    let mark = from;
    this.#releaseHeld(chunk[from] as number);
    let scan = this.#scan;
    const { words, shift } = wordsOf(chunk);
    let lineAt = from - this.#lineBytes;
    let i = from;
    for (; i < n; i++) {
      let c = chunk[i] as number;
      if (scan === TEXT) {
        if (c > CR) {
          i = endOfText(chunk, i, words, shift);
          if (i === n) break;
          c = chunk[i] as number;
        }
        if (c === CR) scan = AFTER_CR;
        else if (c === LF && this.#bare(i - from, "bare-lf")) return this.#stop(from, i);
        else if (c === NUL) this.hasNul = true;
        continue;
      }
      if (c === LF) {
        if (scan === AFTER_CR) {
          scan = LINE_START;
          if (i - 1 - lineAt > this.#longest) this.#longest = i - 1 - lineAt;
          lineAt = i + 1;
          if (this.#inHeader) mark = this.#headerLine(chunk, mark, i + 1);
          continue;
        }
        if (scan === AFTER_DOT_CR) {
          // The message ends before the dot, wherever that was.
          this.#finish(chunk, mark, i - 2, from);
          return i + 1;
        }
        if (this.#bare(i - from, "bare-lf")) return this.#stop(from, i);
        scan = TEXT;
        continue;
      }
      if (scan === AFTER_CR || scan === AFTER_DOT_CR) {
        if (this.#bare(i - from, "bare-cr")) return this.#stop(from, i);
        this.#unstuffed = true;
        scan = c === CR ? AFTER_CR : TEXT;
        continue;
      }
      if (c === CR) scan = scan === AFTER_DOT ? AFTER_DOT_CR : AFTER_CR;
      else if (scan === LINE_START && c === DOT) scan = AFTER_DOT;
      else {
        if (scan === AFTER_DOT) {
          this.#stuffed++;
          if (c !== DOT) this.#unstuffed = true;
        }
        if (c === NUL) this.hasNul = true;
        scan = TEXT;
      }
    }
    this.#scan = scan;
    this.#lineBytes = n - lineAt;
    this.#chunkEnd(chunk, mark, from);
    return n;
  }

  /** A dot held back at the end of the last body chunk goes on when the next byte shows that it ends nothing. */
  #releaseHeld(next: number): void {
    // In the header the dot waits with its line; the scanner still has to see `next` in the state it was in.
    if (this.#inHeader) return;
    if (this.#scan === AFTER_DOT && next !== CR) this.#body(HELD_DOT);
    else if (this.#scan === AFTER_DOT_CR && next !== LF) this.#body(HELD_DOT_CR);
  }

  /** A bare CR or LF at offset `at` of this chunk: true ends the gate; after the size limit it is only text. */
  #bare(at: number, what: "bare-cr" | "bare-lf"): boolean {
    if (this.#wire + at - this.#stuffed > this.#sizeMax) return false;
    this.state = what;
    return true;
  }

  #stop(from: number, i: number): number {
    this.#wire += i - from;
    this.#scan = TEXT;
    this.#dropping = true;
    return i + 1;
  }

  /** The message ended; its dot is at `dotAt` of this chunk, below `from` when it came earlier. */
  #finish(chunk: Buffer, mark: number, dotAt: number, from: number): void {
    this.state = "end";
    this.#scan = LINE_START;
    this.#wire += dotAt - from;
    if (!this.#inHeader && dotAt > mark) this.#body(chunk.subarray(mark, dotAt));
    this.#carry = [];
  }

  #chunkEnd(chunk: Buffer, mark: number, from: number): void {
    const n = chunk.length;
    this.#wire += n - from;
    if (this.#inHeader) {
      if (mark < n) this.#carryLine(chunk.subarray(mark, n));
      return;
    }
    const end = Math.max(mark, n - this.#held);
    if (end > mark) this.#body(chunk.subarray(mark, end));
  }

  #body(bytes: Buffer): void {
    if (this.#dropping) return;
    if (this.tooLarge) {
      this.#dropping = true;
      return;
    }
    const wait = this.#sink(bytes);
    if (wait !== undefined) this.pending = wait;
  }

  /** Keeps the part of a header line that this chunk has, within bounds. */
  #carryLine(part: Buffer): void {
    if (this.#dropping) return;
    this.#carry.push(part);
    this.#carryBytes += part.length;
    if (this.#carryBytes <= this.#lineMax) return;
    const line = Buffer.concat(this.#carry, this.#carryBytes);
    this.#carry = [];
    this.#carryBytes = 0;
    if (this.#kindOf(line) === "body") this.#startBody(line);
    else this.#refuseHeader();
  }

  #refuseHeader(): void {
    this.headerTooLarge = true;
    this.#dropping = true;
    this.#inHeader = false;
    this.#fields = [];
    this.#fieldBytes = 0;
  }

  #startBody(line: Buffer): void {
    this.#inHeader = false;
    if (line.length > 0) this.#body(line);
  }

  #kindOf(line: Buffer): LineKind {
    const at = line[0] === DOT ? 1 : 0;
    const first = line[at];
    if (first === CR) return at === 0 ? "blank" : "body";
    if (this.#firstLine && at === 0 && isFromLine(line)) return "from";
    if (first === SPACE || first === TAB) return this.#fieldBytes > 0 ? "continuation" : "body";
    return fieldKind(line, at, line.length);
  }

  /** A whole header line ends at `end`; returns where the next one starts. */
  #headerLine(chunk: Buffer, mark: number, end: number): number {
    let line = chunk.subarray(mark, end);
    if (this.#carry.length > 0) {
      line = Buffer.concat([...this.#carry, line]);
      this.#carry = [];
      this.#carryBytes = 0;
    }
    const kind = this.#kindOf(line);
    this.#firstLine = false;
    switch (kind) {
      case "blank":
        this.#inHeader = false;
        return end;
      case "from":
        if (line.length > this.#lineMax) this.#refuseHeader();
        else this.fromLine = Buffer.from(line);
        return end;
      case "body":
      case "undecided":
        return this.#bodyFrom(line, end);
      default:
        this.#addField(line, kind);
        return end;
    }
  }

  /** The header ended at a line that is none of it. */
  #bodyFrom(line: Buffer, end: number): number {
    this.#startBody(line);
    return end;
  }

  #addField(line: Buffer, kind: LineKind): void {
    const plain = line[0] === DOT ? line.subarray(1) : line;
    if (this.#fieldBytes + plain.length > this.#headerMax) {
      this.#refuseHeader();
      return;
    }
    this.#fields.push(plain);
    this.#fieldBytes += plain.length;
    const first = (plain[0] as number) | 0x20;
    if (kind === "field" && first === 0x72 && isReceived(plain)) this.hops++;
  }
}

function isReceived(line: Buffer): boolean {
  const name = line.toString("latin1", 0, RECEIVED.length + 8).toLowerCase();
  return name.startsWith(RECEIVED) || /^received[ \t]+:/.test(name);
}
