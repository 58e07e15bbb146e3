// Opening what local mail is written to: beneath the jail, no links on the way, a plain file of our own (semantics section 23:
// regular, no execute or set-id bits, one name, writable by the delivering user). The kernel resolves (openat2); where it cannot,
// the opened descriptor's true name in /proc decides before a byte is written. A failed append leaves the file as long as it was.

import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readlinkSync,
  realpathSync,
  statSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { err, ok, type Result } from "../base/result.ts";
import { openBeneath } from "./kernel.ts";

/** A file that is open for appending. */
export interface AppendFile {
  /** Bytes before anything of ours. */
  readonly size: number;
  /** Adds bytes at the end; error is the errno. */
  append(bytes: Buffer): Result<true>;
  /** Makes what was added durable. */
  sync(): Result<true>;
  /** Takes back what was added. */
  undo(): void;
  close(): void;
}

function errno(e: unknown): string {
  return e instanceof Error && "code" in e ? String(e.code) : "EIO";
}

/** `path` as seen from inside the jail: a path that begins with the jail's own name has it stripped (SafeFileEnvironment). */
export function insideJail(jail: string, path: string): string {
  const prefix = jail.endsWith("/") ? jail : `${jail}/`;
  const inner = path.startsWith(prefix) ? path.slice(prefix.length) : path;
  return inner.replace(/^\/+/, "");
}

/** openat2, or the same promise kept with /proc where the kernel or the runtime lacks it. */
function openInside(jail: string, inner: string, flags: number, mode: number): Result<number> {
  const opened = openBeneath(jail, inner, flags, mode);
  return !opened.ok && opened.error === "ENOSYS" ? openByProc(jail, inner, flags, mode) : opened;
}

function openByProc(jail: string, inner: string, flags: number, mode: number): Result<number> {
  if (inner.includes("\0") || inner.split("/").includes("..")) return err("EXDEV");
  const slash = inner.lastIndexOf("/");
  let directory: number | null = null;
  try {
    const root = realpathSync(jail);
    const parent = slash < 0 ? root : join(root, inner.slice(0, slash));
    directory = openSync(parent, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    // The descriptor cannot be moved under us any more: its true name has to be the one that was asked for.
    if (readlinkSync(`/proc/self/fd/${directory}`) !== parent) return err("ELOOP");
    const name = inner.slice(slash + 1);
    return ok(openSync(`/proc/self/fd/${directory}/${name}`, flags | constants.O_NOFOLLOW, mode));
  } catch (e) {
    return err(errno(e));
  } finally {
    if (directory !== null) closeSync(directory);
  }
}

/**
 * Opens `path` (beneath `jail`) for appending, creating it with `mode` when there is none. Error: the errno, or in words what
 * is wrong with the file ("not a plain file", "has execute or set-id bits", "has other names", "belongs to somebody else").
 */
export function openAppend(jail: string, path: string, mode: number, create: boolean): Result<AppendFile> {
  const inner = insideJail(jail, path);
  if (inner === "" || inner.endsWith("/")) return err("EISDIR");
  // O_NONBLOCK: opening a FIFO without reader must fail, not hang the gateway.
  const flags = constants.O_WRONLY | constants.O_APPEND | constants.O_NONBLOCK | constants.O_NOCTTY;
  let opened = openInside(jail, inner, flags, 0);
  let made = false;
  if (!opened.ok && opened.error === "ENOENT" && create) {
    opened = openInside(jail, inner, flags | constants.O_CREAT | constants.O_EXCL, mode);
    made = opened.ok;
    // Somebody else made it meanwhile: it is looked at like any other.
    if (!opened.ok && opened.error === "EEXIST") opened = openInside(jail, inner, flags, 0);
  }
  if (!opened.ok) return opened;
  const fd = opened.value;
  const wrong = checkOpen(fd);
  if (wrong !== null) {
    closeSync(fd);
    return err(wrong);
  }
  return ok(new OpenAppendFile(fd, fstatSync(fd).size, made ? join(jail, inner, "..") : ""));
}

function checkOpen(fd: number): string | null {
  const s = fstatSync(fd);
  if (!s.isFile()) return "not a plain file";
  if (s.nlink !== 1) return "has other names";
  if ((s.mode & 0o7111) !== 0) return "has execute or set-id bits";
  if (s.uid !== (process.geteuid?.() ?? -1)) return "belongs to somebody else";
  return null;
}

class OpenAppendFile implements AppendFile {
  readonly size: number;
  readonly #fd: number;
  /** Directory to sync because the file is new, "" when it is not. */
  readonly #newIn: string;

  constructor(fd: number, size: number, newIn: string) {
    this.#fd = fd;
    this.size = size;
    this.#newIn = newIn;
  }

  append(bytes: Buffer): Result<true> {
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
      return ok(true);
    } catch (e) {
      return err(errno(e));
    }
  }

  sync(): Result<true> {
    try {
      fdatasyncSync(this.#fd);
      if (this.#newIn !== "") syncDirectory(this.#newIn);
      return ok(true);
    } catch (e) {
      return err(errno(e));
    }
  }

  undo(): void {
    try {
      ftruncateSync(this.#fd, this.size);
    } catch {
      // A disk that refuses even this leaves a torn end; the message stays queued and comes again whole.
      return;
    }
  }

  close(): void {
    closeSync(this.#fd);
  }
}

function syncDirectory(path: string): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** A dot lock held on a mailbox; the mail readers of the box honour it too. */
export interface DotLock {
  release(): void;
}

/** Milliseconds after which a lock that nobody renews is taken for a dead program's, by the file system's own clock. */
const LOCK_STALE_MS = 5 * 60 * 1000;

/**
 * Takes `path`.lock beneath `jail` (a link to a file of our own: atomic also on NFS). Error "EEXIST" when another program holds it,
 * else the errno.
 */
export function lockMailbox(jail: string, path: string): Result<DotLock> {
  const lock = join(jail, `${insideJail(jail, path)}.lock`);
  const own = `${lock}.${process.pid}`;
  try {
    const made = openInside(
      jail,
      insideJail(jail, own),
      constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NONBLOCK,
      0o600,
    );
    if (!made.ok) return made;
    writeSync(made.value, `${process.pid}\n`);
    closeSync(made.value);
    removeStale(lock, own);
    linkSync(own, lock);
    return ok({ release: () => removeQuietly(lock) });
  } catch (e) {
    return err(errno(e));
  } finally {
    removeQuietly(own);
  }
}

function removeStale(lock: string, own: string): void {
  try {
    // Both times come from the file system, so a wrong clock does not matter.
    if (statSync(own).mtimeMs - lstatSync(lock).mtimeMs > LOCK_STALE_MS) unlinkSync(lock);
  } catch (e) {
    if (errno(e) !== "ENOENT") throw e;
  }
}

function removeQuietly(path: string): void {
  try {
    unlinkSync(path);
  } catch (e) {
    // Gone already is what was wanted; anything else shows at the next lock, which finds it stale.
    if (errno(e) !== "ENOENT") return;
  }
}

/** A new file of a Maildir: written in tmp, then moved into new by its one name. */
export interface MaildirFile {
  append(bytes: Buffer): Result<true>;
  /** Syncs and moves it into new/. */
  commit(): Result<true>;
  abort(): void;
}

/** Opens `name` in the tmp of the Maildir at `path` beneath `jail`, making tmp, new and cur when they are missing. */
export function openMaildir(jail: string, path: string, name: string): Result<MaildirFile> {
  const inner = insideJail(jail, path).replace(/\/+$/, "");
  if (inner === "" || name.includes("/")) return err("EINVAL");
  const made = makeMaildir(jail, inner);
  if (!made.ok) return made;
  const temporary = `${inner}/tmp/${name}`;
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
  const opened = openInside(jail, temporary, flags, 0o600);
  if (!opened.ok) return opened;
  return ok(new OpenMaildirFile(opened.value, join(jail, temporary), join(jail, inner, "new"), name));
}

/** Makes the directory `path` beneath `jail` with its parents; none of them may be a link. Error: the errno. */
export function makeFolder(jail: string, path: string): Result<true> {
  const parts = insideJail(jail, path).replace(/\/+$/, "").split("/");
  for (let n = 1; n <= parts.length; n++) {
    const inner = parts.slice(0, n).join("/");
    const directory = openInside(jail, inner, constants.O_RDONLY | constants.O_DIRECTORY, 0);
    if (directory.ok) {
      closeSync(directory.value);
      continue;
    }
    if (directory.error !== "ENOENT") return directory;
    try {
      // The parents were opened without links a moment ago, and nobody but this user writes in the jail.
      mkdirSync(join(jail, inner), { mode: 0o750 });
    } catch (e) {
      if (errno(e) !== "EEXIST") return err(errno(e));
    }
  }
  return ok(true);
}

function makeMaildir(jail: string, inner: string): Result<true> {
  for (const part of ["tmp", "new", "cur"]) {
    const made = makeFolder(jail, `${inner}/${part}`);
    if (!made.ok) return made;
  }
  return ok(true);
}

class OpenMaildirFile implements MaildirFile {
  readonly #fd: number;
  readonly #temporary: string;
  readonly #folder: string;
  readonly #name: string;

  constructor(fd: number, temporary: string, folder: string, name: string) {
    this.#fd = fd;
    this.#temporary = temporary;
    this.#folder = folder;
    this.#name = name;
  }

  append(bytes: Buffer): Result<true> {
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
      return ok(true);
    } catch (e) {
      return err(errno(e));
    }
  }

  commit(): Result<true> {
    try {
      fsyncSync(this.#fd);
      closeSync(this.#fd);
      linkSync(this.#temporary, join(this.#folder, this.#name));
      removeQuietly(this.#temporary);
      syncDirectory(this.#folder);
      return ok(true);
    } catch (e) {
      removeQuietly(this.#temporary);
      return err(errno(e));
    }
  }

  abort(): void {
    closeSync(this.#fd);
    removeQuietly(this.#temporary);
  }
}
