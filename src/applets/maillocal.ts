// mail.local: a message from standard input into mailboxes.
// The work is deliver/maillocal.ts, the gateway's own mailer.

import { readInputMessage } from "../daemon/inputmessage.ts";
import { deliverToMailboxes } from "../deliver/maillocal.ts";
import { systemClock } from "../sys/clock.ts";
import { systemEntropy } from "../sys/entropy.ts";
import { realPath } from "../sys/files.ts";
import { PasswdFile } from "../sys/identity.ts";
import { joinPath } from "../sys/path.ts";
import { hostName } from "../sys/process.ts";
import { type Applet, EX, type Io } from "./applet.ts";

const MAILBOXES = "/var/spool/mail";
/** Bytes of one message. */
const MESSAGE_BYTES_MAX = 256 * 1024 * 1024;

interface Call {
  readonly sender: string;
  readonly users: readonly string[];
}

/** Options as Sendmail's mail.local has them; null after an error message. */
function parse(args: readonly string[], io: Io): Call | null {
  let sender = io.environment.get("LOGNAME") ?? "";
  let at = 0;
  for (; at < args.length && (args[at] ?? "").startsWith("-"); at++) {
    const word = args[at] ?? "";
    if (word === "--") {
      at++;
      break;
    }
    const letter = word[1] ?? "";
    if (letter === "f" || letter === "r") sender = word.length > 2 ? word.slice(2) : (args[++at] ?? "");
    else if (!/^-[7bd]+$/.test(word)) {
      const why = letter === "l" ? "LMTP is spoken by the gateway itself" : `illegal option -- ${letter}`;
      io.err(`mail.local: ${why}\nusage: mail.local [-7bd] [-f from] user ...\n`);
      return null;
    }
  }
  const users = args.slice(at);
  if (users.length === 0) io.err("usage: mail.local [-7bd] [-f from] user ...\n");
  return users.length === 0 ? null : { sender: sender === "<>" ? "" : sender, users };
}

export const maillocal: Applet = {
  names: ["mail.local"],
  summary: "put a message into mailboxes",
  help: `usage: mail.local [-7bd] [-f FROM] USER ...

Appends the message on standard input to the mailbox of each USER in ${MAILBOXES}, under a dot lock,
whole or not at all. FROM is the sender of the From_ line. Run it as the user that owns the mailboxes.

exit status: 0; 64 usage; 67 no such user; 73 a mailbox cannot be written; 75 later perhaps.
`,
  async run(args, io) {
    const call = parse(args, io);
    if (call === null) return EX.USAGE;
    const folder = realPath(MAILBOXES);
    if (folder.kind !== "found") {
      io.err(`mail.local: ${MAILBOXES}: no such directory\n`);
      return EX.CANTCREAT;
    }
    const input = await readInputMessage(io.stdin, true);
    const pieces: Buffer[] = [];
    let bytes = 0;
    for await (const piece of input.body) {
      bytes += piece.length;
      if (bytes > MESSAGE_BYTES_MAX) {
        io.err("mail.local: the message is too large\n");
        return EX.DATAERR;
      }
      pieces.push(piece);
    }
    const accounts = new PasswdFile("/etc/passwd");
    const known = call.users.filter((user) => accounts.find(user).kind === "found");
    let status: number = EX.OK;
    for (const user of call.users.filter((name) => !known.includes(name))) {
      io.err(`mail.local: unknown name: ${user}\n`);
      status = EX.NOUSER;
    }
    const needs = {
      clock: systemClock,
      entropy: systemEntropy,
      hostName: hostName(),
      header: (_: unknown, header: Buffer) => header,
      senderFor: (_: unknown, sender: string) => sender,
      jail: folder.value,
      mailbox: (user: string) => joinPath(folder.value, user),
      mailboxBytesMax: 0,
    };
    for (const done of await deliverToMailboxes(needs, call.sender, input.header, pieces, known)) {
      if (done.status === EX.OK) continue;
      io.err(`mail.local: ${done.user}: ${done.message}\n`);
      status = done.status;
    }
    return status;
  },
};
