// What can be asked of a running daemon, by name. Requests and answers are JSON; applets and the console speak nothing else.
// A new question is one entry here and one handler in daemon/control.ts.

/** The socket that every local user may open, beside the control socket at `path`: for mail, and for whom the daemon knows and trusts. */
export function submissionSocket(path: string): string {
  return `${path}.submit`;
}

/** Which messages of the queue are meant (-qI -qR -qS -qQ and their `!`); all must hold. */
export interface Selector {
  readonly field: "id" | "recipient" | "sender" | "reason";
  readonly text: string;
  readonly negate: boolean;
}

export interface Call {
  readonly verb: CallVerb;
  readonly selectors?: readonly Selector[];
  /** Ids for spool verbs, hosts for purge. */
  readonly names?: readonly string[];
  /** Quarantine reason for hold. */
  readonly reason?: string;
  readonly verbose?: boolean;
  /** Quarantined mail only (-qQ). */
  readonly quarantined?: boolean;
  /** submit: the message that follows in data frames. */
  readonly submit?: Submission;
  /** trace. */
  readonly trace?: { readonly client: string; readonly sender: string; readonly recipient: string };
}

export type CallVerb =
  | "mailq"
  | "flush"
  | "hold"
  | "release"
  | "delete"
  | "requeue"
  | "show"
  | "verify"
  /** A damaged record: back into the queue (`reason` holds it there), or forgotten for good. */
  | "reinject"
  | "discard"
  | "submit"
  | "hoststat"
  | "purgestat"
  | "mailstats"
  /** The whole of mailstats: rows with numbers, totals, since when. */
  | "counters"
  | "suspend"
  | "resume"
  | "status"
  | "reload"
  | "trace"
  | "history"
  /** An SMTP session over data frames both ways (sendmail -bs). */
  | "smtp";

/** Local submission (`sendmail` on the command line). Addresses without brackets; DSN values still encoded. */
export interface Submission {
  readonly sender: string;
  readonly fullName: string;
  readonly recipients: readonly string[];
  /** -t: recipients come from To, Cc, Bcc (and Bcc is removed). */
  readonly fromHeader: boolean;
  readonly user: string;
  readonly notify: string;
  readonly ret: string;
  readonly envid: string;
  readonly body: string;
  readonly deliveryMode: string;
  readonly quarantine: string;
  readonly ignoreDots: boolean;
  /** -h: hops that the message has had already, at least. */
  readonly hops?: number;
  /** -p, -oMr, -oMs: how and from which host it came to the caller ($r, $s). */
  readonly protocol?: string;
  readonly sendingHost?: string;
}

/** The answer to submit. */
export interface SubmitAnswer {
  readonly id: string;
  readonly status: number;
  readonly messages: readonly string[];
}
