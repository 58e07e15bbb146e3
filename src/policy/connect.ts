// check_relay: may this client talk to us at all? Access first (its OK and RELAY end the questions), then rates, lists in DNS,
// reverse DNS (semantics section 14).

import type { Site } from "../route/site.ts";
import { CONNECT, lookupAddress, lookupDomain } from "./access.ts";
import { clientAddress, clientName } from "./client.ts";
import { type Decision, fromAccess, PASS, refuse, refuseWith, rejected } from "./decision.ts";
import type { Client } from "./policy.ts";
import type { Rates } from "./rates.ts";
import { BLOCK_LISTS, GREET_PAUSES, RATE_CONTROLS } from "./registry.ts";

function byAccess(site: Site, client: Client): Decision {
  if (site.tables.access === null) return PASS;
  const name = clientName(client);
  const named = name === "" ? ({ kind: "none" } as const) : lookupDomain(site, name, CONNECT);
  const answer = named.kind === "none" ? lookupAddress(site, clientAddress(client), CONNECT) : named;
  return fromAccess(answer, () => rejected(site));
}

/** require_rdns */
function byReverseName(site: Site, client: Client): Decision {
  if (!site.config.features.requireRdns) return PASS;
  const address = clientAddress(client);
  if (site.classes.R.beginning(address)) return PASS;
  switch (client.resolve) {
    case "fail":
      return refuseWith("5.7.1", `550 Fix reverse DNS for ${address}`);
    case "temp":
      return refuse(451, "4.1.8", `Client IP address ${address} does not resolve`);
    case "forged":
      return refuse(451, "4.1.8", `Possibly forged hostname for ${address}`);
    default:
      return PASS;
  }
}

/** The controls that delay_checks with `nodelay` makes at once. */
export function checkImmediately(site: Site, rates: Rates, client: Client): Decision {
  const { rateControl, connControl } = site.config.features;
  if (rateControl?.noDelay) {
    const rate = checkRate(site, rates, client);
    if (rate.kind !== "pass") return rate;
  }
  return connControl?.noDelay ? checkConnections(site, rates, client) : PASS;
}

/** Basic_check_relay. */
export async function checkRelay(site: Site, rates: Rates, client: Client): Promise<Decision> {
  const access = byAccess(site, client);
  if (access.kind !== "pass") return access;
  const { rateControl, connControl } = site.config.features;
  const now = site.config.features.delayChecks !== "off";
  if (rateControl !== null && !(now && rateControl.noDelay)) {
    const rate = checkRate(site, rates, client);
    if (rate.kind !== "pass") return rate;
  }
  if (connControl !== null && !(now && connControl.noDelay)) {
    const connections = checkConnections(site, rates, client);
    if (connections.kind !== "pass") return connections;
  }
  const list = (await BLOCK_LISTS[0]?.(site, client)) ?? PASS;
  return list.kind === "pass" ? byReverseName(site, client) : list;
}

/** greet_pause: milliseconds before the greeting. */
export function greetPause(site: Site, client: Client): number {
  return GREET_PAUSES[0]?.(site, client) ?? 0;
}

function checkRate(site: Site, rates: Rates, client: Client): Decision {
  return RATE_CONTROLS[0]?.checkRate(site, rates, client) ?? PASS;
}

function checkConnections(site: Site, rates: Rates, client: Client): Decision {
  return RATE_CONTROLS[0]?.checkConnections(site, rates, client) ?? PASS;
}
