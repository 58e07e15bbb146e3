// Where an entry of a table stands in its source text: for postern trace and messages, never for decisions. The text may be newer than
// the database that answered, or missing; then there is no line to name.

import { MAP_TEXT_BYTES_MAX } from "../base/limits.ts";
import { readBoundedFile } from "../sys/files.ts";
import { byteString, foldCase } from "./bytestring.ts";
import { SOURCE_DEFAULTS, SourceReader } from "./textmap.ts";

/** `path:line` of the entry `key` = `value` in the text file `path`; "" when it is not there. */
export function locateEntry(path: string, key: string, value: string): string {
  const source = readBoundedFile(path, MAP_TEXT_BYTES_MAX);
  if (source.kind !== "found") return "";
  const wanted = foldCase(byteString(key));
  let place = "";
  const reader = new SourceReader(SOURCE_DEFAULTS, {
    entry(found, text, line) {
      if (place === "" && found === wanted && text === value) place = `${path}:${line}`;
    },
    // What is wrong in the file is makemap's business.
    problem: () => undefined,
  });
  reader.push(source.value);
  reader.end();
  return place;
}

/** `path:line` of the alias `name` in an alias file; "" when it is not there. */
export function locateAlias(path: string, name: string): string {
  const source = readBoundedFile(path, MAP_TEXT_BYTES_MAX);
  if (source.kind !== "found") return "";
  const wanted = foldCase(byteString(name)).replaceAll('"', "");
  for (const [i, line] of source.value.toString("latin1").split("\n").entries()) {
    if (line === "" || /^[#\s]/.test(line)) continue;
    const colon = line.indexOf(":");
    if (colon < 0) continue;
    const own = foldCase(line.slice(0, colon)).replaceAll('"', "").trim();
    if (own === wanted) return `${path}:${i + 1}`;
  }
  return "";
}
