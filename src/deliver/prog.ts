// The mailer prog: `|program` aliases under smrsh's rules, applied here (contract section 8.7): no shell ever sees the command, the
// addresses or the message. Commands joined by && and || run in turn; the first program that runs reads the message, and so does
// each that is run because the one before it failed; a program after && finds its input at the end, as it would behind a shell.

import type { MailerSpec } from "../config/configuration.ts";
import type { Outcome } from "../mail/outcome.ts";
import type { Attempt, DeliveryRecipient, Mailer } from "../spool/mailer.ts";
import type { Ran } from "../sys/spawn.ts";
import { formOf, localText } from "./localtext.ts";
import type { MailerNeeds } from "./needs.ts";
import { runPlan } from "./planrun.ts";
import {
  PROGRAM_OUTPUT_BYTES_MAX,
  programEnvironment,
  programOutcome,
  runMs,
  statusOutcome,
} from "./program.ts";
import type { Factory } from "./shared.ts";
import { planCommand, type Step } from "./smrsh.ts";
import { declined, exited } from "./wording.ts";

/** The command of a recipient: without the `|` and the quotes around all of it that aliases need. */
export function commandOf(user: string): string {
  const bare = user.startsWith('"') && user.endsWith('"') && user.length > 1 ? user.slice(1, -1) : user;
  return bare.replace(/^\s*\|/, "").trim();
}

export const makeProg: Factory = (spec, needs) => new ProgMailer(needs, spec);

export class ProgMailer implements Mailer {
  readonly #needs: MailerNeeds;
  readonly #spec: MailerSpec;

  constructor(needs: MailerNeeds, spec: MailerSpec) {
    this.#needs = needs;
    this.#spec = spec;
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
    if (r.unsafe)
      return declined(
        "failed",
        550,
        "5.7.1",
        `Address ${r.via === "" ? r.address : r.via} is unsafe for mailing to programs`,
        r.address,
      );
    const { smrshDirectories, inspect } = this.#needs;
    const plan = planCommand(commandOf(r.user), smrshDirectories, inspect);
    if (!plan.ok) {
      const made = exited(plan.status, r.address);
      return {
        ...made,
        diagnostic: String(plan.status),
        transcript: [plan.message, ...made.transcript],
      };
    }
    const { message } = attempt;
    const header = await this.#needs.header(this.#spec, message.header, message.envelope);
    const sender = await this.#needs.senderFor(this.#spec, attempt.sender);
    const wallMs = this.#needs.clock.wallMs();
    const form = formOf(this.#spec.flags, false);
    const text = (): AsyncIterable<Buffer> => localText(message, header, sender, form, wallMs);
    const end = await runPlan(plan.steps, (step, whole) => this.#program(step, whole ? text() : nothing()));
    return end.kind === "status"
      ? statusOutcome(end.status, end.said, r.address)
      : programOutcome(end.ran, r.address);
  }

  /** The client's patience does not end a program that is at work: only the time limit does. */
  #program(step: Step, input: AsyncIterable<Buffer>): Promise<Ran> {
    return this.#needs.run({
      file: step.file,
      args: step.args,
      name: "",
      environment: programEnvironment(),
      cwd: "/",
      input,
      timeoutMs: runMs(this.#spec),
      outputBytesMax: PROGRAM_OUTPUT_BYTES_MAX,
    });
  }
}

async function* nothing(): AsyncGenerator<Buffer> {
  // No input: the program before has had the message.
}
