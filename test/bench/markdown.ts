// The measured part of the reference page performance.md: tables and plots as Markdown, made of a run's results, between marks.
// markdown.ts [bench.json]: writes the page anew from the last run's results, without measuring.

import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { verdicts } from "./budget.ts";
import { cellWords } from "./cell.ts";
import { chart } from "./chart.ts";
import { Figures, percent, short } from "./figure.ts";
import { headline } from "./machine.ts";
import type { Results } from "./results.ts";

const PAGE = "rootfs/usr/share/doc/postern/performance.md";
/** Each part is written when the run measured it, else it stays. */
const MARKS = {
  measured: ["<!-- measured: written by make bench PUBLISH=1 -->", "<!-- measured: end -->"],
  growth: ["<!-- growth: written by make bench PUBLISH=1 -->", "<!-- growth: end -->"],
} as const;
const REFERENCE = "postfix";
const PEERS = ["postern", "postfix", "sendmail", "exim", "opensmtpd", "limit"];
const MODES = ["postern", "postern-interactive", "postern-queueonly"];
const MODE_CELLS = ["1k/1", "1k/10", "1k/10/keep", "10k/10", "1M/10"];
const NAMES = new Map([
  ["postern", "Postern"],
  ["postern-interactive", "interactive"],
  ["postern-queueonly", "queueonly"],
  ["postfix", "Postfix"],
  ["sendmail", "Sendmail"],
  ["exim", "Exim"],
  ["opensmtpd", "OpenSMTPD"],
  ["limit", "limit"],
]);

const named = (name: string): string => NAMES.get(name) ?? name;
const row = (...columns: readonly string[]): string => `| ${columns.join(" | ")} |`;

function grid(head: readonly string[], body: readonly (readonly string[])[]): string {
  if (body.length === 0) return "";
  return `${[row(...head), row(...head.map(() => "---")), ...body.map((line) => row(...line))].join("\n")}\n`;
}

/** A figure; with more than one round the noise beside it. "!": cut short. */
function figure(all: Figures, name: string, metric: string, cell: string, scale = 1): string {
  const f = all.figure(name, metric, cell);
  if (f === undefined || Number.isNaN(f.value)) return f === undefined ? "" : "failed";
  return `${short(f.value / scale)}${f.error === "" ? "" : " !"}`;
}

function beside(all: Figures, metric: string, cell: string): string {
  const ratio = all.ratio("postern", REFERENCE, metric, cell);
  return Number.isNaN(ratio.value) ? "" : `${short(ratio.value)} x ${percent(ratio)}`.trim();
}

interface Line {
  readonly what: string;
  readonly metric: string;
  readonly cell: string;
  readonly scale?: number;
}

/** Lines of figures by contenders, Postern's ratio to Postfix after the first two. */
function peers(all: Figures, head: string, lines: readonly Line[]): string {
  const measured = lines.filter((l) => PEERS.some((n) => all.figure(n, l.metric, l.cell) !== undefined));
  const names = PEERS.filter((n) => measured.some((l) => all.figure(n, l.metric, l.cell) !== undefined));
  const ratioAfter = names.includes(REFERENCE) && names.includes("postern");
  const columns = (of: (name: string) => string, ratio: string): string[] =>
    names.flatMap((n) => (n === REFERENCE && ratioAfter ? [of(n), ratio] : [of(n)]));
  return grid(
    [head, ...columns(named, "ratio")],
    measured.map((l) => [
      l.what,
      ...columns((n) => figure(all, n, l.metric, l.cell, l.scale), beside(all, l.metric, l.cell)),
    ]),
  );
}

const metricLines = (all: Figures, metric: string, scale = 1): Line[] =>
  (all.metrics().get(metric) ?? []).map((cell) => ({ what: cellWords(cell), metric, cell, scale }));

function bar(all: Figures, title: string, metric: string, cell: string, scale = 1): string {
  const found = PEERS.map((name) => ({ name, value: all.value(name, metric, cell) / scale })).filter(
    ({ value }) => !Number.isNaN(value),
  );
  const places = found.map(({ name }) => named(name));
  const values = found.map(({ value }) => value);
  return chart({ title, xTitle: " ", yTitle: title.split(",")[0] ?? "", places, values, kind: "bar" });
}

function budgetPart(r: Results, all: Figures): string {
  return grid(
    ["what", "must", "aim", "measured", "noise", ""],
    verdicts(all, r.settings.depth).map(({ budget: b, got, verdict }) => [
      b.what,
      `${b.direction} ${b.must} ${b.unit}`,
      `${b.aim} ${b.unit}`,
      `${short(got.value)} ${b.unit}`,
      percent(got),
      verdict === "MISSED" ? "**missed**" : verdict,
    ]),
  );
}

function modePart(all: Figures): string {
  const names = MODES.filter((n) => all.contenders.includes(n));
  if (names.length < 2) return "";
  const lines = MODE_CELLS.flatMap((cell) =>
    (
      [
        ["messages/s", "relayed/s", 1],
        ["CPU s per 1000", "cpu s/1000", 1],
        ["flash kB", "flash bytes/message", 1000],
      ] as const
    )
      .filter(([, metric]) => names.some((n) => all.figure(n, metric, cell) !== undefined))
      .map(([what, metric, scale]) => [
        `${cellWords(cell)}: ${what}`,
        ...names.map((n) => figure(all, n, metric, cell, scale)),
      ]),
  );
  return `### Delivery modes\n\nDurable (background), interactive (the client waits for the next hop; nothing is written when that takes it) and queueonly (accepted,\nthen sent by one queue run; its rate is of both together, the start of that command included).\n\n${grid(["", "durable", ...names.slice(1).map(named)], lines)}`;
}

const GROWTH_TITLES = new Map([
  ["queue", "messages in the queue"],
  ["connections", "idle connections"],
  ["table", "lines of a table"],
]);
/** What is drawn of each; the rest is in the tables. */
const GROWTH_DRAWN = new Map([
  ["queue", ["accepted there", "recovery at start", "memory"]],
  ["connections", ["memory"]],
  ["table", ["makemap", "a lookup"]],
]);

function growthPart(r: Results): string {
  const parts = [...Map.groupBy(r.growth, (p) => p.what)].map(([what, points]) => {
    const metrics = [...new Set(points.filter((p) => p.value !== null).map((p) => p.metric))];
    const sizes = [...new Set(points.map((p) => p.at))];
    const at = (size: number, metric: string) => points.find((p) => p.at === size && p.metric === metric);
    const unit = (metric: string): string => points.find((p) => p.metric === metric)?.unit ?? "";
    const title = GROWTH_TITLES.get(what) ?? what;
    const table = grid(
      [title, ...metrics.map((m) => `${m}, ${unit(m)}`)],
      sizes.map((size) => [
        size.toLocaleString("en"),
        ...metrics.map((m) => short(at(size, m)?.value ?? Number.NaN)),
      ]),
    );
    const charts = (GROWTH_DRAWN.get(what) ?? []).map((metric) => {
      const known = sizes.filter((size) => typeof at(size, metric)?.value === "number");
      return chart({
        title: `${metric}, ${unit(metric)}`,
        xTitle: title,
        yTitle: unit(metric),
        places: known.map((size) => size.toLocaleString("en").replaceAll(",", " ")),
        values: known.map((size) => Math.max(0, at(size, metric)?.value ?? 0)),
        kind: "line",
      });
    });
    return [table, ...charts].filter(Boolean).join("\n");
  });
  return parts.length === 0
    ? ""
    : `## How cost grows\n\n${headline(r.machine)}, load ${r.machine.load.toFixed(1)}. Postern alone, each point a process of its own. The steps of the x axis are about a factor of ten, not of equal size.\n\n${parts.join("\n")}`;
}

function errorPart(r: Results, all: Figures): string {
  const errors = all.errors();
  if (r.left.length > 0) errors.push(`no time was left for ${r.left.length} steps, the first: ${r.left[0]}`);
  return errors.length === 0
    ? ""
    : `### What failed or was cut short\n\n${errors.map((e) => `* ${e.replaceAll("|", "/").replaceAll("<", "‹").replaceAll(">", "›")}`).join("\n")}\n`;
}

/** What was measured beside the peers; "" when nothing was. */
export function measuredPart(r: Results): string {
  const all = new Figures(r.rows);
  if (all.metrics().size === 0) return "";
  const deep = `depth ${r.settings.depth}`;
  const deepWords = `${r.settings.depth.toLocaleString("en")} queued`;
  const line = (what: string, metric: string, cell: string, scale = 1): Line => ({
    what,
    metric,
    cell,
    scale,
  });
  const part = (title: string, ...blocks: readonly string[]): string => {
    const found = blocks.filter(Boolean);
    return found.length === 0 ? "" : `### ${title}\n\n${found.join("\n")}`;
  };
  const versions =
    r.machine.versions.length === 0 ? "" : ` Peers are Debian's: ${r.machine.versions.join(", ")}.`;
  const parts = [
    `## Measured\n\n${headline(r.machine)}, load ${r.machine.load.toFixed(1)} at the start; ${r.machine.program}; ${r.rounds} ${r.rounds === 1 ? "round" : "rounds"} in turn, about ${r.settings.seconds} s a cell, ${r.minutes} minutes in all.${versions}\nMedians of the rounds; ratio: Postern to Postfix, and half of the distance between the rounds. "!": cut short, see the end. "limit": the least that\na Node program can do, without checks and recovery.\n`,
    part("Budgets", budgetPart(r, all)),
    part(
      "Relayed messages a second",
      peers(all, "cell", metricLines(all, "relayed/s")),
      bar(all, "messages/s, 10 kB, 10 sessions", "relayed/s", "10k/10"),
      bar(all, "messages/s, 1 kB, 10 kept connections", "relayed/s", "1k/10/keep"),
    ),
    part(
      "CPU seconds per 1000 messages",
      peers(all, "cell", metricLines(all, "cpu s/1000")),
      bar(all, "CPU s per 1000 messages, 1 kB, 10 sessions", "cpu s/1000", "1k/10"),
    ),
    part(
      "Flash",
      "kB that reach the device for one message, the journal of ext4 included:\n",
      peers(all, "cell", metricLines(all, "flash bytes/message", 1000)),
      bar(all, "kB written per message, 1 kB, 10 sessions", "flash bytes/message", "1k/10", 1000),
      peers(all, "f2fs, kB", metricLines(all, "f2fs flash bytes/message", 1000)),
      peers(all, "", [
        line("bytes in 4 idle seconds", "flash bytes idle", "4 s"),
        line("syncs per message, 1 kB, 1 session", "syncs/message", "1k/1"),
        line("syncs per message, 1 kB, 10 sessions", "syncs/message", "1k/10"),
      ]),
    ),
    modePart(all),
    part(
      "Latency of accepting",
      peers(all, "1 kB, one kept connection, ms", [
        line("median", "latency p50", "1k/1"),
        line("p99", "latency p99", "1k/1"),
        line("final dot to 250, median", "dot latency p50", "1k/1"),
        line("final dot to 250, p99", "dot latency p99", "1k/1"),
      ]),
    ),
    part(
      "Memory",
      peers(
        all,
        "MB",
        ["private dirty", "pss"].flatMap((metric) =>
          ["idle", "10k/50", "1M/10"].map((cell) =>
            line(`${metric === "pss" ? "PSS" : "private dirty"}: ${cellWords(cell)}`, metric, cell),
          ),
        ),
      ),
      bar(all, "private dirty MB, 50 sessions of 10 kB", "private dirty", "10k/50"),
    ),
    part(
      "A deep queue",
      peers(all, "", [
        line("accepted/s, empty queue", "accepted/s", "depth 0"),
        line(`accepted/s, ${deepWords}`, "accepted/s", deep),
        line(`mailq, s, ${deepWords}`, "mailq", deep),
        line(`flushed/s, ${deepWords}`, "flushed/s", deep),
        line(`private dirty MB, ${deepWords}`, "private dirty", deep),
      ]),
    ),
    errorPart(r, all),
  ];
  return parts.filter(Boolean).join("\n");
}

/** `text` with `part` between its marks. Throws when the page has lost them. */
function spliced(text: string, [begin, end]: readonly [string, string], part: string): string {
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from < 0 || to < from) throw new Error(`${PAGE} has lost its mark "${begin}"`);
  return part === "" ? text : `${text.slice(0, from + begin.length)}\n\n${part}\n${text.slice(to)}`;
}

/** Puts the figures into the reference page below `root`; gives the page's path. */
export function publish(r: Results, root: string): string {
  const file = join(root, PAGE);
  const text = spliced(readFileSync(file, "utf8"), MARKS.measured, measuredPart(r));
  writeFileSync(file, spliced(text, MARKS.growth, growthPart(r)));
  return file;
}

if (import.meta.main) {
  const root = resolve(import.meta.dirname, "../..");
  const results: Results = JSON.parse(
    readFileSync(process.argv[2] ?? join(root, "build/bench/bench.json"), "utf8"),
  );
  process.stdout.write(`${publish(results, root)}\n`);
}
