// One message from a program into mailboxes, as the command mail.local does it: the same LocalMailer, without a queue behind it.
// What the mailer would defer is EX_TEMPFAIL here, so that the caller keeps the message.

import type { MailerSpec } from "../config/configuration.ts";
import type { Outcome } from "../mail/outcome.ts";
import type { Attempt, Body } from "../spool/mailer.ts";
import { Turns } from "./append.ts";
import { EX_CANTCREAT, EX_NOUSER, EX_OK, EX_TEMPFAIL } from "./exits.ts";
import { LocalMailer, type MailboxNeeds } from "./local.ts";

const SPEC: MailerSpec = {
  name: "local",
  kind: "local",
  flags: "lsDFMPn",
  path: "",
  args: "",
  lineMax: 0,
  sizeMax: 0,
  recipientsMax: 0,
  messagesMax: 0,
  waitSeconds: 0,
  charset: "",
};

/** What a user's delivery ended with. */
export interface Delivered {
  readonly user: string;
  /** sysexits.h */
  readonly status: number;
  /** For standard error, "" when all is well. */
  readonly message: string;
}

/** Delivers a message (header CRLF lines, body pieces in wire form) to each user's mailbox. */
export async function deliverToMailboxes(
  needs: MailboxNeeds,
  sender: string,
  header: Buffer,
  pieces: readonly Buffer[],
  users: readonly string[],
): Promise<readonly Delivered[]> {
  const body: Body = {
    size: pieces.reduce((n, p) => n + p.length, 0),
    pieces,
    eightBit: true,
    lineMax: 0,
    async *chunks() {
      yield* pieces;
    },
  };
  const outcomes = await new LocalMailer(needs, SPEC, new Turns()).deliver(
    attemptOf(needs, sender, header, body, users),
  );
  return users.map((user, i) => ended(user, outcomes[i]));
}

function attemptOf(
  needs: MailboxNeeds,
  sender: string,
  header: Buffer,
  body: Body,
  users: readonly string[],
): Attempt {
  return {
    message: {
      id: needs.entropy.bytes(7).toString("hex"),
      envelope: {
        sender,
        recipients: [],
        origin: {
          helo: "",
          clientName: "localhost",
          clientAddress: "",
          clientResolve: "ok",
          protocol: "",
          daemon: "",
        },
        smtpUtf8: false,
        requireTls: false,
        hops: 0,
        precedence: 0,
        urgency: "normal",
      },
      header,
      body,
      arrivedMs: needs.clock.wallMs(),
    },
    mailer: SPEC.name,
    host: "",
    sender,
    recipients: users.map((user, index) => ({ index, user, address: user, via: "", unsafe: false })),
    signal: new AbortController().signal,
    interactive: false,
  };
}

function ended(user: string, outcome: Outcome | undefined): Delivered {
  if (outcome?.kind === "delivered") return { user, status: EX_OK, message: "" };
  const why = outcome?.transcript.join("; ") ?? "";
  if (outcome?.kind === "deferred") return { user, status: EX_TEMPFAIL, message: why };
  return { user, status: outcome?.status === "5.1.1" ? EX_NOUSER : EX_CANTCREAT, message: why };
}
