// postern make: rebuilds exactly what is older than its text, by names as `make access` does, and tells what makemap would.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { queryDatabase } from "../../../src/map/build.ts";
import { type MakeResult, makeTables } from "../../../src/prepare/make.ts";

const root = mkdtempSync(join(tmpdir(), "postern-make-"));
after(() => rmSync(root, { recursive: true, force: true }));

function make(folder: string, ...names: string[]): MakeResult {
  return makeTables({ folder, configuration: null, locate: (path) => path, names });
}

function place(name: string, files: Readonly<Record<string, string>>): string {
  const folder = join(root, name);
  mkdirSync(folder);
  for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, file), text);
  return folder;
}

test("make: builds what has no database, then nothing, then what was touched", () => {
  const folder = place("all", { access: "a 1\nb 2\n", aliases: "x: y\n", other: "no table\n" });
  assert.deepEqual(make(folder), {
    out: ["access.db: 2 entries", "aliases.db: 1 aliases, longest 1 bytes, 2 bytes total"],
    err: [],
    exit: 0,
  });
  assert.deepEqual(make(folder).out, ["everything is up to date"]);
  const ahead = statSync(join(folder, "access.db")).mtimeMs / 1000 + 5;
  utimesSync(join(folder, "access"), ahead, ahead);
  assert.deepEqual(make(folder).out, ["access.db: 2 entries"]);
  assert.deepEqual(queryDatabase(join(folder, "access.db"), "b"), { kind: "found", value: "2" });
});

test("make: a table by name is built though it is up to date, with or without .db", () => {
  const folder = place("named", { access: "a 1\n", "my-table": "k v\n" });
  for (const name of ["access", "access.db", "my-table"]) assert.equal(make(folder, name).exit, 0);
  assert.deepEqual(queryDatabase(join(folder, "my-table.db"), "k"), { kind: "found", value: "v" });
  const missing = make(folder, "nosuch");
  assert.deepEqual(missing.err, [`make: ${join(folder, "nosuch")}: No such file or directory`]);
  assert.equal(missing.exit, 66);
});

test("make: refused lines are told, the others are stored, exit 65", () => {
  const folder = place("bad", { access: "a 1\nbad\na 2\n", aliases: "x: y\nx: z\n" });
  assert.deepEqual(make(folder), {
    out: ["access.db: 1 entries", "aliases.db: 2 aliases, longest 1 bytes, 4 bytes total"],
    err: [
      `${join(folder, "access")}: line 2: no RHS for LHS bad`,
      `${join(folder, "access")}: line 3: key a: duplicate key`,
      `${join(folder, "aliases")}: line 2: x... Warning: duplicate alias name x`,
    ],
    exit: 65,
  });
  assert.deepEqual(queryDatabase(join(folder, "access.db"), "a"), { kind: "found", value: "1" });
});

test("make: a Berkeley database is out of date however new it is", () => {
  const folder = place("berkeley", { access: "a 1\n" });
  const old = Buffer.alloc(4096);
  old.writeUInt32LE(0x061561, 12);
  writeFileSync(join(folder, "access.db"), old);
  assert.deepEqual(make(folder).out, ["access.db: 1 entries"]);
});
