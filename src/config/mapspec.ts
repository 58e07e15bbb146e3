// Map definitions as FEATUREs take them: `hash -o -T<TMPF> /etc/mail/access.db` (Sendmail's map_parseargs).
// All database types mean a constant database here; types that ask a server are refused by name.

import { err, ok, type Result } from "../base/result.ts";
import type { MapSpec } from "./configuration.ts";

const DATABASE_TYPES = new Set(["hash", "btree", "dbm", "cdb", "implicit"]);
const PLAIN_TYPES = new Set(["text", "null"]);
const SERVER_TYPES = new Set([
  "ldap",
  "ldapx",
  "nis",
  "nisplus",
  "hesiod",
  "netinfo",
  "ph",
  "socket",
  "program",
  "regex",
  "dns",
  "sequence",
  "switch",
  "userdb",
  "host",
  "macro",
  "arith",
  "bestmx",
  "dequote",
  "syslog",
  "user",
  "stab",
  "lmdb",
]);

/** Reads a map definition. The error is a reason without a place. */
export function parseMapSpec(text: string): Result<MapSpec> {
  const words = text.trim().split(/\s+/);
  const [type = "", ...rest] = words;
  const kind = type.toLowerCase();
  if (kind.startsWith("/"))
    return err(`the map definition "${text.trim()}" wants a type in front: hash ${type}`);
  if (SERVER_TYPES.has(kind)) return err(`map type ${type} is not in this build; use hash`);
  if (!DATABASE_TYPES.has(kind) && !PLAIN_TYPES.has(kind))
    return err(`"${type}" is not a map type (hash, btree, dbm, cdb, text)`);
  const flags: string[] = [];
  let path = "";
  for (const word of rest) {
    if (word.startsWith("-") && word !== "-" && path === "") flags.push(word);
    else if (path === "") path = word;
    else return err(`"${word}" after the path of a map definition`);
  }
  if (path === "" && kind !== "null") return err(`the map definition "${text.trim()}" names no file`);
  if (path !== "" && !path.startsWith("/")) return err(`the path ${path} of a map is not absolute`);
  return ok({
    type: kind === "implicit" ? "hash" : kind,
    path: path.replace(/\.db$/, ""),
    optional: flags.includes("-o"),
    tempfail: flags.some((flag) => flag.startsWith("-T")),
    caseSensitive: flags.includes("-f"),
    flags: flags.filter((flag) => flag !== "-o" && flag !== "-f" && !flag.startsWith("-T")),
  });
}
