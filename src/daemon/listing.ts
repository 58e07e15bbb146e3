// The queue as mailq prints it (semantics section 19): Sendmail's columns, so that scripts which parse them go on working.
// Held messages show their reason, marks behind the id say what a message is doing.

import type { QueueEntry } from "../spool/spool.ts";

const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** `Sun Nov 22 06:43`, in local time. */
function queueTime(wallMs: number): string {
  const d = new Date(wallMs);
  const two = (n: number): string => String(n).padStart(2, "0");
  return `${DAYS[d.getDay()]} ${MONTHS[d.getMonth()]} ${String(d.getDate()).padStart(2)} ${two(d.getHours())}:${two(d.getMinutes())}`;
}

function mark(entry: QueueEntry): string {
  if (entry.running) return "*";
  if (entry.tooLoaded) return "X";
  return entry.resting ? "-" : " ";
}

/** Characters that a row without -v has room for; -v shows all. */
const SENDER_CHARS = 39;
const RECIPIENT_CHARS = 38;
const REASON_CHARS = 60;
const VERBOSE_REASON_CHARS = 100;

/** Lines of one message. */
function rows(entry: QueueEntry, verbose: boolean): string[] {
  const size = String(entry.sizeBytes).padStart(8);
  const time = queueTime(entry.arrivedMs);
  // With -v the priority takes the place of the weekday, and recipients stand one tab further right.
  const middle = verbose
    ? `${size} ${String(entry.priority).padStart(10)} ${time.slice(4)}`
    : `${size} ${time}`;
  const tabs = verbose ? "\t\t\t\t\t\t" : "\t\t\t\t\t ";
  const cut = (text: string, most: number): string => (verbose ? text : text.slice(0, most));
  const reason = (text: string): string => text.slice(0, verbose ? VERBOSE_REASON_CHARS : REASON_CHARS);
  const lines = [`${entry.id}${mark(entry)}${middle} ${cut(`<${entry.sender}>`, SENDER_CHARS)}`];
  if (entry.hold !== "") lines.push(`     QUARANTINE: ${reason(entry.hold)}`);
  if (entry.text !== "") lines.push(`                 (${reason(entry.text)})`);
  for (const { address, text } of entry.recipients) {
    if (text !== "" && text !== entry.text) lines.push(`                 (${reason(text)})`);
    lines.push(`${tabs}${cut(`<${address}>`, RECIPIENT_CHARS)}`);
  }
  return lines;
}

/** The whole listing; `folder` is the queue's. `held`: quarantined messages that are not among the entries, said at the end. */
export function formatMailq(
  folder: string,
  entries: readonly QueueEntry[],
  verbose: boolean,
  held = 0,
): string {
  const total = `\t\tTotal requests: ${entries.length}${held === 0 ? "" : `, ${held} quarantined`}\n`;
  if (entries.length === 0) return `${folder} is empty\n${total}`;
  const head = verbose
    ? "-----Q-ID----- --Size-- -Priority- ---Q-Time--- --------Sender/Recipient--------"
    : "-----Q-ID----- --Size-- -----Q-Time----- ------------Sender/Recipient-----------";
  const count = `\t\t${folder} (${entries.length} request${entries.length === 1 ? "" : "s"})`;
  return `${[count, head, ...entries.flatMap((entry) => rows(entry, verbose))].join("\n")}\n${total}`;
}
