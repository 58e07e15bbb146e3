// Lines that begin with "From " get a ">", as Sendmail writes the originals of notices: chunk by chunk, so that a message of any size
// passes through. At most six bytes wait for the next chunk.

const LINE = Buffer.from("\r\nFrom ");
const NOTHING = Buffer.alloc(0);

export class FromQuoter {
  /** The end of what was pushed, as far as it may be the start of such a line. */
  #held: Buffer = LINE.subarray(0, 2);
  /** The line end before the first byte is only thought of. */
  #skip = 2;

  /** The bytes that are ready. Nothing is copied when a chunk has no such line in it. */
  push(chunk: Buffer): Buffer {
    const data = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const keep = heldBytes(data);
    this.#held = data.subarray(data.length - keep);
    return this.#shown(quoted(data.subarray(0, data.length - keep)));
  }

  end(): Buffer {
    const rest = this.#held;
    this.#held = NOTHING;
    return this.#shown(rest);
  }

  #shown(bytes: Buffer): Buffer {
    const from = Math.min(this.#skip, bytes.length);
    this.#skip -= from;
    return bytes.subarray(from);
  }
}

function quoted(data: Buffer): Buffer {
  const pieces: Buffer[] = [];
  let done = 0;
  for (let at = data.indexOf(LINE); at >= 0; at = data.indexOf(LINE, at + 2)) {
    pieces.push(data.subarray(done, at + 2), Buffer.from(">"));
    done = at + 2;
  }
  return done === 0 ? data : Buffer.concat([...pieces, data.subarray(done)]);
}

/** Bytes at the end of `data` that begin the pattern without completing it. */
function heldBytes(data: Buffer): number {
  for (let count = Math.min(LINE.length - 1, data.length); count > 0; count--)
    if (data.subarray(data.length - count).equals(LINE.subarray(0, count))) return count;
  return 0;
}
