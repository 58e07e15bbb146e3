// How the packaged binary runs what it carries: the bundle as text, V8's code cache for it, the addon. Used by the binary's way in
// (packaged.ts) and, at build time, by what makes the cache (scripts/warm.ts): both must compile the same text the same way, or
// V8 refuses the cache. A refused cache costs time and nothing else.

import { lstatSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Script } from "node:vm";
import { noteCodeCache } from "./codecache.ts";

/** Names of what is in the binary. */
export const PROGRAM_ASSET = "program.js";
export const CACHE_ASSET = "program.cache";
export const ADDON_ASSET = "classic-level.node";

/** The text of a CommonJS bundle as an expression: the function that a module is. */
export function asFunction(bundle: string): string {
  return `(function(exports,require,module,__filename,__dirname){${bundle}\n})`;
}

/** Compiles what asFunction() gave. */
export function compileProgram(text: string, cache: Buffer | undefined): Script {
  const script = new Script(text, {
    filename: "postern.js",
    ...(cache === undefined ? {} : { cachedData: cache }),
  });
  if (cache !== undefined) noteCodeCache(script.cachedDataRejected === true ? "refused" : "used");
  return script;
}

/** Runs it. It can require what is built into Node, and the addon, which `addon` gives as a file on disk; nothing else. */
export function runProgram(script: Script, addon: () => string): void {
  const module = { exports: {} };
  const require = (name: string): unknown => {
    if (name === `./${ADDON_ASSET}`) {
      const native = { exports: {} };
      process.dlopen(native, addon());
      return native.exports;
    }
    const builtin: unknown = process.getBuiltinModule(name);
    if (builtin === undefined) throw new Error(`${name} is not in this binary`);
    return builtin;
  };
  const body: unknown = script.runInThisContext();
  if (typeof body !== "function") throw new Error("the program in this binary is not a function");
  body(module.exports, require, module, process.execPath, dirname(process.execPath));
}

/** Where the addon is unpacked: POSTERN_NATIVE_PATH, or a folder of the user's cache. */
function nativeFolder(): string {
  const given = process.env["POSTERN_NATIVE_PATH"];
  if (given !== undefined && given !== "") return given;
  return join(process.env["HOME"] ?? "/", ".cache/postern");
}

/**
 * Writes the addon to a file that the dynamic linker can open, once; returns its path. Throws when that is not possible, or when
 * others could write to the folder: what lies there is run as whoever starts this.
 */
export function unpackAddon(bytes: Buffer): string {
  const folder = nativeFolder();
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const facts = lstatSync(folder);
  if (!facts.isDirectory() || facts.uid !== process.geteuid?.() || (facts.mode & 0o22) !== 0)
    throw new Error(
      `${folder} must belong to the user of this program alone: others could change what it runs`,
    );
  const path = join(folder, ADDON_ASSET);
  try {
    if (lstatSync(path).isFile() && readFileSync(path).equals(bytes)) return path;
  } catch (error) {
    if (!(error instanceof Error) || !("code" in error) || error.code !== "ENOENT") throw error;
  }
  const part = `${path}.${process.pid}`;
  rmSync(part, { force: true });
  writeFileSync(part, bytes, { mode: 0o700, flag: "wx" });
  renameSync(part, path);
  return path;
}
