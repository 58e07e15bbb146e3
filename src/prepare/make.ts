// postern make: rebuilds the tables of a mail folder that are older than their text, as `make` in /etc/mail does elsewhere,
// and a compiled sendmail.cf whose sources were changed. All of them, or what is named ("access", "access.db", "sendmail.cf").

import { inBuild, notInBuild } from "../base/build.ts";
import { formatCompiled, isStale, parseCompiled } from "../config/compiled.ts";
import type { Configuration, Place } from "../config/configuration.ts";
import { folderReader, realPathOf } from "../config/folder.ts";
import { readFileLookup, replaceFile } from "../sys/files.ts";
import { baseName, isAbsolutePath, joinPath } from "../sys/path.ts";
import { COMPILERS } from "./registry.ts";
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

const EXIT = { OK: 0, DATAERR: 65, NOINPUT: 66, CANTCREAT: 73, CONFIG: 78 };
const COMPILED_NAMES = new Set(["sendmail.cf", "sendmail"]);

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

const NOTHING: MakeResult = { out: [], err: [], exit: EXIT.OK };

/** Every table that `make` looks after: those of the configuration and those with usual names. */
function allTables(request: MakeRequest): readonly TableSource[] {
  const tables = new Map<string, TableSource>();
  const named = request.configuration === null ? [] : tablesOf(request.configuration, request.locate);
  for (const table of [...named, ...familiarTables(request.folder)])
    if (!tables.has(table.path)) tables.set(table.path, table);
  return [...tables.values()];
}

/** Compiles sendmail.mc into sendmail.cf when it was named, or when there is one of ours with changed sources. */
function makeCompiled(request: MakeRequest, isNamed: boolean): MakeResult {
  const mc = joinPath(request.folder, "sendmail.mc");
  const cf = joinPath(request.folder, "sendmail.cf");
  const reader = folderReader(request.folder, readFileLookup);
  const old = readFileLookup(cf);
  const ours = old.kind === "found" ? parseCompiled(old.value.toString("utf8")) : null;
  const stale = ours?.ok === true && isStale(ours.value, reader) !== null;
  if (!isNamed && !stale) return NOTHING;
  const [compile] = COMPILERS;
  if (compile === undefined)
    return { ...NOTHING, err: [notInBuild("the compiler of sendmail.mc")], exit: EXIT.CONFIG };
  const { configuration, errors, warnings } = compile("/etc/mail/sendmail.mc", reader, {
    available: inBuild,
    missing: notInBuild,
  });
  const say = (place: Place | null, text: string): string =>
    place === null
      ? text
      : `${realPathOf(request.folder, place.file)}:${place.line}:${place.column}: ${text}`;
  const told = warnings.map((w) => say(w.place, `warning: ${w.message}`));
  if (configuration === null)
    return { out: [], err: [...told, ...errors.map((e) => say(e.place, e.message))], exit: EXIT.CONFIG };
  const written = replaceFile(cf, formatCompiled(configuration), 0o644);
  if (!written.ok) return { out: [], err: [...told, written.error], exit: EXIT.CANTCREAT };
  return { out: [`sendmail.cf: compiled from ${baseName(mc)}`], err: told, exit: EXIT.OK };
}

/** Builds. Exit: 0, 65 when lines were refused, 66 when a named text is missing, 73 when a table cannot be written. */
export function makeTables(request: MakeRequest): MakeResult {
  const names = request.names.filter((name) => !COMPILED_NAMES.has(name));
  const all = allTables(request);
  const compiledNamed = names.length < request.names.length;
  const everything = request.names.length === 0;
  const compiled = everything || compiledNamed ? makeCompiled(request, compiledNamed) : NOTHING;
  const out = [...compiled.out];
  const err = [...compiled.err];
  let { exit } = compiled;
  const wanted = everything
    ? all.filter((table) => hasSource(table) && isOutOfDate(table))
    : named(all, request.folder, names);
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
  if (out.length === 0 && err.length === 0) out.push("everything is up to date");
  return { out, err, exit };
}

/** The tables of these names, in their order; an unknown name is a map of that name. */
function named(
  all: readonly TableSource[],
  folder: string,
  names: readonly string[],
): readonly TableSource[] {
  return names.map((name) => {
    const text = name.endsWith(".db") ? name.slice(0, -3) : name;
    const path = isAbsolutePath(text) ? text : joinPath(folder, text);
    const known =
      all.find((table) => table.path === path) ?? all.find((table) => baseName(table.path) === text);
    const rules = text === "aliases" ? "aliases" : "map";
    return known ?? { path, rules, purpose: "", caseSensitive: false };
  });
}
