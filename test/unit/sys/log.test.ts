// Log lines: one call is one line, in order, whatever peers put into them.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { batchedLog, printable } from "../../../src/sys/log.ts";

describe("batchedLog", () => {
  it("writes the lines of one turn together and in order", async () => {
    const written: string[] = [];
    const log = batchedLog((lines) => written.push(lines.map((l) => `${l.text}\n`).join("")), 9);
    log.line(1, "first");
    log.line(10, "not wanted at this level");
    log.line(9, "second");
    assert.deepEqual(written, []);
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    log.line(1, "third");
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    assert.deepEqual(written, ["first\nsecond\n", "third\n"]);
  });

  it("does not wait when much has come", () => {
    const written: string[] = [];
    const log = batchedLog((lines) => written.push(lines.map((l) => `${l.text}\n`).join("")), 9);
    for (let i = 0; i < 1000; i++) log.line(1, "x".repeat(100));
    assert.ok(written.length >= 5, `${written.length} writes`);
  });

  it("never lets a text break its line", () => {
    assert.equal(printable("a\r\nb\0c\x1b[0m"), "a\\015\\012b\\000c\\033[0m");
  });
});
