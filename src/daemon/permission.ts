// PrivacyOptions for commands: restrictmailq lets only root and the group of the queue folder list it, restrictqrun only root and the
// folder's owner run it (Sendmail's words, exit status 77). Who may reach the control socket at all is the socket's mode.

import type { Options } from "../config/options.ts";
import { statPath } from "../sys/files.ts";
import { currentUser, userGroups } from "../sys/process.ts";

export const EX_NOPERM = 77;

/** Why this user may not do `what`; "" when it may. */
export function forbidden(what: "list" | "run", options: Options, queue: string): string {
  const { uid, gid } = currentUser();
  const flag = what === "list" ? "restrictmailq" : "restrictqrun";
  if (uid === 0 || !options.PrivacyOptions.includes(flag)) return "";
  const folder = statPath(queue);
  // A folder that this user cannot even see is not its own.
  if (folder.kind === "found") {
    const groups = [gid, ...userGroups()];
    if (what === "list" && groups.includes(folder.value.gid)) return "";
    if (what === "run" && folder.value.uid === uid) return "";
  }
  return what === "list"
    ? "You are not permitted to see the queue"
    : "You do not have permission to process the queue";
}
