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
  readFileSync,
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

/** The kernel's number of the mount that an open descriptor lies in. */
function mountOfDescriptor(fd: number): string {
  return /^mnt_id:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "latin1"))?.[1] ?? "";
}

function mountOf(path: string): string {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    return mountOfDescriptor(fd);
  } finally {
    closeSync(fd);
  }
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
    // Nothing may be made in another mount either, so its place is looked at before.
    const mount = mountOf(root);
    if (mountOfDescriptor(directory) !== mount) return err("EXDEV");
    const fd = openSync(`/proc/self/fd/${directory}/${name}`, flags | constants.O_NOFOLLOW, mode);
    if (mountOfDescriptor(fd) === mount) return ok(fd);
    closeSync(fd);
    return err("EXDEV");
  } catch (e) {
    return err(errno(e));
  } finally {
    if (directory !== null) closeSync(directory);
  }
}

/** The directory and the name of a path beneath the jail. */
function partsOf(inner: string): { readonly folder: string; readonly name: string } {
  const slash = inner.lastIndexOf("/");
  return { folder: slash < 0 ? "." : inner.slice(0, slash), name: inner.slice(slash + 1) };
}

/**
 * Gives `work` the directory `folder` beneath `jail` as a path through its open descriptor: whatever is renamed or swapped for a
 * link meanwhile, links, directories and removals happen in that directory. Error: the errno.
 */
function within<T>(jail: string, folder: string, work: (at: string) => T): Result<T> {
  const opened = openInside(jail, folder, constants.O_RDONLY | constants.O_DIRECTORY, 0);
  if (!opened.ok) return opened;
  try {
    return ok(work(`/proc/self/fd/${opened.value}`));
  } catch (e) {
    return err(errno(e));
  } finally {
    closeSync(opened.value);
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
  return ok(new OpenAppendFile(fd, fstatSync(fd).size, join(jail, inner, ".."), made));
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
  readonly #folder: string;
  readonly #made: boolean;

  /** `made`: the file is new, and so its name in `folder` is. */
  constructor(fd: number, size: number, folder: string, made: boolean) {
    this.#fd = fd;
    this.size = size;
    this.#folder = folder;
    this.#made = made;
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
    } catch (e) {
      return err(errno(e));
    }
    try {
      // Also for what an old file has grown by: f2fs may lose that before its next checkpoint, which this is (spool/messagefile.ts).
      syncDirectory(this.#folder);
    } catch (e) {
      // A folder that may be entered but not listed.
      if (this.#made || errno(e) !== "EACCES") return err(errno(e));
    }
    return ok(true);
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
  const { folder, name } = partsOf(insideJail(jail, path));
  const lock = `${name}.lock`;
  const own = `${lock}.${process.pid}`;
  const taken = within(jail, folder, (at) => {
    const mine = join(at, own);
    removeQuietly(mine);
    try {
      const fd = openSync(mine, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
      try {
        writeSync(fd, `${process.pid}\n`);
      } finally {
        closeSync(fd);
      }
      removeStale(join(at, lock), mine);
      linkSync(mine, join(at, lock));
    } finally {
      removeQuietly(mine);
    }
  });
  if (!taken.ok) return taken;
  // A folder that cannot be opened any more keeps its lock until it is stale.
  return ok({ release: () => void within(jail, folder, (at) => removeQuietly(join(at, lock))) });
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
  return ok(new OpenMaildirFile(opened.value, jail, inner, name));
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
    const { folder, name } = partsOf(inner);
    const made = within(jail, folder, (at) => mkdirSync(join(at, name), { mode: 0o750 }));
    if (!made.ok && made.error !== "EEXIST") return made;
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
  readonly #jail: string;
  /** The Maildir beneath the jail. */
  readonly #inner: string;
  readonly #name: string;

  constructor(fd: number, jail: string, inner: string, name: string) {
    this.#fd = fd;
    this.#jail = jail;
    this.#inner = inner;
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
    } catch (e) {
      this.abort();
      return err(errno(e));
    }
    closeSync(this.#fd);
    const moved = within(this.#jail, `${this.#inner}/tmp`, (tmp) =>
      within(this.#jail, `${this.#inner}/new`, (folder) => {
        linkSync(join(tmp, this.#name), join(folder, this.#name));
        removeQuietly(join(tmp, this.#name));
        syncDirectory(folder);
      }),
    );
    const done = moved.ok ? moved.value : moved;
    if (done.ok) return ok(true);
    this.#forget();
    return done;
  }

  abort(): void {
    closeSync(this.#fd);
    this.#forget();
  }

  #forget(): void {
    void within(this.#jail, `${this.#inner}/tmp`, (tmp) => removeQuietly(join(tmp, this.#name)));
  }
}
