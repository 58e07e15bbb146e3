// The table files of a configuration and their sources: which there are, which are older than their text, and building them
// as makemap and newaliases would. `postern make` and the image builder run the same code.

import { LIST_FILE_BYTES_MAX, MAP_TEXT_BYTES_MAX } from "../base/limits.ts";
import type { Configuration, MapSpec } from "../config/configuration.ts";
import { aliasSpec, aliasSummary, COMPLETE_KEY, parseAliases } from "../map/aliases.ts";
import { databasePath, readDatabase, systemReason, writeDatabase } from "../map/build.ts";
import { asText } from "../map/bytestring.ts";
import { readClassFile } from "../map/classfile.ts";
import { DATABASE_TYPES } from "../map/open.ts";
import { parseMapText, SOURCE_DEFAULTS } from "../map/textmap.ts";
import { readBoundedFile, statPath } from "../sys/files.ts";
import { baseName, joinPath } from "../sys/path.ts";
import { hostName } from "../sys/process.ts";

/** One table: PATH.db from the text PATH. */
export interface TableSource {
  /** Path of the text. */
  readonly path: string;
  readonly rules: "map" | "aliases";
  /** Which feature asks it: "access", "mailertable", ..., "" when none is known to. */
  readonly purpose: string;
  /** Keys keep their case (-f). */
  readonly caseSensitive: boolean;
}

/** What building one table came to. */
export interface TableBuild {
  readonly source: TableSource;
  /** `line`: 0 for what concerns the whole file. */
  readonly problems: readonly {
    readonly line: number;
    readonly message: string;
    readonly warning: boolean;
  }[];
  /** "4 aliases, longest ..." or "12 entries"; "" when nothing was written. */
  readonly summary: string;
}

/** Where the paths of a configuration really lie. */
export type Locate = (path: string) => string;

/** Tables that a mail folder may hold though no configuration names them. */
const FAMILIAR = [
  "access",
  "authinfo",
  "bitdomain",
  "domaintable",
  "genericstable",
  "mailertable",
  "userdb",
  "uudomain",
  "virtusertable",
];

/** The tables that `configuration` names, with or without a text. */
export function tablesOf(configuration: Configuration, locate: Locate): readonly TableSource[] {
  const { features, options } = configuration;
  const maps: readonly (readonly [string, MapSpec | null | undefined])[] = [
    ["access", features.accessDb?.map],
    ["authinfo", features.authInfo],
    ["badmx", features.badMx?.map],
    ["domaintable", features.domainTable],
    ["genericstable", features.genericsTable],
    ["mailertable", features.mailerTable],
    ["virtusertable", features.virtUserTable],
  ];
  const tables = new Map<string, TableSource>();
  const add = (spec: MapSpec, rules: TableSource["rules"], purpose: string): void => {
    if (!DATABASE_TYPES.has(spec.type)) return;
    const path = locate(spec.path.endsWith(".db") ? spec.path.slice(0, -3) : spec.path);
    if (!tables.has(path)) tables.set(path, { path, rules, purpose, caseSensitive: spec.caseSensitive });
  };
  for (const [purpose, spec] of maps) if (spec) add(spec, "map", purpose);
  for (const element of options.AliasFile) add(aliasSpec(element), "aliases", "aliases");
  return [...tables.values()];
}

/** Tables by their usual names in `folder` whose text is there. */
export function familiarTables(folder: string): readonly TableSource[] {
  const table = (name: string, rules: TableSource["rules"]): TableSource => ({
    path: joinPath(folder, name),
    rules,
    purpose: name,
    caseSensitive: false,
  });
  return [...FAMILIAR.map((name) => table(name, "map")), table("aliases", "aliases")].filter(hasSource);
}

export function hasSource(source: TableSource): boolean {
  const text = statPath(source.path);
  return text.kind === "found" && text.value.type === "file";
}

/** Is the database missing, older than its text, or not one that the gateway reads? */
export function isOutOfDate(source: TableSource): boolean {
  const text = statPath(source.path);
  const database = statPath(databasePath(source.path));
  if (text.kind !== "found") return false;
  if (database.kind !== "found" || database.value.modifiedNs < text.value.modifiedNs) return true;
  return readDatabase(databasePath(source.path)).kind !== "found";
}

/** Which host names are ours, for aliases written as name@host: class w with its files, this host, localhost. */
export function ownNames(configuration: Configuration | null, locate: Locate): (host: string) => boolean {
  const names = new Set(["localhost", "[127.0.0.1]", hostName().toLowerCase()]);
  const add = (name: string): Set<string> => names.add(name.toLowerCase());
  if (configuration !== null) {
    if (configuration.domainName !== "") add(configuration.domainName);
    for (const name of configuration.classes["w"] ?? []) add(name);
    for (const file of configuration.classFiles) {
      if (file.class !== "w") continue;
      const members = readClassFile(locate(file.path), true);
      for (const name of members.ok ? members.value : []) add(name);
    }
  }
  return (host) => names.has(host);
}

/** Reads the text of a table without writing anything. */
export function readTable(source: TableSource, isLocal: (host: string) => boolean): ReadTable {
  const text = readBoundedFile(
    source.path,
    source.rules === "map" ? MAP_TEXT_BYTES_MAX : LIST_FILE_BYTES_MAX,
  );
  if (text.kind !== "found") {
    const message = text.kind === "absent" ? "No such file or directory" : systemReason(text.reason);
    return { entries: null, problems: [{ line: 0, message, warning: false }], summary: "" };
  }
  if (source.rules === "map") {
    const parsed = parseMapText(text.value, { ...SOURCE_DEFAULTS, fold: !source.caseSensitive });
    const entries = new Map([...parsed.entries].map(([key, value]) => [key, [value]] as const));
    const problems = parsed.problems.map((p) => ({
      line: p.line,
      message: asText(p.message),
      warning: false,
    }));
    return { entries, problems, summary: `${entries.size} entries` };
  }
  const parsed = parseAliases(text.value, isLocal);
  const entries = new Map<string, readonly string[]>([[COMPLETE_KEY, ["@"]]]);
  for (const [key, value] of parsed.entries) entries.set(key, [value]);
  const problems = parsed.problems.map((p) => ({
    line: p.line,
    message: asText(p.message),
    warning: p.message.includes("... Warning: "),
  }));
  return { entries, problems, summary: aliasSummary(parsed) };
}

interface ReadTable {
  /** null: the text could not be read. */
  readonly entries: ReadonlyMap<string, readonly string[]> | null;
  readonly problems: TableBuild["problems"];
  readonly summary: string;
}

/** Builds PATH.db. Lines that are wrong are left out and told, as makemap does; "" as summary: nothing was written. */
export function buildTable(source: TableSource, isLocal: (host: string) => boolean): TableBuild {
  const { entries, problems, summary } = readTable(source, isLocal);
  if (entries === null) return { source, problems, summary: "" };
  const written = writeDatabase(databasePath(source.path), entries);
  if (written.ok) return { source, problems, summary };
  const failed = {
    line: 0,
    message: `${baseName(source.path)}.db: ${systemReason(written.error)}`,
    warning: false,
  };
  return { source, problems: [...problems, failed], summary: "" };
}
