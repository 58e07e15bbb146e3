// make test-matrix: every two flags in every state that src/Kconfig allows; each such build is bundled, started and asked.
// About a minute and a half.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { hostArchitecture, outputOf, ROOT } from "../../scripts/board.ts";
import { bundleWith } from "../../scripts/bundle.ts";
import { chosenConfig } from "../../scripts/kconfig.ts";
import { pairwise } from "../../scripts/matrix.ts";
import { checkAbsence } from "../packaging/absence.ts";

for (const [i, on] of pairwise(readFileSync(join(ROOT, "src/Kconfig"), "utf8")).entries())
  test(`combination ${i}: ${[...on].join(" ") || "nothing"}`, async () => {
    const config = await chosenConfig(`matrix-${i}`, on);
    const made = await bundleWith(config, hostArchitecture(), join(outputOf(config.board), "bundle"));
    await checkAbsence(made, config);
  });
