// The aliases file, read exactly as newaliases reads it (sendmail-semantics section 10, messages verbatim): names and
// values, continuation lines, comments, duplicates of which the last wins; and the table over it that routing asks.
// Values are kept as written, trailing blanks too: route/ takes them apart.

import { ALIAS_BYTES_MAX } from "../base/limits.ts";
import { ABSENT, type Lookup } from "../base/result.ts";
import type { MapSpec } from "../config/configuration.ts";
import { TRUST_NOTHING, type Trust } from "../safefile/check.ts";
import { type Clock, systemClock } from "../sys/clock.ts";
import { aliasKey, aliasName } from "./aliasname.ts";
import { byteString, fromBytes } from "./bytestring.ts";
import { DATABASE_TYPES, type OpenTable, openDatabase } from "./open.ts";
import type { Table } from "./table.ts";
import { type SourceProblem, tableOf } from "./textmap.ts";

/** Key and value of the record that shows that an alias database is complete; praliases prints it as "@:@". */
export const COMPLETE_KEY = "@";

export interface ParsedAliases {
  /** Key (folded) to value as written; of repeated names the last. Byte strings. */
  readonly entries: ReadonlyMap<string, string>;
  /** In file order; `message` as newaliases prints it after "line N: ". */
  readonly problems: readonly SourceProblem[];
  /** Entries as newaliases counts them: a repeated name counts each time. */
  readonly count: number;
  /** Bytes of the longest value, and of all names and values. */
  readonly longest: number;
  readonly bytes: number;
  /** 0, or the exit status of the first error (70, 64): the good lines count all the same. */
  readonly exit: number;
}

const EXIT_SOFTWARE = 70;

/** The names that are always ours; a configuration has more (class w). */
export function isLoopbackName(host: string): boolean {
  return host === "localhost" || host === "[127.0.0.1]";
}

/** One line with its continuation lines; `last` is the number of the last of them. */
interface LogicalLine {
  readonly text: string;
  readonly last: number;
  readonly overlong: boolean;
}

/** Joins continuation lines (first character blank or tab) and lines that end in a backslash. */
function* logicalLines(source: string): Generator<LogicalLine> {
  let number = 0;
  let parts: string[] = [];
  let length = 0;
  let escaped = false;
  const finish = (): LogicalLine => {
    const overlong = length > ALIAS_BYTES_MAX;
    const line = { text: overlong ? parts.join("").slice(0, 80) : parts.join(""), last: number, overlong };
    parts = [];
    length = 0;
    return line;
  };
  let begun = false;
  for (let at = 0; at < source.length; ) {
    const newline = source.indexOf("\n", at);
    const end = newline < 0 ? source.length : newline;
    const continues = escaped || source[at] === " " || source[at] === "\t";
    if (begun && !continues) yield finish();
    begun = true;
    escaped = newline > at && source[end - 1] === "\\";
    const piece = source.slice(at, escaped ? end - 1 : end);
    length += piece.length;
    // What is beyond the bound is counted, not kept; the beginning tells what kind of line it is.
    if (length <= ALIAS_BYTES_MAX || parts.length === 0) parts.push(piece.slice(0, ALIAS_BYTES_MAX));
    number += 1;
    at = end + 1;
  }
  if (begun) yield finish();
}

/** Where the name ends: the first colon outside quotes, -1 when there is none. */
function colonOf(line: string): number {
  const plain = line.indexOf(":");
  if (!line.startsWith('"')) return plain;
  let i = 1;
  while (i < line.length && line[i] !== '"') i += line[i] === "\\" ? 2 : 1;
  const colon = i < line.length ? line.indexOf(":", i) : -1;
  return colon < 0 ? plain : colon;
}

/** Reads aliases source text. `isLocal` says which host names are ours, for names written as user@host. */
export function parseAliases(
  source: Buffer | string,
  isLocal: (host: string) => boolean = isLoopbackName,
): ParsedAliases {
  const entries = new Map<string, string>();
  const problems: SourceProblem[] = [];
  const sums = { count: 0, longest: 0, bytes: 0, exit: 0 };
  const text = typeof source === "string" ? byteString(source) : fromBytes(source);
  for (const { text: line, last, overlong } of logicalLines(text)) {
    const problem = (message: string, exit: number = EXIT_SOFTWARE): void => {
      problems.push({ line: last, message });
      if (sums.exit === 0) sums.exit = exit;
    };
    const colon = colonOf(line);
    const first = line[0] ?? "";
    if (first === "#" || line === "") continue;
    if (overlong) problem("alias line too long");
    else if (first === " " || first === "\t") problem("Non-continuation line starts with space");
    else if (line.includes("\0")) problem("NUL byte in alias");
    else if (colon < 0) problem("missing colon");
    else {
      const written = line.slice(0, colon);
      const name = aliasName(written, isLocal);
      const value = line.slice(colon + 1).replace(/^[ \t]+/, "");
      if (!name.ok) {
        for (const message of name.messages) problem(message, name.exit);
        if (name.messages.length === 0) problem(`${line.slice(0, 200)}... illegal alias name`, name.exit);
      } else if (value === "") problem(`${line}... missing value for alias`);
      else {
        if (entries.has(name.key))
          problems.push({ line: last, message: `${written}... Warning: duplicate alias name ${name.key}` });
        entries.set(name.key, value);
        sums.count += 1;
        sums.longest = Math.max(sums.longest, value.length);
        sums.bytes += name.key.length + value.length;
      }
    }
  }
  return { entries, problems, ...sums };
}

/** "4 aliases, longest 18 bytes, 71 bytes total", the summary of newaliases. */
export function aliasSummary(parsed: ParsedAliases): string {
  return `${parsed.count} aliases, longest ${parsed.longest} bytes, ${parsed.bytes} bytes total`;
}

/** A table over aliases source text in memory. */
export function aliasTextTable(
  name: string,
  source: Buffer | string,
  isLocal: (host: string) => boolean = isLoopbackName,
): Table {
  const table = tableOf(name, parseAliases(source, isLocal).entries);
  return { name, lookup: (key) => table.lookup(aliasKey(key)) };
}

/**
 * One element of the AliasFile option, `[type [flags]:]path`, as a map specification. Without a type: "implicit".
 * A missing file is an empty one: Sendmail warns and goes on without aliases.
 */
export function aliasSpec(element: string): MapSpec {
  const typed = /^([a-z]+)((?:[ \t]+-\S+)*)[ \t]*:[ \t]*(\/.*)$/.exec(element.trim());
  const flags = (typed?.[2] ?? "").split(/[ \t]+/).filter((flag) => flag !== "");
  return {
    type: typed?.[1] ?? "implicit",
    path: typed?.[3] ?? element.trim(),
    optional: true,
    tempfail: true,
    caseSensitive: flags.includes("-f"),
    flags,
  };
}

/** The alias files of `specs` as one table: the first file that has the name answers, a file that cannot be read stops the search. */
export function openAliases(
  specs: readonly MapSpec[],
  isLocal: (host: string) => boolean = isLoopbackName,
  clock: Clock = systemClock,
  trust: Trust = TRUST_NOTHING,
): OpenTable {
  const parse = (text: Buffer): ParsedAliases => parseAliases(text, isLocal);
  const tables = specs.map((spec) =>
    openDatabase(DATABASE_TYPES.has(spec.type) ? spec : { ...spec, type: "implicit" }, clock, trust, parse),
  );
  return {
    name: tables.map((table) => table.name).join(", "),
    lookup(name): Lookup<string> {
      const key = aliasKey(byteString(name));
      if (key === COMPLETE_KEY) return ABSENT;
      for (const table of tables) {
        const answer = table.lookup(key);
        if (answer.kind !== "absent") return answer;
      }
      return ABSENT;
    },
    notices: () => tables.flatMap((table) => table.notices()),
    close() {
      for (const table of tables) table.close();
    },
  };
}
