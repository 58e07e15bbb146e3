// The mailer local: mailboxes beneath the jail, as mail.local writes them (From_ line, ">From " quoting, dot lock), or a Maildir
// when the mailbox's path ends in "/". Promises: the message is synced before it counts as delivered; a failure leaves the
// mailbox as it was; a full disk or a held lock defers.

import type { MailerSpec } from "../config/configuration.ts";
import { type Outcome, outcome } from "../mail/outcome.ts";
import type { Attempt, DeliveryRecipient, Mailer } from "../spool/mailer.ts";
import { sleep } from "../sys/clock.ts";
import { type DotLock, lockMailbox, makeFolder, openAppend, openMaildir } from "../sys/mailfile.ts";
import { appendWhole, notOpened, type Turns } from "./append.ts";
import { EX_IOERR, EX_NOUSER, EX_TEMPFAIL } from "./exits.ts";
import { formOf, localText } from "./localtext.ts";
import { mailboxName } from "./mailboxname.ts";
import type { MailerNeeds } from "./needs.ts";
import type { Factory } from "./shared.ts";
import { declined, exited } from "./wording.ts";

/** Tries for the dot lock, and the wait between them in milliseconds. */
const LOCK_TRIES_MAX = 20;
const LOCK_WAIT_MS = 250;
const MAILBOX_MODE = 0o660;

/** What writing mailboxes needs; the applet mail.local has no more. */
export type MailboxNeeds = Pick<
  MailerNeeds,
  "clock" | "entropy" | "hostName" | "header" | "senderFor" | "jail" | "mailbox" | "mailboxBytesMax"
>;

export const makeLocal: Factory = (spec, needs, shared) => new LocalMailer(needs, spec, shared.turns);

export class LocalMailer implements Mailer {
  readonly #needs: MailboxNeeds;
  readonly #spec: MailerSpec;
  readonly #turns: Turns;

  constructor(needs: MailboxNeeds, spec: MailerSpec, turns: Turns) {
    this.#needs = needs;
    this.#spec = spec;
    this.#turns = turns;
  }

  async deliver(attempt: Attempt): Promise<readonly Outcome[]> {
    const outcomes: Outcome[] = [];
    for (const r of attempt.recipients) outcomes.push(await this.#one(attempt, r));
    return outcomes;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async #one(attempt: Attempt, r: DeliveryRecipient): Promise<Outcome> {
    if (!mailboxName(r.user)) return exited(EX_NOUSER, r.address);
    const { message } = attempt;
    const { sizeMax } = this.#spec;
    const bytes = message.header.length + message.body.size;
    if (sizeMax > 0 && bytes > sizeMax)
      return declined("failed", 552, "5.2.3", `Message is too large; ${sizeMax} bytes max`, r.address);
    const path = this.#needs.mailbox(r.user);
    if (path.endsWith("/")) return this.#maildir(attempt, r, path);
    return this.#turns.take(path, () => this.#mailbox(attempt, r, path, bytes));
  }

  async #mailbox(attempt: Attempt, r: DeliveryRecipient, path: string, bytes: number): Promise<Outcome> {
    const lock = await this.#lock(path, attempt.signal);
    if (typeof lock === "string")
      return lock === "EEXIST" ? locked(path, r) : notOpened(lock, path, r.address);
    try {
      const opened = openAppend(this.#needs.jail, path, MAILBOX_MODE, true);
      if (!opened.ok) return notOpened(opened.error, path, r.address);
      const file = opened.value;
      try {
        const max = this.#needs.mailboxBytesMax;
        if (max > 0 && file.size + bytes > max)
          return declined("failed", 552, "5.2.2", "Mailbox is full", r.address);
        const failed = await appendWhole(file, await this.#text(attempt, true));
        return failed === null ? outcome("delivered", "2.0.0", "Sent") : notWritten(failed, path, r);
      } finally {
        file.close();
      }
    } finally {
      lock.release();
    }
  }

  async #maildir(attempt: Attempt, r: DeliveryRecipient, path: string): Promise<Outcome> {
    const { clock, entropy, hostName, jail } = this.#needs;
    // Unique without trusting the clock: queue id, recipient and randomness.
    const unique = `${Math.trunc(clock.wallMs() / 1000)}.${attempt.message.id}R${r.index}X${entropy.bytes(6).toString("hex")}`;
    const name = `${unique}.${hostName.replace(/[/:]/g, "_")}`;
    const opened = openMaildir(jail, path, name);
    if (!opened.ok) return notOpened(opened.error, path, r.address);
    const file = opened.value;
    try {
      for await (const chunk of await this.#text(attempt, false)) {
        const added = file.append(chunk);
        if (added.ok) continue;
        file.abort();
        return notWritten(added.error, path, r);
      }
    } catch (e) {
      file.abort();
      return notWritten(e instanceof Error && "code" in e ? String(e.code) : "EIO", path, r);
    }
    const done = file.commit();
    return done.ok ? outcome("delivered", "2.0.0", "Sent") : notWritten(done.error, path, r);
  }

  async #text(attempt: Attempt, mailbox: boolean): Promise<AsyncIterable<Buffer>> {
    const { message } = attempt;
    const header = await this.#needs.header(this.#spec, message.header, message.envelope);
    const sender = await this.#needs.senderFor(this.#spec, attempt.sender);
    const form = formOf(this.#spec.flags, mailbox);
    const shape = mailbox ? form : { ...form, fromLine: false, quoteFrom: false };
    return localText(message, header, sender, shape, this.#needs.clock.wallMs());
  }

  /** The dot lock, or the errno. */
  async #lock(path: string, signal: AbortSignal): Promise<DotLock | string> {
    for (let tries = 1; ; tries++) {
      let lock = lockMailbox(this.#needs.jail, path);
      if (!lock.ok && lock.error === "ENOENT" && tries === 1) {
        // The first mail of all: the folder of mailboxes is ours to make.
        const folder = makeFolder(this.#needs.jail, path.slice(0, path.lastIndexOf("/")));
        if (!folder.ok) return folder.error;
        lock = lockMailbox(this.#needs.jail, path);
      }
      if (lock.ok) return lock.value;
      if (lock.error !== "EEXIST" || tries >= LOCK_TRIES_MAX || signal.aborted) return lock.error;
      await sleep(this.#needs.clock, LOCK_WAIT_MS);
    }
  }
}

function locked(path: string, r: DeliveryRecipient): Outcome {
  const made = exited(EX_TEMPFAIL, r.address, "Deferred: mailbox is locked");
  return { ...made, status: "4.2.0", transcript: [`${path}... locked`, ...made.transcript] };
}

function notWritten(errno: string, path: string, r: DeliveryRecipient): Outcome {
  const made = exited(EX_IOERR, r.address);
  const status = errno === "ENOSPC" || errno === "EDQUOT" ? "4.2.2" : made.status;
  return { ...made, status, transcript: [`${path}... ${errno}`, ...made.transcript] };
}
