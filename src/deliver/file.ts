// The mailer *file*: `/path` aliases (semantics section 23). Appends to a plain file beneath the jail: From_ line, message, blank
// line; whole and synced, or as before. /dev/null always takes it. What is no plain file of our own is "Can't create output".

import type { MailerSpec } from "../config/configuration.ts";
import { type Outcome, outcome } from "../mail/outcome.ts";
import type { Attempt, DeliveryRecipient, Mailer } from "../spool/mailer.ts";
import { openAppend } from "../sys/mailfile.ts";
import { appendWhole, notOpened, type Turns } from "./append.ts";
import { EX_IOERR } from "./exits.ts";
import { formOf, localText } from "./localtext.ts";
import type { MailerNeeds } from "./needs.ts";
import type { Factory } from "./shared.ts";
import { declined, exited } from "./wording.ts";

const FILE_MODE = 0o600;

export const makeFile: Factory = (spec, needs, shared) => new FileMailer(needs, spec, shared.turns);

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
