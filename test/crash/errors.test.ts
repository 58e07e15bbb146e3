// CR-02: every disk operation of a spool's life fails, once or from then on, with each errno a disk gives. A sender gets a 4xx or a
// promise that holds; the spool goes on when the disk does; nothing is leaked. And the program is killed after any operation.

import assert from "node:assert/strict";
import { test } from "node:test";
import { settle } from "../sim/clock.ts";
import { SimDisk, type SimProcess } from "../sim/disk.ts";
import { check, copyOf, type Knowledge, Life, newKnowledge } from "./life.ts";

/** Less than script(): some thousand of these are run. */
async function shortScript(life: Life): Promise<void> {
  if (!(await life.open())) return;
  life.hops.down.add("down.example");
  await life.send("a", 300, "amy@up.example");
  await life.send("b", 700, "bob@down.example");
  await Promise.all([life.send("d", 600, "dan@up.example"), life.send("f", 9000, "fay@up.example")]);
  await life.rest();
  await life.send("g", 9000, "gus@down.example", "gil@up.example");
  await life.send("h", 400, "bad@up.example");
  for (let i = 0; i < 6; i++) await life.send(`n${i}`, 2500, `n${i}@up.example`);
  await life.rest();
  void life.spool.hold([{ kind: "recipient", text: "bob@", negate: false }], "looked at");
  await life.rest();
  void life.spool.release([{ kind: "reason", text: "", negate: false }]);
  life.hops.down.clear();
  await life.flush();
  // Long enough for the disk to be tried again.
  await life.clock.pass(5000);
  for (let i = 0; i < 3 && !life.known.acknowledged.has("z"); i++) {
    await life.send("z", 300, "zoe@up.example");
    await life.clock.pass(2000);
  }
  await life.rest();
}

async function operationsOf(script: (life: Life) => Promise<void>): Promise<number> {
  const disk = new SimDisk();
  await script(new Life(disk));
  return disk.operations;
}

const CODES = ["EIO", "ENOSPC", "EROFS", "EMFILE", "EDQUOT", "EINTR"];

async function failing(failAt: number, code: string, forEver: boolean): Promise<string[]> {
  const disk = new SimDisk(new Map(), { failAt, code, forEver });
  const life = new Life(disk);
  if (!(await inTime(shortScript(life)))) return [`${code} at ${failAt}: hangs after ${disk.trace.at(-1)}`];
  const syncs = new Set<string>();
  const problems: string[] = [];
  for (const image of [disk.strict(), disk.live()])
    problems.push(...(await check(image, copyOf(life.known), failAt, undefined, syncs)));
  if (!forEver && life.opened && !life.known.acknowledged.has("z")) problems.push("the spool did not go on");
  return problems.map(
    (p) => `${code} at ${failAt}${forEver ? " for ever" : ""} (${disk.trace[failAt - 1]}): ${p}`,
  );
}

/** False when the work does not end: something waits for what does not come. */
async function inTime(work: Promise<void>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), 10_000);
  });
  const done = await Promise.race([work.then(() => true), late]);
  clearTimeout(timer);
  return done;
}

test("a disk that fails once loses nothing and is used again", { timeout: 300_000 }, async (t) => {
  const operations = await operationsOf(shortScript);
  let runs = 0;
  for (let at = 1; at <= operations; at++) {
    const code = CODES[at % CODES.length] ?? "EIO";
    for (const one of code === "EIO" ? ["EIO"] : ["EIO", code]) {
      runs++;
      assert.deepEqual(await failing(at, one, false), []);
    }
  }
  t.diagnostic(`${operations} operations, ${runs} failures`);
});

test("a disk that fails for ever loses nothing that was acknowledged", { timeout: 300_000 }, async (t) => {
  const operations = await operationsOf(shortScript);
  let runs = 0;
  for (let at = 1; at <= operations; at += 2) {
    runs++;
    assert.deepEqual(await failing(at, CODES[runs % CODES.length] ?? "EIO", true), []);
  }
  t.diagnostic(`${runs} failures`);
});

test("a program killed after any operation, then a power cut: nothing is lost", {
  timeout: 300_000,
}, async (t) => {
  const operations = await operationsOf(shortScript);
  let states = 0;
  for (let at = 1; at <= operations; at++) {
    const disk = new SimDisk();
    const life = new Life(disk);
    let count = 0;
    life.onProcess = (process: SimProcess) => {
      process.killAfter = () => ++count === at;
    };
    await until(shortScript(life), () => !life.alive);
    await settle();
    const known: Knowledge = copyOf(life.known);
    const syncs = new Set<string>();
    for (const image of [disk.live(), disk.strict(), ...disk.states(6, at)]) {
      states++;
      assert.deepEqual(await check(image, known, at, undefined, syncs), [], `killed after ${at}`);
    }
  }
  t.diagnostic(`${operations} kills, ${states} states`);
});

/** Waits for the work, or for the moment from which it will never end. */
async function until(work: Promise<unknown>, over: () => boolean): Promise<void> {
  let done = false;
  void work.finally(() => {
    done = true;
  });
  while (!done && !over()) await new Promise<void>((resolve) => setImmediate(resolve));
}

test("a power cut inside recovery is a power cut: recovery of what is left is whole", {
  timeout: 300_000,
}, async (t) => {
  const disk = new SimDisk();
  const life = new Life(disk, newKnowledge());
  let states = 0;
  let operation = 0;
  disk.onStep = async () => {
    operation++;
    if (operation % 9 !== 0) return;
    const known = copyOf(life.known);
    for (const image of disk.states(3, operation)) {
      for (let cut = 1; cut < 60; cut += 4) {
        const again = new SimDisk(image, { cutAfter: cut });
        const second = new Life(again, copyOf(known), 77);
        await until(second.openOnly(), () => again.dead);
        for (const left of again.states(3, cut)) {
          states++;
          assert.deepEqual(await check(left, known, cut, undefined, new Set()), []);
        }
        if (second.opened) break;
      }
    }
  };
  await shortScript(life);
  t.diagnostic(`${states} states`);
});
