// The file of a large message: what it was given is in it, byte for byte, and the memory that came with it is free at once;
// memory that somebody else may still read is left alone.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { crc32 } from "node:zlib";
import { BodyFile, MemoryBody } from "../../../src/spool/body.ts";
import { letGo } from "../../../src/sys/heap.ts";
import { SimDisk } from "../../sim/disk.ts";

const CHUNK_BYTES = 64 * 1024;

/** Own memory, filled with what tells one chunk from the next. */
function chunkOf(fill: number): Buffer<ArrayBuffer> {
  return Buffer.from(new ArrayBuffer(CHUNK_BYTES)).fill(fill);
}

async function newFile(): Promise<{ readonly file: BodyFile; readonly content: () => Promise<Buffer> }> {
  const disk = new SimDisk();
  const made = await disk.makeFolder("/queue/body");
  assert.ok(made.ok);
  const opened = await disk.open("/queue/body/000001", "create");
  assert.ok(opened.ok);
  const file = new BodyFile("/queue/body/000001", 1, opened.value, false, 0);
  return {
    file,
    content: async () => {
      const got = await opened.value.read(0, 100 * CHUNK_BYTES);
      assert.ok(got.ok);
      return Buffer.from(got.value);
    },
  };
}

describe("the file of a large message", () => {
  it("has every byte of the chunks that it was given, which have none afterwards", async () => {
    const { file, content } = await newFile();
    const chunks = [1, 2, 3, 4, 5, 6, 7, 8, 9].map(chunkOf);
    const expected = Buffer.concat(chunks);
    for (const chunk of chunks) await file.give(chunk);
    assert.ok((await file.settle()).ok);
    assert.equal(file.size, expected.length);
    assert.equal(file.sum, crc32(expected));
    assert.deepEqual(
      chunks.map((chunk) => chunk.length),
      chunks.map(() => 0),
    );
    assert.ok(expected.equals(await content()));
  });

  it("leaves the chunks that it was only shown", async () => {
    const { file, content } = await newFile();
    const chunk = chunkOf(7);
    await file.put(chunk);
    assert.ok((await file.settle()).ok);
    assert.ok(chunk.equals(chunkOf(7)));
    assert.ok(chunk.equals(await content()));
  });

  it("leaves a slice of what arrived together with the header: the header is read from the same memory later", async () => {
    const { file, content } = await newFile();
    const arrived = chunkOf(7);
    arrived.write("Subject: x\r\n\r\n", 0, "latin1");
    const header = arrived.subarray(0, 12);
    await file.give(arrived.subarray(14));
    assert.ok((await file.settle()).ok);
    assert.equal(header.toString("latin1"), "Subject: x\r\n");
    assert.equal((await content()).length, CHUNK_BYTES - 14);
  });
});

describe("a body in memory", () => {
  it("is freed when it has left, and not before, nor while it is sent again", () => {
    const chunk = chunkOf(3);
    const body = new MemoryBody([chunk], { eightBit: false, lineMax: 0 });
    body.free();
    assert.equal(chunk.length, CHUNK_BYTES, "nobody has said that it left");
    body.leaving(false);
    body.leaving(true);
    body.free();
    assert.equal(chunk.length, CHUNK_BYTES, "it is on its way");
    body.leaving(false);
    body.free();
    assert.equal(chunk.length, 0);
  });
});

describe("letGo", () => {
  it("leaves small buffers, which share Node's pool with others", () => {
    const one = Buffer.from("one");
    const other = Buffer.from("other");
    letGo(one);
    assert.equal(one.toString(), "one");
    assert.equal(other.toString(), "other");
  });
});
