// Local submission: what `sendmail` was given on its command line and standard input becomes a message in the queue.
// Recipients are judged as Sendmail does it at submission: the unknown are named to the sender, the others get the mail.

import { ENVELOPE_RECIPIENTS_MAX } from "../base/limits.ts";
import type { Submission, SubmitAnswer } from "../control/protocol.ts";
import { hasControl, oneLine, tooMany } from "../control/submission.ts";
import { completeHeader } from "../mail/complete.ts";
import type { Envelope, NotifyWord, Recipient } from "../mail/envelope.ts";
import { recipientList } from "../mail/phrase.ts";
import { isXtext } from "../mail/xtext.ts";
import { discreet, errorLine } from "../route/answerline.ts";
import { expandRecipient } from "../route/expand.ts";
import type { Site } from "../route/site.ts";
import type { Intake } from "../spool/intake.ts";
import type { Clock } from "../sys/clock.ts";
import { printable } from "../sys/log.ts";
import { readInputMessage } from "./inputmessage.ts";
import { GATEWAY_VERSION } from "./version.ts";

const EX_OK = 0;
const EX_USAGE = 64;
const EX_DATAERR = 65;
const EX_UNAVAILABLE = 69;
const EX_TEMPFAIL = 75;
const RECIPIENT_FIELDS = new Set(["to", "cc", "bcc"]);

export interface SubmissionDeps {
  readonly site: Site;
  readonly intake: Intake;
  readonly clock: Clock;
}

/** Fields of a header as [name, value, raw lines]. */
function* fieldsOf(
  header: Buffer,
): Generator<{ readonly name: string; readonly value: string; readonly raw: string }> {
  for (const m of header.toString("latin1").matchAll(/([^\r\n:]+):((?:[^\r\n]|\r\n[ \t])*)\r\n/g))
    yield { name: (m[1] ?? "").trim(), value: (m[2] ?? "").replace(/\r\n(?=[ \t])/g, " "), raw: m[0] };
}

/** Lists of recipients in To, Cc and Bcc (Resent- ones alone when there are any), and the header without Bcc fields (-t). */
export function headerRecipients(header: Buffer): {
  readonly lists: readonly string[];
  readonly header: Buffer;
} {
  const fields = [...fieldsOf(header)];
  const resent = fields.some((f) => /^resent-/i.test(f.name));
  const lists: string[] = [];
  const kept: string[] = [];
  for (const { name, value, raw } of fields) {
    const folded = name.toLowerCase();
    const plain = resent ? folded.replace(/^resent-/, "") : folded;
    const counts = RECIPIENT_FIELDS.has(plain) && (!resent || folded.startsWith("resent-"));
    if (counts) lists.push(value);
    if (!(counts && plain === "bcc")) kept.push(raw);
  }
  return { lists, header: Buffer.from(kept.join(""), "latin1") };
}

/** A user that may set the sender without a warning (root, daemon, the trusted users of the configuration). */
function trusted(site: Site, user: string): boolean {
  return user === "root" || user === "daemon" || site.classes.t.has(user);
}

/**
 * Whoever may open the control socket is as little trusted as a client of the network: what is wrong with the words around the message,
 * in the words of MAIL; null when nothing is.
 */
function improper(submission: Submission): string | null {
  if (hasControl(submission.sender)) return nonPrintable("5.1.7", submission.sender);
  const recipient = submission.recipients.find(hasControl);
  if (recipient !== undefined) return nonPrintable("5.1.3", recipient);
  return isXtext(submission.envid) ? null : "501 5.5.4 Invalid syntax in -V flag";
}

function nonPrintable(status: string, address: string): string {
  return `501 ${status} Syntax error in mailbox address "${printable(address)}" (non-printable character)`;
}

/** Takes the message in. `status` is the exit status of `sendmail`, `messages` its lines on standard error. */
export async function submit(
  deps: SubmissionDeps,
  submission: Submission,
  input: AsyncIterable<Buffer>,
): Promise<SubmitAnswer> {
  const { site } = deps;
  const parts = await readInputMessage(input, submission.ignoreDots);
  const given = submission.fromHeader ? headerRecipients(parts.header) : null;
  const { options } = site.config;
  const addresses = recipientList(
    [...submission.recipients, ...(given?.lists ?? [])],
    options.OldStyleHeaders,
  );
  const nothing = (messages: string[], status: number): SubmitAnswer => ({ id: "", status, messages });
  if (addresses.length === 0)
    return nothing(
      [
        submission.fromHeader
          ? "No recipient addresses found in header"
          : "Recipient names must be specified",
      ],
      EX_USAGE,
    );

  if (addresses.length > ENVELOPE_RECIPIENTS_MAX)
    return nothing([tooMany(addresses.length, ENVELOPE_RECIPIENTS_MAX)], EX_UNAVAILABLE);

  const wrong = improper(submission);
  if (wrong !== null) return nothing([wrong], EX_DATAERR);

  const messages: string[] = [];
  let status = EX_OK;
  const recipients: Recipient[] = [];
  const notify = submission.notify === "" ? {} : { notify: submission.notify.split(",") as NotifyWord[] };
  for (const address of addresses) {
    const expansion = await expandRecipient(site, { address });
    for (const e of expansion.errors) {
      messages.push(errorLine(discreet(e)));
      status ||= e.exit;
    }
    if (expansion.deliveries.length > 0) recipients.push({ address: bareAddress(address), ...notify });
  }
  if (recipients.length === 0) return nothing(messages, status);
  const refusal = deps.intake.admit(0);
  if (refusal !== null)
    return nothing([`${refusal.code} ${refusal.enhanced} ${refusal.lines.join(" ")}`], EX_TEMPFAIL);

  const sender =
    submission.sender === ""
      ? submission.user
      : submission.sender === "<>"
        ? ""
        : bareAddress(submission.sender);
  const account = site.accounts.find(submission.user);
  const fullName =
    submission.fullName !== ""
      ? oneLine(submission.fullName)
      : account.kind === "found"
        ? account.value.fullName
        : "";
  const draft = deps.intake.open();
  const suspicious =
    submission.sender !== "" &&
    !trusted(site, submission.user) &&
    site.config.options.PrivacyOptions.includes("authwarnings");
  const warning = suspicious
    ? `X-Authentication-Warning: ${site.j}: ${submission.user} set sender to ${printable(sender)} using -f\r\n`
    : "";
  const origin = localOrigin(submission);
  const completed = completeHeader(
    Buffer.concat([Buffer.from(warning, "latin1"), given?.header ?? parts.header]),
    {
      origin,
      id: draft.id,
      hostName: site.j,
      version: GATEWAY_VERSION,
      cfVersion: site.config.texts.cfVersion || GATEWAY_VERSION,
      wallMs: deps.clock.wallMs(),
      sender,
      // -F names the local user only (semantics section 25).
      fullName: submission.sender === "" || submission.sender === submission.user ? fullName : "",
      recipients: recipients.map((r) => r.address),
      noRecipientAction: options.NoRecipientAction,
      fromLine: parts.fromLine,
    },
  );
  // Our own Received field counts; what runs in circles through pipes is counted by whoever calls us (-h).
  const hops = Math.max(submission.hops ?? 0, completed.hops + 1);
  if (hops > options.MaxHopCount) {
    draft.abort();
    const to = recipients[0]?.address ?? "";
    const text = `Too many hops ${hops} (${options.MaxHopCount} max): from ${printable(sender)} via localhost, to ${printable(to)}`;
    return nothing([text], EX_UNAVAILABLE);
  }
  for await (const chunk of parts.body) {
    const wait = draft.write(chunk);
    if (wait !== undefined) await wait;
  }
  if (parts.hasNul()) {
    draft.abort();
    return nothing(["NUL byte not allowed"], EX_DATAERR);
  }
  const envelope: Envelope = {
    sender: sender === "" || sender.includes("@") ? sender : `${sender}@${site.j}`,
    recipients,
    origin,
    ...(submission.body === "" ? {} : { body: submission.body === "7BIT" ? "7BIT" : "8BITMIME" }),
    smtpUtf8: false,
    requireTls: false,
    ...(submission.ret === "" ? {} : { ret: submission.ret === "HDRS" ? "HDRS" : "FULL" }),
    ...(submission.envid === "" ? {} : { envid: submission.envid }),
    ...(submission.quarantine === "" ? {} : { quarantine: oneLine(submission.quarantine) }),
    hops: hops - 1,
    precedence: completed.precedence,
    urgency: completed.urgency,
  };
  const verdict = await draft.commit(envelope, completed.header);
  if (verdict.kind === "refused")
    return nothing(
      [`${verdict.reply.code} ${verdict.reply.enhanced} ${verdict.reply.lines.join(" ")}`],
      verdict.reply.code < 500 ? EX_TEMPFAIL : EX_UNAVAILABLE,
    );
  return { id: verdict.id, status, messages };
}

function bareAddress(text: string): string {
  return text.trim().replace(/^<(.*)>$/, "$1");
}

/** What a protocol and a host of -p and -oM are made of (Sendmail's cleanstrcpy()). */
function word(text: string | undefined): string {
  return (text ?? "").replace(/[^A-Za-z0-9!#$%&'*+\-./^_`{|}~]/g, "").slice(0, WORD_CHARS_MAX);
}

const WORD_CHARS_MAX = 255;

function localOrigin({ user, protocol, sendingHost }: Submission): Envelope["origin"] {
  return {
    helo: word(sendingHost),
    clientName: "localhost",
    clientAddress: "",
    clientResolve: "ok",
    protocol: word(protocol),
    daemon: "",
    localUser: user,
  };
}
