// saslpasswd and saslpasswd2: users and passwords of SMTP AUTH. The work is in sasl/passwd.ts.
// Both write the same file; saslpasswd2 creates a user only with -c.

import {
  changePassword,
  type PasswdFailure,
  type PasswdTerminal,
  parsePasswdArguments,
} from "../sasl/passwd.ts";
import { systemEntropy } from "../sys/entropy.ts";
import { type Applet, EX, type Io } from "./applet.ts";
import { saslPlace } from "./saslplace.ts";

const LINE_BYTES_MAX = 4096;

const EXITS = new Map<PasswdFailure, number>([
  ["usage", EX.USAGE],
  ["no-user", EX.NOUSER],
  ["bad-password", EX.DATAERR],
  ["file", EX.CANTCREAT],
]);

/** The first line of standard input, without its end. */
async function firstLine(io: Io): Promise<string | null> {
  let bytes = Buffer.alloc(0);
  for await (const chunk of io.stdin) {
    bytes = Buffer.concat([bytes, chunk]);
    if (bytes.includes(0x0a) || bytes.length > LINE_BYTES_MAX) break;
  }
  if (bytes.length === 0) return null;
  const end = bytes.indexOf(0x0a);
  return bytes.toString("utf8", 0, end < 0 ? bytes.length : end).replace(/\r$/, "");
}

export const saslpasswd: Applet = {
  names: ["saslpasswd", "saslpasswd2"],
  summary: "set the password of an SMTP AUTH user",
  help: `usage: saslpasswd  [-dpn] [-u REALM] [-f FILE] [-C CONFIG] USER
       saslpasswd2 [-cdpn] [-u REALM] [-f FILE] [-C CONFIG] USER

Sets the password of USER for SMTP AUTH, in sasldb.json beside sendmail.mc. The password is asked
twice and not shown. A running gateway knows the new password at once.

saslpasswd creates USER and the file when they are missing; saslpasswd2 does so with -c only.
USER may be written user@realm; the realm is otherwise confAUTH_REALM or the host's full name.

  -c         create USER when missing
  -d         delete USER
  -p         read the password from standard input (first line), do not ask
  -n         keep verifiers only, never the password itself: CRAM-MD5 and DIGEST-MD5 will not work
             for USER. (The password is also not kept when neither mechanism is enabled.)
  -u REALM   the realm of USER
  -f FILE    another credentials file
  -C CONFIG  another mail configuration than /etc/mail
  -a NAME, -v   accepted

Example: saslpasswd maildroid

exit status: 0; 64 usage; 65 the password cannot be used; 67 no such user; 73 the file cannot be
read or written.
`,
  async run(args, io, name) {
    const request = parsePasswdArguments(name, args);
    if (!request.ok) {
      io.err(`${request.error}\n${saslpasswd.help.split("\n\n")[0]}\n`);
      return EX.USAGE;
    }
    const terminal: PasswdTerminal = { ask: (prompt) => io.askSecret(prompt), readLine: () => firstLine(io) };
    const place = saslPlace(request.value.configuration, request.value.file);
    for (const notice of place.notices) io.err(`${notice}\n`);
    const done = await changePassword(request.value, place, terminal, systemEntropy);
    if (done.ok) return EX.OK;
    io.err(`${name}: ${done.error.text}\n`);
    return EXITS.get(done.error.kind) ?? EX.SOFTWARE;
  },
};
