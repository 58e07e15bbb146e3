// sendmail: deliver mail from standard input, be the daemon, list and run the queue, verify addresses.
// Takes Sendmail's options; the work is in daemon/.

import type { Result } from "../base/result.ts";
import { type CommandLine, parseCommandLine } from "../daemon/commandline.ts";
import {
  ask,
  deliver,
  heldCount,
  type Job,
  loginName,
  queueEntries,
  speakSmtp,
  startDaemon,
  withJob,
} from "../daemon/commands.ts";
import { identityText, wantsIdentity } from "../daemon/identity.ts";
import { formatMailq } from "../daemon/listing.ts";
import { MODES } from "../daemon/modes.ts";
import { forbidden } from "../daemon/permission.ts";
import { runDaemon } from "../daemon/run.ts";
import { type Applet, EX, type Io } from "./applet.ts";

const help = `usage: sendmail [-bd|-bD|-bs|-bp|-bv|-bi|-bt|-bh|-bH|-bm] [-q[TIME]] [-t] [-i] [-f ADDRESS] [-C CONFIG] ... [ADDRESS ...]

  -bm            deliver the message on standard input (default)
  -bd            run as a daemon in the background, its log goes to syslog
  -bD            the same in the foreground, the log goes to standard error
  -bs            speak SMTP on standard input and output
  -bp            list the queue (mailq)          -bv   verify addresses, send nothing
  -bi            rebuild the alias database      -bh   host status, -bH forgets it
  -bt            address test mode (? helps)     -bP   entries of the queue and free space
  -q[TIME]       run the queue now, or every TIME (with -bd); -qIsub -qRsub -qSsub select by id, recipient, sender;
                 -q!R... negates, -qQ means quarantined mail
  -Q[REASON]     quarantine what -q selects; with an empty reason release it
  -t             recipients from To, Cc and Bcc  -i    a dot alone does not end the message
  -f ADDRESS     envelope sender                 -F NAME  full name
  -N never|success,failure,delay  -R full|hdrs  -V ENVID   delivery status notifications
  -C CONFIG      a sendmail.mc, a compiled sendmail.cf, or a folder (default /etc/mail)
  -O NAME=VALUE, -oXVALUE   set an option        -L TAG   the name in the system's log
  -p PROTOCOL[:HOST], -h COUNT   how the message came here, and over how many hops
  -v             more of what is listed; while no daemon runs, the log of what is done    -d0.1    version and identity; with -bt -d60 what tables answer

Every local user may submit mail (also with -bs), as himself; the queue, host status and the rest are for root, the group mail and
trusted users (class t). Without a daemon only root and the gateway's user can open the queue.
Options end at the first address. -G, -Ac and -Am are taken and change nothing; -n, -X and -qL are refused.

Exit status: sysexits.h (0 accepted, 64 usage, 67 unknown user, 75 temporary, 78 configuration).
`;

async function deliverInput(job: Job, line: CommandLine, io: Io): Promise<number> {
  if (line.recipients.length === 0 && !line.fromHeader) {
    io.err("Recipient names must be specified\n");
    return EX.USAGE;
  }
  const answer = await deliver(
    job,
    {
      sender: line.sender ?? "",
      fullName: line.fullName,
      recipients: line.recipients,
      fromHeader: line.fromHeader,
      user: loginName(),
      notify: line.notify,
      ret: line.ret,
      envid: line.envid,
      body: line.body,
      deliveryMode: "",
      quarantine: line.quarantineReason ?? "",
      ignoreDots: line.ignoreDots,
      hops: line.hops,
      protocol: line.protocol,
      sendingHost: line.sendingHost,
    },
    io.stdin,
  );
  for (const text of answer.messages) io.err(`${text}\n`);
  return answer.status;
}

/** Says why not, when PrivacyOptions keep this user from the queue. */
function kept(what: "list" | "run", job: Job, io: Io): boolean {
  const why = forbidden(what, job.ready.configuration.options, job.folders.queue);
  if (why !== "") io.err(`${why}\n`);
  return why !== "";
}

async function list(job: Job, line: CommandLine, io: Io): Promise<number> {
  if (kept("list", job, io)) return EX.NOPERM;
  const entries = await queueEntries(job, {
    verb: "mailq",
    selectors: line.selectors,
    quarantined: line.quarantined,
  });
  if (!entries.ok) {
    io.err(`${entries.error}\n`);
    return EX.TEMPFAIL;
  }
  const held = line.quarantined ? 0 : await heldCount(job);
  io.out(formatMailq(job.folders.queue, entries.value, line.verbose, held));
  return EX.OK;
}

async function queue(job: Job, line: CommandLine, io: Io): Promise<number> {
  if (kept("run", job, io)) return EX.NOPERM;
  const { selectors, quarantined, quarantineReason: reason } = line;
  if (reason !== null) {
    const verb = reason === "" ? "release" : "hold";
    const done = await ask(job, { verb, selectors, quarantined: quarantined || reason === "", reason });
    return report(done, io);
  }
  return report(await ask(job, { verb: "flush", selectors, quarantined }), io);
}

function report(done: Result<unknown>, io: Io): number {
  if (!done.ok) io.err(`${done.error}\n`);
  return done.ok ? EX.OK : EX.TEMPFAIL;
}

async function inMode(job: Job, line: CommandLine, args: readonly string[], io: Io): Promise<number> {
  if (wantsIdentity(line.debug)) io.out(identityText(job));
  if (line.mode === "daemon") return startDaemon(job, args, (text) => io.err(`${text}\n`));
  if (line.mode === "list") return list(job, line, io);
  if (line.mode === "queue") return queue(job, line, io);
  if (line.mode === "stdio") return report(await speakSmtp(job, io.stdin, io.outBytes), io);
  if (line.mode === "deliver") return deliverInput(job, line, io);
  return (await MODES.get(line.mode)?.(job, line, io)) ?? EX.USAGE;
}

export const sendmail: Applet = {
  names: ["sendmail", "mailq", "smtpd"],
  summary: "Sendmail's command: deliver, daemon, queue, verify",
  help,
  async run(args, io, name) {
    const parsed = parseCommandLine(name, args);
    if (!parsed.ok) {
      io.err(`${parsed.error}\n`);
      return EX.USAGE;
    }
    const line = parsed.value;
    const persistent = line.mode === "queue" && (line.queueIntervalMs ?? 0) > 0;
    if (line.mode === "foreground" || persistent)
      return runDaemon(line, io.environment, [name, ...args].join(" "));
    return withJob(line, io.environment, io.err, (job) => inMode(job, line, args, io));
  },
};
