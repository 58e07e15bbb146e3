// CRC-32 of the zlib library: finds damage by accident, not by intent
// (records are protected from forgery by their segment's random salt).

import { crc32 as zlibCrc32 } from "node:zlib";

/** CRC-32 of `data`, continued from `seed` (0 to begin). */
export function crc32(data: Buffer, seed: number): number {
  return zlibCrc32(data, seed);
}
