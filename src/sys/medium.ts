// A partition (or a file in its place) that is written from its start to where the data ends: pieces in place, one sync at the end, and
// reading back what the medium holds rather than what memory remembers. And the running sum of a stream.

import { createHash } from "node:crypto";
import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";
import { err, ok, type Result } from "../base/result.ts";

/** A running SHA-256. */
export interface RunningDigest {
  add(piece: Buffer): void;
  /** Hexadecimal; once, at the end. */
  end(): string;
}

/** SHA-256 of what is added. */
export function runningDigest(): RunningDigest {
  const hash = createHash("sha256");
  return {
    add(piece) {
      hash.update(piece);
    },
    end: () => hash.digest("hex"),
  };
}

/** A partition open for writing. */
export interface Medium {
  /** Writes the whole piece at `position`. Error: the errno ("ENOSPC", "EIO"). */
  writeAt(piece: Buffer, position: number): Result<true>;
  /** Until the medium itself has all of it. */
  sync(): Result<true>;
  close(): void;
}

function errno(e: unknown): string {
  return e instanceof Error && "code" in e ? String(e.code) : String(e);
}

/** Opens what is there; nothing is made and nothing cut off. */
export function openMedium(path: string): Result<Medium> {
  let fd: number;
  try {
    fd = openSync(path, "r+");
  } catch (e) {
    return err(`cannot open ${path}: ${errno(e)}`);
  }
  const attempt = (work: () => void): Result<true> => {
    try {
      work();
      return ok(true);
    } catch (e) {
      return err(`cannot write ${path}: ${errno(e)}`);
    }
  };
  return ok({
    writeAt: (piece, position) =>
      attempt(() => {
        for (let done = 0; done < piece.length; )
          done += writeSync(fd, piece, done, piece.length - done, position + done);
      }),
    sync: () => attempt(() => fsyncSync(fd)),
    close: () => closeSync(fd),
  });
}
