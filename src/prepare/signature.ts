// The signature of a configuration image: one Ed25519 signature (RFC 8032) over the whole squashfs and the trailer's facts,
// appended in a trailer of 128 bytes at the end of the squashfs. Where the squashfs ends is in its superblock, so an image
// can be checked in a partition that is larger than it. Checked before anything of the image is mounted or unpacked.
//
//   magic "PSTRNCF1" (8) | length of the squashfs, u64 LE (8) | key id, SHA-256 of the SPKI (32) | signature (64) | zeros (16)

import { CONFIG_IMAGE_BYTES_MAX } from "../base/limits.ts";
import { err, ok, type Result } from "../base/result.ts";
import { signEd25519, verifies } from "../sys/crypto.ts";
import type { SigningKey, TrustedKey } from "./keys.ts";

const MAGIC = "PSTRNCF1";
export const TRAILER_BYTES = 128;
/** magic, length and key id: signed together with the image. */
const SIGNED_HEAD_BYTES = 48;
const SIGNATURE_BYTES = 64;
/** The superblock of squashfs 4: magic at 0, bytes_used at 40. mksquashfs pads the image to 4096 bytes. */
const SQUASHFS_MAGIC = 0x73717368;
export const SUPERBLOCK_BYTES = 96;
const SQUASHFS_PAD_BYTES = 4096;

/** Length of the squashfs whose superblock `head` begins, padding included. */
export function squashfsLength(head: Buffer): Result<number> {
  if (head.length < SUPERBLOCK_BYTES || head.readUInt32LE(0) !== SQUASHFS_MAGIC)
    return err("not a squashfs image");
  const used = head.readBigUInt64LE(40);
  if (used < BigInt(SUPERBLOCK_BYTES) || used > BigInt(CONFIG_IMAGE_BYTES_MAX))
    return err(`a squashfs of ${used} bytes is no configuration image`);
  return ok(Math.ceil(Number(used) / SQUASHFS_PAD_BYTES) * SQUASHFS_PAD_BYTES);
}

/** The trailer for `image` (a whole squashfs with its padding). */
export function signImage(image: Buffer, key: SigningKey): Result<Buffer> {
  const length = squashfsLength(image);
  if (!length.ok) return length;
  if (length.value !== image.length)
    return err(`squashfs of ${image.length} bytes, its superblock says ${length.value}`);
  const trailer = Buffer.alloc(TRAILER_BYTES);
  trailer.write(MAGIC, 0, "latin1");
  trailer.writeBigUInt64LE(BigInt(image.length), 8);
  key.id.copy(trailer, 16);
  const signed = Buffer.concat([image, trailer.subarray(0, SIGNED_HEAD_BYTES)]);
  signEd25519(key.key, signed).copy(trailer, SIGNED_HEAD_BYTES);
  return ok(trailer);
}

/** Whose signature it is, when it is good and the key is trusted. `bytes`: squashfs and trailer; what follows is not looked at. */
export function verifyImage(bytes: Buffer, trusted: readonly TrustedKey[]): Result<TrustedKey> {
  const length = squashfsLength(bytes);
  if (!length.ok) return length;
  if (bytes.length < length.value + TRAILER_BYTES) return err("the image is cut off or not signed");
  const trailer = bytes.subarray(length.value, length.value + TRAILER_BYTES);
  if (trailer.toString("latin1", 0, MAGIC.length) !== MAGIC) return err("the image is not signed");
  if (trailer.readBigUInt64LE(8) !== BigInt(length.value)) return err("the signature is for another length");
  const id = trailer.subarray(16, SIGNED_HEAD_BYTES);
  const key = trusted.find((one) => one.id.equals(id));
  if (key === undefined) return err(`signed with key ${shortKeyName(id)}, which is not trusted here`);
  const signed = bytes.subarray(0, length.value + SIGNED_HEAD_BYTES);
  const signature = trailer.subarray(SIGNED_HEAD_BYTES, SIGNED_HEAD_BYTES + SIGNATURE_BYTES);
  if (!verifies(null, key.key, signed, signature))
    return err("the signature is wrong: the image was changed");
  return ok(key);
}

/** The first bytes of a key's name, for people. */
export function shortKeyName(id: Buffer): string {
  return id.toString("hex", 0, 8);
}
