// HELO and EHLO: who the client says it is, and what this connection may use. Order of the EHLO lines and texts: semantics
// section 16; a repeated HELO or EHLO resets the transaction. Either must be the last command of a pipelined group (RFC 2920),
// and Sendmail holds clients to it (reliability SMUG-18).

import { authMechanisms } from "./auth.ts";
import { etrnOffered, expnOffered, verbOffered } from "./query.ts";
import { DSN, STARTTLS } from "./registry.ts";
import type { Session } from "./session.ts";

/** RFC 5321 4.5.3.1.2: a domain has at most 255 octets. */
const NAME_BYTES_MAX = 255;

export function heloVerb(session: Session, argument: string): Promise<void> | undefined {
  return hello(session, "HELO", argument);
}

export function ehloVerb(session: Session, argument: string): Promise<void> | undefined {
  return hello(session, "EHLO", argument);
}

/** Letters, digits and `[].-_#:`, as Sendmail's check of RFC 1123 5.2.5 allows. */
function isHostWord(text: string): boolean {
  return text.length <= NAME_BYTES_MAX && /^[A-Za-z0-9[\].\-_#:]+$/.test(text);
}

/** What Received and logs may show of a name that AllowBogusHELO let pass. */
function harmless(text: string): string {
  return text
    .slice(0, NAME_BYTES_MAX)
    .replace(/[^!-~]/g, "?")
    .replace(/[()<>\\"]/g, "?");
}

function hello(session: Session, verb: "HELO" | "EHLO", argument: string): Promise<void> | undefined {
  if (session.inputWaiting) {
    session.protocolError(verb);
    return undefined;
  }
  const wait = session.slow("helo", verb);
  if (wait === null) return undefined;
  const name = argument.trimEnd();
  if (name === "") {
    session.answer(501, "5.0.0", `${verb} requires domain address`);
    return wait;
  }
  const proper = isHostWord(name);
  if (!proper && !session.settings.bogusHelo) {
    session.log(10, `invalid domain name (${name.slice(0, 100)}) from ${session.who}`);
    session.answer(501, "5.0.0", "Invalid domain name");
    return wait;
  }
  return greet(session, verb, proper ? name : harmless(name), proper, wait);
}

async function greet(
  session: Session,
  verb: "HELO" | "EHLO",
  name: string,
  proper: boolean,
  wait: Promise<void> | undefined,
): Promise<void> {
  if (wait !== undefined) await wait;
  if (session.closed) return;
  const client = { ...session.client, helo: name };
  if (session.refusal === null) {
    const verdict = await session.service.policy.helo(client);
    if (session.closed) return;
    if (verdict.kind === "reject") {
      session.say(verdict.reply);
      if (verdict.close) session.close();
      return;
    }
    if (verdict.kind === "discard") session.fate.discard = true;
    if (verdict.kind === "quarantine") session.fate.quarantine ||= verdict.reason;
  }
  if (session.inputWaiting) {
    session.protocolError(verb);
    return;
  }
  session.reset();
  session.client = client;
  session.protocol = verb === "EHLO" ? "ESMTP" : "SMTP";
  const manner = proper ? "pleased to meet you" : "accepting invalid domain name";
  const first = `${session.hostName} Hello ${session.who}, ${manner}`;
  const lines = verb === "EHLO" ? [first, ...extensions(session)] : [first];
  session.say({ code: 250, enhanced: "", lines });
}

/** Is DSN in the EHLO answer? PrivacyOptions=noreceipts takes it away. */
export function dsnOffered(session: Session): boolean {
  return DSN.length > 0 && !session.settings.privacy.has("noreceipts");
}

/** What this connection may use, in Sendmail's order. */
function extensions(session: Session): readonly string[] {
  if (session.refusal !== null) return ["ENHANCEDSTATUSCODES"];
  const { settings } = session;
  const lines = ["ENHANCEDSTATUSCODES", "PIPELINING"];
  if (expnOffered(session)) lines.push("EXPN");
  if (verbOffered(session)) lines.push("VERB");
  lines.push("8BITMIME", settings.sizeMax > 0 ? `SIZE ${settings.sizeMax}` : "SIZE");
  if (settings.smtpUtf8) lines.push("SMTPUTF8");
  if (dsnOffered(session)) lines.push("DSN");
  if (etrnOffered(session)) lines.push("ETRN");
  const mechanisms = authMechanisms(session);
  if (mechanisms.length > 0) lines.push(`AUTH ${mechanisms.map((m) => m.name).join(" ")}`);
  if (STARTTLS[0]?.offered(session)) lines.push("STARTTLS");
  if (settings.requireTls && session.encrypted) lines.push("REQUIRETLS");
  if (settings.deliverByMin > 0) lines.push(`DELIVERBY ${settings.deliverByMin}`);
  else if (settings.deliverByMin === 0) lines.push("DELIVERBY");
  lines.push("HELP");
  return lines;
}
