// From the host of a decision to the hosts to try (RFC 5321 section 5, semantics section 20): `[host]` and addresses as they are, a list
// `h1:h2` in order, otherwise MX by preference, random among equals, without ourselves and what is worse; and the words for why not.

import { type Outcome, outcome } from "../mail/outcome.ts";
import type { Entropy } from "../sys/entropy.ts";
import type { MxRecord } from "../sys/resolver.ts";
import { canonicalName } from "./canonify.ts";
import type { Site } from "./site.ts";

/** A host to try. */
export interface MxCandidate {
  /** Without brackets and trailing dot; an address for `[1.2.3.4]`. */
  readonly name: string;
  /** As logs show it: with a trailing dot when DNS gave it. */
  readonly shown: string;
  /** 0: the mailer's port. */
  readonly port: number;
}

/** Hosts to try, or what becomes of every recipient. */
export type MxAnswer =
  | { readonly kind: "hosts"; readonly candidates: readonly MxCandidate[] }
  | { readonly kind: "outcome"; readonly outcome: (recipientAddress: string) => Outcome };

/** Hosts of one decision that are tried at most (Sendmail's MAXMXHOSTS). */
const CANDIDATES_MAX = 100;

interface Part {
  /** In brackets: no MX lookup. */
  readonly literal: boolean;
  readonly name: string;
  readonly port: number;
}

/** Splits `h1:h2:[h3]:port`; a number at the end is a port. Colons in brackets belong to IPv6 addresses. */
export function hostParts(host: string): readonly Part[] {
  const texts: string[] = [];
  let start = 0;
  let depth = 0;
  for (let i = 0; i <= host.length; i++) {
    const c = host[i];
    if (c === "[") depth++;
    else if (c === "]") depth--;
    if (i < host.length && !((c === ":" || c === ",") && depth <= 0)) continue;
    texts.push(host.slice(start, i));
    start = i + 1;
  }
  const last = texts.at(-1) ?? "";
  const port = texts.length > 1 && /^\d{1,5}$/.test(last) && Number(last) < 65_536 ? Number(last) : 0;
  const names = port > 0 ? texts.slice(0, -1) : texts;
  return names
    .filter((text) => text !== "")
    .map((text) => {
      const literal = text.startsWith("[") && text.endsWith("]");
      const bare = literal ? text.slice(1, -1).replace(/^IPv6:/i, "") : text;
      return { literal, name: bare.endsWith(".") ? bare.slice(0, -1) : bare, port };
    });
}

function isAddress(name: string): boolean {
  return name.includes(":") || /^\d{1,3}(\.\d{1,3}){3}$/.test(name);
}

/** By preference, random among equals. */
function ordered(records: readonly MxRecord[], entropy: Entropy): readonly MxRecord[] {
  const shuffled = records
    .slice(0, CANDIDATES_MAX)
    .map((record) => ({ record, lot: entropy.below(1 << 30) }));
  shuffled.sort((a, b) => a.record.preference - b.record.preference || a.lot - b.lot);
  return shuffled.map(({ record }) => record);
}

function unknownHost(name: string): MxAnswer {
  return {
    kind: "outcome",
    outcome: (address) =>
      outcome("failed", "5.1.2", "Host unknown", {
        diagnostic: "550 Host unknown",
        remote: name,
        transcript: [`550 5.1.2 <${address}>... Host unknown (Name server: ${name}: host not found)`],
      }),
  };
}

function serverFailure(name: string): MxAnswer {
  return {
    kind: "outcome",
    outcome: () =>
      outcome("deferred", "4.4.3", `Deferred: Name server: ${name}.: host name lookup failure`, {
        diagnostic: "",
        remote: "",
        transcript: [`451 ${name}: Name server timeout`],
      }),
  };
}

function nullMx(name: string): MxAnswer {
  return {
    kind: "outcome",
    outcome: () =>
      outcome("failed", "5.1.10", "Host does not accept mail: MX 0 .", {
        diagnostic: "556 Host does not accept mail: MX 0 .",
        remote: name,
        transcript: ["554 5.0.0 Service unavailable"],
      }),
  };
}

function pointsBack(name: string, j: string): MxAnswer {
  return {
    kind: "outcome",
    outcome: () =>
      outcome("failed", "5.5.0", "Local configuration error", {
        diagnostic: "",
        remote: name,
        transcript: [
          `554 5.0.0 MX list for ${name}. points back to ${j}`,
          "554 5.3.5 Local configuration error",
        ],
      }),
  };
}

type PartAnswer =
  | { readonly kind: "candidates"; readonly candidates: readonly MxCandidate[] }
  | { readonly kind: "answer"; readonly answer: MxAnswer };

/** Is it us? Names of class w, and literal addresses of ours. */
function isUs(site: Site, name: string): boolean {
  return site.classes.w.has(name) || site.classes.w.has(`[${name}]`);
}

async function withoutMx(site: Site, part: Part, shown: string): Promise<PartAnswer> {
  const { resolver } = site;
  const [a, aaaa] = await Promise.all([resolver.a(part.name), resolver.aaaa(part.name)]);
  if (a.kind === "found" || aaaa.kind === "found")
    return { kind: "candidates", candidates: [{ name: part.name, shown, port: part.port }] };
  if (a.kind === "tempfail" || aaaa.kind === "tempfail")
    return { kind: "answer", answer: serverFailure(part.name) };
  // A short name of the search domains, or a CNAME that the table did not follow.
  const canonical = await canonicalName(site, part.name);
  if (canonical.kind === "tempfail") return { kind: "answer", answer: serverFailure(part.name) };
  if (canonical.kind === "absent" || canonical.value.toLowerCase() === part.name.toLowerCase())
    return { kind: "answer", answer: unknownHost(part.name) };
  if (part.literal) {
    const candidate = { name: canonical.value, shown: `${canonical.value}.`, port: part.port };
    return { kind: "candidates", candidates: [candidate] };
  }
  return byMx(site, { ...part, name: canonical.value }, null);
}

async function byMx(site: Site, part: Part, entropy: Entropy | null): Promise<PartAnswer> {
  const list = await site.resolver.mx(part.name);
  if (list.kind === "tempfail") return { kind: "answer", answer: serverFailure(part.name) };
  if (list.kind === "absent") {
    if (entropy === null) {
      const candidate = { name: part.name, shown: `${part.name}.`, port: part.port };
      return { kind: "candidates", candidates: [candidate] };
    }
    return withoutMx(site, part, `${part.name}.`);
  }
  const records = entropy === null ? list.value : ordered(list.value, entropy);
  if (records.length === 1 && records[0]?.exchange === "")
    return { kind: "answer", answer: nullMx(part.name) };
  const usable = records.filter((record) => record.exchange !== "");
  const own = usable.filter((record) => isUs(site, record.exchange)).map((record) => record.preference);
  const limit = own.length === 0 ? Number.POSITIVE_INFINITY : Math.min(...own);
  const better = usable.filter((record) => record.preference < limit);
  if (better.length === 0) return { kind: "answer", answer: pointsBack(part.name, site.j) };
  const candidates = better.map((record) => ({
    name: record.exchange,
    shown: `${record.exchange}.`,
    port: part.port,
  }));
  return { kind: "candidates", candidates };
}

async function answerPart(site: Site, part: Part, entropy: Entropy, lookupMx: boolean): Promise<PartAnswer> {
  if (isAddress(part.name)) {
    const shown = `[${part.name}]`;
    return { kind: "candidates", candidates: [{ name: part.name, shown, port: part.port }] };
  }
  if (part.literal || !lookupMx) return withoutMx(site, { ...part, literal: true }, `${part.name}.`);
  return byMx(site, part, entropy);
}

/**
 * A text that is equal for hosts served by the same machines in the same order (Sendmail's host signature), so that their recipients
 * share a transaction; the host itself, folded, where MX records do not say.
 */
export async function hostSignature(site: Site, host: string, lookupMx: boolean): Promise<string> {
  const own = host.toLowerCase().replace(/\.$/, "");
  if (!lookupMx || own === "" || own.includes("[") || own.includes(":")) return own;
  const list = await site.resolver.mx(own);
  if (list.kind !== "found" || list.value.some((record) => isUs(site, record.exchange))) return own;
  const sorted = [...list.value].sort(
    (a, b) => a.preference - b.preference || (a.exchange.toLowerCase() < b.exchange.toLowerCase() ? -1 : 1),
  );
  const groups = sorted.map((record, i) => {
    const equal = i > 0 && sorted[i - 1]?.preference === record.preference;
    return `${equal ? "," : ":"}${record.exchange.toLowerCase()}`;
  });
  return groups.join("") || own;
}

/**
 * The hosts for `host` of a decision. `lookupMx` false (mailer flag "0", or LMTP): addresses only. Answers of the parts of a list are
 * tried in order; the first failure is the answer when no part has a host.
 */
export async function mxHosts(
  site: Site,
  host: string,
  entropy: Entropy,
  lookupMx = true,
): Promise<MxAnswer> {
  const candidates: MxCandidate[] = [];
  let failure: MxAnswer | null = null;
  const fallback = site.config.fallbackMx;
  for (const part of hostParts(host).slice(0, CANDIDATES_MAX)) {
    const answer = await answerPart(site, part, entropy, lookupMx);
    if (answer.kind === "answer") failure ??= answer.answer;
    else candidates.push(...answer.candidates);
  }
  if (candidates.length > 0 && fallback !== "") {
    for (const part of hostParts(fallback)) {
      const answer = await answerPart(site, part, entropy, lookupMx);
      if (answer.kind === "candidates") candidates.push(...answer.candidates);
    }
  }
  if (candidates.length > 0) return { kind: "hosts", candidates: candidates.slice(0, CANDIDATES_MAX) };
  return failure ?? unknownHost(host);
}
