// The registry of SMTP commands: one line each. Names are matched as Sendmail does, whole and without case (ASCII).
// `always`: also answered when the connection is refused (semantics section 14, end).

import { authVerb } from "./auth.ts";
import { dataVerb } from "./data.ts";
import { ehloVerb, heloVerb } from "./hello.ts";
import { helpVerb } from "./help.ts";
import { mailVerb } from "./mail.ts";
import {
  etrnVerb,
  expnVerb,
  noopVerb,
  quitVerb,
  rsetVerb,
  unimplementedVerb,
  verbVerb,
  vrfyVerb,
} from "./query.ts";
import { rcptVerb } from "./rcpt.ts";
import { STARTTLS } from "./registry.ts";
import type { Session } from "./session.ts";

/** One command. `argument`: what follows the verb and blanks; `line`: the whole line. A promise holds up the next command. */
export interface Verb {
  readonly name: string;
  readonly always: boolean;
  run(session: Session, argument: string, line: string): Promise<void> | undefined;
}

const VERBS = new Map<string, Verb>();

function add(name: string, run: Verb["run"], always = false): void {
  VERBS.set(name, { name, run, always });
}

add("HELO", heloVerb, true);
add("EHLO", ehloVerb, true);
add("MAIL", mailVerb);
add("RCPT", rcptVerb);
add("DATA", dataVerb);
add("RSET", rsetVerb, true);
add("NOOP", noopVerb, true);
add("QUIT", quitVerb, true);
add("VRFY", vrfyVerb);
add("EXPN", expnVerb);
add("ETRN", etrnVerb);
add("HELP", helpVerb);
add("VERB", verbVerb);
add("AUTH", authVerb);
for (const { verb } of STARTTLS) add("STARTTLS", verb);
add("SEND", unimplementedVerb);
add("SAML", unimplementedVerb);
add("SOML", unimplementedVerb);
add("TURN", unimplementedVerb);

/** Longest name; longer words are not even folded. */
const NAME_MAX = 8;

export function verbNamed(word: string): Verb | undefined {
  return word.length > NAME_MAX ? undefined : VERBS.get(word.toUpperCase());
}
