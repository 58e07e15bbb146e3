// Starting ourselves again in the background (sendmail -bd): a process of its own session that writes its log to syslog itself; what
// comes on its standard error all the same (why it refuses to start, why the runtime ended) goes there through logger(1), as the init
// scripts do it. The one who starts it waits until it serves or has ended.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";

/** Environment variable that names the socket of syslog: the daemon that finds it writes its log there. */
export const SYSLOG_VARIABLE = "POSTERN_SYSLOG";
const SYSLOG_SOCKET = "/dev/log";

/** Where logger(1) may be; without it the log of a background daemon goes nowhere, as on any system without syslog. */
const LOGGERS = ["/usr/bin/logger", "/bin/logger"];

export interface Background {
  readonly pid: number;
  /** The exit status once the process has ended, null while it runs. */
  status(): number | null;
  /** Lets go of it: it stays when we end. */
  leave(): void;
}

/** Starts this program with `args` in the background. */
export function startInBackground(args: readonly string[]): Background {
  // From the sources argv[1] is the script; in the packaged binary the program itself is the entry.
  const script = process.argv[1];
  const entry = script !== undefined && /\.[cm]?[jt]s$/.test(script) && existsSync(script) ? [script] : [];
  const logger = LOGGERS.find((path) => existsSync(path));
  const words = [process.execPath, ...entry, "sendmail", ...args];
  // The log's pipe must outlive us, so a shell-free pair of processes is made: the daemon writes, logger reads.
  const reader =
    logger === undefined
      ? null
      : spawn(logger, ["-t", `sendmail[${process.pid}]`, "-p", "mail.info"], {
          detached: true,
          stdio: ["pipe", "ignore", "ignore"],
        });
  const [file = "", ...rest] = words;
  const child = spawn(file, rest, {
    detached: true,
    // One arena of the C library instead of one for each thread: 20 MB less under load (as the init script sets it).
    env: { ...process.env, MALLOC_ARENA_MAX: "1", [SYSLOG_VARIABLE]: SYSLOG_SOCKET },
    stdio: ["ignore", reader?.stdin ?? "ignore", reader?.stdin ?? "ignore"],
  });
  let status: number | null = null;
  child.on("exit", (code) => {
    status = code ?? 1;
  });
  child.on("error", () => {
    status = 71;
  });
  return {
    pid: child.pid ?? 0,
    status: () => status,
    leave() {
      child.unref();
      reader?.stdin?.destroy();
      reader?.unref();
    },
  };
}
