// Configuration images: from a folder (with mail/, or one that holds sendmail.mc itself) to one signed squashfs with compiled
// sendmail.cf, tables and manifest, and back to its facts. Nothing is written to the target before every check has passed:
// a bad configuration is refused with file, line and reason, and what stood at the target stays.

import { CONFIG_IMAGE_BYTES_MAX } from "../base/limits.ts";
import { err, ok, type Result } from "../base/result.ts";
import { formatCompiled } from "../config/compiled.ts";
import {
  changeMode,
  copyFile,
  makeDirectory,
  makeWorkDirectory,
  openForReading,
  readBoundedFile,
  removeTree,
  replaceFile,
} from "../sys/files.ts";
import { joinPath } from "../sys/path.ts";
import { type Checked, type ConfigFolder, checkFolder, userOf } from "./check.ts";
import { type Entry, readContents } from "./contents.ts";
import type { SigningKey, TrustedKey } from "./keys.ts";
import {
  compareTree,
  formatManifest,
  MANIFEST_NAME,
  type Manifest,
  makeManifest,
  parseManifest,
} from "./manifest.ts";
import { SUPERBLOCK_BYTES, signImage, squashfsLength, TRAILER_BYTES, verifyImage } from "./signature.ts";
import { type Ownership, packSquashfs, unpackSquashfs } from "./squashfs.ts";
import { buildTable, hasSource, ownNames, tablesOf } from "./tables.ts";

export interface ImageRequest {
  readonly folder: ConfigFolder;
  /** The image file to write. */
  readonly target: string;
  readonly key: SigningKey;
  readonly generation: number;
}

export interface BuiltImage {
  readonly manifest: Manifest;
  readonly bytes: number;
  readonly warnings: readonly string[];
}

/** Builds and signs. The error is every reason at once, `file:line:column: reason`. */
export async function buildImage(request: ImageRequest): Promise<Result<BuiltImage, readonly string[]>> {
  const checked = checkFolder(request.folder);
  if (!checked.ok) return checked;
  const work = makeWorkDirectory("postern-config-");
  if (!work.ok) return err([work.error]);
  try {
    const staged = stage(request, checked.value, joinPath(work.value, "root"));
    if (!staged.ok) return staged;
    const image = joinPath(work.value, "image");
    const packed = await packSquashfs(staged.value.root, image, staged.value.ownership);
    if (!packed.ok) return err([packed.error]);
    const bytes = readBoundedFile(image, CONFIG_IMAGE_BYTES_MAX);
    if (bytes.kind !== "found")
      return err([bytes.kind === "tempfail" ? bytes.reason : "mksquashfs made no image"]);
    const trailer = signImage(bytes.value, request.key);
    if (!trailer.ok) return err([trailer.error]);
    const whole = Buffer.concat([bytes.value, trailer.value]);
    const written = replaceFile(request.target, whole, 0o600);
    if (!written.ok) return err([written.error]);
    return ok({ manifest: staged.value.manifest, bytes: whole.length, warnings: checked.value.warnings });
  } finally {
    removeTree(work.value);
  }
}

interface Staged {
  readonly root: string;
  readonly ownership: readonly Ownership[];
  readonly manifest: Manifest;
}

/** Copies the folder, compiles, builds the tables, writes the manifest. */
function stage(request: ImageRequest, checked: Checked, root: string): Result<Staged, readonly string[]> {
  const { folder } = request;
  const mail = readContents(folder.folder, "mail/");
  const system = folder.system === null ? ok<readonly Entry[]>([]) : readContents(folder.system, "system/");
  if (!mail.ok || !system.ok)
    return err([...(mail.ok ? [] : mail.error), ...(system.ok ? [] : system.error)]);
  const entries = new Map<string, Entry>();
  for (const path of ["mail", "system"])
    entries.set(path, { path, type: "directory", secret: false, executable: true, target: "" });
  // Databases are built anew from their texts, the compiled form from its source.
  for (const entry of [...mail.value, ...system.value]) entries.set(entry.path, entry);
  const copied = copyAll(folder, entries, root);
  if (!copied.ok) return err([copied.error]);

  const stagedMail = joinPath(root, "mail");
  const locate = (path: string): string =>
    path.startsWith("/etc/mail/") ? joinPath(stagedMail, path.slice("/etc/mail/".length)) : path;
  const generated = (path: string, model: string): void => {
    const secret = entries.get(model)?.secret === true;
    entries.set(path, { path, type: "file", secret, executable: false, target: "" });
  };
  const isLocal = ownNames(checked.configuration, locate);
  for (const table of tablesOf(checked.configuration, locate)) {
    if (!hasSource(table) || !table.path.startsWith(`${stagedMail}/`)) continue;
    const built = buildTable(table, isLocal);
    if (built.summary === "") return err(built.problems.map((p) => `${table.path}: ${p.message}`));
    const text = `mail/${table.path.slice(stagedMail.length + 1)}`;
    generated(`${text}.db`, text);
  }
  const compiled = replaceFile(
    joinPath(stagedMail, "sendmail.cf"),
    formatCompiled(checked.configuration),
    0o644,
  );
  if (!compiled.ok) return err([compiled.error]);
  generated("mail/sendmail.cf", "mail/sendmail.mc");

  const manifest = makeManifest(root, [...entries.values()], checked.features, request.generation);
  if (!manifest.ok) return err([manifest.error]);
  const told = replaceFile(joinPath(root, MANIFEST_NAME), formatManifest(manifest.value), 0o644);
  if (!told.ok) return err([told.error]);
  generated(MANIFEST_NAME, "");
  return ok({
    root,
    ownership: ownership([...entries.values()], userOf(checked.configuration)),
    manifest: manifest.value,
  });
}

function copyAll(folder: ConfigFolder, entries: ReadonlyMap<string, Entry>, root: string): Result<true> {
  for (const { path, type } of entries.values()) {
    const to = joinPath(root, path);
    const from = path.startsWith("mail/")
      ? joinPath(folder.folder, path.slice("mail/".length))
      : joinPath(folder.system ?? "", path.slice("system/".length));
    if (type === "link") continue;
    const done = type === "directory" ? makeDirectory(to, 0o755) : copyFile(from, to);
    if (!done.ok) return done;
    if (type === "file") {
      // The source may be read-only; what is staged is ours to replace.
      const mode = changeMode(to, 0o644);
      if (!mode.ok) return mode;
    }
  }
  return ok(true);
}

/** Secrets are the daemon's own and nobody else's, everything else is root's and readable. */
function ownership(
  entries: readonly Entry[],
  user: { readonly uid: number; readonly gid: number },
): readonly Ownership[] {
  const root: Ownership = { path: "", mode: 0o755, uid: 0, gid: 0, target: "" };
  const rest = entries.map(({ path, type, secret, executable, target }): Ownership => {
    if (type === "link") return { path, mode: 0o777, uid: 0, gid: 0, target };
    if (secret) return { path, mode: 0o600, ...user, target: "" };
    return { path, mode: type === "directory" || executable ? 0o755 : 0o644, uid: 0, gid: 0, target: "" };
  });
  return [root, ...rest];
}

/** The image at `path` (a file, or a partition that holds one): squashfs and trailer. */
export function readImage(path: string): Result<Buffer> {
  const file = openForReading(path, "or block device");
  if (file.kind !== "found") return err(file.kind === "tempfail" ? file.reason : `there is no image ${path}`);
  try {
    const head = Buffer.alloc(SUPERBLOCK_BYTES);
    const got = file.value.readAt(head, 0);
    if (!got.ok) return got;
    const length = squashfsLength(head.subarray(0, got.value));
    if (!length.ok) return err(`${path}: ${length.error}`);
    const bytes = Buffer.alloc(length.value + TRAILER_BYTES);
    const read = file.value.readAt(bytes, 0);
    return read.ok ? ok(bytes.subarray(0, read.value)) : read;
  } finally {
    file.value.close();
  }
}

export interface VerifiedImage {
  readonly manifest: Manifest;
  /** The key whose signature it bears. */
  readonly key: TrustedKey;
  readonly bytes: number;
}

/** Signature first; only then is the image unpacked (aside) and each file compared with the manifest. Errors: every reason. */
export async function openImage(
  path: string,
  trusted: readonly TrustedKey[],
): Promise<Result<VerifiedImage, readonly string[]>> {
  const bytes = readImage(path);
  if (!bytes.ok) return err([bytes.error]);
  const key = verifyImage(bytes.value, trusted);
  if (!key.ok) return err([`${path}: ${key.error}`]);
  const work = makeWorkDirectory("postern-config-");
  if (!work.ok) return err([work.error]);
  try {
    // What was verified is what is unpacked: the file at `path` may change meanwhile.
    const copy = joinPath(work.value, "image");
    const written = replaceFile(copy, bytes.value, 0o600);
    if (!written.ok) return err([written.error]);
    const root = joinPath(work.value, "root");
    const unpacked = await unpackSquashfs(copy, root);
    if (!unpacked.ok) return err([`${path}: ${unpacked.error}`]);
    const text = readBoundedFile(joinPath(root, MANIFEST_NAME), CONFIG_IMAGE_BYTES_MAX);
    if (text.kind !== "found") return err([`${path}: no ${MANIFEST_NAME} in it`]);
    const manifest = parseManifest(text.value.toString("utf8"));
    if (!manifest.ok) return err([`${path}: ${manifest.error}`]);
    const problems = compareTree(root, manifest.value);
    if (problems.length > 0) return err(problems.map((problem) => `${path}: ${problem}`));
    return ok({ manifest: manifest.value, key: key.value, bytes: bytes.value.length });
  } finally {
    removeTree(work.value);
  }
}
