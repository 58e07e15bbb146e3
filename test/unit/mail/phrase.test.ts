// What surrounds an address in a header, as Sendmail 8.17.1's /try was seen to keep and quote it.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { crack, recipientList, splitList } from "../../../src/mail/phrase.ts";

/** The new address put in for "$g". */
const SHOWN = [
  { input: "Joe.User <joe@x>", expected: '"Joe.User" <$g>' },
  { input: "O'Brien <joe@x>", expected: '"O\'Brien" <$g>' },
  { input: '"Joe User" <joe@x>', expected: '"Joe User" <$g>' },
  { input: "Joe User <joe@x> (comment)", expected: "Joe User <$g> (comment)" },
  { input: "(c1) joe@x (c2)", expected: "(c1) $g (c2)" },
  { input: "joe@x(c2)", expected: "$g (c2)" },
  { input: "joe (mid) @x", expected: "$g (mid)" },
  { input: "Joe (nick) User <joe@x>", expected: "Joe (nick) User <$g>" },
  { input: "<joe@x>", expected: "<$g>" },
  { input: "<joe@x> Joe", expected: "<$g> Joe" },
  { input: "Joe: User <joe@x>", expected: "Joe: User <$g>" },
  { input: "Joe <a> <joe@x>", expected: '"Joe <a>" <$g>' },
  { input: "Joe   <  joe@x  >", expected: "Joe   <$g>" },
  { input: "Joe@home <joe@x>", expected: '"Joe@home" <$g>' },
  { input: 'Joe \\"J\\" <joe@x>', expected: '"Joe \\\\"J\\\\"" <$g>' },
  { input: "(Joe <x@y>) joe@x", expected: "(Joe <x@y>) $g" },
  { input: "Joe <joe@x", expected: "Joe <$g>" },
  { input: "Jos=E9 [x] <joe@x>", expected: '"Jos=E9 [x]" <$g>' },
  { input: "Group: joe@x", expected: "Group: $g" },
  { input: "@a:joe@x", expected: '"@a":$g' },
];

for (const { input, expected } of SHOWN)
  test(`${input} becomes ${expected}`, () => {
    const parts = crack(input);
    assert.equal(`${parts.before}$g${parts.after}`, expected);
  });

test("a list is split at commas outside of quotes, comments and source routes", () => {
  const pieces = splitList('a@b, "x, y" <c@d> (e, f),<@g,@h:i@j>,<k@l, m@n>');
  assert.deepEqual(
    pieces.map((piece) => piece.trim()),
    ["a@b", '"x, y" <c@d> (e, f)', "<@g,@h:i@j>", "<k@l", "m@n>"],
  );
});

test("any text is split and taken apart without losing or inventing pieces", () => {
  const text = fc.string({ maxLength: 300, unit: fc.constantFrom(..."<>()\\\"@:;,. ab[]'") });
  fc.assert(
    fc.property(text, (input) => {
      const pieces = splitList(input);
      assert.equal(pieces.join(","), input);
      for (const piece of pieces) crack(piece);
    }),
    { numRuns: 2000 },
  );
});

const LISTS: readonly { lists: string[]; old: string[]; modern?: string[] }[] = [
  { lists: ["a@b c@d"], old: ["a@b", "c@d"], modern: ["a@b c@d"] },
  { lists: ["a@b,c@d"], old: ["a@b", "c@d"] },
  { lists: ["  a@b\tc@d  "], old: ["a@b", "c@d"], modern: ["a@b\tc@d"] },
  { lists: ['"x y"@b c@d'], old: ['"x y"@b', "c@d"], modern: ['"x y"@b c@d'] },
  { lists: ['"x \\" y"@b c'], old: ['"x \\" y"@b', "c"], modern: ['"x \\" y"@b c'] },
  { lists: ["a\\ b c"], old: ["a\\ b", "c"], modern: ["a\\ b c"] },
  { lists: ["X Y <a@b>"], old: ["X Y <a@b>"] },
  // Once a list is of the new style the later ones are too.
  { lists: ["a b", "c, d", "e f"], old: ["a", "b", "c", "d", "e f"], modern: ["a b", "c", "d", "e f"] },
  { lists: ["(none)", "", " ", ",,", "(a) (b)"], old: [] },
  { lists: ["a@b (x), (y)"], old: ["a@b (x)"] },
];

for (const { lists, old, modern } of LISTS)
  test(`recipients of ${JSON.stringify(lists)}`, () => {
    assert.deepEqual(recipientList(lists, true), old);
    assert.deepEqual(recipientList(lists, false), modern ?? old);
  });
