// TLS_Clt, TLS_Srv, TLS_Rcpt, Try_TLS, Srv_Features and AuthInfo of the access table: how strong a connection must be before mail goes
// over it, and what is offered to whom (semantics section 22). A requirement that cannot be looked up is not met.

import { ABSENT, found, type Lookup, tempfail } from "../base/result.ts";
import { joinTokens } from "../mail/address.ts";
import { canonicalAddress } from "../route/resolve.ts";
import type { Site } from "../route/site.ts";
import {
  type AccessAnswer,
  lookupAddress,
  lookupDomain,
  lookupExact,
  type SearchItem,
  search,
  tagOnly,
} from "./access.ts";
import { type Decision, PASS, refuse, UNREADABLE } from "./decision.ts";

/** What is known of the other side of a connection. */
export interface PeerTls {
  /** ${verify}: "OK", "NO", "NOT", "NONE", "FAIL", ...; "" when there is no TLS. */
  readonly verify: string;
  readonly bits: number;
  readonly cnSubject: string;
  readonly certSubject: string;
  readonly certIssuer: string;
}

/** Asks for name, address, then the default key of a tag. */
function lookupPeer(site: Site, name: string, address: string, tagName: string): AccessAnswer {
  if (site.tables.access === null) return { kind: "none" };
  const tag = tagOnly(tagName);
  const named = name === "" ? ({ kind: "none" } as const) : lookupDomain(site, name, tag);
  if (named.kind !== "none") return named;
  const addressed = address === "" ? ({ kind: "none" } as const) : lookupAddress(site, address, tag);
  return addressed.kind === "none" ? lookupExact(site, "", tag) : addressed;
}

const HANDSHAKE_FAILURES = new Map([
  ["SOFTWARE", "TLS handshake failed."],
  ["PROTOCOL", "STARTTLS failed."],
  ["DANE_FAIL", "DANE check failed."],
  ["CONFIG", "STARTTLS temporarily not possible."],
]);

interface Requirement {
  readonly code: number;
  readonly status: string;
  readonly verify: boolean;
  readonly bits: number;
  /** `CN:x`, `CS:x`, `CI:x`, `CN`. */
  readonly more: readonly string[];
}

/** `[PERM+|TEMP+](VERIFY[:bits]|ENCR:bits)[+CN:x++CS:y]`; null for any other value, which asks for nothing. */
function requirementOf(value: string): Requirement | null {
  let text = value.trim();
  let [code, status] = [454, "4.7.0"];
  const kind = /^(PERM|TEMP)\s*\+\s*/i.exec(text);
  if (kind !== null) {
    [code, status] = kind[1]?.toUpperCase() === "PERM" ? [503, "5.7.0"] : [403, "4.7.0"];
    text = text.slice(kind[0].length);
  }
  const main = /^(VERIFY|ENCR)(?::(\d{1,6}))?(?:\+(.*))?$/i.exec(text);
  if (main === null) return null;
  const verify = main[1]?.toUpperCase() === "VERIFY";
  if (!verify && main[2] === undefined) return null;
  const more = (main[3] ?? "").split("++").filter((item) => item !== "");
  return { code, status, verify, bits: Number(main[2] ?? "0"), more };
}

const VERIFY_TEXTS = new Map([
  ["", "authentication required"],
  ["FAIL", "authentication failed"],
  ["NO", "not authenticated"],
  ["NOT", "no authentication requested"],
  ["NONE", "other side does not support STARTTLS"],
  ["CLEAR", "STARTTLS disabled locally"],
]);

function extraProblem(site: Site, item: string, name: string, peer: PeerTls): string | null {
  const colon = item.indexOf(":");
  const word = (colon < 0 ? item : item.slice(0, colon)).toUpperCase();
  const wanted = colon < 0 ? name : item.slice(colon + 1);
  const differs = (label: string, have: string) =>
    have.toLowerCase() === wanted.toLowerCase() ? null : `${label} ${have} does not match ${wanted}`;
  switch (word) {
    case "CN":
      return differs("CN", peer.cnSubject);
    case "CS":
      return differs("Cert Subject", peer.certSubject);
    case "CI":
      return differs("Cert Issuer", peer.certIssuer);
    case "CITAG": {
      const answer = lookupExact(site, peer.certIssuer, tagOnly(wanted));
      return answer.kind === "value" && answer.value === "OK"
        ? null
        : `Cert Issuer ${peer.certIssuer} not acceptable`;
    }
    default:
      return `unknown requirement ${item}`;
  }
}

/** TLS_connection: is `peer` as strong as `answer` asks? */
function strongEnough(site: Site, answer: AccessAnswer, name: string, peer: PeerTls): Decision {
  if (answer.kind === "temp") return UNREADABLE;
  const wanted = answer.kind === "value" ? requirementOf(answer.value) : null;
  const refused = (text: string) => refuse(wanted?.code ?? 454, wanted?.status ?? "4.7.0", text);
  const failure = HANDSHAKE_FAILURES.get(peer.verify);
  if (failure !== undefined) return refused(failure);
  if (wanted === null) return PASS;
  const verified = peer.verify === "OK" || peer.verify === "TRUSTED";
  if (wanted.verify && !verified)
    return refused(VERIFY_TEXTS.get(peer.verify) ?? `authentication failure ${peer.verify}`);
  if (peer.bits < wanted.bits) return refused(`encryption too weak ${peer.bits} less than ${wanted.bits}`);
  for (const item of wanted.more) {
    const problem = extraProblem(site, item, name, peer);
    if (problem !== null) return refused(problem);
  }
  return PASS;
}

/** tls_client: the client of our server. */
export function checkTlsClient(site: Site, name: string, address: string, peer: PeerTls): Decision {
  return strongEnough(site, lookupPeer(site, name, address, "TLS_Clt"), name, peer);
}

/** tls_server: the server that we deliver to. */
export function checkTlsServer(site: Site, name: string, address: string, peer: PeerTls): Decision {
  return strongEnough(site, lookupPeer(site, name, address, "TLS_Srv"), name, peer);
}

/** tls_rcpt: one recipient over a connection to `name`. */
export async function checkTlsRecipient(
  site: Site,
  recipient: string,
  name: string,
  peer: PeerTls,
): Promise<Decision> {
  if (site.tables.access === null) return PASS;
  const address = await canonicalAddress(site, recipient);
  const items: SearchItem[] = [];
  if (address !== null && address.kind === "address") {
    const local = joinTokens(address.left);
    if (address.host !== null) items.push({ kind: "user", local, host: address.host });
    items.push({ kind: "user", local, host: "" });
    if (address.host !== null) items.push({ kind: "domain", host: address.host });
  }
  const answer = search(site, tagOnly("TLS_Rcpt"), [...items, { kind: "exact", key: "" }]);
  return answer.kind === "none" ? PASS : strongEnough(site, answer, name, peer);
}

/** try_tls: false means that STARTTLS is not used with this server; tempfail: it cannot be said now. */
export function wantsTls(site: Site, name: string, address: string): Lookup<boolean> {
  const answer = lookupPeer(site, name, address, "Try_TLS");
  if (answer.kind === "temp") return tempfail("access table cannot be read");
  return found(!(answer.kind === "value" && answer.value === "NO"));
}

/** srv_features: letters for this client ("S" no STARTTLS, "A" no AUTH, "V" no certificate asked, ...); "" for none. */
export function serverFeatures(site: Site, name: string, address: string): string {
  const answer = lookupPeer(site, name, address, "Srv_Features");
  return answer.kind === "value" ? answer.value : "";
}

/** The value of AuthInfo: for a next hop: `"U:user" "I:id" "P:secret" ...`. The authinfo map wins over the access table. */
export function authInfo(site: Site, name: string, address: string): Lookup<string> {
  const own = site.tables.authInfo;
  if (own !== null) {
    for (const key of [`AuthInfo:${name}`, `AuthInfo:${address}`, "AuthInfo:"]) {
      const answer = own.lookup(key);
      if (answer.kind !== "absent") return answer;
    }
    return ABSENT;
  }
  const answer = lookupPeer(site, name, address, "AuthInfo");
  if (answer.kind === "temp") return tempfail("access table cannot be read");
  return answer.kind === "value" ? found(answer.value) : ABSENT;
}
