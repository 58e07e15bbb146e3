// Passwords of the system's accounts (pwcheck_method pam on a board): files in the form of passwd(5) and shadow(5).
// An empty or locked password opens nothing; a hash that we cannot judge is a temporary failure, never a yes.

import { ABSENT, found, type Lookup, tempfail } from "../base/result.ts";
import { readBoundedFile } from "../sys/files.ts";
import { checkShaCrypt } from "./shacrypt.ts";

const FILE_BYTES_MAX = 1024 * 1024;

/** The second field of the user's line; absent when there is no such line. */
function passwordField(path: string, user: string): Lookup<string> {
  const bytes = readBoundedFile(path, FILE_BYTES_MAX);
  if (bytes.kind !== "found") return bytes;
  for (const line of bytes.value.toString("utf8").split("\n")) {
    const fields = line.split(":");
    if (fields[0] === user && fields.length >= 2) return found(fields[1] ?? "");
  }
  return ABSENT;
}

/** Is this the password of the account? `shadow` is asked when `passwd` says "x"; "" when there is none. */
export function checkAccount(
  files: { readonly passwd: string; readonly shadow: string },
  user: string,
  password: string,
): Lookup<true> {
  if (user === "" || password === "" || /[:\n]/.test(user)) return ABSENT;
  let field = passwordField(files.passwd, user);
  if (field.kind === "found" && field.value === "x" && files.shadow !== "")
    field = passwordField(files.shadow, user);
  if (field.kind !== "found") return field;
  if (!field.value.startsWith("$")) return ABSENT;
  const right = checkShaCrypt(password, field.value);
  if (right === null) return tempfail(`the password of ${user} is stored in a scheme that is not known here`);
  return right ? found(true) : ABSENT;
}
