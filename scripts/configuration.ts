// `make config`: a configuration folder becomes a read-only image.

import { existsSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { fail, ROOT, say } from "./board.ts";

/** The configuration that a fresh image carries. */
export const DEFAULT_CONFIGURATION = join(ROOT, "rootfs/usr/share/postern/config");

/** Makes the image of a folder. */
export async function configurationImage(folder: string, target: string, _board: string): Promise<void> {
  say(`configuration image of ${folder}`);
  const owners = `${target}.owners`;
  writeFileSync(owners, "");
  await execa("mksquashfs", [
    folder,
    `${target}.part`,
    ..."-noappend -no-progress -quiet -all-root -comp zstd -b 4K -mkfs-time 0 -all-time 0".split(" "),
  ]);
  rmSync(owners);
  renameSync(`${target}.part`, target);
}

if (import.meta.main) {
  const [folder = "", target = ""] = process.argv.slice(2);
  if (folder === "" || target === "") fail("usage: make config CONFIG=folder OUT=file");
  if (!existsSync(folder)) fail(`there is no folder ${folder}`);
  await configurationImage(folder, target, "host");
}
