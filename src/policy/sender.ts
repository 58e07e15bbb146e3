// check_mail: may this client send mail from this address? Names that only we may use, the sender's domain in DNS, and what the access
// table says about user and domain, which overrides DNS (semantics section 15).

import { joinTokens, scanAddress } from "../mail/address.ts";
import type { Focus } from "../mail/focus.ts";
import { canonicalName, isLiteral } from "../route/canonify.ts";
import { canonicalAddress, rememberedSender } from "../route/resolve.ts";
import type { Site } from "../route/site.ts";
import { type AccessAnswer, FROM, type SearchItem, search } from "./access.ts";
import { checkBadMx } from "./badmx.ts";
import { clientName } from "./client.ts";
import { type Decision, fromAccess, PASS, refuse, refuseWith, rejected } from "./decision.ts";
import type { Client } from "./policy.ts";

/** What is known of the sender's domain: "bare" when there is none. */
type Domain = "ok" | "bare" | "temp" | "perm";

/** The text after the last "@" of the argument, "" for a bare name. */
function hostTyped(typed: string): { readonly host: string; readonly single: boolean } {
  const scanned = scanAddress(typed);
  if (!scanned.ok) return { host: "", single: false };
  const tokens = scanned.value.tokens.filter((token) => token !== "<" && token !== ">");
  const at = tokens.lastIndexOf("@");
  const host = at < 0 ? [] : tokens.slice(at + 1);
  return { host: joinTokens(host), single: host.length === 1 };
}

/** localhost in its forms: only a client with one of our names may say that. */
function ownHostOnly(site: Site, client: Client, typed: string): Decision {
  if (site.config.features.acceptUnqualifiedSenders) return PASS;
  const { host, single } = hostTyped(typed);
  const name = host.toLowerCase();
  const local = ["localhost", "[127.0.0.1]", "[ipv6:0:0:0:0:0:0:0:1]", "[ipv6:::1]"];
  if (site.m !== "") local.push(`localhost.${site.m.toLowerCase()}`);
  if (site.routing.uucp) local.push("localhost.uucp");
  const named = local.includes(name) && !client.modifiers.includes("u");
  if (!named && !(client.modifiers.includes("f") && single)) return PASS;
  const who = clientName(client);
  if (who === "" || site.classes.w.has(who)) return PASS;
  return refuse(553, "5.5.4", "Real domain name required for sender address");
}

async function domainOf(site: Site, address: Focus): Promise<Domain> {
  const { host } = address;
  if (host === null) return "bare";
  const plain = host.toLowerCase();
  if (site.classes.P.ending(plain) !== null || plain === site.j.toLowerCase()) return "ok";
  if (site.config.features.acceptUnresolvableDomains) return "ok";
  // A literal is as good as its name in DNS.
  const literal = isLiteral(host) ? host.slice(1, -1).replace(/^IPv6:/i, "") : null;
  const answer = literal === null ? await canonicalName(site, host) : await site.resolver.ptr(literal);
  return answer.kind === "found" ? "ok" : answer.kind === "tempfail" ? "temp" : "perm";
}

/** Quoting does not make another mailbox (RFC 5321 4.1.2): the table is asked for the local part without it, as Sendmail does. */
function unquoted(local: string): string {
  const bare = local.replace(/\\(.)|"/gs, "$1");
  return bare === "" ? local : bare;
}

function accessOf(site: Site, address: Focus): AccessAnswer {
  const local = unquoted(joinTokens(address.left));
  const user: SearchItem = { kind: "user", local, host: "" };
  if (address.host === null) return search(site, FROM, [user]);
  const { host } = address;
  return search(site, FROM, [{ kind: "user", local, host }, user, { kind: "domain", host }]);
}

/** `sender` as the refusals show it: what is remembered of it, without quotes. */
function byDomain(site: Site, client: Client, domain: Domain, sender: string): Decision {
  switch (domain) {
    case "bare":
      if (site.config.features.acceptUnqualifiedSenders || client.modifiers.includes("u")) return PASS;
      if (client.address === "") return PASS;
      return refuse(553, "5.5.4", `Domain name required for sender address ${sender}`);
    case "temp":
      return refuseWith("4.1.8", `451 Domain of sender address ${sender} does not resolve`);
    case "perm":
      return refuseWith("5.1.8", `553 Domain of sender address ${sender} does not exist`);
    default:
      return PASS;
  }
}

/** Basic_check_mail, after TLS_Clt. `sender` without brackets, `typed` as the client wrote it. */
export async function checkMail(
  site: Site,
  client: Client,
  sender: string,
  typed: string,
): Promise<Decision> {
  // RFC 1123 5.2.9: the null sender must be accepted.
  if (sender === "") return PASS;
  const own = ownHostOnly(site, client, typed);
  if (own.kind !== "pass") return own;
  const address = await canonicalAddress(site, typed);
  if (address === null || address.kind !== "address") return PASS;
  const [domain, answer] = [await domainOf(site, address), accessOf(site, address)];
  if (answer.kind !== "none") return fromAccess(answer, () => rejected(site));
  const shown = domain === "ok" ? "" : (await rememberedSender(site, typed)).replace(/["\\]/g, "");
  const known = byDomain(site, client, domain, shown);
  if (known.kind !== "pass" || address.host === null) return known;
  return checkBadMx(site, address.host);
}
