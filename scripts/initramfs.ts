// The initramfs of a board: BusyBox, the modules between the kernel and the root file system, and rootfs/lib/postern/initramfs
// as its first program. The same inputs give the same bytes.

import { chmodSync, copyFileSync, existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { type Board, fail, outputOf, ROOT, say } from "./board.ts";
import { debianPackages } from "./debian.ts";
import { flatModules, type Kernel } from "./kernel.ts";

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

/** Builds build/<board>/initramfs. */
export async function makeInitramfs(board: Board, kernel: Kernel): Promise<string> {
  const tree = join(outputOf(board.name), "initramfs.tree");
  const target = join(outputOf(board.name), "initramfs");
  say(`initramfs of ${board.name}`);
  rmSync(tree, { recursive: true, force: true });
  mkdirSync(join(tree, "bin"), { recursive: true });
  const packages = await debianPackages(board.debian, ["busybox-static"]);
  const folder = packages.find((unpacked) => unpacked.name === "busybox-static")?.folder ?? "";
  const busybox = ["bin/busybox", "usr/bin/busybox"]
    .map((path) => join(folder, path))
    .find((path) => existsSync(path));
  copyFileSync(busybox ?? fail("busybox-static has no busybox"), join(tree, "bin/busybox"));
  symlinkSync("busybox", join(tree, "bin/sh"));
  copyFileSync(join(ROOT, "rootfs/lib/postern/initramfs"), join(tree, "init"));
  chmodSync(join(tree, "init"), 0o755);
  const order = await flatModules(kernel, board.modules, join(tree, "lib/modules"));
  writeFileSync(join(tree, "lib/modules/order"), `${order.join("\n")}\n`);
  await archive(tree, target);
  rmSync(tree, { recursive: true });
  return target;
}
