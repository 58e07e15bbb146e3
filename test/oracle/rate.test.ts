// 100,000 decisions with the chapter's tables: how many a second, printed. Only a collapse fails the test, since machines differ.

import assert from "node:assert/strict";
import { join } from "node:path";
import { it } from "node:test";
import { resolveRecipient } from "../../src/route/resolve.ts";
import { readZone } from "./resolver.ts";
import { openCase } from "./site.ts";

const DECISIONS = 100_000;
/** Far below any machine that runs the rest; a quadratic slip is a hundred times slower. */
const RATE_MIN = 2_000;

const ADDRESSES = [
  "mick@polkatistas.org",
  "larry@tubascoundrels.net",
  "bob@example.net",
  "user@fileserver.polkatistas.org",
  "x@frankie.milwaukeeans.polkatistas.org",
  "oom@lederhosendudes.net",
  "user%example.com@mail.polkatistas.org",
  "@example.com:user@example.net",
  "Full Name <someone+detail@example.org>",
  "user@[192.168.7.9]",
];

it("100,000 decisions with the chapter's tables are made in seconds", async (t) => {
  const recorded = join(import.meta.dirname, "recorded");
  const { site } = openCase(join(recorded, "config-a"), readZone(join(recorded, "dns.json")));
  const begun = performance.now();
  let routed = 0;
  for (let i = 0; i < DECISIONS; i++) {
    const decision = await resolveRecipient(site, ADDRESSES[i % ADDRESSES.length] ?? "");
    if (decision.kind === "route") routed++;
  }
  const rate = DECISIONS / ((performance.now() - begun) / 1000);
  t.diagnostic(`${Math.round(rate)} decisions a second, ${routed} of them routes`);
  assert.equal(routed, DECISIONS);
  assert.ok(rate > RATE_MIN, `${Math.round(rate)} decisions a second`);
});
