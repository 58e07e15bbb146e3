// A treemap as one HTML file without scripts: areas are bytes, first by folder or package, then by file; names and bytes on hover.
// Rectangles are laid out by halving: the larger half of the bytes on one side, cut across the longer edge.

/** Bytes by path, of one group. */
export interface Group {
  readonly name: string;
  readonly files: ReadonlyMap<string, number>;
}

interface Item {
  readonly name: string;
  readonly bytes: number;
}

interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

const WIDTH = 1200;
const HEIGHT = 760;
/** Smaller boxes get no text. */
const TEXT_WIDTH_MIN = 60;
const TEXT_HEIGHT_MIN = 14;

function total(items: readonly Item[]): number {
  return items.reduce((sum, item) => sum + item.bytes, 0);
}

/** Gives every item its box; `items` are sorted, the largest first. */
function place<T extends Item>(items: readonly T[], box: Box, put: (item: T, box: Box) => void): void {
  const [first] = items;
  if (first === undefined) return;
  if (items.length === 1) {
    put(first, box);
    return;
  }
  const whole = total(items);
  let count = 1;
  let bytes = first.bytes;
  while (count < items.length - 1 && bytes < whole / 2) bytes += items[count++]?.bytes ?? 0;
  const share = whole === 0 ? 0.5 : bytes / whole;
  const wide = box.width >= box.height;
  const one = wide ? { ...box, width: box.width * share } : { ...box, height: box.height * share };
  const other = wide
    ? { ...box, x: box.x + one.width, width: box.width - one.width }
    : { ...box, y: box.y + one.height, height: box.height - one.height };
  place(items.slice(0, count), one, put);
  place(items.slice(count), other, put);
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
}

function drawn(name: string, bytes: number, box: Box, hue: number): string {
  const label = box.width > TEXT_WIDTH_MIN && box.height > TEXT_HEIGHT_MIN ? escaped(name) : "";
  const at = `left:${box.x.toFixed(1)}px;top:${box.y.toFixed(1)}px;width:${box.width.toFixed(1)}px;height:${box.height.toFixed(1)}px`;
  return `<div style="${at};background:hsl(${hue} 45% 80%)" title="${escaped(name)}: ${bytes} bytes">${label}</div>`;
}

/** The page. */
export function treemap(title: string, groups: readonly Group[]): string {
  const sorted = groups
    .map((group) => ({
      ...group,
      items: [...group.files].map(([name, bytes]) => ({ name, bytes })).sort((a, b) => b.bytes - a.bytes),
    }))
    .map((group) => ({ ...group, bytes: total(group.items) }))
    .sort((a, b) => b.bytes - a.bytes);
  const boxes: string[] = [];
  let hue = 0;
  place(sorted, { x: 0, y: 0, width: WIDTH, height: HEIGHT }, (group, box) => {
    hue = (hue + 47) % 360;
    const own = hue;
    place(group.items, box, (item, inner) => boxes.push(drawn(item.name, item.bytes, inner, own)));
  });
  return `<!doctype html>
<meta charset="utf-8">
<title>${escaped(title)}</title>
<style>
body { font: 11px sans-serif; }
main { position: relative; width: ${WIDTH}px; height: ${HEIGHT}px; }
div { position: absolute; box-sizing: border-box; border: 1px solid #fff; overflow: hidden; }
</style>
<h1>${escaped(title)}, ${total(sorted)} bytes</h1>
<main>
${boxes.join("\n")}
</main>
`;
}
