// The parts of TLS that a board can leave out, one marked line each (scripts/features.ts).
// The first entry of a list is asked; an empty list means that the part is not in this build.

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

/** The certificate authority, loaded when it is asked for. */
export const AUTHORITIES: readonly (() => Promise<typeof import("./clerk.ts")>)[] = [
  () => import("./clerk.ts"), // CONFIG_CA
];
