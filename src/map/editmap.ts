// editmap: one record of a table file queried, updated or deleted (editmap(8)), with Sendmail's messages and statuses.
// A constant database has no place for changes: the file is written anew and replaces the old one in one step.

import { err, found, ok, type Result } from "../base/result.ts";
import { errorText } from "../sys/files.ts";
import {
  checkWritable,
  databasePath,
  type Entries,
  readDatabase,
  systemReason,
  writeDatabase,
} from "./build.ts";
import { foldCase, fromText } from "./bytestring.ts";
import { DATABASE_TYPES } from "./open.ts";

const EXIT = { OK: 0, USAGE: 64, UNAVAILABLE: 69, CANTCREAT: 73, IOERR: 74 };

export const EDITMAP_USAGE =
  'Usage: editmap [-C cffile] [-N] [-f] [-q|-u|-x] maptype mapname key [ "value ..." ]\n';

export interface EditmapRequest {
  readonly action: "query" | "update" | "delete";
  readonly inclNul: boolean;
  readonly type: string;
  /** As given, without ".db" added. */
  readonly name: string;
  /** Folded unless -f. Byte string. */
  readonly key: string;
  readonly value: string;
}

/** getopt(3) for editmap. The error is the text for standard error; the exit status is then 64. */
export function parseEditmapArguments(args: readonly string[]): Result<EditmapRequest> {
  const flags = new Set<string>();
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
      if (letter === "C") {
        if (word.slice(i + 1) === "") at += 1;
        break;
      }
      if (!"Nfqux".includes(letter)) return err(`editmap: invalid option -- '${letter}'\n${EDITMAP_USAGE}`);
      flags.add(letter);
    }
  }
  const [type, name, key, ...value] = args.slice(at);
  const actions = (["q", "u", "x"] as const).filter((letter) => flags.has(letter));
  const [action] = actions;
  if (action === undefined || actions.length > 1) return err(EDITMAP_USAGE);
  if (type === undefined || name === undefined || key === undefined) return err(EDITMAP_USAGE);
  if (action === "u" ? value.length === 0 : value.length > 0) return err(EDITMAP_USAGE);
  return ok({
    action: action === "q" ? "query" : action === "u" ? "update" : "delete",
    inclNul: flags.has("N"),
    type,
    name,
    key: flags.has("f") ? fromText(key) : foldCase(fromText(key)),
    // Sendmail takes the last word; the whole is what the person meant.
    value: fromText(value.join(" ")),
  });
}

export interface EditmapAnswer {
  readonly out: string;
  readonly err: string;
  readonly exit: number;
}

/** Runs a request. Texts are byte strings. */
export function editmap(request: EditmapRequest): EditmapAnswer {
  const path = databasePath(request.name);
  const failed = (text: string, exit: number): EditmapAnswer => ({
    out: "",
    err: `editmap: ${text}\n`,
    exit,
  });
  const cannot = (reason: string): EditmapAnswer =>
    failed(`error opening type ${request.type} map ${request.name}: ${reason}`, EXIT.CANTCREAT);
  if (!DATABASE_TYPES.has(request.type)) return cannot("Unknown database type");
  const writable = checkWritable(path, true);
  if (!writable.ok) return cannot(writable.error);
  const read = readDatabase(path);
  if (read.kind === "tempfail") return cannot(read.reason);
  if (read.kind === "absent" && request.action !== "update") return cannot(errorText("ENOENT"));
  const entries = read.kind === "found" ? read.value : found<Entries>(new Map()).value;
  const mark = request.inclNul ? "\0" : "";
  const key = entries.has(request.key) || mark !== "" ? request.key + mark : keyIn(entries, request.key);
  if (request.action === "query") {
    const value = entries.get(key)?.[0];
    return value === undefined
      ? failed(`couldn't find key ${request.key} in map ${request.name}`, EXIT.UNAVAILABLE)
      : { out: `${value.replace(/\0.*$/s, "")}\n`, err: "", exit: EXIT.OK };
  }
  if (request.action === "delete") {
    if (!entries.delete(key))
      return { ...failed(`key ${request.key} doesn't exist in map ${request.name}`, EXIT.OK) };
  } else entries.set(key, [request.value + (key.endsWith("\0") ? "\0" : "")]);
  const written = writeDatabase(path, entries);
  return written.ok
    ? { out: "", err: "", exit: EXIT.OK }
    : failed(`${request.name}: ${systemReason(written.error)}`, EXIT.IOERR);
}

/** The key as the file has it: files built with -N keep an end mark in their keys. */
function keyIn(entries: Entries, key: string): string {
  return entries.has(`${key}\0`) ? `${key}\0` : key;
}
