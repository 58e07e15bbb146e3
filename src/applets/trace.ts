// postern trace: explains a decision without sending, or tells the life of a message. The work is in daemon/tracing.ts.
// Nothing here decides: the report is printed as text or JSON.

import { parseCommandLine } from "../daemon/commandline.ts";
import { withJob } from "../daemon/commands.ts";
import { messageLife, traceHere } from "../daemon/tracejob.ts";
import { formatHistory, formatTrace, timeText } from "../daemon/tracetext.ts";
import { type Applet, EX, type Io } from "./applet.ts";

const help = `usage: postern trace [-C CONFIG] [--helo NAME] [--json] CLIENT SENDER RECIPIENT
       postern trace [-C CONFIG] [--json] message ID

The first form says what would become of a message from CLIENT (an address; "-" is this machine) with the
envelope SENDER ("<>" is the null sender) to RECIPIENT: every rule that fired, with the table entry and
its file and line, the answers to the client, rewriting, route, hosts, TLS and AUTH. Nothing is sent and
nothing is connected to; the DNS is asked.

The second form tells the life of the message with this queue id, as far as the daemon remembers it.

  -C CONFIG      a sendmail.mc, a compiled sendmail.cf, or a folder (default /etc/mail)
  -O NAME=VALUE  set an option, as sendmail does
  --helo NAME    what the client says in EHLO (default: its name)
  --json         for programs

exit status: 0 the recipient is accepted (the message is known); 69 refused for good; 75 refused for
now; 67 no such message; 64 usage; 78 the configuration is wrong.
`;

interface Words {
  readonly json: boolean;
  readonly helo: string;
  readonly rest: readonly string[];
  readonly options: readonly string[];
}

function wordsOf(args: readonly string[]): Words {
  const rest: string[] = [];
  const options: string[] = [];
  let json = false;
  let helo = "";
  for (let i = 0; i < args.length; i++) {
    const word = args[i] ?? "";
    if (word === "--json") json = true;
    else if (word === "--helo") helo = args[++i] ?? "";
    else if (word === "-C" || word === "-O") options.push(word, args[++i] ?? "");
    else if (/^-[COo]./.test(word)) options.push(word);
    else rest.push(word);
  }
  return { json, helo, rest, options };
}

const bare = (address: string): string => address.replace(/^<(.*)>$/s, "$1");

export const trace: Applet = {
  names: ["trace"],
  summary: "explain a decision, or the life of a message",
  help,
  async run(args, io) {
    const { json, helo, rest, options } = wordsOf(args);
    const line = parseCommandLine("sendmail", options);
    if (!line.ok || !(rest.length === 3 || (rest.length === 2 && rest[0] === "message"))) {
      io.err(help);
      return EX.USAGE;
    }
    const [client = "", sender = "", recipient = ""] = rest;
    return withJob(line.value, io.environment, io.err, async (job) => {
      if (rest.length === 2) return life(await messageLife(job, sender), json, io);
      const report = await traceHere(job, {
        client: client === "-" || client === "local" ? "" : client,
        sender: bare(sender),
        recipient: bare(recipient),
        helo,
      });
      if (!report.ok) {
        io.err(`${report.error}\n`);
        return EX.OSERR;
      }
      io.out(json ? `${JSON.stringify(report.value)}\n` : formatTrace(report.value));
      if (report.value.accepted) return EX.OK;
      return report.value.temporary ? EX.TEMPFAIL : EX.UNAVAILABLE;
    });
  },
};

function life(told: Awaited<ReturnType<typeof messageLife>>, json: boolean, io: Io): number {
  if (!told.ok) {
    io.err(`${told.error}\n`);
    return EX.TEMPFAIL;
  }
  const { id, entry, events } = told.value;
  if (json) io.out(`${JSON.stringify(told.value)}\n`);
  else {
    io.out(formatHistory(events));
    if (entry !== null) {
      const held = entry.hold === "" ? "" : `, held: ${entry.hold}`;
      io.out(`in the queue since ${timeText(entry.arrivedMs)}, ${entry.tries} tries${held}\n`);
      for (const r of entry.recipients) io.out(`  <${r.address}>${r.text === "" ? "" : `  ${r.text}`}\n`);
    }
  }
  if (entry !== null || events.length > 0) return EX.OK;
  io.err(`${id}: not in the queue, and nothing is remembered of it\n`);
  return EX.NOUSER;
}
