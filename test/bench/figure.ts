// From rows to figures: the median over the rounds, and the ratio to another contender taken round by round, because what ran in the
// same turn met the same machine. The noise of both is half of the distance between the lowest and the highest round.

import { median } from "./measure.ts";
import type { Row } from "./scenario.ts";

export interface Spread {
  readonly value: number;
  readonly low: number;
  readonly high: number;
  readonly runs: number;
}

export interface Figure extends Spread {
  readonly error: string;
  /** The most that others used of the machine meanwhile, 0 to 1. */
  readonly other: number;
}

/** Half the range as a part of the value; NaN when there was one round only. */
export function noise(s: Spread): number {
  return s.runs < 2 || s.value === 0 ? Number.NaN : (s.high - s.low) / 2 / s.value;
}

function spread(values: readonly number[]): Spread {
  return {
    value: values.length > 0 ? median(values) : Number.NaN,
    low: Math.min(...values),
    high: Math.max(...values),
    runs: values.length,
  };
}

export class Figures {
  readonly contenders: readonly string[];
  readonly #groups: Map<string, Row[]>;

  constructor(rows: readonly Row[]) {
    this.contenders = [...new Set(rows.map((r) => r.contender))];
    this.#groups = Map.groupBy(rows, (r) => `${r.contender}\t${r.metric}\t${r.cell}`);
  }

  #rows(contender: string, metric: string, cell: string): readonly Row[] {
    return this.#groups.get(`${contender}\t${metric}\t${cell}`) ?? [];
  }

  figure(contender: string, metric: string, cell: string): Figure | undefined {
    const rows = this.#rows(contender, metric, cell);
    if (rows.length === 0) return undefined;
    const values = rows.map((r) => r.value).filter((v) => v !== null);
    return {
      ...spread(values),
      error: rows.find((r) => r.error !== undefined)?.error ?? "",
      other: Math.max(0, ...rows.map((r) => r.other ?? 0)),
    };
  }

  /** NaN when it was not measured. */
  value(contender: string, metric: string, cell: string): number {
    return this.figure(contender, metric, cell)?.value ?? Number.NaN;
  }

  /** `contender` / `other`, by round. */
  ratio(contender: string, other: string, metric: string, cell: string): Spread {
    const theirs = new Map(this.#rows(other, metric, cell).map((r) => [r.round ?? 1, r.value]));
    const ratios = this.#rows(contender, metric, cell).flatMap((r) => {
      const base = theirs.get(r.round ?? 1);
      return r.value === null || base === undefined || base === null || base === 0 ? [] : [r.value / base];
    });
    if (ratios.length > 0) return spread(ratios);
    const base = this.value(other, metric, cell);
    return { ...spread([]), value: base === 0 ? Number.NaN : this.value(contender, metric, cell) / base };
  }

  /** Metrics in the order of their first row, each with its cells. */
  metrics(): Map<string, string[]> {
    const found = new Map<string, string[]>();
    for (const key of this.#groups.keys()) {
      const [, metric = "", cell = ""] = key.split("\t");
      // Only an error, of no cell.
      if (cell === "-") continue;
      const cells = found.get(metric) ?? [];
      if (!cells.includes(cell)) cells.push(cell);
      found.set(metric, cells);
    }
    return found;
  }

  /** What failed or was cut, a line each. */
  errors(): string[] {
    return [
      ...new Set(
        [...this.#groups.values()].flatMap((rows) =>
          rows
            .filter((r) => r.error !== undefined)
            .map((r) => `${r.contender}, ${r.metric}${r.cell === "-" ? "" : ` ${r.cell}`}: ${r.error}`),
        ),
      ),
    ];
  }
}

export function short(value: number): string {
  if (Number.isNaN(value)) return "-";
  if (value >= 100_000) return `${(value / 1000).toFixed(0)}k`;
  if (value >= 100) return value.toFixed(0);
  if (value >= 10) return value.toFixed(1);
  return value === 0 ? "0" : value.toFixed(2);
}

/** "±4%", or nothing after a single round. */
export function percent(s: Spread): string {
  const part = noise(s);
  return Number.isNaN(part) ? "" : `±${Math.round(part * 100)}%`;
}
