// hoststat, purgestat: what the daemon knows of next hops; the same as sendmail -bh and -bH.
// Sendmail's names and columns; the daemon knows, the applet prints.

import { parseCommandLine } from "../daemon/commandline.ts";
import { withJob } from "../daemon/commands.ts";
import { MODES } from "../daemon/modes.ts";
import { type Applet, EX } from "./applet.ts";

export const hoststat: Applet = {
  names: ["hoststat", "purgestat"],
  summary: "what is known of next hops; purgestat forgets it",
  help: `usage: hoststat [-C CONFIG] [-v]
       purgestat [-C CONFIG]

hoststat prints a line for each host that mail was offered to: its name, how long ago, and what came of
it. purgestat forgets all of them. The daemon keeps this in memory and in its state folder, where it is
read when no daemon runs.

  -C CONFIG      a sendmail.mc, a compiled sendmail.cf, or a folder (default /etc/mail)
  -v             longer results

exit status: 0; 75 it cannot be asked now; 78 the configuration is wrong.
`,
  async run(args, io, name) {
    const line = parseCommandLine(name === "purgestat" ? "purgestat" : "hoststat", args);
    if (!line.ok) {
      io.err(`${line.error}\n`);
      return EX.USAGE;
    }
    const { value } = line;
    return withJob(
      value,
      io.environment,
      io.err,
      async (job) => (await MODES.get(value.mode)?.(job, value, io)) ?? EX.USAGE,
    );
  },
};
