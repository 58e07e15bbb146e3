// The daemon from start to stop: what is done as root, the jail, giving root up, listeners, control socket, signals.
// Anything that cannot be right at start is said in lines and an exit status before anything is half started; without a usable spool
// the gateway still answers, 421 and why (contract: the appliance is up).

import { BUILD, notInBuild } from "../base/build.ts";
import { STOP_GRACE_MS } from "../base/limits.ts";
import { err, ok, type Result } from "../base/result.ts";
import type { DaemonSpec } from "../config/configuration.ts";
import type { Smtpd } from "../smtpd/server.ts";
import type { Service } from "../smtpd/service.ts";
import { CRASH_MARK } from "../spool/store.ts";
import { SYSLOG_VARIABLE } from "../sys/background.ts";
import { systemClock } from "../sys/clock.ts";
import { compileBriefly } from "../sys/compiler.ts";
import { systemEntropy } from "../sys/entropy.ts";
import { removeFile, replaceFile } from "../sys/files.ts";
import { collectEverything } from "../sys/heap.ts";
import { loginOf, PasswdFile } from "../sys/identity.ts";
import type { LocalListener } from "../sys/localsocket.ts";
import { type Log, processLog, standardErrorLog } from "../sys/log.ts";
import { joinPath } from "../sys/path.ts";
import { becomeUser, exitNow, onFatal, onSignal, processId, setEffectiveUser } from "../sys/process.ts";
import { syslogWriter } from "../sys/syslog.ts";
import { writeErr } from "../sys/terminal.ts";
import { type Answering, answer } from "./answers.ts";
import type { CommandLine } from "./commandline.ts";
import { type Judge, listenControl } from "./control.ts";
import { foldersOf } from "./folders.ts";
import { Gateway } from "./gateway.ts";
import { Keeping } from "./keeping.ts";
import { type NotReady, readyConfiguration } from "./load.ts";
import { refusedCall } from "./permission.ts";
import { confine, isRoot, parseUser, prepareFolders, type User } from "./privileges.ts";
import { watchQuiet } from "./quiet.ts";
import { SERVERS } from "./registry.ts";
import { thisMachine } from "./site.ts";
import { submit } from "./submission.ts";
import { closedIntake, closedPolicy, unavailableReply } from "./unavailable.ts";
import { watchValidity } from "./validity.ts";

const EX_OK = 0;
const EX_SOFTWARE = 70;
const EX_CONFIG = 78;

/** Where a session of -bs comes from. */
export function localOrigin(user: string): {
  address: string;
  localAddress: string;
  localPort: number;
  localUser: string;
} {
  return { address: "", localAddress: "", localPort: 0, localUser: `${user}@localhost` };
}

/** The log on standard error, or in syslog when the environment names its socket (-bd, and the init script) and somebody listens there. */
export function makeLog(level: number, environment?: ReadonlyMap<string, string>, tag = "sendmail"): Log {
  const socket = environment?.get(SYSLOG_VARIABLE) ?? "";
  const writer = socket === "" ? null : syslogWriter(socket, tag);
  return processLog(writer ?? standardErrorLog(), level);
}

function refused(line: string, exit = EX_CONFIG): Result<never, NotReady> {
  return err({ lines: [line], exit });
}

/** Set to 1 by who starts the program and saw it end by itself (rootfs/lib/postern/gateway). */
const CRASHED_VARIABLE = "POSTERN_CRASHED";

/** Everything up to a gateway without spool: configuration, folders, tables, certificates. */
function prepare(
  line: CommandLine,
  environment: ReadonlyMap<string, string>,
): Result<{ gateway: Gateway; user: User | null }, NotReady> {
  const ready = readyConfiguration(line.configuration, line.options);
  if (!ready.ok) return ready;
  const { configuration } = ready.value;
  const { options } = configuration;
  const log = makeLog(options.LogLevel, environment, line.syslogTag === "" ? "sendmail" : line.syslogTag);
  for (const notice of ready.value.notices) log.line(1, notice);
  const machine = thisMachine(ready.value.found, environment);
  const folders = foldersOf(options);
  let user: User | null = null;
  if (isRoot()) {
    const parsed = parseUser(
      options.RunAsUser === "" ? options.DefaultUser : options.RunAsUser,
      machine.passwdFile,
    );
    if (!parsed.ok) return refused(parsed.error);
    user = parsed.value;
  }
  if (line.spoolUnusable === null) {
    const made = prepareFolders(folders, user);
    if (!made.ok) log.line(0, made.error);
  }
  const around = {
    clock: systemClock,
    entropy: systemEntropy,
    log,
    machine,
    folders,
    uid: user?.uid ?? -1,
    certificateFiles: new Map(),
    crashed: environment.get(CRASHED_VARIABLE) === "1",
  };
  const gateway = Gateway.make(ready.value, around);
  if (!gateway.ok) return refused(gateway.error, 71);
  // Opens every table while root may still read it: Sendmail, which stays root, reads what an administrator's makemap left 0640.
  tellTables(gateway.value);
  return ok({ gateway: gateway.value, user });
}

/** A line in the log for each table that cannot be used as it is. */
function tellTables(gateway: Gateway): void {
  for (const notice of gateway.generation.opened.notices()) gateway.around.log.line(1, notice);
}

/** The service of a gateway, or the one that says 421 and `reason` to everybody. */
function serviceOf(gateway: Gateway, reason: string): Service {
  if (gateway.intake !== null) return gateway.service();
  const refusal = unavailableReply(gateway.site.j, reason);
  const open = gateway.service(closedIntake(refusal));
  return { ...open, policy: closedPolicy(open.policy, refusal) };
}

/** Opens the queue as the daemon's user. The reason when it cannot be used, "" when it can. */
async function openQueue(
  gateway: Gateway,
  line: CommandLine,
  user: User | null,
): Promise<Result<string, NotReady>> {
  const { log, folders } = gateway.around;
  const jail = confine(folders, log);
  if (!jail.ok) return refused(jail.error, EX_SOFTWARE);
  if (line.spoolUnusable !== null) return ok(withoutQueue(gateway, line.spoolUnusable));
  if (user !== null) setEffectiveUser(user.uid, user.gid);
  const opened = await gateway.openSpool();
  if (user !== null) setEffectiveUser(0, 0);
  if (opened.ok) return ok("");
  if (BUILD.board === "host") return refused(`${folders.queue}: ${opened.error}`, 71);
  return ok(withoutQueue(gateway, opened.error));
}

/** Says what becomes of mail while the queue cannot be used; the reason. */
function withoutQueue(gateway: Gateway, reason: string): string {
  const then = gateway.relayOnly(reason)
    ? "only what its next hop takes at once is accepted"
    : "answering 421";
  gateway.around.log.line(0, `the spool cannot be used: ${reason}; ${then}`);
  return reason;
}

async function listenAll(
  smtpd: Smtpd,
  daemons: readonly DaemonSpec[],
  log: Log,
): Promise<Result<true, NotReady>> {
  for (const daemon of daemons) {
    const bound = await smtpd.listen(daemon);
    if (bound.ok) {
      log.line(9, `daemon ${daemon.name}: listening on ${bound.value.address} port ${bound.value.port}`);
      continue;
    }
    const text = `opendaemonsocket: daemon ${daemon.name}: can't bind to ${daemon.address || "*"} port ${daemon.port}: ${bound.error}`;
    if (!daemon.modifiers.includes("O")) return refused(text);
    log.line(1, `${text} (optional)`);
  }
  return ok(true);
}

/** Callers of the control sockets, judged by the configuration that runs when they ask. */
function judgeOf(gateway: Gateway): Judge {
  const { folders, machine } = gateway.around;
  const accounts = new PasswdFile(machine.passwdFile);
  const nameOf = (uid: number): string => loginOf(accounts, uid);
  return {
    nameOf,
    refuses: (verb, caller) =>
      refusedCall(verb, caller, nameOf(caller.uid), {
        options: gateway.configuration.options,
        queue: folders.queue,
        trusted: (name) => gateway.site.classes.t.has(name),
      }),
  };
}

/** Runs the daemon until it is told to stop. The result is its exit status; lines of a refused start are printed. */
export async function runDaemon(
  line: CommandLine,
  environment: ReadonlyMap<string, string>,
  words: string,
): Promise<number> {
  const prepared = prepare(line, environment);
  if (!prepared.ok) return said(prepared.error);
  const { gateway, user } = prepared.value;
  const { log, folders, clock } = gateway.around;
  onFatal((what) => {
    log.line(0, `assertion or bug, the process ends: ${what}`);
    // Found at the next start: what was being tried may be the reason.
    if (gateway.spool !== null) replaceFile(joinPath(folders.queue, CRASH_MARK), "", 0o600);
    exitNow(EX_SOFTWARE);
  });
  // Before the jail: a packaged binary unpacks the addon outside of it.
  const keeping = await Keeping.prepare(gateway);
  const queue = await openQueue(gateway, line, user);
  if (!queue.ok) return said(queue.error);
  const reason = queue.value;

  const listening = line.mode === "daemon" || line.mode === "foreground";
  const [makeSmtpd] = SERVERS;
  const smtpd = listening && makeSmtpd !== undefined ? makeSmtpd(serviceOf(gateway, reason)) : null;
  if (makeSmtpd === undefined && gateway.configuration.daemons.length > 0)
    log.line(5, `${notInBuild("the SMTP server")}: the listeners of the configuration are not opened`);
  const life = new Life(gateway, smtpd, line, reason);
  const answering: Answering = {
    gateway,
    smtpd,
    reload: () => life.reload(),
    startedMs: clock.monotonicMs(),
  };
  const control = await listenControl(
    folders.controlSocket,
    user === null ? undefined : { uid: 0, gid: user.gid },
    {
      answer: (call) => answer(answering, call),
      submit: (submission, input) =>
        gateway.intake === null
          ? Promise.resolve({ id: "", status: 75, messages: [`the queue cannot be used: ${reason}`] })
          : submit({ site: gateway.site, intake: gateway.intake, clock }, submission, input),
      session: async (stream, name) => {
        const server = smtpd ?? makeSmtpd?.(serviceOf(gateway, reason));
        await server?.serve(stream, localOrigin(name));
      },
    },
    judgeOf(gateway),
    clock,
    log,
  );
  if (!control.ok) {
    log.line(1, `no control socket: ${control.error}`);
    if (control.error.endsWith("EADDRINUSE")) {
      await gateway.close(0);
      return said({ lines: [`another daemon runs: ${control.error}`], exit: EX_CONFIG });
    }
  }
  if (smtpd !== null) {
    const bound = await listenAll(smtpd, gateway.configuration.daemons, log);
    if (!bound.ok) {
      await smtpd.close(false);
      if (control.ok) await control.value.close();
      await gateway.close(0);
      return said(bound.error);
    }
  }
  const pid = replaceFile(folders.pidFile, `${processId()}\n${words}\n`, 0o644);
  if (!pid.ok) log.line(5, pid.error);
  if (user !== null) {
    const dropped = becomeUser(user.uid, user.gid);
    if (!dropped.ok) return said({ lines: [dropped.error], exit: EX_SOFTWARE });
  }
  if (gateway.spool?.suspended.has("listener")) smtpd?.suspend(true);
  compileBriefly();
  gateway.spool?.start(line.queueIntervalMs ?? 0);
  log.line(0, `started as: ${words}`);
  const kept = reason === "" ? keeping.begin() : Promise.resolve();
  const restless = watchQuiet(
    clock,
    () => gateway.statistics.changes + (smtpd?.stats.accepted ?? 0),
    collectEverything,
  );
  const unwatch = watchValidity(clock, log, gateway.clockTrusted, gateway.endings);
  const status = await life.over(control.ok ? control.value : null);
  unwatch();
  restless();
  await kept;
  await keeping.close();
  removeFile(folders.pidFile);
  return status;
}

/** Signals and reloads of a running daemon. */
class Life {
  readonly #gateway: Gateway;
  readonly #smtpd: Smtpd | null;
  readonly #line: CommandLine;
  readonly #reason: string;

  constructor(gateway: Gateway, smtpd: Smtpd | null, line: CommandLine, reason: string) {
    this.#gateway = gateway;
    this.#smtpd = smtpd;
    this.#line = line;
    this.#reason = reason;
  }

  /** Takes the configuration anew; a bad one is refused with its reasons and the old one keeps running. */
  reload(): Result<true> {
    const { log } = this.#gateway.around;
    const ready = readyConfiguration(this.#line.configuration, this.#line.options);
    if (!ready.ok) {
      for (const text of ready.error.lines) log.line(0, text);
      log.line(0, "the configuration is refused, the old one keeps running");
      return err(ready.error.lines.join("\n"));
    }
    const before = this.#gateway.configuration.daemons;
    const done = this.#gateway.reload(ready.value);
    if (!done.ok) {
      log.line(0, `${done.error}: the configuration is refused, the old one keeps running`);
      return done;
    }
    const smtpd = this.#smtpd;
    if (smtpd !== null) {
      smtpd.update(serviceOf(this.#gateway, this.#reason), ready.value.configuration.daemons);
      void rebind(smtpd, before, ready.value.configuration.daemons, log);
    }
    for (const notice of ready.value.notices) log.line(1, notice);
    tellTables(this.#gateway);
    log.line(0, "restarted on signal or request: the new configuration is active");
    return ok(true);
  }

  /** Resolves when a signal has ended the daemon and everything is written. */
  over(control: LocalListener | null): Promise<number> {
    const { log } = this.#gateway.around;
    return new Promise((resolve) => {
      let stopping = false;
      const stop = (): void => {
        if (stopping) return;
        stopping = true;
        log.line(0, "stopping daemon, reason=signal");
        void (async () => {
          await this.#smtpd?.close(true);
          await control?.close();
          await this.#gateway.close(STOP_GRACE_MS);
          resolve(EX_OK);
        })();
      };
      onSignal("SIGTERM", stop);
      onSignal("SIGINT", stop);
      onSignal("SIGHUP", () => void this.reload());
      onSignal("SIGUSR1", () => void this.#gateway.spool?.flush());
      onSignal("SIGPIPE", () => undefined);
    });
  }
}

const key = (d: DaemonSpec): string => `${d.family} ${d.address} ${d.port}`;

/** Listeners that are new are opened, those that are gone are closed; one that cannot be bound is said and left. */
async function rebind(
  smtpd: Smtpd,
  before: readonly DaemonSpec[],
  now: readonly DaemonSpec[],
  log: Log,
): Promise<void> {
  const wanted = new Set(now.map(key));
  const had = new Set(before.map(key));
  for (const daemon of now) {
    if (had.has(key(daemon))) continue;
    const bound = await smtpd.listen(daemon);
    if (!bound.ok)
      log.line(
        0,
        `daemon ${daemon.name}: cannot listen on port ${daemon.port}: ${bound.error}; what listened before goes on`,
      );
  }
  for (const daemon of before)
    if (!wanted.has(key(daemon)))
      await smtpd.unlisten(
        daemon.address !== "" ? daemon.address : daemon.family === "inet6" ? "::" : "0.0.0.0",
        daemon.port,
      );
}

function said(problem: NotReady): number {
  for (const text of problem.lines) writeErr(`${text}\n`);
  return problem.exit;
}
