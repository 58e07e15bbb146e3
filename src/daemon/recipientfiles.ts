// :include: and .forward files behind Sendmail's file-safety rules (safefile/), and /etc/shells.
// A file that others may write is not read; relaxed rules mark what is in it unsafe for programs and files.

import { LIST_FILE_BYTES_MAX } from "../base/limits.ts";
import type { RecipientFile, RecipientFiles } from "../route/site.ts";
import { checkFile } from "../safefile/check.ts";
import { readBoundedFile } from "../sys/files.ts";

/** Shells that count when there is no /etc/shells, as Sendmail has them compiled in. */
const DEFAULT_SHELLS = ["/bin/sh", "/bin/bash", "/bin/csh", "/bin/tcsh", "/bin/ksh"];
/** Words of /etc/shells that admit every shell. */
const ANY_SHELL = ["/SENDMAIL/ANY/SHELL/", "/SENDMAIL/ANY/SHELL"];

/** `locate` maps a path of the configuration to where it lies (a folder under test is not /etc/mail). */
export function makeRecipientFiles(
  dontBlame: readonly string[],
  locate: (path: string) => string,
  shellsFile = "/etc/shells",
): RecipientFiles {
  const read = (path: string, purpose: "include" | "forward", uid: number | null): RecipientFile => {
    const trust = uid === null ? { dontBlame } : { dontBlame, user: { uid, gid: -1 } };
    const checked = checkFile(path, purpose, trust);
    if (!checked.ok)
      return checked.error === "No such file or directory"
        ? { kind: "absent", reason: checked.error }
        : { kind: "refused", reason: checked.error };
    const text = readBoundedFile(path, LIST_FILE_BYTES_MAX);
    if (text.kind === "found")
      return { kind: "found", text: text.value.toString("latin1"), unsafe: !checked.value.safe };
    if (text.kind === "absent") return { kind: "absent", reason: "No such file or directory" };
    return { kind: "tempfail", reason: text.reason };
  };
  return {
    include: (path) => read(locate(path), "include", null),
    forward: (path, uid) => read(path, "forward", uid),
    validShell(shell) {
      const file = readBoundedFile(shellsFile, LIST_FILE_BYTES_MAX);
      const shells =
        file.kind === "found"
          ? file.value
              .toString("latin1")
              .split("\n")
              .map((line) => line.trim())
              .filter((line) => line !== "" && !line.startsWith("#"))
          : DEFAULT_SHELLS;
      return shells.includes(shell) || shells.some((s) => ANY_SHELL.includes(s));
    },
  };
}
