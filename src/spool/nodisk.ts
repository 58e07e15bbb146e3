// The disk of a queue that cannot be used: every operation fails with the same reason, so nothing is written over what has not been
// read. Interactive relaying needs no more (FULL-03).

import { err, type Result } from "../base/result.ts";
import type { Disk, DiskError } from "../sys/disk.ts";

/** A disk whose every answer is `error`. */
export function noDisk(error: DiskError): Disk {
  const refuse = (): Promise<Result<never, DiskError>> => Promise.resolve(err(error));
  return {
    open: refuse,
    makeFolder: refuse,
    list: refuse,
    rename: refuse,
    unlink: refuse,
    syncFolder: refuse,
    space: refuse,
  };
}
