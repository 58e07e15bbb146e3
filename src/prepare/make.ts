// postern make: rebuilds the tables of a mail folder that are older than their text, as `make` in /etc/mail does elsewhere.
// All of them, or the ones that are named ("access", "access.db", "aliases").

import type { Configuration } from "../config/configuration.ts";
import { baseName, isAbsolutePath, joinPath } from "../sys/path.ts";
import {
  buildTable,
  familiarTables,
  hasSource,
  isOutOfDate,
  type Locate,
  ownNames,
  type TableSource,
  tablesOf,
} from "./tables.ts";

const EXIT = { OK: 0, DATAERR: 65, NOINPUT: 66, CANTCREAT: 73 };

export interface MakeRequest {
  /** The folder with the texts. */
  readonly folder: string;
  /** What names the tables besides their usual names; null when there is none that compiles. */
  readonly configuration: Configuration | null;
  readonly locate: Locate;
  /** Tables to build even when they are up to date; empty: all that are older than their text. */
  readonly names: readonly string[];
}

export interface MakeResult {
  readonly out: readonly string[];
  readonly err: readonly string[];
  readonly exit: number;
}

/** Every table that `make` looks after: those of the configuration and those with usual names. */
function allTables(request: MakeRequest): readonly TableSource[] {
  const tables = new Map<string, TableSource>();
  const named = request.configuration === null ? [] : tablesOf(request.configuration, request.locate);
  for (const table of [...named, ...familiarTables(request.folder)])
    if (!tables.has(table.path)) tables.set(table.path, table);
  return [...tables.values()];
}

/** Builds. Exit: 0, 65 when lines were refused, 66 when a named text is missing, 73 when a table cannot be written. */
export function makeTables(request: MakeRequest): MakeResult {
  const out: string[] = [];
  const err: string[] = [];
  let exit = EXIT.OK;
  const all = allTables(request);
  const wanted =
    request.names.length === 0 ? all.filter((t) => hasSource(t) && isOutOfDate(t)) : named(all, request);
  const isLocal = ownNames(request.configuration, request.locate);
  for (const table of wanted) {
    if (!hasSource(table)) {
      err.push(`make: ${table.path}: No such file or directory`);
      exit = Math.max(exit, EXIT.NOINPUT);
      continue;
    }
    const built = buildTable(table, isLocal);
    for (const { line, message, warning } of built.problems) {
      err.push(line === 0 ? `${table.path}: ${message}` : `${table.path}: line ${line}: ${message}`);
      if (!warning) exit = Math.max(exit, line === 0 ? EXIT.CANTCREAT : EXIT.DATAERR);
    }
    if (built.summary !== "") out.push(`${baseName(table.path)}.db: ${built.summary}`);
  }
  if (wanted.length === 0 && request.names.length === 0) out.push("all tables are up to date");
  return { out, err, exit };
}

/** The tables that the request names, in its order; an unknown name is a map of that name. */
function named(all: readonly TableSource[], request: MakeRequest): readonly TableSource[] {
  return request.names.map((name) => {
    const text = name.endsWith(".db") ? name.slice(0, -3) : name;
    const path = isAbsolutePath(text) ? text : joinPath(request.folder, text);
    const known =
      all.find((table) => table.path === path) ?? all.find((table) => baseName(table.path) === text);
    return known ?? { path, rules: text === "aliases" ? "aliases" : "map", caseSensitive: false };
  });
}
