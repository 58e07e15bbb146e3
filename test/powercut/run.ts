// `make test-powercut`: one boot for each file system and way of delivery, load, a cut, and then the states of the medium at every flush
// and between the flushes, each recovered; some of them are booted again. FILESYSTEM, SEED, SECONDS and STATES change what is done.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FileSystem } from "../../scripts/board.ts";
import {
  bootAgain,
  boundaries,
  cutsAt,
  cutUnderLoad,
  examine,
  type Findings,
  MODES,
  sample,
  spoolBytes,
} from "./campaign.ts";
import { BOARDS } from "./medium.ts";
import { bodyOf } from "./traffic.ts";

const number = (name: string, otherwise: number): number => Number(process.env[name] ?? "") || otherwise;

const SEED = number("SEED", 20261122);
const SECONDS = number("SECONDS", 20);
/** States of each kind and mode at most; without this, every flush. */
const STATES = number("STATES", 100_000);
const BOOTS = number("BOOTS", 2);
const SUBSETS = [1, 2];

const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

const kilobytes = (bytes: number): string => `${Math.round(bytes / 1000)} kB`;

function report(what: string, found: Findings): void {
  const words = [
    `${found.states} states`,
    `${found.promises} promises checked`,
    `${found.lost} lost`,
    `${found.duplicates} duplicates (the oldest ${Math.round(found.oldestMs)} ms before the cut)`,
    `${found.torn} torn ends set aside`,
    `${found.repaired.length} file systems repaired by the appliance`,
  ];
  say(`  ${what}: ${words.join(", ")}`);
  for (const repaired of found.repaired) say(`    ${repaired.replaceAll(/\s+/g, " ")}`);
  for (const problem of found.problems.slice(0, 10)) say(`    ${problem}`);
  if (found.problems.length > 10) say(`    and ${found.problems.length - 10} more`);
}

async function mode(fileSystem: FileSystem, name: string, work: string): Promise<number> {
  await using scene = await cutUnderLoad(work, fileSystem, name, SEED, SECONDS);
  const flushes = boundaries(scene);
  const { acknowledged, taken, refused } = scene.record;
  say(
    `${fileSystem}, ${name}: ${acknowledged.length} messages acknowledged, ${taken.length} deliveries, ${scene.log.entries.length - scene.start} writes, ${flushes.length} flushes, ${refused.length} refused`,
  );
  const mail = acknowledged.reduce((sum, { tag }) => sum + bodyOf(tag).length, 0);
  say(`  ${kilobytes(spoolBytes(scene))} written to the spool for ${kilobytes(mail)} of mail`);
  let problems = acknowledged.length === 0 ? 1 : 0;
  const at = sample(flushes, STATES);
  const whole = await examine(scene, cutsAt(scene, at, null));
  report("at flushes", whole);
  problems += whole.problems.length;
  for (const seed of SUBSETS) {
    const found = await examine(scene, cutsAt(scene, at, SEED + seed));
    report(`between flushes, seed ${SEED + seed}`, found);
    problems += found.problems.length;
  }
  for (const cut of cutsAt(scene, sample(flushes, BOOTS + 1).slice(1), SEED)) {
    const missing = await bootAgain(scene, cut);
    say(`  booted again from ${JSON.stringify(cut)}: ${missing.length} missing`);
    for (const line of missing.slice(0, 10)) say(`    ${line}`);
    problems += missing.length;
  }
  return problems;
}

async function main(): Promise<number> {
  if (process.getuid?.() !== 0) {
    say("the images of an ext4 spool are mounted, which needs root: run this as root");
    return 77;
  }
  const wanted = process.env["FILESYSTEM"] ?? "";
  const fileSystems = [...BOARDS.keys()].filter((name) => wanted === "" || wanted === name);
  if (fileSystems.length === 0) {
    say(`FILESYSTEM=${wanted}: there are ${[...BOARDS.keys()].join(" and ")}`);
    return 64;
  }
  const work = mkdtempSync(join(tmpdir(), "postern-powercut-"));
  let problems = 0;
  try {
    for (const fileSystem of fileSystems)
      for (const name of MODES.keys()) {
        problems += await mode(fileSystem, name, join(work, name));
        rmSync(join(work, name), { recursive: true, force: true });
      }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  say(problems === 0 ? "powercut: nothing lost" : `powercut: ${problems} problems (SEED=${SEED})`);
  return problems === 0 ? 0 : 1;
}

process.exitCode = await main();
