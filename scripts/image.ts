// `make image`: everything of a board, and build/<board>/postern-<board>.img, the whole disk. Steps whose inputs did not
// change since the last time are left out: a stamp of their hashes lies beside the products.

import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join, relative } from "node:path";
import { execa } from "execa";
import { makeBinary } from "./binary.ts";
import { type Board, outputOf, ROOT, readBoard, say } from "./board.ts";
import { checkBudget } from "./budget.ts";
import { configurationImage, DEFAULT_CONFIGURATION } from "./configuration.ts";
import { type Content, makeDisk } from "./disk.ts";
import { makeInitramfs } from "./initramfs.ts";
import { boardKernel } from "./kernel.ts";
import { makeBoot } from "./loader.ts";
import { buildTime, makeRootfs } from "./rootfs.ts";
import { makeUpdate } from "./update.ts";
import { appendVerity } from "./verity.ts";

/**
 * How root file systems are packed. Blocks of 256 kB save 2.3 MB against 64 kB; since what is not touched goes to compressed swap, the
 * larger blocks no longer push each other out of a small memory. zstd: xz would be a tenth smaller and several times slower to read.
 */
export const SQUASHFS_OPTIONS: readonly string[] =
  "-noappend -no-progress -quiet -all-root -comp zstd -Xcompression-level 22 -b 256K".split(" ");

/** Files that an image is made of, by git's word where there is one, so that leftovers do not count. */
function inputs(board: Board): string[] {
  const folders = ["src", "rootfs", "scripts", relative(ROOT, board.folder)];
  const files = folders.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => relative(ROOT, join(entry.parentPath, entry.name))),
  );
  const config = relative(ROOT, join(outputOf(board.name), ".config"));
  return [
    ...files,
    "package.json",
    "package-lock.json",
    ...(existsSync(join(ROOT, config)) ? [config] : []),
  ].sort();
}

function stampOf(board: Board): string {
  const hash = createHash("sha256");
  for (const name of inputs(board)) {
    const content = readFileSync(join(ROOT, name));
    hash.update(`${name} ${statSync(join(ROOT, name)).mode} ${content.length}\n`).update(content);
  }
  return hash.digest("hex");
}

/** squashfs of the root tree: everything root's, times of the last commit, smallest at a speed that a build can bear. */
async function squash(tree: string, target: string): Promise<void> {
  say("squashfs");
  const time = String(await buildTime());
  await execa(
    "mksquashfs",
    [tree, `${target}.part`, ...SQUASHFS_OPTIONS, "-mkfs-time", time, "-all-time", time],
    { env: { SOURCE_DATE_EPOCH: undefined }, all: true },
  );
  renameSync(`${target}.part`, target);
}

/** What a slot is made of. */
export type Slot = Pick<Content, "kernel" | "initramfs" | "boot" | "rootfs">;

/** A slot below `folder` for the root file system `squashfs`, to which its hash tree is appended. */
export async function makeSlot(board: Board, squashfs: string, folder: string): Promise<Slot> {
  const kernel = await boardKernel(board);
  const slot = {
    kernel: join(folder, "kernel"),
    initramfs: join(folder, "initramfs"),
    boot: join(folder, "boot.vfat"),
    rootfs: squashfs,
  };
  copyFileSync(kernel.image, slot.kernel);
  await makeInitramfs(board, kernel, appendVerity(squashfs), slot.initramfs);
  await makeBoot(board, slot.kernel, slot.initramfs, slot.boot);
  return slot;
}

/** Products of a board below build/<board>. */
export interface Products extends Content {
  readonly image: string;
}

/** Builds what is not up to date and says where it is. */
export async function makeImage(name: string): Promise<Products> {
  const board = readBoard(name);
  const output = outputOf(name);
  mkdirSync(output, { recursive: true });
  const at = (file: string) => join(output, file);
  const products: Products = {
    image: at(`postern-${name}.img`),
    kernel: at("kernel"),
    initramfs: at("initramfs"),
    boot: at("boot.vfat"),
    rootfs: at("rootfs.squashfs"),
    configA: at("config.image"),
    configB: null,
    spool: null,
  };
  const stamp = at("image.stamp");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === stampOf(board) && existsSync(products.image))
    return products;
  rmSync(stamp, { force: true });
  const kernel = await boardKernel(board);
  const { path } = await makeBinary(name);
  await squash(await makeRootfs(board, path, kernel), products.rootfs);
  await makeSlot(board, products.rootfs, output);
  checkBudget(name, "rootfs", statSync(products.rootfs).size);
  await configurationImage(DEFAULT_CONFIGURATION, at("config.image"));
  say(`disk image of ${name}`);
  await makeDisk(board, products, products.image);
  await makeUpdate(board, products, at(`postern-${name}.update`));
  writeFileSync(stamp, stampOf(board));
  return products;
}

if (import.meta.main) {
  const { image, rootfs } = await makeImage(process.argv[2] ?? "qemu-x86_64");
  say(`${rootfs} (${(statSync(rootfs).size / 1e6).toFixed(1)} MB)`);
  say(`${image} (${(statSync(image).size / 1e6).toFixed(1)} MB)`);
}
