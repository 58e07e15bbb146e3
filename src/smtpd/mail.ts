// MAIL: begins a transaction. Order as Sendmail's: HELO wanted, one sender only, AUTH wanted, syntax, parameters, check_mail,
// size, room on the disk (semantics sections 15 and 16).

import type { Reply } from "../mail/reply.ts";
import { decoded, parseAddressArgument } from "./argument.ts";
import { dsnOffered } from "./hello.ts";
import { type ParameterRules, parseMailParameters } from "./parameters.ts";
import type { Session } from "./session.ts";
import { type MailParameters, Transaction } from "./transaction.ts";

export function parameterRules(session: Session): ParameterRules {
  const { settings } = session;
  return {
    dsn: dsnOffered(session),
    sizeMax: settings.sizeMax,
    auth: session.service.auth !== null,
    deliverByMin: settings.deliverByMin,
    smtpUtf8: settings.smtpUtf8,
    requireTls: settings.requireTls && session.encrypted,
  };
}

/** A wrong parameter is said only when the address itself is right: Sendmail parses the address first. */
export async function addressFirst(
  session: Session,
  typed: string,
  side: "sender" | "recipient",
  otherwise: Reply,
  say: (answer: Reply) => void,
): Promise<void> {
  const problem = (await session.service.routes.refusal?.(typed, side)) ?? null;
  if (!session.closed) say(problem ?? otherwise);
}

/** DaemonPortOptions modifier a: no mail without AUTH; A takes it back. */
function authRequired(session: Session): boolean {
  const { modifiers } = session.daemon;
  return modifiers.includes("a") && !modifiers.includes("A") && session.client.auth === undefined;
}

export function mailVerb(session: Session, argument: string): Promise<void> | undefined {
  session.usedFor = true;
  if (session.protocol === "" && session.settings.privacy.has("needmailhelo")) {
    session.answer(503, "5.0.0", "Polite people say HELO first");
    return undefined;
  }
  if (session.transaction !== null) {
    session.answer(503, "5.5.0", "Sender already specified");
    return undefined;
  }
  if (authRequired(session)) {
    session.answer(530, "5.7.0", "Authentication required");
    return undefined;
  }
  const parsed = parseAddressArgument(argument, "FROM");
  if (!parsed.ok) {
    session.say(parsed.error);
    return undefined;
  }
  const parameters = parseMailParameters(parsed.value.parameters, parameterRules(session));
  if (!parameters.ok) {
    const { typed } = parsed.value;
    return addressFirst(session, typed, "sender", parameters.error, (answer) => session.say(answer));
  }
  const source = decoded(parsed.value, parameters.value.smtpUtf8);
  if (!source.ok) {
    session.say(source.error);
    return undefined;
  }
  if (parameters.value.smtpUtf8) session.utf8 = true;
  return check(session, source.value.address, source.value.typed, parameters.value);
}

async function check(
  session: Session,
  sender: string,
  typed: string,
  parameters: MailParameters,
): Promise<void> {
  const verdict = await session.service.policy.mail(session.client, sender, typed);
  if (session.closed) return;
  const fate = { ...session.fate };
  if (verdict.kind === "reject") {
    session.rejected("check_mail", typed, verdict.reply);
    session.abandoned(sender, 0);
    if (verdict.close) session.close();
    return;
  }
  if (verdict.kind === "discard") fate.discard = true;
  if (verdict.kind === "quarantine") fate.quarantine ||= verdict.reason;
  const { sizeMax } = session.settings;
  if (sizeMax > 0 && parameters.size > sizeMax) {
    session.answer(552, "5.2.3", `Message size exceeds fixed maximum message size (${sizeMax})`);
    return;
  }
  const full = session.service.intake.admit(parameters.size);
  if (full !== null) {
    session.say(full);
    if (full.code === 421) session.close();
    return;
  }
  session.transaction = new Transaction(sender, parameters, fate);
  session.answer(250, "2.1.0", `${typed}... Sender ok`);
}
