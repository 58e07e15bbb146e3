// Plain file access for everything but the spool (which has sys/disk.ts):
// small reads with three results, atomic replacement.

import { closeSync, fsyncSync, openSync, readFileSync, renameSync, unlinkSync, writeSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { ABSENT, err, found, type Lookup, ok, type Result, tempfail } from "../base/result.ts";

function errno(e: unknown): string {
  return e instanceof Error && "code" in e ? String(e.code) : String(e);
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

/** Writes `data` to a new file beside `path`, syncs it, renames it over `path`, syncs the directory. Old or new, never half. */
export function replaceFile(path: string, data: Buffer | string, mode: number): Result<true> {
  const temporary = join(dirname(path), `.${basename(path)}.new`);
  try {
    const fd = openSync(temporary, "w", mode);
    try {
      const bytes = typeof data === "string" ? Buffer.from(data) : data;
      for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, path);
    const directory = openSync(dirname(path), "r");
    try {
      fsyncSync(directory);
    } finally {
      closeSync(directory);
    }
    return ok(true);
  } catch (e) {
    try {
      unlinkSync(temporary);
    } catch (again) {
      // Usually it was never created; the first error is the one that tells.
      if (errno(again) !== "ENOENT")
        return err(`cannot write ${path}: ${errno(e)}; left ${temporary} behind`);
    }
    return err(`cannot write ${path}: ${errno(e)}`);
  }
}
