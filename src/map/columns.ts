// Maps of type "text" (Sendmail's flat files such as passwd): one record a line, columns counted from 0, -k the key's
// column, -v the value's, -z the delimiter ("\t" may be written so; none: white space). Read into memory.

import { MAP_TEXT_BYTES_MAX } from "../base/limits.ts";
import { type Lookup, ok, type Result } from "../base/result.ts";
import { readBoundedFile } from "../sys/files.ts";
import { foldCase, fromBytes } from "./bytestring.ts";
import { tableOf } from "./textmap.ts";

export interface Columns {
  readonly key: number;
  readonly value: number;
  /** "" is any run of blanks and tabs. */
  readonly delimiter: string;
}

/** -k, -v and -z of a map specification; the columns must be numbers (names are for other map types). */
export function readColumns(flags: readonly string[]): Result<Columns> {
  const argument = (letter: string): string | undefined =>
    flags.find((flag) => flag.startsWith(`-${letter}`))?.slice(2);
  const number = (text: string | undefined, preset: number): number =>
    text === undefined ? preset : /^\d{1,4}$/.test(text) ? Number(text) : Number.NaN;
  const key = number(argument("k"), 0);
  const value = number(argument("v"), 1);
  if (Number.isNaN(key)) return { ok: false, error: `illegal key column -k${argument("k") ?? ""}` };
  if (Number.isNaN(value)) return { ok: false, error: `illegal value column -v${argument("v") ?? ""}` };
  const delimiter = argument("z") ?? "";
  return ok({ key, value, delimiter: delimiter === "\\t" ? "\t" : delimiter.slice(0, 1) });
}

/** The lookup function over the file's present contents; of repeated keys the first line counts. */
export function readColumnFile(
  path: string,
  columns: Columns,
  caseSensitive: boolean,
): Lookup<(key: string) => Lookup<string>> {
  const text = readBoundedFile(path, MAP_TEXT_BYTES_MAX);
  if (text.kind !== "found") return text;
  const entries = new Map<string, string>();
  for (const line of fromBytes(text.value).split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const fields = columns.delimiter === "" ? trim(line).split(/[ \t]+/) : line.split(columns.delimiter);
    const key = trim(fields[columns.key]);
    const value = trim(fields[columns.value]);
    if (key === undefined || value === undefined) continue;
    const wanted = caseSensitive ? key : foldCase(key);
    if (!entries.has(wanted)) entries.set(wanted, value);
  }
  const table = tableOf(path, entries, caseSensitive);
  return { kind: "found", value: (key) => table.lookup(key) };
}

/** Without ASCII blanks around it; String.trim() would take bytes of UTF-8 letters for blanks. */
function trim(text: string): string;
function trim(text: string | undefined): string | undefined;
function trim(text: string | undefined): string | undefined {
  return text?.replace(/^[ \t\r]+/, "").replace(/[ \t\r]+$/, "");
}
