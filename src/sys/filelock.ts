// A lock between processes that change the same small file: `path`.lock, made with O_EXCL, holding its owner's process id.
// A lock whose owner is dead is taken over; waiting is bounded. Readers do not lock: they see the old file or the new one.

import { closeSync, openSync, readFileSync, unlinkSync, writeSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import { err, ok, type Result } from "../base/result.ts";

export interface FileLock {
  release(): void;
}

const RETRY_MS = 20;

function codeOf(e: unknown): string {
  return e instanceof Error && "code" in e ? String(e.code) : String(e);
}

/** Is the owner written in the lock gone? An empty lock is being written just now. */
function isStale(lock: string): boolean {
  try {
    const owner = Number.parseInt(readFileSync(lock, "latin1"), 10);
    if (!Number.isSafeInteger(owner) || owner <= 0) return false;
    process.kill(owner, 0);
    return false;
  } catch (e) {
    return codeOf(e) === "ESRCH";
  }
}

/** Takes the lock, waiting at most `waitMs` for another holder. Error: one line with path and errno. */
export async function lockFile(path: string, waitMs: number): Promise<Result<FileLock>> {
  const lock = `${path}.lock`;
  for (let waited = 0; ; waited += RETRY_MS) {
    try {
      const fd = openSync(lock, "wx", 0o600);
      writeSync(fd, `${process.pid}\n`);
      closeSync(fd);
      return ok({ release: () => unlinkSync(lock) });
    } catch (e) {
      const code = codeOf(e);
      if (code !== "EEXIST") return err(`cannot lock ${path}: ${code}`);
    }
    if (isStale(lock)) {
      try {
        unlinkSync(lock);
      } catch (e) {
        // Another process took it over first.
        if (codeOf(e) !== "ENOENT") return err(`cannot remove the stale lock ${lock}: ${codeOf(e)}`);
      }
    } else if (waited >= waitMs) return err(`${path} is locked by another process (${lock})`);
    await wait(RETRY_MS);
  }
}
