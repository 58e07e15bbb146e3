// INJ-14: the cases of spoofing.ts through the whole program, against what Debian's Sendmail 8.17.1 answers and passes on with the same
// features: spoofing.json, recorded by this test run as root with RECORD=1 (it unpacks Sendmail into an overlay of the root file system,
// gives it a port of 127.0.0.1 and a next hop that records). Where such an overlay is there already, Sendmail is asked again.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { compileMc, makemap, overlay, sendmailMc, takeSendmail } from "../flow/debiansendmail.ts";
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

const record = process.env["RECORD"] === "1";
const NAME = "spoofing";

/** As siege.ts configures the gateway. */
function compile(port: number, next: number): string {
  const mc = `define(\`SMTP_MAILER_ARGS', \`TCP $h ${next}')dnl
FEATURE(\`mailertable', \`hash -o /spoofing/mailertable')dnl
DAEMON_OPTIONS(\`Name=MTA, Family=inet, Addr=127.0.0.1, Port=${port}')dnl
`;
  const cf = compileMc(NAME, "s", sendmailMc(NAME, "gw.test", mc));
  makemap(NAME, cf, "mailertable", "gw2.test\tsmtp:[127.0.0.1]\n");
  return cf;
}

describe("INJ-14: Sendmail 8.17", () => {
  it("says and passes on what is recorded", { timeout: 390_000 }, async (t) => {
    const release = await takeSendmail(NAME, record);
    if (typeof release === "string") return t.skip(release);
    const hop = new Recorder();
    let daemon: ChildProcess | null = null;
    try {
      await hop.start();
      const port = await freePort();
      const cf = compile(port, hop.port);
      const [command = "", ...args] = overlay.inside("/usr/sbin/sendmail-mta", `-C${cf}`, "-bD");
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
      release();
    }
    return undefined;
  });
});
