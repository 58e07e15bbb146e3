// Parameters of MAIL and RCPT, read as Sendmail's parse_esmtp_args() reads them: keywords of letters, digits and dashes, values up
// to a blank, each checked by its own rule, errors in Sendmail's words (semantics section 16). Stricter where reliability.md says
// so: SIZE is digits only (INJ-13). Those of RFC 3461 are dsnparameters.ts's.

import { COMMAND_PARAMETERS_MAX } from "../base/limits.ts";
import { err, ok, type Result } from "../base/result.ts";
import type { NotifyWord } from "../mail/envelope.ts";
import { type Reply, reply } from "../mail/reply.ts";
import { isXtext } from "../mail/xtext.ts";
import { needsValue, syntaxError } from "./complaints.ts";
import { DSN } from "./registry.ts";
import type { MailParameters } from "./transaction.ts";

/** Which parameters this session may use. */
export interface ParameterRules {
  /** False with PrivacyOptions=noreceipts, and where DSN is not built in. */
  readonly dsn: boolean;
  /** SIZE values above this are refused by number, 0: no limit. */
  readonly sizeMax: number;
  /** AUTH is configured, so AUTH= is understood. */
  readonly auth: boolean;
  /** DeliverByMin in seconds; below 0 DELIVERBY is off. */
  readonly deliverByMin: number;
  readonly smtpUtf8: boolean;
  /** REQUIRETLS is offered: configured, and this session is under TLS. */
  readonly requireTls: boolean;
}

/** One KEYWORD or KEYWORD=value as written. */
interface Parameter {
  readonly keyword: string;
  readonly value: string | null;
}

/** Parameters of RCPT (RFC 3461). */
export interface RcptParameters {
  notify?: readonly NotifyWord[];
  orcpt?: string;
}

function split(text: string): readonly Parameter[] {
  const found: Parameter[] = [];
  let p = 0;
  const n = text.length;
  while (p < n) {
    while (p < n && (text[p] === " " || text[p] === "\t")) p++;
    if (p >= n) break;
    const start = p;
    while (p < n && /[A-Za-z0-9-]/.test(text[p] as string)) p++;
    const keyword = text.slice(start, p);
    let value: string | null = null;
    if (text[p] === "=") {
      const from = ++p;
      while (p < n && text.charCodeAt(p) > 32 && text.charCodeAt(p) !== 127 && text[p] !== "=") p++;
      value = text.slice(from, p);
    }
    // Sendmail steps over whatever ended the parameter, one character.
    p++;
    found.push({ keyword, value });
    // One more than allowed is enough to say that there are too many.
    if (found.length > COMMAND_PARAMETERS_MAX) break;
  }
  return found;
}

const TOO_MANY = reply(501, "5.5.4", "Too many parameters");

/** Takes one parameter of MAIL; the reply when it is refused. */
export type MailRule = (to: MailParameters, value: string | null, rules: ParameterRules) => Reply | null;

function sizeRule(to: MailParameters, value: string | null): Reply | null {
  if (value === null || value === "") return reply(501, "5.5.2", "SIZE requires a value");
  if (!/^[0-9]{1,20}$/.test(value)) return reply(501, "5.5.4", "Syntax error in SIZE parameter value");
  const size = Number(value);
  if (size > Number.MAX_SAFE_INTEGER) return reply(552, "5.2.3", "Message size exceeds maximum value");
  to.size = size;
  return null;
}

function bodyRule(to: MailParameters, value: string | null): Reply | null {
  if (value === null) return needsValue("BODY");
  const word = value.toUpperCase();
  if (word !== "7BIT" && word !== "8BITMIME") return reply(501, "5.5.4", `Unknown BODY type ${value}`);
  to.body = word;
  return null;
}

function authRule(to: MailParameters, value: string | null, rules: ParameterRules): Reply | null {
  if (!rules.auth) return reply(555, "5.5.4", "AUTH parameter unrecognized");
  if (value === null) return reply(501, "5.5.2", "AUTH= requires a value");
  if (to.authSender !== undefined) return reply(501, "5.5.0", "Duplicate AUTH parameter");
  if (value === "" || (value !== "<>" && !isXtext(value))) return syntaxError("AUTH");
  to.authSender = value;
  return null;
}

function byRule(to: MailParameters, value: string | null, rules: ParameterRules): Reply | null {
  if (rules.deliverByMin < 0) return reply(555, "5.5.4", "BY parameter unrecognized");
  if (value === null) return reply(501, "5.5.2", "BY= requires a value");
  const number = /^[+-]?[0-9]*/.exec(value)?.[0] ?? "";
  const rest = value.slice(number.length);
  if (!rest.startsWith(";")) return reply(501, "5.5.2", "BY= missing ';'");
  const seconds = Number.parseInt(number === "" ? "0" : number, 10);
  // RFC 2852: nine digits.
  if (Number.isNaN(seconds) || Math.abs(seconds) > 999_999_999)
    return reply(501, "5.5.2", `BY=${value} out of range`);
  const mode = (rest[1] ?? "").toUpperCase();
  if (mode !== "N" && mode !== "R") return reply(501, "5.5.2", `illegal by-mode '${shown(rest[1])}'`);
  if (mode === "R" && seconds <= 0) return reply(501, "5.5.4", "mode R requires BY time > 0");
  if (mode === "R" && rules.deliverByMin > 0 && seconds < rules.deliverByMin)
    return reply(555, "5.5.2", `time ${seconds} less than ${rules.deliverByMin}`);
  const trace = rest[2] ?? "";
  if (trace !== "" && trace.toUpperCase() !== "T")
    return reply(501, "5.5.2", `illegal by-trace '${shown(trace)}'`);
  to.deliverBy = { seconds, mode, trace: trace !== "" };
  return null;
}

function shown(c: string | undefined): string {
  return c !== undefined && c >= " " && c <= "~" ? c : "?";
}

function utf8Rule(to: MailParameters, value: string | null, rules: ParameterRules): Reply | null {
  if (!rules.smtpUtf8) return reply(555, "5.5.4", "SMTPUTF8 parameter unrecognized");
  if (value !== null) return syntaxError("SMTPUTF8");
  to.smtpUtf8 = true;
  return null;
}

function requireTlsRule(to: MailParameters, value: string | null, rules: ParameterRules): Reply | null {
  if (!rules.requireTls) return reply(555, "5.5.4", "REQUIRETLS parameter unrecognized");
  if (value !== null) return syntaxError("REQUIRETLS");
  to.requireTls = true;
  return null;
}

const MAIL_RULES = new Map<string, MailRule>([
  ["SIZE", sizeRule],
  ["BODY", bodyRule],
  ["AUTH", authRule],
  ["BY", byRule],
  ["SMTPUTF8", utf8Rule],
  ["REQUIRETLS", requireTlsRule],
  ...DSN.flatMap((dsn) => dsn.mail),
]);

function unrecognized(keyword: string): Reply {
  return reply(555, "5.5.4", `${keyword} parameter unrecognized`);
}

/** Text after the address of MAIL; the first error is the answer. */
export function parseMailParameters(text: string, rules: ParameterRules): Result<MailParameters, Reply> {
  const parameters: MailParameters = { size: 0, smtpUtf8: false, requireTls: false };
  if (text === "") return ok(parameters);
  const list = split(text);
  for (const { keyword, value } of list) {
    const rule = MAIL_RULES.get(keyword.toUpperCase());
    const problem = rule === undefined ? unrecognized(keyword) : rule(parameters, value, rules);
    if (problem !== null) return err(problem);
  }
  return list.length > COMMAND_PARAMETERS_MAX ? err(TOO_MANY) : ok(parameters);
}

/** Text after the address of RCPT. */
export function parseRcptParameters(text: string, rules: ParameterRules): Result<RcptParameters, Reply> {
  const parameters: RcptParameters = {};
  if (text === "") return ok(parameters);
  const list = split(text);
  const [dsn] = DSN;
  for (const { keyword, value } of list) {
    const problem =
      dsn === undefined || !dsn.rcpt.includes(keyword.toUpperCase())
        ? unrecognized(keyword)
        : dsn.take(parameters, keyword.toUpperCase(), value, rules);
    if (problem !== null) return err(problem);
  }
  return list.length > COMMAND_PARAMETERS_MAX ? err(TOO_MANY) : ok(parameters);
}
