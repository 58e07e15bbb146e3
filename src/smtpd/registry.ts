// Extensions of SMTP that a board can leave out, one marked line each (scripts/features.ts).
// The first entry of a list is asked; an empty list is an extension that is not offered and not understood.

import { dsnParameters } from "./dsnparameters.ts"; // CONFIG_DSN
import { starttls } from "./starttls.ts"; // CONFIG_TLS_SERVER

/** RFC 3461. */
export const DSN: readonly (typeof dsnParameters)[] = [
  dsnParameters, // CONFIG_DSN
];

/** RFC 3207, and listeners that begin with TLS. */
export const STARTTLS: readonly (typeof starttls)[] = [
  starttls, // CONFIG_TLS_SERVER
];
