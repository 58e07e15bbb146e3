// Each QEMU board, booted: real mail through it to a real server, what it refuses, what is read-only, who the gateway is, and
// that nothing is lost when the power is cut between a 250 and the delivery. The boards run one after the other.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { execa } from "execa";
import { makeImage } from "../../scripts/image.ts";
import { freePorts } from "../../scripts/qemu.ts";
import { type Appliance, BOOT_MS, powerOn } from "./appliance.ts";
import { goodConfiguration, testDisk } from "./content.ts";
import { type Received, type Sink, startSink } from "./sink.ts";
import { converse, greeting } from "./talk.ts";

const DELIVERY_MS = 45_000;
const SWAKS_MS = 60_000;

async function until<T>(what: string, limitMs: number, look: () => T | null): Promise<T> {
  const end = performance.now() + limitMs;
  for (;;) {
    const found = look();
    if (found !== null) return found;
    if (performance.now() > end) throw new Error(`${what} did not happen within ${limitMs} ms`);
    await new Promise((done) => setTimeout(done, 100));
  }
}

const swaks = (port: number, to: string, ...more: string[]) =>
  execa(
    "swaks",
    [
      "--server",
      `127.0.0.1:${port}`,
      "--helo",
      "client.example.org",
      "--from",
      "ann@example.org",
      "--to",
      to,
      ...more,
    ],
    {
      reject: false,
      all: true,
      timeout: SWAKS_MS,
    },
  );

const withSubject = (sink: Sink, subject: string): Received[] =>
  sink.received().filter(({ text }) => text.includes(`\nSubject: ${subject}\n`));

const BODY = [
  "A line.",
  ".",
  "..two dots",
  ".one dot",
  "From the start",
  `long ${"x".repeat(900)}`,
  "",
  "end ",
].join("\n");

async function accepts(box: Appliance, sink: Sink): Promise<void> {
  const sent = await swaks(box.smtpPort, "bob@polkatistas.org", "--header", "Subject: first", "--body", BODY);
  assert.equal(sent.exitCode, 0, sent.all);
  const [got] = await until("delivery", DELIVERY_MS, () => {
    const found = withSubject(sink, "first");
    return found.length > 0 ? found : null;
  });
  assert.ok(got !== undefined);
  assert.equal(got.mail, "<ann@example.org>");
  assert.deepEqual(got.recipients, ["<bob@polkatistas.org>"]);
  // The body, byte for byte (swaks ends it with line ends of its own).
  assert.equal(got.text.slice(got.text.indexOf("\n\n") + 2).replace(/\n+$/, ""), BODY);
  const [, received = ""] = got.text.split(/^(?=\S)/m).filter((line) => line.startsWith("Received: "));
  assert.match(
    received,
    /^Received: from client\.example\.org \(\S*\[10\.0\.2\.2\][^)]*\)\n\tby mail\.polkatistas\.org \(.+\) with ESMTP id \S+\n?\s*for <bob@polkatistas\.org>;\s+\w{3}, \d+ \w{3} \d{4} /,
  );
}

async function readOnly(box: Appliance): Promise<void> {
  for (const path of [
    "/probe",
    "/etc/probe",
    "/usr/bin/probe",
    "/config/probe",
    "/etc/mail/probe",
    "/config/mail/access",
  ]) {
    const { output, status } = await box.run(`echo x >>${path}`);
    assert.notEqual(status, 0, `${path} could be written`);
    assert.match(output, /Read-only file system/);
  }
  const { output } = await box.run("cat /proc/mounts");
  assert.match(output, /^\S+ \/ squashfs ro,/m);
  assert.match(output, /^\S+ \/config squashfs ro,nosuid,nodev,/m);
  assert.match(output, /^\S+ \/var\/mailjail ext4 rw,nosuid,nodev,noexec,noatime/m);
  assert.match(output, /^\S+ \/run tmpfs rw,nosuid,nodev,/m);
}

async function user(box: Appliance): Promise<void> {
  const { output } = await box.run("cat /proc/$(cat /run/gateway/pid)/status");
  assert.match(output, /^Uid:\t8\t8\t8\t8$/m);
  assert.match(output, /^Gid:\t12\t12\t12\t12$/m);
  assert.match(output, /^Groups:\s*(12)?\s*$/m);
  assert.match(output, /^CapEff:\t0+$/m);
  // Every local user reaches the socket that takes mail; the other one is for root and the group mail.
  const places = "/var/spool/mqueue /run/postern /run/postern/control /run/postern/control.submit";
  const found = await box.run(`stat -c '%a %u:%g' ${places}`);
  assert.equal(found.output, "700 8:12\n755 0:12\n660 0:12\n666 0:12\n");
}

async function refusals(box: Appliance): Promise<void> {
  const replies = await converse(box.smtpPort, [
    "EHLO client.example.org",
    "MAIL FROM:<ann@example.org>",
    "RCPT TO:<someone@elsewhere.example>",
    "RCPT TO:<someone%elsewhere.example@polkatistas.org>",
    "QUIT",
  ]);
  assert.match(replies[3] ?? "", /^550 5\.7\.1 <someone@elsewhere\.example>\.\.\. Relaying denied/);
  assert.match(replies[4] ?? "", /^5\d\d 5\./);
}

const CUT_MESSAGES = 5;

/** Mail is taken while its next hop is away, the power is cut right after the last 250, and after the next boot all of it arrives. */
async function powerCut(
  board: string,
  box: Appliance,
  products: Awaited<ReturnType<typeof makeImage>>,
  disk: string,
  innerPort: number,
): Promise<void> {
  for (let count = 0; count < CUT_MESSAGES; count++) {
    const sent = await swaks(
      box.smtpPort,
      "bob@polkatistas.org",
      "--header",
      `Subject: cut ${count}`,
      "--body",
      `number ${count}`,
    );
    assert.equal(sent.exitCode, 0, sent.all);
  }
  await box.machine.cut();
  await using sink = await startSink(innerPort);
  await using again = await powerOn(board, products, disk);
  await greeting(again.smtpPort, BOOT_MS);
  await again.logIn();
  await again.run("/etc/init.d/postern flush");
  await until("delivery of all that was accepted", DELIVERY_MS, () =>
    Array.from({ length: CUT_MESSAGES }, (_, count) => withSubject(sink, `cut ${count}`).length).every(
      (n) => n > 0,
    )
      ? true
      : null,
  );
  for (let count = 0; count < CUT_MESSAGES; count++)
    assert.equal(withSubject(sink, `cut ${count}`).length, 1);
  const empty = await again.run("mailq");
  assert.match(empty.output, /is empty|Total requests: 0/);
  again.machine.type("poweroff\n");
  await again.machine.ended(BOOT_MS);
}

for (const board of ["qemu-x86_64", "qemu-aarch64"])
  test(board, async (t) => {
    const work = mkdtempSync(join(tmpdir(), "postern-board-"));
    t.after(() => rmSync(work, { recursive: true, force: true }));
    const products = await makeImage(board);
    const [innerPort = 0] = await freePorts(1);
    const configA = await goodConfiguration(work, "a", innerPort);
    const disk = await testDisk(products, board, work, { configA });
    {
      await using sink = await startSink(innerPort);
      await using box = await powerOn(board, products, disk);
      await t.test("boots and greets as Sendmail does", async () => {
        assert.match(await greeting(box.smtpPort, BOOT_MS), /^220 mail\.polkatistas\.org ESMTP Sendmail/);
      });
      await t.test("carries mail byte for byte to the server that the mailertable names", () =>
        accepts(box, sink),
      );
      await t.test("refuses to relay for strangers", () => refusals(box));
      await box.logIn();
      await t.test("root and configuration are read-only, the spool mounted without rights", () =>
        readOnly(box),
      );
      await t.test("the gateway is 8:12 with no capabilities", () => user(box));
      await t.test("mailq speaks to the gateway and finds the queue empty", async () => {
        assert.match((await box.run("mailq")).output, /is empty|Total requests: 0/);
      });
      await t.test("switches off by itself, the gateway stopped before", async () => {
        box.machine.type("poweroff\n");
        await box.machine.ended(BOOT_MS);
      });
    }
    await t.test("loses nothing when the power is cut between 250 and delivery", async () => {
      await using box = await powerOn(board, products, disk);
      await greeting(box.smtpPort, BOOT_MS);
      await powerCut(board, box, products, disk, innerPort);
    });
  });
