// The boot state from Linux, under the appliance's BusyBox: written in place in two copies, and read whatever became of one of them or
// of both. Both loaders' formats; GRUB's own program and U-Boot's layout are the judges of what was written.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import { execa } from "execa";
import { makeSandbox, type Sandbox } from "./sandbox.ts";

const LOADERS = [
  { loader: "grub", bytes: 1024, places: [8192, 12288] },
  { loader: "u-boot", bytes: 4096, places: [0, 4096] },
] as const;
type Kind = (typeof LOADERS)[number];
const TOOL = "/lib/postern/bootstate";

/** A sandbox with a state partition of 1 MiB, empty. */
async function box({ loader }: Kind): Promise<Sandbox> {
  const made = await makeSandbox();
  made.file("etc/postern/build", `BOARD=test\nLOADER=${loader}\n`);
  made.file("sys/class/block/vda3/uevent", "DEVNAME=vda3\nPARTNAME=state\n");
  writeFileSync(join(made.folder, "dev/vda3"), Buffer.alloc(2 ** 20, 0x55));
  return made;
}

const medium = (made: Sandbox) => readFileSync(join(made.folder, "dev/vda3"));

/** Changes the bytes of copy `index`. */
function change(made: Sandbox, kind: Kind, index: number, how: (copy: Buffer) => Buffer): void {
  const whole = medium(made);
  const at = kind.places[index] ?? 0;
  how(Buffer.from(whole.subarray(at, at + kind.bytes))).copy(whole, at);
  writeFileSync(join(made.folder, "dev/vda3"), whole);
}

const SET = `${TOOL} set slot=b try=a tries=2 bad_a=gateway`;
const SAYS = "slot=b\ntry=a\ntries=2\nbad_a=gateway\nbad_b=";
const LOST = "slot=a\ntry=\ntries=\nbad_a=\nbad_b=";

const BAD_COPIES: readonly (readonly [string, (copy: Buffer) => Buffer])[] = [
  ["empty", (copy) => Buffer.alloc(copy.length)],
  ["erased flash", (copy) => Buffer.alloc(copy.length, 0xff)],
  ["foreign", (copy) => Buffer.alloc(copy.length, "# some other text\n")],
  ["torn after 20 bytes", (copy) => copy.fill(0xee, 20, 200)],
  ["its first half lost", (copy) => copy.fill(0, 0, 60)],
];

for (const kind of LOADERS) {
  test(`${kind.loader}: what is set is read, and written in place and nowhere else`, async () => {
    using made = await box(kind);
    assert.deepEqual(await made.run(`${SET} && ${TOOL}; ${TOOL} get tries`), {
      output: `${SAYS}\n2`,
      status: 0,
    });
    const whole = medium(made);
    for (const at of kind.places) whole.fill(0x55, at, at + kind.bytes);
    assert.ok(whole.equals(Buffer.alloc(2 ** 20, 0x55)));
  });

  test(`${kind.loader}: a copy in any bad form gives way to the other and is repaired; both bad are a state that starts slot a`, async () => {
    for (const [, spoil] of BAD_COPIES) {
      using made = await box(kind);
      await made.run(SET);
      const good = medium(made);
      for (const index of [0, 1]) {
        change(made, kind, index, spoil);
        assert.equal((await made.run(`${TOOL}; ${TOOL} repair`)).output, SAYS);
        assert.ok(medium(made).equals(good));
      }
      for (const index of [0, 1]) change(made, kind, index, spoil);
      assert.equal((await made.run(TOOL)).output, LOST);
      await made.run(`${TOOL} repair`);
      assert.equal((await made.run(TOOL)).output, LOST);
    }
  });

  test(`${kind.loader}: words that mean nothing are refused and nothing is written`, async () => {
    using made = await box(kind);
    await made.run(SET);
    const before = medium(made);
    for (const word of ["slot=c", "slot=", "tries=9", "try=ab", "bad_a=x$(y)", "bad_a='a b'", "other=1"])
      assert.equal((await made.run(`${TOOL} set '${word}'`)).status, 64, word);
    assert.ok(medium(made).equals(before));
  });
}

test("GRUB's own program reads what was written for GRUB", async () => {
  using made = await box(LOADERS[0]);
  await made.run(SET);
  for (const at of LOADERS[0].places) {
    const file = join(made.folder, "tmp/e");
    writeFileSync(file, medium(made).subarray(at, at + 1024));
    const { stdout } = await execa("grub-editenv", [file, "list"]);
    assert.equal(stdout, `canary=postern\n${SAYS}\nsealed=postern`);
  }
});

test("what was written for U-Boot has its CRC and its form", async () => {
  using made = await box(LOADERS[1]);
  await made.run(SET);
  for (const at of LOADERS[1].places) {
    const copy = medium(made).subarray(at, at + 4096);
    assert.equal(copy.readUInt32LE(0), crc32(copy.subarray(4)));
    assert.match(copy.toString("latin1", 4), /^slot=b\0try=a\0tries=2\0bad_a=gateway\0\0+$/);
  }
});
