// What `sendmail` does besides being a daemon: deliver from standard input, list and run the queue, host status. A running daemon is
// asked over the control socket; without one the same gateway is put together here, under the queue's lock, for one job.

import { notInBuild } from "../base/build.ts";
import { err, ok, type Result } from "../base/result.ts";
import { type CallError, callDaemon, talkSmtp } from "../control/client.ts";
import type { Call, Submission, SubmitAnswer } from "../control/protocol.ts";
import type { QueueEntry } from "../spool/spool.ts";
import { startInBackground } from "../sys/background.ts";
import { sleep, systemClock } from "../sys/clock.ts";
import { makeDuplex } from "../sys/duplex.ts";
import { systemEntropy } from "../sys/entropy.ts";
import { PasswdFile } from "../sys/identity.ts";
import { becomeUser, currentUser } from "../sys/process.ts";
import type { CommandLine } from "./commandline.ts";
import { type Folders, foldersOf } from "./folders.ts";
import { Gateway } from "./gateway.ts";
import { type NotReady, type Ready, readyConfiguration } from "./load.ts";
import { confine, isRoot, parseUser, prepareFolders } from "./privileges.ts";
import { SERVERS } from "./registry.ts";
import { localOrigin, makeLog } from "./run.ts";
import { thisMachine } from "./site.ts";
import { submit } from "./submission.ts";

/** What a job without daemon waits for deliveries to end. */
const JOB_GRACE_MS = 60_000;

export interface Job {
  readonly ready: Ready;
  readonly folders: Folders;
  readonly environment: ReadonlyMap<string, string>;
}

export function prepareJob(
  line: CommandLine,
  environment: ReadonlyMap<string, string>,
): Result<Job, NotReady> {
  const ready = readyConfiguration(line.configuration, line.options);
  if (!ready.ok) return ready;
  return ok({ ready: ready.value, folders: foldersOf(ready.value.configuration.options), environment });
}

/** One call to the daemon of this configuration. */
export function ask(
  job: Job,
  call: Call,
  data?: AsyncIterable<Buffer>,
): Promise<Result<unknown[], CallError>> {
  return callDaemon(job.folders.controlSocket, call, data);
}

export function callErrorText(error: CallError, job: Job): string {
  if (error.kind === "no-daemon") return `no daemon runs (${job.folders.controlSocket})`;
  if (error.kind === "denied")
    return `${job.folders.controlSocket}: permission denied; be root or in the group mail`;
  return error.message;
}

/** Puts a gateway together for one piece of work on the queue, then closes it. A daemon that holds the queue is an error. */
export async function withoutDaemon<T>(
  job: Job,
  quiet: boolean,
  work: (gateway: Gateway) => Promise<T>,
): Promise<Result<T>> {
  const { ready, folders } = job;
  const { options } = ready.configuration;
  const machine = thisMachine(ready.found, job.environment);
  const user = isRoot()
    ? parseUser(options.RunAsUser === "" ? options.DefaultUser : options.RunAsUser, machine.passwdFile)
    : null;
  if (user !== null && !user.ok) return user;
  const made = prepareFolders(folders, user?.value ?? null);
  if (!made.ok) return made;
  const gateway = Gateway.make(ready, {
    clock: systemClock,
    entropy: systemEntropy,
    log: makeLog(quiet ? -1 : options.LogLevel),
    machine,
    folders,
    uid: user?.value.uid ?? -1,
    certificateFiles: new Map(),
  });
  if (!gateway.ok) return gateway;
  // For good: programs that a job starts must not find root in reserve.
  const jailed = confine(folders, gateway.value.around.log);
  if (!jailed.ok) return jailed;
  if (user !== null) {
    const dropped = becomeUser(user.value.uid, user.value.gid);
    if (!dropped.ok) return dropped;
  }
  const opened = await gateway.value.openSpool();
  if (!opened.ok) return err(`${folders.queue}: ${opened.error}`);
  try {
    return ok(await work(gateway.value));
  } finally {
    await gateway.value.close(JOB_GRACE_MS);
  }
}

/** Who runs this: the login for the envelope sender. */
export function loginName(passwdFile = "/etc/passwd"): string {
  const account = new PasswdFile(passwdFile).byUid(currentUser().uid);
  return account.kind === "found" ? account.value.name : `uid${currentUser().uid}`;
}

/** Submits a message; deferred deliveries of a job without daemon stay in the queue. */
export async function deliver(
  job: Job,
  line: CommandLine,
  submission: Submission,
  input: AsyncIterable<Buffer>,
): Promise<SubmitAnswer> {
  const asked = await ask(job, { verb: "submit", submit: submission }, input);
  if (asked.ok) return asked.value[0] as SubmitAnswer;
  if (asked.error.kind !== "no-daemon")
    return { id: "", status: 75, messages: [callErrorText(asked.error, job)] };
  const done = await withoutDaemon(job, !line.verbose, async (gateway) => {
    const { spool } = gateway;
    if (spool === null) return { id: "", status: 75, messages: ["the queue cannot be used"] };
    const mode = gateway.configuration.options.DeliveryMode;
    if (mode !== "queueonly" && mode !== "deferred") spool.start(0);
    const answer = await submit({ site: gateway.site, intake: spool, clock: systemClock }, submission, input);
    await spool.idle();
    return answer;
  });
  return done.ok ? done.value : { id: "", status: 75, messages: [done.error] };
}

/** The queue's entries: from the daemon, or read from the queue itself. */
export async function queueEntries(job: Job, call: Call): Promise<Result<readonly QueueEntry[]>> {
  const asked = await ask(job, call);
  // The daemon of this version answers mailq with entries.
  if (asked.ok) return ok(asked.value as QueueEntry[]);
  if (asked.error.kind !== "no-daemon") return err(callErrorText(asked.error, job));
  return withoutDaemon(job, true, async (gateway) => {
    const selectors = (call.selectors ?? []).map((s) => ({ kind: s.field, text: s.text, negate: s.negate }));
    return gateway.spool?.list(selectors) ?? [];
  });
}

/** Runs the queue once over what the selectors mean; waits until it is through. */
export async function runQueue(job: Job, call: Call): Promise<Result<true>> {
  const asked = await ask(job, call);
  if (asked.ok) return ok(true);
  if (asked.error.kind !== "no-daemon") return err(callErrorText(asked.error, job));
  const done = await withoutDaemon(job, false, async (gateway) => {
    gateway.spool?.start(0);
    await gateway.spool?.idle();
    await gateway.spool?.flush(
      (call.selectors ?? []).map((s) => ({ kind: s.field, text: s.text, negate: s.negate })),
    );
  });
  return done.ok ? ok(true) : done;
}

/** SMTP on standard input and output (-bs): with the daemon's queue when it runs, else with the queue itself. */
export async function speakSmtp(
  job: Job,
  input: AsyncIterable<Buffer>,
  output: (bytes: Buffer) => void,
): Promise<Result<true>> {
  const [makeSmtpd] = SERVERS;
  if (makeSmtpd === undefined) return err(notInBuild("SMTP on standard input (-bs)"));
  const user = loginName();
  const asked = await talkSmtp(job.folders.controlSocket, user, input, output);
  if (asked.ok) return asked;
  if (asked.error.kind !== "no-daemon") return err(callErrorText(asked.error, job));
  const done = await withoutDaemon(job, true, async (gateway) => {
    gateway.spool?.start(0);
    const ends = makeDuplex(
      async (bytes) => output(bytes),
      () => undefined,
    );
    const over = makeSmtpd(gateway.service()).serve(ends.stream, localOrigin(user));
    const pump = (async () => {
      for await (const chunk of input) ends.push(chunk);
      ends.push(null);
    })();
    await Promise.race([over, pump.then(() => over)]);
    await gateway.spool?.idle();
  });
  return done.ok ? ok(true) : done;
}

/** Milliseconds that a daemon in the background gets to serve. */
const BACKGROUND_START_MS_MAX = 30_000;

/** sendmail -bd: the daemon in a process of its own; returns when it serves (0) or has ended (its status). */
export async function startDaemon(
  job: Job,
  args: readonly string[],
  say: (text: string) => void,
): Promise<number> {
  const background = startInBackground(args.map((word) => (word === "-bd" ? "-bD" : word)));
  const end = systemClock.monotonicMs() + BACKGROUND_START_MS_MAX;
  while (background.status() === null && systemClock.monotonicMs() < end) {
    const answer = await ask(job, { verb: "status" });
    // "denied" also says that somebody listens there.
    if (answer.ok || answer.error.kind !== "no-daemon") {
      background.leave();
      return 0;
    }
    await sleep(systemClock, 50);
  }
  const status = background.status();
  background.leave();
  if (status === null)
    say(
      `the daemon (process ${background.pid}) does not answer on ${job.folders.controlSocket}; see its log`,
    );
  else say(`the daemon ended with status ${status}; its log says why`);
  return status ?? 75;
}
