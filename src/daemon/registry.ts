// What a board can leave out of the daemon itself, one marked line each (scripts/features.ts).
// Users take the first entry and say "not in this build" when there is none.

import { compileFound } from "../config/compile.ts"; // CONFIG_MC
import type { FoundCompiler } from "../config/folder.ts";

/** The sendmail.mc compiler; empty on a board that takes only compiled configurations. */
export const COMPILERS: readonly FoundCompiler[] = [
  compileFound, // CONFIG_MC
];
