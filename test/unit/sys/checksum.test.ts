// The checksum run backwards: the seed that a sum was made with.

import assert from "node:assert/strict";
import { it } from "node:test";
import { crc32, seedOf } from "../../../src/sys/checksum.ts";

it("the seed of a checksum is found from the bytes and the sum", () => {
  for (const seed of [0, 1, 2, 17, 65_536, 0x7fffffff, 0xffffffff])
    for (const text of ["", "a", "twenty-four bytes of it."])
      assert.equal(seedOf(Buffer.from(text), crc32(Buffer.from(text), seed)), seed);
});
