// The initramfs of a slot: BusyBox, dmsetup, the modules between the kernel and the root file system, the root hash of the one root
// that it starts, and rootfs/lib/postern/initramfs as its first program. The same inputs give the same bytes.

import { chmodSync, copyFileSync, existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { type Board, fail, ROOT, say } from "./board.ts";
import { debianPackages } from "./debian.ts";
import { flatModules, type Kernel } from "./kernel.ts";
import { copyLibraries } from "./rootfs.ts";
import type { Verity } from "./verity.ts";

/** Modules of every board: verified reads, compressed swap. */
const MODULES = ["dm-verity", "zram", "lzo-rle"];

/** Names sorted, times and owners zero, no inode numbers: cpio's part of a repeatable build. */
async function archive(tree: string, target: string): Promise<void> {
  const { stdout } = await execa("find", [".", "-print"], { cwd: tree });
  await execa("touch", ["-h", "-d", "@0", ...stdout.split("\n")], { cwd: tree });
  const list = stdout.split("\n").sort().join("\n");
  const cpio = await execa("cpio", ["-o", "-H", "newc", "-R", "0:0", "--reproducible", "--quiet"], {
    cwd: tree,
    input: list,
    encoding: "buffer",
  });
  writeFileSync(`${target}.cpio`, cpio.stdout);
  await execa("zstd", ["-q", "-f", "-19", `${target}.cpio`, "-o", target]);
  rmSync(`${target}.cpio`);
}

/** Builds the initramfs that starts the root of `verity`. */
export async function makeInitramfs(
  board: Board,
  kernel: Kernel,
  verity: Verity,
  target: string,
): Promise<void> {
  const tree = `${target}.tree`;
  say(`initramfs of ${board.name}`);
  rmSync(tree, { recursive: true, force: true });
  for (const folder of ["bin", "lib/postern", "etc/postern"])
    mkdirSync(join(tree, folder), { recursive: true });
  const packages = await debianPackages(board.debian, ["busybox-static", "dmsetup"]);
  const folder = packages.find((unpacked) => unpacked.name === "busybox-static")?.folder ?? "";
  const busybox = ["bin/busybox", "usr/bin/busybox"]
    .map((path) => join(folder, path))
    .find((path) => existsSync(path));
  copyFileSync(busybox ?? fail("busybox-static has no busybox"), join(tree, "bin/busybox"));
  symlinkSync("busybox", join(tree, "bin/sh"));
  copyFileSync(join(ROOT, "rootfs/lib/postern/initramfs"), join(tree, "init"));
  chmodSync(join(tree, "init"), 0o755);
  copyFileSync(join(ROOT, "rootfs/lib/postern/functions"), join(tree, "lib/postern/functions"));
  copyFileSync(join(ROOT, "rootfs/lib/postern/bootstate"), join(tree, "bin/bootstate"));
  writeFileSync(
    join(tree, "etc/postern/build"),
    `LOADER=${board.loader.name}\nVERITY_BLOCKS=${verity.dataBlocks}\nVERITY_HASH=${verity.rootHash}\n`,
  );
  symlinkSync("lib", join(tree, "lib64"));
  const dmsetup = packages.find((unpacked) => unpacked.name === "dmsetup")?.folder ?? "";
  const found = ["sbin/dmsetup", "usr/sbin/dmsetup"]
    .map((path) => join(dmsetup, path))
    .find((path) => existsSync(path));
  copyFileSync(found ?? fail("dmsetup has no dmsetup"), join(tree, "bin/dmsetup"));
  await copyLibraries(tree, [join(tree, "bin/dmsetup")], packages);
  const order = await flatModules(kernel, [...board.modules, ...MODULES], join(tree, "lib/modules"));
  writeFileSync(join(tree, "lib/modules/order"), `${order.join("\n")}\n`);
  await archive(tree, target);
  rmSync(tree, { recursive: true });
}
