// Commands that ask or do nothing to a transaction: NOOP, RSET, QUIT, VRFY, EXPN, ETRN, VERB, and those that were never implemented.
// Texts and privacy flags: semantics sections 16 and 17.

import { reply } from "../mail/reply.ts";
import type { VerifiedAddress } from "./service.ts";
import type { Session } from "./session.ts";
import { shortened } from "./wording.ts";

export function noopVerb(session: Session): Promise<void> | undefined {
  const wait = session.slow("noop", "NOOP");
  if (wait === null) return undefined;
  if (wait !== undefined) return wait.then(() => session.answer(250, "2.0.0", "OK"));
  session.answer(250, "2.0.0", "OK");
  return undefined;
}

export function rsetVerb(session: Session): undefined {
  session.reset();
  session.answer(250, "2.0.0", "Reset state");
  return undefined;
}

export function quitVerb(session: Session): undefined {
  session.answer(221, "2.0.0", `${session.hostName} closing connection`);
  session.close();
  return undefined;
}

export function unimplementedVerb(session: Session, _argument: string, line: string): undefined {
  session.answer(502, "5.5.1", `Command not implemented: "${shortened(line)}"`);
  return undefined;
}

/** noexpn takes EXPN and VERB away, noverb VERB. */
export function expnOffered(session: Session): boolean {
  return !session.settings.privacy.has("noexpn");
}

export function verbOffered(session: Session): boolean {
  return expnOffered(session) && !session.settings.privacy.has("noverb");
}

export function etrnOffered(session: Session): boolean {
  return !session.settings.privacy.has("noetrn") && !session.daemon.modifiers.includes("E");
}

export function verbVerb(session: Session): Promise<void> | undefined {
  if (!verbOffered(session)) {
    session.answer(502, "5.7.0", "Verbose unavailable");
    return undefined;
  }
  const wait = session.slow("noop", "VERB");
  if (wait === null) return undefined;
  if (wait !== undefined) return wait.then(() => session.answer(250, "2.0.0", "Verbose mode"));
  session.answer(250, "2.0.0", "Verbose mode");
  return undefined;
}

export function vrfyVerb(session: Session, argument: string, line: string): Promise<void> | undefined {
  return lookUp(session, "VRFY", argument, line);
}

export function expnVerb(session: Session, argument: string, line: string): Promise<void> | undefined {
  return lookUp(session, "EXPN", argument, line);
}

function lookUp(
  session: Session,
  verb: "VRFY" | "EXPN",
  argument: string,
  line: string,
): Promise<void> | undefined {
  session.usedFor = true;
  const wait = session.slow("verify", verb);
  if (wait === null) return undefined;
  const privacy = session.settings.privacy;
  const vrfy = verb === "VRFY";
  if (vrfy ? privacy.has("novrfy") : !expnOffered(session)) {
    if (vrfy) session.answer(252, "2.5.2", "Cannot VRFY user; try RCPT to attempt delivery (or try finger)");
    else session.answer(502, "5.7.0", "Sorry, we do not allow this operation");
    session.note(6, `${session.who}: ${shortened(line)} [rejected]`);
    return wait;
  }
  if (session.protocol === "" && privacy.has(vrfy ? "needvrfyhelo" : "needexpnhelo")) {
    session.answer(503, "5.0.0", "I demand that you introduce yourself first");
    return wait;
  }
  session.note(6, `${session.who}: ${shortened(line)}`);
  if (argument === "") {
    session.answer(501, "5.5.2", "Argument required");
    return wait;
  }
  return find(session, verb, argument, wait);
}

async function find(
  session: Session,
  verb: "VRFY" | "EXPN",
  argument: string,
  wait: Promise<void> | undefined,
): Promise<void> {
  const result = await session.service.routes.verify(argument, verb === "EXPN");
  if (wait !== undefined) await wait;
  if (result.kind === "refused") {
    session.say(result.reply);
    return;
  }
  if (result.entries.length === 0) {
    session.answer(554, "5.5.2", `Nothing to ${verb}`);
    return;
  }
  const remote = verb === "VRFY" && result.entries.some((entry) => !entry.local);
  const lines = result.entries.map((entry) => verified(session, entry));
  session.say(reply(remote ? 252 : 250, "2.1.5", ...lines));
}

/** `Full Name <user@$j>`, `<user@host>`. */
function verified(session: Session, entry: VerifiedAddress): string {
  const address = entry.user.includes("@") ? entry.user : `${entry.user}@${session.hostName}`;
  return entry.fullName === "" ? `<${address}>` : `${entry.fullName} <${address}>`;
}

export function etrnVerb(session: Session, argument: string, line: string): Promise<void> | undefined {
  session.usedFor = true;
  if (!etrnOffered(session)) {
    session.answer(502, "5.7.0", "Sorry, we do not allow this operation");
    session.note(6, `${session.who}: ${shortened(line)} [rejected]`);
    return undefined;
  }
  if (argument === "") {
    session.answer(500, "5.5.2", "Parameter required");
    return undefined;
  }
  const wait = session.slow("etrn", "ETRN");
  return wait === null ? undefined : startQueue(session, argument, wait);
}

async function startQueue(
  session: Session,
  argument: string,
  wait: Promise<void> | undefined,
): Promise<void> {
  if (wait !== undefined) await wait;
  if (session.closed) return;
  const verdict = await session.service.policy.etrn(session.client, argument);
  if (verdict.kind === "reject") {
    session.say(verdict.reply);
    if (verdict.close) session.close();
    return;
  }
  session.note(6, `${session.who}: ETRN ${shortened(argument)}`);
  const started = session.service.etrn(argument);
  if (argument.startsWith("#")) {
    const group = argument.slice(1);
    if (started) session.answer(250, "2.0.0", `Queuing for queue group ${group} started`);
    else session.answer(459, "4.5.4", `Queue ${group} unknown`);
    return;
  }
  session.answer(250, "2.0.0", `Queuing for node ${argument} started`);
}
