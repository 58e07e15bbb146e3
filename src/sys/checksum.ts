// CRC-32 of the zlib library: finds damage by accident, not by intent
// (records are protected from forgery by their segment's random salt).

import { crc32 as zlibCrc32 } from "node:zlib";

/** CRC-32 of `data`, continued from `seed` (0 to begin). */
export function crc32(data: Buffer, seed: number): number {
  return zlibCrc32(data, seed);
}

const POLYNOMIAL = 0xedb88320;
const TABLE = new Uint32Array(256).map((_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = (value & 1) === 1 ? (value >>> 1) ^ POLYNOMIAL : value >>> 1;
  return value;
});

/** The seed with which crc32(bytes, seed) is `sum`: a checksum of known bytes run backwards. */
export function seedOf(bytes: Buffer, sum: number): number {
  let value = ~sum >>> 0;
  for (let i = bytes.length - 1; i >= 0; i--) {
    // The top byte tells which entry of the table was used, for what was shifted in there is zero.
    const entry = TABLE.findIndex((v) => v >>> 24 === value >>> 24);
    value = (((value ^ (TABLE[entry] ?? 0)) << 8) | (entry ^ (bytes[i] ?? 0))) >>> 0;
  }
  return ~value >>> 0;
}
