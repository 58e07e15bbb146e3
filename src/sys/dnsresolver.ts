// The real Resolver: the hosts file first, then DNS over the servers of resolv.conf (c-ares through node:dns), with bounded waiting
// (Timeout.resolver.retrans and .retry) and a small cache, so that one message does not ask the same question five times.
// Three results: NXDOMAIN and "no data" are absent, everything else that goes wrong is a tempfail (DNS-02, DNS-10).

import { promises } from "node:dns";
import { isIP } from "node:net";
import { ABSENT, found, type Lookup, tempfail } from "../base/result.ts";
import type { Clock } from "./clock.ts";
import { readFileLookup } from "./files.ts";
import type { MxRecord, Resolver } from "./resolver.ts";

export interface DnsSettings {
  /** Milliseconds before the first repetition, and how often a question is asked in all. */
  readonly retransMs: number;
  readonly retries: number;
  readonly hostsFile: string;
  readonly resolvConf: string;
  /** "address" or "address:port" instead of those of resolv.conf (tests); empty: resolv.conf. */
  readonly servers: readonly string[];
}

/** Answers are kept this long; shorter than any TTL that matters to mail. */
const CACHE_MS = 30_000;
const CACHE_ENTRIES_MAX = 1000;
/** Records of one answer that are looked at (DNS-05: 100 MX). */
const RECORDS_MAX = 100;
const HOSTS_BYTES_MAX = 4 * 1024 * 1024;
const LABELS_BYTES_MAX = 253;

interface Hosts {
  readonly byName: ReadonlyMap<string, readonly string[]>;
  readonly byAddress: ReadonlyMap<string, readonly string[]>;
}

function parseHosts(path: string): Hosts {
  const byName = new Map<string, string[]>();
  const byAddress = new Map<string, string[]>();
  const read = readFileLookup(path);
  const text = read.kind === "found" ? read.value.subarray(0, HOSTS_BYTES_MAX).toString("latin1") : "";
  for (const line of text.split("\n")) {
    const [address = "", ...names] = (line.split("#")[0] ?? "").trim().split(/\s+/);
    if (isIP(address) === 0) continue;
    byAddress.set(address, [...(byAddress.get(address) ?? []), ...names]);
    for (const name of names) byName.set(fold(name), [...(byName.get(fold(name)) ?? []), address]);
  }
  return { byName, byAddress };
}

function fold(name: string): string {
  return name.replace(/[A-Z]/g, (c) => c.toLowerCase()).replace(/\.$/, "");
}

/** Domains of `search` or `domain` in a resolv.conf. */
export function searchDomainsOf(resolvConf: string): readonly string[] {
  const read = readFileLookup(resolvConf);
  if (read.kind !== "found") return [];
  let domains: string[] = [];
  for (const line of read.value.toString("latin1").split("\n")) {
    const [word, ...rest] = line.trim().split(/\s+/);
    if (word === "search" || word === "domain") domains = rest;
  }
  return domains;
}

/** A name that may be asked for: printable, no empty label, within RFC 1035's length. */
function askable(name: string): boolean {
  return (
    name.length > 0 &&
    name.length <= LABELS_BYTES_MAX &&
    !/[^\x21-\x7e]|\.\./.test(name) &&
    !name.startsWith(".")
  );
}

function codeOf(e: unknown): string {
  return e instanceof Error && "code" in e ? String(e.code) : String(e);
}

const PERMANENT = new Set(["ENOTFOUND", "ENODATA"]);

export class DnsResolver implements Resolver {
  readonly searchDomains: readonly string[];
  readonly #clock: Clock;
  readonly #resolver: promises.Resolver;
  readonly #hosts: Hosts;
  readonly #cache = new Map<
    string,
    { readonly untilMs: number; readonly answer: Promise<Lookup<unknown>> }
  >();

  constructor(clock: Clock, settings: DnsSettings) {
    this.#clock = clock;
    const timeout = Math.max(1, Math.min(settings.retransMs, 60_000));
    const tries = Math.max(1, Math.min(settings.retries, 10));
    this.#resolver = new promises.Resolver({ timeout, tries });
    if (settings.servers.length > 0) this.#resolver.setServers([...settings.servers]);
    this.#hosts = parseHosts(settings.hostsFile);
    this.searchDomains = searchDomainsOf(settings.resolvConf);
  }

  /** One question with its answer cached; failures that may pass are not kept. */
  #ask<T>(type: string, name: string, query: () => Promise<T>): Promise<Lookup<T>> {
    const key = `${type} ${fold(name)}`;
    const now = this.#clock.monotonicMs();
    const known = this.#cache.get(key);
    // The key names the type, so what was stored under it has it.
    if (known !== undefined && known.untilMs > now) return known.answer as Promise<Lookup<T>>;
    const answer = query().then(
      (value): Lookup<T> => found(value),
      (e: unknown): Lookup<T> => {
        if (PERMANENT.has(codeOf(e))) return ABSENT;
        this.#cache.delete(key);
        // Sendmail's words for whatever keeps the servers from answering.
        return tempfail(`${name}: Name server timeout`);
      },
    );
    if (this.#cache.size >= CACHE_ENTRIES_MAX) {
      const [oldest] = this.#cache.keys();
      if (oldest !== undefined) this.#cache.delete(oldest);
    }
    this.#cache.set(key, { untilMs: now + CACHE_MS, answer });
    return answer;
  }

  async #addresses(name: string, family: 4 | 6): Promise<Lookup<readonly string[]>> {
    const local = this.#hosts.byName.get(fold(name))?.filter((a) => isIP(a) === family) ?? [];
    if (local.length > 0) return found(local);
    if (!askable(name)) return ABSENT;
    return family === 4
      ? this.#ask("A", name, async () => (await this.#resolver.resolve4(name)).slice(0, RECORDS_MAX))
      : this.#ask("AAAA", name, async () => (await this.#resolver.resolve6(name)).slice(0, RECORDS_MAX));
  }

  a(name: string): Promise<Lookup<readonly string[]>> {
    return this.#addresses(name, 4);
  }

  aaaa(name: string): Promise<Lookup<readonly string[]>> {
    return this.#addresses(name, 6);
  }

  async mx(name: string): Promise<Lookup<readonly MxRecord[]>> {
    if (!askable(name)) return ABSENT;
    return this.#ask("MX", name, async () =>
      (await this.#resolver.resolveMx(name))
        .slice(0, RECORDS_MAX)
        .map((r) => ({ preference: r.priority, exchange: r.exchange.replace(/\.$/, "") })),
    );
  }

  async ptr(address: string): Promise<Lookup<readonly string[]>> {
    const local = this.#hosts.byAddress.get(address);
    if (local !== undefined && local.length > 0) return found(local);
    if (isIP(address) === 0) return ABSENT;
    const answer = await this.#ask("PTR", address, async () =>
      (await this.#resolver.reverse(address)).slice(0, RECORDS_MAX),
    );
    // A name from the network is only as good as its bytes (INJ-07).
    if (answer.kind !== "found") return answer;
    const names = answer.value.map((n) => n.replace(/\.$/, "")).filter(askable);
    return names.length > 0 ? found(names) : ABSENT;
  }

  async cname(name: string): Promise<Lookup<string>> {
    if (this.#hosts.byName.has(fold(name)) || !askable(name)) return ABSENT;
    const answer = await this.#ask("CNAME", name, () => this.#resolver.resolveCname(name));
    if (answer.kind !== "found") return answer;
    const [target] = answer.value;
    return target === undefined ? ABSENT : found(target.replace(/\.$/, ""));
  }

  async txt(name: string): Promise<Lookup<readonly string[]>> {
    if (!askable(name)) return ABSENT;
    return this.#ask("TXT", name, async () =>
      (await this.#resolver.resolveTxt(name)).slice(0, RECORDS_MAX).map((t) => t.join("")),
    );
  }

  async exists(name: string): Promise<Lookup<true>> {
    if (this.#hosts.byName.has(fold(name))) return found(true);
    if (!askable(name)) return ABSENT;
    return this.#ask("exists", name, async (): Promise<true> => {
      try {
        await this.#resolver.resolve4(name);
      } catch (e) {
        // No data of this type: the name is there.
        if (codeOf(e) !== "ENODATA") throw e;
      }
      return true;
    });
  }
}
