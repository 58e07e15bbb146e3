// A native test for bytes above 0x7f: a loop in the program would cost more than the rest of accepting a message.

import { isAscii as nativeIsAscii } from "node:buffer";

export function isAscii(bytes: Buffer): boolean {
  return nativeIsAscii(bytes);
}
