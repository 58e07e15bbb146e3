// The whole disk of a board: GPT with the labels boot, rootfs-a, rootfs-b, config-a, config-b, spool. genimage writes it with
// no root and no loop device; every identifier is made from the board's name, and clocks are fixed, so the same inputs give
// the same bytes.

import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { type Board, outputOf } from "./board.ts";

/** What goes into the partitions; null leaves one empty. */
export interface Content {
  readonly kernel: string;
  readonly initramfs: string;
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

function partition(board: Board, label: string, image: string | null, mebibytes: number, type = "L"): string {
  const file = image === null ? "" : `image = "${image}"\n    `;
  return `  partition ${label} {
    ${file}size = ${mebibytes}M
    partition-uuid = "${uuid(board.name, label)}"
    partition-type-uuid = "${type}"
  }`;
}

function layout(board: Board, content: Content): string {
  const { boot, rootfs, config, spool } = board.sizes;
  const volume = createHash("sha256").update(board.name).digest("hex").slice(0, 8);
  return `image boot.vfat {
  vfat {
    label = "BOOT"
    extraargs = "--invariant -i ${volume}"
    files = { "kernel", "initramfs" }
  }
  size = ${boot}M
}
${
  content.spool !== null
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
  partition(board, "boot", "boot.vfat", boot, "U"),
  partition(board, "rootfs-a", "rootfs.squashfs", rootfs),
  partition(board, "rootfs-b", null, rootfs),
  partition(board, "config-a", content.configA === null ? null : "config-a.image", config),
  partition(board, "config-b", content.configB === null ? null : "config-b.image", config),
  partition(board, "spool", content.spool === null ? "spool.ext4" : "spool.image", spool),
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
  take(content.kernel, "kernel");
  take(content.initramfs, "initramfs");
  take(content.rootfs, "rootfs.squashfs");
  take(content.configA, "config-a.image");
  take(content.configB, "config-b.image");
  take(content.spool, "spool.image");
  writeFileSync(join(work, "genimage.cfg"), layout(board, content));
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
      env: {
        PATH: `/usr/sbin:/sbin:${process.env["PATH"] ?? ""}`,
        SOURCE_DATE_EPOCH: "1767225600",
        E2FSPROGS_FAKE_TIME: "1767225600",
        E2FSCK_TIME: "1767225600",
        TZ: "UTC",
      },
    },
  );
  renameSync(join(work, "out/disk.img"), target);
  rmSync(work, { recursive: true });
}
