// newaliases (sendmail -bi): rebuilds alias databases from their sources with Sendmail's messages, safety checks and exit
// statuses (sendmail-semantics section 10): bad lines are told and the good ones stored; a source that cannot be trusted is
// told, exits 0, and the old database stays.

import { LIST_FILE_BYTES_MAX } from "../base/limits.ts";
import type { MapSpec } from "../config/configuration.ts";
import { checkFile, readTrusted, type Trust } from "../safefile/check.ts";
import { aliasSummary, COMPLETE_KEY, isLoopbackName, parseAliases } from "./aliases.ts";
import { databasePath, systemReason, writeDatabase } from "./build.ts";
import { DATABASE_TYPES } from "./open.ts";

const EXIT = { OK: 0, SOFTWARE: 70 };

export interface AliasBuild {
  /** Lines for standard output, as Sendmail words and prints them. Byte strings. */
  readonly lines: readonly string[];
  readonly exit: number;
}

/** Rebuilds the database of each alias file. `isLocal`: which host names are ours. The first failure is the status. */
export function buildAliases(
  specs: readonly MapSpec[],
  trust: Trust,
  isLocal: (host: string) => boolean = isLoopbackName,
): AliasBuild {
  const lines: string[] = [];
  let exit = EXIT.OK;
  for (const spec of specs) {
    const built = DATABASE_TYPES.has(spec.type) ? buildOne(spec.path, trust, isLocal) : NOTHING;
    lines.push(...built.lines);
    if (exit === EXIT.OK) exit = built.exit;
  }
  return { lines, exit };
}

const NOTHING: AliasBuild = { lines: [], exit: EXIT.OK };

function buildOne(named: string, trust: Trust, isLocal: (host: string) => boolean): AliasBuild {
  const path = named.endsWith(".db") ? named.slice(0, -3) : named;
  const refuse = (reason: string): AliasBuild => ({
    lines: [`newaliases: cannot open ${path}: ${reason}`],
    exit: EXIT.OK,
  });
  const cannotStore = (reason: string): AliasBuild => ({
    lines: [
      `WARNING: cannot open alias database ${path}: ${reason}`,
      `Cannot create database for alias file ${path}`,
    ],
    exit: EXIT.SOFTWARE,
  });
  const source = readTrusted(path, "alias", trust, LIST_FILE_BYTES_MAX);
  if (!source.ok)
    return refuse(source.error.kind === "tempfail" ? systemReason(source.error.reason) : source.error.reason);
  const database = databasePath(path);
  const writable = checkFile(database, "writemap", trust);
  if (!writable.ok && writable.error !== "No such file or directory") return cannotStore(writable.error);
  const parsed = parseAliases(source.value.bytes, isLocal);
  const entries = new Map<string, readonly string[]>([[COMPLETE_KEY, ["@"]]]);
  for (const [key, value] of parsed.entries) entries.set(key, [value]);
  const written = writeDatabase(database, entries);
  const lines = parsed.problems.map((problem) => `${path}: line ${problem.line}: ${problem.message}`);
  if (!written.ok) {
    const failed = cannotStore(systemReason(written.error));
    return { lines: [...lines, ...failed.lines], exit: failed.exit };
  }
  return { lines: [...lines, `${path}: ${aliasSummary(parsed)}`], exit: parsed.exit };
}
