// Plain file access for everything but the spool (which has sys/disk.ts): small reads with three results, facts about
// files and directories, reading at a position, atomic replacement (old or new, never half, synced before it is seen).
// Expected failures are values that carry the errno; nothing here throws for what a disk or a path can do.

import {
  type BigIntStats,
  chmodSync,
  chownSync,
  closeSync,
  constants,
  copyFileSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { ABSENT, err, found, type Lookup, ok, type Result, tempfail } from "../base/result.ts";

function errno(e: unknown): string {
  return e instanceof Error && "code" in e ? String(e.code) : String(e);
}

/** What strerror(3) says, for the errors that our messages quote as Sendmail does; others keep their name. */
const ERROR_TEXTS = new Map([
  ["ENOENT", "No such file or directory"],
  ["EACCES", "Permission denied"],
  ["EPERM", "Operation not permitted"],
  ["ENOTDIR", "Not a directory"],
  ["EISDIR", "Is a directory"],
  ["EROFS", "Read-only file system"],
  ["ENOSPC", "No space left on device"],
  ["ELOOP", "Too many levels of symbolic links"],
  ["EEXIST", "File exists"],
  ["EIO", "Input/output error"],
  ["EMFILE", "Too many open files"],
  ["ENAMETOOLONG", "File name too long"],
]);

/** The words for an errno name ("ENOENT" -> "No such file or directory"). */
export function errorText(code: string): string {
  return ERROR_TEXTS.get(code) ?? code;
}

/** The whole file; absent when it does not exist; tempfail (with the errno) when it cannot be read. */
export function readFileLookup(path: string): Lookup<Buffer> {
  try {
    return found(readFileSync(path));
  } catch (e) {
    const code = errno(e);
    return code === "ENOENT" || code === "ENOTDIR" ? ABSENT : tempfail(`cannot read ${path}: ${code}`);
  }
}

/**
 * As readFileLookup, but tempfail for what is no regular file (a FIFO is not waited for) and for more than `bytesMax` bytes. What was
 * opened is what is judged and read, whatever happens to its name meanwhile.
 */
export function readBoundedFile(path: string, bytesMax: number): Lookup<Buffer> {
  const opened = openForReading(path);
  if (opened.kind === "absent") return opened;
  if (opened.kind === "tempfail") return tempfail(opened.reason.replace(/^cannot open /, "cannot read "));
  const bytes = opened.value.readWhole(bytesMax);
  opened.value.close();
  return bytes.ok ? found(bytes.value) : tempfail(bytes.error);
}

/** What stat(2) says, as far as anyone here asks. */
export interface FileFacts {
  readonly type: "file" | "directory" | "link" | "other";
  /** Permission bits, 0 to 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly links: number;
  /** Bytes. */
  readonly size: number;
  /** Device and inode as one word: two names of one file give the same. */
  readonly identity: string;
  /** Nanoseconds since 1970. */
  readonly modifiedNs: bigint;
}

function facts(s: BigIntStats): FileFacts {
  return {
    type: s.isFile() ? "file" : s.isDirectory() ? "directory" : s.isSymbolicLink() ? "link" : "other",
    mode: Number(s.mode & 0o7777n),
    uid: Number(s.uid),
    gid: Number(s.gid),
    links: Number(s.nlink),
    size: Number(s.size),
    identity: `${s.dev}:${s.ino}`,
    modifiedNs: s.mtimeNs,
  };
}

function ask<T>(path: string, question: () => T): Lookup<T> {
  try {
    return found(question());
  } catch (e) {
    const code = errno(e);
    return code === "ENOENT" || code === "ENOTDIR" ? ABSENT : tempfail(`cannot stat ${path}: ${code}`);
  }
}

/** Facts about what `path` leads to, links followed. */
export function statPath(path: string): Lookup<FileFacts> {
  return ask(path, () => facts(statSync(path, { bigint: true })));
}

/** Facts about `path` itself, a link is reported as one. */
export function lstatPath(path: string): Lookup<FileFacts> {
  return ask(path, () => facts(lstatSync(path, { bigint: true })));
}

/** The absolute name without any link in it. */
export function realPath(path: string): Lookup<string> {
  return ask(path, () => realpathSync(path));
}

/** Where a symbolic link points, as written in it. */
export function readLink(path: string): Lookup<string> {
  return ask(path, () => readlinkSync(path));
}

/** Names in a directory, sorted by bytes so that the order is the same on every machine. */
export function listDirectory(path: string): Lookup<readonly string[]> {
  const names = ask(path, () => readdirSync(path));
  return names.kind === "found" ? found([...names.value].sort((a, b) => (a < b ? -1 : 1))) : names;
}

/** A file open for reading at any position; keeps reading the same file when its name is given to another. */
export interface ReadFile {
  readonly facts: FileFacts;
  /** Fills as much of `into` as there is from byte `position` on; the count of bytes, or an error with the errno. */
  readAt(into: Buffer, position: number): Result<number>;
  /** All of it, which is an error when it is more than `bytesMax` bytes: also of a file that grows while it is read. */
  readWhole(bytesMax: number): Result<Buffer>;
  /** Where it really lies now, links resolved; null when it has no name any more. */
  place(): string | null;
  /** A file of procfs: what is in it, and whether it may be read, depends on who has opened it. */
  readonly ofProcess: boolean;
  close(): void;
}

/** The file system type of procfs, see statfs(2). */
const PROC_SUPER_MAGIC = 0x9fa0;
/** Read at a time where the size is not known. */
const READ_BYTES = 64 * 1024;

/**
 * Opens a regular file, or a block device when asked, for reading. What others may have put there cannot hurt: a FIFO is refused
 * without waiting for it, a terminal does not become ours, and with "no link" the name itself must not be one (ELOOP).
 */
export function openForReading(
  path: string,
  what: "file" | "or block device" = "file",
  links: "follow" | "no link" = "follow",
): Lookup<ReadFile> {
  let fd: number;
  try {
    // Node opens everything with O_CLOEXEC.
    const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
    fd = openSync(path, links === "follow" ? flags : flags | constants.O_NOFOLLOW);
  } catch (e) {
    const code = errno(e);
    return code === "ENOENT" || code === "ENOTDIR" ? ABSENT : tempfail(`cannot open ${path}: ${code}`);
  }
  const stats = fstatSync(fd, { bigint: true });
  const known = facts(stats);
  if (known.type !== "file" && !(what === "or block device" && stats.isBlockDevice())) {
    closeSync(fd);
    return tempfail(`cannot open ${path}: not a regular file`);
  }
  return found({
    facts: known,
    readAt(into, position) {
      try {
        let got = 0;
        while (got < into.length) {
          const n = readSync(fd, into, got, into.length - got, position + got);
          if (n === 0) break;
          got += n;
        }
        return ok(got);
      } catch (e) {
        return err(`cannot read ${path}: ${errno(e)}`);
      }
    },
    readWhole(bytesMax) {
      const tooLarge = (bytes: number) => err(`cannot read ${path}: ${bytes} bytes, ${bytesMax} allowed`);
      if (known.size > bytesMax) return tooLarge(known.size);
      const parts: Buffer[] = [];
      let bytes = 0;
      for (;;) {
        // One byte more than the size shows that this is the end.
        const room = Buffer.allocUnsafe(bytes === 0 ? Math.max(known.size + 1, 512) : READ_BYTES);
        const got = this.readAt(room, bytes);
        if (!got.ok) return got;
        bytes += got.value;
        if (bytes > bytesMax) return tooLarge(bytes);
        parts.push(room.subarray(0, got.value));
        if (got.value < room.length)
          return ok(parts.length === 1 ? (parts[0] ?? room) : Buffer.concat(parts));
      }
    },
    place() {
      const name = ask(path, () => readlinkSync(`/proc/self/fd/${fd}`));
      if (name.kind !== "found") return null;
      const there = statPath(name.value);
      return there.kind === "found" && there.value.identity === known.identity ? name.value : null;
    },
    get ofProcess() {
      const system = ask(path, () => statfsSync(`/proc/self/fd/${fd}`));
      return system.kind !== "found" || system.value.type === PROC_SUPER_MAGIC;
    },
    close: () => closeSync(fd),
  });
}

/** A file in the making, beside the one that it will replace. Exactly one of commit() and abandon() ends it. */
export interface Replacement {
  /** Bytes appended so far. */
  readonly length: number;
  append(bytes: Buffer): Result<true>;
  /** Overwrites at `position` (a header that is known only at the end). */
  writeAt(bytes: Buffer, position: number): Result<true>;
  /** Syncs, renames over the target, syncs the directory. */
  commit(): Result<true>;
  abandon(): void;
}

/** Who may read the new file and whose it is; without owner it stays the process's. */
export interface NewFile {
  readonly mode: number;
  readonly owner?: { readonly uid: number; readonly gid: number };
}

let replacementsBegun = 0;

/** A name beside `path` that no other writer uses; what writers that died have left there is removed. */
function temporaryName(path: string): string {
  const directory = dirname(path);
  const prefix = `.${basename(path)}.`;
  const siblings = listDirectory(directory);
  for (const name of siblings.kind === "found" ? siblings.value : []) {
    const writer = name.startsWith(prefix) ? /^(\d+)-\d+\.new$/.exec(name.slice(prefix.length)) : null;
    if (writer !== null && !isAlive(Number(writer[1]))) rmSync(join(directory, name), { force: true });
  }
  replacementsBegun += 1;
  return join(directory, `${prefix}${process.pid}-${replacementsBegun}.new`);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (e) {
    return errno(e) === "EPERM";
  }
}

/** Begins a new version of `path`. Error when the directory cannot be written. */
export function beginReplacement(path: string, file: NewFile): Result<Replacement> {
  const temporary = temporaryName(path);
  let fd: number;
  try {
    fd = openSync(temporary, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
  } catch (e) {
    return err(`cannot write ${path}: ${errno(e)}`);
  }
  let length = 0;
  const write = (bytes: Buffer, position: number): Result<true> => {
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at, bytes.length - at, position + at);
      return ok(true);
    } catch (e) {
      return err(`cannot write ${path}: ${errno(e)}`);
    }
  };
  const drop = (): void => rmSync(temporary, { force: true });
  return ok({
    get length() {
      return length;
    },
    append(bytes) {
      const done = write(bytes, length);
      if (done.ok) length += bytes.length;
      return done;
    },
    writeAt: write,
    commit() {
      try {
        try {
          if (file.owner !== undefined) fchownSync(fd, file.owner.uid, file.owner.gid);
          fchmodSync(fd, file.mode);
          fsyncSync(fd);
        } finally {
          closeSync(fd);
        }
        renameSync(temporary, path);
        return syncDirectory(dirname(path));
      } catch (e) {
        drop();
        return err(`cannot write ${path}: ${errno(e)}`);
      }
    },
    abandon() {
      closeSync(fd);
      drop();
    },
  });
}

/** Makes renames and new names in `path` durable. */
export function syncDirectory(path: string): Result<true> {
  try {
    const directory = openSync(path, "r");
    try {
      fsyncSync(directory);
    } finally {
      closeSync(directory);
    }
    return ok(true);
  } catch (e) {
    return err(`cannot sync ${path}: ${errno(e)}`);
  }
}

/** Writes `data` to a new file beside `path`, syncs it, renames it over `path`, syncs the directory. Old or new, never half. */
export function replaceFile(path: string, data: Buffer | string, mode: number): Result<true> {
  const begun = beginReplacement(path, { mode });
  if (!begun.ok) return begun;
  const written = begun.value.append(typeof data === "string" ? Buffer.from(data) : data);
  if (!written.ok) {
    begun.value.abandon();
    return written;
  }
  return begun.value.commit();
}

function change(what: string, path: string, action: () => void): Result<true> {
  try {
    action();
    return ok(true);
  } catch (e) {
    return err(`cannot ${what} ${path}: ${errno(e)}`);
  }
}

/** Makes the directory and those above it that are missing; fine when it is there. */
export function makeDirectory(path: string, mode: number): Result<true> {
  return change("make", path, () => {
    mkdirSync(path, { recursive: true, mode });
  });
}

/** Removes a file; fine when there is none. */
export function removeFile(path: string): Result<true> {
  return change("remove", path, () => {
    try {
      unlinkSync(path);
    } catch (e) {
      if (errno(e) !== "ENOENT") throw e;
    }
  });
}

/** Removes a directory with all that is in it; links are removed, not followed. */
export function removeTree(path: string): Result<true> {
  return change("remove", path, () => rmSync(path, { recursive: true, force: true }));
}

/** Copies one regular file, contents only. */
export function copyFile(from: string, to: string): Result<true> {
  return change(`copy ${from} to`, to, () => copyFileSync(from, to));
}

/** Sets permission bits. */
export function changeMode(path: string, mode: number): Result<true> {
  return change("chmod", path, () => chmodSync(path, mode));
}

/** Gives a file or directory to a user and group. */
export function giveTo(path: string, uid: number, gid: number): Result<true> {
  return change("chown", path, () => chownSync(path, uid, gid));
}

/** A new empty directory of mode 0700 for work in progress, `under` a directory or the system's temporary one. */
export function makeWorkDirectory(prefix: string, under?: string): Result<string> {
  try {
    return ok(mkdtempSync(join(under ?? tmpdir(), prefix)));
  } catch (e) {
    return err(`cannot make a work directory: ${errno(e)}`);
  }
}
