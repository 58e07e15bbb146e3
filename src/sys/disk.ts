// The disk as the spool sees it: every write, sync and directory change goes through here, so that tests can give a disk
// that cuts the power after any operation. Failures are values with the errno; nothing is retried and nothing is believed twice.
// Each sync says why it is made: the crash suite takes them out one at a time and must notice.

import {
  close,
  constants,
  fdatasync,
  fstat,
  fsync,
  mkdir,
  open,
  read,
  readdir,
  rename,
  statfs,
  unlink,
  writev,
} from "node:fs";
import { err, ok, type Result } from "../base/result.ts";

/** What failed: `code` is the errno name ("ENOSPC", "EIO", "EROFS", ...), `operation` the call with its path. */
export interface DiskError {
  readonly code: string;
  readonly operation: string;
}

export interface DiskFile {
  /** Writes all of `pieces` at `offset`; short writes are continued. */
  write(pieces: readonly Buffer[], offset: number): Promise<Result<true, DiskError>>;
  /** Reads up to `length` bytes at `offset`; shorter only at the end of the file. */
  read(offset: number, length: number): Promise<Result<Buffer, DiskError>>;
  /** Makes the bytes written so far durable (fdatasync). After an error the file must not be trusted again. */
  sync(why: string): Promise<Result<true, DiskError>>;
  /** Bytes. */
  size(): Promise<Result<number, DiskError>>;
  close(): Promise<void>;
}

export interface Space {
  readonly freeBytes: number;
  readonly totalBytes: number;
  /** Free blocks for an unprivileged user, of `blockBytes` each. */
  readonly freeBlocks: number;
  readonly blockBytes: number;
  readonly freeInodes: number;
  /** 0 where the file system has no fixed number. */
  readonly totalInodes: number;
}

export interface Disk {
  /** "create" fails with EEXIST when the file is there; links are never followed. New files have mode 0600. */
  open(path: string, how: "read" | "write" | "create"): Promise<Result<DiskFile, DiskError>>;
  /** Makes a folder (mode 0700) and its parents; no error when it is there. */
  makeFolder(path: string): Promise<Result<true, DiskError>>;
  /** Names in a folder, sorted. */
  list(path: string): Promise<Result<readonly string[], DiskError>>;
  rename(from: string, to: string): Promise<Result<true, DiskError>>;
  unlink(path: string): Promise<Result<true, DiskError>>;
  /** Makes the names in a folder durable. */
  syncFolder(path: string, why: string): Promise<Result<true, DiskError>>;
  space(path: string): Promise<Result<Space, DiskError>>;
}

function failure(e: unknown, operation: string): { readonly ok: false; readonly error: DiskError } {
  const code = e instanceof Error && "code" in e ? String(e.code) : "EIO";
  return err({ code, operation });
}

const OPEN_FLAGS = {
  read: constants.O_RDONLY | constants.O_NOFOLLOW,
  write: constants.O_RDWR | constants.O_NOFOLLOW,
  create: constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
};

/** Linux's IOV_MAX: more pieces than this in one writev fail. */
const PIECES_MAX = 1024;

/** Callbacks, not FileHandle: half the microseconds per batch, and no object that a collector could close behind us. */
class SystemFile implements DiskFile {
  readonly #fd: number;
  readonly #path: string;

  constructor(fd: number, path: string) {
    this.#fd = fd;
    this.#path = path;
  }

  write(pieces: readonly Buffer[], offset: number): Promise<Result<true, DiskError>> {
    const fd = this.#fd;
    const operation = `write ${this.#path}`;
    return new Promise((resolve) => {
      let at = offset;
      let rest = pieces;
      const next = (): void => {
        const some = rest.length > PIECES_MAX ? rest.slice(0, PIECES_MAX) : rest;
        writev(fd, some, at, (e, written) => {
          if (e !== null) return resolve(failure(e, operation));
          at += written;
          rest = after(rest, written);
          if (rest.length === 0) return resolve(ok(true));
          if (written === 0) return resolve(err({ code: "EIO", operation }));
          next();
        });
      };
      if (rest.length === 0) resolve(ok(true));
      else next();
    });
  }

  read(offset: number, length: number): Promise<Result<Buffer, DiskError>> {
    const fd = this.#fd;
    const operation = `read ${this.#path}`;
    const buffer = Buffer.allocUnsafe(length);
    return new Promise((resolve) => {
      let have = 0;
      const next = (): void => {
        read(fd, buffer, have, length - have, offset + have, (e, count) => {
          if (e !== null) return resolve(failure(e, operation));
          have += count;
          if (count === 0 || have === length) return resolve(ok(buffer.subarray(0, have)));
          next();
        });
      };
      if (length === 0) resolve(ok(buffer));
      else next();
    });
  }

  sync(_why: string): Promise<Result<true, DiskError>> {
    return new Promise((resolve) => {
      fdatasync(this.#fd, (e) => resolve(e === null ? ok(true) : failure(e, `fdatasync ${this.#path}`)));
    });
  }

  size(): Promise<Result<number, DiskError>> {
    return new Promise((resolve) => {
      fstat(this.#fd, (e, s) => resolve(e === null ? ok(s.size) : failure(e, `stat ${this.#path}`)));
    });
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      // What had to be durable was synced before, so the result of close says nothing more.
      close(this.#fd, () => resolve());
    });
  }
}

/** The pieces that remain after `written` bytes. */
function after(pieces: readonly Buffer[], written: number): readonly Buffer[] {
  let skip = written;
  let i = 0;
  for (; i < pieces.length; i++) {
    const length = pieces[i]?.length ?? 0;
    if (skip < length) break;
    skip -= length;
  }
  if (skip === 0) return i === 0 ? pieces : pieces.slice(i);
  const [first, ...others] = pieces.slice(i);
  return first === undefined ? [] : [first.subarray(skip), ...others];
}

function outcomeOf(
  operation: string,
  start: (done: (e: Error | null) => void) => void,
): Promise<Result<true, DiskError>> {
  return new Promise((resolve) => {
    start((e) => resolve(e === null ? ok(true) : failure(e, operation)));
  });
}

export const systemDisk: Disk = {
  open(path, how) {
    return new Promise((resolve) => {
      open(path, OPEN_FLAGS[how], 0o600, (e, fd) =>
        resolve(e === null ? ok(new SystemFile(fd, path)) : failure(e, `open ${path}`)),
      );
    });
  },
  makeFolder: (path) =>
    outcomeOf(`mkdir ${path}`, (done) => mkdir(path, { recursive: true, mode: 0o700 }, (e) => done(e))),
  list(path) {
    return new Promise((resolve) => {
      readdir(path, (e, names) => resolve(e === null ? ok(names.sort()) : failure(e, `readdir ${path}`)));
    });
  },
  rename: (from, to) => outcomeOf(`rename ${from}`, (done) => rename(from, to, done)),
  unlink: (path) => outcomeOf(`unlink ${path}`, (done) => unlink(path, done)),
  syncFolder(path, _why) {
    return new Promise((resolve) => {
      open(path, constants.O_RDONLY | constants.O_DIRECTORY, (e, fd) => {
        if (e !== null) return resolve(failure(e, `open ${path}`));
        fsync(fd, (syncError) => {
          close(fd, () => {
            resolve(syncError === null ? ok(true) : failure(syncError, `fsync ${path}`));
          });
        });
      });
    });
  },
  space(path) {
    return new Promise((resolve) => {
      statfs(path, (e, s) => {
        if (e !== null) return resolve(failure(e, `statfs ${path}`));
        resolve(
          ok({
            freeBytes: s.bavail * s.bsize,
            totalBytes: s.blocks * s.bsize,
            freeBlocks: s.bavail,
            blockBytes: s.bsize,
            freeInodes: s.ffree,
            totalInodes: s.files,
          }),
        );
      });
    });
  },
};
