// The body of an original in its notice: in memory while it is small, else from its file to the notice's file in chunks, one notice
// at a time, so that a queue full of large messages can fail at once. What cannot be read, or has no room, is left out: a header
// alone may be returned too (RFC 3461 section 6.2), and the queue of a full disk must drain.

import { NOTICE_IN_MEMORY_BYTES_MAX } from "../base/limits.ts";
import type { Notice } from "../mail/dsn.ts";
import { FromQuoter } from "../mail/fromquote.ts";
import { type BodyFile, BodyUnreadable } from "./body.ts";
import type { Body } from "./mailer.ts";
import type { BodySource } from "./messagefile.ts";
import type { Store } from "./store.ts";

/** A body of these pieces. */
export function inMemory(pieces: readonly Buffer[]): BodySource {
  return { kind: "memory", pieces, bytes: pieces.reduce((sum, piece) => sum + piece.length, 0) };
}

export class Originals {
  readonly #store: Store;
  /** The end of the copies that are under way or wait. */
  #copied: Promise<unknown> = Promise.resolve();

  constructor(store: Store) {
    this.#store = store;
  }

  /** The body of a notice with the original's body in it; null when that cannot be read or has no room. */
  around(notice: Notice, original: Body): Promise<BodySource | null> {
    if (original.size <= NOTICE_IN_MEMORY_BYTES_MAX) return this.#held(notice, original);
    const copy = this.#copied.then(() => this.#copy(notice, original));
    this.#copied = copy;
    return copy;
  }

  async #held(notice: Notice, original: Body): Promise<BodySource | null> {
    const pieces: Buffer[] = [];
    const read = await quotedTo(original, (piece) => {
      pieces.push(piece);
      return undefined;
    });
    return read ? inMemory([notice.before, ...pieces, notice.after]) : null;
  }

  async #copy(notice: Notice, original: Body): Promise<BodySource | null> {
    if (!this.#store.room.has(original.size)) return null;
    return filled(this.#store, async (file) => {
      await file.put(notice.before);
      const read = await quotedTo(original, (piece) => file.put(piece));
      await file.put(notice.after);
      return read;
    });
  }
}

/** A copy of a body in a new file; null when it cannot be read or has no room. */
export function copied(store: Store, body: Body): Promise<BodySource | null> {
  return filled(store, (file) => givenTo(body, (piece) => file.put(piece)));
}

/** A new file with what `fill` puts into it; null, and no file, when that is not all. */
async function filled(store: Store, fill: (file: BodyFile) => Promise<boolean>): Promise<BodySource | null> {
  const opened = await store.openBody(true);
  if (!opened.ok) return null;
  const file = opened.value;
  if ((await fill(file)) && file.error === null) return { kind: "file", file };
  await store.dropBody(file);
  return null;
}

type Take = (piece: Buffer) => Promise<void> | undefined;

/** Gives the body on; false when it could not be read to its end. */
async function givenTo(body: Body, take: Take): Promise<boolean> {
  try {
    for await (const chunk of body.chunks()) await take(chunk);
    return true;
  } catch (e) {
    if (e instanceof BodyUnreadable) return false;
    throw e;
  }
}

/** The same with its From lines quoted. */
async function quotedTo(body: Body, take: Take): Promise<boolean> {
  const quoter = new FromQuoter();
  const read = await givenTo(body, (piece) => take(quoter.push(piece)));
  if (read) await take(quoter.end());
  return read;
}
