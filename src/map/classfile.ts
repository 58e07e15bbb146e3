// Files that add members to a class (local-host-names, relay-domains, trusted-users): names separated by white space or
// lines, "#" begins a comment anywhere (sendmail-semantics section 4). No database is built of them; read at start.

import { LIST_FILE_BYTES_MAX } from "../base/limits.ts";
import { err, ok, type Result } from "../base/result.ts";
import { readTrusted, TRUST_NOTHING, type Trust } from "../safefile/check.ts";
import { fromBytes } from "./bytestring.ts";

/** The names in the text of a class file, in their order and case. */
export function parseClassFile(text: Buffer | string): readonly string[] {
  const lines = (typeof text === "string" ? text : fromBytes(text)).split("\n");
  return lines.flatMap((line) => {
    const comment = line.indexOf("#");
    const names = comment < 0 ? line : line.slice(0, comment);
    return names.split(/[ \t\r\v\f\0]+/).filter((name) => name !== "");
  });
}

/** Members of the class file `path`. Error (Sendmail's words, exit 71): it cannot be trusted, or not be read and is not optional. */
export function readClassFile(
  path: string,
  optional: boolean,
  trust: Trust = TRUST_NOTHING,
): Result<readonly string[]> {
  const text = readTrusted(path, "class", trust, LIST_FILE_BYTES_MAX);
  if (text.ok) return ok(parseClassFile(text.value.bytes));
  const { kind, reason } = text.error;
  if (kind === "tempfail") return err(`fileclass: ${reason}`);
  return optional && kind === "absent" ? ok([]) : err(`fileclass: cannot open '${path}': ${reason}`);
}
