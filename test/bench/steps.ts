// The steps of a run, in their order: growth, then each round the matrix (every cell by every contender in turn) and the other
// scenarios, then f2fs. A contender that a cap has cut in a scenario is not asked the same again in the next round.

import { type Cell, cellName } from "./cell.ts";
import type { Contender } from "./contender.ts";
import { grow, POINTS, type Point } from "./growth.ts";
import type { Load } from "./load.ts";
import { Matrix } from "./matrix.ts";
import { hasFileSystem } from "./measure.ts";
import type { Step } from "./plan.ts";
import { type Emit, SCENARIOS, type Settings } from "./scenario.ts";

export interface Wishes {
  readonly contenders: readonly Contender[];
  readonly cells: readonly Cell[];
  readonly f2fsCells: readonly Cell[];
  /** "throughput", "f2fs", "growth" and the names of SCENARIOS. */
  readonly scenarios: readonly string[];
  readonly rounds: number;
  readonly settings: Settings;
}

export interface Told {
  /** Takes a row of round n. */
  row(n: number): Emit;
  points(points: readonly Point[]): void;
  failed(contender: string, metric: string, error: unknown): void;
}

const SLOW = new Set(["sendmail", "exim", "opensmtpd"]);
const START_SECONDS = 6;
const OVERHEAD_SECONDS = 0.7;
/** Guesses for a first round: [fast, slow] seconds. */
const GUESSES = new Map<string, readonly [number, number]>([
  ["latency", [10, 15]],
  ["memory", [15, 22]],
  ["syncs", [14, 24]],
  ["deep", [10, 95]],
]);
const GROWTH_SECONDS = 5;

function matrixSteps(matrix: Matrix, w: Wishes, n: number, cells: readonly Cell[], prefix: string): Step[] {
  return [
    ...cells.flatMap((cell, i) =>
      w.contenders.map((c) => ({
        what: `${prefix === "" ? `round ${n}/${w.rounds}: ` : prefix}${cellName(cell)} ${c.name}`,
        kind: `${prefix}${i === 0 && n === 1} ${SLOW.has(c.name) ? c.name : "fast"} ${cell.bytes > 1e5}`,
        seconds:
          w.settings.seconds * (SLOW.has(c.name) ? 1.6 : 1) +
          OVERHEAD_SECONDS +
          (i === 0 && n === 1 ? START_SECONDS : 0),
        run: () => matrix.cell(c, cell, n, prefix),
      })),
    ),
  ];
}

/** `matrices` gets every matrix made, for who ends them after a failure. */
export function stepsOf(w: Wishes, load: Load, told: Told, matrices: Matrix[]): Step[] {
  const steps: Step[] = [];
  const has = (scenario: string): boolean => w.scenarios.includes(scenario);
  const matrixOf = (settings: Settings): Matrix => {
    const made = new Matrix(load, settings, told);
    matrices.push(made);
    return made;
  };
  if (has("growth"))
    for (const [what, sizes] of POINTS)
      for (const at of sizes)
        steps.push({
          what: `growth: ${what} ${at}`,
          kind: `growth ${what} ${at}`,
          seconds: GROWTH_SECONDS,
          run: async () => told.points(await grow(what, at, `${w.settings.work}/tmp`)),
        });
  const main = matrixOf(w.settings);
  const cut = new Set<string>();
  for (let n = 1; n <= w.rounds; n++) {
    if (has("throughput")) {
      steps.push(...matrixSteps(main, w, n, w.cells, ""));
      steps.push({
        what: `round ${n}: end`,
        kind: "end",
        seconds: 2 * w.contenders.length,
        run: () => main.end(),
      });
    }
    for (const [name, scenario] of SCENARIOS) {
      if (!has(name) || (name === "syncs" && n > 1)) continue;
      for (const c of w.contenders) {
        // A dead next hop makes all modes the same; the limit has no queue to list.
        if (name === "deep" && (c.mode !== undefined || c.mailq === undefined)) continue;
        const [fast, slow] = GUESSES.get(name) ?? [10, 10];
        steps.push({
          what: `round ${n}/${w.rounds}: ${name} ${c.name}`,
          kind: `${name} ${c.name}`,
          seconds:
            (SLOW.has(c.name) ? (n === 1 ? slow : 0) : fast) + (name === "deep" ? w.settings.depth / 400 : 0),
          run: async () => {
            if (cut.has(`${name} ${c.name}`)) return;
            try {
              await scenario(c, load, w.settings, (row) => {
                if (row.error !== undefined) cut.add(`${name} ${c.name}`);
                told.row(n)(row);
              });
            } catch (e) {
              cut.add(`${name} ${c.name}`);
              told.failed(c.name, name, e);
            }
          },
        });
      }
    }
  }
  if (has("f2fs") && w.contenders.length > 0) {
    const f2fs = matrixOf({ ...w.settings, fileSystem: "f2fs" });
    if (hasFileSystem("f2fs")) {
      steps.push(...matrixSteps(f2fs, w, 1, w.f2fsCells, "f2fs "));
      steps.push({
        what: "f2fs: end",
        kind: "end",
        seconds: 2 * w.contenders.length,
        run: () => f2fs.end(),
      });
    } else told.failed("f2fs", "flash", "this kernel has no f2fs: bytes written are those of ext4 only");
  }
  return steps;
}
