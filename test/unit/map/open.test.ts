// Opening tables: which file answers, what is noticed while the gateway runs, and that nothing broken reads as "no entry".

import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { MapSpec } from "../../../src/config/configuration.ts";
import { aliasSpec, openAliases } from "../../../src/map/aliases.ts";
import { writeDatabase } from "../../../src/map/build.ts";
import { parseClassFile, readClassFile } from "../../../src/map/classfile.ts";
import { buildAliases } from "../../../src/map/newaliases.ts";
import { type OpenTable, openTable } from "../../../src/map/open.ts";
import { listAliases } from "../../../src/map/praliases.ts";
import { TRUST_NOTHING } from "../../../src/safefile/check.ts";
import type { Clock } from "../../../src/sys/clock.ts";

const root = mkdtempSync(join(tmpdir(), "postern-open-"));
after(() => rmSync(root, { recursive: true, force: true }));

let nowMs = 0;
const clock: Clock = { monotonicMs: () => nowMs, wallMs: () => nowMs, after: () => () => undefined };

function spec(path: string, change: Partial<MapSpec> = {}): MapSpec {
  return { type: "hash", path, optional: false, tempfail: true, caseSensitive: false, flags: [], ...change };
}

function answer(table: OpenTable, key: string): string {
  const value = table.lookup(key);
  return value.kind === "found" ? value.value : value.kind === "absent" ? "-" : `! ${value.reason}`;
}

function build(path: string, entries: Readonly<Record<string, string>>): void {
  const map = new Map(Object.entries(entries).map(([key, value]) => [key, [value]]));
  assert.ok(writeDatabase(`${path}.db`, map).ok);
}

test("open: a replaced database is noticed within a second, an open one outlives its name", () => {
  const path = join(root, "replaced");
  build(path, { a: "1" });
  const table = openTable(spec(path), clock);
  assert.equal(answer(table, "A"), "1");
  build(path, { a: "2" });
  assert.equal(answer(table, "a"), "1");
  nowMs += 1000;
  assert.equal(answer(table, "a"), "2");
  rmSync(`${path}.db`);
  nowMs += 1000;
  assert.equal(answer(table, "a"), "2");
  build(path, { a: "3" });
  nowMs += 1000;
  assert.equal(answer(table, "a"), "3");
  table.close();
  assert.match(answer(table, "a"), /^! .*closed/);
});

test("open: a damaged database is a tempfail with its name, and recovers", () => {
  const path = join(root, "damaged");
  build(path, { a: "1" });
  writeFileSync(path, "a text\n");
  const table = openTable(spec(path), clock);
  assert.equal(answer(table, "a"), "1");
  writeFileSync(`${path}.db.other`, "x".repeat(100));
  renameSync(`${path}.db.other`, `${path}.db`);
  nowMs += 1000;
  assert.match(answer(table, "a"), /^! .*damaged\.db is not a constant database/);
  assert.match(answer(table, "nobody"), /^! /);
  build(path, { a: "4" });
  nowMs += 1000;
  assert.equal(answer(table, "a"), "4");
  table.close();
});

test("open: without a database the text is read, and read again when it changes", () => {
  const path = join(root, "plain");
  writeFileSync(path, "A 1\nb\n");
  const table = openTable(spec(path), clock);
  assert.equal(answer(table, "a"), "1");
  assert.equal(answer(table, "b"), "-");
  assert.ok(table.notices().some((line) => line.endsWith("line 2: no RHS for LHS b")));
  writeFileSync(path, "a 2 \nb 3\n");
  utimesSync(path, 1000, 1000);
  nowMs += 1000;
  assert.equal(answer(table, "a"), "2 ");
  build(path, { a: "from the database" });
  nowMs += 1000;
  assert.equal(answer(table, "a"), "from the database");
  table.close();
});

test("open: a missing file is empty when optional, else a tempfail; it may come later", () => {
  const path = join(root, "later");
  const optional = openTable(spec(path, { optional: true }), clock);
  const wanted = openTable(spec(path), clock);
  assert.equal(answer(optional, "a"), "-");
  assert.equal(
    answer(wanted, "a"),
    `! hash map "later": missing map file ${path}.db: No such file or directory`,
  );
  build(path, { a: "1" });
  nowMs += 1000;
  assert.equal(answer(optional, "a"), "1");
  assert.equal(answer(wanted, "a"), "1");
  optional.close();
  wanted.close();
});

test("open: an old Berkeley database gives way to its text, without text it is a tempfail", () => {
  const path = join(root, "berkeley");
  const old = Buffer.alloc(8192);
  old.writeUInt32LE(0x061561, 12);
  writeFileSync(`${path}.db`, old);
  const table = openTable(spec(path), clock);
  assert.match(answer(table, "a"), /^! .*Berkeley database \(hash\).*there is no /);
  writeFileSync(path, "a text\n");
  nowMs += 1000;
  assert.equal(answer(table, "a"), "text");
  table.close();
});

test("open: a database older than its text stays in use, and says so", () => {
  const path = join(root, "stale");
  build(path, { a: "old" });
  writeFileSync(path, "a new\n");
  utimesSync(path, 4e9, 4e9);
  const table = openTable(spec(path), clock);
  assert.equal(answer(table, "a"), "old");
  assert.match(table.notices().join(), /is older than/);
  table.close();
});

test("open: -f, -m, -a, -N and -O", () => {
  const path = join(root, "flags");
  build(path, { Aa: "case", aa: "folded", "nul\0": "marked\0" });
  const cases: readonly [Partial<MapSpec>, string, string][] = [
    [{}, "AA", "folded"],
    [{ caseSensitive: true }, "Aa", "case"],
    [{ caseSensitive: true }, "AA", "-"],
    [{ flags: ["-m"] }, "aa", "aa"],
    [{ flags: ["-a."] }, "aa", "folded."],
    [{}, "nul", "marked"],
    [{ flags: ["-N"] }, "nul", "marked"],
    [{ flags: ["-N"] }, "aa", "-"],
    [{ flags: ["-O"] }, "nul", "-"],
    [{ type: "btree", path: `${path}.db` }, "aa", "folded"],
    [{ type: "null" }, "aa", "-"],
    [{ type: "ldap" }, "aa", "! map type ldap is not in this build"],
  ];
  for (const [change, key, expected] of cases) {
    const table = openTable(spec(path, change), clock);
    assert.equal(answer(table, key), expected, JSON.stringify([change, key]));
    table.close();
  }
});

test("open: keys and values are bytes: UTF-8 and what is none come out as they went in", () => {
  const path = join(root, "bytes");
  writeFileSync(path, Buffer.from([0xff, 0x20, 0xfe, 0x0a, 0xc3, 0xa9, 0x20, 0xc3, 0xa9, 0x0a]));
  const table = openTable(spec(path), clock);
  assert.equal(answer(table, "\xff"), "\xfe");
  assert.equal(answer(table, "\xc3\xa9"), "\xc3\xa9");
  assert.equal(answer(table, "€"), "-");
  table.close();
});

test("open: text maps take columns and a delimiter", () => {
  const path = join(root, "columns");
  writeFileSync(path, "# comment\nmick:x:1000:Mick Bauer\nlarry:x:1001:Larry\nshort\n");
  const table = openTable(spec(path, { type: "text", flags: ["-k0", "-v3", "-z:"] }), clock);
  assert.equal(answer(table, "MICK"), "Mick Bauer");
  assert.equal(answer(table, "short"), "-");
  const wrong = openTable(spec(path, { type: "text", flags: ["-kname"] }), clock);
  assert.match(answer(wrong, "mick"), /^! .*illegal key column -kname/);
  table.close();
  wrong.close();
});

test("open: a directory or a FIFO in the place of a table is a tempfail", () => {
  const path = join(root, "directory");
  mkdirSync(`${path}.db`);
  const table = openTable(spec(path, { optional: true }), clock);
  assert.match(answer(table, "a"), /^! .*Regular files only/);
  table.close();
});

test("aliases: AliasFile elements name type, flags and file", () => {
  const cases: readonly [string, string, string, boolean][] = [
    ["/etc/mail/aliases", "implicit", "/etc/mail/aliases", false],
    ["hash:/etc/mail/aliases", "hash", "/etc/mail/aliases", false],
    ["dbm -f -N:/etc/a", "dbm", "/etc/a", true],
    [" hash: /etc/a ", "hash", "/etc/a", false],
  ];
  for (const [element, type, path, caseSensitive] of cases) {
    const made = aliasSpec(element);
    assert.deepEqual([made.type, made.path, made.caseSensitive], [type, path, caseSensitive]);
  }
});

test("aliases: newaliases builds what the gateway then looks up and praliases prints", () => {
  const place = join(root, "mail");
  mkdirSync(place, { mode: 0o755 });
  const path = join(place, "aliases");
  writeFileSync(path, "postmaster: root\nRoot: mick\n  , larry\nbad\nlist: a\n");
  const trust = { dontBlame: ["TrustStickyBit"] };
  const built = buildAliases([aliasSpec(`hash:${path}`)], trust);
  assert.deepEqual(built, {
    lines: [`${path}: line 4: missing colon`, `${path}: 3 aliases, longest 13 bytes, 36 bytes total`],
    exit: 70,
  });
  const table = openAliases([aliasSpec(path)], undefined, clock);
  assert.equal(answer(table, "ROOT"), "mick  , larry");
  assert.equal(answer(table, "@:@"), "-");
  assert.equal(answer(table, "bad"), "-");
  table.close();
  assert.deepEqual(listAliases([path], []), {
    out: ["@:@", "postmaster:root", "root:mick  , larry", "list:a"],
    err: [],
  });
  assert.deepEqual(listAliases([`${path}.db`], ["root", "ROOT", "zz"]).out, [
    "root:mick  , larry",
    "ROOT: No such key",
    "zz: No such key",
  ]);
});

test("aliases: a source that others may write is told and left alone, exit 0", () => {
  const path = join(root, "mail", "aliases2");
  assert.deepEqual(buildAliases([aliasSpec(path)], TRUST_NOTHING), {
    lines: [`newaliases: cannot open ${path}: No such file or directory`],
    exit: 0,
  });
  for (const [mode, reason] of [
    [0o664, "Group writable file"],
    [0o646, "World writable file"],
  ] as const) {
    writeFileSync(path, "a: b\n");
    rmSync(path);
    writeFileSync(path, "a: b\n");
    // Not through the umask.
    chmodSync(path, mode);
    assert.deepEqual(buildAliases([aliasSpec(path)], TRUST_NOTHING), {
      lines: [`newaliases: cannot open ${path}: ${reason}`],
      exit: 0,
    });
  }
});

test("aliases: the first file that has a name answers; a broken one stops the search", () => {
  const first = join(root, "mail", "first");
  const second = join(root, "mail", "second");
  writeFileSync(first, "a: one\n");
  writeFileSync(second, "a: two\nb: two\n");
  const table = openAliases([aliasSpec(first), aliasSpec(second)], undefined, clock);
  assert.equal(answer(table, "a"), "one");
  assert.equal(answer(table, "b"), "two");
  writeFileSync(`${first}.db`, "broken");
  nowMs += 1000;
  assert.match(answer(table, "b"), /^! /);
  table.close();
});

test("class files: names by lines and blanks, comments anywhere", () => {
  assert.deepEqual(
    parseClassFile(
      "# hosts we are\npolkatistas.org\n\n  a.example b.example # x\r\nd.example,e.example#y\n#\nlast",
    ),
    ["polkatistas.org", "a.example", "b.example", "d.example,e.example", "last"],
  );
});

test("class files: a missing one is an error in Sendmail's words, unless optional", () => {
  const path = join(root, "nosuch");
  assert.deepEqual(readClassFile(path, false), {
    ok: false,
    error: `fileclass: cannot open '${path}': No such file or directory`,
  });
  assert.deepEqual(readClassFile(path, true), { ok: true, value: [] });
});

test("class files: one in a directory that others may write is refused in Sendmail's words", () => {
  const place = join(root, "open-to-all");
  mkdirSync(place);
  const path = join(place, "local-host-names");
  writeFileSync(path, "a.example\n");
  assert.deepEqual(readClassFile(path, false), { ok: true, value: ["a.example"] });
  chmodSync(place, 0o777);
  for (const optional of [false, true])
    assert.deepEqual(readClassFile(path, optional), {
      ok: false,
      error: `fileclass: cannot open '${path}': World writable directory`,
    });
  assert.deepEqual(readClassFile(path, false, { dontBlame: ["ClassFileInUnsafeDirPath"] }), {
    ok: true,
    value: ["a.example"],
  });
});

test("open: a table in a directory that others may write is a tempfail in Sendmail's words, until it is mended or forgiven", () => {
  const place = join(root, "writable");
  mkdirSync(place);
  const path = join(place, "access");
  build(path, { a: "1" });
  const table = openTable(spec(path, { optional: true }), clock);
  const forgiving = openTable(spec(path), clock, { dontBlame: ["MapInUnsafeDirPath"] });
  for (const [mode, reason] of [
    [0o775, "Group writable directory"],
    [0o1777, "World writable directory"],
  ] as const) {
    chmodSync(place, mode);
    build(path, { a: "1" });
    nowMs += 1000;
    assert.equal(answer(table, "a"), `! hash map "access": unsafe map file ${path}.db: ${reason}`);
    assert.equal(answer(forgiving, "a"), "1");
  }
  chmodSync(place, 0o755);
  chmodSync(`${path}.db`, 0o666);
  nowMs += 1000;
  assert.equal(answer(table, "a"), "1");
  table.close();
  forgiving.close();
});
