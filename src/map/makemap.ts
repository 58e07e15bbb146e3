// makemap: builds, dumps and appends to table files (makemap(8), sendmail-semantics section 25). Messages, exit statuses
// and the rule that good lines are stored though bad ones were refused are Sendmail's. Needs no configuration: -C is
// accepted and not read. Every type is stored as a constant database.

import { err, found, ok, type Result } from "../base/result.ts";
import { errorText, statPath } from "../sys/files.ts";
import { directoryOf } from "../sys/path.ts";
import {
  addEntry,
  checkWritable,
  databasePath,
  type Entries,
  type Repeat,
  readDatabase,
  systemReason,
  writeDatabase,
} from "./build.ts";
import { DATABASE_TYPES } from "./open.ts";
import { SOURCE_DEFAULTS, type SourceOptions, SourceReader } from "./textmap.ts";

const EXIT = { OK: 0, USAGE: 64, DATAERR: 65, CANTCREAT: 73, IOERR: 74 };

export const MAKEMAP_USAGE = `Usage: makemap [-C cffile] [-N] [-c cachesize] [-D commentchar]
               [-d] [-e] [-f] [-i type] [-l] [-o] [-r] [-s] [-t delimiter]
               [-u] [-v] type mapname
`;

/** What `makemap -l` prints. */
export const MAP_TYPES_TEXT = "hash\nbtree\ndbm\ncdb\nimplicit\n";

export interface MakemapRequest {
  readonly list: boolean;
  readonly dump: boolean;
  readonly append: boolean;
  readonly repeat: Repeat;
  readonly inclNul: boolean;
  readonly safe: boolean;
  readonly verbose: boolean;
  readonly source: SourceOptions;
  readonly type: string;
  /** As given, without ".db" added: messages show it so. */
  readonly name: string;
}

/** Letters that take no argument, and those that do. */
const PLAIN_FLAGS = "Ndeflorsuv";
const ARGUMENT_FLAGS = "CcDit";

/** getopt(3) for makemap. The error is the text for standard error; the exit status is then 64. */
export function parseMakemapArguments(args: readonly string[]): Result<MakemapRequest> {
  const flags = new Set<string>();
  const values = new Map<string, string>();
  let at = 0;
  for (; at < args.length; at++) {
    const word = args[at] ?? "";
    if (word === "--") {
      at += 1;
      break;
    }
    if (!word.startsWith("-") || word === "-") break;
    for (let i = 1; i < word.length; i++) {
      const letter = word[i] ?? "";
      if (PLAIN_FLAGS.includes(letter)) flags.add(letter);
      else if (ARGUMENT_FLAGS.includes(letter)) {
        const attached = word.slice(i + 1);
        const value = attached === "" ? args[++at] : attached;
        if (value === undefined)
          return err(`makemap: option requires an argument -- '${letter}'\n${MAKEMAP_USAGE}`);
        values.set(letter, value);
        break;
      } else return err(`makemap: invalid option -- '${letter}'\n${MAKEMAP_USAGE}`);
    }
  }
  const rest = args.slice(at);
  if (!flags.has("l") && rest.length !== 2) return err(MAKEMAP_USAGE);
  const type = rest[0] ?? "";
  return ok({
    list: flags.has("l"),
    dump: flags.has("u"),
    append: flags.has("o"),
    repeat: flags.has("r") ? "replace" : flags.has("d") ? "keep both" : "refuse",
    inclNul: flags.has("N"),
    safe: !flags.has("s"),
    verbose: flags.has("v"),
    source: {
      delimiter: (values.get("t") ?? SOURCE_DEFAULTS.delimiter).slice(0, 1),
      comment: (values.get("D") ?? SOURCE_DEFAULTS.comment).slice(0, 1),
      allowEmpty: flags.has("e"),
      fold: !flags.has("f"),
    },
    type: DATABASE_TYPES.has(type) ? type : (values.get("i") ?? type),
    name: rest[1] ?? "",
  });
}

/** Where output goes. */
export interface MakemapOutput {
  out(text: string): void;
  err(text: string): void;
}

/** Runs a request; `input` is the source text in pieces. Returns the exit status. */
export async function makemap(
  request: MakemapRequest,
  input: AsyncIterable<Buffer>,
  output: MakemapOutput,
): Promise<number> {
  if (request.list) {
    output.out(MAP_TYPES_TEXT);
    return EXIT.OK;
  }
  const path = databasePath(request.name);
  const cannot = (reason: string): number => {
    output.err(`makemap: error opening type ${request.type} map ${request.name}: ${reason}\n`);
    return EXIT.CANTCREAT;
  };
  if (!DATABASE_TYPES.has(request.type)) return cannot("Unknown database type");
  const writable = checkWritable(path, request.safe);
  if (!writable.ok) return cannot(writable.error);
  const before = request.dump || request.append ? readDatabase(path) : found<Entries>(new Map());
  if (before.kind === "tempfail") return cannot(before.reason);
  if (before.kind === "absent" && request.dump) return cannot(errorText("ENOENT"));
  const entries: Entries = before.kind === "found" ? before.value : new Map();
  if (request.dump) {
    dump(entries, request.source.delimiter, output);
    return EXIT.OK;
  }
  const directory = statPath(directoryOf(path));
  if (directory.kind !== "found") return cannot(errorText("ENOENT"));
  const status = await readInto(entries, request, input, output);
  const written = writeDatabase(path, entries, request.inclNul);
  if (written.ok) return status;
  output.err(`makemap: ${request.name}: ${systemReason(written.error)}\n`);
  return written.error.includes("EACCES") || written.error.includes("EROFS") ? EXIT.CANTCREAT : EXIT.IOERR;
}

async function readInto(
  entries: Entries,
  request: MakemapRequest,
  input: AsyncIterable<Buffer>,
  output: MakemapOutput,
): Promise<number> {
  let status = EXIT.OK;
  const complain = (line: number, message: string): void => {
    output.err(`makemap: ${request.name}: line ${line}: ${message}\n`);
    status = EXIT.DATAERR;
  };
  const reader = new SourceReader(request.source, {
    entry(key, value, line) {
      if (request.verbose) output.out(`key=\`${key}', val=\`${value}'\n`);
      if (!addEntry(entries, key, value, request.repeat)) complain(line, `key ${key}: duplicate key`);
    },
    problem: complain,
  });
  for await (const piece of input) reader.push(piece);
  reader.end();
  return status;
}

/** A line per entry, `key<TAB>value` or with the delimiter that was asked for. */
function dump(entries: Entries, delimiter: string, output: MakemapOutput): void {
  const between = delimiter === "" ? "\t" : delimiter;
  for (const [key, values] of entries)
    for (const value of values)
      output.out(`${key.replace(/\0.*$/s, "")}${between}${value.replace(/\0.*$/s, "")}\n`);
}
