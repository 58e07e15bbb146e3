// The code cache of a binary: the bundle is run under the very Node of the board (an emulated one for another processor) as the
// daemon with a small configuration, and what V8 has compiled when it is ready is kept (warm.ts), so that a start does not wait for
// the compiler. --random-seed makes the same sources give the same bytes. What mail needs besides is left out: how far V8 is
// with that depends on the clock, and the binary would not come out the same twice.

import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { type Architecture, fail, hostArchitecture, ROOT, say } from "./board.ts";
import type { BoardConfig } from "./features.ts";
import { NODE_OPTIONS } from "./nodeoptions.ts";
import { nodeBinary } from "./runtime.ts";

/** What a cache is made of and where it goes. */
export interface CacheRequest {
  readonly config: BoardConfig;
  readonly architecture: Architecture;
  /** The bundle as a function (src/sys/program.ts). */
  readonly program: string;
  readonly addon: string;
  readonly cache: string;
}

const LIMIT_MS = 60_000;
/** What the daemon says when it is ready. */
const READY = "started as";

/** Debian's emulator of a processor and where its libraries lie. */
const EMULATORS = new Map<Architecture, readonly string[]>([
  ["arm64", ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"]],
  ["x64", ["qemu-x86_64", "-L", "/usr/x86_64-linux-gnu"]],
]);

function emulator(architecture: Architecture): readonly string[] {
  return architecture === hostArchitecture() ? [] : (EMULATORS.get(architecture) ?? []);
}

/** A configuration folder of what the board has; returns its mail folder. */
async function configure(folder: string, config: BoardConfig): Promise<string> {
  const mail = join(folder, "mail");
  mkdirSync(mail);
  const has = (symbol: string, text: string) => (config.on.has(symbol) ? text : "");
  const mc = join(mail, "sendmail.mc");
  writeFileSync(
    mc,
    `OSTYPE(\`linux')dnl
define(\`confDOMAIN_NAME',\`warm.test')dnl
FEATURE(\`no_default_msa')dnl
FEATURE(\`use_cw_file')dnl
FEATURE(\`accept_unresolvable_domains')dnl
FEATURE(\`nocanonify')dnl
FEATURE(\`mailertable')dnl
FEATURE(\`access_db')dnl
${has("LISTENER", `DAEMON_OPTIONS(\`Port=0, Addr=127.0.0.1, Name=MTA')dnl\n`)}${has("MAILER_SMTP", "MAILER(`smtp')dnl\n")}${has("MAILER_LOCAL", "MAILER(`local')dnl\n")}`,
  );
  writeFileSync(join(mail, "local-host-names"), "warm.test\n");
  const sources = (args: readonly string[], input = "") =>
    execa(process.execPath, [join(ROOT, "src/main.ts"), ...args], { cwd: mail, timeout: LIMIT_MS, input });
  await sources(["makemap", "hash", join(mail, "mailertable")], "inner.test\tesmtp:[127.0.0.1]\n");
  await sources(["makemap", "hash", join(mail, "access")], "Connect:127.0.0.1\tRELAY\n");
  const { stdout } = await sources(["m4", mc]);
  // As in a configuration image: the compiled form, and no work for the compiler.
  writeFileSync(join(mail, "sendmail.cf"), `${stdout}\n`);
  rmSync(mc);
  return mail;
}

/** Makes request.cache; the build ends when that is not possible. */
export async function makeCodeCache(request: CacheRequest): Promise<void> {
  const { config, architecture, program, addon, cache } = request;
  say(`compiling ahead for ${config.board}`);
  const folder = mkdtempSync(join(tmpdir(), "postern-warm-"));
  chmodSync(folder, 0o755);
  const spool = join(folder, "mqueue");
  // The daemon is jailed by then: it can write below its queue only.
  const made = join(spool, "cache");
  const mail = await configure(folder, config);
  const [command = "", ...words] = [
    ...emulator(architecture),
    ...[await nodeBinary(architecture), ...NODE_OPTIONS, "--random-seed=1"],
    ...[join(ROOT, "scripts/warm.ts"), program, addon, made, READY],
    ...["sendmail", "-bD", "-q15m", "-C", mail, `-OQueueDirectory=${spool}`],
    ...[`-OControlSocketName=${join(folder, "run/control")}`, `-OPidFile=${join(folder, "run/pid")}`],
  ];
  const daemon = await execa(command, words, {
    extendEnv: false,
    env: { PATH: "/usr/bin:/bin", HOME: folder },
    stdin: "ignore",
    all: true,
    reject: false,
    timeout: LIMIT_MS,
  });
  const done = daemon.exitCode === 0 && existsSync(made);
  if (done) copyFileSync(made, cache);
  rmSync(folder, { recursive: true, force: true });
  if (!done) fail(`the code cache cannot be made:\n${daemon.all}`);
}
