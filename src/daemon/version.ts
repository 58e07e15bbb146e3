// The version that greetings, Received fields and notices show ($v and $Z), and the time before which no clock can be right.
// Both come from the build.

import { BUILD } from "../base/build.ts";

/** $v: what Sendmail's 8.17.1 is elsewhere. */
export const GATEWAY_VERSION = BUILD.version;

/** Milliseconds since 1970 that had certainly passed when this version was written. */
export const CLOCK_FLOOR_MS = Date.UTC(2026, 10, 1);
