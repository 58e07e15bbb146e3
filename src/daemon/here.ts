// The gateway in the process of a command that finds no daemon: the same composition, under the queue's lock, with the same answers.
// It delivers what the command itself submits or asks to be tried, and nothing else of the queue.

import { err, ok, type Result } from "../base/result.ts";
import { systemClock } from "../sys/clock.ts";
import { systemEntropy } from "../sys/entropy.ts";
import type { Log } from "../sys/log.ts";
import { becomeUser } from "../sys/process.ts";
import { answer } from "./answers.ts";
import type { ControlHandlers } from "./control.ts";
import type { Folders } from "./folders.ts";
import { Gateway } from "./gateway.ts";
import { Keeping } from "./keeping.ts";
import type { Ready } from "./load.ts";
import { confine, isRoot, parseUser, prepareFolders } from "./privileges.ts";
import { SERVERS } from "./registry.ts";
import { localOrigin } from "./run.ts";
import { thisMachine } from "./site.ts";
import { submit } from "./submission.ts";

/** How long deliveries may take to stop when the command ends. */
const GRACE_MS = 60_000;

export interface Here {
  readonly handlers: ControlHandlers;
  /** Waits for what is being delivered, then gives the queue back. */
  close(): Promise<void>;
}

/**
 * Opens it. Root is given up and the jail closed for good: programs that a delivery starts must not find root in reserve. Error: the queue
 * is another's (a daemon has just started, another command works on it), or this user may not open it.
 */
export async function openHere(
  ready: Ready,
  folders: Folders,
  environment: ReadonlyMap<string, string>,
  log: Log,
): Promise<Result<Here>> {
  const { options } = ready.configuration;
  const machine = thisMachine(ready.found, environment);
  const user = isRoot()
    ? parseUser(options.RunAsUser === "" ? options.DefaultUser : options.RunAsUser, machine.passwdFile)
    : null;
  if (user !== null && !user.ok) return user;
  const made = prepareFolders(folders, user?.value ?? null);
  if (!made.ok) return made;
  const gateway = Gateway.make(ready, {
    clock: systemClock,
    entropy: systemEntropy,
    log,
    machine,
    folders,
    uid: user?.value.uid ?? -1,
    certificateFiles: new Map(),
  });
  if (!gateway.ok) return gateway;
  const keeping = await Keeping.prepare(gateway.value);
  const jailed = confine(folders, log);
  if (!jailed.ok) return jailed;
  if (user !== null) {
    const dropped = becomeUser(user.value.uid, user.value.gid);
    if (!dropped.ok) return dropped;
  }
  const opened = await gateway.value.openSpool();
  if (!opened.ok) return err(`${folders.queue}: ${opened.error}`);
  const spool = opened.value;
  await keeping.begin();
  spool.start(0, false);
  return ok({
    handlers: handlersOf(gateway.value),
    async close() {
      await spool.idle();
      await keeping.close();
      await gateway.value.close(GRACE_MS);
    },
  });
}

function handlersOf(gateway: Gateway): ControlHandlers {
  const answering = {
    gateway,
    smtpd: null,
    reload: (): Result<true> => err("no daemon runs that could read its configuration again"),
    startedMs: systemClock.monotonicMs(),
  };
  return {
    answer: (call) => answer(answering, call),
    submit: async (submission, input) => {
      const { intake } = gateway;
      if (intake === null) return { id: "", status: 75, messages: ["the queue cannot be used"] };
      return submit({ site: gateway.site, intake, clock: systemClock }, submission, input);
    },
    session: async (stream, user) => {
      await SERVERS[0]?.(gateway.service()).serve(stream, localOrigin(user));
    },
  };
}
