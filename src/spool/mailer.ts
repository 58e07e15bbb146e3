// The Mailer interface that the spool calls and deliver/ implements: one attempt, one outcome per recipient.
// spool/ and deliver/ meet here and nowhere else; daemon/ gives the spool its mailers.

import type { Envelope, NotifyWord } from "../mail/envelope.ts";
import type { Outcome } from "../mail/outcome.ts";

/** What is known of a body without reading it. */
export interface BodyForm {
  /** True when any byte is above 0x7f (8BITMIME is needed). */
  readonly eightBit: boolean;
  /**
   * Bytes of the longest line, its CRLF not counted, of a body that the data gate has proved to be clean: CRLF lines only, each dot
   * at the start of a line stuffed, no NUL, the last line ended. 0: nobody has proved it.
   */
  readonly lineMax: number;
}

/** A body in wire form: CRLF lines, dots stuffed, without the final dot line. Never whole in memory when it is large. */
export interface Body extends BodyForm {
  /** Bytes as stored. */
  readonly size: number;
  /** In-memory pieces when the body is held in memory, else null. */
  readonly pieces: readonly Buffer[] | null;
  /** The body in order, in chunks of at most 256 KiB; may be called more than once. Where `pieces` is null each chunk is the reader's own. */
  chunks(): AsyncIterable<Buffer>;
  /** Said before and after `pieces` are sent: whether writes of them may still be under way. */
  leaving?(underWay: boolean): void;
}

/** A message in the queue, as a mailer sees it. */
export interface StoredMessage {
  /** Queue id, 14 characters. */
  readonly id: string;
  readonly envelope: Envelope;
  /** The header as accepted, CRLF lines, Received and missing fields added, without the blank line; not dot-stuffed. */
  readonly header: Buffer;
  readonly body: Body;
  /** Wall-clock milliseconds of acceptance (may be wrong: see house rule 10). */
  readonly arrivedMs: number;
}

/** One final recipient after aliasing and routing. */
export interface DeliveryRecipient {
  /** Stable number of this delivery within its message. */
  readonly index: number;
  /** User part of the resolved triple: full address for SMTP, local part for local, command for prog, path for file. */
  readonly user: string;
  /** Address to show in logs and DSNs: the recipient this came from. */
  readonly address: string;
  /** The alias, `:include:` or .forward file that the delivery came through, "" when direct. */
  readonly via: string;
  readonly notify?: readonly NotifyWord[];
  readonly orcpt?: string;
  /** Unsafe for programs and files when the address came from a writable :include: or .forward. */
  readonly unsafe: boolean;
}

/** Recipients of one message for the same mailer and host, tried together. */
export interface Attempt {
  readonly message: StoredMessage;
  /** Name of the mailer declared in the configuration. */
  readonly mailer: string;
  /** Host of the resolved triple, "" for plain local delivery. */
  readonly host: string;
  /** Envelope sender for this delivery (owner- aliases change it), before masquerading. */
  readonly sender: string;
  readonly recipients: readonly DeliveryRecipient[];
  /** Aborted when the client's patience (interactive) or the daemon ends; the outcome still counts if it comes. */
  readonly signal: AbortSignal;
  /** True while the client waits (interactive delivery). */
  readonly interactive: boolean;
}

export interface Mailer {
  /** Never throws and never rejects for what peers, disks or programs do: each recipient has exactly one outcome, in order. */
  deliver(attempt: Attempt): Promise<readonly Outcome[]>;
  /** Drops idle connections (shutdown, end of queue run). */
  close(): Promise<void>;
}
