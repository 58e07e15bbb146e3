// :include: and .forward files behind Sendmail's file-safety rules (safefile/), and /etc/shells.
// A file that others may write is not read; relaxed rules mark what is in it unsafe for programs and files. Sendmail opens each file as
// the user whose .forward or list names it (include() of its recipient.c); we stay who we are and ask whether he could have opened it.

import { FORWARD_BYTES_MAX, INCLUDE_BYTES_MAX, LIST_FILE_BYTES_MAX } from "../base/limits.ts";
import type { Account, Controller, RecipientFile, RecipientFiles } from "../route/site.ts";
import { readTrusted } from "../safefile/check.ts";
import type { Purpose } from "../safefile/trust.ts";
import { lstatPath, readBoundedFile } from "../sys/files.ts";
import type { PasswdFile } from "../sys/identity.ts";
import { memoryShare } from "../sys/memory.ts";
import { absolutePath, directoryOf } from "../sys/path.ts";
import { currentUser } from "../sys/process.ts";

/** Shells that count when there is no /etc/shells, as Sendmail has them compiled in. */
const DEFAULT_SHELLS = ["/bin/sh", "/bin/bash", "/bin/csh", "/bin/tcsh", "/bin/ksh"];
/** Words of /etc/shells that admit every shell. */
const ANY_SHELL = ["/SENDMAIL/ANY/SHELL/", "/SENDMAIL/ANY/SHELL"];
/** The part of the machine's memory that the text of one list may take. */
const INCLUDE_SHARE = 1 / 32;
/** Directories in one path. */
const DIRECTORIES_MAX = 2048;

function isOrdinary(uid: number): boolean {
  return uid !== 0 && uid !== currentUser().uid;
}

/** The ordinary user who can put another file in the place of `path`: the owner of a directory above it, or of a link there; null: nobody. */
function holderOf(path: string): number | null {
  let holder: number | null = null;
  for (let at = absolutePath(path), steps = 0; steps < DIRECTORIES_MAX; at = directoryOf(at), steps++) {
    const facts = lstatPath(at);
    const counts = facts.kind === "found" && (facts.value.type !== "file" || at !== absolutePath(path));
    if (counts && isOrdinary(facts.value.uid)) holder = facts.value.uid;
    if (at === "/") break;
  }
  return holder;
}

/** `locate` maps a path of the configuration to where it lies (a folder under test is not /etc/mail). */
export function makeRecipientFiles(
  dontBlame: readonly string[],
  locate: (path: string) => string,
  accounts: Pick<PasswdFile, "byUid">,
  shellsFile = "/etc/shells",
): RecipientFiles {
  const controllerOf = (uid: number, gid: number): Controller => {
    const account = accounts.byUid(uid);
    return account.kind === "found" ? account.value : { name: `uid${uid}`, uid, gid, shell: "" };
  };
  /** `user`: who must be able to read it; the file's own user is its controller when nobody is so far. */
  const read = (
    path: string,
    purpose: Purpose,
    bytesMax: number,
    user: Controller | null,
    controller: Controller | null,
  ): RecipientFile => {
    const text = readTrusted(path, purpose, user === null ? { dontBlame } : { dontBlame, user }, bytesMax);
    if (!text.ok) return text.error;
    const { uid, gid } = text.value.facts;
    return {
      kind: "found",
      text: text.value.bytes.toString("latin1"),
      unsafe: !text.value.safe,
      controller: controller ?? (isOrdinary(uid) ? controllerOf(uid, gid) : user),
    };
  };
  const includeMax = memoryShare(INCLUDE_SHARE, FORWARD_BYTES_MAX, INCLUDE_BYTES_MAX);
  return {
    include(path, controller) {
      const place = locate(path);
      const holder = controller === null ? holderOf(place) : null;
      const user = holder === null ? controller : controllerOf(holder, -1);
      return read(place, "include", includeMax, user, controller);
    },
    forward: (path, account: Account) => read(path, "forward", FORWARD_BYTES_MAX, account, account),
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
