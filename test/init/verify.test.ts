// The boot's own check of a configuration image, under BusyBox and with signify, against images made by the program: what it takes
// and what it refuses, and that it agrees with the program's check of the same bytes.

import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { execa } from "execa";
import { boardNames, ROOT } from "../../scripts/board.ts";
import { findFolder } from "../../src/prepare/check.ts";
import { buildImage } from "../../src/prepare/image.ts";
import { loadSigningKey, loadTrustedKeys, makeKeys } from "../../src/prepare/keys.ts";
import { signImage, TRAILER_BYTES, verifyImage } from "../../src/prepare/signature.ts";
import { makeSandbox, type Sandbox } from "./sandbox.ts";

const work = mkdtempSync(join(tmpdir(), "postern-verify-"));
const keyFolder = join(work, "keys");
const otherFolder = join(work, "other");
let box: Sandbox;
let image: Buffer;

/** A program of this machine in the sandbox, with what it is linked to. */
async function install(program: string): Promise<void> {
  const { stdout } = await execa("ldd", [program]);
  const libraries = [...stdout.matchAll(/(?:=> )?(\/\S+) \(0x/g)].map((match) => match[1] ?? "");
  for (const file of [program, ...libraries]) {
    mkdirSync(join(box.folder, dirname(file)), { recursive: true });
    copyFileSync(file, join(box.folder, file));
  }
}

function must<T>(
  result: { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: unknown },
): T {
  if (!result.ok) assert.fail(String(result.error));
  return result.value;
}

before(async () => {
  box = await makeSandbox();
  await install("/usr/bin/signify-openbsd");
  for (const folder of [keyFolder, otherFolder]) must(makeKeys(folder));
  const target = join(work, "image");
  must(
    await buildImage({
      folder: must(findFolder(join(ROOT, "rootfs/usr/share/postern/config"))),
      target,
      key: must(loadSigningKey(keyFolder)),
      generation: 1,
    }),
  );
  image = readFileSync(target);
  box.file("etc/postern/keys/config.pub", readFileSync(join(keyFolder, "config.pub"), "utf8"));
});

after(() => {
  box[Symbol.dispose]();
  rmSync(work, { recursive: true });
});

/** What the boot says of these bytes. */
async function verdict(bytes: Buffer): Promise<string> {
  writeFileSync(join(box.folder, "tmp/image"), bytes);
  const { output, status } = await box.run("/lib/postern/verify /tmp/image; echo $?; ls /tmp");
  assert.equal(status, 0);
  assert.match(output, /\nimage$|^0\nimage$/, "nothing is left in /tmp");
  return output.replace(/\nimage$/, "");
}

function agrees(bytes: Buffer): boolean {
  return verifyImage(bytes, must(loadTrustedKeys(keyFolder))).ok;
}

test("an image as it was made is good, also in a partition that is larger than it", async () => {
  assert.equal(await verdict(image), "0");
  assert.equal(await verdict(Buffer.concat([image, Buffer.alloc(100_000, 0xff)])), "0");
});

test("an image with any bit changed is refused", async () => {
  const squashfs = image.length - TRAILER_BYTES;
  // Of the superblock, of the files, of the padding, of each field of the trailer.
  const places = [0, 3, 8, 40, 44, 47, 95, 96, 1000, squashfs - 1];
  for (const offset of [0, 7, 8, 12, 16, 40, 47, 48, 80, 111]) places.push(squashfs + offset);
  for (const place of places) {
    const changed = Buffer.from(image);
    changed.writeUInt8(changed.readUInt8(place) ^ 0x01, place);
    assert.equal(agrees(changed), false, `byte ${place}`);
    assert.match(await verdict(changed), /^\/tmp\/image: .+\n65$/, `byte ${place}`);
  }
});

test("an image that is cut off is refused wherever that is", async () => {
  for (const length of [0, 3, 39, 47, 96, 4096, image.length - TRAILER_BYTES, image.length - 17 - 64]) {
    const cut = image.subarray(0, length);
    assert.equal(agrees(cut), false);
    assert.match(await verdict(cut), /^\/tmp\/image: .+\n65$/, `${length} bytes`);
  }
});

test("a signature by a key that is not trusted here is refused, and says whose it is", async () => {
  const squashfs = image.subarray(0, image.length - TRAILER_BYTES);
  const foreign = Buffer.concat([squashfs, must(signImage(squashfs, must(loadSigningKey(otherFolder))))]);
  assert.equal(agrees(foreign), false);
  assert.match(await verdict(foreign), /signed with key [0-9a-f]{16}, which is not trusted here\n65$/);
  box.file("etc/postern/keys/second.pub", readFileSync(join(otherFolder, "config.pub"), "utf8"));
  assert.equal(await verdict(foreign), "0");
  assert.equal(await verdict(image), "0");
  rmSync(join(box.folder, "etc/postern/keys/second.pub"));
});

test("a trusted key's name over another key's signature is refused", async () => {
  const squashfs = image.subarray(0, image.length - TRAILER_BYTES);
  const trailer = must(signImage(squashfs, must(loadSigningKey(otherFolder))));
  image.copy(trailer, 16, image.length - TRAILER_BYTES + 16, image.length - TRAILER_BYTES + 48);
  assert.match(await verdict(Buffer.concat([squashfs, trailer])), /the signature is wrong.*\n65$/);
});

test("lengths that no image has are refused before anything is read by them", async () => {
  for (const used of [
    0n,
    95n,
    0x4000001n,
    0x80000000n,
    0x100000060n,
    0x7fffffffffffffffn,
    0xffffffffffffffffn,
  ]) {
    const evil = Buffer.from(image);
    evil.writeBigUInt64LE(used, 40);
    assert.equal(agrees(evil), false);
    assert.match(await verdict(evil), /its length is not that of a configuration image\n65$/, String(used));
  }
});

test("keys that are no keys are passed over, and without any key nothing is good", async () => {
  const keys = join(box.folder, "etc/postern/keys");
  writeFileSync(join(keys, "a.pub"), "-----BEGIN PUBLIC KEY-----\n!!!!\n-----END PUBLIC KEY-----\n");
  writeFileSync(join(keys, "b.pub"), Buffer.alloc(100));
  assert.equal(await verdict(image), "0");
  const kept = readFileSync(join(keys, "config.pub"));
  rmSync(keys, { recursive: true });
  mkdirSync(keys);
  assert.match(await verdict(image), /which is not trusted here\n65$/);
  writeFileSync(join(keys, "config.pub"), kept);
});

test("a slot with a bad image is not used, and the console says why", async () => {
  const bad = Buffer.from(image);
  bad.writeUInt8(bad.readUInt8(500) ^ 0xff, 500);
  writeFileSync(join(box.folder, "tmp/slot-a"), bad);
  writeFileSync(join(box.folder, "tmp/slot-b"), image);
  const load = `. /lib/postern/functions; eval "$(sed -n '/^trusted()/,/^}/p' /etc/init.d/S03config)"`;
  const { output } = await box.run(
    `${load}; trusted /tmp/slot-a a || echo refused; trusted /tmp/slot-b b && echo good; cat /dev/console`,
  );
  assert.equal(
    output,
    "refused\ngood\nconfiguration: slot a is not used: /tmp/slot-a: the signature is wrong: the image was changed",
  );
});

test("every board carries the program that checks signatures", () => {
  for (const board of boardNames())
    assert.match(
      readFileSync(join(ROOT, "board", board, "packages"), "utf8"),
      /^signify-openbsd bin\/signify-openbsd$/m,
      board,
    );
});
