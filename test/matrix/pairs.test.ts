// make test-matrix: every two flags in every state that src/Kconfig allows; each such build is bundled, started and asked.
// About a minute and a half.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { hostArchitecture, outputOf, ROOT } from "../../scripts/board.ts";
import { bundleWith } from "../../scripts/bundle.ts";
import { booleanSymbols } from "../../scripts/features.ts";
import { chosenConfig } from "../../scripts/kconfig.ts";
import { dependencies, pairwise } from "../../scripts/matrix.ts";
import { checkAbsence } from "../packaging/absence.ts";

const kconfig = readFileSync(join(ROOT, "src/Kconfig"), "utf8");
const combinations = pairwise(kconfig);

test("every two symbols without dependencies are seen in all four states", () => {
  const by = dependencies(kconfig);
  const free = booleanSymbols(kconfig).filter((symbol) => !by.has(symbol));
  for (const one of free)
    for (const other of free)
      if (one < other) {
        const states = new Set(combinations.map((on) => `${on.has(one)} ${on.has(other)}`));
        assert.equal(states.size, 4, `${one} ${other}: ${[...states].join(", ")}`);
      }
});

for (const [i, on] of combinations.entries())
  test(`combination ${i}: ${[...on].join(" ") || "nothing"}`, async () => {
    const config = await chosenConfig(`matrix-${i}`, on);
    const made = await bundleWith(config, hostArchitecture(), join(outputOf(config.board), "bundle"));
    await checkAbsence(made, config);
  });
