// The checks of clients that a board can leave out, one marked line each (scripts/features.ts).
// connect.ts asks the first entry of a list; an empty list is a check that is not in this build.

import { checkDnsbl } from "./dnsbl.ts"; // CONFIG_POLICY_DNSBL
import { greetPause } from "./greetpause.ts"; // CONFIG_POLICY_GREET_PAUSE
import { rateControl } from "./rates.ts"; // CONFIG_POLICY_RATES

/** FEATURE(dnsbl) and FEATURE(enhdnsbl). */
export const BLOCK_LISTS: readonly (typeof checkDnsbl)[] = [
  checkDnsbl, // CONFIG_POLICY_DNSBL
];

/** FEATURE(greet_pause). */
export const GREET_PAUSES: readonly (typeof greetPause)[] = [
  greetPause, // CONFIG_POLICY_GREET_PAUSE
];

/** FEATURE(ratecontrol) and FEATURE(conncontrol). */
export const RATE_CONTROLS: readonly (typeof rateControl)[] = [
  rateControl, // CONFIG_POLICY_RATES
];
