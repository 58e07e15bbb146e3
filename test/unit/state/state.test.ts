// Rebuildable state: kept over a restart, made anew when damaged, done without when it cannot be had, and never written when idle.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { State } from "../../../src/state/state.ts";
import { SimClock } from "../../sim/clock.ts";

function folderFor(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "postern-state-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, "state");
}

function make(folder: string, clock = new SimClock()): { state: State; lines: string[]; clock: SimClock } {
  const lines: string[] = [];
  const state = new State({ folder, clock, log: { line: (_level, text) => void lines.push(text) } });
  return { state, lines, clock };
}

function contents(folder: string): string {
  return readdirSync(folder)
    .map(
      (name) =>
        `${name} ${statSync(join(folder, name)).size} ${readFileSync(join(folder, name)).toString("hex")}`,
    )
    .join("\n");
}

test("a section is kept over a restart", async (t) => {
  const folder = folderFor(t);
  const first = make(folder);
  assert.equal((await first.state.load("counts")).kind, "absent");
  first.state.keep("counts", () => ({ esmtp: 7 }));
  first.state.touch();
  await first.state.close();
  const second = make(folder);
  assert.deepEqual(await second.state.load("counts"), { kind: "found", value: { esmtp: 7 } });
  await second.state.close();
});

test("nothing is written while nothing changes, nor for each change", async (t) => {
  const folder = folderFor(t);
  const { state, clock } = make(folder);
  let count = 0;
  state.keep("counts", () => count);
  await state.load("counts");
  const before = contents(folder);
  for (let i = 0; i < 1000; i++) {
    count++;
    state.touch();
  }
  await clock.pass(10 * 60_000);
  assert.equal(contents(folder), before);
  await clock.pass(3_600_000);
  assert.equal(contents(folder), before, "an hour without traffic");
  state.touch();
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.notEqual(contents(folder), before, "traffic after an hour");
  await state.close();
});

test("a database is not even made when nothing was loaded and nothing changed", async (t) => {
  const folder = folderFor(t);
  const { state } = make(folder);
  await state.close();
  assert.throws(() => statSync(folder));
});

test("a damaged database is made anew, with a line in the log", async (t) => {
  const folder = folderFor(t);
  const first = make(folder);
  first.state.keep("counts", () => 1);
  first.state.touch();
  await first.state.close();
  writeFileSync(join(folder, "CURRENT"), "garbage");
  const second = make(folder);
  assert.equal((await second.state.load("counts")).kind, "absent");
  assert.match(second.lines.join(), /made anew/);
  second.state.keep("counts", () => 2);
  second.state.touch();
  await second.state.close();
  const third = make(folder);
  assert.deepEqual(await third.state.load("counts"), { kind: "found", value: 2 });
  await third.state.close();
});

test("a folder that cannot be used is done without", async (t) => {
  const folder = folderFor(t);
  mkdirSync(join(folder, ".."), { recursive: true });
  writeFileSync(folder, "a file");
  const { state, lines } = make(folder);
  assert.equal((await state.load("counts")).kind, "tempfail");
  state.keep("counts", () => 1);
  state.touch();
  await state.close();
  assert.match(lines.join(), /going on without/);
});
