// Host status and mailer statistics as hoststat and mailstats print them: Sendmail's columns (semantics section 25), so that scripts
// which parse them go on working. Pure: data in, text out.

import type { HostEntry } from "../deliver/hoststatus.ts";
import type { MailerRow, Totals } from "./statistics.ts";

/** Characters of a result without and with -v. */
const RESULT_CHARS = 25;
const RESULT_CHARS_VERBOSE = 78;

/** `01:02:03`, with `5+` before it for five days. */
export function howLongAgo(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const two = (n: number): string => String(n).padStart(2, "0");
  const clock = `${two(Math.floor(seconds / 3600) % 24)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  const days = Math.floor(seconds / 86_400);
  return days > 0 ? `${days}+${clock}` : clock;
}

/** The whole table; nothing at all when no host is known, as Sendmail. */
export function formatHostStatus(entries: readonly HostEntry[], nowWallMs: number, verbose: boolean): string {
  if (entries.length === 0) return "";
  const head = " -------------- Hostname --------------- How long ago ---------Results---------\n";
  const width = verbose ? RESULT_CHARS_VERBOSE : RESULT_CHARS;
  const rows = entries.map(
    (e) =>
      ` ${e.name.padEnd(39)} ${howLongAgo(nowWallMs - e.triedWallMs).padStart(12)} ${e.result.slice(0, width)}\n`,
  );
  return head + rows.join("");
}

const right = (value: number | string, width: number): string => String(value).padStart(width);

/** `Sun Nov 22 09:27:14 2026` in local time, as ctime(3). */
function ctime(wallMs: number): string {
  const d = new Date(wallMs);
  const day = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"][d.getDay()] ?? "";
  const month =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][d.getMonth()] ?? "";
  const two = (n: number): string => String(n).padStart(2, "0");
  return `${day} ${month} ${right(d.getDate(), 2)} ${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())} ${d.getFullYear()}`;
}

export interface MailStats {
  readonly sinceWallMs: number;
  readonly nowWallMs: number;
  /** In the order of the configuration; the number is the mailer's. */
  readonly rows: readonly (MailerRow & { readonly number: number })[];
  readonly totals: Totals;
}

/** One row of counts; `program` is mailstats -P: bytes instead of kilobytes. */
function counts(row: Omit<MailerRow, "mailer" | "deferred">, program: boolean): string {
  const size = (bytes: number): string =>
    program ? right(bytes, 10) : `${right(Math.ceil(bytes / 1024), 10)}K`;
  return `${right(row.messagesFrom, 8)} ${size(row.bytesFrom)} ${right(row.messagesTo, 8)} ${size(row.bytesTo)}   ${right(row.rejected, 6)}  ${right(row.discarded, 6)}  ${right(row.quarantined, 6)}`;
}

/** mailstats; `program`: -P, for programs; `names`: without -o. */
export function formatMailStats(stats: MailStats, program: boolean, names: boolean): string {
  const lines: string[] = [];
  if (program) lines.push(`${Math.floor(stats.sinceWallMs / 1000)} ${Math.floor(stats.nowWallMs / 1000)}`);
  else {
    lines.push(`Statistics from ${ctime(stats.sinceWallMs)}`);
    lines.push(
      ` M   msgsfr  bytes_from   msgsto    bytes_to  msgsrej msgsdis msgsqur${names ? "  Mailer" : ""}`,
    );
  }
  const sum = {
    messagesFrom: 0,
    bytesFrom: 0,
    messagesTo: 0,
    bytesTo: 0,
    rejected: 0,
    discarded: 0,
    quarantined: 0,
  };
  for (const row of stats.rows) {
    lines.push(`${right(row.number, 2)} ${counts(row, program)}${names ? `  ${row.mailer}` : ""}`);
    sum.messagesFrom += row.messagesFrom;
    sum.bytesFrom += row.bytesFrom;
    sum.messagesTo += row.messagesTo;
    sum.bytesTo += row.bytesTo;
    sum.rejected += row.rejected;
    sum.discarded += row.discarded;
    sum.quarantined += row.quarantined;
  }
  if (!program) lines.push("=".repeat(69));
  lines.push(` T ${counts(sum, program)}`);
  const { connectionsFrom, connectionsTo, connectionsRejected } = stats.totals;
  lines.push(
    program
      ? ` C ${right(connectionsFrom, 8)} ${right(connectionsTo, 8)} ${right(connectionsRejected, 6)}`
      : ` C ${right(connectionsFrom, 8)}${right(connectionsTo, 21)}${right(connectionsRejected, 21)}`,
  );
  return `${lines.join("\n")}\n`;
}
