// The mailer error: a recipient whose delivery is an answer (semantics sections 7 and 8). Host is the enhanced code, user the text,
// `NNN text` or text alone (553, as Sendmail's $#error has it).

import type { Outcome } from "../mail/outcome.ts";
import type { Attempt, Mailer } from "../spool/mailer.ts";
import type { Factory } from "./shared.ts";
import { declined } from "./wording.ts";

export const makeError: Factory = () => new ErrorMailer();

export class ErrorMailer implements Mailer {
  deliver(attempt: Attempt): Promise<readonly Outcome[]> {
    return Promise.resolve(attempt.recipients.map((r) => answer(attempt.host, r.user, r.address)));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

function answer(host: string, user: string, address: string): Outcome {
  const coded = /^([45]\d\d)\s+(.*)$/s.exec(user);
  const code = coded === null ? 553 : Number(coded[1]);
  const temporary = code < 500;
  const enhanced = /^[45]\.\d{1,3}\.\d{1,3}$/.test(host)
    ? host
    : temporary
      ? "4.3.0"
      : coded === null
        ? "5.3.0"
        : "5.0.0";
  return declined(temporary ? "deferred" : "failed", code, enhanced, coded?.[2] ?? user, address);
}
