// The statistics' view of sessions: policy and intake with a counter around them. They answer exactly what the counted ones answer.
// Counting never changes an order, a reply or an id.

import type { Envelope } from "../mail/envelope.ts";
import type { Policy, Verdict } from "../policy/policy.ts";
import type { Site } from "../route/site.ts";
import type { Draft, Intake } from "../spool/intake.ts";
import type { Statistics } from "./statistics.ts";

/** The mailer under whose number Sendmail would count a sender: the one that mail to the sender would take. */
export function mailerOfSender(site: Site, sender: string): string {
  const at = sender.lastIndexOf("@");
  const local = at < 0 || site.classes.w.has(sender.slice(at + 1));
  return local ? site.config.localMailer : site.config.smtpMailer;
}

export function countedPolicy(policy: Policy, statistics: Statistics, site: Site): Policy {
  const counted = (verdict: Verdict, sender: string): Verdict => {
    if (verdict.kind === "reject") statistics.refused(mailerOfSender(site, sender));
    return verdict;
  };
  return {
    greetPauseMs: (client) => policy.greetPauseMs(client),
    async connect(client) {
      const verdict = await policy.connect(client);
      statistics.connection(verdict.kind === "reject");
      return verdict;
    },
    closed: (client) => policy.closed(client),
    helo: (client) => policy.helo(client),
    mail: async (client, sender, typed) => counted(await policy.mail(client, sender, typed), sender),
    rcpt: async (client, sender, recipient, typed) =>
      counted(await policy.rcpt(client, sender, recipient, typed), sender),
    data: async (client, sender) => counted(await policy.data(client, sender), sender),
    tlsClient: (client) => policy.tlsClient(client),
    serverFeatures: (client) => policy.serverFeatures(client),
    etrn: (client, host) => policy.etrn(client, host),
  };
}

/** A draft that tells the statistics what became of it. */
class CountedDraft implements Draft {
  readonly id: string;
  readonly #draft: Draft;
  readonly #tell: (envelope: Envelope, bytes: number, how: string) => void;
  #bytes = 0;

  constructor(draft: Draft, tell: (envelope: Envelope, bytes: number, how: string) => void) {
    this.id = draft.id;
    this.#draft = draft;
    this.#tell = tell;
  }

  write(chunk: Buffer): Promise<void> | undefined {
    this.#bytes += chunk.length;
    return this.#draft.write(chunk);
  }

  async commit(envelope: Envelope, header: Buffer, lineMax?: number) {
    const verdict = await this.#draft.commit(envelope, header, lineMax);
    this.#tell(envelope, this.#bytes, verdict.kind === "refused" ? "refused" : verdict.how);
    return verdict;
  }

  abort(): void {
    this.#draft.abort();
  }
}

export function countedIntake(intake: Intake, statistics: Statistics, site: () => Site): Intake {
  return {
    admit: (sizeBytes) => intake.admit(sizeBytes),
    newId: () => intake.newId(),
    open(id) {
      const draft = intake.open(id);
      return new CountedDraft(draft, (envelope, bytes, how) => {
        const mailer = mailerOfSender(site(), envelope.sender);
        if (how === "refused") statistics.refused(mailer);
        else {
          const kept = envelope.quarantine === undefined ? "queued" : "quarantined";
          statistics.accepted(
            draft.id,
            mailer,
            envelope.sender,
            bytes,
            how === "discarded" ? "discarded" : kept,
          );
        }
      });
    },
  };
}
