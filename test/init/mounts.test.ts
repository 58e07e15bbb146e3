// How the writable partition is mounted: by the file system that the board's build names, with options that keep what was synced, repaired
// when it cannot be mounted or has noted errors, and in that order. mount, umount and the checkers are programs of the test.

import assert from "node:assert/strict";
import { test } from "node:test";
import { makeSandbox, type Sandbox } from "./sandbox.ts";

const RIGHTS = "nosuid,nodev,noexec,noatime";
const TO = "/dev/vda6 /var/flash";
const NEW = "uname() { echo 6.12; };";

/** A sandbox with a spool partition; `mount` fails while /tmp/refuse has a word of its arguments, which a checker removes. */
async function box(fileSystem: string | null): Promise<Sandbox> {
  const made = await makeSandbox();
  if (fileSystem !== null) made.file("etc/postern/build", `BOARD=test\nFILESYSTEM=${fileSystem}\n`);
  made.file("sys/class/block/vda6/uevent", "DEVNAME=vda6\nPARTNAME=spool\n");
  const note = 'echo "$(basename "$0") $*" >>/tmp/done';
  const scripts: readonly (readonly [string, string])[] = [
    [
      "mount",
      `${note}; for word in $(cat /tmp/refuse 2>/dev/null); do case "$*" in *$word*) exit 32 ;; esac; done`,
    ],
    ["umount", note],
    ["e2fsck", `${note}; echo "bad magic"; rm -f /tmp/refuse`],
    ["fsck.f2fs", `${note}; echo "no superblock"; rm -rf /tmp/refuse /sys/fs`],
  ];
  for (const [name, text] of scripts) made.file(`usr/local/${name}`, `#!/bin/sh\n${text}\n`, 0o755);
  return made;
}

/** Runs the function of S01mounts after `before` (functions: BusyBox's shell has a mount of its own); what it said and what it called. */
async function flash(
  made: Sandbox,
  before = "",
): Promise<{ readonly said: string; readonly calls: string[] }> {
  const { output } = await made.run(
    `set -- status; . /etc/init.d/S01mounts >/dev/null; PATH=/usr/local:$PATH
     mount() { /usr/local/mount "$@"; }; umount() { /usr/local/umount "$@"; }; ${before}
     flash; echo "status $?"; cat /dev/console; echo --; cat /tmp/done 2>/dev/null`,
  );
  const [said = "", calls = ""] = output.split("\n--");
  return { said, calls: calls.trim().split("\n") };
}

test("ext4 unless the board says otherwise, read-only on errors", async () => {
  for (const named of [null, "ext4"]) {
    using made = await box(named);
    const { said, calls } = await flash(made);
    assert.equal(said, "status 0");
    assert.deepEqual(calls, [`mount -t ext4 -o ${RIGHTS},errors=remount-ro ${TO}`]);
  }
});

test("f2fs is mounted so that a sync means what it means on ext4, without a check before", async () => {
  using made = await box("f2fs");
  const { said, calls } = await flash(made, NEW);
  assert.equal(said, "status 0");
  assert.deepEqual(calls, [`mount -t f2fs -o ${RIGHTS},fsync_mode=strict,errors=remount-ro ${TO}`]);
});

test("f2fs is told to overwrite in place, as it does by itself only on small partitions", async () => {
  using made = await box("f2fs");
  made.file("sys/fs/f2fs/vda6/ipu_policy", "16\n");
  await flash(made, NEW);
  assert.equal((await made.run("cat /sys/fs/f2fs/vda6/ipu_policy")).output.trim(), "1");
});

test("a kernel whose f2fs does not know errors= is not asked for it", async () => {
  for (const [release, known] of [
    ["6.1.0-56-amd64", false],
    ["5.15", false],
    ["6.4.99", false],
    ["6.5-rc1", true],
    ["6.12.41+deb13-amd64", true],
    ["7.0", true],
  ] as const) {
    using made = await box("f2fs");
    const { said, calls } = await flash(made, `uname() { echo ${release}; };`);
    assert.equal(said, "status 0");
    const errors = known ? ",errors=remount-ro" : "";
    assert.deepEqual(calls, [`mount -t f2fs -o ${RIGHTS},fsync_mode=strict${errors} ${TO}`]);
  }
});

const REPAIRS = [
  ["ext4", "e2fsck -p /dev/vda6"],
  ["f2fs", "fsck.f2fs -a /dev/vda6"],
] as const;

test("what cannot be mounted is repaired by the checker of its file system and mounted then", async () => {
  for (const [name, repair] of REPAIRS) {
    using made = await box(name);
    made.file("tmp/refuse", name);
    const { said, calls } = await flash(made);
    assert.equal(said, `status 0\nspool: the ${name} on /dev/vda6 is checked`);
    const at = calls.indexOf(repair);
    assert.ok(at > 0, calls.join("\n"));
    assert.match(calls.slice(at + 1).join("\n"), new RegExp(`^mount -t ${name} `));
  }
});

test("what cannot be repaired either is said with the last words of its checker", async () => {
  for (const [name, words] of [
    ["ext4", "bad magic"],
    ["f2fs", "no superblock"],
  ] as const) {
    using made = await box(name);
    const { said } = await flash(made, "mount() { return 32; };");
    assert.equal(
      said,
      `/dev/vda6 cannot be mounted as ${name}: ${words}\nstatus 1\nspool: the ${name} on /dev/vda6 is checked`,
    );
  }
});

test("an f2fs that has noted errors is checked after the mount that brings back what was synced, and mounted again", async () => {
  using made = await box("f2fs");
  made.file("sys/fs/f2fs/vda6/stat/sb_status", "25\n");
  const { said, calls } = await flash(made, NEW);
  assert.equal(said, "status 0\nspool: the f2fs on /dev/vda6 is checked");
  const mount = `mount -t f2fs -o ${RIGHTS},fsync_mode=strict,errors=remount-ro ${TO}`;
  assert.deepEqual(calls, [mount, "umount /var/flash", "fsck.f2fs -a /dev/vda6", mount]);
});

test("other flags of an f2fs are no errors", async () => {
  using made = await box("f2fs");
  made.file("sys/fs/f2fs/vda6/stat/sb_status", "21\n");
  assert.equal((await flash(made)).calls.length, 1);
});
