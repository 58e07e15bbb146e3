// The update of a board: build/<board>/postern-<board>.update, a tar of the signed list of sums, release.json and the images of a slot
// (src/prepare/update.ts reads it on the device).

import { createHash } from "node:crypto";
import { copyFileSync, linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import packageJson from "../package.json" with { type: "json" };
import { loadSigningKey } from "../src/prepare/keys.ts";
import { formatRelease, listLine, type Release, signList } from "../src/prepare/update.ts";
import { type Board, fail } from "./board.ts";
import { keys } from "./configuration.ts";
import type { Content } from "./disk.ts";
import { buildTime } from "./rootfs.ts";

/** Writes the update for a slot; `facts` replaces what it says of itself, `folder` where the key is. */
export async function makeUpdate(
  board: Board,
  slot: Pick<Content, "boot" | "rootfs">,
  target: string,
  facts: Partial<Omit<Release, "format">> = {},
  folder = keys().folder,
): Promise<void> {
  const key = loadSigningKey(folder, "update");
  if (!key.ok) fail(`${key.error}; make keys makes what is missing`);
  const work = `${target}.work`;
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  const release = { compatible: board.name, version: packageJson.version, date: await buildTime(), ...facts };
  writeFileSync(join(work, "release.json"), formatRelease(release));
  for (const [name, from] of [
    ["boot.img", slot.boot],
    ["rootfs.img", slot.rootfs],
  ] as const) {
    try {
      linkSync(from, join(work, name));
    } catch {
      // Another file system: a copy does as well.
      copyFileSync(from, join(work, name));
    }
  }
  const members = ["release.json", "boot.img", "rootfs.img"];
  const sum = (name: string) =>
    createHash("sha256")
      .update(readFileSync(join(work, name)))
      .digest("hex");
  writeFileSync(
    join(work, "SHA256.sig"),
    signList(members.map((name) => listLine(name, sum(name))).join(""), key.value),
  );
  const words = ["--format=ustar", "--owner=0", "--group=0", "--numeric-owner", "--mode=0644", "--mtime=@0"];
  await execa("tar", [...words, "-C", work, "-cf", `${target}.part`, "SHA256.sig", ...members], {
    all: true,
  });
  renameSync(`${target}.part`, target);
  rmSync(work, { recursive: true });
}
