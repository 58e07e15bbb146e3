// postern upgrade, sysupgrade: installs a signed system into the other slot, and says what the slots are.
// The work is in prepare/upgrade.ts; the boot state is kept by /lib/postern/bootstate.

import { KEY_FILE_BYTES_MAX } from "../base/limits.ts";
import { err, ok, type Result } from "../base/result.ts";
import { loadTrustedKeys, readTrustedKey, type TrustedKey } from "../prepare/keys.ts";
import { shortKeyName } from "../prepare/signature.ts";
import { openUpdate } from "../prepare/update.ts";
import { install, refusal, type SlotName, type System, testPayloads } from "../prepare/upgrade.ts";
import { listDirectory, readBoundedFile } from "../sys/files.ts";
import { absolutePath } from "../sys/path.ts";
import { runProgram } from "../sys/spawn.ts";
import { type Applet, EX, type Io } from "./applet.ts";

const TRUSTED_FOLDER = "/etc/postern/keys/update";
const BOOTSTATE = "/lib/postern/bootstate";
const PROGRAM_MS = 60_000;
const SECTOR_BYTES = 512;
const USAGE = `usage: postern upgrade [-T] [--downgrade] [--key FILE.pub] [--no-reboot] FILE
       postern upgrade --status
       sysupgrade [the same words] FILE
`;

async function call(file: string, args: readonly string[]): Promise<Result<string>> {
  const ran = await runProgram({
    file,
    args,
    name: "",
    environment: new Map([["PATH", "/usr/sbin:/usr/bin:/sbin:/bin"]]),
    cwd: "/",
    input: (async function* () {})(),
    timeoutMs: PROGRAM_MS,
    outputBytesMax: KEY_FILE_BYTES_MAX,
  });
  if (ran.kind === "exited" && ran.status === 0) return ok(ran.output.toString("latin1"));
  return err(
    `${file} ${args.join(" ")}: ${ran.kind === "exited" ? ran.output.toString("latin1").trim() : ran.kind}`,
  );
}

/** Lines KEY=VALUE. */
function settings(text: string): ReadonlyMap<string, string> {
  return new Map([...text.matchAll(/^(\w+)=(.*)$/gm)].map((line) => [line[1] ?? "", line[2] ?? ""]));
}

function contents(path: string): string {
  const read = readBoundedFile(path, KEY_FILE_BYTES_MAX);
  return read.kind === "found" ? read.value.toString("latin1") : "";
}

function partition(label: string): Result<{ path: string; bytes: number }> {
  const names = listDirectory("/sys/class/block");
  for (const name of names.kind === "found" ? names.value : []) {
    const facts = settings(contents(`/sys/class/block/${name}/uevent`));
    if (facts.get("PARTNAME") === label)
      return ok({
        path: `/dev/${facts.get("DEVNAME") ?? name}`,
        bytes: Number(contents(`/sys/class/block/${name}/size`)) * SECTOR_BYTES,
      });
  }
  return err(`there is no partition labelled ${label}`);
}

async function thisSystem(): Promise<Result<{ system: System; state: ReadonlyMap<string, string> }>> {
  const build = settings(contents("/etc/postern/build"));
  const slot = / slot=([ab])\b/.exec(` ${contents("/proc/cmdline")}`)?.[1];
  if (build.get("BOARD") === undefined || slot === undefined)
    return err("this is not an appliance that a boot loader has started: there is no slot to write to");
  const said = await call(BOOTSTATE, []);
  if (!said.ok) return said;
  const state = settings(said.value);
  const system: System = {
    release: {
      compatible: build.get("BOARD") ?? "",
      version: build.get("VERSION") ?? "",
      date: Number(build.get("DATE") ?? "0"),
    },
    slot: slot as SlotName,
    trial: state.get("try") ?? "",
    partition: (image, of) => partition(`${image}-${of}`),
    async set(words) {
      const done = await call(BOOTSTATE, ["set", ...words]);
      return done.ok ? ok(true) : done;
    },
    async forget(path) {
      await call("/sbin/blockdev", ["--flushbufs", path]);
    },
  };
  return ok({ system, state });
}

function status(system: System, state: ReadonlyMap<string, string>, io: Io): number {
  io.out(`running: slot ${system.slot}, ${system.release.version} for ${system.release.compatible}\n`);
  for (const slot of ["a", "b"] as const) {
    const bad = state.get(`bad_${slot}`) ?? "";
    const what =
      state.get("try") === slot
        ? `on trial, ${state.get("tries") ?? ""} more starts`
        : bad !== ""
          ? `not to be started (${bad})`
          : state.get("slot") === slot
            ? "confirmed"
            : "spare";
    io.out(`slot ${slot}: ${what}\n`);
  }
  return EX.OK;
}

interface Words {
  readonly test: boolean;
  readonly downgrade: boolean;
  readonly reboot: boolean;
  readonly key: string | null;
  readonly file: string;
}

function parse(args: readonly string[]): Words | null {
  let key: string | null = null;
  const files: string[] = [];
  const flags = new Set<string>();
  for (let at = 0; at < args.length; at++) {
    const word = args[at] ?? "";
    if (word === "--key") key = args[++at] ?? null;
    else if (["-T", "--test", "--downgrade", "--no-reboot"].includes(word)) flags.add(word);
    else if (word.startsWith("-")) return null;
    else files.push(word);
  }
  const [file] = files;
  if (file === undefined || files.length > 1 || (args.includes("--key") && key === null)) return null;
  const test = flags.has("-T") || flags.has("--test");
  return { test, downgrade: flags.has("--downgrade"), reboot: !flags.has("--no-reboot"), key, file };
}

function trusted(words: Words, io: Io): Result<readonly TrustedKey[]> {
  if (words.key === null) return loadTrustedKeys(TRUSTED_FOLDER);
  const key = readTrustedKey(absolutePath(io.cwd, words.key));
  return key.ok ? ok([key.value]) : key;
}

function refuse(io: Io, reason: string, exit: number): number {
  io.err(`${reason}\n`);
  return exit;
}

export const upgrade: Applet = {
  names: ["upgrade", "sysupgrade"],
  summary: "install a signed system into the other slot",
  help: `${USAGE}
Writes the system of FILE (postern-BOARD.update) to the slot that is not running, reads it back, and starts it. It is on trial
then: confirmed when the gateway runs, listens, verifies its configuration and takes a message into its spool; after three
starts without that the previous system comes back by itself. Queue and configuration stay.

  -T, --test      checks signature, board, version and every byte of FILE; writes nothing
  --status        says which slot runs and what is known of both
  --downgrade     allows a system that is older (by the date of its source) than the running one
  --key FILE.pub  trusts this key instead of those of the running system: the way out when the keys of a
                  firmware line are lost. Whoever may run this owns the device
  --no-reboot     leaves the start of the new system to you

exit status: 0; 64 usage; 65 not an update for this system, or damaged; 74 cannot be written; 66 no such file or key.
`,
  async run(args, io) {
    if (args.length === 1 && args[0] === "--status") {
      const here = await thisSystem();
      return here.ok
        ? status(here.value.system, here.value.state, io)
        : refuse(io, here.error, EX.UNAVAILABLE);
    }
    const words = parse(args);
    if (words === null) return refuse(io, USAGE.trimEnd(), EX.USAGE);
    const keys = trusted(words, io);
    if (!keys.ok) return refuse(io, keys.error, EX.NOINPUT);
    const file = absolutePath(io.cwd, words.file);
    const update = openUpdate(file, keys.value);
    if (!update.ok) return refuse(io, update.error, EX.DATAERR);
    const here = await thisSystem();
    if (!here.ok) return refuse(io, here.error, EX.UNAVAILABLE);
    const { system } = here.value;
    const reason = refusal(update.value.release, system, words.downgrade);
    if (reason !== null) return refuse(io, reason, EX.DATAERR);
    io.out(`${update.value.release.version}, signed with key ${shortKeyName(update.value.key.id)}\n`);
    if (words.test) {
      const tested = testPayloads(file, update.value);
      if (!tested.ok) return refuse(io, tested.error, EX.DATAERR);
      io.out("the update is good; nothing was written\n");
      return EX.OK;
    }
    const installed = await install(file, update.value, system, (text) => io.out(`${text}\n`));
    if (!installed.ok) return refuse(io, installed.error, EX.IOERR);
    io.out(`slot ${installed.value} is on trial at the next start\n`);
    if (!words.reboot) return EX.OK;
    const rebooting = await call("/sbin/reboot", []);
    return rebooting.ok ? EX.OK : refuse(io, rebooting.error, EX.OSERR);
  },
};
