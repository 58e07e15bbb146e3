// The queue's log lines, in Sendmail's form (semantics section 25): from=, to=, notices.
// People's log tools parse them.

import type { Envelope } from "../mail/envelope.ts";
import type { Outcome } from "../mail/outcome.ts";
import { peerText } from "../mail/peer.ts";
import type { Delivery, Entry } from "./entry.ts";

/** As many recipients as one to= line names; Sendmail breaks the line too. */
const TO_BYTES_MAX = 400;

/** HH:MM:SS, with days in front when there are any ("1+02:03:04"). */
export function interval(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const two = (n: number): string => String(n).padStart(2, "0");
  const clock = `${two(Math.floor(seconds / 3600) % 24)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  const days = Math.floor(seconds / 86_400);
  return days > 0 ? `${days}+${clock}` : clock;
}

/** Addresses in brackets; programs, files and quoted things as they are. */
export function shown(address: string): string {
  return /^[|/"<\\]/.test(address) ? address : `<${address}>`;
}

/** The client, as relay= shows it. */
export function relayOf({ origin }: Envelope): string {
  const { clientName: name, clientAddress: address, clientResolve: resolve } = origin;
  return address === "" ? `${origin.localUser ?? "root"}@localhost` : peerText({ name, address, resolve });
}

/** The value of the first field of this name (lower case), on one line; "" when there is none. */
export function fieldOf(header: Buffer, name: string): string {
  const text = header.toString("latin1");
  const start = `\r\n${text}`.toLowerCase().indexOf(`\r\n${name}:`);
  if (start < 0) return "";
  const rest = text.slice(start + name.length + 1);
  const end = rest.search(/\r\n(?![ \t])/);
  return (end < 0 ? rest : rest.slice(0, end)).replace(/\r\n[ \t]+/g, " ").trim();
}

/** The line of an accepted message. As in Sendmail, size is what was sent to us, header included. */
export function fromLine(id: string, envelope: Envelope, header: Buffer, bodyBytes: number): string {
  const { origin } = envelope;
  const parts = [
    `${id}: from=<${envelope.sender}>`,
    `size=${envelope.receivedBytes ?? header.length + bodyBytes}`,
    `class=${envelope.precedence}`,
    `nrcpts=${envelope.recipients.length}`,
  ];
  const messageId = fieldOf(header, "message-id");
  if (messageId !== "") parts.push(`msgid=${messageId.slice(0, 200)}`);
  if (envelope.body !== undefined) parts.push(`bodytype=${envelope.body}`);
  if (origin.protocol !== "") parts.push(`proto=${origin.protocol}`);
  if (origin.daemon !== "") parts.push(`daemon=${origin.daemon}`);
  if (origin.auth !== undefined) parts.push(`auth=${origin.auth.mechanism}`);
  parts.push(`relay=${relayOf(envelope)}`);
  if (envelope.quarantine !== undefined) parts.push(`quarantine=${envelope.quarantine}`);
  return parts.join(", ");
}

export interface ToFacts {
  readonly entry: Entry;
  readonly deliveries: readonly Delivery[];
  readonly outcome: Outcome;
  readonly mailer: string;
  readonly host: string;
  readonly delayMs: number;
  readonly tookMs: number;
  readonly priority: number;
}

/** One or more lines for recipients with the same outcome. */
export function toLines(facts: ToFacts): string[] {
  const { outcome: o } = facts;
  const lines: string[] = [];
  const relay = o.relay !== undefined && o.relay !== "" ? o.relay : o.remote !== "" ? o.remote : facts.host;
  const tail = [
    `delay=${interval(facts.delayMs)}`,
    `xdelay=${interval(facts.tookMs)}`,
    `mailer=${facts.mailer}`,
    `pri=${facts.priority}`,
    ...(relay === "" ? [] : [`relay=${relay}`]),
    `dsn=${o.status}`,
    // What is deferred or sent has the reply in its stat=.
    ...(o.kind === "failed" && o.remote !== "" && o.diagnostic !== "" ? [`reply=${o.diagnostic}`] : []),
    `stat=${o.text}`,
  ].join(", ");
  let names: string[] = [];
  let bytes = 0;
  const end = (): void => {
    if (names.length === 0) return;
    lines.push(`${facts.entry.id}: to=${names.join(",")}, ${tail}`);
    names = [];
    bytes = 0;
  };
  for (const delivery of facts.deliveries) {
    const name = shown(delivery.address);
    if (bytes + name.length > TO_BYTES_MAX) end();
    names.push(name);
    bytes += name.length + 1;
  }
  end();
  return lines;
}
