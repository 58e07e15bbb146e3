// sasldblistusers and sasldblistusers2: who may use SMTP AUTH. Output as the SASL library's tools of those names print it.
// The lists are made in sasl/passwd.ts.

import { listByMechanism, listByProperty } from "../sasl/passwd.ts";
import { openStore } from "../sasl/store.ts";
import { type Applet, EX } from "./applet.ts";
import { saslPlace } from "./saslplace.ts";

export const sasldblistusers: Applet = {
  names: ["sasldblistusers", "sasldblistusers2"],
  summary: "list the users of SMTP AUTH",
  help: `usage: sasldblistusers  [-C CONFIG] [FILE]
       sasldblistusers2 [-C CONFIG] [-f FILE | FILE]

Lists the users in sasldb.json beside sendmail.mc. sasldblistusers prints a line for each user and
mechanism (PLAIN, CRAM-MD5 and DIGEST-MD5, or what verifiers alone allow):

  user: maildroid realm: mail.example.org mech: PLAIN

sasldblistusers2 prints a line for each user:

  maildroid@mail.example.org: userPassword

exit status: 0; 64 usage; 66 there is no such file; 74 it cannot be read.
`,
  async run(args, io, name) {
    let configuration: string | null = null;
    let file: string | null = null;
    for (let i = 0; i < args.length; i++) {
      const arg = args[i] ?? "";
      if (arg === "-C") configuration = args[++i] ?? "";
      else if (arg === "-f") file = args[++i] ?? "";
      else if (arg.startsWith("-") || file !== null) {
        io.err(`${sasldblistusers.help.split("\n\n")[0]}\n`);
        return EX.USAGE;
      } else file = arg;
    }
    const { path } = saslPlace(configuration, file);
    const users = openStore(path, { groupReadable: true, repairing: true }).all();
    if (users.kind === "found") {
      io.out((name === "sasldblistusers2" ? listByProperty : listByMechanism)(users.value));
      return EX.OK;
    }
    io.err(
      `listusers failed: ${users.kind === "absent" ? `${path}: No such file or directory` : users.reason}\n`,
    );
    return users.kind === "absent" ? EX.NOINPUT : EX.IOERR;
  },
};
