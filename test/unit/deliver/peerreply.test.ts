// Replies of next hops, however their bytes are cut (RFC 5321 4.2, RFC 2034); what is no reply is an error (reliability INJ-09).

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type PeerReply, ReplyParser } from "../../../src/deliver/peerreply.ts";

function parse(text: string, size: number): { replies: PeerReply[]; error: string | null; pending: boolean } {
  const parser = new ReplyParser();
  const replies: PeerReply[] = [];
  const bytes = Buffer.from(text, "latin1");
  for (let at = 0; at < bytes.length; at += size) {
    const error = parser.feed(bytes.subarray(at, at + size), (r) => replies.push(r));
    if (error !== null) return { replies, error, pending: false };
  }
  return { replies, error: null, pending: parser.pending };
}

const TABLE: { name: string; text: string; replies: [number, string, string[]][]; pending?: boolean }[] = [
  { name: "one line", text: "250 ok\r\n", replies: [[250, "", ["ok"]]] },
  { name: "a bare LF ends a line too", text: "250 ok\n", replies: [[250, "", ["ok"]]] },
  { name: "no text", text: "250\r\n", replies: [[250, "", [""]]] },
  { name: "several lines", text: "250-a\r\n250-b\r\n250 c\r\n", replies: [[250, "", ["a", "b", "c"]]] },
  { name: "an enhanced code", text: "550 5.1.1 no\r\n", replies: [[550, "5.1.1", ["5.1.1 no"]]] },
  { name: "an enhanced code alone", text: "250 2.0.0\r\n", replies: [[250, "2.0.0", ["2.0.0"]]] },
  {
    name: "an enhanced code of another class is none",
    text: "550 2.1.5 no\r\n",
    replies: [[550, "", ["2.1.5 no"]]],
  },
  {
    name: "an IP address is no enhanced code",
    text: "550 5.1.1.1 no\r\n",
    replies: [[550, "", ["5.1.1.1 no"]]],
  },
  { name: "the last line's code counts", text: "450-a\r\n550 b\r\n", replies: [[550, "", ["a", "b"]]] },
  {
    name: "the last line's enhanced code counts",
    text: "550-2.0.0 almost\r\n550 5.7.1 no\r\n",
    replies: [[550, "5.7.1", ["2.0.0 almost", "5.7.1 no"]]],
  },
  {
    name: "the first line's enhanced code counts when the last has none",
    text: "550-5.7.1 no\r\n550 see our page\r\n",
    replies: [[550, "5.7.1", ["5.7.1 no", "see our page"]]],
  },
  {
    name: "two replies",
    text: "250 a\r\n354 b\r\n",
    replies: [
      [250, "", ["a"]],
      [354, "", ["b"]],
    ],
  },
  {
    name: "a tab becomes a blank, other controls and 8-bit bytes a question mark",
    text: "250 a\tb\x1bc\xe9\r\n",
    replies: [[250, "", ["a b?c?"]]],
  },
  { name: "an unfinished reply waits", text: "250-a\r\n250", replies: [], pending: true },
];

for (const { name, text, replies, pending } of TABLE)
  test(name, () => {
    for (const size of [1, 2, 3, 7, 10_000]) {
      const got = parse(text, size);
      assert.equal(got.error, null);
      assert.deepEqual(
        got.replies.map((r) => [r.code, r.enhanced, r.lines]),
        replies,
      );
      assert.equal(got.pending, pending ?? false);
    }
  });

for (const [name, text] of [
  ["letters in the code", "2x0 ok\r\n"],
  ["a code above 599", "600 ok\r\n"],
  ["a code below 200", "199 ok\r\n"],
  ["no code", "hello\r\n"],
  ["an empty line", "\r\n"],
  ["a fourth digit", "2500 ok\r\n"],
  ["a line without end", `250 ${"x".repeat(5000)}`],
  ["lines without end", "250-x\r\n".repeat(201)],
])
  test(`no reply: ${name}`, () => {
    assert.notEqual(parse(text ?? "", 10_000).error, null);
    assert.notEqual(parse(text ?? "", 1).error, null);
  });

test("any bytes are either replies of printable text or an error, alike for every cut", () => {
  fc.assert(
    fc.property(
      fc.string({
        unit: fc.constantFrom("2", "5", "0", " ", "-", "\r", "\n", "\0", "\xff", "a"),
        maxLength: 60,
      }),
      fc.integer({ min: 1, max: 20 }),
      (text, size) => {
        const whole = parse(text, 10_000);
        const cut = parse(text, size);
        assert.deepEqual(cut.replies, whole.replies);
        assert.equal(cut.error === null, whole.error === null);
        for (const r of whole.replies) for (const line of r.lines) assert.match(line, /^[\x20-\x7e]*$/);
      },
    ),
    { numRuns: 3000, seed: 20261122 },
  );
});
