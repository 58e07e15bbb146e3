// This process as the system sees it: arguments, environment, streams, user, signals, end.
// Everything above sys/ gets these as values; nothing else reads process.* directly.

import { hostname } from "node:os";
import { basename } from "node:path";
import { err, ok, type Result } from "../base/result.ts";

/** The name we were called by (a symlink's name) and the arguments after it. */
export function invocation(): { readonly name: string; readonly args: readonly string[] } {
  // argv[1] is a path inside the archive in the packaged binary, so only argv0 tells the symlink's name.
  return { name: basename(process.argv0), args: process.argv.slice(2) };
}

export function environment(): ReadonlyMap<string, string> {
  return new Map(Object.entries(process.env).filter((e): e is [string, string] => e[1] !== undefined));
}

export function workingDirectory(): string {
  return process.cwd();
}

export function processId(): number {
  return process.pid;
}

export function hostName(): string {
  return hostname();
}

/** User and group that this process acts as. */
export function currentUser(): { readonly uid: number; readonly gid: number } {
  return { uid: process.geteuid?.() ?? -1, gid: process.getegid?.() ?? -1 };
}

/** The groups that this process belongs to besides its own. */
export function userGroups(): readonly number[] {
  return process.getgroups?.() ?? [];
}

/** Gives up root for good: groups, group, user, in this order. Error when the kernel refuses or root could be had back. */
export function becomeUser(uid: number, gid: number): Result<true> {
  try {
    process.setgroups?.([gid]);
    process.setgid?.(gid);
    process.setuid?.(uid);
  } catch (e) {
    return err(`cannot become ${uid}:${gid}: ${e instanceof Error ? e.message : String(e)}`);
  }
  try {
    process.setuid?.(0);
    if (uid !== 0) return err(`still able to become root after becoming ${uid}:${gid}`);
  } catch {
    return ok(true);
  }
  return ok(true);
}

/** Acts as a user for a while (opening files that must be its own); root stays in reserve and is taken back with 0, 0. */
export function setEffectiveUser(uid: number, gid: number): void {
  if (uid === 0) {
    process.seteuid?.(0);
    process.setegid?.(0);
  } else {
    process.setegid?.(gid);
    process.seteuid?.(uid);
  }
}

export type SignalName = "SIGTERM" | "SIGINT" | "SIGHUP" | "SIGUSR1" | "SIGUSR2" | "SIGPIPE";

/** Calls `fn` at each `signal`; the result stops that. */
export function onSignal(signal: SignalName, fn: () => void): () => void {
  process.on(signal, fn);
  return () => {
    process.off(signal, fn);
  };
}

/** What happens to an error that nobody caught: `fn` gets one line; the process must end (a bug asserts). */
export function onFatal(fn: (what: string) => void): void {
  const tell = (e: unknown): void => fn(e instanceof Error ? (e.stack ?? e.message) : String(e));
  process.on("uncaughtException", tell);
  process.on("unhandledRejection", tell);
}

export function exitNow(status: number): never {
  process.exit(status);
}

/** Bytes of private memory and open descriptors, for health and soak tests. */
export function memoryUse(): { readonly rss: number; readonly heapUsed: number; readonly external: number } {
  const m = process.memoryUsage();
  return { rss: m.rss, heapUsed: m.heapUsed, external: m.external };
}
