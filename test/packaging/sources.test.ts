// Which Debian an image is made of: one release wherever it is built, with its security suite or not at all.

import assert from "node:assert/strict";
import { test } from "node:test";
import { sourcesList } from "../../scripts/debian.ts";

const of = (...suites: string[]) =>
  suites.map((suite) => ({
    uri: /security|^stable.updates/.test(suite) ? "m:/security" : "m:/debian",
    suite,
  }));

const lines = (made: ReturnType<typeof sourcesList>): string[] =>
  typeof made === "string"
    ? []
    : made.list
        .trim()
        .split("\n")
        .map((line) => line.replace(/^deb \[[^\]]*\] /, ""));

const WHOLE = [
  "m:/debian bookworm main",
  "m:/debian bookworm-updates main",
  "m:/security bookworm-security main",
];

for (const [name, suites] of [
  ["Debian 12", ["bookworm", "bookworm-updates", "bookworm-security"]],
  ["Debian 12 without updates", ["bookworm", "bookworm-security"]],
  ["Debian 13", ["trixie", "trixie-updates", "trixie-security"]],
  ["Debian 13 with backports", ["trixie", "trixie-updates", "trixie-backports", "trixie-security"]],
  ["named by its place", ["stable", "stable-updates", "stable-security"]],
] as const)
  test(`${name}: the release of images, its updates and its security suite`, () =>
    assert.deepEqual(lines(sourcesList(of(...suites), false)).sort(), WHOLE));

test("an apt that has never fetched a security suite makes no image, and says what to do", () => {
  const made = sourcesList(of("bookworm", "bookworm-updates"), false);
  assert.ok(typeof made === "string");
  assert.match(made, /security suite.*apt-get update.*INSECURE=1/);
  assert.deepEqual(lines(sourcesList(of("bookworm"), true)), WHOLE.slice(0, 2));
});

test("no archive at all is said as that", () => {
  const made = sourcesList([], false);
  assert.ok(typeof made === "string");
  assert.match(made, /run `apt-get update`/);
});
