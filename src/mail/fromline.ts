// The line `From sender Mon Nov 30 10:00:00 2026` with which a message begins in an mbox file. Programs that take one out of such a file
// (formail, maildrop, `sendmail -t < mail`) leave it on top: it is no header field. Sendmail's eatfrom() is the model: the line is
// dropped, and its date is $a, the date of a message that has none of its own.

import { zoneText } from "./date.ts";

/** Is this first line of a message (with or without its end) mbox's? */
export function isFromLine(line: Buffer): boolean {
  return line.length >= 5 && line.toString("latin1", 0, 5) === "From ";
}

/** Longer lines are not searched for a date. */
const FROM_LINE_BYTES_MAX = 2048;

const CTIME =
  / (Sun|Mon|Tue|Wed|Thu|Fri|Sat) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) ([ 0-3]\d|\d) (\d\d:\d\d:\d\d) (\d{4})/;

/** The line's date as a Date field has it (it names no zone: ours of the moment `wallMs`); "" when it has none. */
export function fromLineDate(line: Buffer, wallMs: number): string {
  if (!isFromLine(line) || line.length > FROM_LINE_BYTES_MAX) return "";
  const found = CTIME.exec(line.toString("latin1"));
  if (found === null) return "";
  const [, weekday = "", month = "", day = "", time = "", year = ""] = found;
  return `${weekday}, ${day.trim()} ${month} ${year} ${time} ${zoneText(wallMs)}`;
}
