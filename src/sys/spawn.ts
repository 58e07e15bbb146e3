// Programs: started with an array of arguments (never a shell string), a clean environment, a time limit and bounded output,
// through execa, which is loaded with the first of them. Promises one answer whatever the program does: exits early without
// reading, never exits, writes for ever, leaves a child behind that holds its output open (left alone, but not waited for).

import { accessSync, constants, statSync } from "node:fs";
import { Duplex } from "node:stream";
import { err, ok, type Result } from "../base/result.ts";

/** How to run a program. */
export interface Program {
  /** Absolute path. */
  readonly file: string;
  /** Arguments after argv[0]. */
  readonly args: readonly string[];
  /** argv[0], "" for the path. */
  readonly name: string;
  readonly environment: ReadonlyMap<string, string>;
  readonly cwd: string;
  /** What the program gets on standard input. */
  readonly input: AsyncIterable<Buffer>;
  readonly timeoutMs: number;
  /** Bytes of standard output and error together that are kept; the rest is read and dropped. */
  readonly outputBytesMax: number;
  readonly signal?: AbortSignal | undefined;
}

/** What became of it. */
export type Ran =
  | { readonly kind: "exited"; readonly status: number; readonly output: Buffer }
  | { readonly kind: "killed"; readonly signal: string; readonly output: Buffer }
  | { readonly kind: "timeout"; readonly output: Buffer }
  /** It never ran: the errno ("ENOENT", "EACCES", "EAGAIN"). */
  | { readonly kind: "failed"; readonly code: string };

/** After the exit, output that is already on its way is still read for this long. */
const OUTPUT_GRACE_MS = 200;

export type Runner = (program: Program) => Promise<Ran>;

/** What is at `path`: something that can be run, something else, or nothing. */
export function inspectProgram(path: string): "program" | "not a file" | "not executable" | "absent" {
  try {
    if (!statSync(path).isFile()) return "not a file";
  } catch (e) {
    const code = e instanceof Error && "code" in e ? e.code : "";
    return code === "ENOENT" || code === "ENOTDIR" ? "absent" : "not a file";
  }
  try {
    accessSync(path, constants.X_OK);
    return "program";
  } catch {
    return "not executable";
  }
}

/** Runs a program to its end or its time limit. */
export const runProgram: Runner = async (program) => {
  const { execa } = await import("execa");
  const kept: Buffer[] = [];
  let size = 0;
  const child = execa(program.file, [...program.args], {
    extendEnv: false,
    env: Object.fromEntries(program.environment),
    cwd: program.cwd,
    ...(program.name === "" ? {} : { argv0: program.name }),
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
    buffer: false,
    reject: false,
    // A process group of its own, so that the time limit ends what it started too.
    detached: true,
    cleanup: true,
  });
  const running = child.nodeChildProcess;
  const keep = (chunk: Buffer): void => {
    const room = program.outputBytesMax - size;
    if (room > 0) kept.push(chunk.subarray(0, room));
    size += Math.min(room, chunk.length);
  };
  child.stdout.on("data", keep);
  child.stderr.on("data", keep);
  for (const stream of [child.stdin, child.stdout, child.stderr]) stream.on("error", () => stream.destroy());
  void feed(child.stdin, program.input, () => killGroup(child.pid));

  return new Promise((resolve) => {
    let timedOut = false;
    const stop = (): void => {
      timedOut = true;
      killGroup(child.pid);
    };
    const timer = setTimeout(stop, Math.min(Math.max(program.timeoutMs, 1), 0x7fffffff));
    program.signal?.addEventListener("abort", stop, { once: true });
    const finish = (ran: Ran): void => {
      clearTimeout(timer);
      program.signal?.removeEventListener("abort", stop);
      for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy();
      resolve(ran);
    };
    running.on("error", (e: NodeJS.ErrnoException) => {
      // Only a start that failed: errors of a running child come with its exit.
      if (child.pid === undefined) finish({ kind: "failed", code: e.code ?? "EIO" });
    });
    running.on("exit", (status, signal) => {
      const output = (): Buffer => Buffer.concat(kept);
      const tell = (): void => {
        if (timedOut) finish({ kind: "timeout", output: output() });
        else if (status === null) finish({ kind: "killed", signal: signal ?? "?", output: output() });
        else finish({ kind: "exited", status, output: output() });
      };
      const grace = setTimeout(tell, OUTPUT_GRACE_MS);
      running.on("close", () => {
        clearTimeout(grace);
        tell();
      });
    });
    // execa's own promise: it never rejects (reject: false) and says nothing that the events have not said.
    void child.then(() => undefined);
  });
};

/**
 * A program as a connection: what is written is its standard input, what is read its standard output (LMTP over a pipe). The
 * program's whole group ends with the connection. Error: the errno.
 */
export async function connectProgram(
  program: Pick<Program, "file" | "args" | "name" | "environment" | "cwd">,
): Promise<Result<Duplex, { readonly code: string }>> {
  const { execa } = await import("execa");
  const child = execa(program.file, [...program.args], {
    extendEnv: false,
    env: Object.fromEntries(program.environment),
    cwd: program.cwd,
    ...(program.name === "" ? {} : { argv0: program.name }),
    stdin: "pipe",
    stdout: "pipe",
    stderr: "ignore",
    buffer: false,
    reject: false,
    detached: true,
    cleanup: true,
  });
  void child.then(() => undefined);
  const running = child.nodeChildProcess;
  return new Promise((resolve) => {
    running.once("error", (e: NodeJS.ErrnoException) => resolve(err({ code: e.code ?? "EIO" })));
    running.once("spawn", () => {
      // A documented form of Duplex.from() that Node's types do not know.
      const pair: unknown = { writable: child.stdin, readable: child.stdout };
      const stream = Duplex.from(pair as Promise<unknown>);
      stream.on("error", () => stream.destroy());
      stream.on("close", () => killGroup(child.pid));
      resolve(ok(stream));
    });
  });
}

/** Runs a program on our own standard streams and waits for its end; no time limit, as a shell's. */
export async function runAttached(
  program: Pick<Program, "file" | "args" | "environment" | "cwd">,
): Promise<Ran> {
  const { execa } = await import("execa");
  const done = await execa(program.file, [...program.args], {
    extendEnv: false,
    env: Object.fromEntries(program.environment),
    cwd: program.cwd,
    stdio: "inherit",
    reject: false,
  });
  const output = Buffer.alloc(0);
  if (done.exitCode !== undefined) return { kind: "exited", status: done.exitCode, output };
  if (done.signal !== undefined) return { kind: "killed", signal: done.signal, output };
  const cause = done.cause;
  return { kind: "failed", code: cause instanceof Error && "code" in cause ? String(cause.code) : "EIO" };
}

/** Writes the input as fast as it is read; a program that does not want it is not an error. */
async function feed(
  stdin: NodeJS.WritableStream & { destroyed?: boolean },
  input: AsyncIterable<Buffer>,
  kill: () => void,
): Promise<void> {
  try {
    for await (const chunk of input) {
      if (stdin.destroyed === true || !stdin.writable) return;
      if (stdin.write(chunk)) continue;
      await new Promise<void>((resolve) => {
        const go = (): void => {
          stdin.off("drain", go);
          stdin.off("close", go);
          stdin.off("error", go);
          resolve();
        };
        stdin.on("drain", go);
        stdin.on("close", go);
        stdin.on("error", go);
      });
    }
  } catch {
    // The message could not be read: a program must not take half of it for the whole, and closing its input would say just that.
    kill();
    return;
  }
  stdin.end();
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // Already gone: there is nothing left to end.
    return;
  }
}
