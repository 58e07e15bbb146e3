// The mailer discard: takes everything and keeps nothing
// ($#discard of the rules, access DISCARD at delivery).

import { type Outcome, outcome } from "../mail/outcome.ts";
import type { Attempt, Mailer } from "../spool/mailer.ts";
import type { Factory } from "./shared.ts";

export const makeDiscard: Factory = () => new DiscardMailer();

export class DiscardMailer implements Mailer {
  deliver(attempt: Attempt): Promise<readonly Outcome[]> {
    return Promise.resolve(attempt.recipients.map(() => outcome("delivered", "2.0.0", "discarded")));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
