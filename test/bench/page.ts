// The page of a run: one HTML file that needs nothing but a browser. Budgets first, then plots, then every figure as a table.

import { verdicts } from "./budget.ts";
import { cellWords } from "./cell.ts";
import { type Figure, Figures, percent, short } from "./figure.ts";
import { headline } from "./machine.ts";
import { type Bar, bars, escaped, lines, type PlotPoint, type Series } from "./plot.ts";
import type { Results } from "./results.ts";

const COLOURS = new Map([
  ["postern", "#128a52"],
  ["postern-interactive", "#4fb487"],
  ["postern-queueonly", "#93c9ad"],
  ["postfix", "#2f6fd0"],
  ["sendmail", "#c2572a"],
  ["exim", "#9a5bc0"],
  ["opensmtpd", "#c09212"],
  ["limit", "#7a8288"],
  ["limit-interactive", "#a3aab0"],
]);
const REFERENCE = "postfix";

const colour = (name: string): string => COLOURS.get(name) ?? "#888";

const STYLE = `
:root{color-scheme:light dark;--ink:#1c2226;--soft:#5d676e;--line:#d9dee2;--card:#fff;--back:#f4f6f7;--good:#128a52;--bad:#c0341d}
@media (prefers-color-scheme:dark){:root{--ink:#e3e8eb;--soft:#98a3aa;--line:#39424a;--card:#1d2328;--back:#14181b;--good:#4fc38b;--bad:#ff8066}}
body{margin:0;background:var(--back);color:var(--ink);font:15px/1.5 system-ui,"DejaVu Sans",sans-serif}
main{max-width:1380px;margin:0 auto;padding:28px 24px 60px}
h1{font-size:26px;margin:0 0 4px}h2{font-size:19px;margin:38px 0 4px}p{margin:4px 0 12px;max-width:95ch;color:var(--soft)}
.plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(400px,1fr));gap:14px}
svg{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:8px;box-sizing:border-box;width:100%;height:auto;color:var(--ink)}
svg{fill:currentColor}svg text{font:11px system-ui,"DejaVu Sans",sans-serif}
svg .title{font-weight:600;font-size:13px}svg .tick{fill:var(--soft)}svg .grid{stroke:var(--line);fill:none}
svg .lead{fill:none;stroke-width:.7;opacity:.6}svg .whisker{stroke:var(--ink);stroke-width:1.4}
table{border-collapse:collapse;background:var(--card);border:1px solid var(--line);border-radius:8px;font-size:13px;margin:8px 0 18px;display:block;overflow-x:auto;width:fit-content;max-width:100%}
th,td{padding:4px 11px;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap;font-variant-numeric:tabular-nums}
th:first-child,td:first-child{text-align:left}th{font-weight:600}td small{color:var(--soft)}
.good{color:var(--good)}.bad{color:var(--bad);font-weight:600}li{margin:2px 0}
`;

function pointOf(f: Figure | undefined): PlotPoint | null {
  return f === undefined || Number.isNaN(f.value) ? null : { value: f.value, low: f.low, high: f.high };
}

function barsOf(all: Figures, title: string, metric: string, cell: string, scale = 1): string {
  const found: Bar[] = all.contenders.flatMap((name) => {
    const f = all.figure(name, metric, cell);
    const p = pointOf(f);
    if (f === undefined || p === null) return [];
    const bar = { value: p.value / scale, low: p.low / scale, high: p.high / scale };
    return [{ name, colour: colour(name), note: f.error === "" ? "" : "(cut)", ...bar }];
  });
  return found.some((b) => b.high > 0) ? bars(title, found) : "";
}

/** One plot for each size and way of connecting: a line for each contender over the number of sessions. */
function matrixPlots(all: Figures, metric: string, unit: string, scale = 1): string {
  const cells = all.metrics().get(metric) ?? [];
  // One number of sessions makes no line.
  const groups = Map.groupBy(cells, (cell) => cell.replace(/\/\d+/, ""));
  return [...groups]
    .map(([group, members]) => {
      const sessions = members.map((cell) => /\/(\d+)/.exec(cell)?.[1] ?? "");
      const series: Series[] = all.contenders.map((name) => ({
        name,
        colour: colour(name),
        dashed: name.startsWith("limit"),
        points: members.map((cell) => {
          const p = pointOf(all.figure(name, metric, cell));
          return p === null ? null : { value: p.value / scale, low: p.low / scale, high: p.high / scale };
        }),
      }));
      const [size = "", kept] = group.split("/");
      const only = members.length === 1 ? (members[0] ?? "") : "";
      if (only !== "") return barsOf(all, `${unit}: ${cellWords(only)}`, metric, only, scale);
      const words = `${size.replace(/(\d+)([kM])/, "$1 $2B")}, ${kept === undefined ? "a connection each" : "kept connections"}`;
      return lines({ title: `${unit}: ${words}`, xTitle: "sessions", places: sessions, series, log: true });
    })
    .join("");
}

/** A linear axis would show the last point only. */
function wide(values: readonly number[]): boolean {
  return Math.min(...values) > 0 && Math.max(...values) > 30 * Math.min(...values);
}

function growthPlots(r: Results): string {
  return [...Map.groupBy(r.growth, (p) => p.what)]
    .flatMap(([what, points]) => {
      const sizes = [...new Set(points.map((p) => p.at))];
      return [...new Set(points.filter((p) => p.value !== null).map((p) => p.metric))].map((metric) => {
        const found = sizes.map((at) => points.find((p) => p.at === at && p.metric === metric));
        const unit = found.find((p) => p !== undefined)?.unit ?? "";
        return lines({
          title: `${metric}, ${unit}`,
          xTitle:
            what === "queue"
              ? "messages in the queue"
              : what === "table"
                ? "lines of a table"
                : "idle connections",
          places: sizes.map((s) => s.toLocaleString("en")),
          series: [
            {
              name: "postern",
              colour: colour("postern"),
              points: found.map((p) =>
                p?.value === null || p === undefined ? null : { value: p.value, low: p.value, high: p.value },
              ),
            },
          ],
          log: wide(found.flatMap((p) => (typeof p?.value === "number" ? [p.value] : []))),
        });
      });
    })
    .join("");
}

function budgetRows(all: Figures, depth: number): string {
  const body = verdicts(all, depth).map(({ budget: b, got, verdict }) => {
    const kind = verdict === "MISSED" ? "bad" : "good";
    return `<tr><td>${escaped(b.what)}</td><td>${b.direction} ${b.must} ${b.unit}</td><td>${b.aim} ${b.unit}</td><td>${short(got.value)} ${b.unit} <small>${percent(got)}</small></td><td class="${kind}">${verdict}</td></tr>`;
  });
  return body.length === 0
    ? ""
    : `<h2>Budgets</h2><p>Ratios are to Postfix in the same turn of the same run; ± is half of the distance between the rounds.</p><table><tr><th>what</th><th>must</th><th>aim</th><th>measured</th><th></th></tr>${body.join("")}</table>`;
}

function figureTables(all: Figures): string {
  const block = ([metric, cells]: [string, string[]]): string => {
    const names = all.contenders.filter((n) => cells.some((c) => all.figure(n, metric, c) !== undefined));
    const rows = cells.map((cell) => {
      const tds = names.map((name) => {
        const f = all.figure(name, metric, cell);
        if (f === undefined) return "<td></td>";
        const ratio = all.ratio(name, REFERENCE, metric, cell);
        const beside =
          name === REFERENCE || Number.isNaN(ratio.value)
            ? percent(f)
            : `${short(ratio.value)}x ${percent(ratio)}`;
        const mark = `${f.error === "" ? "" : "!"}${f.other > 0.2 ? "~" : ""}`;
        return `<td title="${escaped(f.error)}">${short(f.value)} <small>${beside}${mark}</small></td>`;
      });
      return `<tr><td>${escaped(cellWords(cell))}</td>${tds.join("")}</tr>`;
    });
    return `<table><tr><th>${escaped(metric)}</th>${names.map((n) => `<th>${n}</th>`).join("")}</tr>${rows.join("")}</table>`;
  };
  return [...all.metrics()]
    .filter(([metric]) => metric !== "start")
    .map(block)
    .join("");
}

function section(title: string, text: string, plots: string): string {
  return plots === "" ? "" : `<h2>${title}</h2><p>${text}</p><div class="plots">${plots}</div>`;
}

function plots(r: Results, all: Figures): string {
  const deep = `depth ${r.settings.depth}`;
  const deepWords = `${r.settings.depth.toLocaleString("en")} queued`;
  return [
    section(
      "Relayed messages a second",
      "From the first connection until the next hop has the last message. The axis is logarithmic; whiskers go from round to round. “limit” is the least that a Node program can do: no checks, no recovery.",
      matrixPlots(all, "relayed/s", "messages/s"),
    ),
    section(
      "CPU",
      "Seconds of all its processes for 1000 messages. Less is better.",
      matrixPlots(all, "cpu s/1000", "CPU s per 1000"),
    ),
    section(
      "Flash",
      "kB that reach the device for a message, the journal included (ext4 on a loop device, synced). OpenSMTPD does not sync before its 250; interactive delivery writes nothing when the next hop takes the message. 0 stands at the foot of the logarithmic axis.",
      matrixPlots(all, "flash bytes/message", "kB per message", 1000) +
        barsOf(all, "bytes in 4 idle seconds", "flash bytes idle", "4 s") +
        barsOf(all, "f2fs: kB per message, 1 kB, 10 sessions", "f2fs flash bytes/message", "1k/10", 1000) +
        barsOf(all, "syncs per message, 1 kB, 1 session", "syncs/message", "1k/1") +
        barsOf(all, "syncs per message, 1 kB, 10 sessions", "syncs/message", "1k/10"),
    ),
    section(
      "Latency of accepting",
      "One kept connection, 1 kB, one message after the other: milliseconds from MAIL to the 250 after the final dot.",
      barsOf(all, "median, ms", "latency p50", "1k/1") + barsOf(all, "p99, ms", "latency p99", "1k/1"),
    ),
    section(
      "Memory",
      "MB of all processes: private dirty memory cannot be taken back by the kernel, PSS has the shared parts too. Peaks under load.",
      ["private dirty", "pss"]
        .flatMap((metric) =>
          ["idle", "10k/50", "1M/10"].map((cell) =>
            barsOf(
              all,
              `${metric === "pss" ? "PSS" : "private dirty"}, MB: ${cellWords(cell)}`,
              metric,
              cell,
            ),
          ),
        )
        .join(""),
    ),
    section(
      "A deep queue",
      "The next hop is down while the queue fills, then comes back. (cut): it did not get so deep, or not done, in the time it was given; the list below says how far.",
      barsOf(all, "accepted/s, empty queue", "accepted/s", "depth 0") +
        barsOf(all, `accepted/s, ${deepWords}`, "accepted/s", deep) +
        barsOf(all, `mailq, s, ${deepWords}`, "mailq", deep) +
        barsOf(all, `flushed/s, ${deepWords}`, "flushed/s", deep) +
        barsOf(all, `private dirty MB, ${deepWords}`, "private dirty", deep),
    ),
    section(
      "How cost grows",
      "Postern alone: the queue's own code on this disk, idle connections to a gateway, a table as makemap makes it. Where the values span more than a factor of 30 the axis is logarithmic.",
      growthPlots(r),
    ),
  ].join("");
}

/** The whole page. */
export function page(r: Results): string {
  const all = new Figures(r.rows);
  const errors = [
    ...all.errors(),
    ...(r.left.length > 0 ? [`no time for ${r.left.length} steps, the first: ${r.left[0]}`] : []),
  ];
  const notes =
    errors.length === 0
      ? ""
      : `<h2>What failed or was cut short</h2><ul>${errors.map((e) => `<li>${escaped(e)}</li>`).join("")}</ul>`;
  const how = `${r.rounds} ${r.rounds === 1 ? "round" : "rounds"} in ${r.minutes} minutes, about ${r.settings.seconds} s a cell; contenders take turns within seconds. Postern: ${r.machine.program}. Peers: Debian's packages (${r.machine.versions.join(", ") || "none"}) in overlays of the root file system.`;
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Postern: what it costs</title><style>${STYLE}</style><main><h1>Postern: what it costs</h1><p>${escaped(headline(r.machine))}. ${escaped(how)}</p>${budgetRows(all, r.settings.depth)}${plots(r, all)}${notes}<h2>All figures</h2><p>Each with its ratio to Postfix and the noise of that ratio. !: cut short or failed. ~: others used more than a fifth of the machine.</p>${figureTables(all)}</main></html>\n`;
}
