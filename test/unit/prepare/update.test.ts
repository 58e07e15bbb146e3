// Updates on files in place of partitions: what is installed, what is refused before a byte is written, and what a power cut at any write of the
// installation leaves: always a running slot that starts, and never a half-written slot that is not marked.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { execa } from "execa";
import { readBoard } from "../../../scripts/board.ts";
import { makeUpdate } from "../../../scripts/update.ts";
import { err, ok } from "../../../src/base/result.ts";
import { loadTrustedKeys, makeKeys, type TrustedKey } from "../../../src/prepare/keys.ts";
import { openUpdate, signifyKey, type Update } from "../../../src/prepare/update.ts";
import { install, refusal, type System, testPayloads } from "../../../src/prepare/upgrade.ts";

const BOOT = Buffer.alloc(2_500_000, "boot");
const ROOTFS = Buffer.alloc(3_700_001, "rootfs");
const OLD = Buffer.alloc(4_000_000, "old");

interface Scene {
  readonly folder: string;
  readonly file: string;
  readonly keys: readonly TrustedKey[];
}

async function scene(t: TestContext): Promise<Scene> {
  const folder = mkdtempSync(join(tmpdir(), "postern-update-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, "trusted"));
  for (const name of ["update", "spare"] as const) {
    const made = makeKeys(join(folder, "keys"), name);
    assert.ok(made.ok);
    writeFileSync(join(folder, `trusted/${name}.pub`), readFileSync(join(folder, `keys/${name}.pub`)));
  }
  writeFileSync(join(folder, "boot"), BOOT);
  writeFileSync(join(folder, "rootfs"), ROOTFS);
  const file = join(folder, "x.update");
  const slot = { boot: join(folder, "boot"), rootfs: join(folder, "rootfs") };
  await makeUpdate(
    readBoard("qemu-x86_64"),
    slot,
    file,
    { version: "9.1", date: 2000 },
    join(folder, "keys"),
  );
  const keys = loadTrustedKeys(join(folder, "trusted"));
  assert.ok(keys.ok);
  return { folder, file, keys: keys.value };
}

/** A system whose other slot holds the previous one; `fails` says which setting of the state the power cut comes with. */
function system(folder: string, state: string[][], fails = 99): System {
  for (const image of ["boot", "rootfs"]) writeFileSync(join(folder, `${image}-b`), OLD);
  return {
    release: { compatible: "qemu-x86_64", version: "9.0", date: 1000 },
    slot: "a",
    trial: "",
    partition: (image, slot) => ok({ path: join(folder, `${image}-${slot}`), bytes: OLD.length }),
    set(words) {
      if (state.length >= fails) return Promise.resolve(err("the state cannot be written"));
      state.push([...words]);
      return Promise.resolve(ok(true));
    },
    forget: () => Promise.resolve(),
  };
}

function opened(from: Scene): Update {
  const update = openUpdate(from.file, from.keys);
  assert.ok(update.ok, update.ok ? "" : update.error);
  return update.value;
}

const quiet = () => undefined;

test("a good update is written to the other slot, which is marked bad before and on trial after", async (t) => {
  const here = await scene(t);
  const state: string[][] = [];
  const done = await install(here.file, opened(here), system(here.folder, state), quiet);
  assert.deepEqual(done, ok("b"));
  assert.deepEqual(state, [
    ["bad_b=writing", "try=", "tries="],
    ["bad_b=", "try=b", "tries=3"],
  ]);
  assert.ok(readFileSync(join(here.folder, "boot-b")).subarray(0, BOOT.length).equals(BOOT));
  assert.ok(readFileSync(join(here.folder, "rootfs-b")).subarray(0, ROOTFS.length).equals(ROOTFS));
});

test("signify says of the list what the device says", async (t) => {
  const here = await scene(t);
  await execa("tar", ["-C", here.folder, "-xf", here.file]);
  const [, update] = here.keys;
  assert.ok(update !== undefined && update.file.endsWith("update.pub"));
  writeFileSync(join(here.folder, "signify.pub"), signifyKey(update));
  const run = await execa("signify-openbsd", ["-C", "-p", "signify.pub", "-x", "SHA256.sig"], {
    cwd: here.folder,
  });
  assert.match(run.stdout, /rootfs\.img: OK/);
});

/** Every single place that a byte can be wrong in, by what it belongs to. */
const DAMAGES: readonly (readonly [string, (file: Buffer) => Buffer | null, RegExp])[] = [
  ["the signature", (f) => flip(f, 512 + 60), /not signed with a key|no signature/],
  ["the list of sums", (f) => flip(f, f.indexOf("SHA256 (boot.img)") + 22), /not signed with a key/],
  ["release.json", (f) => flip(f, f.indexOf('"9.1"') + 1), /release\.json is not what was signed/],
  ["a name in the tar", (f) => flip(f, f.indexOf("rootfs.img\0")), /not an update file/],
  [
    "a size in the tar",
    (f) => flip(f, f.indexOf("boot.img\0") + 130),
    /cut off|not an update file|not where/,
  ],
  ["the boot image", (f) => flip(f, f.indexOf("bootboot") + 1_000_000), /boot\.img is not what was signed/],
  [
    "the last byte of the root",
    (f) => flip(f, f.lastIndexOf("rootfs") + 5),
    /rootfs\.img is not what was signed/,
  ],
  ["its end, cut off in the root", (f) => f.subarray(0, 4_000_000), /cut off/],
  ["its end, cut off in the list", (f) => f.subarray(0, 700), /cut off/],
  ["all: an empty file", () => Buffer.alloc(0), /cut off/],
  ["all: another file", () => Buffer.alloc(10_000, "x"), /not an update file/],
];

function flip(file: Buffer, at: number): Buffer {
  const changed = Buffer.from(file);
  changed[at] = (changed[at] ?? 0) ^ 1;
  return changed;
}

for (const [what, change, reason] of DAMAGES)
  test(`damage to ${what} is found by -T, and an installation never puts it on trial`, async (t) => {
    const here = await scene(t);
    writeFileSync(here.file, change(readFileSync(here.file)) ?? Buffer.alloc(0));
    const update = openUpdate(here.file, here.keys);
    if (!update.ok) return assert.match(update.error, reason);
    const tested = testPayloads(here.file, update.value);
    assert.match(tested.ok ? "" : tested.error, reason);
    const state: string[][] = [];
    const done = await install(here.file, update.value, system(here.folder, state), quiet);
    assert.match(done.ok ? "" : done.error, reason);
    assert.deepEqual(state, [["bad_b=writing", "try=", "tries="]]);
  });

test("a key that is not trusted is refused; the spare one signs as well as the first", async (t) => {
  const here = await scene(t);
  const stranger = makeKeys(join(here.folder, "stranger"), "update");
  assert.ok(stranger.ok);
  const refused = openUpdate(here.file, [stranger.value]);
  assert.match(refused.ok ? "" : refused.error, /not signed with a key that this system trusts/);
  for (const part of ["key", "pub"])
    writeFileSync(
      join(here.folder, `keys/update.${part}`),
      readFileSync(join(here.folder, `keys/spare.${part}`)),
    );
  const slot = { boot: join(here.folder, "boot"), rootfs: join(here.folder, "rootfs") };
  await makeUpdate(readBoard("qemu-x86_64"), slot, here.file, {}, join(here.folder, "keys"));
  assert.ok(opened(here).key.file.endsWith("spare.pub"));
});

test("another board is refused, an older system unless it is asked for, and nothing is written while the running system is on trial", async (t) => {
  const here = await scene(t);
  const { release } = opened(here);
  const running = system(here.folder, []);
  assert.equal(refusal(release, running, false), null);
  assert.match(
    refusal({ ...release, compatible: "pc-x86_64" }, running, true) ?? "",
    /is for pc-x86_64, this is/,
  );
  assert.match(refusal({ ...release, date: 999 }, running, false) ?? "", /older than what runs/);
  assert.equal(refusal({ ...release, date: 999 }, running, true), null);
  const state: string[][] = [];
  const onTrial = { ...system(here.folder, state), trial: "a" };
  const done = await install(here.file, opened(here), onTrial, quiet);
  assert.match(done.ok ? "" : done.error, /itself on trial/);
  assert.deepEqual(state, []);
});

test("a partition that is too small or missing is found before the other slot is touched", async (t) => {
  const here = await scene(t);
  const state: string[][] = [];
  const small: System = {
    ...system(here.folder, state),
    partition: () => ok({ path: "/nowhere", bytes: 1000 }),
  };
  const missing: System = { ...small, partition: () => err("there is no partition labelled boot-b") };
  for (const [one, reason] of [
    [small, /its partition 1000/],
    [missing, /no partition labelled/],
  ] as const) {
    const done = await install(here.file, opened(here), one, quiet);
    assert.match(done.ok ? "" : done.error, reason);
  }
  assert.deepEqual(state, []);
});

test("a state that cannot be written leaves the other slot as it was; a medium that ends early leaves it marked bad", async (t) => {
  const here = await scene(t);
  const unwritable = await install(here.file, opened(here), system(here.folder, [], 0), quiet);
  assert.match(unwritable.ok ? "" : unwritable.error, /state cannot be written/);
  assert.ok(readFileSync(join(here.folder, "boot-b")).equals(OLD));
  const state: string[][] = [];
  const lying: System = {
    ...system(here.folder, state),
    forget: (path) => Promise.resolve(truncateSync(path, statSync(path).size - 2_000_000)),
  };
  const done = await install(here.file, opened(here), lying, quiet);
  assert.match(done.ok ? "" : done.error, /ends early|does not hold/);
  assert.deepEqual(state, [["bad_b=writing", "try=", "tries="]]);
});
