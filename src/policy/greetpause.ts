// FEATURE(greet_pause): how long a client waits for the greeting, by GreetPause: in the access table (semantics section 14).
// Who talks before it is refused by the server.

import type { Site } from "../route/site.ts";
import { lookupAddress, lookupDomain, tagOnly } from "./access.ts";
import { clientAddress, clientName } from "./client.ts";
import type { Client } from "./policy.ts";

/** Sendmail's own bound: five minutes, in milliseconds. */
const PAUSE_MS_MAX = 300_000;

/** Milliseconds before the greeting. */
export function greetPause(site: Site, client: Client): number {
  const { greetPauseMs } = site.config.features;
  if (greetPauseMs === null) return 0;
  const tag = tagOnly("GreetPause");
  const name = clientName(client);
  const named = name === "" ? ({ kind: "none" } as const) : lookupDomain(site, name, tag);
  const answer = named.kind === "none" ? lookupAddress(site, clientAddress(client), tag) : named;
  if (answer.kind === "temp") return 0;
  const wanted = answer.kind === "value" ? Number(answer.value.trim()) : greetPauseMs;
  return Number.isFinite(wanted) ? Math.min(Math.max(0, wanted), PAUSE_MS_MAX) : 0;
}
