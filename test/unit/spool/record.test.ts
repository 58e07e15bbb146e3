// Records of the log: what is written is read back, and nothing that was damaged, recycled or forged is taken for a record
// (reliability.md CR-06).

import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import {
  decodeSegmentHead,
  draftOf,
  encodeRecord,
  encodeSegmentHead,
  RECORD,
  SEGMENT_HEAD_BYTES,
  scanSegment,
} from "../../../src/spool/record.ts";

const SALT = Buffer.from("0123456789abcdef", "hex");
const EPOCH = 7;

function segmentOf(batches: readonly (readonly string[])[], size = 16_384): Buffer {
  const pieces: Buffer[] = [encodeSegmentHead({ epoch: EPOCH, tail: 5, salt: SALT, bytes: size })];
  for (const [i, batch] of batches.entries())
    for (const text of batch)
      encodeRecord(draftOf(RECORD.outcome, [Buffer.from(text)]), { salt: SALT, epoch: EPOCH }, i + 1, pieces);
  const segment = Buffer.alloc(size);
  Buffer.concat(pieces).copy(segment);
  return segment;
}

function textsOf(segment: Buffer): string[] {
  return scanSegment(segment, SALT, EPOCH).items.flatMap((i) =>
    i.kind === "record" ? [i.payload.toString()] : [],
  );
}

function damagesOf(segment: Buffer): { reason: string; last: boolean }[] {
  return scanSegment(segment, SALT, EPOCH).items.flatMap((i) =>
    i.kind === "damaged" ? [{ reason: i.reason, last: i.last }] : [],
  );
}

test("records are read back in order, with their batch", () => {
  const segment = segmentOf([["one", ""], ["three"]]);
  assert.deepEqual(textsOf(segment), ["one", "", "three"]);
  assert.equal(scanSegment(segment, SALT, EPOCH).batch, 2);
  assert.deepEqual(damagesOf(segment), []);
});

test("a segment's head is read from either of its copies, and from none when both are damaged", () => {
  const head = encodeSegmentHead({ epoch: 3, tail: 2, salt: SALT, bytes: 4096 });
  assert.equal(decodeSegmentHead(head)?.epoch, 3);
  head[20] = (head[20] ?? 0) ^ 1;
  assert.equal(decodeSegmentHead(head)?.epoch, 3);
  head[2048 + 20] = (head[2048 + 20] ?? 0) ^ 1;
  assert.equal(decodeSegmentHead(head), null);
});

test("every flipped bit of a record costs that record and no other, and never changes a payload", () => {
  const body = "x".repeat(540);
  const clean = segmentOf([["before"], [body], ["after"]]);
  const start = SEGMENT_HEAD_BYTES + 48;
  const end = clean.indexOf(SALT, start + 1);
  let checked = 0;
  for (let bit = start * 8; bit < end * 8; bit++) {
    const segment = Buffer.from(clean);
    segment[bit >> 3] = (segment[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    const texts = textsOf(segment);
    checked++;
    assert.equal(texts[0], "before");
    assert.equal(texts.at(-1), "after");
    // Padding is not covered by a checksum and carries nothing.
    if (texts.length === 3) assert.equal(texts[1], body);
    else assert.equal(damagesOf(segment).length, 1);
  }
  assert.ok(checked > 4600);
});

test("every truncation leaves the whole records and at most one damaged one", () => {
  const clean = segmentOf([["first"], ["second ".repeat(20)]]);
  const { end } = scanSegment(clean, SALT, EPOCH);
  for (let length = SEGMENT_HEAD_BYTES; length <= end; length++) {
    const segment = Buffer.alloc(clean.length);
    clean.copy(segment, 0, 0, length);
    const texts = textsOf(segment);
    assert.ok(texts.every((text) => ["first", "second ".repeat(20)].includes(text)));
    assert.ok(damagesOf(segment).length <= 1);
  }
});

const DAMAGE: readonly { name: string; change: (segment: Buffer, at: number, length: number) => void }[] = [
  { name: "zeroed", change: (s, at, n) => s.fill(0, at, at + n) },
  { name: "all ones", change: (s, at, n) => s.fill(0xff, at, at + n) },
  { name: "with its payload zeroed", change: (s, at, n) => s.fill(0, at + 32, at + n) },
  { name: "with its tail zeroed", change: (s, at, n) => s.fill(0, at + n - 16, at + n) },
];

for (const { name, change } of DAMAGE) {
  test(`a record ${name} in the middle is reported, the others are read`, () => {
    const segment = segmentOf([["one"], ["two".repeat(100)], ["three"], ["four"]]);
    const at = SEGMENT_HEAD_BYTES + 40;
    const length = segment.indexOf(SALT, at + 1) - at;
    change(segment, at, length);
    assert.deepEqual(textsOf(segment), ["one", "three", "four"]);
    const damages = damagesOf(segment);
    assert.equal(damages.length, 1);
    assert.equal(damages[0]?.last, false);
  });
}

test("a record cut off at the end of the log is told apart from damage in the middle", () => {
  const segment = segmentOf([["one"], ["two".repeat(200)]]);
  const at = segment.indexOf(SALT, SEGMENT_HEAD_BYTES + 8);
  segment.fill(0, at + 300);
  assert.deepEqual(
    damagesOf(segment).map((d) => d.last),
    [true],
  );
});

test("records of the segment's earlier life are dead", () => {
  const old: Buffer[] = [];
  encodeRecord(draftOf(RECORD.outcome, [Buffer.from("old")]), { salt: Buffer.alloc(8, 9), epoch: 2 }, 1, old);
  const segment = segmentOf([["new"]]);
  Buffer.concat(old).copy(segment, SEGMENT_HEAD_BYTES + 40);
  assert.deepEqual(textsOf(segment), ["new"]);
  assert.deepEqual(damagesOf(segment), []);
});

test("a record inside a message body is not found, even behind damage, without the segment's salt", () => {
  const forged: Buffer[] = [];
  encodeRecord(
    draftOf(RECORD.finish, [Buffer.from("forged")]),
    { salt: Buffer.alloc(8, 1), epoch: EPOCH },
    9,
    forged,
  );
  const pieces: Buffer[] = [encodeSegmentHead({ epoch: EPOCH, tail: 5, salt: SALT, bytes: 8192 })];
  encodeRecord(draftOf(RECORD.accept, [Buffer.alloc(4), ...forged]), { salt: SALT, epoch: EPOCH }, 1, pieces);
  encodeRecord(draftOf(RECORD.accept, [Buffer.from("next")]), { salt: SALT, epoch: EPOCH }, 2, pieces);
  const segment = Buffer.alloc(8192);
  Buffer.concat(pieces).copy(segment);
  segment[SEGMENT_HEAD_BYTES + 10] = 99;
  assert.deepEqual(textsOf(segment), ["next"]);
});

test("a record of another format version is kept apart with its version as the reason", () => {
  const pieces: Buffer[] = [encodeSegmentHead({ epoch: EPOCH, tail: 5, salt: SALT, bytes: 8192 })];
  encodeRecord(draftOf(RECORD.accept, [Buffer.from("message")]), { salt: SALT, epoch: EPOCH }, 1, pieces);
  const record = Buffer.concat(pieces);
  record.writeUInt16LE(9, SEGMENT_HEAD_BYTES + 14);
  // Whoever wrote version 9 also wrote a fitting checksum of the head.
  const head = record.subarray(SEGMENT_HEAD_BYTES, SEGMENT_HEAD_BYTES + 24);
  record.writeUInt32LE(crc32(head, EPOCH), SEGMENT_HEAD_BYTES + 24);
  const segment = Buffer.alloc(8192);
  record.copy(segment);
  assert.match(damagesOf(segment)[0]?.reason ?? "", /format version 9/);
});
