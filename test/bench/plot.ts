// Plots as SVG text, drawn without a library: lines over a few named places on the x axis, and bars. A whisker goes from the lowest
// to the highest round. Colours and fonts are the page's (classes, currentColor), so that they follow its light or dark dress.

export interface Series {
  readonly name: string;
  readonly colour: string;
  readonly dashed?: boolean;
  /** One for each place on the x axis; null where nothing was measured. */
  readonly points: readonly (PlotPoint | null)[];
}

export interface PlotPoint {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

export interface LinePlot {
  readonly title: string;
  readonly xTitle: string;
  readonly places: readonly string[];
  readonly series: readonly Series[];
  readonly log: boolean;
}

export interface Bar extends PlotPoint {
  readonly name: string;
  readonly colour: string;
  readonly note: string;
}

const WIDTH = 430;
const HEIGHT = 270;
const LEFT = 50;
const RIGHT = 116;
const TOP = 32;
const BOTTOM = 40;
const LABEL_STEP = 12;
const BAR_STEP = 24;
const BAR_LEFT = 124;
const BAR_SPACE = 210;

export function escaped(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}

/** 1234 as "1.2k": an axis has little room. */
export function tick(value: number): string {
  if (value === 0) return "0";
  if (value >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`;
  if (value >= 1000) return `${Number((value / 1000).toPrecision(3))}k`;
  return String(Number(value.toPrecision(3)));
}

interface Scale {
  readonly ticks: readonly number[];
  at(value: number): number;
}

function logScale(values: readonly number[]): Scale {
  const positive = values.filter((v) => v > 0);
  const low = Math.min(...positive) * 0.8;
  const high = Math.max(...positive) * 1.25;
  const decades = Math.log10(high / low);
  const steps = decades > 2.5 ? [1] : decades > 1.2 ? [1, 3] : [1, 2, 5];
  const ticks: number[] = [];
  for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++)
    for (const step of steps) {
      const t = step * 10 ** e;
      if (t >= low && t <= high) ticks.push(t);
    }
  return {
    ticks,
    at: (v) => (Math.log(Math.max(v, low) / low) / Math.log(high / low)) * (HEIGHT - TOP - BOTTOM),
  };
}

function linearScale(values: readonly number[]): Scale {
  const high = Math.max(...values, 1e-9) * 1.08;
  const rough = high / 4;
  const magnitude = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * magnitude).find((n) => n >= rough) ?? rough;
  const ticks: number[] = [];
  for (let t = 0; t <= high; t += step) ticks.push(t);
  return { ticks, at: (v) => (v / high) * (HEIGHT - TOP - BOTTOM) };
}

const px = (n: number): string => String(Math.round(n * 10) / 10);

/** Names at the right ends of the lines, pushed apart where they would overlap. */
function endLabels(series: readonly Series[], y: (v: number) => number, x: (i: number) => number): string {
  const ends = series
    .flatMap((s) => {
      const i = s.points.findLastIndex((p) => p !== null);
      const p = s.points[i];
      return p === null || p === undefined ? [] : [{ s, at: y(p.value), label: y(p.value), from: x(i) }];
    })
    .sort((a, b) => a.at - b.at);
  for (const [i, end] of ends.entries())
    end.label = Math.max(end.at, (ends[i - 1]?.label ?? -LABEL_STEP) + LABEL_STEP);
  const over = (ends.at(-1)?.label ?? 0) - (HEIGHT - BOTTOM);
  if (over > 0) {
    let limit = HEIGHT - BOTTOM;
    for (const end of [...ends].reverse()) {
      end.label = Math.min(end.label, limit);
      limit = end.label - LABEL_STEP;
    }
  }
  const right = WIDTH - RIGHT + 8;
  return ends
    .map(
      ({ s, at, label, from }) =>
        `<path class="lead" d="M${px(from + 4)} ${px(at)}L${right} ${px(label)}" stroke="${s.colour}"/><text x="${right + 3}" y="${px(label + 4)}" fill="${s.colour}">${escaped(s.name)}</text>`,
    )
    .join("");
}

export function lines(plot: LinePlot): string {
  const { places, series } = plot;
  const values = series.flatMap((s) => s.points.flatMap((p) => (p === null ? [] : [p.low, p.high])));
  if (values.length === 0) return "";
  const log = plot.log && values.some((v) => v > 0);
  const scale = log ? logScale(values) : linearScale(values);
  const y = (v: number): number => HEIGHT - BOTTOM - scale.at(v);
  const x = (i: number): number =>
    LEFT + 12 + (i * (WIDTH - LEFT - RIGHT - 24)) / Math.max(1, places.length - 1);
  const grid = scale.ticks.map(
    (t) =>
      `<path class="grid" d="M${LEFT} ${px(y(t))}H${WIDTH - RIGHT}"/><text class="tick" x="${LEFT - 6}" y="${px(y(t) + 4)}" text-anchor="end">${tick(t)}</text>`,
  );
  const names = places.map(
    (place, i) =>
      `<text class="tick" x="${px(x(i))}" y="${HEIGHT - BOTTOM + 16}" text-anchor="middle">${escaped(place)}</text>`,
  );
  const drawn = series.map((s) => {
    const known = s.points.flatMap((p, i) => (p === null ? [] : [{ p, i }]));
    const path = known.map(({ p, i }, n) => `${n === 0 ? "M" : "L"}${px(x(i))} ${px(y(p.value))}`).join("");
    const marks = known.map(
      ({ p, i }) =>
        `<path d="M${px(x(i))} ${px(y(p.low))}V${px(y(p.high))}"/><circle cx="${px(x(i))}" cy="${px(y(p.value))}" r="3" fill="${s.colour}"><title>${escaped(`${s.name}, ${places[i] ?? ""}: ${tick(p.value)}`)}</title></circle>`,
    );
    return `<g stroke="${s.colour}" fill="none" stroke-width="1.8"${s.dashed === true ? ' stroke-dasharray="5 3"' : ""}><path d="${path}"/>${marks.join("")}</g>`;
  });
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escaped(plot.title)}"><text class="title" x="4" y="16">${escaped(plot.title)}</text>${grid.join("")}${names.join("")}<text class="tick" x="${px((LEFT + WIDTH - RIGHT) / 2)}" y="${HEIGHT - 6}" text-anchor="middle">${escaped(plot.xTitle)}</text>${drawn.join("")}${endLabels(series, y, x)}</svg>`;
}

/** Bars from the left, each with its figure at its end. */
export function bars(title: string, all: readonly Bar[]): string {
  if (all.length === 0) return "";
  const most = Math.max(...all.map((b) => b.high), 1e-9);
  const w = (v: number): number => (v / most) * BAR_SPACE;
  const drawn = all.map((b, i) => {
    const top = TOP + i * BAR_STEP;
    const mid = top + 8;
    const whisker =
      b.high > b.low
        ? `<path class="whisker" d="M${px(BAR_LEFT + w(b.low))} ${mid}H${px(BAR_LEFT + w(b.high))}"/>`
        : "";
    return `<text x="${BAR_LEFT - 6}" y="${top + 12}" text-anchor="end">${escaped(b.name)}</text><rect x="${BAR_LEFT}" y="${top}" width="${px(Math.max(1, w(b.value)))}" height="16" fill="${b.colour}"/>${whisker}<text x="${px(BAR_LEFT + w(Math.max(b.value, b.high)) + 6)}" y="${top + 12}">${tick(b.value)}${b.note === "" ? "" : ` ${escaped(b.note)}`}</text>`;
  });
  return `<svg viewBox="0 0 ${WIDTH} ${TOP + all.length * BAR_STEP + 6}" role="img" aria-label="${escaped(title)}"><text class="title" x="4" y="16">${escaped(title)}</text>${drawn.join("")}</svg>`;
}
