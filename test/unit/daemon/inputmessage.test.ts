// What `sendmail` makes of standard input.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readInputMessage } from "../../../src/daemon/inputmessage.ts";

async function read(text: string, ignoreDots: boolean, size: number): Promise<[string, string]> {
  const bytes = Buffer.from(text, "latin1");
  async function* chunks(): AsyncGenerator<Buffer> {
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
  }
  const { header, body } = await readInputMessage(chunks(), ignoreDots);
  const parts: Buffer[] = [];
  for await (const part of body) parts.push(part);
  return [header.toString("latin1"), Buffer.concat(parts).toString("latin1")];
}

const cases: { name: string; input: string; dots?: boolean; header: string; body: string }[] = [
  { name: "LF becomes CRLF", input: "A: b\n\nc\nd\n", header: "A: b\r\n", body: "c\r\nd\r\n" },
  { name: "CRLF stays", input: "A: b\r\n\r\nc\r\n", header: "A: b\r\n", body: "c\r\n" },
  { name: "a dot alone ends the input", input: "A: b\n\nc\n.\nd\n", header: "A: b\r\n", body: "c\r\n" },
  {
    name: "with -i it does not, and is stuffed",
    input: "A: b\n\n.\nd\n",
    dots: true,
    header: "A: b\r\n",
    body: "..\r\nd\r\n",
  },
  {
    name: "leading dots are stuffed once",
    input: "A: b\n\n.x\n..\n",
    header: "A: b\r\n",
    body: "..x\r\n...\r\n",
  },
  {
    name: "a first line that is no header begins the body",
    input: "hello\n\nA: b\n",
    header: "",
    body: "hello\r\n\r\nA: b\r\n",
  },
  {
    name: "continuation lines belong to the header",
    input: "A: b\n c\n\nd\n",
    header: "A: b\r\n c\r\n",
    body: "d\r\n",
  },
  { name: "no end of line at the end", input: "A: b\n\nc", header: "A: b\r\n", body: "c\r\n" },
  {
    name: "bare CR and NUL become blanks",
    input: "A: b\n\nc\rd\0e\n",
    header: "A: b\r\n",
    body: "c d e\r\n",
  },
  {
    name: "bare CR before a dot cannot smuggle an end",
    input: "A: b\n\nx\r.\r\n\r.\rMAIL\n",
    header: "A: b\r\n",
    body: "x .\r\n . MAIL\r\n",
  },
  { name: "no input at all", input: "", header: "", body: "" },
];

describe("readInputMessage", () => {
  for (const c of cases)
    it(`${c.name}, however the input is cut`, async () => {
      for (let size = 1; size <= Math.max(1, c.input.length); size++)
        assert.deepEqual(await read(c.input, c.dots ?? false, size), [c.header, c.body]);
    });

  it("does not hold a line of 10 MB", async () => {
    async function* endless(): AsyncGenerator<Buffer> {
      yield Buffer.from("A: b\n\n.");
      for (let i = 0; i < 160; i++) yield Buffer.alloc(65536, 0x61);
      yield Buffer.from("\n");
    }
    const { body } = await readInputMessage(endless(), true);
    let size = 0;
    let largest = 0;
    for await (const part of body) {
      size += part.length;
      largest = Math.max(largest, part.length);
    }
    assert.equal(size, 160 * 65536 + 2 + 2);
    assert.ok(largest < 300_000, `largest piece ${largest}`);
  });
});
