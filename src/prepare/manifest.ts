// manifest.json of a configuration image: SHA-256 and mode of each file, the build features that the configuration needs,
// the version that made it and a generation number. JSON with sorted paths: the same configuration gives the same bytes.

import { BUILD, inBuild, notInBuild } from "../base/build.ts";
import { err, ok, type Result } from "../base/result.ts";
import { digest } from "../sys/crypto.ts";
import { listDirectory, lstatPath, readFileLookup, readLink } from "../sys/files.ts";
import { joinPath } from "../sys/path.ts";
import type { Entry } from "./contents.ts";

export const MANIFEST_NAME = "manifest.json";
const FORMAT = "postern-config-image";
const VERSION = 1;

export interface ManifestFile {
  readonly path: string;
  /** In hex, of the contents; of a link: of its target. */
  readonly sha256: string;
  readonly bytes: number;
  readonly secret: boolean;
}

export interface Manifest {
  readonly format: typeof FORMAT;
  readonly version: typeof VERSION;
  /** Version of the Postern that made the image. */
  readonly postern: string;
  /** Counts up with each commit on a device; 0 for images that were made elsewhere. */
  readonly generation: number;
  /** Kconfig symbols (without CONFIG_) that the configuration asks for. */
  readonly features: readonly string[];
  readonly files: readonly ManifestFile[];
}

interface Hashed {
  readonly sha256: string;
  readonly bytes: number;
}

function hashed(bytes: Buffer): Hashed {
  return { sha256: digest("sha256", bytes).toString("hex"), bytes: bytes.length };
}

function hashOf(place: string, type: Entry["type"]): Result<Hashed> {
  const contents = type === "link" ? readLink(place) : readFileLookup(place);
  if (contents.kind !== "found") return err(`cannot read ${place}`);
  return ok(hashed(typeof contents.value === "string" ? Buffer.from(contents.value) : contents.value));
}

/** The manifest of the staged tree `root` whose entries are `entries`. */
export function makeManifest(
  root: string,
  entries: readonly Entry[],
  features: readonly string[],
  generation: number,
): Result<Manifest> {
  const files: ManifestFile[] = [];
  for (const { path, type, secret, target } of entries) {
    if (type === "directory") continue;
    const hash = type === "link" ? ok(hashed(Buffer.from(target))) : hashOf(joinPath(root, path), type);
    if (!hash.ok) return hash;
    files.push({ path, ...hash.value, secret });
  }
  files.sort((a, b) => (a.path < b.path ? -1 : 1));
  return ok({
    format: FORMAT,
    version: VERSION,
    postern: BUILD.version,
    generation,
    features: [...features].sort(),
    files,
  });
}

export function formatManifest(manifest: Manifest): string {
  return `${JSON.stringify(manifest, null, 1)}\n`;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isFile(value: unknown): value is ManifestFile {
  return (
    isRecord(value) &&
    typeof value["path"] === "string" &&
    !value["path"].split("/").includes("..") &&
    !value["path"].startsWith("/") &&
    typeof value["sha256"] === "string" &&
    typeof value["bytes"] === "number" &&
    typeof value["secret"] === "boolean"
  );
}

/** Reads a manifest; the signature of the image was checked before, this guards against our own other versions. */
export function parseManifest(text: string): Result<Manifest> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (e) {
    return err(`${MANIFEST_NAME}: ${e instanceof Error ? e.message : String(e)}`);
  }
  if (!isRecord(value) || value["format"] !== FORMAT) return err(`${MANIFEST_NAME} is of another kind`);
  if (value["version"] !== VERSION) return err(`${MANIFEST_NAME} is of version ${String(value["version"])}`);
  const { postern, generation, features, files } = value;
  if (
    typeof postern !== "string" ||
    typeof generation !== "number" ||
    !Array.isArray(features) ||
    !features.every((f: unknown) => typeof f === "string") ||
    !Array.isArray(files) ||
    !files.every(isFile)
  )
    return err(`${MANIFEST_NAME} is incomplete`);
  return ok({ format: FORMAT, version: VERSION, postern, generation, features, files });
}

/** What the configuration needs and this binary lacks, one line each. */
export function lackingFeatures(manifest: Manifest): readonly string[] {
  return manifest.features
    .filter((symbol) => !inBuild(symbol))
    .map((symbol) => notInBuild(`CONFIG_${symbol}`));
}

/** Every difference between the tree `root` and its manifest, one line each; empty when they agree. */
export function compareTree(root: string, manifest: Manifest): readonly string[] {
  const problems: string[] = [];
  const wanted = new Map(manifest.files.map((file) => [file.path, file]));
  const visit = (folder: string): void => {
    const names = listDirectory(joinPath(root, folder));
    if (names.kind !== "found") {
      problems.push(`${folder}: cannot be read`);
      return;
    }
    for (const name of names.value) {
      const path = folder === "" ? name : `${folder}/${name}`;
      if (path === MANIFEST_NAME) continue;
      const facts = lstatPath(joinPath(root, path));
      if (facts.kind === "found" && facts.value.type === "directory") {
        visit(path);
        continue;
      }
      const file = wanted.get(path);
      wanted.delete(path);
      if (file === undefined) problems.push(`${path}: is not in the manifest`);
      else {
        const hash = hashOf(
          joinPath(root, path),
          facts.kind === "found" && facts.value.type === "link" ? "link" : "file",
        );
        if (!hash.ok) problems.push(`${path}: cannot be read`);
        else if (hash.value.sha256 !== file.sha256) problems.push(`${path}: differs from the manifest`);
      }
    }
  };
  visit("");
  for (const path of wanted.keys()) problems.push(`${path}: is missing`);
  return problems;
}
