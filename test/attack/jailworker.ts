// The attacked side of jail.test.ts: a process that takes the jail on and gives root up as the daemon does, then delivers to every
// address of its orders and tries what a program that runs as the daemon could try. It prints what became of each, as JSON.

import {
  appendFileSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import type { MailerSpec } from "../../src/config/configuration.ts";
import { confine } from "../../src/daemon/privileges.ts";
import { Turns } from "../../src/deliver/append.ts";
import { FileMailer } from "../../src/deliver/file.ts";
import { LocalMailer } from "../../src/deliver/local.ts";
import type { MailerNeeds } from "../../src/deliver/needs.ts";
import { ProgMailer } from "../../src/deliver/prog.ts";
import type { Mailer } from "../../src/spool/mailer.ts";
import { becomeUser } from "../../src/sys/process.ts";
import { inspectProgram, runProgram } from "../../src/sys/spawn.ts";
import { attempt, ESMTP, rig } from "../flow/deliver/attempt.ts";

/** How an address is delivered to: a file, a mailbox, a Maildir, a program. */
export type Way = "file" | "mailbox" | "maildir" | "program";

export interface Orders {
  readonly jail: string;
  readonly outside: string;
  readonly uid: number;
  readonly gid: number;
  readonly programs: string;
  readonly addresses: readonly { readonly way: Way; readonly user: string }[];
  /** Deliveries to each of `addresses`. */
  readonly times: number;
  /** Arbitrary names, this many. */
  readonly names: number;
  /** Arbitrary calls outside the jail; only the kernel's jail stops these. */
  readonly calls: number;
}

export interface Report {
  readonly log: readonly string[];
  /** By address: "delivered" or the outcome's text, each different one once. */
  readonly outcomes: readonly (readonly string[])[];
  /** What the arbitrary names threw, and which calls outside went through: both empty in a good run. */
  readonly thrown: readonly string[];
  readonly succeeded: readonly string[];
}

const orders = JSON.parse(readFileSync(0, "utf8")) as Orders;
const { jail, outside } = orders;
const log: string[] = [];
const sink = { line: (_level: number, text: string) => log.push(text) };

const confined = confine(
  { queue: jail, state: jail, jail, controlSocket: join(jail, "control"), pidFile: join(jail, "pid") },
  sink,
);
if (!confined.ok) throw new Error(confined.error);
if (process.getuid?.() === 0) {
  const became = becomeUser(orders.uid, orders.gid);
  if (!became.ok) throw new Error(became.error);
}

const spec = (name: string, kind: string, flags: string): MailerSpec => ({ ...ESMTP, name, kind, flags });
const needs: MailerNeeds = {
  ...rig([]).needs,
  jail,
  mailbox: (user) => join(jail, "mail", user),
  mailboxBytesMax: 0,
  smrshDirectories: [orders.programs],
  run: runProgram,
  inspect: inspectProgram,
};
const turns = new Turns();
const maildirs = { ...needs, mailbox: (user: string) => `${join(jail, "mail", user)}/` };
const mailers = new Map<Way, Mailer>([
  ["file", new FileMailer(needs, spec("*file*", "file", "lsDFMPEouq9"), turns)],
  ["mailbox", new LocalMailer(needs, spec("local", "local", "lsDFMAw5:/|@qPrmn9"), turns)],
  ["maildir", new LocalMailer(maildirs, spec("local", "local", "lsDFMAw5:/|@qPrmn9"), turns)],
  ["program", new ProgMailer(needs, spec("prog", "prog", "lsDFMoqeu9"))],
]);

async function deliver(way: Way, user: string): Promise<string> {
  const [outcome] = (await mailers.get(way)?.deliver(attempt({ to: [user] }))) ?? [];
  return outcome?.kind === "delivered" ? "delivered" : (outcome?.text ?? "no outcome");
}

/** Names made of what has opened jails before, and of anything at all. */
const name = fc.oneof(
  fc
    .array(
      fc.constantFrom(
        ...[
          "..",
          ".",
          "",
          "a",
          "mail",
          "dirlink",
          "link",
          "hard",
          "-rf",
          "~",
          "\n",
          "\0",
          "%2e%2e",
          "..;",
          "proc",
        ],
        ...["self", "root", "fd", "3", "cwd", "etc", "passwd", outside, jail, "victim", "x".repeat(255), "ä"],
      ),
      { maxLength: 8 },
    )
    .map((parts) => `/${parts.join("/")}`),
  fc.string({ unit: "binary", maxLength: 300 }),
);

/** What a program that the daemon runs might do outside. */
const CALLS = new Map<string, (path: string) => void>([
  ["write", (path) => writeFileSync(path, "x")],
  ["append", (path) => appendFileSync(path, "x")],
  ["mkdir", (path) => mkdirSync(path)],
  ["rmdir", (path) => rmdirSync(path)],
  ["unlink", (path) => unlinkSync(path)],
  ["symlink", (path) => symlinkSync("/etc/passwd", path)],
  ["link out", (path) => linkSync(join(jail, "plain"), path)],
  ["link in", (path) => linkSync(path, join(jail, "stolen"))],
  ["move out", (path) => renameSync(join(jail, "plain"), path)],
  ["move in", (path) => renameSync(path, join(jail, "stolen"))],
]);

const outcomes: string[][] = [];
for (const { way, user } of orders.addresses) {
  const seen = new Set<string>();
  for (let i = 0; i < orders.times; i++) seen.add(await deliver(way, user));
  outcomes.push([...seen]);
}

const thrown: string[] = [];
for (const user of fc.sample(name, { numRuns: orders.names, seed: 42 }))
  for (const way of ["file", "mailbox", "maildir"] as const) {
    try {
      await deliver(way, user);
    } catch (e) {
      thrown.push(`${way} ${JSON.stringify(user)}: ${String(e)}`);
    }
  }

const succeeded: string[] = [];
const files = fc.constantFrom("victim", "new", "folder", "folder/deep", "folder/new", "../beside", "empty");
for (const [call, file] of fc.sample(fc.tuple(fc.constantFrom(...CALLS.keys()), files), {
  numRuns: orders.calls,
  seed: 42,
})) {
  try {
    CALLS.get(call)?.(join(outside, file));
    succeeded.push(`${call} ${file}`);
  } catch (e) {
    if (!(e instanceof Error && "code" in e)) throw e;
  }
}

const report: Report = { log, outcomes, thrown, succeeded };
process.stdout.write(JSON.stringify(report));
process.exit(0);
