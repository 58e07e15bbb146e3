// Which user names can name a mailbox. Routing lets only accounts through; this is the second look, because the name becomes
// part of a path.

/** A user name that can be part of a path: no separators, no control bytes, not "." or "..". */
export function mailboxName(user: string): boolean {
  return /^[^\x00-\x1f\x7f/]{1,255}$/.test(user) && user !== "." && user !== "..";
}
