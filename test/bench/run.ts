// make bench: contenders in turn (A B A B), on one machine in one run, and what came out: table, budgets, JSON, page with plots.
// run.ts [--quick] [--rounds N] [--contenders a,b] [--scenarios x,y] [--cells 1k/10,...] [--depth N] [--warmup N] [--fs f2fs]
// Needs root (loop devices, overlays, cgroups) and Debian's strace and e2fsprogs.

import { mkdirSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { CONTENDERS, contender } from "./contender.ts";
import { Load } from "./load.ts";
import { budgetTable, page, table } from "./report.ts";
import { type Cell, prepareWork, type Row, SCENARIOS, type Settings } from "./scenario.ts";

const root = resolve(import.meta.dirname, "../..");

const ALL_CELLS = [
  "1k/1",
  "1k/10",
  "1k/50",
  "10k/1",
  "10k/10",
  "10k/50",
  "1M/1",
  "1M/10",
  "1M/50",
  "1k/10/keep",
];
const QUICK_CELLS = ["1k/1", "1k/10", "10k/10", "1k/10/keep", "1M/1"];

function parseCell(text: string): Cell {
  const m = /^(\d+)(k|M)\/(\d+)(\/keep)?$/.exec(text);
  if (m === null) throw new Error(`no cell '${text}': SIZE/SESSIONS[/keep], for example 10k/50`);
  const bytes = Number(m[1]) * (m[2] === "M" ? 1_000_000 : 1000);
  const sessions = Number(m[3]);
  const count = bytes >= 1_000_000 ? (sessions === 1 ? 20 : 60) : sessions === 1 ? 300 : 1500;
  return { bytes, sessions, count, keep: m[4] !== undefined };
}

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: process.env["QUICK"] === "1" },
    rounds: { type: "string" },
    contenders: { type: "string" },
    scenarios: { type: "string" },
    cells: { type: "string" },
    depth: { type: "string" },
    warmup: { type: "string", default: "2000" },
    fs: { type: "string", default: "ext4" },
    out: { type: "string", default: join(root, "build/bench") },
  },
});

const quick = values.quick;
const names = (
  values.contenders ?? (quick ? "postern,postfix" : CONTENDERS.map((c) => c.name).join(","))
).split(",");
const scenarios = (
  values.scenarios ?? (quick ? "throughput,latency,memory,deep" : [...SCENARIOS.keys()].join(","))
).split(",");
const rounds = Number(values.rounds ?? (quick ? 1 : 2));
const work = join(root, "build/bench/work");

if (process.getuid?.() !== 0) {
  process.stderr.write("make bench needs root: loop devices, overlays of the root file system, cgroups\n");
  process.exit(1);
}

function say(text: string): void {
  process.stderr.write(`${new Date().toTimeString().slice(0, 8)} ${text}\n`);
}

const settings: Settings = {
  work,
  warmup: Number(values.warmup),
  scale: quick ? 0.5 : 1,
  depth: Number(values.depth ?? (quick ? 2000 : 10_000)),
  cells: (values.cells?.split(",") ?? (quick ? QUICK_CELLS : ALL_CELLS)).map(parseCell),
  fileSystem: values.fs === "f2fs" ? "f2fs" : "ext4",
};

const rows: Row[] = [];
prepareWork(work);
mkdirSync(values.out, { recursive: true });
const load = new Load(work);
const missing = new Set<string>();
try {
  await load.startSink();
  for (const name of names) {
    say(`fetching ${name}`);
    try {
      contender(name).fetch(work);
    } catch (e) {
      missing.add(name);
      rows.push({
        contender: name,
        metric: "start",
        cell: "-",
        value: null,
        unit: "",
        error: e instanceof Error ? e.message : String(e),
      });
    }
  }
  for (let round = 1; round <= rounds; round++)
    for (const scenario of scenarios)
      for (const name of names.filter((n) => !missing.has(n))) {
        // The limit keeps nothing of a dead next hop, and has no queue to list.
        if (scenario === "deep" && name.startsWith("limit")) continue;
        say(`round ${round}/${rounds}: ${scenario}: ${name}`);
        const run = SCENARIOS.get(scenario);
        if (run === undefined)
          throw new Error(`no scenario '${scenario}': ${[...SCENARIOS.keys()].join(" ")}`);
        try {
          await run(contender(name), load, settings, (row) => {
            rows.push(row);
            say(
              `  ${row.metric} ${row.cell} = ${row.value?.toFixed(2) ?? "-"} ${row.unit}${row.error === undefined ? "" : ` (${row.error})`}`,
            );
          });
        } catch (e) {
          rows.push({
            contender: name,
            metric: scenario,
            cell: "-",
            value: null,
            unit: "",
            error: e instanceof Error ? e.message : String(e),
          });
          say(`  failed: ${e instanceof Error ? e.message : String(e)}`);
        }
      }
} finally {
  await load.close();
  for (const name of names) contender(name).clean?.(work);
}

const title = `Postern bench, ${new Date().toISOString().slice(0, 10)}, ${cpus().length} x ${cpus()[0]?.model ?? "?"}, Node ${process.version}`;
writeFileSync(join(values.out, "bench.json"), JSON.stringify({ title, settings, rows }, null, 1));
writeFileSync(join(values.out, "bench.html"), page(rows, title));
process.stdout.write(
  `${title}\n\n${table(rows)}\n${budgetTable(rows, settings.depth)}\nrows: ${join("build/bench", "bench.json")}  plots: ${join("build/bench", "bench.html")}\n`,
);
