// postern spool: the queue for its keeper: list, show, hold, release, delete, requeue, verify, status, suspend, resume.
// The work is in daemon/spooljob.ts.

import { parseCommandLine } from "../daemon/commandline.ts";
import { withJob } from "../daemon/commands.ts";
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

Without a running daemon the command works on the queue itself.

exit status: 0; 67 no such message; 75 it cannot be asked now; 64 usage; 78 configuration.
`;

/** Ids and options may stand in any order here, as nothing of it comes from strangers. */
function wordsOf(args: readonly string[]): {
  readonly json: boolean;
  readonly all: boolean;
  readonly options: readonly string[];
  readonly names: readonly string[];
} {
  const options: string[] = [];
  const names: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const word = args[i] ?? "";
    if (word === "-C" || word === "-O") options.push(word, args[++i] ?? "");
    else if (word === "-Q") options.push("-Qheld by the administrator");
    else if (!word.startsWith("-")) names.push(word);
    else if (word !== "--json" && word !== "--all") options.push(word);
  }
  return { json: args.includes("--json"), all: args.includes("--all"), options, names };
}

export const spool: Applet = {
  names: ["spool"],
  summary: "list, show, hold, release, delete messages of the queue",
  help,
  async run(args, io) {
    const { json, all, options, names: words } = wordsOf(args);
    const line = parseCommandLine("sendmail", options);
    const [command = "", ...names] = words;
    if (!line.ok || !SPOOL_VERBS.has(command)) {
      io.err(line.ok ? help : `${line.error}\n`);
      return EX.USAGE;
    }
    const { value } = line;
    return withJob(value, io.environment, io.err, (job) =>
      spoolJob(job, { command, names, all, json, line: value }, io),
    );
  },
};
