// Sendmail's recorded decisions, through the code that the daemon runs: `recorded` is the reference's set, `sampled` our own recordings.

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { runFolder } from "./run.ts";

for (const folder of ["recorded", "sampled"]) {
  test(`every decision in ${folder} is Sendmail's`, { timeout: 280_000 }, async () => {
    const lines: string[] = [];
    const all = await runFolder(join(import.meta.dirname, folder), (line) => lines.push(line));
    assert.ok(all, lines.slice(-20).join("\n"));
    assert.match(lines.at(-1) ?? "", /^oracle: (\d+) of \1 agree$/);
  });
}
