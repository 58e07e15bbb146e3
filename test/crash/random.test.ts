// Random lives of a spool, from seeds: whatever happens in whatever order, over several starts, kills and power cuts, the invariants
// hold at every disk operation. POSTERN_SEEDS=n runs more of them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SimDisk } from "../sim/disk.ts";
import { SimEntropy } from "../sim/entropy.ts";
import { check, copyOf, Life } from "./life.ts";

const SEEDS = Number(process.env["POSTERN_SEEDS"] ?? "12");
const STEPS = 60;
/** States looked at for each disk operation. */
const STATES = 3;

async function step(life: Life, random: SimEntropy, n: number): Promise<void> {
  const tag = `s${n}`;
  switch (random.below(14)) {
    case 0:
    case 1:
    case 2:
      await life.send(tag, 60 + random.below(700), `${tag}@up.example`);
      return;
    case 3:
    case 4:
      await life.send(tag, 60 + random.below(3000), `${tag}@down.example`);
      return;
    case 5:
      await life.send(tag, 5000 + random.below(6000), `${tag}@up.example`, `${tag}@down.example`);
      return;
    case 6:
      await Promise.all([0, 1, 2].map((i) => life.send(`${tag}-${i}`, 2500, `${tag}-${i}@up.example`)));
      return;
    case 7:
      await life.send(tag, 200, "bad@up.example", `${tag}@up.example`);
      return;
    case 8:
      if (life.hops.down.size > 0) life.hops.down.clear();
      else life.hops.down.add("down.example");
      return;
    case 9:
      await life.flush();
      return;
    case 10:
      await Promise.all([
        life.spool.hold([{ kind: "recipient", text: String(random.below(10)), negate: false }], "held"),
        life.clock.pass(200),
      ]);
      return;
    case 11:
      await Promise.all([
        life.spool.release([{ kind: "reason", text: "", negate: false }]),
        life.clock.pass(200),
      ]);
      return;
    case 12:
      if (random.below(2) === 0) await life.close();
      else life.process.kill();
      assert.ok(await life.open(), "it opens again");
      return;
    default:
      await life.rest();
  }
}

for (let seed = 1; seed <= SEEDS; seed++) {
  test(`a random life with seed ${seed} keeps its promises at every operation`, {
    timeout: 120_000,
  }, async (t) => {
    const disk = new SimDisk();
    const life = new Life(disk, undefined, seed * 1000);
    const random = new SimEntropy(seed * 7919);
    let states = 0;
    const problems: string[] = [];
    disk.onStep = async () => {
      if (problems.length > 0 || random.below(3) !== 0) return;
      const known = copyOf(life.known);
      for (const image of disk.states(STATES, states + 1)) {
        states++;
        const found = await check(image, known, states, undefined, new Set());
        if (found.length === 0) continue;
        problems.push(...found.map((p) => `after ${disk.operations} ${disk.trace.at(-1)}: ${p}`));
        return;
      }
    };
    assert.ok(await life.open());
    for (let n = 0; n < STEPS && problems.length === 0; n++) await step(life, random, n);
    await life.close();
    assert.deepEqual(problems, []);
    t.diagnostic(`${disk.operations} operations, ${states} states`);
  });
}
