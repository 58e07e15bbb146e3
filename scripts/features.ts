// Feature flags for the bundler. Files named registry.ts list what can be left out, one marked line each:
//   import { procmail } from "./procmail.ts"; // CONFIG_MAILER_PROCMAIL
//     procmail, // CONFIG_MAILER_PROCMAIL
// A line whose symbol is off is dropped; a file that only such lines import may then be imported by nobody:
// any import of it breaks the build. src/base/build.ts is replaced with the board's values.

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import type { Plugin } from "esbuild";

const root = resolve(import.meta.dirname, "..");
const MARK = /\/\/\s*CONFIG_([A-Z0-9_]+)\s*$/;

export interface BoardConfig {
  readonly board: string;
  readonly on: ReadonlySet<string>;
  readonly off: readonly string[];
  readonly limits: ReadonlyMap<string, number>;
  readonly strings: ReadonlyMap<string, string>;
}

/** Reads a full .config (kconfig-conf wrote it); symbols that the Kconfig knows and the file lacks are off. */
export function parseDotConfig(board: string, text: string, kconfig: string): BoardConfig {
  const on = new Set<string>();
  const limits = new Map<string, number>();
  const strings = new Map<string, string>();
  for (const line of text.split("\n")) {
    const m = /^CONFIG_([A-Z0-9_]+)=(.*)$/.exec(line);
    if (m === null) continue;
    const [, symbol = "", value = ""] = m;
    if (value === "y") on.add(symbol);
    else if (/^\d+$/.test(value)) limits.set(symbol, Number(value));
    else strings.set(symbol, value.replace(/^"|"$/g, ""));
  }
  return { board, on, off: booleanSymbols(kconfig).filter((s) => !on.has(s)), limits, strings };
}

/** Names of the bool symbols that a Kconfig text declares, in order. */
export function booleanSymbols(kconfig: string): string[] {
  const names: string[] = [];
  let current = "";
  for (const line of kconfig.split("\n")) {
    const m = /^\s*(?:menu)?config\s+([A-Z0-9_]+)/.exec(line);
    if (m !== null) current = m[1] ?? "";
    else if (/^\s+bool\b/.test(line) && current !== "") names.push(current);
  }
  return names;
}

function registries(): string[] {
  return readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
    .filter((f) => f.endsWith("/registry.ts"))
    .map((f) => join(root, "src", f));
}

/**
 * Files that a symbol owns: those that registries import on lines with its mark and on no other line. Absolute path -> symbol.
 */
export function ownedFiles(): Map<string, string> {
  const owners = new Map<string, Set<string>>();
  for (const registry of registries())
    for (const line of readFileSync(registry, "utf8").split("\n")) {
      const from = /from "(\.[^"]+)"|import\("(\.[^"]+)"\)/.exec(line);
      const path = from?.[1] ?? from?.[2];
      if (path === undefined || /^import type|typeof import/.test(line)) continue;
      const file = resolve(dirname(registry), path);
      owners.set(file, (owners.get(file) ?? new Set()).add(MARK.exec(line)?.[1] ?? ""));
    }
  const owned = new Map<string, string>();
  for (const [file, symbols] of owners) {
    const [symbol = ""] = symbols;
    if (symbols.size === 1 && symbol !== "") owned.set(file, symbol);
  }
  return owned;
}

/** Every symbol that some registry line carries. */
export function markedSymbols(): Set<string> {
  const symbols = new Set<string>();
  for (const registry of registries())
    for (const line of readFileSync(registry, "utf8").split("\n")) {
      const mark = MARK.exec(line);
      if (mark !== null) symbols.add(mark[1] ?? "");
    }
  return symbols;
}

/** The esbuild plugin for one board's configuration. */
export function featuresPlugin(config: BoardConfig, version: string): Plugin {
  const owned = ownedFiles();
  return {
    name: "features",
    setup(build) {
      build.onLoad({ filter: /\/src\/base\/build\.ts$/ }, (args) => {
        const value = JSON.stringify({
          board: config.board,
          version,
          off: config.off,
          limits: Object.fromEntries(config.limits),
        });
        const text = readFileSync(args.path, "utf8").replace(
          /^export const BUILD: Build = .*$/m,
          () => `export const BUILD: Build = ${value};`,
        );
        return { contents: text, loader: "ts" };
      });
      build.onLoad({ filter: /\/src\/.*\/registry\.ts$/ }, (args) => {
        const kept = readFileSync(args.path, "utf8")
          .split("\n")
          .map((line) => {
            const mark = MARK.exec(line);
            return mark !== null && !config.on.has(mark[1] ?? "") ? "" : line;
          });
        return { contents: kept.join("\n"), loader: "ts" };
      });
      build.onLoad({ filter: /\/src\/.*\.ts$/ }, (args) => {
        const symbol = owned.get(args.path);
        if (symbol === undefined || config.on.has(symbol)) return null;
        return {
          errors: [
            {
              text: `${relative(root, args.path)} belongs to CONFIG_${symbol}, which is off on board ${config.board}, but something imports it`,
            },
          ],
        };
      });
    },
  };
}
