// What a configuration folder holds and what of it goes into an image: regular files, folders and links that stay inside
// (programs of smrsh may be links to anywhere); names that every tool on the way takes; which files are secrets.

import { CONFIG_DEPTH_MAX, CONFIG_FILES_MAX, CONFIG_IMAGE_BYTES_MAX } from "../base/limits.ts";
import { err, ok, type Result } from "../base/result.ts";
import { listDirectory, lstatPath, readBoundedFile, readLink } from "../sys/files.ts";
import { directoryOf, isAbsolutePath, joinPath } from "../sys/path.ts";

export interface Entry {
  /** Below the image's root, without leading slash: "mail/access". */
  readonly path: string;
  readonly type: "file" | "directory" | "link";
  /** Readable by the daemon's user alone. */
  readonly secret: boolean;
  readonly executable: boolean;
  /** Where a link points. */
  readonly target: string;
}

/** Names that need no quoting in any tool: what mail configurations use. */
const NAME = /^[A-Za-z0-9_+@%=,:~-][A-Za-z0-9._+@%=,:~-]*$/;
const TARGET = /^[A-Za-z0-9._+@%=,:~/-]{1,1024}$/;
/** Names that editors, packages and makemap leave behind; they are not carried. */
const LEFTOVER = /(~|\.bak|\.orig|\.rej|\.dpkg-\w+|\.rpm\w+|\.swp|\.new)$/;
const SECRET_NAMES =
  /^(mail\/(sasldb\b.*|default-auth-info|authinfo(\/.*)?|authinfo\.db)|system\/(passwd|shadow|ssh\/.*key))$/;

/**
 * The entries of `folder` under the image path `prefix`, parents before children, sorted. Errors name the file.
 * Hidden files and what editors leave behind are passed over.
 */
export function readContents(folder: string, prefix: string): Result<readonly Entry[], readonly string[]> {
  const entries: Entry[] = [];
  const errors: string[] = [];
  walk(folder, prefix, 0, entries, errors);
  return errors.length === 0 ? ok(entries) : err(errors);
}

function walk(folder: string, prefix: string, depth: number, entries: Entry[], errors: string[]): void {
  if (depth > CONFIG_DEPTH_MAX) {
    errors.push(`${folder}: more than ${CONFIG_DEPTH_MAX} folders deep`);
    return;
  }
  const names = listDirectory(folder);
  if (names.kind !== "found") {
    errors.push(`${folder}: ${names.kind === "tempfail" ? names.reason : "No such file or directory"}`);
    return;
  }
  for (const name of names.value) {
    if (name.startsWith(".") || LEFTOVER.test(name)) continue;
    if (entries.length >= CONFIG_FILES_MAX) {
      errors.push(`${folder}: a configuration holds at most ${CONFIG_FILES_MAX} files`);
      return;
    }
    const place = joinPath(folder, name);
    if (!NAME.test(name)) errors.push(`${place}: a configuration cannot carry a file of this name`);
    else {
      const entry = entryOf(place, `${prefix}${name}`);
      if (!entry.ok) errors.push(`${place}: ${entry.error}`);
      else {
        entries.push(entry.value);
        if (entry.value.type === "directory") walk(place, `${prefix}${name}/`, depth + 1, entries, errors);
      }
    }
  }
}

function entryOf(place: string, path: string): Result<Entry> {
  const facts = lstatPath(place);
  if (facts.kind !== "found") return err(facts.kind === "tempfail" ? facts.reason : "it went away");
  const { type, mode, size } = facts.value;
  if (type === "directory") return ok({ path, type, secret: false, executable: true, target: "" });
  if (type === "link") return linkOf(place, path);
  if (type !== "file") return err("neither a file nor a folder nor a link");
  if (size > CONFIG_IMAGE_BYTES_MAX) return err(`larger than ${CONFIG_IMAGE_BYTES_MAX} bytes`);
  const program = path.startsWith("mail/smrsh/");
  const secret = !program && ((mode & 0o044) === 0 || SECRET_NAMES.test(path) || holdsSecret(place));
  return ok({ path, type, secret, executable: program && (mode & 0o111) !== 0, target: "" });
}

/** Private keys and passwords that a file of any name may hold. */
function holdsSecret(place: string): boolean {
  const text = readBoundedFile(place, CONFIG_IMAGE_BYTES_MAX);
  if (text.kind !== "found") return false;
  return (
    text.value.includes("PRIVATE KEY-----") ||
    /^authinfo:\S*[ \t].*"P[:=]/im.test(text.value.toString("latin1"))
  );
}

function linkOf(place: string, path: string): Result<Entry> {
  const target = readLink(place);
  if (target.kind !== "found") return err("the link cannot be read");
  if (!TARGET.test(target.value)) return err("a link to a name that a configuration cannot carry");
  const entry: Entry = { path, type: "link", secret: false, executable: false, target: target.value };
  if (path.startsWith("mail/smrsh/")) return ok(entry);
  const inside = joinPath(directoryOf(path), target.value);
  if (isAbsolutePath(target.value) || inside.startsWith("..") || !/^(mail|system)\//.test(inside))
    return err(`a link to ${target.value}, which is not in the configuration`);
  return ok(entry);
}
