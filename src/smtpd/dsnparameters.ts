// Parameters of MAIL and RCPT that ask for delivery status notifications (RFC 3461): ENVID, RET, NOTIFY, ORCPT.
// Texts and codes are Sendmail's (semantics section 16); xtext stays encoded.

import { err, ok, type Result } from "../base/result.ts";
import type { NotifyWord } from "../mail/envelope.ts";
import { type Reply, reply } from "../mail/reply.ts";
import { isXtext } from "../mail/xtext.ts";
import { needsValue, syntaxError } from "./complaints.ts";
import type { MailRule, ParameterRules, RcptParameters } from "./parameters.ts";
import type { MailParameters } from "./transaction.ts";

const NOTIFY_WORDS: readonly NotifyWord[] = ["SUCCESS", "FAILURE", "DELAY"];

function isAtomText(text: string): boolean {
  return /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+$/.test(text);
}

function noDsn(name: string): Reply {
  return reply(504, "5.7.0", `Sorry, ${name} not supported, we do not allow DSN`);
}

function envidRule(to: MailParameters, value: string | null, rules: ParameterRules): Reply | null {
  if (!rules.dsn) return noDsn("ENVID");
  if (value === null) return needsValue("ENVID");
  if (!isXtext(value)) return syntaxError("ENVID");
  if (to.envid !== undefined) return reply(501, "5.5.0", "Duplicate ENVID parameter");
  to.envid = value;
  return null;
}

function retRule(to: MailParameters, value: string | null, rules: ParameterRules): Reply | null {
  if (!rules.dsn) return noDsn("RET");
  if (value === null) return needsValue("RET");
  if (to.ret !== undefined) return reply(501, "5.5.0", "Duplicate RET parameter");
  const word = value.toUpperCase();
  if (word !== "FULL" && word !== "HDRS") return reply(501, "5.5.2", `Bad argument "${value}" to RET`);
  to.ret = word;
  return null;
}

function notifyWords(value: string): Result<readonly NotifyWord[], Reply> {
  if (value.toUpperCase() === "NEVER") return ok(["NEVER"]);
  const words: NotifyWord[] = [];
  for (const part of value.split(",")) {
    const word = NOTIFY_WORDS.find((w) => w === part.toUpperCase());
    if (word === undefined) return err(reply(501, "5.5.4", `Bad argument "${part}"  to NOTIFY`));
    if (!words.includes(word)) words.push(word);
  }
  return ok(words);
}

function orcptProblem(value: string): Reply | null {
  const semicolon = value.indexOf(";");
  if (semicolon < 0) return syntaxError("ORCPT");
  return isAtomText(value.slice(0, semicolon)) && isXtext(value.slice(semicolon + 1))
    ? null
    : syntaxError("ORCPT");
}

function rcptRule(
  to: RcptParameters,
  name: string,
  value: string | null,
  rules: ParameterRules,
): Reply | null {
  if (!rules.dsn) return noDsn(name);
  if (value === null) return needsValue(name);
  if (name === "NOTIFY") {
    const words = notifyWords(value);
    if (!words.ok) return words.error;
    to.notify = words.value;
    return null;
  }
  if (to.orcpt !== undefined) return reply(501, "5.5.0", "Duplicate ORCPT parameter");
  const problem = orcptProblem(value);
  if (problem === null) to.orcpt = value;
  return problem;
}

const MAIL: readonly (readonly [string, MailRule])[] = [
  ["ENVID", envidRule],
  ["RET", retRule],
];

/** What the registry lists. */
export const dsnParameters = {
  /** The line in the answer to EHLO. */
  extension: "DSN",
  mail: MAIL,
  /** Parameters of RCPT, upper case, and the rule for each of them. */
  rcpt: ["NOTIFY", "ORCPT"] as readonly string[],
  take: rcptRule,
};
