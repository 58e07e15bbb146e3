// badmx: a sender whose MX records cannot be true (an address instead of a name, hosts in private networks) is refused.
// Asked at MAIL, only where nothing else has decided about the sender; a lookup failure is a 450.

import type { Site } from "../route/site.ts";
import { type Decision, PASS, refuseWith } from "./decision.ts";

/** MX hosts looked at for one sender. */
const MX_HOSTS_MAX = 20;
/** Longest text that a configured pattern is tried on: one IPv4 address. */
const PATTERN_TEXT_MAX = 15;

/** True for an MX "name" that is empty or an address. */
function notAName(host: string): boolean {
  if (host === "") return true;
  const parts = host.split(".");
  return parts.length === 4 && parts.every((part) => /^\d{1,3}$/.test(part));
}

function badAddress(site: Site, address: string): boolean {
  const pattern = site.config.features.badMx?.pattern ?? "";
  if (pattern === "") return /^(127|10)\./.test(address) || address.startsWith("0.0.0.0");
  return address.length <= PATTERN_TEXT_MAX && new RegExp(pattern).test(address);
}

/** BadMX for one domain. */
export async function checkBadMx(site: Site, host: string): Promise<Decision> {
  if (site.config.features.badMx === null) return PASS;
  const list = await site.resolver.mx(host);
  if (list.kind === "tempfail") return refuseWith("4.1.2", `450 MX lookup failure for ${host}`);
  // Without MX records the domain is its own mail host (RFC 5321 5.1).
  const hosts = list.kind === "absent" ? [host] : list.value.slice(0, MX_HOSTS_MAX).map((mx) => mx.exchange);
  if (hosts.some(notAName)) return refuseWith("5.1.2", `550 Illegal MX record for host ${host}`);
  for (const name of hosts) {
    const answer = await site.resolver.a(name);
    if (answer.kind === "found" && answer.value.some((address) => badAddress(site, address)))
      return refuseWith("5.1.2", `550 Invalid MX record for host ${host}`);
  }
  return PASS;
}
