// Replies of a next hop, read from bytes as they come (RFC 5321 4.2). The peer is hostile: lines and their number are bounded,
// control and 8-bit bytes become "?", anything that is no reply is an error and never reaches a log, a DSN or the spool.

import { PEER_REPLY_LINE_BYTES_MAX, PEER_REPLY_LINES_MAX } from "../base/limits.ts";

/** One complete reply. */
export interface PeerReply {
  /** 200 to 599. */
  readonly code: number;
  /** RFC 3463 code at the start of the last line that has one, "" when there is none or its class contradicts the code. */
  readonly enhanced: string;
  /** Text of each line without the code; printable ASCII. */
  readonly lines: readonly string[];
}

/** First digit of the code: 2, 3, 4 or 5. */
export function replyClass(reply: PeerReply): number {
  return Math.trunc(reply.code / 100);
}

/** The reply as one line, `550 5.1.1 text`, as logs and Diagnostic-Code show it: the first line's text, like Sendmail. */
export function replyLine(reply: PeerReply): string {
  return `${reply.code} ${reply.lines[0] ?? ""}`.trimEnd();
}

const ENHANCED = /^([245])\.(\d{1,3})\.(\d{1,3})(?= |$)/;

const LF = 10;
const CR = 13;
const SPACE = 32;
const DASH = 45;
const DIGIT_0 = 48;

/** Collects bytes into replies. One parser per connection; after an error nothing more may be fed. */
export class ReplyParser {
  #rest: Buffer | null = null;
  #lines: string[] = [];

  /** True when bytes are waiting that are not yet a whole reply (must be none when TLS starts). */
  get pending(): boolean {
    return this.#rest !== null || this.#lines.length > 0;
  }

  /** Calls `emit` for each reply that `chunk` completes. Returns why the bytes are no SMTP, or null. */
  feed(chunk: Buffer, emit: (reply: PeerReply) => void): string | null {
    let data = chunk;
    if (this.#rest !== null) {
      data = Buffer.concat([this.#rest, chunk]);
      this.#rest = null;
    }
    let at = 0;
    for (;;) {
      const end = data.indexOf(LF, at);
      if (end < 0) break;
      if (end - at > PEER_REPLY_LINE_BYTES_MAX) return "reply line too long";
      const wrong = this.#line(data, at, end > at && data[end - 1] === CR ? end - 1 : end, emit);
      if (wrong !== null) return wrong;
      at = end + 1;
    }
    if (data.length - at > PEER_REPLY_LINE_BYTES_MAX) return "reply line too long";
    if (at < data.length) this.#rest = at === 0 ? data : Buffer.from(data.subarray(at));
    return null;
  }

  #line(data: Buffer, from: number, to: number, emit: (reply: PeerReply) => void): string | null {
    const length = to - from;
    const code =
      length < 3 ? 0 : digit(data[from]) * 100 + digit(data[from + 1]) * 10 + digit(data[from + 2]);
    if (!(code >= 200 && code <= 599)) return "not an SMTP reply";
    const mark = length > 3 ? data[from + 3] : SPACE;
    if (mark !== SPACE && mark !== DASH) return "not an SMTP reply";
    this.#lines.push(length > 4 ? printable(data.toString("latin1", from + 4, to)) : "");
    if (this.#lines.length > PEER_REPLY_LINES_MAX) return "reply too long";
    if (mark === DASH) return null;
    const lines = this.#lines;
    this.#lines = [];
    // The last line has the last word: the lines before it may say something of their own.
    const found = ENHANCED.exec(lines.at(-1) ?? "") ?? ENHANCED.exec(lines[0] ?? "");
    // 550 with 2.1.5 helps nobody: the three digits decide (RFC 2034 section 4).
    const enhanced = found !== null && Number(found[1]) === Math.trunc(code / 100) ? found[0] : "";
    emit({ code, enhanced, lines });
    return null;
  }
}

/** Value of an ASCII digit, NaN for anything else, so that a bad code is never in range. */
function digit(byte: number | undefined): number {
  const value = (byte ?? 0) - DIGIT_0;
  return value >= 0 && value <= 9 ? value : Number.NaN;
}

const UNPRINTABLE = /[^\x20-\x7e]/;

function printable(text: string): string {
  if (!UNPRINTABLE.test(text)) return text;
  return text.replace(/\t/g, " ").replace(/[^\x20-\x7e]/g, "?");
}
