// One mail transaction: from MAIL to the answer of the final dot, or to whatever ends it first. Every ending drops the whole
// object, so that nothing of one transaction can reach the next (house rule 7; reliability ST-02, ST-03).

import type { Recipient } from "../mail/envelope.ts";
import type { Draft } from "../spool/intake.ts";
import type { DataGate } from "./datagate.ts";

/** What the parameters of MAIL said (RFC 1870, 6152, 3461, 4954, 2852, 6531, 8689). */
export interface MailParameters {
  /** SIZE=, 0 when not given. */
  size: number;
  body?: "7BIT" | "8BITMIME";
  ret?: "FULL" | "HDRS";
  /** xtext as received. */
  envid?: string;
  /** xtext as received, "<>" included. */
  authSender?: string;
  deliverBy?: { readonly seconds: number; readonly mode: "R" | "N"; readonly trace: boolean };
  smtpUtf8: boolean;
  requireTls: boolean;
}

/** The message is to be dropped, or held with a reason: set by the connection, MAIL or a recipient. */
export interface Fate {
  discard: boolean;
  /** "" when the message is not quarantined. */
  quarantine: string;
}

export class Transaction {
  readonly sender: string;
  readonly parameters: MailParameters;
  readonly recipients: Recipient[] = [];
  /** Recipients that routing refused after policy had passed them: Sendmail counts them where it names a single recipient. */
  unknownRecipients = 0;
  /** Accepted RCPT commands, repetitions included: what MaxRecipientsPerMessage counts. */
  accepted = 0;
  /** How each recipient was first written, by address: a repetition is answered with it, as Sendmail does, and kept once. */
  readonly #typed = new Map<string, string>();
  readonly fate: Fate;
  /** The intake has the message, and logs what became of it. */
  offered = false;
  gate: DataGate | null = null;
  draft: Draft | null = null;
  /** Set by DATA: what happens when the gate has seen the end, or what broke it. */
  received: (gate: DataGate) => Promise<void> | undefined = () => undefined;

  constructor(sender: string, parameters: MailParameters, fate: Fate) {
    this.sender = sender;
    this.parameters = parameters;
    this.fate = { ...fate };
  }

  /** Adds a recipient that resolves to `target` ("": not known); returns what its answer shows. */
  add(recipient: Recipient, typed: string, target: string): string {
    this.accepted++;
    const { address } = recipient;
    const at = address.lastIndexOf("@");
    // Domains have no case, local parts may.
    const plain = at < 0 ? address : address.slice(0, at) + address.slice(at).toLowerCase();
    const key = target === "" ? plain : target;
    const before = this.#typed.get(key);
    if (before !== undefined) return before;
    this.#typed.set(key, typed);
    this.recipients.push(recipient);
    return typed;
  }

  /** Ends the transaction without a message; a draft that was open is aborted. */
  drop(): void {
    const draft = this.draft;
    this.draft = null;
    this.gate = null;
    draft?.abort();
  }
}
