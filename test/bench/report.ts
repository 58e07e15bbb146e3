// What the bench prints: for every metric a table of cells by contenders, each with its ratio to Postfix and the noise of that
// ratio; then what failed or was cut, and the growth of cost.

import { type Figures, percent, short } from "./figure.ts";
import type { Point } from "./growth.ts";

const REFERENCE = "postfix";

function aligned(lines: readonly (readonly string[])[]): string {
  const widths = lines[0]?.map((_, i) => Math.max(...lines.map((l) => (l[i] ?? "").length))) ?? [];
  return lines
    .map((l) =>
      l
        .map((c, i) => c.padEnd(widths[i] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** One block for each metric; "2037 2.5x±4%": the figure, its ratio to Postfix, that ratio's noise. "!": see below the tables. */
export function table(all: Figures): string {
  const measured = all.metrics();
  const cellOf = (name: string, metric: string, cell: string): string => {
    const f = all.figure(name, metric, cell);
    if (f === undefined) return "";
    const mark = f.error === "" ? "" : "!";
    const busy = f.other > 0.2 ? "~" : "";
    if (name === REFERENCE) return `${short(f.value)} ${percent(f)}${mark}${busy}`;
    const ratio = all.ratio(name, REFERENCE, metric, cell);
    const beside = Number.isNaN(ratio.value) ? percent(f) : `${short(ratio.value)}x${percent(ratio)}`;
    return `${short(f.value)} ${beside}${mark}${busy}`;
  };
  const blocks = [...measured].map(([metric, cells]) => {
    const names = all.contenders.filter((n) => cells.some((c) => all.figure(n, metric, c) !== undefined));
    return aligned([
      [metric, ...names],
      ...cells.map((cell) => [cell, ...names.map((n) => cellOf(n, metric, cell))]),
    ]);
  });
  const errors = all.errors().map((e) => `! ${e}`);
  return `${[...blocks, errors.join("\n")].filter(Boolean).join("\n\n")}\n`;
}

/** How cost grows: a block for the queue, the connections and the tables. */
export function growthTable(points: readonly Point[]): string {
  const blocks = [...Map.groupBy(points, (p) => p.what)].map(([what, group]) => {
    const metrics = [...new Set(group.map((p) => `${p.metric}, ${p.unit}`))];
    const sizes = [...new Set(group.map((p) => p.at))];
    return aligned([
      [what, ...metrics],
      ...sizes.map((at) => [
        String(at),
        ...metrics.map((m) => {
          const p = group.find((q) => q.at === at && `${q.metric}, ${q.unit}` === m);
          return p === undefined ? "" : p.value === null ? `! ${p.error ?? ""}` : short(p.value);
        }),
      ]),
    ]);
  });
  return blocks.length === 0 ? "" : `how cost grows\n\n${blocks.join("\n\n")}\n`;
}
