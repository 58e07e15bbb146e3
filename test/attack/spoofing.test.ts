// INJ-14: the cases of spoofing.ts through the whole program, against what Debian's Sendmail 8.17.1 answers and passes on with the same
// features: spoofing.json, recorded by this test run as root with RECORD=1 (it unpacks Sendmail into an overlay of the root file system,
// gives it a port of 127.0.0.1 and a next hop that records). Where such an overlay is there already, Sendmail is asked again.

import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { Overlay } from "../bench/contender.ts";
import { freePort, send, until } from "../flow/gateway.ts";
import { Recorder, Siege, type Taken } from "./siege.ts";
import { CASES, messageOf, replies, SPOOFS, type Spoof, tidied } from "./spoofing.ts";

/** What a server made of a case. */
interface Made {
  readonly replies: readonly string[];
  /** The MAIL command without its parameters, and the message; null: nothing was sent. */
  readonly mail: string | null;
  readonly message: string | null;
}

const FILE = join(import.meta.dirname, "spoofing.json");
const RECORDED: ReadonlyMap<string, Made> = new Map(
  existsSync(FILE) ? Object.entries(JSON.parse(readFileSync(FILE, "utf8")) as Record<string, Made>) : [],
);

async function ask(port: number, hop: Recorder, spoof: Spoof): Promise<Made> {
  const said = await replies(port, spoof);
  if (!(said.at(-1) ?? "").startsWith("250 2.0.0 ")) return { replies: said, mail: null, message: null };
  const [number] = spoof.name.split(" ");
  const mine = (t: Taken): boolean => t.wire.includes(`Words of case ${number}.\r\n`);
  const taken = await until(`the next hop has ${spoof.name}`, 20, () => hop.taken.find(mine));
  return {
    replies: said,
    mail: taken.mail.replace(/>[^>]*$/, ">"),
    message: tidied(taken.wire),
  };
}

/** Header and body of a message. */
function halves(message: string): readonly [string, string] {
  const at = message.indexOf("\r\n\r\n");
  return [message.slice(0, at + 2), message.slice(at + 4)];
}

function check(spoof: Spoof, made: Made): void {
  const last = made.replies.at(-1) ?? "";
  if (spoof.fate instanceof RegExp) {
    assert.match(last, spoof.fate);
    return;
  }
  assert.equal(last, "250 2.0.0 QUEUEID Message accepted for delivery");
  const [header, body] = halves(made.message ?? "");
  const [theirs, words] = halves(messageOf(spoof));
  const lines = (text: string): readonly string[] =>
    text
      .split("\r\n")
      .filter((line) => line !== "")
      .sort();
  if (spoof.fate === "as it came") assert.deepEqual(lines(header), lines(theirs));
  if (spoof.fate === "header ends") assert.ok(body.includes("Subject: spoof") && body.endsWith(words), body);
  else assert.equal(body, words);
  if (spoof.fate === "canonical") assert.notDeepEqual(lines(header), lines(theirs));
}

describe("INJ-14: two senders in one message", () => {
  let siege: Siege;
  before(async () => {
    siege = await Siege.start("spoofing");
  });
  after(async () => {
    try {
      await siege.holds();
    } finally {
      await siege.end();
    }
  });

  it("there are nineteen", () => {
    assert.equal(SPOOFS.length, 19);
    assert.equal(RECORDED.size, CASES.length);
  });

  for (const spoof of CASES)
    it(`${spoof.name}: ${spoof.fate}`, async () => {
      const made = await ask(siege.gateway.port, siege.hop, spoof);
      const recorded = RECORDED.get(spoof.name);
      assert.ok(recorded !== undefined, "not recorded");
      check(spoof, recorded);
      assert.deepEqual(made, recorded);
    });
});

const root = process.getuid?.() === 0;
const record = process.env["RECORD"] === "1";
const work = join(import.meta.dirname, "../../build/cache/flow-sendmail");
const overlay = new Overlay(work, "sendmail");

/** As siege.ts configures the gateway. */
function sendmailMc(port: number, next: number): string {
  return `divert(0)dnl
include(\`/usr/share/sendmail/cf/m4/cf.m4')dnl
OSTYPE(\`debian')dnl
DOMAIN(\`generic')dnl
define(\`confDOMAIN_NAME', \`gw.test')dnl
define(\`confPID_FILE', \`/spool/spoofing.pid')dnl
define(\`QUEUE_DIR', \`/spool/spoofing')dnl
define(\`STATUS_FILE', \`')dnl
define(\`ALIAS_FILE', \`')dnl
define(\`confSERVICE_SWITCH_FILE', \`/spoofing/switch')dnl
define(\`confTO_IDENT', \`0')dnl
define(\`confQUEUE_LA', \`1000')dnl
define(\`confREFUSE_LA', \`1000')dnl
define(\`confDELAY_LA', \`1000')dnl
define(\`SMTP_MAILER_ARGS', \`TCP $h ${next}')dnl
FEATURE(\`mailertable', \`hash -o /spoofing/mailertable')dnl
FEATURE(\`accept_unresolvable_domains')dnl
FEATURE(\`nocanonify')dnl
FEATURE(\`no_default_msa')dnl
DAEMON_OPTIONS(\`Name=MTA, Family=inet, Addr=127.0.0.1, Port=${port}')dnl
MAILER(\`smtp')dnl
`;
}

function inside(argv: readonly string[], input = ""): string {
  const [command = "", ...args] = overlay.inside(...argv);
  return execFileSync(command, args, { input, encoding: "utf8", stdio: "pipe", timeout: 60_000 });
}

function compile(port: number, next: number): void {
  for (const [folder, mode] of [
    ["spool", "755"],
    ["spool/spoofing", "700"],
  ] as const) {
    mkdirSync(join(overlay.root, folder), { recursive: true });
    execFileSync("chmod", [mode, join(overlay.root, folder)]);
  }
  overlay.write("spoofing/switch", "hosts files\naliases files\n");
  overlay.write("spoofing/s.mc", sendmailMc(port, next));
  overlay.write("spoofing/s.cf", inside(["m4", "/spoofing/s.mc"]));
  inside(
    ["/usr/libexec/sendmail/makemap", "-C", "/spoofing/s.cf", "hash", "/spoofing/mailertable"],
    "gw2.test\tsmtp:[127.0.0.1]\n",
  );
}

describe("INJ-14: Sendmail 8.17", () => {
  it("says and passes on what is recorded", { timeout: 150_000 }, async (t) => {
    if (!root) return t.skip("needs root");
    if (!record && !existsSync(join(work, "sendmail/fetched"))) return t.skip("no Sendmail here: RECORD=1");
    mkdirSync(work, { recursive: true });
    // The packages of flow/sendmail.test.ts, for both use one overlay.
    overlay.install(
      ...["sendmail-bin", "sendmail-cf", "sendmail-base", "m4"],
      ...["libsasl2-modules", "libsasl2-modules-db", "sasl2-bin"],
    );
    const hop = new Recorder();
    let daemon: ChildProcess | null = null;
    try {
      await hop.start();
      const port = await freePort();
      compile(port, hop.port);
      const [command = "", ...args] = overlay.inside("/usr/sbin/sendmail-mta", "-C/spoofing/s.cf", "-bD");
      daemon = spawn(command, args, { stdio: "ignore" });
      await until("Sendmail answers", 30, () =>
        send(port, "a@c.test", ["b@gw2.test"], "Subject: first\r\n\r\nx\r\n").then(
          (last) => last.startsWith("250"),
          () => false,
        ),
      );
      const made = new Map<string, Made>();
      for (const spoof of CASES) made.set(spoof.name, await ask(port, hop, spoof));
      if (record) writeFileSync(FILE, `${JSON.stringify(Object.fromEntries(made), null, 2)}\n`);
      else assert.deepEqual(made, RECORDED);
    } finally {
      daemon?.kill("SIGTERM");
      await until(
        "Sendmail ends",
        15,
        () => daemon === null || daemon.exitCode !== null || daemon.signalCode !== null,
      );
      await hop.stop();
      overlay.clean();
    }
    return undefined;
  });
});
