// What leaves is CRLF lines of bounded length with stuffed dots, whatever came in and however it was cut.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LineGuard } from "../../../src/deliver/lineguard.ts";

function pass(input: Buffer, max: number, stuffed: boolean, cuts: readonly number[]): Buffer {
  const guard = new LineGuard(max, stuffed);
  const out: Buffer[] = [];
  let at = 0;
  for (const cut of [...cuts].sort((a, b) => a - b).filter((c) => c <= input.length)) {
    if (cut > at) out.push(guard.push(input.subarray(at, cut)));
    at = Math.max(at, cut);
  }
  out.push(guard.push(input.subarray(at)), guard.end());
  return Buffer.concat(out);
}

const x = (n: number): string => "x".repeat(n);

// Semantics section 18: a line over L= is cut with "!" and goes on after a blank; smuggling sequences of reliability SMUG-01..12.
const TABLE: { name: string; input: string; max?: number; stuffed?: boolean; expected: string }[] = [
  { name: "clean text is untouched", input: "a\r\nb\r\n", expected: "a\r\nb\r\n" },
  { name: "an empty body stays empty", input: "", expected: "" },
  { name: "a missing last CRLF is added", input: "a\r\nb", expected: "a\r\nb\r\n" },
  { name: "a stuffed dot passes", input: "..\r\n..a\r\n", expected: "..\r\n..a\r\n" },
  { name: "an unstuffed lone dot is stuffed", input: "a\r\n.\r\nb\r\n", expected: "a\r\n..\r\nb\r\n" },
  { name: "an unstuffed dot word is stuffed", input: ".a\r\n", expected: "..a\r\n" },
  {
    name: "header dots are stuffed",
    input: ".x: y\r\n..\r\n",
    stuffed: false,
    expected: "..x: y\r\n...\r\n",
  },
  { name: "SMUG-01 LF.LF", input: "a\n.\nb\r\n", expected: "a . b\r\n" },
  { name: "SMUG-02 LF.CR", input: "a\n.\rb\r\n", expected: "a . b\r\n" },
  { name: "SMUG-03 CR.LF", input: "a\r.\nb\r\n", expected: "a . b\r\n" },
  { name: "SMUG-05 LF.CRLF", input: "a\n.\r\nb\r\n", expected: "a .\r\nb\r\n" },
  { name: "SMUG-06 CR.CRLF", input: "a\r.\r\nb\r\n", expected: "a .\r\nb\r\n" },
  { name: "SMUG-07 CRLF.LF", input: "a\r\n.\nb\r\n", expected: "a\r\n.. b\r\n" },
  { name: "SMUG-09 CRLF.CRCRLF", input: "a\r\n.\r\r\nb\r\n", expected: "a\r\n.. \r\nb\r\n" },
  { name: "SMUG-10 CRCRLF.CRCRLF", input: "a\r\r\n.\r\r\nb\r\n", expected: "a \r\n.. \r\nb\r\n" },
  { name: "SMUG-11 NUL before the dot", input: "a\r\n\0.\r\nb\r\n", expected: "a\r\n .\r\nb\r\n" },
  { name: "SMUG-12 NUL after the dot", input: "a\r\n.\0\r\nb\r\n", expected: "a\r\n.. \r\nb\r\n" },
  { name: "a line of exactly L= passes", input: `${x(990)}\r\n`, expected: `${x(990)}\r\n` },
  { name: "a line over L= is cut", input: `${x(991)}\r\n`, expected: `${x(989)}!\r\n ${x(2)}\r\n` },
  {
    name: "a long line is cut again and again",
    input: `${x(3000)}\r\n`,
    expected: `${x(989)}!\r\n ${x(988)}!\r\n ${x(988)}!\r\n ${x(35)}\r\n`,
  },
  { name: "no limit, no cut", input: `${x(5000)}\r\n`, max: 0, expected: `${x(5000)}\r\n` },
  { name: "the stuffed dot is no content", input: `..${x(989)}\r\n`, expected: `..${x(989)}\r\n` },
];

for (const { name, input, max = 990, stuffed = true, expected } of TABLE)
  test(`${name}, whole and byte by byte`, () => {
    const bytes = Buffer.from(input, "latin1");
    assert.equal(pass(bytes, max, stuffed, []).toString("latin1"), expected);
    const every = Array.from({ length: bytes.length }, (_, i) => i + 1);
    for (const cut of every)
      assert.ok(pass(bytes, max, stuffed, [cut]).toString("latin1") === expected, `cut at ${cut}`);
    assert.ok(pass(bytes, max, stuffed, every).toString("latin1") === expected, "byte by byte");
  });

test("whatever comes in, nothing but bounded CRLF lines leaves, and never a lone dot", () => {
  const piece = fc.constantFrom("\r", "\n", ".", "\0", "a", "\r\n", "\r\n.", "\xff", x(30));
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 60 }),
      fc.array(fc.nat(400), { maxLength: 8 }),
      fc.boolean(),
      (parts, cuts, stuffed) => {
        const input = Buffer.from(parts.join(""), "latin1");
        const out = pass(input, 40, stuffed, cuts).toString("latin1");
        assert.ok(out === pass(input, 40, stuffed, []).toString("latin1"), "cuts change nothing");
        assert.doesNotMatch(out, /\r(?!\n)|(?<!\r)\n|\0/);
        for (const line of out.split("\r\n")) {
          assert.ok(line.length <= 41, `${line.length}`);
          assert.doesNotMatch(line, /^\.(?!\.)/);
        }
        if (out !== "") assert.ok(out.endsWith("\r\n"));
      },
    ),
    { numRuns: 3000, seed: 20261122 },
  );
});
