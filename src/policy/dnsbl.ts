// dnsbl and enhdnsbl: lists of bad addresses in DNS (semantics section 14). Only IPv4 is asked; a list that does not answer lets the
// client in unless the configuration says otherwise.

import type { DnsblSpec } from "../config/configuration.ts";
import type { Site } from "../route/site.ts";
import { clientAddress } from "./client.ts";
import { type Decision, PASS, refuseWith } from "./decision.ts";
import { filledIn } from "./message.ts";
import type { Client } from "./policy.ts";

function reversed(address: string): string | null {
  const parts = address.split(".");
  return parts.length === 4 && parts.every((part) => /^\d{1,3}$/.test(part))
    ? parts.reverse().join(".")
    : null;
}

function listed(spec: DnsblSpec, address: string): Decision {
  if (spec.message === "quarantine") return { kind: "quarantine", reason: spec.zone };
  if (spec.message === "discard") return { kind: "discard" };
  const template =
    spec.message === "" ? `"550 Rejected: " $&{client_addr} " listed at ${spec.zone}"` : spec.message;
  return refuseWith("5.7.1", filledIn(template, new Map([["client_addr", address]])));
}

function unanswered(spec: DnsblSpec, address: string): Decision {
  if (spec.tempMessage === "") return PASS;
  const template =
    spec.tempMessage === "t"
      ? `"451 Temporary lookup failure of " $&{client_addr} " at ${spec.zone}"`
      : spec.tempMessage;
  return refuseWith("4.4.3", filledIn(template, new Map([["client_addr", address]])));
}

/** Asks the lists in the order given; the first that has something to say decides. */
export async function checkDnsbl(site: Site, client: Client): Promise<Decision> {
  const address = clientAddress(client);
  const name = reversed(address);
  if (name === null) return PASS;
  for (const spec of site.config.features.dnsbl) {
    // A missing zone would ask the root for every client: nothing is asked.
    if (spec.zone === "") continue;
    const answer = await site.resolver.a(`${name}.${spec.zone}`);
    if (answer.kind === "absent") continue;
    const decision =
      answer.kind === "tempfail"
        ? unanswered(spec, address)
        : counts(spec, answer.value)
          ? listed(spec, address)
          : PASS;
    if (decision.kind !== "pass") return decision;
  }
  return PASS;
}

/** enhdnsbl counts only the results it names (written with a trailing dot); none named means all. */
function counts(spec: DnsblSpec, answers: readonly string[]): boolean {
  if (!spec.enhanced || spec.results.length === 0) return true;
  return answers.some((answer) => spec.results.includes(`${answer}.`) || spec.results.includes(answer));
}
