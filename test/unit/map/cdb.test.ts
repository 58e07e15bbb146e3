// Constant databases: read and written by Debian's tinycdb as by us, damage never read as "no entry", looked up in place.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import type { Lookup } from "../../../src/base/result.ts";
import { type Entries, readDatabase, writeDatabase } from "../../../src/map/build.ts";
import { berkeleyKind, CdbFile, cdbHash } from "../../../src/map/cdb.ts";
import { makemap, parseMakemapArguments } from "../../../src/map/makemap.ts";
import { openForReading } from "../../../src/sys/files.ts";

const root = mkdtempSync(join(tmpdir(), "postern-cdb-"));
after(() => rmSync(root, { recursive: true, force: true }));

const TINYCDB = spawnSync("cdb", ["-h"]).error === undefined;
const withTinycdb = { skip: TINYCDB ? false : "Debian package tinycdb is not installed" };

function open(path: string): CdbFile {
  const file = openForReading(path);
  assert.equal(file.kind, "found");
  if (file.kind !== "found") throw new Error("not reached");
  const opened = CdbFile.open(path, file.value);
  if (!opened.ok) file.value.close();
  assert.ok(opened.ok, opened.ok ? "" : opened.error);
  if (!opened.ok) throw new Error("not reached");
  return opened.value;
}

function text(answer: Lookup<Buffer>): string {
  return answer.kind === "found" ? answer.value.toString("latin1") : answer.kind;
}

const bytes = fc.uint8Array({ maxLength: 600 }).map((a) => Buffer.from(a).toString("latin1"));

test("cdb: the hash function gives the values of the format's definition", () => {
  assert.equal(cdbHash(Buffer.from("")), 5381);
  assert.equal(cdbHash(Buffer.from("a")), ((5381 * 33) ^ 97) >>> 0);
});

test("cdb: what is written is found, what is not is absent, records come in order", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(bytes, bytes), { maxLength: 60 }), bytes, (pairs, other) => {
      const path = join(root, "prop.db");
      const entries: Entries = new Map();
      for (const [key, value] of pairs) entries.set(key, [...(entries.get(key) ?? []), value]);
      assert.ok(writeDatabase(path, entries).ok);
      const file = open(path);
      for (const [key, values] of entries)
        assert.equal(text(file.find(Buffer.from(key, "latin1"))), values[0]);
      if (!entries.has(other)) assert.equal(file.find(Buffer.from(other, "latin1")).kind, "absent");
      file.close();
      assert.deepEqual(readDatabase(path), { kind: "found", value: entries });
    }),
    { numRuns: 60 },
  );
});

test("cdb: tinycdb reads our files: dump, statistics, query", withTinycdb, () => {
  const path = join(root, "ours.db");
  const entries: Entries = new Map([
    ["a", ["1"]],
    ["key with blanks", ["value\twith tab"]],
    ["\xff\x01", ["\n"]],
    ["empty", [""]],
    ["long", ["v".repeat(100_000)]],
  ]);
  for (let i = 0; i < 5000; i++) entries.set(`user${i}@example.com`, [`box${i}`]);
  assert.ok(writeDatabase(path, entries).ok);
  const dumped = execFileSync("cdb", ["-d", path], { maxBuffer: 1 << 26 }).toString("latin1");
  const expected = [...entries].map(([k, [v = ""]]) => `+${k.length},${v.length}:${k}->${v}\n`).join("");
  assert.equal(dumped, `${expected}\n`);
  for (const key of ["a", "key with blanks", "long", "user4999@example.com"])
    assert.equal(execFileSync("cdb", ["-q", path, key]).toString("latin1"), entries.get(key)?.[0]);
  assert.equal(spawnSync("cdb", ["-q", path, "nobody"]).status, 100);
  assert.match(execFileSync("cdb", ["-s", path]).toString(), /number of records: 5005/);
});

test("cdb: we read tinycdb's files", withTinycdb, () => {
  const path = join(root, "theirs.db");
  let input = "";
  for (let i = 0; i < 3000; i++) input += `k${i} value ${i}\n`;
  execFileSync("cdb", ["-c", "-m", path], { input });
  const file = open(path);
  for (let i = 0; i < 3000; i++) assert.equal(text(file.find(Buffer.from(`k${i}`))), `value ${i}`);
  for (let i = 3000; i < 6000; i++) assert.equal(file.find(Buffer.from(`k${i}`)).kind, "absent");
  file.close();
});

test("cdb: a file cut off at any length is refused or answers right, never wrongly absent", () => {
  const path = join(root, "cut.db");
  const entries: Entries = new Map();
  for (let i = 0; i < 40; i++) entries.set(`k${i}`, [`v${i}`]);
  writeDatabase(path, entries);
  const whole = readFileSync(path);
  for (let length = 0; length < whole.length; length += 7) {
    writeFileSync(path, whole.subarray(0, length));
    const file = openForReading(path);
    assert.equal(file.kind, "found");
    if (file.kind !== "found") continue;
    assert.equal(CdbFile.open(path, file.value).ok, false, `${length} bytes`);
    file.value.close();
  }
});

test("cdb: a file with any bytes changed is read without an exception and in bounded time", () => {
  const path = join(root, "bent.db");
  const entries: Entries = new Map();
  for (let i = 0; i < 30; i++) entries.set(`k${i}`, [`v${i}`]);
  writeDatabase(path, entries);
  const whole = readFileSync(path);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 12 }),
      (changes) => {
        const bent = Buffer.from(whole);
        for (const [at, value] of changes) bent[at] = value;
        writeFileSync(path, bent);
        const file = openForReading(path);
        if (file.kind !== "found") return;
        const opened = CdbFile.open(path, file.value);
        if (!opened.ok) return file.value.close();
        for (let i = 0; i < 30; i++) opened.value.find(Buffer.from(`k${i}`));
        opened.value.close();
        readDatabase(path);
      },
    ),
    { numRuns: 300 },
  );
});

test("cdb: any file of any bytes is refused or read without an exception", () => {
  const path = join(root, "noise.db");
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 6000, size: "max" }), (noise) => {
      writeFileSync(path, noise);
      const read = readDatabase(path);
      assert.notEqual(read.kind, "absent");
    }),
    { numRuns: 100 },
  );
});

test("cdb: Berkeley databases are known by their magic numbers", () => {
  for (const [magic, kind] of [
    [0x061561, "hash"],
    [0x053162, "btree"],
  ] as const)
    for (const at of [0, 12])
      for (const bigEndian of [false, true]) {
        const head = Buffer.alloc(64);
        if (bigEndian) head.writeUInt32BE(magic, at);
        else head.writeUInt32LE(magic, at);
        assert.equal(berkeleyKind(head), kind);
      }
  assert.equal(berkeleyKind(Buffer.alloc(4096)), null);
});

test("cdb: a table of 200,000 lines compiles in seconds and is looked up in place", async (t) => {
  const path = join(root, "large");
  const source = join(root, "large.txt");
  const count = 200_000;
  const fd = openSync(source, "w");
  for (let i = 0; i < count; i += 1000) {
    let lines = "";
    for (let j = i; j < i + 1000; j++)
      lines += `user${j}@dom${j % 977}.example\tmailbox${j}@internal.example\n`;
    writeSync(fd, lines);
  }
  closeSync(fd);
  const request = parseMakemapArguments(["hash", path]);
  assert.ok(request.ok);
  if (!request.ok) return;
  const input = readFileSync(source);
  async function* pieces(): AsyncGenerator<Buffer> {
    for (let at = 0; at < input.length; at += 65536) yield input.subarray(at, at + 65536);
  }
  const silent = { out: () => undefined, err: () => undefined };
  const begun = performance.now();
  assert.equal(await makemap(request.value, pieces(), silent), 0);
  const built = performance.now() - begun;

  global.gc?.();
  const before = process.memoryUsage();
  const opening = performance.now();
  const file = open(`${path}.db`);
  assert.equal(text(file.find(Buffer.from("user777@dom777.example"))), "mailbox777@internal.example");
  const cold = performance.now() - opening;
  const warm = performance.now();
  const lookups = 20_000;
  for (let i = 0; i < lookups; i++) {
    const j = (i * 7919) % count;
    assert.equal(
      text(file.find(Buffer.from(`user${j}@dom${j % 977}.example`))),
      `mailbox${j}@internal.example`,
    );
  }
  const hit = (performance.now() - warm) / lookups;
  const missing = performance.now();
  for (let i = 0; i < lookups; i++)
    assert.equal(file.find(Buffer.from(`nobody${i}@example.org`)).kind, "absent");
  const miss = (performance.now() - missing) / lookups;
  const after = process.memoryUsage();
  const held = after.arrayBuffers - before.arrayBuffers;
  const resident = after.rss - before.rss;
  file.close();
  t.diagnostic(
    `200,000 lines built in ${built.toFixed(0)} ms; open and first lookup ${cold.toFixed(2)} ms; ` +
      `hit ${(hit * 1000).toFixed(1)} us, miss ${(miss * 1000).toFixed(1)} us; resident memory of 40,001 lookups ${(resident / 1048576).toFixed(1)} MB more`,
  );
  assert.ok(built < 20_000, `built in ${built} ms`);
  assert.ok(held < 8 * 1024 * 1024, `${held} bytes held`);
});
