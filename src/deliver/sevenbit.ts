// An 8-bit message for a next hop without 8BITMIME (RFC 6152; Sendmail's mime8to7): each leaf that has 8-bit bytes becomes
// quoted-printable (text) or base64 (mostly 8-bit), its header says so, and a multipart that was 8bit is 7bit then.
// Two passes over the body as it lies in the spool, nothing whole in memory. What cannot be converted is 5.6.3, never raw bytes.

import { err, ok, type Result } from "../base/result.ts";
import { type Entity, entityOf, type LinePiece, linesOf, walk } from "./mimewalk.ts";
import type { Payload } from "./payload.ts";

type Encoding = "quoted-printable" | "base64";

/** What the first pass found of a leaf. */
interface Leaf {
  bytes: number;
  high: number;
}

/** What is needed to word the new fields. */
export interface Conversion {
  /** "by $j id QID" */
  readonly by: string;
  /** Character set of text that does not say its own. */
  readonly charset: string;
}

const CRLF = Buffer.from("\r\n");
/** Input bytes of one base64 line. */
const BASE64_LINE_BYTES = 54;
/** Longest encoded line without its soft break. */
const QP_LINE_CHARS = 72;

/** True when the header says MIME-Version. */
export function isMime(header: Buffer): boolean {
  return /^mime-version[ \t]*:/im.test(header.toString("latin1"));
}

/** The same message in 7 bits; error: why it cannot be. */
export async function sevenBit(payload: Payload, how: Conversion): Promise<Result<Payload>> {
  const labelled = isMime(payload.header);
  const header = payload.header.toString("latin1");
  const entity: Entity = labelled ? entityOf(header) : { type: "text/plain", boundary: "", encoding: "" };
  const seen = await measure(payload, entity);
  if (!seen.ok) return seen;
  const plan = seen.value;
  // A simple body is leaf 0 and its header is the message's.
  const simple = plan.bodyIsLeaf ? encodingFor(plan.leaves[0], entity) : null;
  if (simple === "impossible") return err(`8-bit bytes in a body that is ${entity.encoding}`);
  const added = labelled ? "" : `MIME-Version: 1.0\r\nContent-Type: text/plain; charset=${how.charset}\r\n`;
  const top = Buffer.from(recode(header, simple, how, "\r\n") + added, "latin1");
  const size = payload.body.size;
  return ok({
    header: top,
    body: {
      size,
      pieces: null,
      eightBit: false,
      lineMax: 0,
      chunks: () => encoded(payload, entity, plan, simple, how),
    },
  });
}

interface Plan {
  readonly leaves: readonly Leaf[];
  readonly bodyIsLeaf: boolean;
}

async function measure(payload: Payload, entity: Entity): Promise<Result<Plan>> {
  const leaves: Leaf[] = [];
  const encodings: string[] = [];
  let leafHeader = false;
  for await (const event of walk(entity, linesOf(payload.body.chunks()))) {
    if (event.kind === "too much") return err(event.why);
    if (event.kind === "header" && event.leaf !== null) {
      leafHeader = true;
      encodings[event.leaf] = entityOf(event.text).encoding;
    }
    if (event.kind !== "body") continue;
    const leaf = leaves[event.leaf] ?? { bytes: 0, high: 0 };
    leaves[event.leaf] = leaf;
    leaf.bytes += event.piece.bytes.length;
    for (const byte of event.piece.bytes) if (byte > 0x7f) leaf.high++;
    if (leaf.high > 0 && isEncoded(encodings[event.leaf] ?? ""))
      return err(`8-bit bytes in a part that is ${encodings[event.leaf]}`);
  }
  const composite = entity.type.startsWith("multipart/") || entity.type.startsWith("message/");
  return ok({ leaves, bodyIsLeaf: !composite && !leafHeader });
}

function isEncoded(encoding: string): boolean {
  return encoding === "base64" || encoding === "quoted-printable";
}

function encodingFor(leaf: Leaf | undefined, entity: Entity): Encoding | null | "impossible" {
  if (leaf === undefined || leaf.high === 0) return null;
  if (isEncoded(entity.encoding)) return "impossible";
  if (entity.type.startsWith("text/")) return "quoted-printable";
  return leaf.high > leaf.bytes / 8 ? "base64" : "quoted-printable";
}

/** A header with its Content-Transfer-Encoding replaced; without encoding only 8bit and binary become 7bit. */
function recode(header: string, encoding: Encoding | null, how: Conversion, eol: string): string {
  const fields = header.split(/\r?\n(?![ \t])/).filter((field) => field !== "");
  const kept: string[] = [];
  for (const field of fields) {
    const old = /^content-transfer-encoding[ \t]*:[ \t]*(\S*)/i.exec(field)?.[1]?.toLowerCase();
    if (old === undefined) kept.push(field);
    else if (encoding === null)
      kept.push(old === "8bit" || old === "binary" ? "Content-Transfer-Encoding: 7bit" : field);
  }
  if (encoding !== null)
    kept.push(
      `Content-Transfer-Encoding: ${encoding}`,
      `X-MIME-Autoconverted: from 8bit to ${encoding} ${how.by}`,
    );
  return kept.map((field) => `${field.replace(/\r?\n/g, eol)}${eol}`).join("");
}

async function* encoded(
  payload: Payload,
  entity: Entity,
  plan: Plan,
  simple: Encoding | null,
  how: Conversion,
): AsyncGenerator<Buffer> {
  let encoder = encoderFor(plan.bodyIsLeaf ? simple : null);
  for await (const event of walk(entity, linesOf(payload.body.chunks()))) {
    if (event.kind === "too much") return;
    if (event.kind === "header") {
      yield encoder.end(false);
      const inner = entityOf(event.text);
      const chosen = event.leaf === null ? null : encodingFor(plan.leaves[event.leaf], inner);
      const encoding = chosen === "impossible" ? null : chosen;
      encoder = encoderFor(encoding);
      const text = recode(event.text, encoding, how, "\r\n");
      yield Buffer.concat([stuffLines(Buffer.from(text, "latin1")), CRLF]);
    } else if (event.kind === "body") {
      yield encoder.take(event.piece);
    } else {
      yield encoder.end(false);
      encoder = PLAIN;
      yield PLAIN.take(sevenBitPiece(event.piece));
    }
  }
  yield encoder.end(true);
}

/** Text between parts is read by nobody: its 8-bit bytes become "?". */
function sevenBitPiece(piece: LinePiece): LinePiece {
  if (!piece.bytes.some((b) => b > 0x7f)) return piece;
  return { ...piece, bytes: Buffer.from(piece.bytes.map((b) => (b > 0x7f ? 0x3f : b))) };
}

function stuffLines(text: Buffer): Buffer {
  return Buffer.from(text.toString("latin1").replace(/^\./gm, ".."), "latin1");
}

/** Turns the lines of one leaf into wire form. */
interface Encoder {
  take(piece: LinePiece): Buffer;
  /** What is left. `final`: the end of the message follows, not a border. */
  end(final: boolean): Buffer;
}

function encoderFor(encoding: Encoding | null): Encoder {
  if (encoding === "base64") return new Base64Lines();
  return encoding === null ? PLAIN : new QuotedLines();
}

const NOTHING = Buffer.alloc(0);
const STUFFING = Buffer.from(".");

const PLAIN: Encoder = {
  take(piece) {
    const stuff = piece.first && piece.bytes[0] === 0x2e ? STUFFING : NOTHING;
    return Buffer.concat([stuff, piece.bytes, piece.last ? CRLF : NOTHING]);
  },
  end: () => NOTHING,
};

/** RFC 2045 section 6.7. */
class QuotedLines implements Encoder {
  #column = 0;

  take(piece: LinePiece): Buffer {
    let out = "";
    if (piece.first) this.#column = 0;
    const { bytes } = piece;
    for (let i = 0; i < bytes.length; i++) {
      const byte = bytes[i] ?? 0;
      const token = this.#token(bytes, i, byte, piece);
      if (this.#column + token.length > QP_LINE_CHARS) {
        out += "=\r\n";
        this.#column = 0;
      }
      // A dot that begins a line after a soft break needs no stuffing when it is written as =2E.
      const safe = this.#column === 0 && token === "." ? "=2E" : token;
      out += safe;
      this.#column += safe.length;
    }
    return Buffer.from(piece.last ? `${out}\r\n` : out, "latin1");
  }

  #token(bytes: Buffer, at: number, byte: number, piece: LinePiece): string {
    const lastOfLine = piece.last && at === bytes.length - 1;
    const blank = byte === 0x20 || byte === 0x09;
    const from = at === 0 && piece.first && bytes.toString("latin1", 0, 5) === "From ";
    const plain = (byte > 0x20 && byte < 0x7f && byte !== 0x3d) || blank;
    if (plain && !(blank && lastOfLine) && !from) return String.fromCharCode(byte);
    return `=${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }

  end(): Buffer {
    return NOTHING;
  }
}

/** RFC 2045 section 6.8. The line end before a border belongs to the border, so each waits for the next line. */
class Base64Lines implements Encoder {
  #rest: Buffer = NOTHING;
  #lineEnd = false;

  take(piece: LinePiece): Buffer {
    const data = Buffer.concat([this.#rest, this.#lineEnd ? CRLF : NOTHING, piece.bytes]);
    this.#lineEnd = piece.last;
    const whole = data.length - (data.length % BASE64_LINE_BYTES);
    this.#rest = Buffer.from(data.subarray(whole));
    return lines64(data.subarray(0, whole));
  }

  end(final: boolean): Buffer {
    const data = final && this.#lineEnd ? Buffer.concat([this.#rest, CRLF]) : this.#rest;
    this.#rest = NOTHING;
    this.#lineEnd = false;
    return lines64(data);
  }
}

function lines64(data: Buffer): Buffer {
  let out = "";
  for (let at = 0; at < data.length; at += BASE64_LINE_BYTES)
    out += `${data.toString("base64", at, Math.min(at + BASE64_LINE_BYTES, data.length))}\r\n`;
  return Buffer.from(out, "latin1");
}
