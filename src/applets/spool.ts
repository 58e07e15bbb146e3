// postern spool: the queue for its keeper: list, show, hold, release, delete, requeue, verify, status, suspend, resume.
// The work is in daemon/spooljob.ts.

import { parseCommandLine } from "../daemon/commandline.ts";
import { prepareJob } from "../daemon/commands.ts";
import { SPOOL_VERBS, spoolJob } from "../daemon/spooljob.ts";
import { type Applet, EX } from "./applet.ts";

const help = `usage: postern spool [-C CONFIG] [--json] COMMAND [ID ...] [SELECTOR ...]

  list [ID ...]              the queue; -v with priorities (mailq prints the same)
  show ID ...                envelope, header and state of messages
  hold ID ... [-Q REASON]    quarantine: the message stays until it is released
  release ID ...             gives held messages free
  delete ID ...              removes messages for good; nobody is told
  requeue ID ...             routes and tries again, as after a change of tables
  flush ID ...               tries again now, whatever MinQueueAge says
  verify                     figures of the store, and damaged records with their reasons
  reinject NAME ... [-QREASON]  puts the message of a damaged record back into the queue, as far as it can be read
  discard NAME ...           forgets a damaged record for good
  status                     uptime, sessions, queue, memory
  suspend [delivery|listener]   stops deliveries (default) or new sessions; survives a reboot
  resume [delivery|listener]

SELECTOR instead of ids: -qIid -qRrecipient -qSsender -qQreason, each with ! after -q for the opposite.
hold, release, delete and requeue want ids or a selector; --all means every message.

  -C CONFIG      a sendmail.mc, a compiled sendmail.cf, or a folder (default /etc/mail)
  -O NAME=VALUE  set an option, as sendmail does
  --json         for programs

Without a running daemon list, show and verify read the queue themselves; the others need the daemon.

exit status: 0; 67 no such message; 75 no daemon, or it cannot be asked now; 64 usage; 78 configuration.
`;

export const spool: Applet = {
  names: ["spool"],
  summary: "list, show, hold, release, delete messages of the queue",
  help,
  async run(args, io) {
    const json = args.includes("--json");
    const all = args.includes("--all");
    const line = parseCommandLine(
      "sendmail",
      args
        .filter((a) => a !== "--json" && a !== "--all")
        .map((a) => (a === "-Q" ? "-Qheld by the administrator" : a)),
    );
    const [command = "", ...names] = line.ok ? line.value.recipients : [];
    if (!line.ok || !SPOOL_VERBS.has(command)) {
      io.err(line.ok ? help : `${line.error}\n`);
      return EX.USAGE;
    }
    const job = prepareJob(line.value, io.environment);
    if (!job.ok) {
      io.err(`${job.error.lines.join("\n")}\n`);
      return job.error.exit;
    }
    return spoolJob(job.value, { command, names, all, json, line: line.value }, io);
  },
};
