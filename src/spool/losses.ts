// Messages that flash has lost: those that the catalogue names and of which recovery found neither the message nor the mark that it is
// done. None disappears in silence: each is named in the log, and all of a segment together are damage that is kept and told.

import type { Log } from "../sys/log.ts";
import { rangesOf } from "./catalogue.ts";
import type { Fold } from "./fold.ts";
import type { Damage, LostSegment } from "./recovery.ts";

/** Lines of the log for one segment, one for each message. */
const LINES_MAX = 5000;

/**
 * The damage of a start: what is `known`, and what lost segments and lost messages are; says each message in the log. A record that
 * the catalogue names was durable: it was not cut off while it was written, wherever it is.
 */
export function lossesOf(
  segments: readonly LostSegment[],
  fold: Fold,
  known: readonly Damage[],
  log: Log,
): Damage[] {
  const damages: Damage[] = [...known];
  for (const { epoch, reason, ids } of segments) {
    const gone = (ids ?? []).filter((id) => !fold.entries.has(id) && !fold.isFinished(id));
    const lost = gone.filter((id) => {
      const at = damages.findIndex((damage) => damage.bytes.includes(id, 0, "latin1"));
      const kept = damages[at];
      if (kept === undefined) return true;
      damages[at] = { ...kept, last: false };
      log.line(0, `${id}: damaged: what is left of it is damaged record ${kept.name}`);
      return false;
    });
    if (reason === "" && lost.length === 0) continue;
    const what = reason === "" ? `records in the segment with epoch ${epoch} are missing` : reason;
    for (const id of lost.slice(0, LINES_MAX)) log.line(0, `${id}: lost: ${what}`);
    const fate =
      ids === null
        ? "which messages were in it is not known"
        : lost.length === 0
          ? "no message was in it that is not done or elsewhere"
          : `${lost.length} ${lost.length === 1 ? "message is" : "messages are"} lost: ${rangesOf(lost)}`;
    damages.push({
      name: `${epoch}-lost`,
      reason: `${what}; ${fate}`,
      bytes: Buffer.from(lost.map((id) => `${id}\n`).join(""), "latin1"),
      last: false,
    });
  }
  return damages;
}
