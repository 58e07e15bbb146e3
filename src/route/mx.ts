// The hosts to try for a destination: MX records by preference (random among equals, RFC 5321 section 5.1), the implicit MX, the null MX
// (RFC 7505), ourselves in the list and everything not better taken out, FallbackMXhost behind (semantics section 20).
// A destination is `host`, `[host]` (no MX lookup), `host:port`, `[host]:port`, or several of these joined by colons, tried in order.

import { ABSENT, found, type Lookup } from "../base/result.ts";
import type { MxRecord } from "../sys/resolver.ts";
import type { Site } from "./site.ts";

/** One host to connect to. */
export interface MxHost {
  /** Without brackets and trailing dot; an address for `[1.2.3.4]`. */
  readonly name: string;
  /** As Sendmail shows it: with a trailing dot when it came from DNS, else as written. */
  readonly shown: string;
  /** 0: the mailer's own port. */
  readonly port: number;
}

export type MxAnswer =
  | { readonly kind: "hosts"; readonly hosts: readonly MxHost[] }
  /** The destination does not exist. */
  | { readonly kind: "unknown"; readonly host: string }
  /** It says that it takes no mail. */
  | { readonly kind: "null"; readonly host: string }
  /** The best exchange is ourselves. */
  | { readonly kind: "loop"; readonly host: string }
  | { readonly kind: "tempfail"; readonly host: string; readonly reason: string };

/** Hosts that one destination may name in a row. */
const DESTINATIONS_MAX = 20;
/** Exchanges tried for one name (DNS-05). */
const EXCHANGES_MAX = 20;

interface Part {
  readonly host: string;
  readonly bracketed: boolean;
  readonly port: number;
}

/** Splits `[a]:26`, `a:b:c`, `a:26` into hosts with ports. IPv6 literals stay whole inside their brackets. */
export function splitDestination(text: string): readonly Part[] {
  const parts: Part[] = [];
  for (let at = 0; at < text.length && parts.length < DESTINATIONS_MAX; ) {
    const bracketed = text[at] === "[";
    const close = bracketed ? text.indexOf("]", at) : -1;
    const from = close < 0 ? at : close;
    const colon = text.indexOf(":", from);
    const end = colon < 0 ? text.length : colon;
    const word = text.slice(at, end).trim();
    at = end + 1;
    const last = parts.at(-1);
    if (/^\d{1,5}$/.test(word) && last !== undefined && last.port === 0)
      parts[parts.length - 1] = { ...last, port: Number(word) };
    else if (word !== "")
      parts.push({ host: close < 0 ? word : word.slice(1, -1), bracketed: close >= 0, port: 0 });
  }
  return parts;
}

function bare(name: string): string {
  return name.replace(/\.$/, "");
}

function literal(host: string): string | null {
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(host)) return host;
  const v6 = host.replace(/^IPv6:/i, "");
  return /^[0-9a-f:.]+$/i.test(v6) && v6.includes(":") ? v6 : null;
}

/** Sorted by preference; equals in random order. */
function ordered(records: readonly MxRecord[], below: (limit: number) => number): MxRecord[] {
  return records
    .map((record) => ({ record, lot: below(2 ** 31) }))
    .sort((a, b) => a.record.preference - b.record.preference || a.lot - b.lot)
    .map(({ record }) => record);
}

async function implicit(site: Site, name: string): Promise<Lookup<true>> {
  const [four, six] = await Promise.all([site.resolver.a(name), site.resolver.aaaa(name)]);
  if (four.kind === "found" || six.kind === "found") return found(true);
  if (four.kind === "tempfail") return four;
  return six.kind === "tempfail" ? six : ABSENT;
}

async function exchanges(
  site: Site,
  name: string,
  port: number,
  below: (limit: number) => number,
): Promise<MxAnswer> {
  let asked = name;
  let answer = await site.resolver.mx(asked);
  if (answer.kind === "absent") {
    const alias = await site.resolver.cname(asked);
    if (alias.kind === "found") {
      asked = bare(alias.value);
      answer = await site.resolver.mx(asked);
    }
  }
  if (answer.kind === "tempfail") return { kind: "tempfail", host: name, reason: answer.reason };
  if (answer.kind === "absent" || answer.value.length === 0) {
    const there = await implicit(site, asked);
    if (there.kind === "tempfail") return { kind: "tempfail", host: name, reason: there.reason };
    if (there.kind === "absent") return { kind: "unknown", host: name };
    return { kind: "hosts", hosts: [{ name: asked, shown: `${asked}.`, port }] };
  }
  if (answer.value.every((r) => bare(r.exchange) === "")) return { kind: "null", host: name };
  const records = ordered(
    answer.value.filter((r) => bare(r.exchange) !== ""),
    below,
  );
  const mine = records.find((r) => site.classes.w.has(bare(r.exchange)));
  const usable = mine === undefined ? records : records.filter((r) => r.preference < mine.preference);
  if (usable.length === 0) return { kind: "loop", host: name };
  const hosts = usable
    .slice(0, EXCHANGES_MAX)
    .map((r) => ({ name: bare(r.exchange), shown: `${bare(r.exchange)}.`, port }));
  return { kind: "hosts", hosts };
}

/** All hosts of a destination in the order to try them; the first problem when no part of it gives any. */
export async function mxHosts(
  site: Site,
  destination: string,
  below: (limit: number) => number,
): Promise<MxAnswer> {
  const hosts: MxHost[] = [];
  let problem: MxAnswer | null = null;
  const fallback = site.config.fallbackMx === "" ? [] : splitDestination(site.config.fallbackMx);
  for (const part of [...splitDestination(destination), ...fallback]) {
    const address = literal(part.host);
    if (address !== null) {
      hosts.push({ name: address, shown: `[${part.host}]`, port: part.port });
      continue;
    }
    const name = bare(part.host);
    if (part.bracketed) {
      hosts.push({ name, shown: `[${name}]`, port: part.port });
      continue;
    }
    const answer = await exchanges(site, name, part.port, below);
    if (answer.kind === "hosts") hosts.push(...answer.hosts);
    else problem ??= answer;
  }
  if (hosts.length > 0) return { kind: "hosts", hosts };
  return problem ?? { kind: "unknown", host: destination };
}
