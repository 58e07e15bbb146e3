// Relaying: whose mail we take to others. By destination (Rcpt_ok's second half) and by client (Relay_ok), in Sendmail's order
// (semantics section 15, check_rcpt 4-8). The sender's address alone relays only where the features say so.

import { joinTokens } from "../mail/address.ts";
import type { Focus } from "../mail/focus.ts";
import { type Reply, reply } from "../mail/reply.ts";
import { canonicalName } from "../route/canonify.ts";
import { isBelow } from "../route/names.ts";
import { canonicalAddress } from "../route/resolve.ts";
import type { Site } from "../route/site.ts";
import {
  type AccessAnswer,
  CONNECT,
  lookupAddress,
  lookupDomain,
  lookupExact,
  type SearchItem,
  says,
  search,
  type Tag,
  TO,
  tagOnly,
} from "./access.ts";
import { clientAddress, clientName } from "./client.ts";
import { type Decision, refuse, refuseWith, UNREADABLE } from "./decision.ts";
import type { Client } from "./policy.ts";

/** "relay": allowed. "no": not for this reason. "temp": could not be said; a later reason may still allow it. */
export type RelayAnswer =
  | { readonly kind: "relay" }
  | { readonly kind: "no" }
  | { readonly kind: "temp"; readonly reply: Reply }
  | { readonly kind: "refuse"; readonly decision: Decision };

export const RELAY: RelayAnswer = { kind: "relay" };
export const NO: RelayAnswer = { kind: "no" };

function unreadable(): RelayAnswer {
  const text = UNREADABLE.kind === "refuse" ? UNREADABLE.reply : reply(451, "4.3.0", "");
  return { kind: "temp", reply: text };
}

/** Exact with relay_hosts_only, with parents without. */
function domainAnswer(site: Site, host: string, tag: Tag): AccessAnswer {
  return site.config.features.relayHostsOnly ? lookupExact(site, host, tag) : lookupDomain(site, host, tag);
}

function inR(site: Site, host: string): boolean {
  return site.config.features.relayHostsOnly
    ? site.classes.R.has(host)
    : site.classes.R.ending(host) !== null;
}

/** relay_based_on_MX: are we among the domain's MX hosts? */
async function servedByMx(site: Site, host: string): Promise<RelayAnswer> {
  if (!site.config.features.relayBasedOnMx) return NO;
  const list = await site.resolver.mx(host);
  if (list.kind === "tempfail")
    return {
      kind: "temp",
      reply: reply(450, "4.4.0", `Can not check MX records for recipient host ${host}`),
    };
  if (list.kind === "absent") return site.classes.w.has(host) ? RELAY : NO;
  return list.value.some((mx) => site.classes.w.has(mx.exchange)) ? RELAY : NO;
}

/** May the domain's own routing characters be peeled off, because we relay to it anyway (ParseRecipient)? */
export async function isRelayDomain(site: Site, host: string): Promise<boolean> {
  if (site.config.features.relayEntireDomain && isBelow(host, site.m)) return true;
  if (inR(site, host)) return true;
  if (says(domainAnswer(site, host, TO), "RELAY")) return true;
  return (await servedByMx(site, host)).kind === "relay";
}

function toAnswer(site: Site, local: string, host: string): AccessAnswer {
  const { relayHostsOnly, accessDb } = site.config.features;
  const full = accessDb?.relayToFullAddress ?? false;
  if (!full) return domainAnswer(site, host, TO);
  if (relayHostsOnly) {
    const exact = lookupExact(site, `${local}@${host}`, tagOnly("To"));
    return exact.kind === "none" ? lookupExact(site, host, TO) : exact;
  }
  const items: SearchItem[] = [
    { kind: "user", local, host },
    { kind: "domain", host },
    { kind: "user", local, host: "" },
  ];
  return search(site, TO, items);
}

/** Is the recipient one that anybody may send to? */
export async function relayTo(site: Site, recipient: Focus): Promise<RelayAnswer> {
  const { features } = site.config;
  const local = joinTokens(recipient.left);
  // nouucp and nopercenthack with `reject`: what routes elsewhere is not ours to accept.
  if (features.noUucp === "reject" && recipient.left.includes("!")) return NO;
  if (features.noPercentHack === "reject" && recipient.left.includes("%")) return NO;
  const { host } = recipient;
  if (host === null) return RELAY;
  if (features.relayEntireDomain && isBelow(host, site.m)) return RELAY;
  if (site.classes.w.has(host) || inR(site, host)) return RELAY;
  const answer = site.tables.access === null ? ({ kind: "none" } as const) : toAnswer(site, local, host);
  if (says(answer, "RELAY")) return RELAY;
  if (answer.kind === "temp") return unreadable();
  return servedByMx(site, host);
}

/** relay_mail_from and relay_local_from. */
async function bySender(site: Site, sender: string): Promise<RelayAnswer> {
  const { relayMailFrom, relayLocalFrom, relayHostsOnly } = site.config.features;
  if (relayMailFrom === "off" && !relayLocalFrom) return NO;
  const address = await canonicalAddress(site, sender);
  if (address === null || address.kind !== "address" || address.host === null) return NO;
  const { host } = address;
  if (relayLocalFrom && site.classes.w.has(host)) return RELAY;
  if (relayMailFrom === "off") return NO;
  const items: SearchItem[] = [{ kind: "user", local: joinTokens(address.left), host }];
  if (relayMailFrom === "domain")
    items.push(relayHostsOnly ? { kind: "exact", key: host } : { kind: "domain", host });
  const answer = search(site, tagOnly("From"), items);
  if (answer.kind === "temp") return unreadable();
  return says(answer, "RELAY") ? RELAY : NO;
}

function byAddress(site: Site, client: Client): RelayAnswer {
  const address = clientAddress(client);
  if (address === "" || address === "0" || address === "127.0.0.1") return RELAY;
  if (address === "IPv6:0:0:0:0:0:0:0:1" || site.classes.R.beginning(address)) return RELAY;
  if (site.tables.access !== null) {
    const answer = lookupAddress(site, address, CONNECT);
    if (says(answer, "RELAY")) return RELAY;
    if (answer.kind === "temp") return unreadable();
  }
  return site.classes.w.has(`[${address}]`) ? RELAY : NO;
}

/** Why the name of the client cannot be used: the text that most strangers see. */
function unnamed(client: Client): RelayAnswer {
  const name = clientName(client);
  const address = clientAddress(client);
  switch (client.resolve) {
    case "temp": {
      const text = `Relaying temporarily denied. Cannot resolve PTR record for ${address}`;
      return { kind: "temp", reply: reply(450, "4.4.0", text) };
    }
    case "forged":
      return {
        kind: "refuse",
        decision: refuse(550, "5.7.1", `Relaying denied. IP name possibly forged ${name}`),
      };
    case "fail":
      return {
        kind: "refuse",
        decision: refuse(550, "5.7.1", `Relaying denied. IP name lookup failed ${name}`),
      };
    default:
      return NO;
  }
}

async function byName(site: Site, client: Client): Promise<RelayAnswer> {
  const unusable = unnamed(client);
  if (unusable.kind !== "no") return unusable;
  const name = clientName(client);
  const canonical = await canonicalName(site, name);
  const host = canonical.kind === "found" ? canonical.value : name;
  if (site.config.features.relayEntireDomain && isBelow(host, site.m)) return RELAY;
  if (site.classes.w.has(host) || inR(site, host)) return RELAY;
  if (site.tables.access === null) return NO;
  const answer = domainAnswer(site, host, CONNECT);
  if (answer.kind === "temp") return unreadable();
  return says(answer, "RELAY") ? RELAY : NO;
}

/** May this client send to anybody (Relay_ok)? */
export async function relayFor(site: Site, client: Client, sender: string): Promise<RelayAnswer> {
  const address = byAddress(site, client);
  if (address.kind !== "no") return address;
  const from = await bySender(site, sender);
  return from.kind === "no" ? byName(site, client) : from;
}

/** confRELAY_MSG as a refusal. */
export function denied(site: Site): Decision {
  return refuseWith(
    "5.7.1",
    site.config.relayMessage === "" ? "550 Relaying denied" : site.config.relayMessage,
  );
}
