// Appending a message to a file that is open already: all of it and synced, or nothing; one delivery after the other for each path.
// What mailboxes and files of aliases have in common (semantics section 23).

import type { Outcome } from "../mail/outcome.ts";
import type { AppendFile } from "../sys/mailfile.ts";
import { EX_CANTCREAT, EX_TEMPFAIL } from "./exits.ts";
import { exited } from "./wording.ts";

/** Errnos that may go away. */
const TEMPORARY = new Set([
  "ENOSPC",
  "EDQUOT",
  "EIO",
  "EMFILE",
  "ENFILE",
  "EROFS",
  "ENOMEM",
  "EINTR",
  "EAGAIN",
]);

/** The outcome of a file that cannot be opened; `why` is an errno or words. */
export function notOpened(why: string, path: string, address: string): Outcome {
  const status = TEMPORARY.has(why) ? EX_TEMPFAIL : EX_CANTCREAT;
  const made = exited(status, address);
  return { ...made, transcript: [`${path}... ${why}`, ...made.transcript] };
}

/** Appends `text` to an open file: everything and synced, or nothing. Error: the errno. */
export async function appendWhole(file: AppendFile, text: AsyncIterable<Buffer>): Promise<string | null> {
  try {
    for await (const chunk of text) {
      const added = file.append(chunk);
      if (added.ok) continue;
      file.undo();
      return added.error;
    }
  } catch (e) {
    // The spool could not be read to the end.
    file.undo();
    return e instanceof Error && "code" in e ? String(e.code) : "EIO";
  }
  const synced = file.sync();
  if (synced.ok) return null;
  file.undo();
  return synced.error;
}

/** One after the other for each path: two deliveries at once would mix, and a failed one could cut the other's end off. */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>();

  async take<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key);
    const mine = (before ?? Promise.resolve()).then(work, work);
    this.#last.set(key, mine);
    try {
      return await mine;
    } finally {
      if (this.#last.get(key) === mine) this.#last.delete(key);
    }
  }
}
