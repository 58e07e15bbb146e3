// Writing table files: entries collected with makemap's rules for repeated keys, then one constant database that
// replaces the old file in one step. The same code builds for makemap, newaliases, editmap, postern make and images.

import { ABSENT, err, found, type Lookup, ok, type Result } from "../base/result.ts";
import {
  beginReplacement,
  errorText,
  lstatPath,
  type NewFile,
  openForReading,
  realPath,
  statPath,
} from "../sys/files.ts";
import { fromBytes, toBytes } from "./bytestring.ts";
import { CdbFile, CdbWriter } from "./cdb.ts";

/** Mode of a database without source beside it: Sendmail's 0640. */
const DATABASE_MODE = 0o640;

/** A key and its values in the order in which a reader meets them; one unless duplicates were allowed. */
export type Entries = Map<string, string[]>;

/** What to do with a key that is there already. */
export type Repeat = "refuse" | "replace" | "keep both";

/** Adds an entry; false: the key is there and `repeat` is "refuse". */
export function addEntry(entries: Entries, key: string, value: string, repeat: Repeat): boolean {
  const present = entries.get(key);
  if (present === undefined) entries.set(key, [value]);
  else if (repeat === "replace") entries.set(key, [value]);
  else if (repeat === "keep both") present.push(value);
  else return false;
  return true;
}

/** PATH.db for PATH and for PATH.db. */
export function databasePath(path: string): string {
  return path.endsWith(".db") ? path : `${path}.db`;
}

/** Every entry of a database file. absent: no such file; tempfail: not a constant database, or damaged. */
export function readDatabase(path: string): Lookup<Entries> {
  const file = openForReading(path);
  if (file.kind !== "found") return file;
  const database = CdbFile.open(path, file.value);
  if (!database.ok) {
    file.value.close();
    return { kind: "tempfail", reason: database.error };
  }
  try {
    const entries: Entries = new Map();
    for (const record of database.value.records()) {
      if (!record.ok) return { kind: "tempfail", reason: record.error };
      addEntry(entries, fromBytes(record.value.key), fromBytes(record.value.value), "keep both");
    }
    return found(entries);
  } finally {
    database.value.close();
  }
}

/** How a new database file looks: as the one that it replaces, else as its source, never writable by others. */
function newFile(path: string): NewFile {
  for (const model of [path, path.slice(0, -3)]) {
    const facts = statPath(model);
    if (facts.kind !== "found" || facts.value.type !== "file") continue;
    return { mode: facts.value.mode & 0o644, owner: { uid: facts.value.uid, gid: facts.value.gid } };
  }
  return { mode: DATABASE_MODE };
}

/** Writes `entries` as the database file `path` (its .db name). `inclNul`: keys and values keep their end mark (-N). */
export function writeDatabase(
  path: string,
  entries: ReadonlyMap<string, readonly string[]>,
  inclNul: boolean = false,
): Result<true> {
  // A link is written through only when the caller's safety check let it pass.
  const place = realPath(path);
  const target = place.kind === "found" ? place.value : path;
  const begun = beginReplacement(target, newFile(target));
  if (!begun.ok) return begun;
  const writer = new CdbWriter(begun.value);
  const mark = inclNul ? "\0" : "";
  for (const [key, values] of entries) {
    const keyBytes = toBytes(key + mark);
    for (const value of values) {
      const added = writer.add(keyBytes, toBytes(value + mark));
      if (!added.ok) {
        writer.abandon();
        return added;
      }
    }
  }
  return writer.finish();
}

/** The words of strerror(3) for an error of sys/files.ts, which ends in the errno. */
export function systemReason(error: string): string {
  return errorText(error.slice(error.lastIndexOf(" ") + 1));
}

/** Refuses links in the place of a database that is to be written, as Sendmail does. `safe` is false under -s. */
export function checkWritable(path: string, safe: boolean): Result<true> {
  const facts = lstatPath(path);
  if (facts.kind === "absent") return ok(true);
  if (facts.kind === "tempfail") return err(systemReason(facts.reason));
  if (facts.value.type === "link" && safe) return err("Symbolic links not allowed");
  if (facts.value.type !== "link" && facts.value.type !== "file") return err("Regular files only");
  if (facts.value.links > 1 && safe) return err("Hard links not allowed");
  return ok(true);
}

/** The value of one key of a database file, found as the gateway finds it (with and without the end mark). */
export function queryDatabase(path: string, key: string): Lookup<string> {
  const entries = readDatabase(path);
  if (entries.kind !== "found") return entries;
  const value = entries.value.get(key)?.[0] ?? entries.value.get(`${key}\0`)?.[0];
  return value === undefined ? ABSENT : found(value.replace(/\0.*$/s, ""));
}
