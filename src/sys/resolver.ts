// DNS with three results, hosts file first. The interface that routing,
// policy and delivery ask; tests give one made of data.

import type { Lookup } from "../base/result.ts";

export interface MxRecord {
  readonly preference: number;
  /** Host name without trailing dot; "" is the null MX (RFC 7505). */
  readonly exchange: string;
}

/** Names in and out carry no trailing dot; matching is ASCII case-insensitive. "absent" covers NXDOMAIN and no data. */
export interface Resolver {
  a(name: string): Promise<Lookup<readonly string[]>>;
  aaaa(name: string): Promise<Lookup<readonly string[]>>;
  mx(name: string): Promise<Lookup<readonly MxRecord[]>>;
  /** `address` is IPv4 or IPv6 text. */
  ptr(address: string): Promise<Lookup<readonly string[]>>;
  /** The canonical name when `name` is a CNAME, absent when it is not. */
  cname(name: string): Promise<Lookup<string>>;
  txt(name: string): Promise<Lookup<readonly string[]>>;
  /** True when the name exists at all (no NXDOMAIN): "no data" and "no such name" differ in Sendmail's texts. */
  exists(name: string): Promise<Lookup<true>>;
  /** The full name that the hosts file gives for `name` (asked before DNS); undefined when the file does not know it. */
  hostsName?(name: string): string | undefined;
  /** Domains to try for names without a dot. */
  readonly searchDomains: readonly string[];
}
