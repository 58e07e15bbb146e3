// The client as the rules see it: its name is trusted only when the forward lookup confirmed it (${client_name}).
// Every rule asks here, so that no check can be talked into believing a forged name.

import { addressKey } from "./access.ts";
import type { Client } from "./policy.ts";

/** ${client_addr}: "192.0.2.1", "IPv6:..." or "" for a local process. */
export function clientAddress(client: Client): string {
  return addressKey(client.address);
}

/** ${client_name}: the confirmed name, else the address in brackets; "" for a local process. */
export function clientName(client: Client): string {
  if (client.address === "") return "";
  return client.resolve === "ok" && !client.name.startsWith("[") ? client.name : `[${clientAddress(client)}]`;
}
