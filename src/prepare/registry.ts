// The compiler of sendmail.mc, for boards that have it (CONFIG_MC).
// Others take compiled configurations only.

import { compileMc } from "../config/compile.ts"; // CONFIG_MC
import type { McCompiler } from "./check.ts";

// biome-ignore format: one line each, the mark at the end
export const COMPILERS: readonly McCompiler[] = [
  compileMc, // CONFIG_MC
];
