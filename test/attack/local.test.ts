// SMUG-15 and SMUG-16 (reliability 3.1): the twelve sequences through the commands of the machine itself, through header values and
// addresses, and out of a queue that somebody has edited. What reaches the next hop is one message, CRLF lines, dots stuffed.

import assert from "node:assert/strict";
import { lchownSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { defaultOptions } from "../../src/config/options.ts";
import { callDaemon } from "../../src/control/client.ts";
import { settingsFrom } from "../../src/spool/settings.ts";
import { makeSpool } from "../../src/spool/spool.ts";
import { systemClock } from "../../src/sys/clock.ts";
import { systemDisk } from "../../src/sys/disk.ts";
import { systemEntropy } from "../../src/sys/entropy.ts";
import { silentLog } from "../../src/sys/log.ts";
import { envelopeTo } from "../crash/life.ts";
import { delay, until } from "../flow/gateway.ts";
import { faultsOf, SEQUENCES, SMUGGLED } from "./sequences.ts";
import { Siege, type Taken } from "./siege.ts";

/** Everything that files of a folder hold. */
function contents(folder: string): Buffer {
  const parts: Buffer[] = [];
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) parts.push(readFileSync(join(entry.parentPath, entry.name)));
  return Buffer.concat(parts);
}

/** The one message of `tag`, when it has come. */
function messageOf(siege: Siege, tag: string): Promise<Taken> {
  return until(`the next hop has ${tag}`, 20, () =>
    siege.hop.taken.find((taken) => taken.wire.includes(`${tag}\r\n`)),
  );
}

describe("SMUG-15", () => {
  let siege: Siege;
  before(async () => {
    siege = await Siege.start("smug15");
  });
  after(() => siege.end());

  /** What `sendmail` was given went out as one message to the recipients it was given, and to nobody else. */
  async function whole(tag: string, rcpt: readonly string[]): Promise<Taken> {
    const taken = await messageOf(siege, tag);
    assert.deepEqual(faultsOf(taken.wire), []);
    assert.deepEqual(taken.rcpt, rcpt);
    assert.ok(!siege.hop.taken.some((t) => /evil@c\.test/.test(t.mail)), "a smuggled message was sent");
    return taken;
  }

  /** What is in the input of a message that is refused whole, as port 25 refuses it. */
  async function refused(ran: { readonly status: number; readonly err: string }, tag: string): Promise<void> {
    assert.equal(ran.status, 65);
    assert.match(ran.err, /NUL byte not allowed/);
    await siege.drained();
    assert.ok(!siege.hop.taken.some((taken) => taken.wire.includes(`${tag}\r\n`)), "nothing is sent");
  }

  for (const [origin, sequence] of SEQUENCES) {
    it(`${origin} in the body given to sendmail -t and -t -i is text of one message, or refused for its NUL`, async () => {
      for (const dots of [[], ["-i"]]) {
        const tag = `t-${origin}${dots.join("")}`;
        const head = `To: b@gw2.test\nSubject: ${tag}\n\nline1`;
        const ran = await siege.gateway.run(
          "sendmail",
          [...siege.gateway.options(), "-t", ...dots],
          Buffer.from(head + sequence + SMUGGLED, "latin1").toString("latin1"),
        );
        if (sequence.includes("\0")) {
          await refused(ran, `Subject: ${tag}`);
          continue;
        }
        assert.equal(ran.status, 0);
        await whole(`Subject: ${tag}`, ["RCPT To:<b@gw2.test>"]);
      }
    });

    it(`${origin} in a header value given to sendmail -t stays in the header or ends it, nothing else, or is refused for its NUL`, async () => {
      const tag = `h-${origin}`;
      const ran = await siege.gateway.run(
        "sendmail",
        [...siege.gateway.options(), "-t", "-i"],
        `Subject: ${tag}\nTo: b@gw2.test\nX-Value: a${sequence}${SMUGGLED}\n\nbody\n`,
      );
      if (sequence.includes("\0")) return refused(ran, `Subject: ${tag}`);
      assert.equal(ran.status, 0);
      await whole(`Subject: ${tag}`, ["RCPT To:<b@gw2.test>"]);
    });

    it(`${origin} over sendmail -bs is refused in the words of port 25, nothing is kept`, async () => {
      const count = siege.hop.taken.length;
      const said = await bs(siege, [
        "EHLO c.test\r\n",
        "MAIL FROM:<a@c.test>\r\n",
        "RCPT TO:<b@gw2.test>\r\n",
        "DATA\r\n",
        `Subject: bs-${origin}\r\n\r\nline1${sequence}${SMUGGLED}`,
      ]);
      if (sequence.includes("\0")) assert.match(said, /^554 5\.6\.1 NUL byte not allowed\r$/m);
      else assert.match(said, /^421 4\.5\.0 Bare (?:linefeed \(LF\)|carriage return \(CR\)) not allowed\r$/m);
      assert.equal(siege.hop.taken.length, count);
    });
  }

  const FORGED: readonly { name: string; args: readonly string[]; status: number; says: RegExp }[] = [
    {
      name: "sender of -f",
      args: ["-f", "a@c.test\nX-Evil: y"],
      status: 65,
      says: /^501 5\.1\.7 .*non-printable/,
    },
    {
      name: "sender of -f, which ends its command",
      args: ["-f", "a@c.test>\r\nRCPT TO:<evil@c.test"],
      status: 65,
      says: /^501 5\.1\.7 .*non-printable/,
    },
    {
      name: "recipient",
      args: ["b@gw2.test>\r\nRCPT TO:<evil@c.test"],
      status: 65,
      says: /^501 5\.1\.3 .*non-printable/,
    },
    { name: "full name of -F", args: ["-F", "Joe\r\nX-Evil: y\r\n\r\nx"], status: 0, says: /^$/ },
    {
      name: "envelope id of -V",
      args: ["-V", "id\r\nX-Evil: y"],
      status: 64,
      says: /Invalid syntax in -V flag/,
    },
  ];
  for (const { name, args, status, says } of FORGED)
    it(`a line end in the ${name} makes no line`, async () => {
      const tag = `forged-${name}`;
      const ran = await siege.gateway.run(
        "sendmail",
        [...siege.gateway.options(), ...args, ...(name === "recipient" ? [] : ["b@gw2.test"])],
        `Subject: ${tag}\n\nbody\n`,
      );
      assert.equal(ran.status, status, ran.err);
      assert.match(ran.err, says);
      if (status === 0) {
        const taken = await whole(`Subject: ${tag}`, ["RCPT To:<b@gw2.test>"]);
        assert.doesNotMatch(taken.wire.toString("latin1"), /^X-Evil/m);
      } else {
        await siege.drained();
        assert.ok(!siege.hop.taken.some((t) => t.wire.includes(tag)));
      }
    });

  it("the same over the control socket, past sendmail's own checks, is refused there", async () => {
    const socket = siege.gateway.control;
    const submission = {
      ...{ sender: "a@c.test", fullName: "", recipients: ["b@gw2.test"], fromHeader: false, user: "joe" },
      ...{ notify: "", ret: "", envid: "", body: "", deliveryMode: "", quarantine: "", ignoreDots: true },
    };
    for (const over of [
      { sender: "a@c.test\r\nX: y" },
      { recipients: ["b@gw2.test\nX: y"] },
      { envid: "a\r\nb" },
      { envid: "a+00" },
    ]) {
      const message = Buffer.from("Subject: socket\n\nx\n");
      const call = { verb: "submit" as const, submit: { ...submission, ...over } };
      async function* input(): AsyncGenerator<Buffer> {
        yield message;
      }
      const answered = await callDaemon(socket, call, input());
      assert.ok(answered.ok, JSON.stringify(over));
      const [answer] = answered.value as { status: number; messages: string[] }[];
      assert.equal(answer?.status, 65, JSON.stringify(over));
    }
    await siege.drained();
    assert.ok(!siege.hop.taken.some((t) => t.wire.includes("Subject: socket")));
  });

  it("nothing of all this is in the queue's files as a line end that only some see", async () => {
    await siege.restart(undefined, ["-odq"]);
    const head = (tag: string): string => `To: b@gw2.test\nSubject: kept-${tag}\n\nline1`;
    for (const [origin, sequence] of SEQUENCES)
      await siege.gateway.run(
        "sendmail",
        [...siege.gateway.options(), "-odq", "-t", "-i"],
        head(origin) + sequence + SMUGGLED,
      );
    const stored = contents(siege.gateway.queue).toString("latin1");
    for (const [origin, sequence] of SEQUENCES) {
      const from = stored.indexOf(`Subject: kept-${origin}\r\n`);
      if (sequence.includes("\0")) {
        assert.ok(from < 0, `${origin} is not queued`);
        continue;
      }
      assert.ok(from >= 0, `${origin} is queued`);
      const text = stored.slice(stored.lastIndexOf("Received:", from), stored.indexOf("smug\r\n", from) + 6);
      assert.doesNotMatch(text, /\r(?!\n)|(?<!\r)\n|\0/, origin);
    }
  });

  it("and the gateway is as it was", async () => {
    await siege.restart();
    await siege.drained();
    await siege.holds();
  });
});

/** A conversation with `sendmail -bs`: each piece is sent when the one before was answered. */
async function bs(siege: Siege, pieces: readonly string[]): Promise<string> {
  const { spawn } = await import("node:child_process");
  const main = join(import.meta.dirname, "../../src/main.ts");
  const child = spawn(process.execPath, [main, "sendmail", ...siege.gateway.options(), "-bs"], {
    stdio: ["pipe", "pipe", "pipe"],
  });
  let out = "";
  child.stdout.on("data", (chunk: Buffer) => {
    out += chunk.toString("latin1");
  });
  child.stdin.on("error", () => child.stdin.destroy());
  const ended = new Promise<void>((resolve) => child.on("close", () => resolve()));
  let replies = 1;
  const finals = (): number => out.match(/^\d{3} .*\r\n/gm)?.length ?? 0;
  for (const piece of pieces) {
    await until("an answer of -bs", 20, () => finals() >= replies || child.exitCode !== null);
    replies = finals() + 1;
    child.stdin.write(Buffer.from(piece, "latin1"));
  }
  await until("the last answer of -bs", 20, () => finals() >= replies || child.exitCode !== null);
  child.stdin.end();
  await ended;
  return out;
}

describe("SMUG-16", () => {
  /** What follows, as a body in wire form has it. */
  const STUFFED = SMUGGLED.replace("\r\n.\r\n", "\r\n..\r\n");

  /** A queue with one message whose body is `body`, as if the data gate had not been there. */
  async function plant(queue: string, tag: string, text: string): Promise<void> {
    const body = Buffer.from(text, "latin1");
    const opened = await makeSpool({
      disk: systemDisk,
      clock: systemClock,
      entropy: systemEntropy,
      log: silentLog,
      folder: queue,
      settings: settingsFrom(defaultOptions(), 1000),
      router: { expand: async () => ({ deliveries: [], errors: [] }) },
      mailers: new Map(),
      names: { hostName: "gw.test", version: "1", mailerDaemon: "MAILER-DAEMON@gw.test" },
      clockFloorMs: 0,
    });
    assert.ok(opened.ok);
    const draft = opened.value.open();
    for (let at = 0; at < body.length; at += 60_000) await draft.write(body.subarray(at, at + 60_000));
    const verdict = await draft.commit(
      envelopeTo(["b@gw2.test"]),
      Buffer.from(`Received: by gw.test; Sun, 22 Nov 2026 10:00:00 +0000\r\nSubject: ${tag}\r\n`),
    );
    assert.equal(verdict.kind, "accepted");
    await opened.value.close(1000);
    giveBack(queue);
  }

  /** Everything in the queue is the owner's of its folder, whoever runs the tests. */
  function giveBack(queue: string): void {
    if (process.getuid?.() !== 0) return;
    const { uid, gid } = statSync(queue);
    for (const entry of readdirSync(queue, { recursive: true, encoding: "utf8" }))
      lchownSync(join(queue, entry), uid, gid);
  }

  /** Puts `sequence` over the marked place of the queue's files; how often it was found. */
  function edit(folder: string, mark: string, sequence: string): number {
    let found = 0;
    for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath, entry.name);
      const bytes = readFileSync(path);
      const at = bytes.indexOf(mark);
      if (at < 0) continue;
      found++;
      bytes.write(sequence, at, "latin1");
      writeFileSync(path, bytes);
    }
    return found;
  }

  it("each sequence in records with right checksums goes out repaired: one message each, dots stuffed", async () => {
    const siege = await Siege.start("smug16");
    try {
      await siege.restart(async () => {
        for (const [origin, sequence] of SEQUENCES)
          for (const size of [0, 300_000])
            await plant(
              siege.gateway.queue,
              `${origin} ${size}`,
              `${"x\r\n".repeat(size / 3)}line1${sequence}${STUFFED}`,
            );
      });
      for (const [origin] of SEQUENCES)
        for (const size of [0, 300_000]) {
          const taken = await messageOf(siege, `Subject: ${origin} ${size}`);
          assert.deepEqual(faultsOf(taken.wire), [], origin);
          assert.ok(taken.wire.includes("MAIL FROM:<evil@c.test>"), "what follows is text");
          assert.deepEqual(taken.rcpt, ["RCPT To:<b@gw2.test>"]);
        }
      assert.ok(!siege.hop.taken.some((t) => t.mail.includes("evil")));
      await siege.holds();
    } finally {
      await siege.end();
    }
  });

  for (const [where, size] of [
    ["the log", 0],
    ["a file of its own", 900_000],
  ] as const)
    it(`a sequence written by hand into ${where} is found: nothing of the message is delivered, the rest is`, async () => {
      const siege = await Siege.start("smug16hand");
      try {
        const line = `${"y".repeat(70)}\r\n`;
        await siege.restart(async () => {
          for (const [origin, sequence] of SEQUENCES) {
            const mark = `MARK-${origin}-HERE`;
            await plant(
              siege.gateway.queue,
              `hand-${origin}`,
              `${line.repeat(Math.ceil(size / line.length))}line1${mark}${STUFFED}`,
            );
            assert.equal(edit(siege.gateway.queue, mark, sequence), 1);
          }
        });
        const before = siege.hop.taken.length;
        await siege.good();
        await until("the good message is through", 20, () => siege.hop.taken.length > before);
        await delay(1500);
        for (const [origin] of SEQUENCES)
          assert.ok(
            !siege.hop.taken.some((t) => t.wire.includes(`hand-${origin}`)),
            `${origin} was delivered`,
          );
        assert.ok(!siege.hop.taken.some((t) => t.mail.includes("evil")));
        const heard = Buffer.concat(siege.hop.heard).toString("latin1").replaceAll("\r\n.\r\n", "\r\n");
        for (const [origin, sequence] of SEQUENCES)
          assert.ok(!heard.includes(sequence), `${origin} was sent`);
        // What was found is kept for the administrator.
        const quarantined = readdirSync(join(siege.gateway.queue, "quarantine")).length;
        const held =
          siege.gateway.output.match(/quarantine=damaged: its content does not match/g)?.length ?? 0;
        assert.equal(size === 0 ? quarantined : held, SEQUENCES.length);
      } finally {
        await siege.end();
      }
    });
});
