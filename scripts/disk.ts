// The whole disk of a board: GPT with what its boot loader wants, then the labels boot-a, rootfs-a, boot-b, rootfs-b, config-a,
// config-b, spool. The spool is the last one: it grows to the end of the medium at the first start. genimage writes it with no
// root and no loop device; every identifier is made from the board's name, and clocks are fixed, so the same inputs give the
// same bytes.

import { createHash } from "node:crypto";
import {
  closeSync,
  copyFileSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { type Board, outputOf } from "./board.ts";
import { CLOCK, FIXED } from "./fat.ts";
import { type LoaderPartition, loaderOf } from "./loader.ts";

/** What goes into the partitions; null leaves one empty. */
export interface Content {
  readonly kernel: string;
  readonly initramfs: string;
  /** The boot partition of a slot, with both. */
  readonly boot: string;
  /** squashfs and its hash tree. */
  readonly rootfs: string;
  readonly configA: string | null;
  readonly configB: string | null;
  /** An image in place of the empty spool file system. */
  readonly spool: string | null;
}

/** A UUID that is always the same for a board and a name (RFC 9562, version 8). */
function uuid(board: string, name: string): string {
  const hex = createHash("sha256").update(`postern ${board} ${name}`).digest("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/** Offset and bytes of the two texts in an f2fs superblock that name the kernel of the machine that made it. */
const F2FS_VERSIONS = { offset: 1668, bytes: 512 };
const F2FS_SUPERBLOCKS = [1024, 5120];

/** An empty f2fs (genimage has no word for it), the same bytes on every machine. */
export async function makeF2fs(board: Board, target: string): Promise<void> {
  writeFileSync(target, "");
  truncateSync(target, board.sizes.spool * 2 ** 20);
  await execa(
    "mkfs.f2fs",
    ["-q", "-f", "-r", "-l", "spool", "-U", uuid(board.name, "f2fs"), "-T", CLOCK, target],
    { all: true, env: FIXED },
  );
  const file = openSync(target, "r+");
  for (const at of F2FS_SUPERBLOCKS)
    writeSync(file, Buffer.alloc(F2FS_VERSIONS.bytes), 0, F2FS_VERSIONS.bytes, at + F2FS_VERSIONS.offset);
  closeSync(file);
}

function partition(board: Board, label: string, image: string | null, mebibytes: number, type = "L"): string {
  const file = image === null ? "" : `image = "${image}"\n    `;
  return `  partition ${label} {
    ${file}size = ${mebibytes}M
    partition-uuid = "${uuid(board.name, label)}"
    partition-type-uuid = "${type}"
  }`;
}

function layout(board: Board, content: Content, first: readonly LoaderPartition[]): string {
  const { boot, rootfs, config, spool } = board.sizes;
  return `${
    content.spool !== null || board.fileSystem !== "ext4"
      ? ""
      : `image spool.ext4 {
  ext4 {
    label = "spool"
    use-mke2fs = true
    extraargs = "-q -b 4096 -m 1 -U ${uuid(board.name, "ext4")} -E hash_seed=${uuid(board.name, "hash")},lazy_itable_init=0,lazy_journal_init=0"
  }
  empty = true
  size = ${spool}M
}
`
  }image disk.img {
  hdimage {
    partition-table-type = "gpt"
    align = 1M
    disk-uuid = "${uuid(board.name, "disk")}"
  }
${[
  ...first.map(({ label, image, mebibytes, type }) => partition(board, label, image, mebibytes, type)),
  partition(board, "boot-a", "boot.vfat", boot, "L"),
  partition(board, "rootfs-a", "rootfs.squashfs", rootfs),
  partition(board, "boot-b", "boot.vfat", boot, "L"),
  partition(board, "rootfs-b", "rootfs.squashfs", rootfs),
  partition(board, "config-a", content.configA === null ? null : "config-a.image", config),
  partition(board, "config-b", content.configB === null ? null : "config-b.image", config),
  partition(
    board,
    "spool",
    content.spool === null && board.fileSystem === "ext4" ? "spool.ext4" : "spool.image",
    spool,
  ),
].join("\n")}
}
`;
}

/** Writes the disk image to `target`. */
export async function makeDisk(board: Board, content: Content, target: string): Promise<void> {
  const work = `${target}.work`;
  rmSync(work, { recursive: true, force: true });
  for (const folder of ["in", "tmp", "root", "out"]) mkdirSync(join(work, folder), { recursive: true });
  mkdirSync(outputOf(board.name), { recursive: true });
  const take = (path: string | null, name: string) => {
    if (path !== null) copyFileSync(path, join(work, "in", name));
  };
  take(content.boot, "boot.vfat");
  take(content.rootfs, "rootfs.squashfs");
  take(content.configA, "config-a.image");
  take(content.configB, "config-b.image");
  take(content.spool, "spool.image");
  if (content.spool === null && board.fileSystem === "f2fs")
    await makeF2fs(board, join(work, "in/spool.image"));
  mkdirSync(join(work, "loader"));
  const first = await loaderOf(board).partitions(board, join(work, "loader"));
  writeFileSync(join(work, "genimage.cfg"), layout(board, content, first));
  await execa(
    "genimage",
    [
      "--config",
      "genimage.cfg",
      "--inputpath",
      "in",
      "--outputpath",
      "out",
      "--tmppath",
      "tmp",
      "--rootpath",
      "root",
    ],
    {
      cwd: work,
      all: true,
      env: FIXED,
    },
  );
  await loaderOf(board).finish(join(work, "out/disk.img"), join(work, "loader"));
  renameSync(join(work, "out/disk.img"), target);
  rmSync(work, { recursive: true });
}
