// What `sendmail` does besides being a daemon: deliver from standard input, list and run the queue, host status. A running daemon is
// asked over the control socket; without one the same gateway answers in this process (here.ts). No command knows which it was.

import { notInBuild } from "../base/build.ts";
import { err, ok, type Result } from "../base/result.ts";
import { type CallError, callDaemon, talkSmtp } from "../control/client.ts";
import type { Call, Submission, SubmitAnswer } from "../control/protocol.ts";
import type { QueueEntry, SpoolFigures } from "../spool/spool.ts";
import { SYSLOG_VARIABLE, startInBackground } from "../sys/background.ts";
import { sleep, systemClock } from "../sys/clock.ts";
import { makeDuplex } from "../sys/duplex.ts";
import { loginOf, PasswdFile } from "../sys/identity.ts";
import type { Log } from "../sys/log.ts";
import { currentUser } from "../sys/process.ts";
import type { CommandLine } from "./commandline.ts";
import { type Folders, foldersOf } from "./folders.ts";
import { type Here, openHere } from "./here.ts";
import { type NotReady, type Ready, readyConfiguration } from "./load.ts";
import { SERVERS } from "./registry.ts";
import { makeLog } from "./run.ts";

export interface Job {
  readonly ready: Ready;
  readonly folders: Folders;
  readonly environment: ReadonlyMap<string, string>;
  readonly line: CommandLine;
  /** Where no daemon answered: the gateway of this process. */
  here: Promise<Result<Here>> | null;
}

/** Ends what a job has begun in this process: its deliveries are waited for. */
export async function endJob(job: Job): Promise<void> {
  const here = await job.here;
  if (here?.ok) await here.value.close();
}

/** Does `work` with what the words of a command mean; the lines of a configuration that is refused are said. The exit status. */
export async function withJob(
  line: CommandLine,
  environment: ReadonlyMap<string, string>,
  say: (text: string) => void,
  work: (job: Job) => Promise<number>,
): Promise<number> {
  const job = prepareJob(line, environment);
  if (!job.ok) {
    for (const text of job.error.lines) say(`${text}\n`);
    return job.error.exit;
  }
  try {
    return await work(job.value);
  } finally {
    await endJob(job.value);
  }
}

function prepareJob(line: CommandLine, environment: ReadonlyMap<string, string>): Result<Job, NotReady> {
  const ready = readyConfiguration(line.configuration, line.options);
  if (!ready.ok) return ready;
  return ok({
    ready: ready.value,
    folders: foldersOf(ready.value.configuration.options),
    environment,
    line,
    here: null,
  });
}

/**
 * Asks the daemon of this configuration; without one the same table of answers is asked in this process. The value is what the answer
 * says, joined; the error a line for people.
 */
export async function ask(job: Job, call: Call): Promise<Result<unknown[], string>> {
  const asked = job.here === null ? await callDaemon(job.folders.controlSocket, call) : noDaemon;
  if (asked.ok) return asked;
  if (asked.error.kind !== "no-daemon") return err(callErrorText(asked.error, job));
  const here = await hereOf(job);
  if (!here.ok) return here;
  const answered = await here.value.handlers.answer(call);
  if (!answered.ok) return answered;
  // As it comes over the socket: the elements of a list, or one value.
  return ok(Array.isArray(answered.value) ? answered.value : [answered.value ?? null]);
}

const noDaemon: Result<never, CallError> = err({ kind: "no-daemon" });

/** The gateway of this process, opened once for all questions of a job. */
function hereOf(job: Job): Promise<Result<Here>> {
  const { ready, folders, environment, line } = job;
  const tag = line.syslogTag === "" ? "sendmail" : line.syslogTag;
  job.here ??= openHere(ready, folders, environment, jobLog(job, tag));
  return job.here;
}

/** The log of a job is the system's; on standard error only when it was asked for, or what a queue run did. */
function jobLog({ line, ready, environment }: Job, tag: string): Log {
  const shown = line.verbose || line.mode === "queue";
  return makeLog(
    shown || environment.has(SYSLOG_VARIABLE) ? ready.configuration.options.LogLevel : -1,
    environment,
    tag,
  );
}

function callErrorText(error: CallError, job: Job): string {
  if (error.kind === "no-daemon") return `no daemon runs (${job.folders.controlSocket})`;
  if (error.kind === "denied")
    return `${job.folders.controlSocket}: permission denied; the daemon has no socket for all users beside it`;
  return error.message;
}

/** Who runs this: the login for the envelope sender. */
export function loginName(passwdFile = "/etc/passwd"): string {
  return loginOf(new PasswdFile(passwdFile), currentUser().uid);
}

/** Submits a message: its deliveries are the daemon's, or those of this process until endJob(). */
export async function deliver(
  job: Job,
  submission: Submission,
  input: AsyncIterable<Buffer>,
): Promise<SubmitAnswer> {
  const asked = await callDaemon(job.folders.controlSocket, { verb: "submit", submit: submission }, input);
  if (asked.ok) return asked.value[0] as SubmitAnswer;
  const failed = (text: string): SubmitAnswer => ({ id: "", status: 75, messages: [text] });
  if (asked.error.kind !== "no-daemon") return failed(callErrorText(asked.error, job));
  const here = await hereOf(job);
  return here.ok ? here.value.handlers.submit(submission, input) : failed(here.error);
}

/** The queue's entries that the call means. */
export async function queueEntries(job: Job, call: Call): Promise<Result<readonly QueueEntry[]>> {
  const asked = await ask(job, call);
  // mailq is answered with entries.
  return asked.ok ? ok(asked.value as QueueEntry[]) : asked;
}

/** Quarantined messages in the queue, which mailq does not list unless it is asked for them. */
export async function heldCount(job: Job): Promise<number> {
  const asked = await ask(job, { verb: "status" });
  if (!asked.ok) return 0;
  // status is answered with figures.
  const [state] = asked.value as { readonly queue: SpoolFigures }[];
  return state?.queue.held ?? 0;
}

/** SMTP on standard input and output (-bs): with the daemon's queue when it runs, else with the queue itself. */
export async function speakSmtp(
  job: Job,
  input: AsyncIterable<Buffer>,
  output: (bytes: Buffer) => void,
): Promise<Result<true>> {
  if (SERVERS[0] === undefined) return err(notInBuild("SMTP on standard input (-bs)"));
  const user = loginName();
  const asked = await talkSmtp(job.folders.controlSocket, input, output);
  if (asked.ok) return asked;
  if (asked.error.kind !== "no-daemon") return err(callErrorText(asked.error, job));
  const here = await hereOf(job);
  if (!here.ok) return here;
  const ends = makeDuplex(
    async (bytes) => output(bytes),
    () => undefined,
  );
  const over = here.value.handlers.session(ends.stream, user);
  const pump = (async () => {
    for await (const chunk of input) ends.push(chunk);
    ends.push(null);
  })();
  await Promise.race([over, pump.then(() => over)]);
  return ok(true);
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
    const answer = await callDaemon(job.folders.controlSocket, { verb: "status" });
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
