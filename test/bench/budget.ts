// The budgets: what must be reached, what is aimed at, and which figure of a run says so. Ratios are to Postfix in the same run.

import { type Figures, percent, type Spread, short } from "./figure.ts";

const REFERENCE = "postfix";

export interface Budget {
  readonly what: string;
  readonly figure: (all: Figures) => Spread;
  readonly must: number;
  readonly aim: number;
  readonly direction: "at least" | "at most";
  readonly unit: string;
}

const ratio =
  (metric: string, cell: string) =>
  (all: Figures): Spread =>
    all.ratio("postern", REFERENCE, metric, cell);
const plain =
  (name: string, metric: string, cell: string, scale = 1) =>
  (all: Figures): Spread => {
    const f = all.figure(name, metric, cell);
    const { value, low, high, runs } = f ?? { value: Number.NaN, low: 0, high: 0, runs: 0 };
    return { value: value / scale, low: low / scale, high: high / scale, runs };
  };

/** What the host can measure of them; boards measure the others (board.ts). */
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
      what: "flash bytes in 4 idle seconds",
      figure: plain("postern", "flash bytes idle", "4 s"),
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
      figure: (all) => {
        const at0 = all.value("postern", "accepted/s", "depth 0");
        const { value, low, high, runs } = plain("postern", "accepted/s", at)(all);
        return { value: value / at0, low: low / at0, high: high / at0, runs };
      },
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

export interface Verdict {
  readonly budget: Budget;
  readonly got: Spread;
  readonly verdict: "aim reached" | "must reached" | "MISSED";
}

/** The budgets that this run measured. */
export function verdicts(all: Figures, depth: number): Verdict[] {
  return budgets(depth)
    .map((budget) => ({ budget, got: budget.figure(all) }))
    .filter(({ got }) => !Number.isNaN(got.value))
    .map(({ budget, got }) => {
      const met = (limit: number): boolean =>
        budget.direction === "at least" ? got.value >= limit : got.value <= limit;
      return {
        budget,
        got,
        verdict: met(budget.aim) ? "aim reached" : met(budget.must) ? "must reached" : "MISSED",
      };
    });
}

export function budgetTable(all: Figures, depth: number): string {
  const lines = verdicts(all, depth).map(({ budget: b, got, verdict }) => {
    const figure = `${short(got.value)} ${b.unit} ${percent(got)}`;
    return `${b.what.padEnd(42)} must ${b.direction} ${b.must}, aim ${b.aim} ${b.unit}: ${figure.padEnd(16)} ${verdict}`;
  });
  return lines.length === 0 ? "" : `budgets\n${lines.join("\n")}\n`;
}
