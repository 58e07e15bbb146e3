// A message as `sendmail` reads it from standard input: any line ends, a dot alone may end it, header first.
// Gives the header (CRLF lines, no blank line) and the body in wire form (CRLF, dots stuffed). Bare CR and NUL become blanks,
// so that nothing stored can be read as a line end by anybody later; a NUL is told, and refused by the caller. An mbox line on top is
// no part of the message. Sendmail's collect() is the model.

import { isFromLine } from "../mail/fromline.ts";

const LF = 0x0a;
const CR = 0x0d;
const DOT = 0x2e;
const CRLF = Buffer.from("\r\n");

/** A header larger than this is not a header; MaxHeadersLength is checked by the caller as well. */
const HEADER_BYTES_MAX = 1024 * 1024;

/** A line that is longer is cut into pieces as it comes; only its pieces are held. */
const LINE_BYTES_MAX = 64 * 1024;

export interface InputParts {
  /** The mbox line that stood on top, null when there was none. */
  readonly fromLine: Buffer | null;
  /** A NUL has come so far. */
  hasNul(): boolean;
  readonly header: Buffer;
  /** Resolves with the header when the body begins. */
  readonly body: AsyncIterable<Buffer>;
}

/** A header line: a name of printable bytes without blanks, a colon; or a continuation. */
function looksLikeHeader(line: Buffer, first: boolean): boolean {
  const start = line[0];
  if (start === 0x20 || start === 0x09) return !first;
  for (let i = 0; i < line.length; i++) {
    const byte = line[i] ?? 0;
    if (byte === 0x3a) return i > 0;
    if (byte <= 0x20 || byte >= 0x7f) {
      // Blanks between name and colon are tolerated, as Sendmail does.
      return i > 0 && /^[ \t]*:/.test(line.subarray(i).toString("latin1"));
    }
  }
  return false;
}

/** What the lines of an input had in them. */
interface Seen {
  nul: boolean;
}

function clean(line: Buffer, seen: Seen): Buffer {
  const nul = line.indexOf(0) >= 0;
  if (nul) seen.nul = true;
  if (!nul && line.indexOf(CR) < 0) return line;
  const copy = Buffer.from(line);
  for (let i = 0; i < copy.length; i++) if (copy[i] === CR || copy[i] === 0) copy[i] = 0x20;
  return copy;
}

/** Lines without their ends; `ignoreDots` false: a line of one dot ends the input. Pieces of over-long lines have `more` set. */
async function* lines(
  input: AsyncIterable<Buffer>,
  ignoreDots: boolean,
  seen: Seen,
): AsyncGenerator<{ readonly line: Buffer; readonly continued: boolean; readonly more: boolean }> {
  let held: Buffer = Buffer.alloc(0);
  let continued = false;
  for await (const chunk of input) {
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    let at = 0;
    for (let lf = held.indexOf(LF, at); lf >= 0; lf = held.indexOf(LF, at)) {
      const end = lf > at && held[lf - 1] === CR ? lf - 1 : lf;
      const line = held.subarray(at, end);
      at = lf + 1;
      if (!ignoreDots && !continued && line.length === 1 && line[0] === DOT) return;
      yield { line: clean(line, seen), continued, more: false };
      continued = false;
    }
    held = held.subarray(at);
    if (held.length > LINE_BYTES_MAX) {
      yield { line: clean(held, seen), continued, more: true };
      continued = true;
      held = Buffer.alloc(0);
    }
  }
  if (held.length > 0 && !(!ignoreDots && !continued && held.length === 1 && held[0] === DOT))
    yield { line: clean(held, seen), continued, more: false };
}

/** Splits the input. The body can be iterated once, after the header is known. */
export async function readInputMessage(
  input: AsyncIterable<Buffer>,
  ignoreDots: boolean,
): Promise<InputParts> {
  const seen: Seen = { nul: false };
  const source = lines(input, ignoreDots, seen);
  let fromLine: Buffer | null = null;
  const header: Buffer[] = [];
  let bytes = 0;
  let pending: { line: Buffer; continued: boolean; more: boolean } | null = null;
  let first = true;
  for (;;) {
    const next = await source.next();
    if (next.done) break;
    const { line } = next.value;
    if (first && fromLine === null && !next.value.more && isFromLine(line)) {
      fromLine = Buffer.from(line);
      continue;
    }
    if (line.length === 0 && !next.value.more) break;
    if (next.value.more || bytes > HEADER_BYTES_MAX || !looksLikeHeader(line, first)) {
      pending = next.value;
      break;
    }
    first = false;
    bytes += line.length + 2;
    header.push(line, CRLF);
  }
  return {
    fromLine,
    hasNul: () => seen.nul,
    header: Buffer.concat(header),
    body: wireBody(source, pending),
  };
}

const BATCH_BYTES = 32 * 1024;

async function* wireBody(
  source: AsyncGenerator<{ readonly line: Buffer; readonly continued: boolean; readonly more: boolean }>,
  pending: { line: Buffer; continued: boolean; more: boolean } | null,
): AsyncGenerator<Buffer> {
  let batch: Buffer[] = [];
  let size = 0;
  const add = (piece: { line: Buffer; continued: boolean; more: boolean }): void => {
    if (!piece.continued && piece.line[0] === DOT) batch.push(Buffer.of(DOT));
    batch.push(piece.line);
    if (!piece.more) batch.push(CRLF);
    size += piece.line.length + 2;
  };
  if (pending !== null) add(pending);
  for (let next = await source.next(); !next.done; next = await source.next()) {
    add(next.value);
    if (size < BATCH_BYTES) continue;
    yield Buffer.concat(batch);
    batch = [];
    size = 0;
  }
  if (size > 0) yield Buffer.concat(batch);
}
