// A real mail server for the board tests: Postfix's smtp-sink, from Debian's package, unpacked and not installed.
// It writes each message that it gets into a file of its own.

import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hostArchitecture } from "../../scripts/board.ts";
import { debianPackages } from "../../scripts/debian.ts";

const START_MS = 15_000;
const POLL_MS = 100;

const sleep = (ms: number) => new Promise((done) => setTimeout(done, ms));

/** What the server got. */
export interface Received {
  /** "FROM:<a@example.org>" and so on, as the client said it. */
  readonly mail: string;
  readonly recipients: readonly string[];
  /** Header and body, LF line ends. */
  readonly text: string;
}

/** A running smtp-sink. */
export interface Sink extends AsyncDisposable {
  /** Everything received so far. */
  received(): Received[];
}

function parse(dump: string): Received {
  const end = dump.indexOf("\n\n");
  const lines = dump.split("\n");
  const values = (name: string) =>
    lines.filter((line) => line.startsWith(`${name}: `)).map((line) => line.slice(name.length + 2));
  // smtp-sink puts its own lines first; the message begins behind the last of them.
  const own = lines.findLastIndex((line) => line.startsWith("X-Rcpt-Args: "));
  return {
    mail: values("X-Mail-Args")[0] ?? "",
    recipients: values("X-Rcpt-Args"),
    text: end < 0 ? dump : lines.slice(own + 1).join("\n"),
  };
}

async function greets(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => done(false));
    socket.on("data", () => {
      socket.destroy();
      done(true);
    });
  });
}

/** Starts one on `port`. Its files go with it. */
export async function startSink(port: number): Promise<Sink> {
  const packages = await debianPackages(hostArchitecture() === "x64" ? "amd64" : "arm64", ["postfix"]);
  const libraries: string[] = [];
  let program = "";
  for (const { folder: unpacked } of packages) {
    for (const place of ["lib", "usr/lib"])
      if (existsSync(join(unpacked, place)))
        for (const name of readdirSync(join(unpacked, place)))
          if (name.endsWith("-linux-gnu") || name === "postfix") libraries.push(join(unpacked, place, name));
    const found = join(unpacked, "usr/sbin/smtp-sink");
    if (existsSync(found)) program = found;
  }
  // A folder of its own directly below the temporary one: as nobody it may not pass through those of the tests.
  const folder = mkdtempSync(join(tmpdir(), "postern-sink-"));
  const dumps = join(folder, "received");
  mkdirSync(dumps, { recursive: true });
  // As root it must give up root, and then writes as nobody.
  const user = process.getuid?.() === 0 ? ["-u", "nobody"] : [];
  chmodSync(folder, 0o755);
  chmodSync(dumps, 0o777);
  const child: ChildProcess = spawn(program, [...user, "-d", `${dumps}/m.`, `127.0.0.1:${port}`, "100"], {
    stdio: "ignore",
    env: { PATH: "/usr/bin:/bin", LD_LIBRARY_PATH: libraries.join(":"), MAIL_CONFIG: folder },
    cwd: folder,
  });
  const gone = new Promise<void>((done) => child.on("exit", () => done()));
  const kill = () => {
    child.kill("SIGKILL");
  };
  process.once("exit", kill);
  const end = performance.now() + START_MS;
  while (!(await greets(port))) {
    if (performance.now() > end || child.exitCode !== null) {
      kill();
      throw new Error("smtp-sink does not answer");
    }
    await sleep(POLL_MS);
  }
  return {
    received: () => readdirSync(dumps).map((name) => parse(readFileSync(join(dumps, name), "latin1"))),
    async [Symbol.asyncDispose]() {
      kill();
      process.off("exit", kill);
      await gone;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
