// The assets of the packaged binary (node:sea), given to program.ts. Only the binary's way in loads this file.
// They are part of the executable, which the kernel maps: what nobody reads takes no memory.

import { getRawAsset } from "node:sea";
import {
  ADDON_ASSET,
  CACHE_ASSET,
  compileProgram,
  PROGRAM_ASSET,
  runProgram,
  unpackAddon,
} from "./program.ts";

/** The bytes of an asset, where they lie in the binary: not a copy, and not to be written to. */
function asset(name: string): Buffer {
  return Buffer.from(getRawAsset(name));
}

/** Runs the program that this binary carries. */
export function runPackaged(): void {
  // The bundler writes ASCII, so that one byte is one character.
  const script = compileProgram(asset(PROGRAM_ASSET).toString("latin1"), asset(CACHE_ASSET));
  runProgram(script, () => unpackAddon(asset(ADDON_ASSET)));
}
