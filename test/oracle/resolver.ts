// A resolver made of data: dns.json of the recorded cases (name to records) and a hosts file in front of it. A name that is absent and
// has no child does not exist; SERVFAIL is a lookup that fails for now. CNAMEs are followed for every other type, as a real one does.

import { readFileSync } from "node:fs";
import { ABSENT, found, type Lookup, tempfail } from "../../src/base/result.ts";
import type { MxRecord, Resolver } from "../../src/sys/resolver.ts";

export interface Records {
  readonly A?: readonly string[];
  readonly AAAA?: readonly string[];
  readonly MX?: readonly (readonly [number, string])[];
  readonly PTR?: readonly string[];
  readonly TXT?: readonly string[];
  readonly CNAME?: string;
  readonly SERVFAIL?: boolean;
}

export type Zone = ReadonlyMap<string, Records>;

export function readZone(path: string): Zone {
  const data = JSON.parse(readFileSync(path, "utf8")) as Record<string, Records>;
  return new Map(Object.entries(data).map(([name, records]) => [name.toLowerCase(), records]));
}

/** One line of a hosts file: an address and its names, the first one first. */
export type HostsLine = readonly [string, ...string[]];

export function dataResolver(
  zone: Zone,
  hosts: readonly HostsLine[],
  searchDomains: readonly string[],
): Resolver {
  const ask = <T>(name: string, pick: (records: Records) => T | undefined, follow = true): Lookup<T> => {
    let at = name.toLowerCase().replace(/\.$/, "");
    for (let hop = 0; hop < 10; hop++) {
      const records = zone.get(at);
      if (records === undefined) return ABSENT;
      if (records.SERVFAIL) return tempfail(`${name}: SERVFAIL`);
      if (follow && records.CNAME !== undefined) {
        at = records.CNAME.toLowerCase();
        continue;
      }
      const value = pick(records);
      return value === undefined ? ABSENT : found(value);
    }
    return tempfail(`${name}: CNAME loop`);
  };
  const hostsLine = (name: string) =>
    hosts.find((line) => line.slice(1).some((known) => known.toLowerCase() === name.toLowerCase()));
  const local = (name: string, v6: boolean): readonly string[] => {
    const line = hostsLine(name);
    return line !== undefined && line[0].includes(":") === v6 ? [line[0]] : [];
  };
  return {
    searchDomains,
    hostsName(name) {
      const line = hostsLine(name);
      return line?.slice(1).find((known) => known.includes(".")) ?? line?.[1];
    },
    async a(name) {
      const own = local(name, false);
      return own.length > 0 ? found(own) : ask(name, (records) => records.A);
    },
    async aaaa(name) {
      const own = local(name, true);
      return own.length > 0 ? found(own) : ask(name, (records) => records.AAAA);
    },
    mx: async (name) =>
      ask(name, (records): readonly MxRecord[] | undefined =>
        records.MX?.map(([preference, exchange]) => ({ preference, exchange })),
      ),
    async ptr(address) {
      const line = hosts.find(([known]) => known === address);
      if (line !== undefined) return found([line[1] ?? ""]);
      return ask(`${address.split(".").reverse().join(".")}.in-addr.arpa`, (records) => records.PTR);
    },
    cname: async (name) => ask(name, (records) => records.CNAME, false),
    txt: async (name) => ask(name, (records) => records.TXT),
    async exists(name) {
      if (hostsLine(name) !== undefined) return found(true as const);
      const known = name.toLowerCase();
      const child = [...zone.keys()].some((other) => other.endsWith(`.${known}`));
      if (child && !zone.has(known)) return found(true as const);
      return ask(known, () => true as const);
    },
  };
}
