// Scanning addresses: tokens, tolerance and complaints as Sendmail 8.17.1 was seen to have them; bounded for any bytes.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ADDRESS_TOKENS_MAX } from "../../../src/base/limits.ts";
import { dequote, joinTokens, scanAddress } from "../../../src/mail/address.ts";
import { focus, focusToText } from "../../../src/mail/focus.ts";

const SCANS = [
  { name: "operators are tokens", input: "a.b+c@d", expected: ["a", ".", "b", "+", "c", "@", "d"] },
  { name: "comments go", input: "joe (c (nested)) @x", expected: ["joe", "@", "x"] },
  { name: "a comment separates atoms", input: "x(c)y@z", expected: ["x", "y", "@", "z"] },
  { name: "a quoted string is one token", input: '"a b"@x', expected: ['"a b"', "@", "x"] },
  { name: "a backslash keeps the next character in its atom", input: "\\mick", expected: ["\\mick"] },
  { name: "operators inside quotes are not tokens", input: '"u@x"@y', expected: ['"u@x"', "@", "y"] },
  { name: "nothing", input: "", expected: [] },
];

for (const { name, input, expected } of SCANS)
  test(`scan: ${name}`, () => {
    const scan = scanAddress(input);
    assert.ok(scan.ok);
    assert.deepEqual(scan.value.tokens, expected);
  });

const COMPLAINTS = [
  { input: "<user@dom", expected: "Unbalanced '<'" },
  { input: "a@b>c", expected: "Unbalanced '>'" },
  { input: "a)b", expected: "Unbalanced ')'" },
  { input: "a(b", expected: "Unbalanced '('" },
  { input: 'a"b', expected: "Unbalanced '\"'" },
];

for (const { input, expected } of COMPLAINTS)
  test(`${input} is refused with ${expected}, and repaired where that is asked for`, () => {
    const strict = scanAddress(input);
    assert.ok(!strict.ok);
    assert.deepEqual(strict.error, { code: 553, enhanced: "5.0.0", text: expected });
    const tolerant = scanAddress(input, 0, "", true);
    assert.ok(tolerant.ok);
    assert.equal(tolerant.value.problem?.text, expected);
  });

test("a blank ends an SMTP argument outside of brackets only", () => {
  const scan = scanAddress("<a b@c> SIZE=1", 0, " ");
  assert.ok(scan.ok);
  assert.equal(scan.value.end, 7);
});

test("a comma ends an address in a list, in forgotten brackets too, but not in a source route", () => {
  const ends = ["a@b, c", "<a@b, c@d>", "<@a,@b:c@d>, e"].map((text) => {
    const scan = scanAddress(text, 0, ",", true);
    return scan.ok ? scan.value.end : -1;
  });
  assert.deepEqual(ends, [3, 4, 11]);
});

const DEQUOTED = [
  { input: '"foo"', expected: "foo" },
  { input: '"foo bar"', expected: null },
  { input: '"foo@bar"', expected: "foo@bar" },
  { input: "foo", expected: null },
  { input: '"a(b"', expected: null },
  { input: '""', expected: "" },
  { input: '"a"b', expected: "ab" },
];

for (const { input, expected } of DEQUOTED)
  test(`the dequote map makes ${expected} of ${input}`, () => {
    assert.equal(dequote(input), expected);
  });

const FOCUSES = [
  { input: "user@dom", expected: "user@dom" },
  { input: "Full Name <user@dom>", expected: "user@dom" },
  { input: "@a,@b:user@dom", expected: "user@dom" },
  { input: "user%site", expected: "user@site" },
  { input: "a%b%c", expected: "a%b@c" },
  { input: "a@b@c", expected: "a@b@c" },
  { input: "grp: user@dom;", expected: "user@dom" },
  { input: "<a <b@c> d>", expected: "b@c" },
  { input: "user@[IPv6:::1]", expected: "user@[IPv6:::1]" },
];

for (const { input, expected } of FOCUSES)
  test(`${input} means ${expected}`, () => {
    const scan = scanAddress(input);
    assert.ok(scan.ok);
    assert.equal(focusToText(focus(scan.value.tokens, { uucp: false, percent: true })), expected);
  });

test("host!user is user at host only where UUCP syntax is understood", () => {
  const scan = scanAddress("host!user");
  assert.ok(scan.ok);
  assert.equal(focus(scan.value.tokens, { uucp: true, percent: true }).host, "host.UUCP");
  assert.equal(focus(scan.value.tokens, { uucp: false, percent: true }).host, null);
});

test("any text is scanned without an exception, into no more tokens than the bound", () => {
  const text = fc.oneof(
    fc.string({ maxLength: 3000 }),
    fc.string({ maxLength: 400, unit: fc.constantFrom(...'<>()\\"@:;,.%! ab[]+') }),
  );
  fc.assert(
    fc.property(
      text,
      fc.boolean(),
      fc.constantFrom("" as const, " " as const, "," as const),
      (input, tolerant, end) => {
        const scan = scanAddress(input, 0, end, tolerant);
        if (!scan.ok) return;
        assert.ok(scan.value.tokens.length <= ADDRESS_TOKENS_MAX + 1);
        assert.ok(scan.value.end <= input.length);
        focus(scan.value.tokens, { uucp: true, percent: true });
      },
    ),
    { numRuns: 3000 },
  );
});

test("joining and scanning again gives the same tokens, once blanks are dots", () => {
  const atom = fc.string({ minLength: 1, maxLength: 6, unit: fc.constantFrom(..."abc1-_=") });
  const word = fc.oneof(atom, fc.constantFrom("@", ".", "%", "+", "!"));
  fc.assert(
    fc.property(fc.array(word, { maxLength: 20 }), (words) => {
      const once = joinTokens(words);
      const scan = scanAddress(once);
      assert.ok(scan.ok);
      assert.equal(joinTokens(scan.value.tokens), once);
    }),
  );
});
