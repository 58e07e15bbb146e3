// From an address to a mailer (rule sets Parse0 and Parse1): syntax errors, local routing peeled off, then literals, virtual users,
// local names, mailertable, smart host, DNS names, in Sendmail's order (semantics section 6).

import { REWRITE_DEPTH_MAX } from "../base/limits.ts";
import { dequote, joinTokens, tokensOf } from "../mail/address.ts";
import { type Focus, focus, focusOf } from "../mail/focus.ts";
import { canonify, isLiteral } from "./canonify.ts";
import { lookupMailertable } from "./mailertable.ts";
import { noTrace, type Parsed, type Run, type Trace } from "./run.ts";
import type { Site } from "./site.ts";
import { isRoutingSign, mailerTriple, specOf, taken } from "./triple.ts";
import { lookupVirtuser } from "./virtuser.ts";

function refused(status: string, text: string): Parsed {
  return { kind: "error", status, text: `553 ${text}` };
}

/** A host made of literals: `[a]`, `[a]:port`, `[a]:[b]`, `[a],[b]`; or what is wrong with it. */
function hostProblem(host: string, dot: boolean): Parsed | null {
  const shown = dot ? `${host}.` : host;
  if (shown.startsWith("[")) {
    const close = shown.indexOf("]");
    if (close > 0 && close + 1 < shown.length) {
      const next = shown[close + 1];
      if (!((next === ":" || next === ",") && close + 2 < shown.length)) {
        if (shown.endsWith("]") && !":,".includes(next ?? "")) return refused("5.1.2", "Invalid address");
        return refused("5.1.2", "Invalid address");
      }
    }
  } else if (shown.includes(":")) return refused("5.1.3", "Colon illegal in host name part");
  if (shown.startsWith(".") || shown.includes("..")) return refused("5.1.2", "Invalid host name");
  if (shown.endsWith("@")) return refused("5.1.2", "Invalid route address");
  return null;
}

/** A comma is allowed only before a character that routes. */
function strayComma(run: Run, address: Focus): boolean {
  const tokens =
    address.host === null ? address.left : [...address.left, "<", ...tokensOf(address.host), ">"];
  return tokens.some(
    (token, i) => token === "," && i + 1 < tokens.length && !isRoutingSign(run, tokens[i + 1] as string),
  );
}

function syntaxProblem(run: Run, address: Focus): Parsed | null {
  const { left, host } = address;
  if (host !== null) {
    if (host === "" && left.length === 0) return refused("5.1.3", "User address required");
    if (host === "") return refused("5.1.3", "Hostname required");
    if (left.length === 0 || (left.length === 1 && left[0] === "@"))
      return refused("5.1.3", "User address required");
    const problem = hostProblem(host, address.dot);
    if (problem !== null) return problem;
    if (left.includes("@")) return refused("5.1.3", "Invalid route address");
  }
  if (strayComma(run, address)) return refused("5.1.3", "Invalid route address");
  return null;
}

/** Takes the quotes off a local part of one token where they protect nothing. */
function unquoted(left: readonly string[]): readonly string[] {
  const only = left.length === 1 ? left[0] : undefined;
  const bare = only === undefined ? null : dequote(only);
  return bare === null ? left : tokensOf(bare);
}

/** Parse0: refuses bad syntax, peels our own names off (`user%site@us`), unquotes. Bounded by the tokens it drops each turn. */
export async function peel(run: Run, start: Focus): Promise<Parsed | Focus> {
  let address = start;
  for (let turn = 0; turn < REWRITE_DEPTH_MAX; turn++) {
    if (address.kind === "null") return address;
    if (address.kind === "list") return refused("5.1.3", "List:; syntax illegal for recipient addresses");
    const problem = syntaxProblem(run, address);
    if (problem !== null) return problem;
    const ours = address.host === null || (address.dot && run.site.classes.w.has(address.host));
    if (!ours) return address;
    const single = address.left.length === 1;
    if (address.host === null && !single) return address;
    const left = unquoted(address.left);
    if (left.length === 0) return refused("5.1.3", "User address required");
    if (!left.some((token) => isRoutingSign(run, token)))
      return left === address.left ? address : focusOf(left, address.host, address.dot);
    run.trace({ rule: "local routing", text: joinTokens(left) });
    address = await canonify(run, focus(left, run.site.routing));
  }
  return { kind: "loop" };
}

/** FEATURE(redirect): people who moved. */
function redirected(run: Run, address: Focus): Parsed | null {
  if (!run.site.config.features.redirect || run.rebuilding || address.host === null || !address.dot)
    return null;
  const host = address.host;
  if (!host.toUpperCase().endsWith(".REDIRECT")) return null;
  const moved = `${joinTokens(address.left).replaceAll('"', "")}@${host.slice(0, -".REDIRECT".length)}`;
  run.trace({ rule: "redirect", text: moved });
  return { kind: "error", status: "5.1.1", text: `551 User has moved; please try <${moved}>` };
}

/** An address literal that is not ours: the smart host, or the address itself; no table is asked. */
async function literalRoute(run: Run, address: Focus, host: string): Promise<Parsed> {
  const { config } = run.site;
  const smart = config.smartHost;
  if (smart === null || smart.host === "") return taken(config.smtpMailer, host, address);
  run.trace({ rule: "smart host", text: specOf(smart) });
  const named = config.smartHostNamesMailer ?? true;
  return taken(named ? smart.mailer : config.smtpMailer, smart.host, address);
}

/** A name in class w: the hub (stickyhost), or the local mailer. */
async function localRoute(run: Run, address: Focus): Promise<Parsed> {
  const { config, classes } = run.site;
  const user = joinTokens(address.left);
  const local = config.localMailer;
  run.trace({ rule: "class w", text: user });
  if (config.features.stickyHost) {
    const hub = await mailerTriple(run, specOf(config.mailHub), address);
    if (hub !== null) return hub;
    return taken(local, "", focusOf(address.left, null), user.indexOf("+") <= 0);
  }
  return taken(local, "", focusOf(address.left, null), classes.L.has(user));
}

/** bestmx_is_local: a domain whose best MX is one of our names is ours. */
async function bestMxRoute(run: Run, address: Focus, host: string): Promise<Parsed | null> {
  const domains = run.site.config.features.bestMxIsLocal;
  if (domains === null) return null;
  if (domains.length > 0 && !domains.some((domain) => endsIn(host, domain))) return null;
  const mx = await run.site.resolver.mx(host);
  if (mx.kind === "tempfail") run.tempfail ||= mx.reason;
  if (mx.kind !== "found") return null;
  const best = mx.value.reduce((a, b) => (b.preference < a.preference ? b : a));
  if (!run.site.classes.w.has(best.exchange)) return null;
  run.trace({ rule: "bestmx_is_local", text: best.exchange });
  const sign = address.left.findIndex((token) => isRoutingSign(run, token));
  if (sign >= 0) return run.recurse(await canonify(run, focus(address.left, run.site.routing)));
  return taken(run.site.config.localMailer, "", focusOf(address.left, null));
}

function endsIn(host: string, domain: string): boolean {
  const name = host.toLowerCase();
  const wanted = domain.toLowerCase();
  return name === wanted || name.endsWith(wanted.startsWith(".") ? wanted : `.${wanted}`);
}

async function remoteRoute(run: Run, address: Focus, host: string): Promise<Parsed> {
  const { config } = run.site;
  const tabled = await lookupMailertable(run, host, address);
  if (tabled !== null) return tabled;
  const best = await bestMxRoute(run, address, host);
  if (best !== null) return best;
  const smart = await mailerTriple(run, specOf(config.smartHost), address);
  if (smart !== null) {
    run.trace({ rule: "smart host", text: specOf(config.smartHost) });
    return smart;
  }
  if (run.site.mailers.has(config.smtpMailer)) {
    run.trace({ rule: "remote", text: host });
    return taken(config.smtpMailer, host, address);
  }
  return refused("5.1.2", `Unrecognized host name ${host}.`);
}

async function parse1(run: Run, address: Focus): Promise<Parsed> {
  const { config, classes } = run.site;
  const { host } = address;
  if (address.kind === "null") return taken(config.localMailer, "", focusOf(["<", ">"], null));
  if (host !== null && isLiteral(host) && !address.dot) return literalRoute(run, address, host);
  const virtual = await lookupVirtuser(run, address);
  if (virtual !== null) return virtual;
  if (host === null) {
    run.trace({ rule: "bare name", text: joinTokens(address.left) });
    return taken(config.localMailer, "", address, classes.L.has(joinTokens(address.left)));
  }
  if (address.dot && classes.w.has(host)) return localRoute(run, address);
  return remoteRoute(run, address, host);
}

/** The decision for a canonical address. Restarts are bounded by REWRITE_DEPTH_MAX. */
export async function parse(run: Run, address: Focus): Promise<Parsed> {
  // One restart is three of Sendmail's nested rule sets.
  if (++run.depth > REWRITE_DEPTH_MAX / 3) return { kind: "loop" };
  const peeled = await peel(run, address);
  if (peeled.kind === "error" || peeled.kind === "loop" || peeled.kind === "mailer") return peeled;
  return redirected(run, peeled) ?? (await parse1(run, peeled));
}

export interface RunOptions {
  readonly trace?: Trace | undefined;
  readonly modifiers?: string | undefined;
  readonly rebuilding?: boolean | undefined;
}

/** A fresh run. */
export function startRun(site: Site, options: RunOptions = {}): Run {
  const run: Run = {
    site,
    trace: options.trace ?? noTrace,
    modifiers: options.modifiers ?? "",
    rebuilding: options.rebuilding ?? false,
    tempfail: "",
    depth: 0,
    recurse: (address) => parse(run, address),
  };
  return run;
}
