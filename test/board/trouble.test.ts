// An appliance that starts badly: a wrong configuration, an image that somebody changed, a spool that cannot be mounted.
// It says why on the console, gives a login there, and does what good can still be done.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { makeImage } from "../../scripts/image.ts";
import { BOOT_MS, powerOn } from "./appliance.ts";
import { changedConfiguration, goodConfiguration, testDisk, wrongConfiguration } from "./content.ts";
import { greeting } from "./talk.ts";

const BOARD = "qemu-x86_64";
const WRONG = "OSTYPE(`linux')dnl\nFEATURE(`nosuchfeature')dnl\nMAILER(`smtp')dnl\n";

const folder = () => mkdtempSync(join(tmpdir(), "postern-trouble-"));

test("a wrong sendmail.mc with no other configuration: the reason on the console, exit 78, and a login", async (t) => {
  const work = folder();
  t.after(() => rmSync(work, { recursive: true, force: true }));
  const products = await makeImage(BOARD);
  const disk = await testDisk(products, BOARD, work, { configA: await wrongConfiguration(work, "a", WRONG) });
  await using box = await powerOn(BOARD, products, disk);
  await box.machine.expect(/sendmail\.mc:2:\d+: .*nosuchfeature/, BOOT_MS);
  await box.machine.expect(/the gateway is not started again/, BOOT_MS);
  await box.logIn();
  const status = await box.run("/etc/init.d/postern status");
  assert.match(status.output, /refuses its configuration/);
  assert.equal(status.status, 3);
});

test("a wrong sendmail.mc with a previous configuration: that one takes its place", async (t) => {
  const work = folder();
  t.after(() => rmSync(work, { recursive: true, force: true }));
  const products = await makeImage(BOARD);
  const disk = await testDisk(products, BOARD, work, {
    configA: await wrongConfiguration(work, "a", WRONG),
    configB: await goodConfiguration(work, "b"),
  });
  await using box = await powerOn(BOARD, products, disk);
  await box.machine.expect(/sendmail\.mc:2:\d+: .*nosuchfeature/, BOOT_MS);
  await box.machine.expect(/the previous configuration image takes its place \(slot b\)/, BOOT_MS);
  assert.match(await greeting(box.smtpPort, BOOT_MS), /^220 mail\.polkatistas\.org /);
});

test("an image that was changed after it was signed is not mounted", async (t) => {
  const work = folder();
  t.after(() => rmSync(work, { recursive: true, force: true }));
  const products = await makeImage(BOARD);
  const disk = await testDisk(products, BOARD, work, {
    configA: await changedConfiguration(work, "a"),
    configB: await goodConfiguration(work, "b"),
  });
  await using box = await powerOn(BOARD, products, disk);
  await box.machine.expect(/slot a is not used: .*signature is wrong/, BOOT_MS);
  await box.machine.expect(/slot b is active instead/, BOOT_MS);
  assert.match(await greeting(box.smtpPort, BOOT_MS), /^220 /);
});

test("a spool that cannot be mounted: 421 to everyone, the reason on the console, and a login", async (t) => {
  const work = folder();
  t.after(() => rmSync(work, { recursive: true, force: true }));
  const products = await makeImage(BOARD);
  const spool = join(work, "spool");
  writeFileSync(spool, "no file system");
  truncateSync(spool, 64 << 20);
  const disk = await testDisk(products, BOARD, work, { configA: await goodConfiguration(work, "a"), spool });
  await using box = await powerOn(BOARD, products, disk);
  await box.machine.expect(/spool: \/dev\/vda10 cannot be mounted as ext4/, BOOT_MS);
  assert.match(await greeting(box.smtpPort, BOOT_MS), /^421 /);
  await box.logIn();
  const { output } = await box.run("/etc/init.d/postern status; cat /run/spool-unusable");
  assert.match(output, /running/);
  assert.match(output, /cannot be mounted/);
});
