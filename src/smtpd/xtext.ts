// xtext (RFC 3461 section 4) and the two complaints that every parameter's rule has.
// xtext stays encoded; stricter than the RFC: NUL may not be encoded either (reliability INJ-05).

import { type Reply, reply } from "../mail/reply.ts";

/** RFC 3461 section 4: printable ASCII, `+` only before two hex digits. NUL may not be encoded either. */
export function isXtext(text: string): boolean {
  return /^(?:[!-*,-<>-~]|\+(?!00)[0-9A-Fa-f]{2})*$/.test(text);
}

/** 501: the value is not of the parameter's form. */
export function syntaxError(name: string): Reply {
  return reply(501, "5.5.4", `Syntax error in ${name} parameter value`);
}

/** 501: KEYWORD without =value. */
export function needsValue(name: string): Reply {
  return reply(501, "5.5.2", `${name} requires a value`);
}
