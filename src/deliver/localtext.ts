// A message as programs, mailboxes and files take it: LF lines, dots no longer stuffed, From_ line, Return-Path, ">From " quoting,
// a blank line at the end of a mailbox entry (semantics sections 18 and 23). Bytes in, bytes out, chunk by chunk.

import type { Body, StoredMessage } from "../spool/mailer.ts";

const LF = 10;
const CR = 13;
const DOT = 46;
const NEWLINE = Buffer.from("\n");
const FROM = Buffer.from("From ");
const QUOTE = Buffer.from(">");

/** What the mailer's flags ask for. */
export interface TextForm {
  /** F=n absent: a From_ line first. */
  readonly fromLine: boolean;
  /** F=P: Return-Path first. */
  readonly returnPath: boolean;
  /** F=E: lines that begin with "From " get a ">". */
  readonly quoteFrom: boolean;
  /** A blank line at the end, where messages follow one another. */
  readonly blankEnd: boolean;
}

/** Flags as Sendmail's mailers declare them. */
export function formOf(flags: string, mailbox: boolean): TextForm {
  return {
    fromLine: mailbox || !flags.includes("n"),
    returnPath: flags.includes("P"),
    quoteFrom: mailbox || flags.includes("E"),
    blankEnd: mailbox,
  };
}

const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** `From sender Sun Nov 22 06:43:12 2026`, local time; sender "" is MAILER-DAEMON. */
export function fromLine(sender: string, wallMs: number): string {
  const d = new Date(wallMs);
  const two = (n: number): string => String(n).padStart(2, "0");
  const day = String(d.getDate()).padStart(2, " ");
  const time = `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
  // A blank or a line end in the sender would make a second field of the line.
  const name = sender === "" ? "MAILER-DAEMON" : sender.replace(/[\x00-\x20\x7f]/g, "?");
  return `From ${name} ${DAYS[d.getDay()]} ${MONTHS[d.getMonth()]} ${day} ${time} ${d.getFullYear()}\n`;
}

/** The whole message in `form`. header: complete CRLF lines as this mailer sends them. */
export async function* localText(
  message: StoredMessage,
  header: Buffer,
  sender: string,
  form: TextForm,
  wallMs: number,
): AsyncGenerator<Buffer> {
  const top: Buffer[] = [];
  if (form.fromLine) top.push(Buffer.from(fromLine(sender, wallMs), "utf8"));
  if (form.returnPath) {
    const path = (sender === "" ? "MAILER-DAEMON" : sender).replace(/[\x00-\x1f\x7f]/g, "?");
    top.push(Buffer.from(`Return-Path: <${path}>\n`, "utf8"));
  }
  const lines = new LineText(form.quoteFrom, false);
  top.push(lines.push(header), lines.end(), NEWLINE);
  yield Buffer.concat(top);
  yield* bodyText(message.body, form);
}

async function* bodyText(body: Body, form: TextForm): AsyncGenerator<Buffer> {
  const lines = new LineText(form.quoteFrom, true);
  if (body.pieces !== null) {
    for (const piece of body.pieces) yield lines.push(piece);
  } else {
    for await (const chunk of body.chunks()) yield lines.push(chunk);
  }
  const last = lines.end();
  yield form.blankEnd ? Buffer.concat([last, NEWLINE]) : last;
}

/** Wire-form lines to text lines. Holds back the piece of a line that a chunk ended in. */
class LineText {
  readonly #quoteFrom: boolean;
  readonly #stuffed: boolean;
  #rest: Buffer | null = null;
  /** The line that goes on was begun by an earlier chunk (too long to be held back). */
  #within = false;

  constructor(quoteFrom: boolean, stuffed: boolean) {
    this.#quoteFrom = quoteFrom;
    this.#stuffed = stuffed;
  }

  push(chunk: Buffer): Buffer {
    const data = this.#rest === null ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#rest = null;
    const out: Buffer[] = [];
    let start = 0;
    for (;;) {
      const end = data.indexOf(LF, start);
      if (end < 0) break;
      const to = end > start && data[end - 1] === CR ? end - 1 : end;
      this.#line(out, data, start, to);
      out.push(NEWLINE);
      this.#within = false;
      start = end + 1;
    }
    if (data.length - start > HELD_BYTES_MAX) {
      // All but the last byte, which may be the CR of a line end.
      this.#line(out, data, start, data.length - 1);
      this.#within = true;
      start = data.length - 1;
    }
    if (start < data.length) this.#rest = Buffer.from(data.subarray(start));
    return Buffer.concat(out);
  }

  end(): Buffer {
    const rest = this.#rest;
    if (rest === null) return this.#within ? NEWLINE : Buffer.alloc(0);
    this.#rest = null;
    const out: Buffer[] = [];
    this.#line(out, rest, 0, rest[rest.length - 1] === CR ? rest.length - 1 : rest.length);
    return Buffer.concat([...out, NEWLINE]);
  }

  #line(out: Buffer[], data: Buffer, from: number, to: number): void {
    let start = from;
    if (!this.#within) {
      if (this.#stuffed && data[start] === DOT) start++;
      const quoted =
        this.#quoteFrom &&
        to - start >= FROM.length &&
        data.subarray(start, start + FROM.length).equals(FROM);
      if (quoted) out.push(QUOTE);
    }
    out.push(data.subarray(start, to));
  }
}

/** A line up to this length waits for its end. */
const HELD_BYTES_MAX = 4096;
