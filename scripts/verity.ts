// The hash tree of a root file system, for the kernel's dm-verity: SHA-256 of each 4096-byte block, of each block of those
// hashes, and so on up to one. It is appended to the squashfs, the level below the root hash first, as the kernel wants it
// (Documentation/admin-guide/device-mapper/verity.rst): no superblock, no salt.

import { createHash } from "node:crypto";
import { appendFileSync, closeSync, openSync, readSync, statSync } from "node:fs";

const BLOCK_BYTES = 4096;
const HASH_BYTES = 32;

/** What a verified mount is made with. */
export interface Verity {
  /** Blocks of 4096 bytes before the tree. */
  readonly dataBlocks: number;
  /** SHA-256 of the topmost block, hexadecimal. */
  readonly rootHash: string;
}

const digest = (block: Buffer) => createHash("sha256").update(block).digest();

/** The blocks that hold the hashes of `count` blocks, the last one filled up with zeros. */
function hashes(count: number, read: (index: number) => Buffer): Buffer {
  const level = Buffer.alloc(Math.ceil((count * HASH_BYTES) / BLOCK_BYTES) * BLOCK_BYTES);
  for (let index = 0; index < count; index++) digest(read(index)).copy(level, index * HASH_BYTES);
  return level;
}

/** Appends the tree of `file`, whose length must be whole blocks (mksquashfs pads to them). */
export function appendVerity(file: string): Verity {
  const bytes = statSync(file).size;
  if (bytes === 0 || bytes % BLOCK_BYTES !== 0)
    throw new Error(`${file}: ${bytes} bytes are no whole blocks of ${BLOCK_BYTES}`);
  const dataBlocks = bytes / BLOCK_BYTES;
  const input = openSync(file, "r");
  const block = Buffer.alloc(BLOCK_BYTES);
  const levels = [
    hashes(dataBlocks, (index) => {
      readSync(input, block, 0, BLOCK_BYTES, index * BLOCK_BYTES);
      return block;
    }),
  ];
  closeSync(input);
  for (let below = levels[0]; below !== undefined && below.length > BLOCK_BYTES; below = levels[0]) {
    const lower = below;
    levels.unshift(
      hashes(lower.length / BLOCK_BYTES, (index) =>
        lower.subarray(index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES),
      ),
    );
  }
  const [top = Buffer.alloc(BLOCK_BYTES)] = levels;
  for (const level of levels) appendFileSync(file, level);
  return { dataBlocks, rootHash: digest(top).toString("hex") };
}
