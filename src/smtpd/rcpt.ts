// RCPT: one recipient. Order as Sendmail's: MAIL wanted, how many, syntax, parameters, check_rcpt, then whether routing knows the
// address. Refused recipients are counted and slowed (BadRcptThrottle).

import { ENVELOPE_RECIPIENTS_MAX } from "../base/limits.ts";
import type { Reply } from "../mail/reply.ts";
import { decoded, parseAddressArgument } from "./argument.ts";
import { addressFirst, parameterRules } from "./mail.ts";
import { parseRcptParameters, type RcptParameters } from "./parameters.ts";
import type { Session } from "./session.ts";
import type { Transaction } from "./transaction.ts";

/** What one refused recipient costs once BadRcptThrottle is reached. */
const THROTTLE_MS = 1000;

export function rcptVerb(session: Session, argument: string): Promise<void> | undefined {
  const limit = session.settings.badRcptThrottle;
  if (limit > 0 && session.badRecipients >= limit) {
    if (session.badRecipients === limit)
      session.note(6, `${session.who}: Possible SMTP RCPT flood, throttling.`);
    return session.pay(THROTTLE_MS).then(() => (session.closed ? undefined : receive(session, argument)));
  }
  return receive(session, argument);
}

function receive(session: Session, argument: string): Promise<void> | undefined {
  const transaction = session.transaction;
  if (transaction === null) {
    session.answer(503, "5.0.0", "Need MAIL before RCPT");
    return undefined;
  }
  const max = session.settings.recipientsMax;
  const count = transaction.accepted;
  if ((max > 0 && count >= max) || count >= ENVELOPE_RECIPIENTS_MAX) {
    session.note(6, "Too many recipients", "notice");
    session.answer(452, "4.5.3", "Too many recipients");
    return undefined;
  }
  const parsed = parseAddressArgument(argument, "TO");
  if (!parsed.ok) return refuse(session, parsed.error);
  const parameters = parseRcptParameters(parsed.value.parameters, parameterRules(session));
  if (!parameters.ok) {
    const { typed } = parsed.value;
    return addressFirst(session, typed, "recipient", parameters.error, (answer) => refuse(session, answer));
  }
  const source = decoded(parsed.value, transaction.parameters.smtpUtf8);
  if (!source.ok) return refuse(session, source.error);
  return check(session, transaction, source.value.address, source.value.typed, parameters.value);
}

function refuse(session: Session, answer: Reply): undefined {
  session.badRecipients++;
  session.note(6, answer.lines.join(" "), "notice");
  session.say(answer);
  return undefined;
}

async function check(
  session: Session,
  transaction: Transaction,
  address: string,
  typed: string,
  parameters: RcptParameters,
): Promise<void> {
  const verdict = await session.service.policy.rcpt(session.client, transaction.sender, address, typed);
  if (session.closed) return;
  if (verdict.kind === "reject") {
    session.badRecipients++;
    session.rejected("check_rcpt", typed, verdict.reply);
    if (verdict.close) session.close();
    return;
  }
  if (verdict.kind === "discard") transaction.fate.discard = true;
  if (verdict.kind === "quarantine") transaction.fate.quarantine ||= verdict.reason;
  let later = "";
  let target = "";
  // A message that is dropped needs no route.
  if (!transaction.fate.discard) {
    const route = await session.service.routes.check(address, typed);
    if (session.closed) return;
    if (route.kind === "refused") {
      transaction.unknownRecipients++;
      refuse(session, route.reply);
      return;
    }
    if (route.willQueue) later = " (will queue)";
    target = route.target ?? "";
  }
  const shown = transaction.add({ address, ...parameters }, typed, target);
  session.answer(250, "2.1.5", `${shown}... Recipient ok${later}`);
}
