// make bench: contenders in turn (A B A B), on one machine in one run, and what came out: tables, budgets, JSON, a page with plots.
// run.ts [--quick] [--growth] [--seconds N] [--rounds N] [--contenders a,b] [--scenarios x,y] [--cells 1k/10,...] [--depth N]
// [--minutes N] [--publish]; QUICK, GROWTH, SECONDS, ROUNDS, MINUTES and PUBLISH of the environment say the same.
// Needs root (loop devices, overlays, cgroups) and Debian's strace, e2fsprogs and f2fs-tools.

import { mkdirSync, writeFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { budgetTable } from "./budget.ts";
import { ALL_CELLS, F2FS_CELLS, parseCell, QUICK_CELLS } from "./cell.ts";
import { CONTENDERS, type Contender, contender } from "./contender.ts";
import { Figures, short } from "./figure.ts";
import type { Point } from "./growth.ts";
import { Load } from "./load.ts";
import { describe, headline } from "./machine.ts";
import { publish } from "./markdown.ts";
import type { Matrix } from "./matrix.ts";
import { page } from "./page.ts";
import { Plan } from "./plan.ts";
import { growthTable, table } from "./report.ts";
import type { Results } from "./results.ts";
import type { Row, Settings } from "./scenario.ts";
import { stepsOf, type Told } from "./steps.ts";
import { Workplace } from "./workplace.ts";

const root = resolve(import.meta.dirname, "../..");
const env = process.env;

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: env["QUICK"] === "1" },
    growth: { type: "boolean", default: env["GROWTH"] === "1" },
    publish: { type: "boolean", default: env["PUBLISH"] === "1" },
    seconds: { type: "string", default: env["SECONDS"] ?? "" },
    rounds: { type: "string", default: env["ROUNDS"] ?? "" },
    minutes: { type: "string", default: env["MINUTES"] ?? "" },
    contenders: { type: "string" },
    scenarios: { type: "string" },
    cells: { type: "string" },
    depth: { type: "string", default: "" },
    warmup: { type: "string", default: "3000" },
    out: { type: "string", default: join(root, "build/bench") },
    work: { type: "string", default: join(root, "build/bench/work") },
  },
});

const QUIET_LOAD_MAX = 0.7;
/** Metrics that a line of progress shows, besides all that failed. */
const SHOWN = /^(f2fs|relayed|latency|private|syncs|mailq|accepted\/s depth|flushed|flash)/;

function say(text: string): void {
  process.stderr.write(`${new Date().toTimeString().slice(0, 8)} ${text}\n`);
}

function refuse(why: string): never {
  process.stderr.write(`bench: ${why}\n`);
  process.exit(1);
}

function number(name: string, given: string, otherwise: number, least: number): number {
  const value = given === "" ? otherwise : Number(given);
  return Number.isFinite(value) && value >= least
    ? value
    : refuse(`${name}=${given} is not ${least} or more`);
}

const quick = values.quick;
const seconds = number("SECONDS", values.seconds, quick ? 2 : 2.2, 0.1);
const rounds = number("ROUNDS", values.rounds, 2, 1);
const minutes = number("MINUTES", values.minutes, 55, 1);
const depth = number("--depth", values.depth, quick ? 2000 : 10_000, 10);
const everyone = CONTENDERS.map((c) => c.name).join(",");
const names = (values.contenders ?? (quick ? "postern,postfix" : everyone)).split(",").map(contender);
const scenarios = (
  values.scenarios ??
  (values.growth
    ? "growth"
    : quick
      ? "throughput,latency,memory,deep"
      : "throughput,latency,memory,syncs,deep,f2fs,growth")
).split(",");
const cells = (values.cells?.split(",") ?? (quick ? QUICK_CELLS : ALL_CELLS)).map(parseCell);

if (process.getuid?.() !== 0)
  refuse("root is needed: loop devices, overlays of the root file system, cgroups");

const workplace = new Workplace(resolve(values.work));
const settings: Settings = {
  work: workplace.folder,
  seconds,
  warmup: number("--warmup", values.warmup, 3000, 0),
  depth,
  fileSystem: "ext4",
};
const rows: Row[] = [];
const growth: Point[] = [];

const told: Told = {
  row: (round) => (row) => {
    rows.push({ ...row, round });
    const { contender, metric, cell, value, unit, error } = row;
    const why = error === undefined ? "" : ` (${error})`;
    if (cell === "-") say(`    ${contender} ${metric}: ${error ?? ""}`);
    else if (error !== undefined || SHOWN.test(`${metric} ${cell}`))
      say(`    ${metric} ${cell} = ${value === null ? "-" : short(value)} ${unit}${why}`);
  },
  points(points) {
    growth.push(...points);
    for (const p of points)
      say(`    ${p.metric} = ${p.value === null ? (p.error ?? "-") : `${short(p.value)} ${p.unit}`}`);
  },
  failed(name, metric, e) {
    const error = (e instanceof Error ? e.message : String(e)).trim().split("\n").slice(0, 3).join(" | ");
    told.row(1)({ contender: name, metric, cell: "-", value: null, unit: "", error });
  },
};

/** Gets every contender's packages; one that cannot be had is said and left out. */
function fetched(): Contender[] {
  return names.filter((c) => {
    if (!scenarios.some((s) => s !== "growth")) return false;
    try {
      c.fetch(workplace.folder);
      return true;
    } catch (e) {
      told.failed(c.name, "start", e);
      return false;
    }
  });
}

async function main(): Promise<Results> {
  const begun = performance.now();
  const contenders = fetched();
  const machine = describe(contenders, workplace.folder);
  say(headline(machine));
  if (machine.load > QUIET_LOAD_MAX)
    say(`others are at work here (load ${machine.load.toFixed(1)}): rates and times will be rough`);
  const load = new Load(workplace.folder);
  const matrices: Matrix[] = [];
  let left: readonly string[] = [];
  try {
    if (contenders.length > 0) await load.startSink();
    const f2fsCells = F2FS_CELLS.map(parseCell);
    const wishes = { contenders, cells, f2fsCells, scenarios, rounds, settings };
    const steps = stepsOf(wishes, load, told, matrices);
    left = await new Plan(steps, say, (what, e) => told.failed("bench", what, e)).run(minutes);
  } finally {
    for (const matrix of matrices) await matrix.end();
    await load.close();
    for (const c of names) c.clean?.(workplace.folder);
  }
  const took = Math.round((performance.now() - begun) / 6000) / 10;
  return { machine, settings, rounds, minutes: took, rows, growth, left };
}

function report(r: Results): void {
  mkdirSync(values.out, { recursive: true });
  const json = join(values.out, "bench.json");
  const html = join(values.out, "bench.html");
  writeFileSync(json, `${JSON.stringify(r, null, 1)}\n`);
  writeFileSync(html, page(r));
  const all = new Figures(r.rows);
  const blocks = [headline(r.machine), table(all), growthTable(r.growth), budgetTable(all, depth)];
  if (r.left.length > 0)
    blocks.push(
      `not measured, for MINUTES=${minutes} were over: ${r.left.length} steps, the first: ${r.left[0]}\n`,
    );
  blocks.push(
    `${r.minutes} minutes. Rows: ${relative(root, json)}. Page with plots: ${relative(root, html)}`,
  );
  process.stdout.write(`${blocks.filter(Boolean).join("\n")}\n`);
  if (values.publish) say(`written: ${relative(root, publish(r, root))}`);
}

// A run that is ended from outside takes everything with it that it has started.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
  process.once(signal, () => {
    say(`${signal}: clearing up`);
    workplace.leave();
    process.exit(130);
  });
try {
  workplace.enter();
} catch (e) {
  refuse(e instanceof Error ? e.message : String(e));
}
try {
  report(await main());
} finally {
  workplace.leave();
}
