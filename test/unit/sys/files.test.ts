// Plain files: replaced in one step or not at all, by many writers at once, leaving nothing behind; facts with three results.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, test } from "node:test";
import {
  beginReplacement,
  errorText,
  listDirectory,
  lstatPath,
  openForReading,
  readBoundedFile,
  readFileLookup,
  replaceFile,
  statPath,
} from "../../../src/sys/files.ts";

const root = mkdtempSync(join(tmpdir(), "postern-files-"));
after(() => rmSync(root, { recursive: true, force: true }));

test("files: a missing file is absent, one that cannot be read is a tempfail with the errno", () => {
  assert.deepEqual(readFileLookup(join(root, "none")), { kind: "absent" });
  assert.deepEqual(statPath(join(root, "none", "below")), { kind: "absent" });
  assert.deepEqual(readFileLookup(root), { kind: "tempfail", reason: `cannot read ${root}: EISDIR` });
  assert.equal(openForReading(root).kind, "tempfail");
  assert.equal(errorText("ENOENT"), "No such file or directory");
});

test("files: a FIFO is refused at once, not waited for", () => {
  const path = join(root, "fifo");
  spawnSync("mkfifo", [path]);
  assert.equal(openForReading(path).kind, "tempfail");
  assert.equal(readBoundedFile(path, 10).kind, "tempfail");
});

test("files: a file beyond the bound is not read", () => {
  const path = join(root, "bounded");
  writeFileSync(path, "12345");
  assert.equal(readBoundedFile(path, 5).kind, "found");
  assert.equal(readBoundedFile(path, 4).kind, "tempfail");
});

test("files: facts tell links, modes and identity", () => {
  const path = join(root, "facts");
  writeFileSync(path, "x", { mode: 0o640 });
  symlinkSync("facts", join(root, "facts.link"));
  const file = statPath(path);
  const through = statPath(join(root, "facts.link"));
  const link = lstatPath(join(root, "facts.link"));
  assert.ok(file.kind === "found" && through.kind === "found" && link.kind === "found");
  if (file.kind !== "found" || through.kind !== "found" || link.kind !== "found") return;
  assert.equal(file.value.mode, 0o640);
  assert.equal(file.value.identity, through.value.identity);
  assert.equal(link.value.type, "link");
});

test("files: a replacement is seen whole or not at all, and abandoning it leaves the old file alone", () => {
  const path = join(root, "replaced");
  writeFileSync(path, "old", { mode: 0o600 });
  const begun = beginReplacement(path, { mode: 0o644 });
  assert.ok(begun.ok);
  if (!begun.ok) return;
  begun.value.append(Buffer.from("half"));
  assert.equal(readFileSync(path, "latin1"), "old");
  begun.value.abandon();
  assert.equal(readFileSync(path, "latin1"), "old");
  const again = beginReplacement(path, { mode: 0o644 });
  assert.ok(again.ok);
  if (!again.ok) return;
  again.value.append(Buffer.from("....tail"));
  again.value.writeAt(Buffer.from("head"), 0);
  assert.equal(again.value.length, 8);
  assert.deepEqual(again.value.commit(), { ok: true, value: true });
  assert.equal(readFileSync(path, "latin1"), "headtail");
  assert.equal(statSync(path).mode & 0o777, 0o644);
});

test("files: the mode is the one asked for whatever the umask, and a link at the target is replaced, not followed", () => {
  const before = process.umask(0o077);
  try {
    const path = join(root, "masked");
    symlinkSync(join(root, "elsewhere"), path);
    assert.ok(replaceFile(path, "x", 0o644).ok);
    assert.equal(statSync(path).mode & 0o777, 0o644);
    assert.equal(existsSync(join(root, "elsewhere")), false);
  } finally {
    process.umask(before);
  }
});

test("files: what dead writers left is removed, what living ones write is not", () => {
  const place = join(root, "left");
  mkdirSync(place);
  const dead = spawnSync("true").pid;
  writeFileSync(join(place, `.t.${dead}-1.new`), "");
  writeFileSync(join(place, `.t.${process.pid}-999.new`), "");
  writeFileSync(join(place, ".t.notes.new"), "");
  assert.ok(replaceFile(join(place, "t"), "x", 0o644).ok);
  assert.deepEqual(listDirectory(place), {
    kind: "found",
    value: [`.t.${process.pid}-999.new`, ".t.notes.new", "t"].sort((a, b) => (a < b ? -1 : 1)),
  });
});

test("files: a directory that is not there, or is no directory, is an error with the errno", () => {
  writeFileSync(join(root, "plain"), "");
  for (const path of [join(root, "nowhere", "x"), join(root, "plain", "x")]) {
    const done = replaceFile(path, "x", 0o644);
    assert.match(done.ok ? "" : done.error, /ENOENT|ENOTDIR/);
  }
});

test("files: many processes replacing one file at once leave one of their versions, whole, and nothing else", async () => {
  const place = join(root, "race");
  mkdirSync(place);
  const program = `
    import { replaceFile } from ${JSON.stringify(resolve(import.meta.dirname, "../../../src/sys/files.ts"))};
    const bytes = Buffer.alloc(200000, process.argv[1]);
    for (let i = 0; i < 15; i++) {
      const done = replaceFile(${JSON.stringify(join(place, "f"))}, bytes, 0o644);
      if (!done.ok) throw new Error(done.error);
    }`;
  const writers = ["a", "b", "c"].map(
    (letter) =>
      new Promise<number | null>((done) => {
        spawn(process.execPath, ["--input-type=module", "-e", program, letter], { stdio: "inherit" }).on(
          "exit",
          done,
        );
      }),
  );
  assert.deepEqual(await Promise.all(writers), [0, 0, 0]);
  assert.deepEqual(readdirSync(place), ["f"]);
  const text = readFileSync(join(place, "f"), "latin1");
  assert.equal(text.length, 200_000);
  assert.equal(new Set(text).size, 1);
});
