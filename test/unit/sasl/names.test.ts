import assert from "node:assert/strict";
import { test } from "node:test";
import { identityOf, saslprep, splitAccount } from "../../../src/sasl/names.ts";

// RFC 4013 section 3.
const PREPARED: readonly { name: string; input: string; expected: string | null }[] = [
  { name: "soft hyphen is mapped to nothing", input: "I\u00ADX", expected: "IX" },
  { name: "no transformation", input: "user", expected: "user" },
  { name: "case is preserved", input: "USER", expected: "USER" },
  { name: "output is NFKC: feminine ordinal", input: "\u00AA", expected: "a" },
  { name: "output is NFKC: roman nine", input: "\u2168", expected: "IX" },
  { name: "prohibited control character", input: "\u0007", expected: null },
  { name: "bidirectional check", input: "\u0627\u0031", expected: null },
  { name: "no-break space is a space", input: "a\u00A0b", expected: "a b" },
  { name: "right-to-left alone is fine", input: "\u0627\u0628", expected: "\u0627\u0628" },
  { name: "right-to-left override", input: "a\u202Eb", expected: null },
  { name: "line separator", input: "a\u2028b", expected: null },
  { name: "tag characters", input: "a\u{E0041}b", expected: null },
];
for (const p of PREPARED)
  test(`SASLprep: ${p.name}`, () => {
    assert.equal(saslprep(p.input), p.expected);
  });

test("user@realm is split at the last at-sign; realms fold, users do not", () => {
  assert.deepEqual(splitAccount("Joe", "Mail.Example.ORG"), { user: "Joe", realm: "mail.example.org" });
  assert.deepEqual(splitAccount("Joe@EXAMPLE.org", "x"), { user: "Joe", realm: "example.org" });
  assert.deepEqual(splitAccount("a@b@c", "x"), { user: "a@b", realm: "c" });
  assert.equal(splitAccount("", "x"), null);
});

test("an identity is bare in the default realm and complete elsewhere", () => {
  assert.equal(identityOf({ user: "joe", realm: "mail.example.org" }, "Mail.example.org"), "joe");
  assert.equal(identityOf({ user: "joe", realm: "example.org" }, "mail.example.org"), "joe@example.org");
});
