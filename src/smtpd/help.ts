// HELP: what commands there are, topic by topic (RFC 5321 4.1.1.8).
// Only what this connection may use is listed (house promise 5).

import { reply } from "../mail/reply.ts";
import { authMechanisms } from "./auth.ts";
import { etrnOffered, expnOffered, verbOffered } from "./query.ts";
import { STARTTLS } from "./registry.ts";
import type { Session } from "./session.ts";

const TOPICS = new Map<string, readonly string[]>([
  ["HELO", ["HELO <hostname>", "    Introduces the client."]],
  ["EHLO", ["EHLO <hostname>", "    Introduces the client and asks for the list of extensions."]],
  [
    "MAIL",
    [
      "MAIL FROM:<sender> [ <parameters> ]",
      "    Names the sender. Parameters are ESMTP extensions, listed in the answer to EHLO.",
    ],
  ],
  ["RCPT", ["RCPT TO:<recipient> [ <parameters> ]", "    Names a recipient; may be given more than once."]],
  ["DATA", ["DATA", "    The message follows, ended by a dot alone on a line."]],
  ["RSET", ["RSET", "    Forgets sender and recipients."]],
  ["NOOP", ["NOOP", "    Does nothing."]],
  ["QUIT", ["QUIT", "    Ends the session."]],
  ["HELP", ["HELP [ <topic> ]", "    This text."]],
  ["VRFY", ["VRFY <recipient>", "    Says whether an address is known."]],
  ["EXPN", ["EXPN <recipient>", "    Says what an address stands for."]],
  ["ETRN", ["ETRN [ <hostname> | @<domain> | #<queue> ]", "    Runs the queue for that host."]],
  ["VERB", ["VERB", "    Verbose mode."]],
  ["AUTH", ["AUTH <mechanism> [ <initial response> ]", "    Authenticates the client."]],
  ["STARTTLS", ["STARTTLS", "    Begins encryption."]],
]);

function available(session: Session, topic: string): boolean {
  switch (topic) {
    case "EXPN":
      return expnOffered(session);
    case "VERB":
      return verbOffered(session);
    case "ETRN":
      return etrnOffered(session);
    case "AUTH":
      return authMechanisms(session).length > 0;
    case "STARTTLS":
      return STARTTLS[0]?.offered(session) ?? false;
    default:
      return true;
  }
}

export function helpVerb(session: Session, argument: string): undefined {
  const topic = argument.trim();
  if (topic !== "") {
    const lines = TOPICS.get(topic.toUpperCase());
    if (lines === undefined || !available(session, topic.toUpperCase()))
      session.answer(504, "5.3.0", `HELP topic "${topic.slice(0, 80)}" unknown`);
    else session.say(reply(214, "2.0.0", ...lines, "End of HELP info"));
    return undefined;
  }
  const names = [...TOPICS.keys()].filter((name) => available(session, name));
  session.say(
    reply(
      214,
      "2.0.0",
      `This is Postern version ${session.service.version}`,
      "Topics:",
      `    ${names.join("  ")}`,
      'For more info use "HELP <topic>".',
      "End of HELP info",
    ),
  );
  return undefined;
}
