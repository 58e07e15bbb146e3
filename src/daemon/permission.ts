// Who may ask what. Everybody may submit mail, as himself; the rest is for root, the gateway's own user and group and trusted users
// (class t). PrivacyOptions restrict further: restrictmailq lets only root and the group of the queue folder list it, restrictqrun
// only root and the folder's owner run it (Sendmail's words, exit status 77). The daemon judges who the kernel says has connected; a
// command without a daemon judges itself.

import type { Options } from "../config/options.ts";
import type { CallVerb } from "../control/protocol.ts";
import { statPath } from "../sys/files.ts";
import { currentUser, userGroups } from "../sys/process.ts";

export const EX_NOPERM = 77;

/** A local user who asks. */
export interface Caller {
  readonly uid: number;
  readonly groups: readonly number[];
}

/** This process. */
export function ourselves(): Caller {
  const { uid, gid } = currentUser();
  return { uid, groups: [gid, ...userGroups()] };
}

/** Why the caller may not do `what`; "" when he may. */
export function forbidden(
  what: "list" | "run",
  options: Options,
  queue: string,
  caller: Caller = ourselves(),
): string {
  const flag = what === "list" ? "restrictmailq" : "restrictqrun";
  if (caller.uid === 0 || !options.PrivacyOptions.includes(flag)) return "";
  const folder = statPath(queue);
  // A folder that this user cannot even see is not its own.
  if (folder.kind === "found") {
    if (what === "list" && caller.groups.includes(folder.value.gid)) return "";
    if (what === "run" && folder.value.uid === caller.uid) return "";
  }
  return what === "list"
    ? "You are not permitted to see the queue"
    : "You do not have permission to process the queue";
}

const FOR_ALL: ReadonlySet<CallVerb> = new Set<CallVerb>(["submit", "smtp"]);
const LISTS: ReadonlySet<CallVerb> = new Set<CallVerb>(["mailq", "show", "verify", "history"]);
const RUNS: ReadonlySet<CallVerb> = new Set<CallVerb>(["flush"]);

export interface Rules {
  readonly options: Options;
  readonly queue: string;
  /** Is this login in class t? */
  trusted(name: string): boolean;
}

/** Why `caller`, whose login is `name`, may not make the call; "" when he may. */
export function refusedCall(verb: CallVerb, caller: Caller, name: string, rules: Rules): string {
  if (FOR_ALL.has(verb)) return "";
  const us = currentUser();
  const known =
    caller.uid === 0 ||
    caller.uid === us.uid ||
    (us.gid !== 0 && caller.groups.includes(us.gid)) ||
    rules.trusted(name);
  if (!known)
    return "permission denied: this is for root, the group mail and trusted users; everybody may submit mail";
  if (LISTS.has(verb)) return forbidden("list", rules.options, rules.queue, caller);
  return RUNS.has(verb) ? forbidden("run", rules.options, rules.queue, caller) : "";
}
