// What a run leaves as JSON: the page, the reference page and later comparisons are made of it.

import type { Point } from "./growth.ts";
import type { Machine } from "./machine.ts";
import type { Row, Settings } from "./scenario.ts";

export interface Results {
  readonly machine: Machine;
  readonly settings: Settings;
  readonly rounds: number;
  readonly minutes: number;
  readonly rows: readonly Row[];
  readonly growth: readonly Point[];
  /** Steps for which there was no time. */
  readonly left: readonly string[];
}
