// Delivery status notifications in Sendmail's form (semantics section 21; RFC 3461, 3462, 3464): failure, delay, success, and the
// notice to the postmaster. Pure: facts in, header and wire-form body out. Texts from peers are cleaned, so that no line is forged.

import { NOTICE_RECIPIENTS_MAX } from "../base/limits.ts";
import { formatDate } from "./date.ts";
import { clean, type LetterFacts, letterHeader, wireLines } from "./letter.ts";

export interface NoticeRecipient {
  /** The final recipient. */
  readonly address: string;
  /** Whom the mailer was to give it to, when that differs: the user of the routed triple. */
  readonly actual?: string;
  /** The alias it came from, "" when direct. */
  readonly via: string;
  /** ORCPT as received (`type;xtext`). */
  readonly orcpt?: string;
  /** "relayed": taken over by a host that sends no success notices; "expanded": a list has it (RFC 3461 5.2.7.3). */
  readonly action: "failed" | "delayed" | "delivered" | "relayed" | "expanded";
  readonly status: string;
  /** The answer of the next hop or program, one line; "" when there was none. */
  readonly diagnostic: string;
  /** "SMTP" or "X-Unix". */
  readonly diagnosticType: "SMTP" | "X-Unix";
  /** Host that answered, "" when none did. */
  readonly remote: string;
  readonly transcript: readonly string[];
}

export interface NoticeFacts extends LetterFacts {
  readonly kind: "failed" | "delayed" | "success" | "postmaster";
  /** When the original arrived. */
  readonly arrivedMs: number;
  /** `name [address]` of the client that the original came from; "localhost" for local submission. */
  readonly receivedFrom: string;
  /** Name for Received-From-MTA, "" for local submission. */
  readonly receivedFromMta: string;
  /** ENVID, still xtext; "" when there was none. */
  readonly envid: string;
  readonly recipients: readonly NoticeRecipient[];
  /** PrivacyOptions noactualrecipient: who an alias stands for is not told. */
  readonly hideActualRecipient?: boolean;
  /** Milliseconds after which a late message is warned of or given up, 0 when that is not why. */
  readonly lateMs: number;
  readonly returnMs: number;
  /** Wall time until which a delayed message will be tried. */
  readonly retryUntilMs: number;
  readonly originalSender: string;
  readonly originalHeader: Buffer;
  /** The original's body comes between the two parts of the notice; false: its header is enough. */
  readonly whole: boolean;
  readonly eightBit: boolean;
}

export interface Notice {
  readonly header: Buffer;
  /** Wire form (CRLF lines, dots stuffed): what comes before the original's body, and after it. */
  readonly before: Buffer;
  readonly after: Buffer;
}

const HEADINGS = {
  failed: "   ----- The following addresses had permanent fatal errors -----",
  delayed: "   ----- The following addresses had transient non-fatal errors -----",
  success: "   ----- The following addresses had successful delivery notifications -----",
  postmaster: "   ----- The following addresses had permanent fatal errors -----",
} as const;

const AUTO = {
  failed: "auto-generated (failure)",
  delayed: "auto-generated (warning-timeout)",
  success: "auto-generated (return-receipt)",
  postmaster: "auto-generated (postmaster-notification)",
} as const;

const WARNING_BOX = [
  "    **********************************************",
  "    **      THIS IS A WARNING MESSAGE ONLY      **",
  "    **  YOU DO NOT NEED TO RESEND YOUR MESSAGE  **",
  "    **********************************************",
  "",
];

/** Lines of transcript that one notice carries for each recipient. */
const TRANSCRIPT_LINES_MAX = 30;

function shown(address: string): string {
  return /^[|/"<\\]/.test(address) ? clean(address) : `<${clean(address)}>`;
}

/** "5 days", "4 hours": Sendmail's pintvl() in its long form. */
export function longInterval(ms: number): string {
  let seconds = Math.max(0, Math.floor(ms / 1000));
  const parts: string[] = [];
  for (const [name, length] of [
    ["week", 604_800],
    ["day", 86_400],
    ["hour", 3600],
    ["minute", 60],
    ["second", 1],
  ] as const) {
    // Sendmail says "1 week" only for whole weeks.
    if (name === "week" && seconds % length !== 0) continue;
    const count = Math.floor(seconds / length);
    seconds -= count * length;
    if (count > 0) parts.push(`${count} ${name}${count === 1 ? "" : "s"}`);
  }
  return parts.length === 0 ? "zero seconds" : parts.join(" ");
}

/** xtext of RFC 3461 section 4 to text; what is not xtext stays as it is. */
export function decodeXtext(text: string): string {
  return text.replace(/\+([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

export function makeNotice(facts: NoticeFacts): Notice {
  const boundary = `${facts.id}.${Math.floor(facts.nowMs / 1000)}/${facts.hostName}`;
  const part = (type: string): string[] => [
    "",
    `--${boundary}`,
    ...(type === "" ? [] : [`Content-Type: ${type}`]),
    "",
  ];
  const lines = ["This is a MIME-encapsulated message", ...part("").slice(0), ...textPart(facts)];
  lines.push(...part("message/delivery-status"), ...statusPart(facts));
  // RFC 2045 6.4: the label of what is inside, as the outer header has it.
  const label = facts.whole && facts.eightBit ? "\r\nContent-Transfer-Encoding: 8bit" : "";
  lines.push(...part(`${facts.whole ? "message/rfc822" : "text/rfc822-headers"}${label}`));
  return {
    header: header(facts, boundary),
    before: Buffer.concat([wireLines(lines), wireHeader(facts), wireLines(facts.whole ? [""] : [])]),
    after: wireLines(["", `--${boundary}--`, ""]),
  };
}

function subject(facts: NoticeFacts): string {
  switch (facts.kind) {
    case "failed":
      return "Returned mail: see transcript for details";
    case "postmaster":
      return "Postmaster notify: see transcript for details";
    case "success":
      return "Return receipt";
    case "delayed":
      return `Warning: could not send message for past ${longInterval(facts.lateMs)}`;
  }
}

function header(facts: NoticeFacts, boundary: string): Buffer {
  return letterHeader(facts, subject(facts), AUTO[facts.kind], [
    "MIME-Version: 1.0",
    "Content-Type: multipart/report; report-type=delivery-status;",
    `\tboundary="${boundary}"`,
    ...(facts.eightBit ? ["Content-Transfer-Encoding: 8bit"] : []),
  ]);
}

/** The part for people. */
function textPart(facts: NoticeFacts): string[] {
  const lines = facts.kind === "delayed" ? [...WARNING_BOX] : [];
  lines.push(
    `The original message was received at ${formatDate(facts.arrivedMs)}`,
    `from ${clean(facts.receivedFrom)}`,
    "",
    HEADINGS[facts.kind],
  );
  const named = facts.recipients.slice(0, NOTICE_RECIPIENTS_MAX);
  for (const r of named) lines.push(...personLines(facts, r));
  if (facts.recipients.length > named.length)
    lines.push(`and ${facts.recipients.length - named.length} more addresses`);
  lines.push("");
  if (facts.kind === "success") return lines;
  lines.push("   ----- Transcript of session follows -----", ...transcript(facts, named));
  return lines;
}

function personLines(facts: NoticeFacts, r: NoticeRecipient): string[] {
  if (facts.kind === "success") {
    const what = {
      delivered: "successfully delivered to mailbox",
      relayed: "relayed to non-DSN-aware mailer",
      expanded: "successfully delivered to mailing list",
      failed: "failed",
      delayed: "delayed",
    }[r.action];
    return [`${shown(r.address)}  (${what})`];
  }
  const lines = [shown(r.address)];
  if (r.diagnostic !== "") lines.push(`    (reason: ${clean(r.diagnostic)})`);
  if (r.via !== "") lines.push(`    (expanded from: ${shown(r.via)})`);
  return lines;
}

function transcript(facts: NoticeFacts, recipients: readonly NoticeRecipient[]): string[] {
  const lines: string[] = [];
  let talking = "";
  for (const r of recipients) {
    for (const line of r.transcript.slice(0, TRANSCRIPT_LINES_MAX)) {
      // Recipients of one conversation share its beginning.
      if (line.startsWith("... while talking to ")) {
        if (line === talking) continue;
        talking = line;
      }
      lines.push(clean(line));
    }
  }
  if (facts.kind === "delayed")
    lines.push(
      `Warning: message still undelivered after ${longInterval(facts.lateMs)}`,
      `Will keep trying until message is ${longInterval(facts.returnMs)} old`,
    );
  else if (facts.lateMs > 0)
    lines.push(
      `Message could not be delivered for ${longInterval(facts.lateMs)}`,
      "Message will be deleted from queue",
    );
  return lines;
}

/** The part for programs (RFC 3464 section 2). */
function statusPart(facts: NoticeFacts): string[] {
  const lines: string[] = [];
  if (facts.envid !== "") lines.push(`Original-Envelope-Id: ${clean(decodeXtext(facts.envid))}`);
  lines.push(`Reporting-MTA: dns; ${facts.hostName}`);
  if (facts.receivedFromMta !== "") lines.push(`Received-From-MTA: DNS; ${clean(facts.receivedFromMta)}`);
  lines.push(`Arrival-Date: ${formatDate(facts.arrivedMs)}`);
  for (const r of facts.recipients.slice(0, NOTICE_RECIPIENTS_MAX))
    lines.push("", ...recipientFields(facts, r));
  return lines;
}

function recipientFields(facts: NoticeFacts, r: NoticeRecipient): string[] {
  const lines: string[] = [];
  if (r.orcpt !== undefined) lines.push(`Original-Recipient: ${clean(originalRecipient(r.orcpt))}`);
  const final = r.via !== "" ? r.via : r.address;
  lines.push(`Final-Recipient: RFC822; ${clean(actualAddress(facts, final))}`);
  // Sendmail names it also when it is the final recipient itself.
  if (facts.hideActualRecipient !== true)
    lines.push(
      `X-Actual-Recipient: ${actualType(r.actual ?? r.address)}; ${clean(actualAddress(facts, r.actual ?? r.address))}`,
    );
  lines.push(`Action: ${ACTIONS[r.action]}`, `Status: ${r.status}`);
  if (r.remote !== "") lines.push(`Remote-MTA: DNS; ${clean(r.remote)}`);
  if (r.diagnostic !== "") lines.push(`Diagnostic-Code: ${r.diagnosticType}; ${clean(r.diagnostic)}`);
  lines.push(`Last-Attempt-Date: ${formatDate(facts.nowMs)}`);
  if (r.action === "delayed" && facts.retryUntilMs > 0)
    lines.push(`Will-Retry-Until: ${formatDate(facts.retryUntilMs)}`);
  return lines;
}

const ACTIONS = {
  failed: "failed",
  delayed: "delayed",
  delivered: "delivered (to mailbox)",
  relayed: "relayed (to non-DSN-aware mailer)",
  expanded: "delivered (to mailing list)",
} as const;

function actualType(address: string): string {
  return /^[|/]/.test(address) ? "X-Unix" : "rfc822";
}

/** A bare name with our host behind it. */
function actualAddress(facts: NoticeFacts, address: string): string {
  return address.includes("@") || /^[|/":]/.test(address) ? address : `${address}@${facts.hostName}`;
}

/** `rfc822;a+2Bb@c` as `rfc822; a+b@c`. */
function originalRecipient(orcpt: string): string {
  const semicolon = orcpt.indexOf(";");
  return semicolon < 0
    ? decodeXtext(orcpt)
    : `${orcpt.slice(0, semicolon)};${decodeXtext(orcpt.slice(semicolon + 1))}`;
}

/** The original's header with its Return-Path, in wire form; it was accepted without stuffed dots. */
function wireHeader(facts: NoticeFacts): Buffer {
  const text = facts.originalHeader.toString("latin1");
  const stuffed = text.replace(/(^|\r\n)\./g, "$1..");
  return Buffer.concat([
    Buffer.from(`Return-Path: <${clean(facts.originalSender)}>\r\n`),
    Buffer.from(stuffed, "latin1"),
  ]);
}
