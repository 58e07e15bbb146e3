// Sendmail's rule sets as address test mode calls them: canonify (3), parse (0), the mailers' rewriting (1, 2, final) and the checks.
// Each runs the same code that mail runs through; only the work space is shown as Sendmail's -bt shows it (tokens between blanks).

import { joinTokens, tokensOf } from "../mail/address.ts";
import { type Focus, focus, focusOf, focusToText } from "../mail/focus.ts";
import type { Reply } from "../mail/reply.ts";
import { checkRelay } from "../policy/connect.ts";
import { verdictOf } from "../policy/decision.ts";
import { makePolicy } from "../policy/gate.ts";
import type { Client, Verdict } from "../policy/policy.ts";
import type { Rates } from "../policy/rates.ts";
import { checkMail } from "../policy/sender.ts";
import { canonify } from "../route/canonify.ts";
import { type Place, placed, type Style } from "../route/masquerade.ts";
import { parse, peel } from "../route/parse.ts";
import { mailerStyle, prefixed, senderRefusal } from "../route/resolve.ts";
import type { Parsed, Run } from "../route/run.ts";
import type { Site } from "../route/site.ts";

/** What a rule set works on and gives on: an address, tokens that are none yet, or an answer. */
export type Space =
  | { readonly kind: "tokens"; readonly tokens: readonly string[] }
  | { readonly kind: "focus"; readonly focus: Focus }
  | { readonly kind: "answer"; readonly parsed: Parsed }
  | { readonly kind: "text"; readonly text: string };

/** The null address as a decision holds it. */
export function isNullUser(address: Focus): boolean {
  return address.kind === "null" || (address.host === null && joinTokens(address.left) === "<>");
}

/** Tokens of a focus: `larry < @ example . com . >`. */
function focusTokens(address: Focus): readonly string[] {
  if (address.kind === "null" || isNullUser(address)) return ["<", "@", ">"];
  if (address.kind === "list") return ["<", "@", "*LIST*", ">"];
  if (address.host === null) return address.left;
  return [...address.left, "<", "@", ...tokensOf(address.host), ...(address.dot ? ["."] : []), ">"];
}

/** Host of a decision as Sendmail writes it: with the dot that says "canonical" where it is the address's own. */
function hostShown(host: string, user: Focus): string {
  return user.dot && user.host === host ? `${host}.` : host;
}

function parsedText(parsed: Parsed): string {
  if (parsed.kind === "loop") return '$# error $@ 5 . 3 . 5 $: "rewrite: excessive recursion"';
  if (parsed.kind === "error") {
    const status = parsed.status === "" ? "" : ` $@ ${tokensOf(parsed.status).join(" ")}`;
    return `$# error${status} $: "${parsed.text.replaceAll('"', "")}"`;
  }
  const host = hostShown(parsed.host, parsed.user);
  const at = host === "" ? "" : ` $@ ${hostTokens(host)}`;
  return `$# ${parsed.mailer}${at} $: ${focusTokens(parsed.user).join(" ")}`;
}

function hostTokens(host: string): string {
  return host.endsWith(".") ? [...tokensOf(host.slice(0, -1)), "."].join(" ") : tokensOf(host).join(" ");
}

export function spaceText(space: Space): string {
  switch (space.kind) {
    case "tokens":
      return space.tokens.join(" ");
    case "focus":
      return focusTokens(space.focus).join(" ");
    case "answer":
      return parsedText(space.parsed);
    default:
      return space.text;
  }
}

/** `mick < @ host . >` as people type the work space between canonify and final; null when it is not of that form. */
function typedFocus(tokens: readonly string[]): Focus | null {
  const open = tokens.indexOf("<");
  if (open < 1 || tokens[open + 1] !== "@" || tokens.at(-1) !== ">") return null;
  const host = tokens.slice(open + 2, -1);
  const dot = host.at(-1) === ".";
  return focusOf(tokens.slice(0, open), joinTokens(dot ? host.slice(0, -1) : host), dot);
}

/** The focus that a space stands for. `raw`: the tokens of an address as written, for canonify. */
function focusIn(site: Site, space: Space, raw = false): Focus {
  if (space.kind === "focus") return space.focus;
  if (space.kind === "answer" && space.parsed.kind === "mailer") return space.parsed.user;
  const tokens = space.kind === "tokens" ? space.tokens : tokensOf(spaceText(space));
  return (raw ? null : typedFocus(tokens)) ?? focus(tokens, site.routing);
}

/** One line of -bt. */
export function traceLine(ruleSet: string, what: "input" | "returns", text: string): string {
  return `${ruleSet.padEnd(16).slice(0, 16)} ${what.padStart(7)}: ${text}`.trimEnd();
}

export interface Ruling {
  readonly site: Site;
  readonly run: Run;
  print(line: string): void;
}

async function shown(
  ruling: Ruling,
  ruleSet: string,
  input: Space,
  work: () => Promise<Space>,
): Promise<Space> {
  ruling.print(traceLine(ruleSet, "input", spaceText(input)));
  const output = await work();
  ruling.print(traceLine(ruleSet, "returns", spaceText(output)));
  return output;
}

export function canonifySet(ruling: Ruling, input: Space): Promise<Space> {
  const { site, run } = ruling;
  return shown(ruling, "canonify", input, async () => {
    const start = focusIn(site, input, true);
    if (start.kind === "null") return { kind: "focus", focus: start };
    return shown(ruling, "Canonify2", { kind: "focus", focus: start }, async () => {
      const done = await canonify(run, start);
      if (run.tempfail !== "" && start.host !== null) ruling.print(`${start.host}: Name server timeout`);
      return { kind: "focus", focus: done };
    });
  });
}

export function parseSet(ruling: Ruling, input: Space): Promise<Space> {
  const { site, run } = ruling;
  return shown(ruling, "parse", input, async () => {
    const start = focusIn(site, input);
    const peeled = await shown(ruling, "Parse0", { kind: "focus", focus: start }, async () => {
      const done = await peel(run, start);
      return "left" in done ? { kind: "focus", focus: done } : { kind: "answer", parsed: done };
    });
    if (peeled.kind === "answer") return peeled;
    if (start.kind === "null") return { kind: "answer", parsed: await parse(run, start) };
    return shown(ruling, "Parse1", peeled, async () => ({
      kind: "answer",
      parsed: await parse(run, start),
    }));
  });
}

/** Names of the rewriting rule sets of a mailer (S= and R=), envelope then header. */
export interface RewriteSets {
  readonly sender: readonly [envelope: string, header: string];
  readonly recipient: readonly [envelope: string, header: string];
}

const SETS = new Map<Style, RewriteSets>([
  ["smtp", { sender: ["EnvFromSMTP", "HdrFromSMTP"], recipient: ["EnvToSMTP", "EnvToSMTP"] }],
  ["relay", { sender: ["EnvFromSMTP", "HdrFromSMTP"], recipient: ["MasqSMTP", "MasqSMTP"] }],
  ["local", { sender: ["EnvFromL", "HdrFromL"], recipient: ["EnvToL", "HdrToL"] }],
  ["lmtp", { sender: ["EnvFromSMTP", "HdrFromL"], recipient: ["EnvToL", "HdrToL"] }],
  ["procmail", { sender: ["EnvFromSMTP", "HdrFromSMTP"], recipient: ["EnvToSMTP", "HdrFromSMTP"] }],
]);
const NO_SETS: RewriteSets = { sender: ["parse", "parse"], recipient: ["parse", "parse"] };

export function setsOf(site: Site, mailer: string): RewriteSets {
  if (mailer.startsWith("*")) return NO_SETS;
  return SETS.get(mailerStyle(site, mailer)) ?? NO_SETS;
}

/** The mailer's rule set for a place; the result is the address as it is sent. */
export function rewriteSet(ruling: Ruling, mailer: string, place: Place, input: Space): Promise<Space> {
  const { site, run } = ruling;
  const sets = setsOf(site, mailer)[place.endsWith("sender") ? "sender" : "recipient"];
  const name = sets[place.startsWith("header") ? 1 : 0];
  return shown(ruling, name, input, async () => ({
    kind: "focus",
    focus: await placed(run, mailerStyle(site, mailer), place, focusIn(site, input)),
  }));
}

/** Rule sets 1, 2 and their like: they change nothing here, as in Sendmail's own configuration. */
export function emptySet(ruling: Ruling, name: string, input: Space): Promise<Space> {
  return shown(ruling, name, input, async () => input);
}

export function finalSet(ruling: Ruling, input: Space): Promise<Space> {
  return shown(ruling, "final", input, async () => ({
    kind: "tokens",
    tokens: finalTokens(ruling.site, focusIn(ruling.site, input)),
  }));
}

function finalTokens(site: Site, address: Focus): readonly string[] {
  return isNullUser(address) ? [] : tokensOf(focusToText(address, site.routing.uucp));
}

/** What a check answers, in Sendmail's form. */
function verdictText(verdict: Verdict, typed: string): string {
  if (verdict.kind === "ok") return "OK";
  if (verdict.kind === "discard") return "$# discard $: discard";
  if (verdict.kind === "quarantine") return `$# error $@ quarantine $: ${verdict.reason}`;
  return `$# error $@ ${replyText(verdict.reply, typed)}`;
}

function replyText(reply: Reply, typed: string): string {
  const first = reply.lines[0] ?? "";
  const text = first.startsWith(`${typed}... `) ? first.slice(typed.length + 4) : first;
  const status = reply.enhanced === "" ? "" : `${tokensOf(reply.enhanced).join(" ")} `;
  return `${status}$: "${reply.code} ${text}"`;
}

/** With delay_checks Sendmail's own names for the first two are checkrelay and checkmail. */
export const CHECKS: ReadonlySet<string> = new Set([
  "check_relay",
  "check_mail",
  "check_rcpt",
  "checkrelay",
  "checkmail",
]);

/** `argument` as typed; for check_relay `name $| address`. `sender` is $f, for check_rcpt. True: a lookup failed for now. */
export async function checkSet(
  ruling: Ruling,
  name: string,
  argument: string,
  asking: { readonly client: Client; readonly rates: Rates; readonly sender: string },
): Promise<boolean> {
  const { site, print } = ruling;
  print(traceLine(name, "input", checkTokens(argument)));
  const verdict = await judge(site, name, argument, asking);
  print(traceLine(name, "returns", verdictText(verdict, argument.trim())));
  return verdict.kind === "reject" && verdict.reply.code < 500;
}

function checkTokens(argument: string): string {
  return argument
    .split("$|")
    .map((part) => tokensOf(part.trim()).join(" "))
    .join(" $| ");
}

async function judge(
  site: Site,
  name: string,
  argument: string,
  asking: { readonly client: Client; readonly rates: Rates; readonly sender: string },
): Promise<Verdict> {
  const { client, sender, rates } = asking;
  const typed = argument.trim();
  const bare = typed.replace(/^<(.*)>$/, "$1");
  const policy = makePolicy(site, rates);
  if (name === "check_rcpt") return policy.rcpt(client, sender, bare, typed);
  // The rules themselves: with delay_checks a session asks them at RCPT, and here they are what was asked for.
  if (name === "check_mail" || name === "checkmail") {
    // A session refuses what makes no sense before any rule is asked.
    const problem = bare === "" ? null : await senderRefusal(site, typed);
    if (problem !== null)
      return { kind: "reject", reply: prefixed(problem, typed), close: problem.code === 421 };
    const tls = policy.tlsClient(client);
    return tls.kind === "ok" ? verdictOf(await checkMail(site, client, bare, typed), typed) : tls;
  }
  const [host = "", address = ""] = argument.split("$|").map((part) => part.trim());
  const named: Client = {
    ...client,
    name: host,
    address: address.replace(/^IPv6:/i, ""),
    resolve: host === "" || host.startsWith("[") ? "fail" : "ok",
  };
  return verdictOf(await checkRelay(site, rates, named), "");
}

/** The text of a space's address without blanks, as `Rcode = 0, addr = ` shows it. */
export function addressText(space: Space): string {
  return space.kind === "tokens" ? joinTokens(space.tokens) : spaceText(space);
}
