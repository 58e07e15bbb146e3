// A site whose tables and resolver tell what they were asked and what they answered. The rules run over it unchanged, so a trace of
// them is a trace of the real decision. Secrets in tables (AuthInfo:) are named, never shown.

import type { Lookup } from "../base/result.ts";
import { locateAlias, locateEntry } from "../map/locate.ts";
import type { Table } from "../map/table.ts";
import type { Site, Tables } from "../route/site.ts";
import type { Resolver } from "../sys/resolver.ts";

/** One thing that was found out on the way to a decision. */
export interface Finding {
  /** Rule, table or "dns". */
  readonly rule: string;
  readonly key: string;
  /** "" where the rule has only words. */
  readonly value: string;
  /** `file:line` of the entry, "" when its text is not there. */
  readonly place: string;
  /** What the rule made of it, one line; "" when key and value say all. */
  readonly text: string;
}

export type Note = (finding: Finding) => void;

type Where = (key: string, value: string) => string;

function tracedTable(rule: string, table: Table | null, where: Where, note: Note): Table | null {
  if (table === null) return null;
  return {
    name: table.name,
    lookup(key) {
      const answer = table.lookup(key);
      if (answer.kind === "found") {
        const secret = /^authinfo:/i.test(key) || rule === "authinfo";
        const place = where(key, answer.value);
        note({ rule, key, value: secret ? "(credentials)" : answer.value, place, text: "" });
      } else if (answer.kind === "tempfail")
        note({ rule, key, value: "", place: "", text: `cannot be asked now: ${answer.reason}` });
      return answer;
    },
  };
}

function tracedResolver(resolver: Resolver, tell: Note): Resolver {
  // Every stage asks the DNS again; what it said once need not be read again.
  const heard = new Set<string>();
  const note: Note = (finding) => {
    const words = `${finding.key} ${finding.value}${finding.text}`;
    if (!heard.has(words)) tell(finding);
    heard.add(words);
  };
  async function told<T>(kind: string, name: string, ask: Promise<Lookup<T>>, show: (value: T) => string) {
    const answer = await ask;
    const text =
      answer.kind === "tempfail" ? `no answer: ${answer.reason}` : answer.kind === "absent" ? "none" : "";
    note({
      rule: "dns",
      key: `${kind} ${name}`,
      value: answer.kind === "found" ? show(answer.value) : "",
      place: "",
      text,
    });
    return answer;
  }
  const words = (value: readonly string[]): string => value.join(" ");
  const known = resolver.hostsName?.bind(resolver);
  return {
    a: (name) => told("A", name, resolver.a(name), words),
    aaaa: (name) => told("AAAA", name, resolver.aaaa(name), words),
    mx: (name) =>
      told("MX", name, resolver.mx(name), (list) =>
        list.map((mx) => `${mx.preference} ${mx.exchange}.`).join(", "),
      ),
    ptr: (address) => told("PTR", address, resolver.ptr(address), words),
    // Every canonification asks for a CNAME; only one that exists is worth a line.
    cname: async (name) => {
      const answer = await resolver.cname(name);
      if (answer.kind === "found")
        note({ rule: "dns", key: `CNAME ${name}`, value: answer.value, place: "", text: "" });
      return answer;
    },
    txt: (name) => told("TXT", name, resolver.txt(name), words),
    exists: (name) => resolver.exists(name),
    ...(known === undefined ? {} : { hostsName: known }),
    searchDomains: resolver.searchDomains,
  };
}

/** `site` with tables and resolver that tell `note`. */
export function tracedSite(site: Site, note: Note): Site {
  const { tables, aliases } = site;
  const text = (table: Table | null): Where => {
    const path = (table?.name ?? "").replace(/\.db$/, "");
    return (key, value) => locateEntry(path, key, value);
  };
  const traced = (rule: string, table: Table | null): Table | null =>
    tracedTable(rule, table, text(table), note);
  const files = site.config.options.AliasFile.map((file) => file.slice(file.indexOf(":") + 1));
  const aliasPlace: Where = (key) => {
    for (const file of files) {
      const place = locateAlias(file, key);
      if (place !== "") return place;
    }
    return "";
  };
  const all: Tables = {
    access: traced("access", tables.access),
    mailer: traced("mailertable", tables.mailer),
    virtuser: traced("virtusertable", tables.virtuser),
    domain: traced("domaintable", tables.domain),
    generics: traced("genericstable", tables.generics),
    authInfo: traced("authinfo", tables.authInfo),
  };
  return {
    ...site,
    tables: all,
    aliases: tracedTable("aliases", aliases, aliasPlace, note),
    resolver: tracedResolver(site.resolver, note),
  };
}
