// The way in: the name we were called by, or the first argument, names the applet. The only file that knows every applet
// (through applets/registry.ts, which loads each when it is wanted, so that a short command starts fast).

import { type Applet, EX, type Io } from "./applets/applet.ts";
import { APPLETS } from "./applets/registry.ts";
import { BUILD } from "./base/build.ts";
import { environment, exitNow, invocation, workingDirectory } from "./sys/process.ts";
import {
  askSecret,
  outputWritten,
  standardInput,
  stdinIsTerminal,
  stdoutIsTerminal,
  writeErr,
  writeOut,
} from "./sys/terminal.ts";

function systemIo(): Io {
  return {
    // A getter: touching standard input starts reading it, and a daemon must not.
    get stdin() {
      return standardInput();
    },
    stdinIsTerminal: stdinIsTerminal(),
    stdoutIsTerminal: stdoutIsTerminal(),
    out: writeOut,
    outBytes: writeOut,
    err: writeErr,
    askSecret,
    environment: environment(),
    cwd: workingDirectory(),
  };
}

function usage(): string {
  const rows = APPLETS.map((a) => `  ${a.names.join(", ").padEnd(34)} ${a.summary}`);
  return `Postern ${BUILD.version} (board ${BUILD.board}): the mail gateway for small appliances.

usage: postern APPLET [ARGUMENT ...]     postern APPLET --help
       APPLET [ARGUMENT ...]             when called by that name (a symbolic link)

${rows.join("\n")}
`;
}

async function load(name: string): Promise<Applet | null> {
  const entry = APPLETS.find((a) => a.names.includes(name));
  return entry === undefined ? null : entry.load();
}

async function main(): Promise<number> {
  const call = invocation();
  const io = systemIo();
  let name = call.name;
  let args = call.args;
  let applet = await load(name);
  if (applet === null) {
    [name = "", ...args] = call.args;
    if (name === "" || name === "--help" || name === "-h" || name === "help") {
      io.out(usage());
      return name === "" ? EX.USAGE : EX.OK;
    }
    applet = await load(name === "--version" ? "version" : name);
  }
  if (applet === null) {
    io.err(
      `postern: no applet "${name}" in this build (board ${BUILD.board}); "postern --help" lists them\n`,
    );
    return EX.USAGE;
  }
  if (args[0] === "--help") {
    io.out(applet.help);
    return EX.OK;
  }
  return applet.run(args, io, name);
}

/** Ends when all output has left, however slow its reader; timers that outlive their use end with us. */
async function end(status: number): Promise<never> {
  const trouble = await outputWritten();
  if (trouble === "") exitNow(status);
  writeErr(`postern: cannot write standard output: ${trouble}\n`);
  await outputWritten();
  exitNow(status === EX.OK ? EX.IOERR : status);
}

main().then(end, (e: unknown) => {
  writeErr(`postern: ${e instanceof Error ? (e.stack ?? e.message) : String(e)}\n`);
  return end(EX.SOFTWARE);
});
