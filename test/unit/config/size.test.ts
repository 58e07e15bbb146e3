// Hostile and very large configurations end, in bounded time and with bounded messages (house rule 5).
// The limit of a source file is a megabyte; each text here is close to it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { compileText, usual } from "./sources.ts";

/** Generous for a shared machine; each of these takes well under a second alone. */
const MILLISECONDS_MAX = 15_000;

for (const [name, text, errors] of [
  ["one line of stray words", "word ".repeat(180_000), 1],
  ["many stray lines", "word\n".repeat(180_000), 200],
  ["calls without end", "include(".repeat(110_000), 1],
  ["a time of a million digits", `define(\`confTO_MAIL', \`${"1".repeat(900_000)}x')`, 1],
  ["errors in a loop", "eval(1/0)\n".repeat(90_000), 200],
  ["endless recursion", "define(`a', `a a')a", 1],
  ["doubling text", "define(`a', `$1$1$1$1')define(`b', `a(a(a(a(a(a(a(a(x))))))))')a(b)a(b)a(b)", 1],
  ["a thousand features", "FEATURE(`redirect')dnl\n".repeat(40_000), 0],
  ["unknown names", Array.from({ length: 30_000 }, (_v, i) => `define(\`confA${i}', \`x')`).join("\n"), 0],
  [
    "a class of many names",
    Array.from({ length: 25_000 }, (_v, i) => `LOCAL_DOMAIN(\`d${i}.example')dnl`).join("\n"),
    0,
  ],
  ["more than a megabyte", "dnl\n".repeat(300_000), 1],
] as const)
  test(`${name} is dealt with in bounded time`, { timeout: MILLISECONDS_MAX }, () => {
    const result = compileText(usual(text));
    assert.ok(
      errors === 0 ? result.errors.length === 0 : result.errors.length >= 1,
      result.errors[0] ?? "no error",
    );
    assert.ok(result.errors.length <= 201, String(result.errors.length));
    assert.ok(result.warnings.length <= 200, String(result.warnings.length));
  });
