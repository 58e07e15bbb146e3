// Addresses and headers as a mailer sends them: one address at one place, the envelope's sender and recipients, and whole headers
// with their phrases, comments and folding kept (semantics section 12; lists are laid out as Sendmail's commaize does).

import { scanAddress } from "../mail/address.ts";
import { focus, focusToText } from "../mail/focus.ts";
import { crack, splitList } from "../mail/phrase.ts";
import { canonify } from "./canonify.ts";
import { type Place, placed } from "./masquerade.ts";
import { startRun } from "./parse.ts";
import { mailerStyle } from "./resolve.ts";
import type { Site } from "./site.ts";

export type { Place } from "./masquerade.ts";

/**
 * The bare address (no phrase) as `mailer` writes it at `place`; null when it cannot be read and must stay as it is. Without a mailer it
 * is only made canonical, as in the original that a notice returns.
 */
async function rewritten(
  site: Site,
  mailer: string | null,
  place: Place,
  address: string,
): Promise<string | null> {
  const scanned = scanAddress(address, 0, "", true);
  if (!scanned.ok) return null;
  const run = startRun(site);
  const canonical = await canonify(run, focus(scanned.value.tokens, site.routing));
  if (canonical.kind === "list") return null;
  if (mailer === null) return canonical.host === "" ? "" : focusToText(canonical, site.routing.uucp);
  return focusToText(await placed(run, mailerStyle(site, mailer), place, canonical), site.routing.uucp);
}

/** One address with its phrase and comments, rewritten for `mailer` at `place`. Unreadable addresses come back unchanged. */
export async function rewriteAddress(
  site: Site,
  mailer: string | null,
  place: Place,
  address: string,
): Promise<string> {
  const parts = crack(address);
  const shown = await rewritten(site, mailer, place, parts.address);
  if (shown === null) return address.trim();
  return `${parts.before}${shown}${parts.after}`;
}

/** The sender for MAIL, without brackets; "" stays "". */
export async function envelopeSenderFor(site: Site, mailer: string, sender: string): Promise<string> {
  // Our own notices to the postmaster go out with the null sender, like all notices.
  if (sender === "" || sender === site.config.texts.mailerName) return "";
  return (await rewritten(site, mailer, "envelope-sender", crack(sender).address)) ?? sender;
}

/** The recipient for RCPT, without brackets. Routing has written it already; this is for addresses that did not come from it. */
export async function envelopeRecipientFor(site: Site, mailer: string, recipient: string): Promise<string> {
  return (await rewritten(site, mailer, "envelope-recipient", crack(recipient).address)) ?? recipient;
}

const SENDER_FIELDS = new Set([
  "resent-sender",
  "resent-from",
  "resent-reply-to",
  "sender",
  "from",
  "reply-to",
  "errors-to",
  "disposition-notification-to",
]);
const RECIPIENT_FIELDS = new Set([
  "to",
  "resent-to",
  "cc",
  "resent-cc",
  "bcc",
  "resent-bcc",
  "apparently-to",
]);

/** Columns after which a list of addresses is folded, unless the mailer's lines are shorter. */
const FOLD_COLUMN = 78;
/** Blanks kept before the first address. */
const COLUMNS_OF_BLANKS_MAX = 200;

interface Field {
  readonly name: string;
  /** The field with its continuation lines and last CRLF. */
  readonly raw: string;
  readonly colon: number;
}

/** The fields of a header in CRLF lines, in order. */
function* fieldsOf(header: string): Generator<Field> {
  let start = 0;
  while (start < header.length) {
    let end = header.indexOf("\r\n", start);
    while (end >= 0 && (header[end + 2] === " " || header[end + 2] === "\t"))
      end = header.indexOf("\r\n", end + 2);
    const next = end < 0 ? header.length : end + 2;
    const raw = header.slice(start, next);
    const colon = raw.indexOf(":");
    yield { name: raw.slice(0, Math.max(colon, 0)).trim().toLowerCase(), raw, colon };
    start = next;
  }
}

function placeOf(name: string): Place | null {
  if (SENDER_FIELDS.has(name)) return "header-sender";
  return RECIPIENT_FIELDS.has(name) ? "header-recipient" : null;
}

/** The addresses of a field, each rewritten, with ", " between them and folds before column 78. */
async function rewriteList(site: Site, mailer: string | null, place: Place, field: Field): Promise<string> {
  const label = field.raw.slice(0, field.colon);
  const value = field.raw.slice(field.colon + 1, field.raw.endsWith("\r\n") ? -2 : undefined);
  // The blanks before the first address stay, one blank for each; folds inside an address stay too.
  const lead = value.length - value.trimStart().length;
  const limit = site.mailers.get(mailer ?? "")?.lineMax ?? 0;
  const columns = limit > 2 ? Math.min(limit - 2, FOLD_COLUMN) : FOLD_COLUMN;
  let out = `${label}:${" ".repeat(Math.min(lead, COLUMNS_OF_BLANKS_MAX))}`;
  let column = out.length;
  let first = true;
  for (const piece of splitList(value)) {
    if (piece.trim() === "") continue;
    const shown = await rewriteAddress(site, mailer, place, piece);
    column += shown.length + (first ? 0 : 2);
    if (column > columns && !first) {
      out += ",\r\n        ";
      column = 8 + shown.length;
    } else if (!first) out += ", ";
    out += shown;
    first = false;
  }
  return `${out}\r\n`;
}

/**
 * The header (CRLF lines, no blank line at the end) as `mailer` sends it. Fields that hold no addresses keep every byte; the same
 * Buffer comes back when nothing changed.
 */
export async function rewriteHeader(site: Site, mailer: string | null, header: Buffer): Promise<Buffer> {
  const text = header.toString("latin1");
  let out = "";
  let changed = false;
  for (const field of fieldsOf(text)) {
    const place = field.colon < 0 ? null : placeOf(field.name);
    const shown = place === null ? field.raw : await rewriteList(site, mailer, place, field);
    changed ||= shown !== field.raw;
    out += shown;
  }
  return changed ? Buffer.from(out, "latin1") : header;
}

/** Sender and header of an original as a notice returns them. */
export async function returnedOriginal(
  site: Site,
  sender: string,
  header: Buffer,
): Promise<{ readonly sender: string; readonly header: Buffer }> {
  const shown = sender === "" ? "" : await rewritten(site, null, "envelope-sender", crack(sender).address);
  return { sender: shown ?? sender, header: await rewriteHeader(site, null, header) };
}
