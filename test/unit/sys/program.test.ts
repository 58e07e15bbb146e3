// What the packaged binary does with what it carries: the program as a function, what it may require, the addon on disk.

import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { asFunction, compileProgram, runProgram, unpackAddon } from "../../../src/sys/program.ts";

const folder = mkdtempSync(join(tmpdir(), "postern-program-"));
after(() => {
  Reflect.deleteProperty(process.env, "POSTERN_NATIVE_PATH");
  rmSync(folder, { recursive: true });
});

const run = (text: string) => runProgram(compileProgram(asFunction(text), undefined), () => "/nonexistent");

test("a program gets what is built into Node", () => {
  run("globalThis.postern = require('node:path').join('a', 'b');");
  assert.equal(Reflect.get(globalThis, "postern"), "a/b");
});

test("a program gets nothing from the disk", () => {
  const file = join(folder, "other.cjs");
  writeFileSync(file, "module.exports = 1;");
  for (const name of [file, "./other.cjs", "execa"])
    assert.throws(() => run(`require(${JSON.stringify(name)})`), /is not in this binary/);
});

test("a comment at the end of a bundle does not swallow what is put behind it", () => {
  run("globalThis.postern = 2; // the end");
  assert.equal(Reflect.get(globalThis, "postern"), 2);
});

test("the cache of another program is refused, and the program runs", () => {
  const cache = compileProgram(asFunction("globalThis.postern = 3;"), undefined).createCachedData();
  const script = compileProgram(asFunction("globalThis.postern = 'another';"), cache);
  assert.equal(script.cachedDataRejected, true);
  runProgram(script, () => "");
  assert.equal(Reflect.get(globalThis, "postern"), "another");
});

test("the addon is written once, for its user alone, and written anew when it is another one", () => {
  process.env["POSTERN_NATIVE_PATH"] = join(folder, "native");
  const path = unpackAddon(Buffer.from("first"));
  assert.equal(readFileSync(path, "utf8"), "first");
  assert.equal(statSync(join(folder, "native")).mode & 0o777, 0o700);
  const { ino } = statSync(path);
  assert.equal(unpackAddon(Buffer.from("first")), path);
  assert.equal(statSync(path).ino, ino);
  unpackAddon(Buffer.from("second"));
  assert.equal(readFileSync(path, "utf8"), "second");
});

test("a folder that others can write to is not used: what lies there would be run", () => {
  const open = join(folder, "open");
  process.env["POSTERN_NATIVE_PATH"] = open;
  unpackAddon(Buffer.from("x"));
  chmodSync(open, 0o777);
  assert.throws(() => unpackAddon(Buffer.from("x")), /must belong to the user of this program alone/);
  chmodSync(open, 0o770);
  assert.throws(() => unpackAddon(Buffer.from("x")), /must belong/);
});

test("a symbolic link in the place of the folder or of the file is not followed", () => {
  const real = join(folder, "real");
  process.env["POSTERN_NATIVE_PATH"] = real;
  const path = unpackAddon(Buffer.from("x"));
  process.env["POSTERN_NATIVE_PATH"] = join(folder, "link");
  symlinkSync(real, join(folder, "link"));
  assert.throws(() => unpackAddon(Buffer.from("x")), /must belong/);
  const victim = join(folder, "victim");
  writeFileSync(victim, "untouched");
  rmSync(path);
  symlinkSync(victim, path);
  process.env["POSTERN_NATIVE_PATH"] = real;
  unpackAddon(Buffer.from("y"));
  assert.equal(readFileSync(victim, "utf8"), "untouched");
  assert.equal(statSync(path).isFile(), true);
});
