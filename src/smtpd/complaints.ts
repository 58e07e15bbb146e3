// The two complaints that the rules of all parameters of MAIL and RCPT share,
// in Sendmail's words (semantics section 16).

import { type Reply, reply } from "../mail/reply.ts";

/** 501: the value is not of the parameter's form. */
export function syntaxError(name: string): Reply {
  return reply(501, "5.5.4", `Syntax error in ${name} parameter value`);
}

/** 501: KEYWORD without =value. */
export function needsValue(name: string): Reply {
  return reply(501, "5.5.2", `${name} requires a value`);
}
