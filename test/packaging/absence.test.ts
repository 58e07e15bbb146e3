// Every board, a build with nothing and one with everything: what the flags take away is not there, and the rest works.
// The bundle is tried under the Node of this machine; the packaged binaries are the business of binary.test.ts.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { hostArchitecture, outputOf, ROOT } from "../../scripts/board.ts";
import { bundleWith } from "../../scripts/bundle.ts";
import { type BoardConfig, booleanSymbols, markedSymbols } from "../../scripts/features.ts";
import { boardConfig, chosenConfig } from "../../scripts/kconfig.ts";
import { checkAbsence, MARKERS } from "./absence.ts";

const kconfig = readFileSync(join(ROOT, "src/Kconfig"), "utf8");
const symbols = booleanSymbols(kconfig);

test("every flag of src/Kconfig takes something away, and no line has a flag that src/Kconfig lacks", () => {
  assert.deepEqual([...markedSymbols()].sort(), [...symbols].sort());
});

async function check(config: BoardConfig): Promise<void> {
  // Not the board's own folder: another test may be packaging there.
  const made = await bundleWith(config, hostArchitecture(), join(outputOf(config.board), "absence"));
  await checkAbsence(made, config);
}

for (const board of readdirSync(join(ROOT, "board")).sort())
  test(`${board}: what its flags take away is not in it`, async () => check(await boardConfig(board)));

test("a build with nothing on", async () => check(await chosenConfig("allno", new Set())));

test("a build with everything on", async () => {
  const config = await chosenConfig("allyes", new Set(symbols));
  assert.deepEqual(config.off, []);
  assert.ok([...MARKERS.keys()].every((symbol) => config.on.has(symbol)));
  await check(config);
});
