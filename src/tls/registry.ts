// The sides of TLS that this build has, one marked line each (scripts/features.ts).
// The first entry of a list is the side; an empty list means that it is not in this build.

import { loadClientTls } from "./client.ts"; // CONFIG_TLS_CLIENT
import { loadServerTls } from "./server.ts"; // CONFIG_TLS_SERVER

/** STARTTLS towards next hops. */
export const CLIENT_SIDES: readonly (typeof loadClientTls)[] = [
  loadClientTls, // CONFIG_TLS_CLIENT
];

/** STARTTLS and implicit TLS for clients. */
export const SERVER_SIDES: readonly (typeof loadServerTls)[] = [
  loadServerTls, // CONFIG_TLS_SERVER
];
