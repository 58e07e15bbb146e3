// A native test for bytes above 0x7f, which decides whether a message needs 8BITMIME:
// a loop in the program would cost more than the rest of accepting it.

import { isAscii as nativeIsAscii } from "node:buffer";

export function isAscii(bytes: Buffer): boolean {
  return nativeIsAscii(bytes);
}
