// The modes of `sendmail` that neither deliver nor listen: -bt, -bi, -bP, -bh, -bH, -bv. Output as Sendmail prints it, exit
// statuses of sysexits.h. A mode that needs the daemon's knowledge asks it over the control socket.

import { notInBuild } from "../base/build.ts";
import type { HostEntry } from "../deliver/hoststatus.ts";
import { aliasSpec } from "../map/aliases.ts";
import { asText } from "../map/bytestring.ts";
import { buildAliases } from "../map/newaliases.ts";
import { ownNames } from "../prepare/tables.ts";
import type { SpoolFigures } from "../spool/spool.ts";
import { systemClock } from "../sys/clock.ts";
import { systemDisk } from "../sys/disk.ts";
import { systemEntropy } from "../sys/entropy.ts";
import type { CommandLine } from "./commandline.ts";
import { ask, type Job } from "./commands.ts";
import { formatHostStatus } from "./hostlisting.ts";
import { ADDRESS_TESTERS } from "./registry.ts";
import { openSiteHere, resolverFor, thisMachine } from "./site.ts";
import { verifyAddresses } from "./verify.ts";

const EX_OK = 0;
const EX_UNAVAILABLE = 69;
const EX_OSERR = 71;
const EX_TEMPFAIL = 75;

/** Where a mode reads and writes. */
export interface ModeIo {
  readonly stdin: AsyncIterable<Buffer>;
  out(text: string): void;
  err(text: string): void;
}

type Mode = (job: Job, line: CommandLine, io: ModeIo) => Promise<number>;

async function test(job: Job, line: CommandLine, io: ModeIo): Promise<number> {
  const load = ADDRESS_TESTERS[0];
  if (load === undefined) {
    io.err(`${notInBuild("address test mode")}\n`);
    return EX_UNAVAILABLE;
  }
  const { ready } = job;
  const machine = thisMachine(ready.found, job.environment);
  const resolver = resolverFor(ready.configuration, machine, systemClock);
  const opened = openSiteHere(ready.configuration, ready.found, machine, resolver);
  if (!opened.ok) {
    io.err(`${opened.error}\n`);
    return EX_OSERR;
  }
  const run = await load();
  const status = await run(
    {
      site: opened.value.site,
      clock: systemClock,
      entropy: systemEntropy,
      debug: line.debug,
      print: (text) => io.out(text),
    },
    io.stdin,
  );
  opened.value.close();
  return status;
}

async function aliases(job: Job, _line: CommandLine, io: ModeIo): Promise<number> {
  const { configuration } = job.ready;
  const built = buildAliases(
    configuration.options.AliasFile.map(aliasSpec),
    { dontBlame: configuration.options.DontBlameSendmail },
    ownNames(configuration, (path) => path),
  );
  for (const text of built.lines) io.out(`${asText(text)}\n`);
  return built.exit;
}

async function hostStatus(job: Job, line: CommandLine, io: ModeIo): Promise<number> {
  const asked = await ask(job, { verb: "hoststat" });
  if (!asked.ok) return failed(asked.error, io);
  // hoststat is answered with entries.
  io.out(formatHostStatus(asked.value as HostEntry[], systemClock.wallMs(), line.verbose));
  return EX_OK;
}

async function purge(job: Job, _line: CommandLine, io: ModeIo): Promise<number> {
  const asked = await ask(job, { verb: "purgestat" });
  return asked.ok ? EX_OK : failed(asked.error, io);
}

/** -bP: entries of the queue, and what is free for more. */
async function capacity(job: Job, _line: CommandLine, io: ModeIo): Promise<number> {
  const { queue } = job.folders;
  const asked = await ask(job, { verb: "status" });
  if (!asked.ok) return failed(asked.error, io);
  // status is answered with the queue's figures.
  const [status] = asked.value as [{ readonly queue: SpoolFigures }];
  const count = status.queue.messages;
  io.out(count === 0 ? `${queue} is empty\n` : `${queue}: entries=${count}\n`);
  io.out(`\t\tTotal requests: ${count}\n`);
  const space = await systemDisk.space(queue);
  if (space.ok)
    io.out(
      `${queue}: ${Math.floor(space.value.freeBytes / 1024)} kB free (${space.value.freeBlocks} blocks, ${space.value.freeInodes} files)\n`,
    );
  return EX_OK;
}

async function verify(job: Job, line: CommandLine, io: ModeIo): Promise<number> {
  return verifyAddresses(job, line, (text) => io.out(`${text}\n`));
}

function failed(text: string, io: ModeIo): number {
  io.err(`${text}\n`);
  return EX_TEMPFAIL;
}

/** The modes by the name that the command line gives them. */
export const MODES: ReadonlyMap<CommandLine["mode"], Mode> = new Map<CommandLine["mode"], Mode>([
  ["test", test],
  ["aliases", aliases],
  ["hoststat", hostStatus],
  ["purgestat", purge],
  ["capacity", capacity],
  ["verify", verify],
]);
