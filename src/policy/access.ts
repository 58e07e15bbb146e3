// The access table: how a host, an address or a user is looked up in it (Sendmail's LookUpDomain, LookUpAddress, LookUpFull,
// LookUpUser, LookUpExact and SearchList), tagged key first, then untagged where the tag allows it (semantics section 13).

import { DOMAIN_LABELS_MAX } from "../base/limits.ts";
import type { Site } from "../route/site.ts";

/** What the table says: a value, nothing, or that it cannot be read now. */
export type AccessAnswer =
  | { readonly kind: "value"; readonly value: string }
  | { readonly kind: "none" }
  | { readonly kind: "temp" };

const NONE: AccessAnswer = { kind: "none" };

/** `exact: true` asks for the tagged key only (Spam, GreetPause, ClientRate, TLS_*, ...). */
export interface Tag {
  readonly name: string;
  readonly exact: boolean;
}

export const CONNECT: Tag = { name: "Connect", exact: false };
export const FROM: Tag = { name: "From", exact: false };
export const TO: Tag = { name: "To", exact: false };

export function tagOnly(name: string): Tag {
  return { name, exact: true };
}

/** An address of a client as the table's keys write it: IPv4 as it is, IPv6 as `IPv6:` and eight groups. */
export function addressKey(address: string): string {
  if (!address.includes(":")) return address;
  const bare = address.replace(/^IPv6:/i, "");
  const [head = "", tail = ""] = bare.split("::", 2);
  const left = head === "" ? [] : head.split(":");
  const right = tail === "" ? [] : tail.split(":");
  const gap = bare.includes("::") ? Math.max(0, 8 - left.length - right.length) : 0;
  const groups = [...left, ...Array.from({ length: gap }, () => "0"), ...right];
  return `IPv6:${groups.map((group) => group.toLowerCase().replace(/^0+(?=.)/, "")).join(":")}`;
}

/** Words that rules compare with a value. */
const WORDS = new Set([
  "OK",
  "RELAY",
  "REJECT",
  "DISCARD",
  "SKIP",
  "FRIEND",
  "HATER",
  "YES",
  "NO",
  "SUBJECT",
]);
/** What a value may begin with. */
const PREFIX = /^(?:ERROR|QUARANTINE|TEMP):/i;

/** A value as the checks compare it: Sendmail's rules know no case, so `Relay` is RELAY and `error:` is ERROR:. */
export function canonicalValue(value: string): string {
  const bare = value.trim();
  const word = bare.toUpperCase();
  if (WORDS.has(word)) return word;
  return bare.replace(PREFIX, (prefix) => prefix.toUpperCase());
}

/** One key, tagged and (unless exact) untagged. */
function one(site: Site, key: string, tag: Tag): AccessAnswer {
  const table = site.tables.access;
  if (table === null) return NONE;
  for (const text of tag.exact ? [`${tag.name}:${key}`] : [`${tag.name}:${key}`, key]) {
    const answer = table.lookup(text);
    if (answer.kind === "found") return { kind: "value", value: canonicalValue(answer.value) };
    if (answer.kind === "tempfail") return { kind: "temp" };
  }
  return NONE;
}

/** First answer that is one. */
function firstOf(site: Site, keys: readonly string[], tag: Tag): AccessAnswer {
  for (const key of keys) {
    const answer = one(site, key, tag);
    if (answer.kind !== "none") return answer;
  }
  return NONE;
}

/** SKIP ends a search without a decision, where the feature asks for it. */
function unlessSkipped(site: Site, answer: AccessAnswer): AccessAnswer {
  const skip = site.config.features.accessDb?.skip ?? false;
  return skip && answer.kind === "value" && answer.value === "SKIP" ? NONE : answer;
}

/** Exact key. */
export function lookupExact(site: Site, key: string, tag: Tag): AccessAnswer {
  return one(site, key, tag);
}

function dotDomains(site: Site): boolean {
  return site.config.features.lookupDotDomain || (site.config.features.accessDb?.lookupDotDomain ?? false);
}

/** A host name and its parents, longest first; a literal `[1.2.3.4]` cut at its dots from the right. */
export function lookupDomain(site: Site, host: string, tag: Tag): AccessAnswer {
  let name = host;
  for (let i = 0; i < DOMAIN_LABELS_MAX && name !== ""; i++) {
    const answer = one(site, name, tag);
    if (answer.kind !== "none") return unlessSkipped(site, answer);
    if (name.startsWith("[")) {
      const cut = Math.max(name.lastIndexOf("."), name.lastIndexOf(":"));
      if (cut < 2) return NONE;
      name = `${name.slice(0, cut)}]`;
      continue;
    }
    const dot = name.indexOf(".");
    if (dot < 0 || dot === name.length - 1) return NONE;
    const parent = name.slice(dot + 1);
    if (dotDomains(site) && dot > 0) {
      const below = one(site, `.${parent}`, tag);
      if (below.kind !== "none") return unlessSkipped(site, below);
    }
    name = parent;
  }
  return NONE;
}

/** A client's address, cut at dots (IPv4) or colons (IPv6) from the right. */
export function lookupAddress(site: Site, address: string, tag: Tag): AccessAnswer {
  let key = addressKey(address);
  for (let i = 0; i < DOMAIN_LABELS_MAX && key !== ""; i++) {
    const answer = one(site, key, tag);
    if (answer.kind !== "none") return unlessSkipped(site, answer);
    const cut = Math.max(key.lastIndexOf("."), key.lastIndexOf(":"));
    if (cut < 1) return NONE;
    key = key.slice(0, cut);
  }
  return NONE;
}

/** Splits `user+detail`; null without a detail. */
function plus(local: string): readonly [string, string] | null {
  const at = local.indexOf("+", 1);
  return at < 0 ? null : [local.slice(0, at), local.slice(at + 1)];
}

/** `user+detail@host`, `user+*@host`, `user@host`; with an empty host the `user@` forms. */
export function lookupUser(site: Site, local: string, host: string, tag: Tag): AccessAnswer {
  const keys = [`${local}@${host}`];
  const parts = plus(local);
  if (parts !== null) keys.push(`${parts[0]}+*@${host}`, `${parts[0]}@${host}`);
  return firstOf(site, keys, tag);
}

/** A step of a search list. */
export type SearchItem =
  | { readonly kind: "user"; readonly local: string; readonly host: string }
  | { readonly kind: "domain"; readonly host: string }
  | { readonly kind: "exact"; readonly key: string }
  | { readonly kind: "address"; readonly address: string };

/** Asks the items in order; the first answer ends the search. */
export function search(site: Site, tag: Tag, items: readonly SearchItem[]): AccessAnswer {
  for (const item of items) {
    const answer =
      item.kind === "user"
        ? lookupUser(site, item.local, item.host, tag)
        : item.kind === "domain"
          ? lookupDomain(site, item.host, tag)
          : item.kind === "exact"
            ? lookupExact(site, item.key, tag)
            : lookupAddress(site, item.address, tag);
    if (answer.kind !== "none") return answer;
  }
  return NONE;
}

/** Is the answer exactly this word? */
export function says(answer: AccessAnswer, word: string): boolean {
  return answer.kind === "value" && answer.value === word;
}
