// praliases: the contents of alias databases as `name:value` lines, all or the keys asked for (praliases(8)).
// Reads PATH.db, or the aliases source where no database was built.

import { LIST_FILE_BYTES_MAX } from "../base/limits.ts";
import { readBoundedFile } from "../sys/files.ts";
import { parseAliases } from "./aliases.ts";
import { databasePath, type Entries, readDatabase } from "./build.ts";

export interface AliasListing {
  /** `name:value` and "x: No such key" lines. Byte strings. */
  readonly out: readonly string[];
  /** What could not be read, as praliases tells it. */
  readonly err: readonly string[];
}

/** Lists the alias files `paths`; with `keys` only those. Keys are compared as given: names are stored in lower case. */
export function listAliases(paths: readonly string[], keys: readonly string[]): AliasListing {
  const out: string[] = [];
  const errors: string[] = [];
  for (const path of paths) {
    const entries = readAliases(path);
    if (typeof entries === "string") {
      errors.push(`praliases: ${path}: open: ${entries}`);
      continue;
    }
    if (keys.length === 0)
      for (const [key, values] of entries) for (const value of values) out.push(line(key, value));
    for (const key of keys) {
      const value = entries.get(key)?.[0];
      out.push(value === undefined ? `${key}: No such key` : line(key, value));
    }
  }
  return { out, err: errors };
}

function line(key: string, value: string): string {
  return `${key}:${value}`.replaceAll("\0", "");
}

function readAliases(path: string): Entries | string {
  const database = readDatabase(databasePath(path));
  if (database.kind === "found") return database.value;
  if (path.endsWith(".db"))
    return database.kind === "tempfail" ? database.reason : "No such file or directory";
  const source = readBoundedFile(path, LIST_FILE_BYTES_MAX);
  if (source.kind === "found") {
    const parsed = parseAliases(source.value);
    return new Map([...parsed.entries].map(([key, value]) => [key, [value]]));
  }
  if (database.kind === "tempfail") return database.reason;
  return source.kind === "tempfail" ? source.reason : "No such file or directory";
}
