// The host part made canonical (rule set Canonify2): localhost and our own literals become $j, domaintable, then DNS unless
// nocanonify; names of ours need no DNS. A name that DNS cannot answer for now is remembered in the run, not guessed.

import { DOMAIN_LABELS_MAX } from "../base/limits.ts";
import { ABSENT, found, type Lookup, tempfail } from "../base/result.ts";
import { type Focus, focusOf } from "../mail/focus.ts";
import type { Resolver } from "../sys/resolver.ts";
import type { NameSet } from "./names.ts";
import { ask, type Run, substitute } from "./run.ts";
import type { Site } from "./site.ts";

/** CNAMEs followed for one name. */
const CNAME_HOPS_MAX = 10;

/** A host in brackets, as `[1.2.3.4]` or `[IPv6:::1]`. */
export function isLiteral(host: string): boolean {
  return host.startsWith("[") && host.endsWith("]") && host.length > 2;
}

function labelCount(host: string): number {
  let count = 1;
  for (const c of host) if (c === ".") count++;
  return count;
}

/** Could DNS know this name at all? Empty labels, blanks and literals never get there. */
function askable(host: string): boolean {
  if (host.length === 0 || host.length > 253 || labelCount(host) > DOMAIN_LABELS_MAX) return false;
  let label = 0;
  for (let i = 0; i < host.length; i++) {
    const c = host.charCodeAt(i);
    if (c === 0x2e) {
      if (label === 0 || label > 63) return false;
      label = 0;
    } else if (c <= 0x20 || c >= 0x7f || '[]:@,;"<>()\\'.includes(host[i] as string)) return false;
    else label++;
  }
  return label > 0 && label <= 63;
}

/** Follows CNAMEs of one candidate and asks whether mail or addresses are there. */
async function canonicalOf(resolver: Resolver, name: string, follow: boolean): Promise<Lookup<string>> {
  let current = name;
  for (let hop = 0; hop < CNAME_HOPS_MAX; hop++) {
    const [alias, mx, a] = await Promise.all([
      resolver.cname(current),
      resolver.mx(current),
      resolver.a(current),
    ]);
    if (alias.kind === "found") {
      current = alias.value;
      continue;
    }
    if (mx.kind === "found" || a.kind === "found") return found(follow ? current : name);
    const aaaa = await resolver.aaaa(current);
    if (aaaa.kind === "found") return found(follow ? current : name);
    for (const answer of [alias, mx, a, aaaa]) if (answer.kind === "tempfail") return answer;
    return ABSENT;
  }
  return tempfail(`CNAME loop for ${name}`);
}

/**
 * The canonical name of a host (`$[ host $]`): the hosts file first, then DNS, with the search domains for a bare name and after a
 * dotted one. Without trailing dot. tempfail when DNS could not say.
 */
export async function canonicalName(site: Site, host: string): Promise<Lookup<string>> {
  const { resolver } = site;
  const trailing = host.endsWith(".");
  const name = trailing ? host.slice(0, -1) : host;
  if (!askable(name)) return ABSENT;
  const known = resolver.hostsName?.(name);
  if (known !== undefined) return found(known);
  const searched = trailing ? [] : resolver.searchDomains.map((domain) => `${name}.${domain}`);
  const candidates = name.includes(".") ? [name, ...searched] : [...searched, name];
  let failed: Lookup<string> | null = null;
  for (const candidate of candidates) {
    const fromHosts = candidate === name ? undefined : resolver.hostsName?.(candidate);
    if (fromHosts !== undefined) return found(fromHosts);
    const answer = await canonicalOf(resolver, candidate, !site.config.options.DontExpandCnames);
    if (answer.kind === "found") return answer;
    if (answer.kind === "tempfail") {
      failed = answer;
      break;
    }
  }
  return failed ?? ABSENT;
}

/** Our own names, and names that the rules treat as canonical, need no DNS. */
function knownHere(site: Site, host: string): boolean {
  const { classes, config } = site;
  if (classes.w.has(host)) return true;
  const entire = (names: NameSet, all: boolean) => (all ? names.ending(host) !== null : names.has(host));
  if (entire(classes.M, config.features.masqueradeEntireDomain)) return true;
  if (site.tables.virtuser !== null && entire(classes.VirtHost, config.features.virtUserEntireDomain))
    return true;
  return site.tables.generics !== null && entire(classes.G, config.features.genericsEntireDomain);
}

/** localhost in its forms, which mean $j. */
function isLocalhost(site: Site, host: string): boolean {
  const name = host.toLowerCase();
  return (
    name === "localhost" ||
    (site.m !== "" && name === `localhost.${site.m.toLowerCase()}`) ||
    (site.routing.uucp && name === "localhost.uucp")
  );
}

function strippedDots(host: string): string {
  let end = host.length;
  while (end > 0 && host[end - 1] === ".") end--;
  return host.slice(0, end);
}

/** The domaintable's answer for a host: exact name only, not recursive. */
function mapped(run: Run, host: string): string {
  const value = ask(run, "domaintable", run.site.tables.domain, host);
  return value === null ? host : substitute(value, [host]);
}

/** Asks DNS where the features say so. Returns the host and whether it is canonical now. */
async function byDns(run: Run, host: string): Promise<[string, boolean]> {
  const { config, classes } = run.site;
  const none = config.features.noCanonify;
  const dotted = host.includes(".");
  const wanted =
    none === null
      ? !run.modifiers.includes("CC") && !run.modifiers.includes("C")
      : classes.Canonify.ending(host) !== null ||
        run.modifiers.includes("c") ||
        (none.canonifyHosts && !dotted);
  // Without DNS a name with a dot in it counts as canonical, so that the rules that follow work.
  if (!wanted) return [host, dotted];
  const answer = await canonicalName(run.site, host);
  if (answer.kind === "found") return [answer.value, true];
  if (answer.kind === "tempfail") run.tempfail ||= answer.reason;
  return [host, false];
}

/** The address with its host canonical. `dns` false leaves DNS alone (names of ours are recognised all the same). */
export async function canonify(run: Run, address: Focus): Promise<Focus> {
  if (address.kind !== "address" || address.host === null || address.host === "") return address;
  const { site } = run;
  const written = address.host;
  if (isLocalhost(site, written)) return focusOf(address.left, site.j, true);
  if (isLiteral(written)) {
    if (!site.classes.w.has(written)) return address;
    return focusOf(address.left, site.j, true);
  }
  const host = mapped(run, written);
  if (host.endsWith(".")) return focusOf(address.left, strippedDots(host), true);
  if (site.classes.P.ending(host) !== null) return focusOf(address.left, host, true);
  if (site.routing.uucp && /\.UUCP$/i.test(host)) {
    const [name, canonical] = await byDns(run, host.slice(0, -5));
    return canonical ? focusOf(address.left, name, true) : focusOf(address.left, host, false);
  }
  // Names of ours need no DNS; the hosts file may know their full spelling.
  if (site.classes.w.has(host)) {
    const full = site.config.features.noCanonify === null ? site.resolver.hostsName?.(host) : undefined;
    return focusOf(address.left, full ?? host, true);
  }
  const [name, canonical] = await byDns(run, host);
  return focusOf(address.left, name, canonical || knownHere(site, name));
}
