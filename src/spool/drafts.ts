// Records about a message that is in the log already: its whole state, in as many records as it takes, and its end.
// Recovery joins the parts again by their flags (record.ts).

import { encodeProgress } from "./codec.ts";
import type { Entry } from "./entry.ts";
import { ID_BYTES } from "./identity.ts";
import { type Draft, draftOf, RECORD } from "./record.ts";

/** The expansion with all states; no record's payload is longer than `bytesMax`. */
export function progressDrafts(entry: Entry, bytesMax: number): Draft[] {
  const whole = encodeProgress(entry.id, entry, entry.deliveries);
  if (whole.length <= bytesMax) return [draftOf(RECORD.progress, [whole])];
  const drafts: Draft[] = [];
  const id = whole.subarray(0, ID_BYTES);
  for (let at = ID_BYTES; at < whole.length; at += bytesMax - ID_BYTES) {
    const part = whole.subarray(at, at + bytesMax - ID_BYTES);
    const more = at + part.length < whole.length;
    drafts.push(draftOf(RECORD.progress, [id, part], more, at > ID_BYTES));
  }
  return drafts;
}

/** The message is done. */
export function finishDraft(id: string): Draft {
  return draftOf(RECORD.finish, [Buffer.from(id, "latin1")]);
}
