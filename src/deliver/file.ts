// The mailer *file*: `/path` aliases (semantics section 23). Appends to a plain file beneath the jail: From_ line, message, blank
// line; whole and synced, or as before. /dev/null always takes it. What is no plain file of our own is "Can't create output".

import type { MailerSpec } from "../config/configuration.ts";
import { type Outcome, outcome } from "../mail/outcome.ts";
import type { Attempt, DeliveryRecipient, Mailer } from "../spool/mailer.ts";
import { type AppendFile, openAppend } from "../sys/mailfile.ts";
import { EX_CANTCREAT, EX_IOERR, EX_TEMPFAIL } from "./exits.ts";
import { formOf, localText } from "./localtext.ts";
import type { MailerNeeds } from "./needs.ts";
import { declined, exited } from "./wording.ts";

/** Errnos that may go away. */
const TEMPORARY = new Set([
  "ENOSPC",
  "EDQUOT",
  "EIO",
  "EMFILE",
  "ENFILE",
  "EROFS",
  "ENOMEM",
  "EINTR",
  "EAGAIN",
]);

const FILE_MODE = 0o600;

/** The outcome of a file that cannot be opened; `why` is an errno or words. */
export function notOpened(why: string, path: string, address: string): Outcome {
  const status = TEMPORARY.has(why) ? EX_TEMPFAIL : EX_CANTCREAT;
  const made = exited(status, address);
  return { ...made, transcript: [`${path}... ${why}`, ...made.transcript] };
}

/** Appends `text` to an open file: everything and synced, or nothing. Error: the errno. */
export async function appendWhole(file: AppendFile, text: AsyncIterable<Buffer>): Promise<string | null> {
  try {
    for await (const chunk of text) {
      const added = file.append(chunk);
      if (added.ok) continue;
      file.undo();
      return added.error;
    }
  } catch (e) {
    // The spool could not be read to the end.
    file.undo();
    return e instanceof Error && "code" in e ? String(e.code) : "EIO";
  }
  const synced = file.sync();
  if (synced.ok) return null;
  file.undo();
  return synced.error;
}

/** One after the other for each path: two deliveries at once would mix, and a failed one could cut the other's end off. */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>();

  async take<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key);
    const mine = (before ?? Promise.resolve()).then(work, work);
    this.#last.set(key, mine);
    try {
      return await mine;
    } finally {
      if (this.#last.get(key) === mine) this.#last.delete(key);
    }
  }
}

export class FileMailer implements Mailer {
  readonly #needs: MailerNeeds;
  readonly #spec: MailerSpec;
  readonly #turns: Turns;

  constructor(needs: MailerNeeds, spec: MailerSpec, turns: Turns) {
    this.#needs = needs;
    this.#spec = spec;
    this.#turns = turns;
  }

  async deliver(attempt: Attempt): Promise<readonly Outcome[]> {
    const outcomes: Outcome[] = [];
    for (const r of attempt.recipients)
      outcomes.push(await this.#turns.take(r.user, () => this.#one(attempt, r)));
    return outcomes;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async #one(attempt: Attempt, r: DeliveryRecipient): Promise<Outcome> {
    if (r.unsafe)
      return declined(
        "failed",
        550,
        "5.7.1",
        `Address ${r.via === "" ? r.address : r.via} is unsafe for mailing to files`,
        r.address,
      );
    if (r.user === "/dev/null") return outcome("delivered", "2.0.0", "Sent");
    const opened = openAppend(this.#needs.jail, r.user, FILE_MODE, true);
    if (!opened.ok) return notOpened(opened.error, r.user, r.address);
    const file = opened.value;
    try {
      const { message } = attempt;
      const header = await this.#needs.header(this.#spec, message.header, message.envelope);
      const sender = await this.#needs.senderFor(this.#spec, attempt.sender);
      const form = formOf(this.#spec.flags, true);
      const text = localText(message, header, sender, form, this.#needs.clock.wallMs());
      const failed = await appendWhole(file, text);
      if (failed === null) return outcome("delivered", "2.0.0", "Sent");
      const made = exited(EX_IOERR, r.address);
      return { ...made, transcript: [`${r.user}... ${failed}`, ...made.transcript] };
    } finally {
      file.close();
    }
  }
}
