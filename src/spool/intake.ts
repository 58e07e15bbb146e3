// How a message enters the queue: smtpd/ and local submission open a Draft, stream the body,
// commit, and only then say 250.

import type { Envelope } from "../mail/envelope.ts";
import type { Reply } from "../mail/reply.ts";

/** What the sender is told about a message that was committed or refused. */
export type Verdict =
  | {
      readonly kind: "accepted";
      readonly id: string;
      /** How the promise was kept: on flash, by the next hop (interactive), or dropped on request (DISCARD). */
      readonly how: "spooled" | "relayed" | "discarded";
    }
  | {
      /** Nothing was kept. In interactive mode the next hop's permanent refusal of all recipients comes through here. */
      readonly kind: "refused";
      readonly reply: Reply;
    };

/** One message being received. Every draft ends with exactly one commit() or abort(). */
export interface Draft {
  /** The queue id, known from the start (it is in the Received field). */
  readonly id: string;
  /**
   * Adds body bytes in wire form (CRLF, dots stuffed, no final dot). Returns undefined when more can come at once, or a promise
   * to wait for (back-pressure). Errors (disk full) are kept and come out of commit() as a refusal; later writes are ignored.
   * The chunk is the draft's from now on: the caller must not look at its bytes again.
   */
  write(chunk: Buffer): Promise<void> | undefined;
  /**
   * header: complete, CRLF lines, without the blank line, not dot-stuffed. lineMax: what BodyForm.lineMax says of the body, 0 when
   * nobody has proved it. Resolves when the promise of the 250 is kept.
   */
  commit(envelope: Envelope, header: Buffer, lineMax?: number): Promise<Verdict>;
  abort(): void;
}

export interface Intake {
  /**
   * Room for a message of `sizeBytes` (0 when unknown)? null: yes; else the refusal for MAIL
   * (452 4.4.5 Insufficient disk space; try again later, or 421 when the spool cannot be written).
   */
  admit(sizeBytes: number): Reply | null;
  /** An id for a message, or for a session that may have one. */
  newId(): string;
  /** `id`: one of newId() that no other message has. */
  open(id?: string): Draft;
}
