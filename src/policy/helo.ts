// block_bad_helo: clients that greet with our own name, or with a name without a dot, are refused at RCPT (so that the log shows whom
// they meant). Exempt: the host itself, relay addresses, authenticated clients.

import type { Site } from "../route/site.ts";
import { clientAddress } from "./client.ts";
import { type Decision, PASS, refuse } from "./decision.ts";
import type { Client } from "./policy.ts";

export function checkHelo(site: Site, client: Client): Decision {
  if (!site.config.features.blockBadHelo || client.auth !== undefined) return PASS;
  const address = clientAddress(client);
  if (address === "" || address === "0" || site.classes.R.beginning(address)) return PASS;
  const { helo } = client;
  const bad = refuse(550, "5.7.1", `bogus HELO name used: ${helo}`);
  if (site.classes.w.has(helo) || site.classes.w.has(`[${helo}]`)) return bad;
  const dot = helo.indexOf(".", 1);
  const qualified = dot > 0 && dot < helo.length - 1;
  return qualified || /^\[IPv6:.+\]$/i.test(helo) ? PASS : bad;
}
