// Walks a MIME body line by line (RFC 2046): which bytes are part headers, which are the body of which leaf, which are borders.
// Bounded: nesting, number of leaves and size of a part's header; beyond a bound the walk says so and nobody guesses.

/** Bounds of the walk: nesting of multiparts, leaves, and bytes of one part's header. */
const DEPTH_MAX = 20;
const LEAVES_MAX = 10_000;
const PART_HEADER_BYTES_MAX = 64 * 1024;
/** A line longer than this comes in pieces. */
export const LINE_PIECE_BYTES_MAX = 32 * 1024;

const LF = 10;
const CR = 13;
const DOT = 46;
const DASH = 45;

/** A line, or a piece of a very long one, without CRLF and without the stuffed dot. */
export interface LinePiece {
  readonly bytes: Buffer;
  /** Begins a line. */
  readonly first: boolean;
  /** Ends a line. */
  readonly last: boolean;
}

/** Wire-form chunks to lines. */
export async function* linesOf(chunks: AsyncIterable<Buffer> | Iterable<Buffer>): AsyncGenerator<LinePiece> {
  let rest = Buffer.alloc(0);
  let first = true;
  const piece = (bytes: Buffer, last: boolean): LinePiece => {
    const stuffed = first && bytes[0] === DOT;
    const made = { bytes: stuffed ? bytes.subarray(1) : bytes, first, last };
    first = last;
    return made;
  };
  for await (const chunk of chunks) {
    const data = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let start = 0;
    for (;;) {
      const end = data.indexOf(LF, start);
      if (end < 0) break;
      yield piece(data.subarray(start, end > start && data[end - 1] === CR ? end - 1 : end), true);
      start = end + 1;
    }
    for (; data.length - start > LINE_PIECE_BYTES_MAX; start += LINE_PIECE_BYTES_MAX - 1)
      yield piece(data.subarray(start, start + LINE_PIECE_BYTES_MAX - 1), false);
    rest = Buffer.from(data.subarray(start));
  }
  if (rest.length > 0 || !first)
    yield piece(rest[rest.length - 1] === CR ? rest.subarray(0, -1) : rest, true);
}

/** What a header says about its body. */
export interface Entity {
  /** Lower case, "text/plain" when nothing is said. */
  readonly type: string;
  readonly boundary: string;
  /** Lower case, "" when nothing is said. */
  readonly encoding: string;
}

/** Reads Content-Type and Content-Transfer-Encoding of a header given as CRLF or LF lines. */
export function entityOf(header: string): Entity {
  const unfolded = header.replace(/\r?\n[ \t]+/g, " ");
  const field = (name: string): string =>
    new RegExp(`^${name}[ \\t]*:(.*)$`, "im").exec(unfolded)?.[1]?.trim() ?? "";
  const contentType = field("content-type");
  const type = /^[^\s;()]+\/[^\s;()]+/.exec(contentType)?.[0].toLowerCase() ?? "text/plain";
  const found = /;[ \t]*boundary[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s;()]+))/i.exec(contentType);
  const boundary = found?.[1]?.replace(/\\(.)/g, "$1") ?? found?.[2] ?? "";
  return { type, boundary, encoding: field("content-transfer-encoding").toLowerCase() };
}

/** What a line is. */
export type Event =
  /** A part's whole header, as LF lines; the blank line after it is implied. `leaf`: number of the leaf it begins, or null. */
  | { readonly kind: "header"; readonly text: string; readonly leaf: number | null }
  /** A piece of a leaf's body. */
  | { readonly kind: "body"; readonly leaf: number; readonly piece: LinePiece }
  /** A border, or text between parts that nobody reads. */
  | { readonly kind: "outside"; readonly piece: LinePiece }
  | { readonly kind: "too much"; readonly why: string };

/** Events of a body whose own header says `entity`. Ends after "too much". */
export async function* walk(entity: Entity, lines: AsyncIterable<LinePiece>): AsyncGenerator<Event> {
  const walker = new Walker(entity);
  for await (const piece of lines) {
    for (const event of walker.take(piece)) {
      yield event;
      if (event.kind === "too much") return;
    }
  }
  yield* walker.end();
}

class Walker {
  readonly #borders: string[] = [];
  #state: "header" | "body" | "outside";
  #leaf = -1;
  #header: string[] = [];
  #headerBytes = 0;

  constructor(entity: Entity) {
    this.#state = this.#enter(entity);
  }

  *take(piece: LinePiece): Generator<Event> {
    if (piece.first && piece.last && this.#isBorder(piece.bytes)) {
      if (this.#state === "header" || this.#header.length > 0) yield* this.#closeHeader();
      yield { kind: "outside", piece };
      this.#state = this.#cross(piece.bytes);
      return;
    }
    if (this.#state === "body") yield { kind: "body", leaf: this.#leaf, piece };
    else if (this.#state === "outside") yield { kind: "outside", piece };
    else yield* this.#headerLine(piece);
    if (this.#leaf >= LEAVES_MAX) yield { kind: "too much", why: "too many parts" };
  }

  *end(): Generator<Event> {
    if (this.#state === "header") yield* this.#closeHeader();
  }

  *#headerLine(piece: LinePiece): Generator<Event> {
    if (piece.first && piece.last && piece.bytes.length === 0) {
      yield* this.#closeHeader();
      return;
    }
    this.#headerBytes += piece.bytes.length + 1;
    if (this.#headerBytes > PART_HEADER_BYTES_MAX) {
      yield { kind: "too much", why: "a part's header is too large" };
      return;
    }
    const text = piece.bytes.toString("latin1");
    if (piece.first) this.#header.push(text);
    else this.#header.push((this.#header.pop() ?? "") + text);
  }

  *#closeHeader(): Generator<Event> {
    const text = this.#header.join("\n");
    this.#header = [];
    this.#headerBytes = 0;
    const entity = entityOf(text);
    if (this.#borders.length >= DEPTH_MAX) {
      yield { kind: "too much", why: "parts are nested too deep" };
      return;
    }
    this.#state = this.#enter(entity);
    yield { kind: "header", text, leaf: this.#state === "body" ? this.#leaf : null };
  }

  /** The state of the body that `entity` describes. */
  #enter(entity: Entity): "header" | "body" | "outside" {
    if (entity.type.startsWith("multipart/") && entity.boundary !== "") {
      this.#borders.push(entity.boundary);
      return "outside";
    }
    if (entity.type === "message/rfc822" || entity.type === "message/global") return "header";
    this.#leaf++;
    return "body";
  }

  #isBorder(bytes: Buffer): boolean {
    if (bytes.length < 3 || bytes[0] !== DASH || bytes[1] !== DASH) return false;
    return this.#borderAt(bytes) >= 0;
  }

  #borderAt(bytes: Buffer): number {
    const text = bytes.toString("latin1", 2).trimEnd();
    return this.#borders.findLastIndex((b) => text === b || text === `${b}--`);
  }

  #cross(bytes: Buffer): "header" | "outside" {
    const at = this.#borderAt(bytes);
    const border = this.#borders[at] ?? "";
    const closing = bytes.toString("latin1", 2).trimEnd() !== border;
    this.#borders.length = closing ? at : at + 1;
    return closing ? "outside" : "header";
  }
}
