// The envelope: who sends, who receives, what the client asked for (RFC 5321, DSN of RFC 3461), where it came from.
// xtext values (ENVID, ORCPT, AUTH=) stay encoded as received; only rendering decodes them (reliability INJ-05).

export type NotifyWord = "NEVER" | "SUCCESS" | "FAILURE" | "DELAY";

export interface Recipient {
  /** Address without angle brackets, as routing takes it: "user@dom". */
  readonly address: string;
  /** RFC 3461 4.1; undefined when the client said nothing (then failure and delay are reported). */
  readonly notify?: readonly NotifyWord[];
  /** RFC 3461 4.2, `type;xtext` still encoded. */
  readonly orcpt?: string;
}

/** How the message came to us; what the Received field and the log say. */
export interface Origin {
  /** Argument of HELO/EHLO as sent, "" for local submission. */
  readonly helo: string;
  /** Client host name, or "[1.2.3.4]" when there is none; "localhost" for local submission. */
  readonly clientName: string;
  /** Client address without brackets, "" for local submission. */
  readonly clientAddress: string;
  /** The result of PTR and forward lookup. */
  readonly clientResolve: "ok" | "fail" | "forged" | "temp";
  /** "SMTP" | "ESMTP" | "ESMTPS" | "ESMTPA" | "ESMTPSA", "" for local submission. */
  readonly protocol: string;
  /** DaemonPortOptions Name of the listener ("MTA", "MSA"). */
  readonly daemon: string;
  /** The authenticated identity and mechanism, when there is one. */
  readonly auth?: { readonly identity: string; readonly mechanism: string };
  readonly tls?: {
    readonly version: string;
    readonly cipher: string;
    readonly bits: number;
    readonly verify: string;
  };
  /** Login of a local submitter. */
  readonly localUser?: string;
}

export interface Envelope {
  /** Envelope sender without angle brackets; "" is the null sender. */
  readonly sender: string;
  readonly recipients: readonly Recipient[];
  readonly origin: Origin;
  /** "7BIT" | "8BITMIME" as declared by BODY=; undefined when not declared. */
  readonly body?: "7BIT" | "8BITMIME";
  /** Bytes of the message as the client sent it, for the log; not stored. */
  readonly receivedBytes?: number;
  readonly smtpUtf8: boolean;
  readonly requireTls: boolean;
  /** RFC 3461 4.3 */
  readonly ret?: "FULL" | "HDRS";
  /** RFC 3461 4.4, xtext still encoded. */
  readonly envid?: string;
  /** AUTH= of MAIL, xtext still encoded (RFC 4954 section 5). */
  readonly authSender?: string;
  /** RFC 2852: seconds from arrival and mode. */
  readonly deliverBy?: { readonly seconds: number; readonly mode: "R" | "N"; readonly trace: boolean };
  /** Reason why the message is quarantined (access QUARANTINE:, -Q), undefined when it is not. */
  readonly quarantine?: string;
  /** Accepted but to be dropped (access DISCARD). */
  readonly discard?: boolean;
  /** Received fields already there, ours not counted. */
  readonly hops: number;
  /** Precedence class (Sendmail: special-delivery 100, first-class 0, list -30, bulk -60, junk -100). */
  readonly precedence: number;
  /** Selects Timeout.queuereturn and queuewarn: by Priority, else by what the message is (a status notification), else by its class. */
  readonly urgency: "normal" | "urgent" | "non-urgent" | "dsn";
}
