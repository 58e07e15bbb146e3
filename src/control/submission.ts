// A submission as it comes over a socket: nothing of it is believed before its shape, its sizes and its bytes have been looked at. Who
// submits is not in it: the daemon knows that from the kernel.

import { err, ok, type Result } from "../base/result.ts";
import type { Submission } from "./protocol.ts";

/** A control byte, which could become the end of a line somewhere: in an address, a field or a command. */
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/;
/** Characters of one word of a submission; an address has its own limit. */
const WORD_CHARS_MAX = 4096;
const NOTIFY = /^(?:|NEVER|(?:SUCCESS|FAILURE|DELAY)(?:,(?:SUCCESS|FAILURE|DELAY)){0,2})$/i;

/** Free text of the command line as one line (Sendmail's denlstring()). */
export function oneLine(text: string): string {
  return text.replace(/[\x00-\x1f\x7f]/g, " ");
}

/** Does `text` hold a control byte? */
export function hasControl(text: string): boolean {
  return CONTROL.test(text);
}

/** What `value` says, for `user`, in at most `recipientsMax` recipients. The error is a line for him. */
export function readSubmission(value: unknown, user: string, recipientsMax: number): Result<Submission> {
  if (typeof value !== "object" || value === null) return err("a submission must say what it is");
  const given = new Map<string, unknown>(Object.entries(value));
  const wrong: string[] = [];
  const text = (name: string): string => {
    const word = given.get(name) ?? "";
    if (typeof word === "string" && word.length <= WORD_CHARS_MAX) return word;
    wrong.push(name);
    return "";
  };
  /** A word that stands in a command, a field or a record: refused with a control byte in it. */
  const plain = (name: string, form = /^/): string => {
    const word = text(name);
    if (hasControl(word) || !form.test(word)) wrong.push(name);
    return word;
  };
  const flag = (name: string): boolean => given.get(name) === true;
  const recipients: unknown = given.get("recipients") ?? [];
  if (!Array.isArray(recipients) || !recipients.every((r): r is string => typeof r === "string"))
    return err("recipients: not a list of addresses");
  if (recipients.length > recipientsMax) return err(tooMany(recipients.length, recipientsMax));
  const hops = given.get("hops") ?? 0;
  if (typeof hops !== "number" || !Number.isSafeInteger(hops) || hops < 0) wrong.push("hops");
  const submission: Submission = {
    // Sender and recipients have replies of their own for what is wrong with them.
    sender: text("sender"),
    recipients,
    fullName: oneLine(text("fullName")),
    quarantine: oneLine(text("quarantine")),
    fromHeader: flag("fromHeader"),
    user,
    notify: plain("notify", NOTIFY).toUpperCase(),
    ret: plain("ret", /^(?:|full|hdrs)$/i).toUpperCase(),
    envid: text("envid"),
    body: plain("body", /^(?:|7bit|8bitmime)$/i).toUpperCase(),
    deliveryMode: plain("deliveryMode"),
    ignoreDots: flag("ignoreDots"),
    hops: Number(hops),
    // Only letters of names are kept of these (localOrigin).
    protocol: text("protocol"),
    sendingHost: text("sendingHost"),
  };
  return wrong.length === 0 ? ok(submission) : err(`cannot be taken: ${wrong.join(", ")}`);
}

/** RFC 5321 4.5.3.1.10. */
export function tooMany(count: number, max: number): string {
  return `552 5.5.3 Too many recipients: ${count}, ${max} are allowed`;
}
