// `make config`: a configuration folder becomes a signed read-only image, by the same code that does it on the device.
// The keys: KEYS=folder, or those in the user's configuration folder, or development keys that this working copy makes for
// itself and that every image made with them names at boot.

import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { findFolder } from "../src/prepare/check.ts";
import { buildImage } from "../src/prepare/image.ts";
import { type KeyName, loadSigningKey, makeKeys } from "../src/prepare/keys.ts";
import { CACHE, fail, ROOT, say } from "./board.ts";

/** The configuration that a fresh image carries. */
export const DEFAULT_CONFIGURATION = join(ROOT, "rootfs/usr/share/postern/config");

/** A folder with config.key and config.pub. */
export interface Keys {
  readonly folder: string;
  readonly development: boolean;
}

const KEY_NAMES: readonly KeyName[] = ["config", "update", "spare"];

/** Makes the keys that a folder lacks; those that it has stay. */
export function makeMissing(folder: string): void {
  for (const name of KEY_NAMES) {
    if (existsSync(join(folder, `${name}.key`)) || existsSync(join(folder, `${name}.pub`))) continue;
    const made = makeKeys(folder, name);
    if (!made.ok) fail(made.error);
    say(`${folder}: ${name}.key and ${name}.pub made`);
  }
}

/** The folder that `make keys` makes when KEYS names none. */
export function ownKeys(): string {
  return join(process.env["XDG_CONFIG_HOME"] ?? join(homedir(), ".config"), "postern/keys");
}

/** The keys of this firmware line. */
export function keys(): Keys {
  const given = process.env["KEYS"];
  if (given !== undefined && given !== "") return { folder: resolve(given), development: false };
  const own = ownKeys();
  if (existsSync(join(own, "config.key"))) return { folder: own, development: false };
  const folder = join(CACHE, "development-keys");
  makeMissing(folder);
  return { folder, development: true };
}

/** Makes the image of a folder; a wrong configuration ends the program with every error that it has. */
export async function configurationImage(folder: string, target: string, generation = 1): Promise<void> {
  const found = findFolder(resolve(folder));
  if (!found.ok) fail(found.error);
  const key = loadSigningKey(keys().folder);
  if (!key.ok) fail(key.error);
  const built = await buildImage({
    folder: found.value,
    target: resolve(target),
    key: key.value,
    generation,
  });
  if (!built.ok) fail(built.error.join("\n"));
  for (const warning of built.value.warnings) process.stderr.write(`${warning}\n`);
  say(`${target}: ${built.value.manifest.files.length} files, ${built.value.bytes} bytes`);
}

if (import.meta.main) {
  const [folder = "", target = ""] = process.argv.slice(2);
  if (folder === "" || target === "") fail("usage: make config CONFIG=folder OUT=file");
  await configurationImage(folder, target);
  if (keys().development) say("signed with the development keys of this working copy");
}
