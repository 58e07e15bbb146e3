// A= of mailers: words first, macros then, each once; what an address brings is data (reliability INJ-02, INJ-04).

import assert from "node:assert/strict";
import { test } from "node:test";
import { expandWord, wordsOf } from "../../../src/deliver/mailerargs.ts";

for (const { args, words } of [
  { args: "TCP $h 587", words: ["TCP", "$h", "587"] },
  { args: "  procmail  -Y\t-a $h -d $u ", words: ["procmail", "-Y", "-a", "$h", "-d", "$u"] },
  { args: 'sh -c "$u && x"', words: ["sh", "-c", "$u && x"] },
  { args: 'a ""', words: ["a", ""] },
  { args: "", words: [] },
])
  test(`words of ${JSON.stringify(args)}`, () => assert.deepEqual(wordsOf(args), words));

const MACROS = new Map([
  ["h", "host.example"],
  ["u", "$h$\u007bh} -x `id`"],
  ["f", ""],
  ["j", "here.example"],
]);
for (const { word, expected } of [
  { word: "$h", expected: "host.example" },
  { word: "[$h]", expected: "[host.example]" },
  { word: "$u", expected: "$h$\u007bh} -x `id`" },
  { word: "$\u007bu}", expected: "$h$\u007bh} -x `id`" },
  { word: "$f", expected: "" },
  { word: "$$h", expected: "$h" },
  { word: "$q", expected: "" },
  { word: "$", expected: "" },
  { word: "$\u007bopen", expected: "" },
])
  test(`expansion of ${word}`, () => assert.equal(expandWord(word, MACROS), expected));
