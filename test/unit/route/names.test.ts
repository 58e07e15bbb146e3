// Classes match by token and without case (semantics section 5): whole, as an ending, as a beginning.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isBelow, NameSet } from "../../../src/route/names.ts";

const names = new NameSet(["Hackenbush.com", ".lab.example", "10.1", "192.168.1"]);

const ENDINGS = [
  { input: "hackenbush.com", expected: "hackenbush.com" },
  { input: "FOO.HACKENBUSH.COM", expected: "hackenbush.com" },
  { input: "xhackenbush.com", expected: null },
  { input: "pc.lab.example", expected: ".lab.example" },
  { input: "lab.example", expected: null },
  { input: "hackenbush.com.org", expected: null },
];

for (const { input, expected } of ENDINGS)
  test(`${input} ends in ${expected}`, () => {
    assert.equal(names.ending(input), expected);
  });

const BEGINNINGS = [
  { input: "10.1", expected: true },
  { input: "10.1.2.3", expected: true },
  { input: "10.12.1.1", expected: false },
  { input: "192.168.11.1", expected: false },
  { input: "192.168.1.99", expected: true },
];

for (const { input, expected } of BEGINNINGS)
  test(`${input} ${expected ? "begins" : "does not begin"} with a member`, () => {
    assert.equal(names.beginning(input), expected);
  });

test("a domain is below itself and its parents, by label", () => {
  assert.ok(isBelow("a.b.c", "B.C"));
  assert.ok(isBelow("b.c", "b.c"));
  assert.ok(!isBelow("xb.c", "b.c"));
  assert.ok(!isBelow("b.c", ""));
});

test("what ends in a member ends in it at a boundary", () => {
  const label = fc.string({ minLength: 1, maxLength: 4, unit: fc.constantFrom(..."ab-1") });
  fc.assert(
    fc.property(fc.array(label, { minLength: 1, maxLength: 5 }), label, (labels, member) => {
      const host = labels.join(".");
      const expected = labels.at(-1) === member;
      assert.equal(new NameSet([member]).ending(host) !== null, expected);
    }),
  );
});
