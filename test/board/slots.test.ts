// The two slots of a disk that boots by itself: updates from the console (one good, two bad), what the loader and the initramfs do when a
// byte of a slot has changed, and by UEFI as by BIOS. One disk, started again and again; each start is one claim.

import assert from "node:assert/strict";
import {
  closeSync,
  createReadStream,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { readBoard } from "../../scripts/board.ts";
import { makeImage } from "../../scripts/image.ts";
import { makeUpdate } from "../../scripts/update.ts";
import { partition } from "../powercut/writelog.ts";
import { type Appliance, BOOT_MS, copyDisk, powerOn } from "./appliance.ts";
import { greeting } from "./talk.ts";

const BOARD = "qemu-x86_64";
const SMALL_MB = 128;
/** OVMF's GRUB finds no memory for kernel and initramfs in less. */
const UEFI_MB = 256;
const INSTALL_MS = 240_000;
const TRIAL_MS = 200_000;

/** Serves the files of a folder on a free port of 127.0.0.1, for as long as it is kept. */
async function serve(folder: string): Promise<{ port: number } & Disposable> {
  const server = createServer((request, response) => {
    createReadStream(join(folder, (request.url ?? "").replaceAll(/[^a-z.]/g, "")))
      .on("error", () => response.destroy())
      .pipe(response);
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  return {
    port: address !== null && typeof address === "object" ? address.port : 0,
    [Symbol.dispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** Turns one bit, `at` bytes into a partition. */
function flip(disk: string, label: string, at: number): void {
  const place = partition(disk, label);
  const file = openSync(disk, "r+");
  const byte = Buffer.alloc(1);
  readSync(file, byte, 0, 1, place.offset + at);
  byte[0] = (byte[0] ?? 0) ^ 1;
  writeSync(file, byte, 0, 1, place.offset + at);
  closeSync(file);
}

/** A place in the middle of the kernel: its magic number is in the first cluster of the file. */
function kernelAt(disk: string, label: string): number {
  const place = partition(disk, label);
  const whole = readFileSync(disk).subarray(place.offset, place.offset + place.length);
  const header = whole.indexOf("HdrS");
  assert.ok(header > 0);
  return header + 5_000_000;
}

async function installs(box: Appliance, port: number): Promise<void> {
  const fetched = await box.run(
    `cd /var/flash/device && for f in good other damaged; do wget -q http://10.0.2.2:${port}/$f.update; done; ls`,
    INSTALL_MS,
  );
  assert.match(fetched.output, /damaged\.update\s+good\.update\s+other\.update/);
  const other = await box.run("sysupgrade other.update", INSTALL_MS);
  assert.match(other.output, /the update is for pc-x86_64, this is qemu-x86_64/);
  assert.equal(other.status, 65);
  assert.match((await box.run("/lib/postern/bootstate")).output, /^slot=a\ntry=\ntries=\nbad_a=\nbad_b=\n$/);
  const damaged = await box.run("postern upgrade damaged.update", INSTALL_MS);
  assert.match(damaged.output, /rootfs\.img is not what was signed/);
  assert.equal(damaged.status, 74);
  assert.match(
    (await box.run("postern upgrade --status", INSTALL_MS)).output,
    /slot b: not to be started \(writing\)/,
  );
  const good = await box.run("postern upgrade --no-reboot good.update && rm *.update", INSTALL_MS);
  assert.match(good.output, /slot b is on trial at the next start/);
  assert.equal(good.status, 0);
}

test("updates and damaged slots", async (t) => {
  const work = mkdtempSync(join(tmpdir(), "postern-slots-"));
  t.after(() => rmSync(work, { recursive: true, force: true }));
  const products = await makeImage(BOARD);
  const disk = copyDisk(products.image, work);
  const board = readBoard(BOARD);
  await makeUpdate(board, products, join(work, "good.update"), { version: "99.0" });
  await makeUpdate(board, products, join(work, "other.update"), { compatible: "pc-x86_64" });
  const damaged = readFileSync(join(work, "good.update"));
  const last = damaged.length - 20_000;
  damaged[last] = (damaged[last] ?? 0) ^ 1;
  writeFileSync(join(work, "damaged.update"), damaged);
  using server = await serve(work);

  await t.test(
    "for another board or damaged: refused, the running slot untouched; a good one is put on trial",
    async () => {
      await using box = await powerOn(BOARD, products, disk, SMALL_MB);
      assert.match(await greeting(box.smtpPort, BOOT_MS), /^220 /);
      await box.logIn();
      await installs(box, server.port);
      box.machine.type("reboot\n");
      const from = await box.machine.expect(/Postern: starting slot b/, BOOT_MS);
      await box.machine.expect(/slot b is on trial \(2 more starts\)/, BOOT_MS, from);
      await box.machine.expect(/slot b is confirmed/, TRIAL_MS, from);
    },
  );

  await t.test("a changed byte of the kernel: the other slot starts and says why", async () => {
    flip(disk, "boot-b", kernelAt(disk, "boot-b"));
    await using box = await powerOn(BOARD, products, disk, SMALL_MB);
    const from = await box.machine.expect(/kernel or initramfs of slot b is damaged/, BOOT_MS);
    await box.machine.expect(
      /slot b is not used: its kernel or initramfs is damaged; slot a runs/,
      BOOT_MS,
      from,
    );
    assert.match(await greeting(box.smtpPort, BOOT_MS), /^220 /);
  });

  await t.test(
    "then a changed byte of the other root's superblock, by UEFI: the console says what to do, and no prompt waits for ever",
    async () => {
      flip(disk, "rootfs-a", 40);
      await using box = await powerOn(BOARD, products, disk, UEFI_MB, [], "uefi");
      await box.machine.expect(/root file system of slot a is damaged/, BOOT_MS);
      const from = await box.machine.expect(/NEITHER SLOT CAN BE STARTED/, BOOT_MS);
      await box.machine.expect(/Postern: starting slot|kernel or initramfs of slot/, BOOT_MS, from);
    },
  );
});
