// FAT images without root: mkfs.fat and mcopy, the same bytes each time.

import { rmSync, truncateSync, writeFileSync } from "node:fs";
import { execa } from "execa";

/** Every tool of the image takes its clock from this. */
export const CLOCK = "1767225600";

/** What the tools of an image are run with. */
export const FIXED: { readonly [name: string]: string } = {
  PATH: `/usr/sbin:/sbin:${process.env["PATH"] ?? ""}`,
  SOURCE_DATE_EPOCH: CLOCK,
  E2FSPROGS_FAKE_TIME: CLOCK,
  E2FSCK_TIME: CLOCK,
  TZ: "UTC",
};

/** A file in a FAT: its path there, and where it is now. */
export interface FatFile {
  readonly path: string;
  readonly from: string;
}

export interface FatShape {
  readonly bytes: number;
  readonly label: string;
  /** Eight hexadecimal digits. */
  readonly id: string;
  /** More words for mkfs.fat. */
  readonly words?: readonly string[];
}

/** Makes the file system `target` with these files, in their order. */
export async function makeFat(target: string, shape: FatShape, files: readonly FatFile[]): Promise<void> {
  rmSync(target, { force: true });
  writeFileSync(target, "");
  truncateSync(target, shape.bytes);
  const words = ["--invariant", "-i", shape.id, "-n", shape.label, ...(shape.words ?? [])];
  await execa("mkfs.fat", [...words, target], { env: FIXED, all: true });
  const folders = new Set<string>();
  for (const { path } of files) {
    const parts = path.split("/").slice(0, -1);
    for (let depth = 1; depth <= parts.length; depth++) folders.add(parts.slice(0, depth).join("/"));
  }
  for (const folder of folders) await execa("mmd", ["-i", target, `::${folder}`], { env: FIXED, all: true });
  for (const { path, from } of files)
    await execa("mcopy", ["-i", target, from, `::${path}`], { env: FIXED, all: true });
}
