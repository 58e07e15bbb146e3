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
  return entry.resting ? "-" : " ";
}

/** Lines of one message. */
function rows(entry: QueueEntry, verbose: boolean): string[] {
  const size = String(entry.sizeBytes).padStart(8);
  const priority = verbose ? ` ${String(entry.priority).padStart(10)}` : "";
  const lines = [
    `${entry.id}${mark(entry)}${size}${priority} ${queueTime(entry.arrivedMs)} <${entry.sender}>`,
  ];
  if (entry.hold !== "") lines.push(`     QUARANTINE: ${entry.hold}`);
  if (entry.text !== "") lines.push(`                 (${entry.text})`);
  for (const { address, text } of entry.recipients) {
    if (text !== "" && text !== entry.text) lines.push(`                 (${text})`);
    lines.push(`\t\t\t\t\t <${address}>`);
  }
  return lines;
}

/** The whole listing; `folder` is the queue's. */
export function formatMailq(folder: string, entries: readonly QueueEntry[], verbose: boolean): string {
  const total = `\t\tTotal requests: ${entries.length}\n`;
  if (entries.length === 0) return `${folder} is empty\n${total}`;
  const head = verbose
    ? "-----Q-ID----- --Size-- -Priority- ---Q-Time--- --------Sender/Recipient--------"
    : "-----Q-ID----- --Size-- -----Q-Time----- ------------Sender/Recipient-----------";
  const count = `\t\t${folder} (${entries.length} request${entries.length === 1 ? "" : "s"})`;
  return `${[count, head, ...entries.flatMap((entry) => rows(entry, verbose))].join("\n")}\n${total}`;
}
