// What became of one recipient in one attempt: delivered, deferred or failed,
// with the words for log and DSN (RFC 3464).

export interface Outcome {
  readonly kind: "delivered" | "deferred" | "failed" | "relayed" | "expanded";
  /** RFC 3463, "2.0.0" when a next hop gave none. */
  readonly status: string;
  /** What mailq and the log's stat= say, e.g. "Sent (250 2.0.0 Ok)", "Deferred: Connection refused by down.example." */
  readonly text: string;
  /** The SMTP reply of the next hop, one line, printable, for Diagnostic-Code; "" when there was none. */
  readonly diagnostic: string;
  /** Name of the host that answered, "" when none. */
  readonly remote: string;
  /** The same for the log's relay=, with the address: "mx.example. [192.0.2.1]"; undefined or "" when there was no connection. */
  readonly relay?: string;
  /** Transcript lines for the bounce (">>> RCPT To:<r>", "<<< 550 ..."), bounded. */
  readonly transcript: readonly string[];
}

/** "relayed": the next hop took over the duty to send success DSNs; "delivered": it did not, or this was a final delivery. */
export function outcome(
  kind: Outcome["kind"],
  status: string,
  text: string,
  more: Partial<Outcome> = {},
): Outcome {
  return { kind, status, text, diagnostic: "", remote: "", transcript: [], ...more };
}
