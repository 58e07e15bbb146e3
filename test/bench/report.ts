// What the bench says: a table in the terminal with ratios to Postfix and the noise beside them, the rows as JSON,
// and a page with plots that needs nothing but a browser. Budgets of the contract are printed with must, aim and figure.

import { median } from "./measure.ts";
import type { Row } from "./scenario.ts";

const REFERENCE = "postfix";

interface Figure {
  readonly value: number;
  readonly low: number;
  readonly high: number;
  readonly runs: number;
  readonly error: string;
}

/** Medians over rounds by contender, metric and cell. */
export function figures(rows: readonly Row[]): Map<string, Figure> {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const key = `${row.contender}\t${row.metric}\t${row.cell}`;
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  return new Map(
    [...groups].map(([key, group]) => {
      const values = group.map((r) => r.value).filter((v) => v !== null);
      const error = group.find((r) => r.error !== undefined)?.error ?? "";
      return [
        key,
        {
          value: values.length > 0 ? median(values) : Number.NaN,
          low: Math.min(...values),
          high: Math.max(...values),
          runs: values.length,
          error,
        },
      ];
    }),
  );
}

function short(value: number): string {
  if (Number.isNaN(value)) return "-";
  if (value >= 100) return value.toFixed(0);
  if (value >= 10) return value.toFixed(1);
  return value.toFixed(2);
}

function keysOf(rows: readonly Row[]): string[] {
  return [...new Set(rows.map((r) => `${r.metric}\t${r.cell}`))];
}

/** The table: one line per metric and cell, one column per contender, the ratio to Postfix in brackets. */
export function table(rows: readonly Row[]): string {
  const all = figures(rows);
  const names = [...new Set(rows.map((r) => r.contender))];
  const cellOf = (name: string, key: string): string => {
    const f = all.get(`${name}\t${key}`);
    if (f === undefined) return "";
    const reference = all.get(`${REFERENCE}\t${key}`)?.value ?? Number.NaN;
    const ratio =
      name === REFERENCE || Number.isNaN(reference) || reference === 0
        ? ""
        : ` (${short(f.value / reference)}x)`;
    const spread =
      f.runs > 1 && f.value > 0 ? ` ±${Math.round(((f.high - f.low) / 2 / f.value) * 100)}%` : "";
    return `${short(f.value)}${ratio}${spread}${f.error === "" ? "" : " !"}`;
  };
  const lines = [
    ["metric", "cell", ...names],
    ...keysOf(rows).map((key) => [...key.split("\t"), ...names.map((n) => cellOf(n, key))]),
  ];
  const widths = lines[0]?.map((_, i) => Math.max(...lines.map((l) => (l[i] ?? "").length))) ?? [];
  const text = lines.map((l) =>
    l
      .map((c, i) => c.padEnd(widths[i] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  const errors = [...all]
    .filter(([, f]) => f.error !== "")
    .map(([key, f]) => `! ${key.replaceAll("\t", " ")}: ${f.error}`);
  return `${[...text, ...errors].join("\n")}\n`;
}

interface Budget {
  readonly what: string;
  readonly figure: (all: Map<string, Figure>) => number;
  readonly must: number;
  readonly aim: number;
  readonly direction: "at least" | "at most";
  readonly unit: string;
}

const value = (all: Map<string, Figure>, name: string, metric: string, cell: string): number =>
  all.get(`${name}\t${metric}\t${cell}`)?.value ?? Number.NaN;
const ratio = (metric: string, cell: string) => (all: Map<string, Figure>) =>
  value(all, "postern", metric, cell) / value(all, REFERENCE, metric, cell);
const plain =
  (name: string, metric: string, cell: string, scale = 1) =>
  (all: Map<string, Figure>) =>
    value(all, name, metric, cell) / scale;

/** Section 7 of the contract, as far as the host can measure it. */
export function budgets(depth: number): readonly Budget[] {
  const at = `depth ${depth}`;
  return [
    {
      what: "relayed/s 10k/10 against Postfix",
      figure: ratio("relayed/s", "10k/10"),
      must: 1.5,
      aim: 3,
      direction: "at least",
      unit: "x",
    },
    {
      what: "relayed/s 1k/10 kept against Postfix",
      figure: ratio("relayed/s", "1k/10/keep"),
      must: 2,
      aim: 5,
      direction: "at least",
      unit: "x",
    },
    {
      what: "CPU per 1000, 1k/10 against Postfix",
      figure: ratio("cpu s/1000", "1k/10"),
      must: 0.5,
      aim: 0.25,
      direction: "at most",
      unit: "x",
    },
    {
      what: "flash kB per message 1k/1",
      figure: plain("postern", "flash bytes/message", "1k/1", 1000),
      must: 8,
      aim: 4,
      direction: "at most",
      unit: "kB",
    },
    {
      what: "flash kB per message 1k/10",
      figure: plain("postern", "flash bytes/message", "1k/10", 1000),
      must: 5,
      aim: 3,
      direction: "at most",
      unit: "kB",
    },
    {
      what: "flash MB per message 1M/1",
      figure: plain("postern", "flash bytes/message", "1M/1", 1e6),
      must: 1.05,
      aim: 1.01,
      direction: "at most",
      unit: "MB",
    },
    {
      what: "flash bytes per message, interactive",
      figure: plain("postern-interactive", "flash bytes/message", "1k/10"),
      must: 0,
      aim: 0,
      direction: "at most",
      unit: "B",
    },
    {
      what: "accept latency p99 against Postfix",
      figure: ratio("latency p99", "1k/1"),
      must: 1,
      aim: 0.5,
      direction: "at most",
      unit: "x",
    },
    {
      what: "private dirty 10k/50",
      figure: plain("postern", "private dirty", "10k/50"),
      must: 64,
      aim: 40,
      direction: "at most",
      unit: "MB",
    },
    {
      what: "private dirty 1M/10",
      figure: plain("postern", "private dirty", "1M/10"),
      must: 64,
      aim: 40,
      direction: "at most",
      unit: "MB",
    },
    {
      what: `accept rate at ${at} against empty`,
      figure: (all) =>
        value(all, "postern", "accepted/s", at) / value(all, "postern", "accepted/s", "depth 0"),
      must: 0.9,
      aim: 1,
      direction: "at least",
      unit: "x",
    },
    {
      what: `mailq at ${at}`,
      figure: plain("postern", "mailq", at),
      must: 1,
      aim: 0.2,
      direction: "at most",
      unit: "s",
    },
    {
      what: `flush at ${at} against Postfix`,
      figure: ratio("flushed/s", at),
      must: 0.7,
      aim: 1.5,
      direction: "at least",
      unit: "x",
    },
  ];
}

export function budgetTable(rows: readonly Row[], depth: number): string {
  const all = figures(rows);
  const lines = budgets(depth)
    .map((b) => ({ b, got: b.figure(all) }))
    .filter(({ got }) => !Number.isNaN(got))
    .map(({ b, got }) => {
      const met = (limit: number): boolean => (b.direction === "at least" ? got >= limit : got <= limit);
      const verdict = met(b.aim) ? "aim reached" : met(b.must) ? "must reached" : "MISSED";
      return `${b.what.padEnd(42)} must ${b.direction} ${b.must}, aim ${b.aim} ${b.unit}: ${short(got)} ${b.unit}  ${verdict}`;
    });
  return lines.length === 0 ? "" : `budgets\n${lines.join("\n")}\n`;
}

/** A self-contained page: one bar chart per metric and cell. */
export function page(rows: readonly Row[], title: string): string {
  const all = figures(rows);
  const names = [...new Set(rows.map((r) => r.contender))];
  const charts = keysOf(rows).map((key) => {
    const bars = names
      .map((name) => ({ name, f: all.get(`${name}\t${key}`) }))
      .filter((b): b is { name: string; f: Figure } => b.f !== undefined && !Number.isNaN(b.f.value));
    const most = Math.max(...bars.map((b) => b.f.high), 1e-9);
    const lines = bars.map((b, i) => {
      const y = 24 + i * 22;
      const w = (b.f.value / most) * 420;
      const noise = `<line x1="${150 + (b.f.low / most) * 420}" x2="${150 + (b.f.high / most) * 420}" y1="${y + 8}" y2="${y + 8}" stroke="#222"/>`;
      return `<text x="144" y="${y + 12}" text-anchor="end">${b.name}</text><rect x="150" y="${y}" width="${w}" height="16" fill="${b.name.startsWith("postern") ? "#2a6f4e" : "#9aa7b1"}"/>${noise}<text x="${156 + w}" y="${y + 12}">${short(b.f.value)}</text>`;
    });
    return `<svg width="680" height="${34 + bars.length * 22}"><text x="4" y="14" font-weight="bold">${key.replace("\t", ", ")}</text>${lines.join("")}</svg>`;
  });
  return `<!doctype html><meta charset="utf-8"><title>${title}</title><style>body{font:13px sans-serif;margin:2em;max-width:1400px}svg{margin:6px}</style><h1>${title}</h1>${charts.join("\n")}`;
}
