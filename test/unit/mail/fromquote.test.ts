// Lines that begin with "From " are quoted wherever the chunks of a body are cut.

import assert from "node:assert/strict";
import { test } from "node:test";
import { FromQuoter } from "../../../src/mail/fromquote.ts";

const CASES = [
  { name: "nothing", text: "", expected: "" },
  { name: "the first line", text: "From me\r\n", expected: ">From me\r\n" },
  { name: "a later line", text: "a\r\nFrom me\r\n", expected: "a\r\n>From me\r\n" },
  { name: "two lines after each other", text: "From \r\nFrom \r\n", expected: ">From \r\n>From \r\n" },
  { name: "not within a line", text: "a From b\r\n>From c\r\n", expected: "a From b\r\n>From c\r\n" },
  { name: "not without its blank", text: "From\r\nFrom:\r\n", expected: "From\r\nFrom:\r\n" },
  { name: "not after a bare line feed", text: "a\nFrom b\r\n", expected: "a\nFrom b\r\n" },
  { name: "an end within the pattern", text: "a\r\nFro", expected: "a\r\nFro" },
  { name: "false starts", text: "\r\n\r\r\nFFrom \r\nFrom x", expected: "\r\n\r\r\nFFrom \r\n>From x" },
];

for (const { name, text, expected } of CASES)
  test(`From lines, ${name}, in every two cuts`, () => {
    for (let a = 0; a <= text.length; a++)
      for (let b = a; b <= text.length; b++) {
        const quoter = new FromQuoter();
        const out = [text.slice(0, a), text.slice(a, b), text.slice(b)].map((s) =>
          quoter.push(Buffer.from(s)),
        );
        out.push(quoter.end());
        assert.equal(Buffer.concat(out).toString(), expected, `cut at ${a} and ${b}`);
      }
  });
