// resolveRecipient: one recipient address, before aliasing, to mailer, host and user, or the refusal that RCPT gets. This is what
// rule sets canonify and parse and the mailer's recipient rewriting make of it; local aliases and accounts come later (expand.ts).

import { REWRITE_DEPTH_MAX } from "../base/limits.ts";
import { type AddressError, joinTokens, scanAddress } from "../mail/address.ts";
import { type Focus, focus, focusToText } from "../mail/focus.ts";
import { addressPrefixed, type Reply, reply } from "../mail/reply.ts";
import { canonify } from "./canonify.ts";
import { placed, type Style, styleOf } from "./masquerade.ts";
import { parse, peel, type RunOptions, startRun } from "./parse.ts";
import type { Parsed, Run } from "./run.ts";
import type { Site } from "./site.ts";

/** Where a recipient goes. */
export interface Route {
  readonly kind: "route";
  readonly mailer: string;
  /** Next hop as the MX code takes it ("" for plain local delivery), or $h of a local mailer. */
  readonly host: string;
  /** The host is the address's own, and canonical. */
  readonly canonical: boolean;
  readonly user: string;
  /** Local last resorts (MAIL_HUB, details) must not be tried again. */
  readonly final: boolean;
  /** Why the recipient has to wait (a lookup failed for now), "" when it has not. */
  readonly wait: string;
  /** Rewriting did not come to an end: the address is taken for a local name, and RCPT is refused with the first of LOOP_REPLIES. */
  readonly loop: boolean;
}

function recursion(ruleSet: string): Reply {
  return reply(554, "5.0.0", `rewrite: excessive recursion (max ${REWRITE_DEPTH_MAX}), ruleset ${ruleSet}`);
}

/** What Sendmail says when tables send an address round in circles: RCPT is refused with the first. */
export const LOOP_REPLIES: readonly Reply[] = [recursion("canonify"), recursion("parse")];
const LOOP_REPLY = recursion("canonify");

export interface RouteError {
  readonly kind: "error";
  /** Without the `<address>... ` prefix; see prefixed(). */
  readonly reply: Reply;
  /** sysexits.h status, as -bv ends with. */
  readonly exit: number;
}

export type Resolution = Route | RouteError;

const EXIT_BY_WORD = new Map([
  ["usage", 64],
  ["nouser", 67],
  ["nohost", 68],
  ["unavailable", 69],
  ["software", 70],
  ["tempfail", 75],
  ["protocol", 76],
  ["config", 78],
]);

/** Exit status that belongs to an enhanced status code (RFC 3463), as Sendmail pairs them. */
export function exitOfStatus(status: string): number {
  if (status.startsWith("4")) return 75;
  const exact = new Map([
    ["5.1.1", 67],
    ["5.1.2", 68],
    ["5.1.3", 64],
    ["5.1.6", 67],
    ["5.1.7", 65],
    ["5.1.8", 68],
    ["5.3.5", 78],
    ["5.5.4", 64],
  ]).get(status);
  if (exact !== undefined) return exact;
  const subject = status.split(".")[1];
  return subject === "6" || subject === "7" ? 65 : subject === "5" ? 76 : 69;
}

function isEnhanced(text: string): boolean {
  return /^[245]\.\d{1,3}\.\d{1,3}$/.test(text);
}

/** The reply that an error mailer's `$@ status $: text` stands for (semantics sections 7 and 8, "Value" and "Errors"). */
export function errorReply(status: string, text: string): { reply: Reply; exit: number } {
  const words = text.startsWith('"') && text.endsWith('"') && text.length > 1 ? text.slice(1, -1) : text;
  const exit = isEnhanced(status) ? exitOfStatus(status) : (EXIT_BY_WORD.get(status.toLowerCase()) ?? 69);
  const coded = /^([245]\d\d)(?: |$)/.exec(words);
  if (coded === null) return { reply: reply(553, "5.3.0", words), exit };
  const code = Number(coded[1]);
  const rest = words.slice(4).trimStart();
  const space = rest.indexOf(" ");
  const first = space < 0 ? rest : rest.slice(0, space);
  if (isEnhanced(first)) return { reply: reply(code, first, rest.slice(first.length + 1)), exit };
  const enhanced = isEnhanced(status) ? status : `${String(code)[0]}.0.0`;
  return { reply: reply(code, enhanced, rest), exit };
}

/** The reply with `<address>... ` before its text, where Sendmail puts it (codes 450, 550, 553); `typed` as the client wrote it. */
export function prefixed(r: Reply, typed: string): Reply {
  if (!addressPrefixed(r.code) || typed === "") return r;
  return { ...r, lines: r.lines.map((line) => `${typed}... ${line}`) };
}

/** The style of a declared mailer. */
export function mailerStyle(site: Site, name: string): Style {
  const spec = site.mailers.get(name);
  return styleOf(name, spec?.kind ?? "", site.config.features.localLmtp !== null);
}

/** Does the mailer have the Sendmail flag? */
export function hasFlag(site: Site, mailer: string, flag: string): boolean {
  return site.mailers.get(mailer)?.flags.includes(flag) ?? false;
}

/** `|program`, `/file` and `:include:` are taken from the local mailer when its flags say so. */
function specialMailer(site: Site, user: string): string | null {
  const text = user.startsWith('"') ? user.slice(1) : user;
  const local = site.config.localMailer;
  if (text.startsWith("|") && hasFlag(site, local, "|")) return "prog";
  if (text.startsWith("/") && hasFlag(site, local, "/")) return "*file*";
  if (/^:include:/i.test(text) && hasFlag(site, local, ":")) return "*include*";
  return null;
}

/** The path of `:include:path`, with or without quotes around the whole. */
function includePath(user: string): string {
  const text = user.startsWith('"') ? user.slice(1, user.endsWith('"') ? -1 : undefined) : user;
  return text.slice(":include:".length).trim();
}

function asciiLower(text: string): string {
  return text.replace(/[A-Z]/g, (c) => c.toLowerCase());
}

/** Makes the triple final: the user as the mailer's recipient rules write it, case folded where its flags say so. */
export async function finished(run: Run, parsed: Parsed, start: Focus): Promise<Resolution> {
  const { site } = run;
  if (parsed.kind === "error") return { kind: "error", ...errorReply(parsed.status, parsed.text) };
  if (parsed.kind === "loop") {
    run.trace({ rule: "recursion limit" });
    return {
      kind: "route",
      mailer: site.config.localMailer,
      host: "",
      canonical: false,
      user: focusToText(start, site.routing.uucp),
      final: true,
      wait: "",
      loop: true,
    };
  }
  const name = parsed.mailer.toLowerCase();
  const declared = site.mailers.has(parsed.mailer) ? parsed.mailer : name;
  // discard is what checks answer, not a place to route to.
  if (!site.mailers.has(declared) || declared === "discard")
    return {
      kind: "error",
      reply: reply(554, "5.3.5", `buildaddr: unknown mailer ${parsed.mailer}`),
      exit: 70,
    };
  const shown = await placed(run, mailerStyle(site, declared), "envelope-recipient", parsed.user);
  const text = focusToText(shown, site.routing.uucp);
  const mailer = (declared === site.config.localMailer && specialMailer(site, text)) || declared;
  const foldUser = mailer === declared && !hasFlag(site, mailer, "u");
  const user = mailer === "*include*" ? includePath(text) : text;
  return {
    kind: "route",
    mailer,
    host: hasFlag(site, mailer, "h") ? parsed.host : asciiLower(parsed.host),
    canonical: parsed.user.dot && parsed.user.host === parsed.host,
    user: foldUser ? asciiLower(user) : user,
    final: parsed.final,
    wait: run.tempfail,
    loop: false,
  };
}

/** The refusal for an address that cannot be scanned. */
export function scanRefusal(error: AddressError): RouteError {
  return { kind: "error", reply: reply(error.code, error.enhanced, error.text), exit: 64 };
}

/** Routes scanned tokens. */
export async function resolveTokens(run: Run, tokens: readonly string[]): Promise<Resolution> {
  const start = await canonify(run, focus(tokens, run.site.routing));
  const parsed = await parse(run, start);
  const resolution = await finished(run, parsed, start);
  run.trace({
    rule: "result",
    text:
      resolution.kind === "route"
        ? `mailer ${resolution.mailer}, host ${resolution.host}, user ${resolution.user}`
        : `${resolution.reply.code} ${resolution.reply.enhanced} ${joinTokens(resolution.reply.lines)}`,
  });
  return resolution;
}

/** Routes a recipient address as typed ("user@dom", with or without angle brackets, comments, routes). */
export async function resolveRecipient(
  site: Site,
  address: string,
  options: RunOptions = {},
): Promise<Resolution> {
  const scanned = scanAddress(address);
  if (!scanned.ok) return scanRefusal(scanned.error);
  return resolveTokens(startRun(site, options), scanned.value.tokens);
}

/**
 * An address as the policy rules see it: host canonical, our own names peeled off `user%site@us`. null when it makes no sense.
 */
export async function canonicalAddress(site: Site, text: string): Promise<Focus | null> {
  const scanned = scanAddress(text);
  if (!scanned.ok) return null;
  return canonicalTokens(site, scanned.value.tokens);
}

/** canonicalAddress() of tokens. */
export async function canonicalTokens(site: Site, tokens: readonly string[]): Promise<Focus | null> {
  const run = startRun(site);
  const peeled = await peel(run, await canonify(run, focus(tokens, site.routing)));
  return peeled.kind === "error" || peeled.kind === "loop" || peeled.kind === "mailer" ? null : peeled;
}

/** The sender as the rules remember it ($f): route and group taken off, host canonical, quotes kept. */
export async function rememberedSender(site: Site, typed: string): Promise<string> {
  const scanned = scanAddress(typed);
  if (!scanned.ok) return typed;
  const run = startRun(site);
  return focusToText(await canonify(run, focus(scanned.value.tokens, site.routing)), site.routing.uucp);
}

/** Full name of the account that a sender is, its +detail not minded; "" when the address is not a mailbox here. */
export async function senderFullName(site: Site, sender: string): Promise<string> {
  const scanned = scanAddress(`<${sender}>`);
  if (!scanned.ok || sender === "") return "";
  const resolution = await resolveTokens(startRun(site), scanned.value.tokens);
  if (resolution.kind === "error" || !hasFlag(site, resolution.mailer, "w")) return "";
  const plus = resolution.user.indexOf("+", 1);
  const user = plus > 0 ? resolution.user.slice(0, plus) : resolution.user;
  const account = site.accounts.find(user.replace(/["\\]/g, ""));
  return account.kind === "found" ? account.value.fullName : "";
}

/** What is wrong with a sender before any rule is asked: syntax, `error:` routes, programs and files as senders; null: nothing. */
export async function senderRefusal(site: Site, typed: string): Promise<Reply | null> {
  const scanned = scanSmtpAddress(typed, site.config.options.SMTPUTF8);
  if (scanned.kind === "error") return scanned.reply;
  const resolution = await resolveTokens(startRun(site), scanned.tokens);
  if (resolution.kind === "error") return resolution.reply;
  if (resolution.loop) return LOOP_REPLY;
  if (["prog", "*file*", "*include*"].includes(resolution.mailer))
    return reply(553, "5.1.7", "Invalid sender address");
  return null;
}

/** What is wrong with a recipient before any rule is asked (semantics section 15: parse errors come first); null: nothing. */
export async function recipientRefusal(
  site: Site,
  typed: string,
  options: RunOptions = {},
): Promise<Reply | null> {
  const scanned = scanSmtpAddress(typed, site.config.options.SMTPUTF8);
  if (scanned.kind === "error") return scanned.reply;
  const resolution = await resolveTokens(startRun(site, options), scanned.tokens);
  if (resolution.kind === "error") return resolution.reply;
  return resolution.loop ? LOOP_REPLY : null;
}

/** Sendmail's MAXNAME less one: the longest address a client may give. */
const SMTP_ADDRESS_BYTES_MAX = 255;

/**
 * Scans the argument of MAIL or RCPT: shorter and plainer than addresses in headers. `eightBit`: SMTPUTF8 is configured; then smtpd/
 * has let 8-bit characters through only from clients that asked for it.
 */
export function scanSmtpAddress(
  typed: string,
  eightBit: boolean,
): RouteError | { readonly kind: "scanned"; readonly tokens: readonly string[] } {
  if (typed.length > SMTP_ADDRESS_BYTES_MAX) {
    const shown = typed.slice(0, SMTP_ADDRESS_BYTES_MAX);
    const text = `Address "${shown}" too long (${SMTP_ADDRESS_BYTES_MAX} bytes max)`;
    return { kind: "error", reply: reply(553, "5.1.0", text), exit: 64 };
  }
  if (!eightBit && /[\x80-\uffff]/.test(typed)) {
    const shown = typed.replace(/[\x80-\uffff]/g, "?");
    return {
      kind: "error",
      reply: reply(501, "5.1.3", `8-bit character in mailbox address "${shown}"`),
      exit: 64,
    };
  }
  const scanned = scanAddress(typed);
  return scanned.ok ? { kind: "scanned", tokens: scanned.value.tokens } : scanRefusal(scanned.error);
}
