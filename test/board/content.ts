// Disks for the board tests: the default configuration made fit for a guest without a way out, images of configurations that
// the compiler would refuse (a device must stand them all the same), and damaged partitions.

import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { readBoard } from "../../scripts/board.ts";
import { configurationImage, DEFAULT_CONFIGURATION, keys } from "../../scripts/configuration.ts";
import { makeDisk } from "../../scripts/disk.ts";
import type { Products } from "../../scripts/image.ts";
import { loadSigningKey } from "../../src/prepare/keys.ts";
import { signImage, TRAILER_BYTES } from "../../src/prepare/signature.ts";

/** A configuration folder: the default one, with a name server that refuses at once, and the port of the inner server. */
export function configurationFolder(work: string, innerPort: number): string {
  const folder = join(work, "config");
  rmSync(folder, { recursive: true, force: true });
  cpSync(DEFAULT_CONFIGURATION, folder, { recursive: true });
  writeFileSync(join(folder, "system/resolv.conf"), "nameserver 127.0.0.1\n");
  const mc = join(folder, "mail/sendmail.mc");
  writeFileSync(mc, readFileSync(mc, "utf8").replace("TCP $h 2526", `TCP $h ${innerPort}`));
  return folder;
}

/** A port on which nobody listens. */
const DISCARD_PORT = 9;

/** An image of the default configuration. */
export async function goodConfiguration(
  work: string,
  name: string,
  innerPort = DISCARD_PORT,
): Promise<string> {
  const image = join(work, name);
  await configurationImage(configurationFolder(work, innerPort), image);
  return image;
}

interface Manifest {
  readonly files: readonly { readonly path: string; sha256: string; bytes: number }[];
}

/** A rightly signed image whose sendmail.mc has another text and no compiled form: only the gateway can refuse it. */
export async function wrongConfiguration(work: string, name: string, mc: string): Promise<string> {
  const good = await goodConfiguration(work, `${name}.good`);
  const tree = join(work, `${name}.tree`);
  const image = join(work, name);
  const whole = readFileSync(good);
  writeFileSync(image, whole.subarray(0, whole.length - TRAILER_BYTES));
  rmSync(tree, { recursive: true, force: true });
  await execa("unsquashfs", ["-no-progress", "-d", tree, image]);
  rmSync(image);
  writeFileSync(join(tree, "mail/sendmail.mc"), mc);
  rmSync(join(tree, "mail/sendmail.cf"));
  const manifest = JSON.parse(readFileSync(join(tree, "manifest.json"), "utf8")) as Manifest;
  const files = manifest.files.filter(({ path }) => path !== "mail/sendmail.cf");
  for (const file of files)
    if (file.path === "mail/sendmail.mc") {
      file.sha256 = createHash("sha256").update(mc).digest("hex");
      file.bytes = Buffer.byteLength(mc);
    }
  writeFileSync(join(tree, "manifest.json"), JSON.stringify({ ...manifest, files }));
  await execa("mksquashfs", [
    tree,
    image,
    "-noappend",
    "-no-progress",
    "-quiet",
    "-all-root",
    "-comp",
    "zstd",
  ]);
  const key = loadSigningKey(keys().folder);
  if (!key.ok) throw new Error(key.error);
  const squashfs = readFileSync(image);
  const trailer = signImage(squashfs, key.value);
  if (!trailer.ok) throw new Error(trailer.error);
  writeFileSync(image, Buffer.concat([squashfs, trailer.value]));
  return image;
}

/** An image of which one byte was changed after it was signed. */
export async function changedConfiguration(work: string, name: string): Promise<string> {
  const image = await goodConfiguration(work, name);
  const bytes = readFileSync(image);
  bytes[1000] = (bytes[1000] ?? 0) ^ 1;
  writeFileSync(image, bytes);
  return image;
}

/** What a test's disk has in other places than the board's image. */
export interface Changes {
  readonly configA: string | null;
  readonly configB?: string | null;
  readonly spool?: string | null;
}

/** A disk with these configurations. */
export async function testDisk(
  products: Products,
  board: string,
  work: string,
  changes: Changes,
): Promise<string> {
  const disk = join(work, "disk.img");
  mkdirSync(work, { recursive: true });
  await makeDisk(
    readBoard(board),
    { ...products, configA: changes.configA, configB: changes.configB ?? null, spool: changes.spool ?? null },
    disk,
  );
  return disk;
}
