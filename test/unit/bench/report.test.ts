// What the bench makes of its rows: medians, ratios with their noise, verdicts on budgets, and the parts of the reference page.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { verdicts } from "../../bench/budget.ts";
import { ALL_CELLS, cellName, parseCell } from "../../bench/cell.ts";
import { chart } from "../../bench/chart.ts";
import { Figures, noise, percent } from "../../bench/figure.ts";
import { publish } from "../../bench/markdown.ts";
import { page } from "../../bench/page.ts";
import { Plan } from "../../bench/plan.ts";
import type { Results } from "../../bench/results.ts";
import type { Row } from "../../bench/scenario.ts";

const rate = (contender: string, round: number, value: number | null, error?: string): Row => ({
  contender,
  metric: "relayed/s",
  cell: "10k/10",
  value,
  unit: "1/s",
  round,
  ...(error === undefined ? {} : { error }),
});

function results(rows: readonly Row[], growth: Results["growth"] = []): Results {
  return {
    machine: {
      date: "2030-01-02 03:04",
      processor: "2 x test",
      memory: "1 GB",
      kernel: "Linux 6",
      system: "Debian",
      node: "v26",
      load: 0,
      program: "the sources",
      versions: [],
    },
    settings: { work: "", seconds: 1, warmup: 0, depth: 100, fileSystem: "ext4" },
    rounds: 2,
    minutes: 1,
    rows,
    growth,
    left: [],
  };
}

test("the matrix has three sizes, three numbers of sessions, new and kept connections", () => {
  assert.equal(ALL_CELLS.length, 18);
  for (const name of ALL_CELLS) assert.equal(cellName(parseCell(name)), name);
  assert.throws(() => parseCell("10k"), /SIZE\/SESSIONS/);
});

test("a ratio is taken within each round, so a slow round of the machine does not show in it", () => {
  const all = new Figures([
    rate("postern", 1, 1000),
    rate("postfix", 1, 500),
    rate("postern", 2, 100),
    rate("postfix", 2, 50),
  ]);
  const ratio = all.ratio("postern", "postfix", "relayed/s", "10k/10");
  assert.equal(ratio.value, 2);
  assert.equal(percent(ratio), "±0%");
  const own = all.figure("postern", "relayed/s", "10k/10");
  assert.equal(own?.value, 550);
  assert.ok(own !== undefined && Math.abs(noise(own) - 450 / 550) < 1e-9);
});

test("a round without a figure is left out of the median and its reason is said", () => {
  const all = new Figures([rate("exim", 1, null, "smtp-source: refused"), rate("exim", 2, 40)]);
  assert.equal(all.value("exim", "relayed/s", "10k/10"), 40);
  assert.deepEqual(all.errors(), ["exim, relayed/s 10k/10: smtp-source: refused"]);
});

test("a budget is missed beyond must, and not judged when it was not measured", () => {
  const judged = (ours: number) =>
    verdicts(new Figures([rate("postern", 1, ours), rate("postfix", 1, 100)]), 100).map((v) => v.verdict);
  assert.deepEqual(judged(149), ["MISSED"]);
  assert.deepEqual(judged(151), ["must reached"]);
  assert.deepEqual(judged(301), ["aim reached"]);
  assert.deepEqual(verdicts(new Figures([]), 100), []);
});

test("the reference page keeps the part that a run did not measure", () => {
  const root = mkdtempSync(join(tmpdir(), "postern-report-"));
  try {
    const file = join(root, "rootfs/usr/share/doc/postern/performance.md");
    mkdirSync(dirname(file), { recursive: true });
    const marks = (name: string, text: string) =>
      `<!-- ${name}: written by make bench PUBLISH=1 -->\n${text}\n<!-- ${name}: end -->\n`;
    writeFileSync(
      file,
      `head\n${marks("measured", "old figures")}between\n${marks("growth", "old growth")}foot\n`,
    );
    const points = [10, 100].map((at) => ({
      what: "queue",
      at,
      metric: "memory",
      value: at / 10,
      unit: "MB",
    }));
    publish(results([], points), root);
    const text = readFileSync(file, "utf8");
    for (const kept of ["head", "old figures", "between", "foot"]) assert.ok(text.includes(kept), kept);
    assert.ok(!text.includes("old growth"));
    assert.match(text, /\| 100 \| 10\.0 \|/);
    assert.match(text, /```mermaid\n[^`]*line \[1, 10\]\n```/);
    writeFileSync(file, "no marks");
    assert.throws(() => publish(results([], points), root), /has lost its mark/);
  } finally {
    rmSync(root, { recursive: true });
  }
});

test("the page needs nothing from elsewhere and shows what failed as text, not as markup", () => {
  const html = page(results([rate("postern", 1, 9), rate("exim", 1, null, "<b>refused</b>")]));
  assert.doesNotMatch(html, /\b(src|href)=|@import|url\(/);
  assert.ok(html.includes("&lt;b&gt;refused&lt;/b&gt;") && !html.includes("<b>refused"));
});

test("a chart with nothing to draw is no chart", () => {
  const empty = { title: "t", xTitle: "x", yTitle: "y", places: ["a", "b"], kind: "bar" } as const;
  assert.equal(chart({ ...empty, values: [0, 0] }), "");
  assert.match(chart({ ...empty, values: [1, 0] }), /bar \[1, 0\]/);
});

test("a step that throws does not end the run, and is said", async () => {
  const done: string[] = [];
  const step = (what: string, run: () => Promise<void>) => ({ what, kind: "k", seconds: 1, run });
  const plan = new Plan(
    [
      step("bad", () => Promise.reject(new Error("broken"))),
      step("good", async () => {
        done.push("good");
      }),
    ],
    () => undefined,
    (what) => done.push(`failed ${what}`),
  );
  assert.deepEqual(await plan.run(1), []);
  assert.deepEqual(done, ["failed bad", "good"]);
});
