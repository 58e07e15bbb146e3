// The board whose spool is f2fs, booted with a file system that has noted errors of an earlier time: it is checked and repaired before mail is
// taken, mounted with the options that keep what was synced, and filled to the last block. What a power cut leaves of it: test/powercut.

import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import { readBoard } from "../../scripts/board.ts";
import { makeF2fs } from "../../scripts/disk.ts";
import { makeImage } from "../../scripts/image.ts";
import { freePorts } from "../../scripts/qemu.ts";
import { type Appliance, BOOT_MS, powerOn } from "./appliance.ts";
import { goodConfiguration, testDisk } from "./content.ts";
import { startSink } from "./sink.ts";
import { converse, greeting } from "./talk.ts";

const BOARD = "qemu-x86_64-f2fs";
const TRIES_MAX = 8;
const BLOCK_BYTES = 4096;
/** Linux's fs/f2fs on-disk format: the superblock, and in it the first block of the checkpoints. */
const SUPERBLOCK_AT = 1024;
const CHECKPOINT_FIELD = 76;
/** In a checkpoint: its flags, its length in blocks (the last one is a copy of the first), and where its sum is. */
const FLAGS_FIELD = 132;
const BLOCKS_FIELD = 136;
const SUM_FIELD = 164;
const NEEDS_CHECK = 0x10;
const MAGIC = 0xf2f52010;

/** Linux's crc32_le over `bytes` with the magic number for a start. */
const sumOf = (bytes: Buffer): number => ~crc32(bytes, ~MAGIC >>> 0) >>> 0;

/** Notes in the checkpoint of a fresh f2fs that it has errors, as the kernel does when it meets one. */
function noteErrors(image: string): void {
  const file = openSync(image, "r+");
  const read = (at: number, length: number): Buffer => {
    const bytes = Buffer.alloc(length);
    readSync(file, bytes, 0, length, at);
    return bytes;
  };
  const first = read(SUPERBLOCK_AT + CHECKPOINT_FIELD, 4).readUInt32LE();
  const block = read(first * BLOCK_BYTES, BLOCK_BYTES);
  const sumAt = block.readUInt32LE(SUM_FIELD);
  assert.equal(block.readUInt32LE(sumAt), sumOf(block.subarray(0, sumAt)), "the sum is understood");
  block.writeUInt32LE(block.readUInt32LE(FLAGS_FIELD) | NEEDS_CHECK, FLAGS_FIELD);
  block.writeUInt32LE(sumOf(block.subarray(0, sumAt)), sumAt);
  for (const at of [first, first + block.readUInt32LE(BLOCKS_FIELD) - 1])
    writeSync(file, block, 0, BLOCK_BYTES, at * BLOCK_BYTES);
  closeSync(file);
}

/** The last answer to a message with this subject, or the first refusal. */
async function send(box: Appliance, subject: string): Promise<string> {
  const replies = await converse(box.smtpPort, [
    "EHLO client.example.org",
    "MAIL FROM:<ann@example.org>",
    "RCPT TO:<bob@polkatistas.org>",
    "DATA",
    `Subject: ${subject}\r\n\r\nx\r\n.`,
    "QUIT",
  ]);
  return replies.slice(2).find((reply) => /^[45]/.test(reply)) ?? replies[5] ?? "";
}

test("an f2fs spool that has noted errors is repaired at boot and takes mail", async (t) => {
  const work = mkdtempSync(join(tmpdir(), "postern-f2fs-"));
  t.after(() => rmSync(work, { recursive: true, force: true }));
  const products = await makeImage(BOARD);
  const [innerPort = 0] = await freePorts(1);
  const spool = join(work, "spool");
  await makeF2fs(readBoard(BOARD), spool);
  noteErrors(spool);
  const disk = await testDisk(products, BOARD, work, {
    configA: await goodConfiguration(work, "a", innerPort),
    spool,
  });
  await using box = await powerOn(BOARD, products, disk);
  assert.match(await greeting(box.smtpPort, BOOT_MS), /^220 /);
  await box.logIn();
  const checked = await box.run("cat /run/fsck.log");
  assert.match(checked.output, /Fix the reported corruption/, "fsck.f2fs was asked and found the note");
  const status = await box.run("cat /sys/fs/f2fs/vda10/stat/sb_status");
  assert.equal(Number.parseInt(status.output, 16) & 4, 0, "the note is gone");
  const { output } = await box.run("cat /proc/mounts");
  const options = /^\S+ \/var\/mailjail f2fs (\S+)/m.exec(output)?.[1]?.split(",") ?? [];
  for (const option of ["rw", "nosuid", "nodev", "noexec", "noatime", "fsync_mode=strict"])
    assert.ok(options.includes(option), `${option} in ${options}`);
  for (const option of ["nobarrier", "norecovery", "disable_roll_forward"])
    assert.ok(!options.includes(option), `${option} in ${options}`);
  let taken = 0;
  /** Sends until the answer has this code: the gateway asks for free space once a second, behind the mail. */
  const until = async (code: string): Promise<string> => {
    for (let tries = 0; ; tries++) {
      const answer = await send(box, `number ${taken}`);
      if (answer.startsWith("250")) taken++;
      if (answer.startsWith(code) || tries >= TRIES_MAX) return answer;
      await new Promise((wake) => setTimeout(wake, 1000));
    }
  };
  await t.test("mail is taken and waits for its next hop", async () => {
    assert.match(await until("250"), /^250 2\.0\.0 \S+ Message accepted/);
    assert.match((await box.run("mailq")).output, /Total requests: 1\b/);
  });
  await t.test(
    "full to the last block: 452, and what waits is delivered and leaves the queue all the same",
    async () => {
      // Blocks of ever smaller size: nothing is left.
      await box.run("for s in 1024k 64k 4k; do dd if=/dev/zero bs=$s >>/var/flash/fill; sync; done");
      assert.match((await box.run("df -k /var/flash | tail -n 1")).output, / 100% /);
      assert.match(await until("452"), /^452 4\.4\.5 /);
      await using sink = await startSink(innerPort);
      await box.run("/etc/init.d/postern flush");
      await box.run(
        "n=0; until mailq | grep -q 'requests: 0' || [ $n -gt 100 ]; do n=$((n+1)); sleep 0.2; done",
      );
      assert.match((await box.run("mailq")).output, /is empty|Total requests: 0/);
      const subjects = sink.received().map(({ text }) => /Subject: (.*)/.exec(text)?.[1]);
      assert.deepEqual(
        subjects.sort(),
        Array.from({ length: taken }, (_, n) => `number ${n}`),
      );
    },
  );
  await t.test("when there is room again, mail is taken again, without a restart", async () => {
    const before = await box.run("cat /run/gateway/pid");
    await box.run("rm /var/flash/fill; sync");
    assert.match(await until("250"), /^250 2\.0\.0 /);
    assert.equal((await box.run("cat /run/gateway/pid")).output, before.output);
  });
});
