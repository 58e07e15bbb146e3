// What expanding one envelope recipient gives: final deliveries, what is in error and where it stands, and the status of -bv.
// Plain facts: who words them for whom is answerline.ts and the daemon.

import type { NotifyWord } from "../mail/envelope.ts";
import type { Reply } from "../mail/reply.ts";

/** A final delivery of one recipient. */
export interface Delivery {
  readonly mailer: string;
  readonly host: string;
  /** The host is the address's own and canonical: -bv shows it with a final dot. */
  readonly canonical: boolean;
  readonly user: string;
  /** The address as it stood in the envelope, alias or file. */
  readonly address: string;
  /** The alias, :include: or .forward it came through; "" when direct. */
  readonly via: string;
  /** Envelope sender instead of the message's, from an owner- alias; null: the message's own. */
  readonly sender: string | null;
  /** Came from a writable file: not for programs and files (those are errors already; kept for the mailer's own check). */
  readonly unsafe: boolean;
  /** Why it has to wait, "" when it can be tried now. */
  readonly wait: string;
  readonly notify?: readonly NotifyWord[];
  readonly orcpt?: string;
}

export interface ExpansionError {
  /** The address that is in error, as written where it stood. */
  readonly address: string;
  readonly via: string;
  /** `file: line N: ` when it stands in an :include: or .forward file. */
  readonly where: string;
  /** Without the `<address>... ` prefix. */
  readonly reply: Reply;
  /** sysexits.h status; 0: none of its own. */
  readonly exit: number;
}

export interface Expansion {
  readonly deliveries: readonly Delivery[];
  readonly errors: readonly ExpansionError[];
  /** Exit status of -bv: 0, or that of the first error. */
  readonly exit: number;
}
