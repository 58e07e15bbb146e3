// What the spool asks of routing, at the first attempt of a message: the final recipients of an envelope recipient.
// daemon/ gives the implementation (route/), so that the spool knows nothing of tables.

import type { Recipient } from "../mail/envelope.ts";

export interface RoutedDelivery {
  readonly mailer: string;
  readonly host: string;
  readonly user: string;
  /** What logs and notices show. */
  readonly address: string;
  /** Alias, :include: or .forward file that it came through, "" when direct. */
  readonly via: string;
  /** Envelope sender of this delivery (owner- aliases change it). */
  readonly sender: string;
  /** A member of a list that has an owner, or one of several names behind an alias; undefined: the recipient itself. */
  readonly member?: "list" | "alias";
  readonly unsafe: boolean;
  /** undefined: as the envelope recipient's. */
  readonly notify?: Recipient["notify"];
  readonly orcpt?: string;
  /** Equal for hosts that are served by the same machines (Sendmail's host signature); undefined: the host itself. */
  readonly signature?: string;
}

export interface RoutedError {
  /** false: try again at the next queue run (a table or the DNS cannot be asked now). */
  readonly permanent: boolean;
  readonly address: string;
  readonly via: string;
  /** Enhanced status, "5.1.1". */
  readonly status: string;
  /** As Sendmail says it: "User unknown". */
  readonly text: string;
  /** The reply line for notices: "550 5.1.1 <a@b>... User unknown". */
  readonly diagnostic: string;
}

export interface Routed {
  readonly deliveries: readonly RoutedDelivery[];
  readonly errors: readonly RoutedError[];
  /** The recipient is a mailing list with an owner: a receipt says that the list has it, and names no member. */
  readonly expanded?: boolean;
}

export interface Router {
  /** Never throws for what tables, files or the DNS do. */
  expand(recipient: Recipient, sender: string): Promise<Routed>;
}
