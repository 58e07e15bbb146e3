// mailstats: counts per mailer, in Sendmail's columns. The daemon counts; there is no statistics file to read.
// Options and exit statuses are those of Sendmail's mailstats where they make sense without a file.

import { parseCommandLine } from "../daemon/commandline.ts";
import { ask, withJob } from "../daemon/commands.ts";
import { formatMailStats, type MailStats } from "../daemon/hostlisting.ts";
import { type Applet, EX } from "./applet.ts";

export const mailstats: Applet = {
  names: ["mailstats"],
  summary: "counts of messages and bytes by mailer",
  help: `usage: mailstats [-C CONFIG] [-o] [-p|-P] [--json]

Prints what the daemon has counted since the time on the first line: for each mailer the messages and
kilobytes from it and to it, and what was rejected, discarded and quarantined; row T is the sum, row C
counts connections from clients and those that were refused.

  -C CONFIG      a sendmail.mc, a compiled sendmail.cf, or a folder (default /etc/mail)
  -o             without the names of mailers
  -p, -P         for programs: times in seconds since 1970, bytes; -p was to clear the counts and does not
  -f FILE, -c    accepted: the counts are the daemon's, not a file's
  --json         for programs

exit status: 0; 64 usage; 75 it cannot be asked now; 78 the configuration is wrong.
`,
  async run(args, io) {
    let program = false;
    let names = true;
    const rest: string[] = [];
    for (let i = 0; i < args.length; i++) {
      const word = args[i] ?? "";
      if (word === "-o") names = false;
      else if (word === "-p" || word === "-P") program = true;
      else if (word === "-f") i++;
      else if (word === "-C" || word === "-O") rest.push(word, args[++i] ?? "");
      else if (/^-[CO]./.test(word)) rest.push(word);
      else if (!/^-(c|f.+|-json)$/.test(word)) {
        io.err(`mailstats: invalid option -- '${word.replace(/^-/, "")}'\n`);
        io.err("usage: mailstats [-C CONFIG] [-o] [-p|-P] [--json]\n");
        return EX.USAGE;
      }
    }
    const line = parseCommandLine("sendmail", rest);
    if (!line.ok) {
      io.err(`${line.error}\n`);
      return EX.USAGE;
    }
    return withJob(line.value, io.environment, io.err, async (job) => {
      const asked = await ask(job, { verb: "counters" });
      if (!asked.ok) {
        io.err(`mailstats: ${asked.error}\n`);
        return EX.TEMPFAIL;
      }
      // counters is answered with one object.
      const [stats] = asked.value as [MailStats];
      io.out(
        args.includes("--json")
          ? `${JSON.stringify(stats)}\n`
          : formatMailStats(stats, program, names && !program),
      );
      return EX.OK;
    });
  },
};
