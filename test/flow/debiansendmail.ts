// Debian's Sendmail 8.17, with its SASL library, for the tests that ask it: in one overlay of the root file system that is unpacked once and
// that one test file has at a time. What differs between tests is below a folder of their own, /NAME, and in a queue, /spool/NAME.

import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { lockFile } from "../../src/sys/filelock.ts";
import { Overlay } from "../bench/contender.ts";

const WORK = join(import.meta.dirname, "../../build/cache/flow-sendmail");
const PACKAGES = [
  ...["sendmail-bin", "sendmail-cf", "sendmail-base", "m4"],
  ...["libsasl2-modules", "libsasl2-modules-db", "sasl2-bin"],
];
/** Longer than any test file keeps it. */
const TURN_MS = 240_000;

export const overlay = new Overlay(WORK, "sendmail");

/** Gives back the overlay. */
export type Release = () => void;

/**
 * Takes the overlay for the test `name`, whose folders it makes. `unpacks`: Sendmail is downloaded when it is not there yet. A reason when
 * there is no Sendmail to ask; throws when it cannot be unpacked.
 */
export async function takeSendmail(name: string, unpacks: boolean): Promise<Release | string> {
  if (process.getuid?.() !== 0) return "needs root";
  if (!unpacks && !existsSync(join(overlay.folder, "fetched"))) return "no Sendmail here: RECORD=1";
  mkdirSync(WORK, { recursive: true });
  const turn = await lockFile(overlay.folder, TURN_MS);
  if (!turn.ok) throw new Error(turn.error);
  const release = (): void => {
    overlay.clean();
    turn.value.release();
  };
  try {
    overlay.install(...PACKAGES);
    for (const [folder, mode] of [
      ["spool", 0o755],
      [`spool/${name}`, 0o700],
    ] as const) {
      mkdirSync(join(overlay.root, folder), { recursive: true });
      chmodSync(join(overlay.root, folder), mode);
    }
    overlay.write(`${name}/switch`, "hosts files\naliases files\n");
    return release;
  } catch (e) {
    release();
    throw e;
  }
}

/** What a program in the overlay says. */
export function inside(argv: readonly string[], input = ""): string {
  const [command = "", ...args] = overlay.inside(...argv);
  return execFileSync(command, args, { input, encoding: "utf8", stdio: "pipe", timeout: 60_000 });
}

/** The configuration of `host` for the test `name`; `more`: what is its own. */
export function sendmailMc(name: string, host: string, more: string): string {
  return `divert(0)dnl
include(\`/usr/share/sendmail/cf/m4/cf.m4')dnl
OSTYPE(\`debian')dnl
DOMAIN(\`generic')dnl
define(\`confDOMAIN_NAME', \`${host}')dnl
define(\`confPID_FILE', \`/spool/${name}.pid')dnl
define(\`QUEUE_DIR', \`/spool/${name}')dnl
define(\`STATUS_FILE', \`')dnl
define(\`ALIAS_FILE', \`')dnl
define(\`confSERVICE_SWITCH_FILE', \`/${name}/switch')dnl
define(\`confTO_IDENT', \`0')dnl
define(\`confQUEUE_LA', \`1000')dnl
define(\`confREFUSE_LA', \`1000')dnl
define(\`confDELAY_LA', \`1000')dnl
FEATURE(\`accept_unresolvable_domains')dnl
FEATURE(\`nocanonify')dnl
FEATURE(\`no_default_msa')dnl
${more}MAILER(\`smtp')dnl
`;
}

/** Writes and compiles a configuration, /NAME/FILE.cf; `edit` changes what m4 has made of it. */
export function compileMc(
  name: string,
  file: string,
  mc: string,
  edit: (cf: string) => string = (cf) => cf,
): string {
  overlay.write(`${name}/${file}.mc`, mc);
  overlay.write(`${name}/${file}.cf`, edit(inside(["m4", `/${name}/${file}.mc`])));
  return `/${name}/${file}.cf`;
}

/** Makes the table /NAME/TABLE. */
export function makemap(name: string, cf: string, table: string, text: string): void {
  inside(["/usr/libexec/sendmail/makemap", "-C", cf, "hash", `/${name}/${table}`], text);
}
