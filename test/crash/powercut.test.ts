// CR-01: the power is cut after every disk operation of a spool's life, every legal state of the disk is built (a seeded sample where
// there are too many), recovery runs, and the invariants hold. Then the suite is tested: without any one of the syncs it must fail.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import { SEGMENT_END_BYTES, SEGMENT_HEAD_BYTES } from "../../src/spool/record.ts";
import { type Faults, type Image, SimDisk } from "../sim/disk.ts";
import { backlogScript, check, copyOf, fullScript, Life, namesScript, script } from "./life.ts";

/** States per operation before sampling begins. */
const STATES_MAX = 48;

function fingerprint(image: Image): string {
  // The catalogue differs in nearly every state: two that differ in nothing else are one.
  return [...image]
    .filter(([path]) => !path.endsWith("/catalogue"))
    .map(([path, content]) => `${path}=${content.length}:${crc32(content)}`)
    .join(" ");
}

interface Findings {
  operations: number;
  states: number;
  problems: string[];
  syncs: Set<string>;
}

const SCRIPTS = [fullScript, namesScript, script, backlogScript];

/** All scripts; ends at the first problem. */
async function cutEverywhere(faults: Faults, statesMax: number): Promise<Findings> {
  const all: Findings = { operations: 0, states: 0, problems: [], syncs: new Set() };
  for (const run of SCRIPTS) {
    const findings = await cutScript(run, faults, statesMax);
    all.operations += findings.operations;
    all.states += findings.states;
    all.problems.push(...findings.problems);
    for (const why of findings.syncs) all.syncs.add(why);
    if (all.problems.length > 0) break;
  }
  return all;
}

async function cutScript(
  script: (life: Life) => Promise<void>,
  faults: Faults,
  statesMax: number,
): Promise<Findings> {
  const disk = new SimDisk(new Map(), faults);
  const life = new Life(disk);
  const seen = new Set<string>();
  const findings: Findings = { operations: 0, states: 0, problems: [], syncs: new Set() };
  disk.onStep = async () => {
    if (findings.problems.length > 0) return;
    findings.operations++;
    const known = copyOf(life.known);
    const promised = [
      ...known.acknowledged,
      ...known.settled,
      ...known.delivered.keys(),
      ...known.told,
    ].join();
    for (const image of disk.states(statesMax, findings.operations)) {
      const print = `${fingerprint(image)}|${promised}`;
      if (seen.has(print)) continue;
      seen.add(print);
      findings.states++;
      const problems = await check(image, known, 1000 + findings.states, faults.without, findings.syncs);
      if (problems.length === 0) continue;
      findings.problems = problems.map((p) => `after ${disk.trace.length} ${disk.trace.at(-1)}: ${p}`);
      return;
    }
  };
  await script(life);
  for (const why of disk.syncs) findings.syncs.add(why);
  // A segment is zeroed and synced before it is needed, so that no sender waits for that.
  const head = disk.flushedMost.get("the head of a segment before its old records are overwritten") ?? 0;
  if (head > SEGMENT_HEAD_BYTES + SEGMENT_END_BYTES)
    findings.problems.push(`activating a segment synced ${head} bytes`);
  return findings;
}

let syncs: ReadonlySet<string> = new Set();

test("a power cut after any operation loses nothing that was acknowledged", {
  timeout: 600_000,
}, async (t) => {
  const findings = await cutEverywhere({}, STATES_MAX);
  assert.deepEqual(findings.problems, []);
  syncs = findings.syncs;
  t.diagnostic(`${findings.operations} operations, ${findings.states} different states recovered`);
  assert.ok(findings.states > 1000, "the script has enough states");
});

test("nor on a file system that forgets what files have grown by since its last checkpoint", {
  timeout: 600_000,
}, async (t) => {
  const findings = await cutEverywhere({ forgetsGrowth: true }, STATES_MAX);
  assert.deepEqual(findings.problems, []);
  t.diagnostic(`${findings.operations} operations, ${findings.states} different states recovered`);
});

/** Syncs after repairs and after ends of the program, which have tests of their own (test/unit/spool/queue). */
const NOT_IN_SCRIPTS = [
  "the mark that damage was dealt with",
  "names of quarantined bytes found by recovery",
  "that the note of the program's end is gone",
];

test("every sync that the queue makes is made in the scripts", () => {
  const folder = join(import.meta.dirname, "../../src/spool");
  const reasons = new Set<string>();
  for (const name of readdirSync(folder)) {
    const source = readFileSync(join(folder, name), "utf8");
    for (const match of source.matchAll(/\.(?:sync|syncFolder)\((?:[^()"]|\([^()]*\))*"([^"]+)"/g))
      reasons.add(match[1] ?? "");
    assert.equal(
      source.match(/\.(?:sync|syncFolder)\(/g)?.length ?? 0,
      [...source.matchAll(/\.(?:sync|syncFolder)\((?:[^()"]|\([^()]*\))*"([^"]+)"/g)].length,
      `${name}: each sync says why`,
    );
  }
  for (const why of NOT_IN_SCRIPTS) reasons.delete(why);
  assert.deepEqual([...syncs].sort(), [...reasons].sort());
});

test("without any one of its syncs the suite fails", { timeout: 600_000 }, async (t) => {
  assert.ok(syncs.size >= 10, "the scripts were run before");
  for (const why of syncs) {
    await t.test(`without: ${why}`, async () => {
      const findings = await cutEverywhere({ without: why }, STATES_MAX);
      assert.notDeepEqual(findings.problems, [], `leaving out the sync of ${why} goes unnoticed`);
    });
  }
});
