// Opening the tables that a configuration names (Sendmail's K lines): `hash -o -T<TMPF> /etc/mail/access` and its like.
// A table is read from its constant database in place; a replaced file is noticed within a second; a file that cannot be
// trusted answers tempfail, never "no entry". Where no .db was built (a folder under test, a fresh host) the source text is
// read instead, and an old Berkeley .db gives way to its text. A .db older than its text stays in use, as in Sendmail.

import { MAP_CHECK_INTERVAL_MS, MAP_TEXT_BYTES_MAX } from "../base/limits.ts";
import { ABSENT, found, type Lookup, tempfail } from "../base/result.ts";
import type { MapSpec } from "../config/configuration.ts";
import { checkFile, readTrusted, TRUST_NOTHING, type Trust } from "../safefile/check.ts";
import { type Clock, systemClock } from "../sys/clock.ts";
import { errorText, type FileFacts, openForReading, statPath } from "../sys/files.ts";
import { baseName } from "../sys/path.ts";
import { byteString, foldCase, fromBytes, toBytes } from "./bytestring.ts";
import { CdbFile } from "./cdb.ts";
import { readColumnFile, readColumns } from "./columns.ts";
import type { Table } from "./table.ts";
import { type ParsedSource, parseMapText, SOURCE_DEFAULTS, tableOf } from "./textmap.ts";

/** A table that holds an open file until close(); after that every lookup is a tempfail. */
export interface OpenTable extends Table {
  /** What an administrator should know about the file now, one line each; empty when all is well. */
  notices(): readonly string[];
  close(): void;
}

/** The types that all mean a constant database named PATH.db. */
export const DATABASE_TYPES: ReadonlySet<string> = new Set(["hash", "btree", "dbm", "cdb", "implicit"]);

/** One state of the files behind a table: how keys are answered while they stay as they are. */
interface Version {
  /** Names the state; a different stamp means that the files were replaced. */
  readonly stamp: string;
  readonly notices: readonly string[];
  find(key: string): Lookup<string>;
  close(): void;
}

/**
 * Opens the table of `spec`. Never fails: a table that cannot be read says so at each lookup, and recovers when it can.
 * `trust` carries DontBlameSendmail: a table in a directory that others may write is not used (semantics section 23).
 */
export function openTable(
  spec: MapSpec,
  clock: Clock = systemClock,
  trust: Trust = TRUST_NOTHING,
): OpenTable {
  if (spec.type === "null") return fixed(spec.type, () => ABSENT);
  if (DATABASE_TYPES.has(spec.type))
    return openDatabase(spec, clock, trust, (text) =>
      parseMapText(text, { ...SOURCE_DEFAULTS, fold: !spec.caseSensitive }),
    );
  if (spec.type === "text")
    return new WatchedTable(spec, clock, (asked, current) => columnVersion(asked, current, trust));
  return fixed(`${spec.type} ${spec.path}`, () => tempfail(`map type ${spec.type} is not in this build`));
}

/** As openTable for one of DATABASE_TYPES, with the rules for its source text (aliases have rules of their own). */
export function openDatabase(spec: MapSpec, clock: Clock, trust: Trust, parse: ParseSource): OpenTable {
  return new WatchedTable(spec, clock, (asked, current) => databaseVersion(asked, current, { trust, parse }));
}

function fixed(name: string, lookup: () => Lookup<string>): OpenTable {
  return { name, lookup, notices: () => [], close: () => undefined };
}

/** PATH without ".db": Sendmail takes both. */
function sourcePath(spec: MapSpec): string {
  return spec.path.endsWith(".db") ? spec.path.slice(0, -3) : spec.path;
}

/** Reads a source in memory: makemap's rules or those of aliases. */
type ParseSource = (text: Buffer) => ParsedSource;

/** What reading a database needs besides its specification. */
interface Means {
  readonly trust: Trust;
  readonly parse: ParseSource;
}

type Reader = (spec: MapSpec, current: Version | null) => Version | "unchanged";

class WatchedTable implements OpenTable {
  readonly name: string;
  readonly #spec: MapSpec;
  readonly #clock: Clock;
  readonly #read: Reader;
  readonly #suffix: string;
  readonly #matchOnly: boolean;
  #version: Version | null = null;
  #nextCheckMs = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(spec: MapSpec, clock: Clock, read: Reader) {
    this.name = sourcePath(spec);
    this.#spec = spec;
    this.#clock = clock;
    this.#read = read;
    this.#suffix = spec.flags.find((flag) => flag.startsWith("-a"))?.slice(2) ?? "";
    this.#matchOnly = spec.flags.includes("-m");
  }

  lookup(key: string): Lookup<string> {
    if (this.#closed) return tempfail(`${this.name} is closed`);
    const bytes = byteString(key);
    const wanted = this.#spec.caseSensitive ? bytes : foldCase(bytes);
    const answer = this.#current().find(wanted);
    if (answer.kind !== "found") return answer;
    return found((this.#matchOnly ? key : answer.value) + this.#suffix);
  }

  notices(): readonly string[] {
    return this.#closed ? [] : this.#current().notices;
  }

  close(): void {
    this.#version?.close();
    this.#version = null;
    this.#closed = true;
  }

  #current(): Version {
    const now = this.#clock.monotonicMs();
    if (this.#version !== null && now < this.#nextCheckMs) return this.#version;
    this.#nextCheckMs = now + MAP_CHECK_INTERVAL_MS;
    const next = this.#read(this.#spec, this.#version);
    if (next === "unchanged" && this.#version !== null) return this.#version;
    this.#version?.close();
    this.#version = next === "unchanged" ? broken("", `${this.name} cannot be read`) : next;
    return this.#version;
  }
}

function stampOf(path: string, facts: FileFacts): string {
  return `${path} ${facts.identity} ${facts.size} ${facts.modifiedNs}`;
}

function broken(stamp: string, reason: string): Version {
  return { stamp, notices: [reason], find: () => tempfail(reason), close: () => undefined };
}

const EMPTY_VERSION: Version = { stamp: "none", notices: [], find: () => ABSENT, close: () => undefined };

function databaseVersion(spec: MapSpec, current: Version | null, means: Means): Version | "unchanged" {
  const source = sourcePath(spec);
  const path = `${source}.db`;
  const facts = statPath(path);
  if (facts.kind === "tempfail") return broken("", facts.reason);
  if (facts.kind === "absent") return withoutDatabase(spec, source, current, means);
  const stamp = stampOf(path, facts.value);
  if (current?.stamp === stamp) return "unchanged";
  const unsafe = distrust(spec, path, means.trust);
  if (unsafe !== null) return unsafe;
  const file = openForReading(path);
  // Gone or locked between the two calls: the next look tells.
  if (file.kind !== "found")
    return broken("", file.kind === "tempfail" ? file.reason : `${path} was removed`);
  const opened = CdbFile.open(path, file.value);
  if (!opened.ok) {
    file.value.close();
    if (!opened.error.includes("Berkeley")) return broken(stamp, opened.error);
    const text = textVersion(spec, stamp, source, means);
    return text ?? broken("", `${opened.error}, and there is no ${source} to rebuild it from`);
  }
  const notices = isOlder(facts.value, source) ? [`${path} is older than ${source}; run postern make`] : [];
  return cdbVersion(spec, stamp, notices, opened.value);
}

function isOlder(database: FileFacts, source: string): boolean {
  const text = statPath(source);
  return text.kind === "found" && text.value.modifiedNs > database.modifiedNs;
}

/** Without -N and -O Sendmail tries a key without and with its end mark; -N means only with, -O only without. */
function cdbVersion(spec: MapSpec, stamp: string, notices: readonly string[], file: CdbFile): Version {
  const plain = !spec.flags.includes("-N");
  const marked = !spec.flags.includes("-O");
  return {
    stamp,
    notices,
    find(key) {
      const bytes = toBytes(key);
      let answer: Lookup<Buffer> = plain ? file.find(bytes) : ABSENT;
      if (answer.kind === "absent" && marked) answer = file.find(Buffer.concat([bytes, Buffer.alloc(1)]));
      if (answer.kind !== "found") return answer;
      const end = answer.value.indexOf(0);
      return found(fromBytes(end < 0 ? answer.value : answer.value.subarray(0, end)));
    },
    close: () => file.close(),
  };
}

function withoutDatabase(
  spec: MapSpec,
  source: string,
  current: Version | null,
  means: Means,
): Version | "unchanged" {
  const facts = statPath(source);
  if (facts.kind === "found" && facts.value.type === "file") {
    const stamp = stampOf(source, facts.value);
    if (current?.stamp === stamp) return "unchanged";
    return textVersion(spec, stamp, source, means) ?? EMPTY_VERSION;
  }
  // A daemon goes on with the file that it has open when its name is taken away, as Sendmail does.
  if (current?.stamp.startsWith(`${source}.db `) === true) return "unchanged";
  if (facts.kind === "tempfail") return broken("", facts.reason);
  if (spec.optional) return EMPTY_VERSION;
  return broken("", mapComplaint(spec, `missing map file ${source}.db: ${errorText("ENOENT")}`));
}

/** Why `path` may not be used, in Sendmail's words; null when it may. Its mode and owner do not matter, its directories do. */
function distrust(spec: MapSpec, path: string, trust: Trust): Version | null {
  const checked = checkFile(path, "map", trust);
  if (checked.ok || checked.error === errorText("ENOENT")) return null;
  return broken("", mapComplaint(spec, `unsafe map file ${path}: ${checked.error}`));
}

/** `hash map "access": ...` */
function mapComplaint(spec: MapSpec, text: string): string {
  return `${spec.type} map "${baseName(sourcePath(spec))}": ${text}`;
}

function textVersion(spec: MapSpec, stamp: string, source: string, means: Means): Version | null {
  const text = readTrusted(source, "map", means.trust, MAP_TEXT_BYTES_MAX);
  if (!text.ok) {
    const { kind, reason } = text.error;
    if (kind === "absent") return null;
    return broken(
      "",
      kind === "tempfail" ? reason : mapComplaint(spec, `unsafe map file ${source}: ${reason}`),
    );
  }
  const parsed = means.parse(text.value.bytes);
  const table = tableOf(source, parsed.entries, spec.caseSensitive);
  const notices = [
    `${source}.db is missing or not a constant database: the text is read instead`,
    ...parsed.problems.map((p) => `${source}: line ${p.line}: ${p.message}`),
  ];
  return { stamp, notices, find: (key) => table.lookup(key), close: () => undefined };
}

function columnVersion(spec: MapSpec, current: Version | null, trust: Trust): Version | "unchanged" {
  const columns = readColumns(spec.flags);
  if (!columns.ok) return broken("", `${spec.path}: ${columns.error}`);
  const facts = statPath(spec.path);
  if (facts.kind === "tempfail") return broken("", facts.reason);
  if (facts.kind === "absent")
    return spec.optional
      ? EMPTY_VERSION
      : broken("", mapComplaint(spec, `missing map file ${spec.path}: ${errorText("ENOENT")}`));
  const stamp = stampOf(spec.path, facts.value);
  if (current?.stamp === stamp) return "unchanged";
  const unsafe = distrust(spec, spec.path, trust);
  if (unsafe !== null) return unsafe;
  const find = readColumnFile(spec.path, columns.value, spec.caseSensitive);
  if (find.kind !== "found")
    return broken("", find.kind === "tempfail" ? find.reason : `${spec.path} was removed`);
  return { stamp, notices: [], find: find.value, close: () => undefined };
}
