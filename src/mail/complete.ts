// The header as it enters the queue (semantics section 18): our Received field on top, then fields that were missing, then the fields
// that came, without those that must not travel on (Return-Path, Bcc, ...). Also what the header says about class and hops.

import { formatDate } from "./date.ts";
import type { Envelope, Origin } from "./envelope.ts";
import { fromLineDate } from "./fromline.ts";
import { peerText } from "./peer.ts";

/** What the header is completed from. */
export interface HeaderFacts {
  readonly id: string;
  /** $j, and version texts $v and $Z ("8.17.1/8.17.1" style; ours). */
  readonly hostName: string;
  readonly version: string;
  readonly cfVersion: string;
  readonly origin: Origin;
  /** Envelope sender without brackets, "" for none. */
  readonly sender: string;
  /** Full name for From, "" for none. */
  readonly fullName?: string;
  /** Envelope recipients as typed, without brackets: one of them is named in Received, more are not. */
  readonly recipients: readonly string[];
  readonly wallMs: number;
  /** The mbox line that stood before the header: its date is the message's when no field says one. */
  readonly fromLine?: Buffer | null;
  /** Sendmail's NoRecipientAction: "none" | "add-to" | "add-apparently-to" | "add-to-undisclosed" | "add-bcc". */
  readonly noRecipientAction?: string;
  /** False when the client named more recipients than were accepted: Received then names none. */
  readonly alone?: boolean;
  /** True for a notice that we write ourselves: no `with`, no `for`. */
  readonly notice?: boolean;
  /** confFROM_HEADER when it is `<$g>`: the From that we add has brackets. */
  readonly fromInBrackets?: boolean;
}

export interface CompletedHeader {
  /** CRLF lines, without the blank line. */
  readonly header: Buffer;
  /** Trace fields that were there (Received, X400-Received, Via, Mail-From), ours not counted. */
  readonly hops: number;
  readonly precedence: number;
  readonly urgency: Envelope["urgency"];
}

interface Field {
  /** Lower case. */
  readonly name: string;
  /** Value with the blanks after the colon and inner folds, without the last CRLF. */
  readonly value: string;
  /** As written, normalised to `Name:value`. */
  readonly label: string;
}

const TRACE_FIELDS = new Set(["received", "x400-received", "via", "mail-from"]);
/** Fields that only a delivering mailer may write. */
const DROPPED_FIELDS = new Set(["return-path", "full-name", "content-length"]);
/** Fields that we add when they are missing, or there but empty. */
const DEFAULT_FIELDS = ["resent-date", "date", "resent-from", "from", "resent-message-id", "message-id"];
/** Fields that say how urgent a message is. */
const CLASS_FIELDS = new Set(["precedence", "priority", "content-type"]);
const CLASSES = new Map([
  ["special-delivery", 100],
  ["first-class", 0],
  ["list", -30],
  ["bulk", -60],
  ["junk", -100],
]);

/** Control bytes of peers never reach a field that we write. */
function clean(text: string): string {
  return text.replace(/[\x00-\x1f\x7f]/g, "?");
}

/** The client, or the local user. */
function peer(origin: Origin): string {
  const { clientName, clientAddress } = origin;
  if (clientAddress === "")
    return origin.localUser === undefined ? clientName : `${origin.localUser}@${clientName || "localhost"}`;
  return peerText({ name: clientName, address: clientAddress, resolve: origin.clientResolve });
}

/** Our Received field, CRLF at the end. */
export function receivedField(facts: HeaderFacts): string {
  const { origin } = facts;
  const from = origin.helo === "" ? `(from ${peer(origin)})` : `from ${origin.helo} (${peer(origin)})`;
  // The bits are those of a SASL security layer, which no mechanism of ours has; TLS's stand in their own comment.
  const auth = origin.auth === undefined ? "" : "(authenticated bits=0)\r\n\t";
  const how = origin.protocol === "" || facts.notice ? "" : ` with ${origin.protocol}`;
  const tls = origin.tls;
  const secured =
    tls === undefined
      ? ""
      : `\r\n\t(version=${tls.version} cipher=${tls.cipher} bits=${tls.bits} verify=${tls.verify})`;
  const alone = facts.recipients.length === 1 && facts.alone !== false && !facts.notice;
  const only = alone ? facts.recipients[0] : undefined;
  const forWhom = only === undefined ? ";\r\n\t" : `\r\n\tfor <${clean(only)}>; `;
  const by = `by ${facts.hostName} (${facts.version}/${facts.cfVersion})${how} id ${facts.id}`;
  return `Received: ${clean(from)}\r\n\t${auth}${by}${secured}${forWhom}${formatDate(facts.wallMs)}\r\n`;
}

/** yyyymmddHHMM in UTC ($t). */
function stamp(wallMs: number): string {
  const date = new Date(wallMs);
  if (Number.isNaN(date.getTime())) return "197001010000";
  return date.toISOString().slice(0, 16).replace(/[-T:]/g, "");
}

function* fieldsOf(header: string): Generator<Field> {
  let start = 0;
  while (start < header.length) {
    let end = header.indexOf("\r\n", start);
    while (end >= 0 && (header[end + 2] === " " || header[end + 2] === "\t"))
      end = header.indexOf("\r\n", end + 2);
    const stop = end < 0 ? header.length : end;
    const raw = header.slice(start, stop);
    const colon = raw.indexOf(":");
    const label = (colon < 0 ? raw : raw.slice(0, colon)).trim();
    yield { name: label.toLowerCase(), value: colon < 0 ? "" : raw.slice(colon + 1), label };
    start = end < 0 ? header.length : end + 2;
  }
}

function fromField(label: string, facts: HeaderFacts): string {
  // A Full-Name field may be folded, and stays so.
  const name = (facts.fullName ?? "").replace(/\r\n(?![ \t])|\r(?!\n)|(?<!\r)\n|\0/g, " ");
  const bracketed = name !== "" || facts.fromInBrackets === true;
  const sender = clean(facts.sender);
  const address = bracketed ? `<${sender}>` : sender;
  return `${label}: ${name === "" ? "" : `${name} `}${address}\r\n`;
}

/** The field that stands in for a missing one. */
function defaultField(name: string, facts: HeaderFacts): string {
  // $a
  const date = fromLineDate(facts.fromLine ?? Buffer.alloc(0), facts.wallMs) || formatDate(facts.wallMs);
  const id = `<${stamp(facts.wallMs)}.${facts.id}@${facts.hostName}>`;
  switch (name) {
    case "resent-date":
      return `Resent-Date: ${date}\r\n`;
    case "date":
      return `Date: ${date}\r\n`;
    case "resent-from":
      return fromField("Resent-From", facts);
    case "from":
      return fromField("From", facts);
    case "resent-message-id":
      return `Resent-Message-Id: ${id}\r\n`;
    default:
      return `Message-Id: ${id}\r\n`;
  }
}

/** The field that NoRecipientAction asks for when no field names a recipient. */
function recipientField(facts: HeaderFacts): string {
  const all = facts.recipients.map(clean).join(", ");
  switch (facts.noRecipientAction) {
    case "add-to":
      return `To: ${all}\r\n`;
    case "add-apparently-to":
      return `Apparently-To: ${all}\r\n`;
    case "add-to-undisclosed":
      return "To: undisclosed-recipients:;\r\n";
    case "add-bcc":
      return "Bcc: \r\n";
    default:
      return "";
  }
}

interface Summary {
  readonly seen: ReadonlySet<string>;
  readonly kept: string;
  /** Value of a Full-Name field, which names the sender in the From that we add. */
  readonly fullName: string;
  /** `kept` with emptied Bcc fields where they stood: RFC 822 wants one recipient field. */
  readonly keptWithBcc: string;
  readonly hops: number;
  readonly precedence: number;
  readonly urgency: Envelope["urgency"];
}

/**
 * Which of the queue's timeouts apply, as Sendmail decides: by the sign of the class, unless the message is a delivery status
 * notification; a Priority field with a known word has the last say.
 */
function urgencyOf(precedence: number, contentType: string, priority: string): Envelope["urgency"] {
  const word = priority.toLowerCase();
  if (word === "urgent" || word === "normal" || word === "non-urgent") return word;
  if (STATUS_REPORT.test(contentType)) return "dsn";
  return precedence < 0 ? "non-urgent" : precedence > 0 ? "urgent" : "normal";
}

/** RFC 3462 section 1, of a delivery status notification. */
const STATUS_REPORT =
  /^multipart\s*\/\s*report\s*;(?:.*;)?\s*report-type\s*=\s*"?delivery-status"?\s*(?:;|$)/is;

function summarise(header: string): Summary {
  const seen = new Set<string>();
  let kept = "";
  let keptWithBcc = "";
  let fullName = "";
  let hops = 0;
  // The first field of a name counts.
  const first = new Map<string, string>();
  for (const { name, value, label } of fieldsOf(header)) {
    if (TRACE_FIELDS.has(name)) hops++;
    const text = value.trim();
    if (CLASS_FIELDS.has(name) && !first.has(name)) first.set(name, text);
    if (name === "full-name") fullName = text;
    if (DROPPED_FIELDS.has(name) || (text === "" && DEFAULT_FIELDS.includes(name))) continue;
    seen.add(name);
    const blind = name === "bcc" || name === "resent-bcc";
    if (!blind) kept += `${label}:${value}\r\n`;
    keptWithBcc += blind ? `${label}:\r\n` : `${label}:${value}\r\n`;
  }
  const value = (name: string): string => first.get(name) ?? "";
  const precedence = CLASSES.get(value("precedence").toLowerCase()) ?? 0;
  const urgency = urgencyOf(precedence, value("content-type"), value("priority"));
  return { seen, kept, keptWithBcc, fullName, hops, precedence, urgency };
}

/** Will completeHeader() add a From made of the sender? Then the sender's full name is worth looking up. */
export function lacksSender(raw: Buffer): boolean {
  const { seen } = summarise(raw.toString("latin1"));
  const resent = [...seen].some((name) => name.startsWith("resent-"));
  return !seen.has("from") || (resent && !seen.has("resent-from"));
}

/**
 * Completes a header. `raw`: the lines as they came (CRLF, dots unstuffed, without the blank line); may be empty. Bytes of fields that
 * stay are untouched.
 */
export function completeHeader(raw: Buffer, facts: HeaderFacts): CompletedHeader {
  const came = summarise(raw.toString("latin1"));
  const has = (name: string) => came.seen.has(name);
  const resent = [...came.seen].some((name) => name.startsWith("resent-"));
  const named = came.fullName === "" ? facts : { ...facts, fullName: came.fullName };
  let added = "";
  for (const name of DEFAULT_FIELDS)
    if (!has(name) && (resent || !name.startsWith("resent-"))) added += defaultField(name, named);
  const addressed = ["to", "cc", "resent-to", "resent-cc", "apparently-to"].some(has);
  const recipients = addressed ? "" : recipientField(facts);
  const kept = addressed || recipients !== "" ? came.kept : came.keptWithBcc;
  const text = receivedField(facts) + added + kept + recipients;
  return {
    header: Buffer.from(text, "latin1"),
    hops: came.hops,
    precedence: came.precedence,
    urgency: came.urgency,
  };
}
