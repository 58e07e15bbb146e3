// What is done to a contender: throughput cells, latency, memory, syncs per message, a deep queue.
// Each scenario starts the contender on a fresh ext4 spool and gives rows; a contender that fails gives a row that says so.

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Contender, Start } from "./contender.ts";
import { freePort, type Load, latency, listening, within } from "./load.ts";
import { Group, LoopSpool, machineBusySeconds, median, processors, sampleMemory, wait } from "./measure.ts";

export interface Row {
  readonly contender: string;
  readonly metric: string;
  readonly cell: string;
  readonly value: number | null;
  readonly unit: string;
  /** Share of the machine that others used meanwhile; above 0.2 rates are not to be trusted. */
  readonly other?: number;
  readonly error?: string;
}

export interface Settings {
  readonly work: string;
  readonly warmup: number;
  /** Multiplies the message counts. */
  readonly scale: number;
  readonly depth: number;
  readonly cells: readonly Cell[];
  readonly fileSystem: "ext4" | "f2fs";
}

export interface Cell {
  readonly bytes: number;
  readonly sessions: number;
  readonly count: number;
  readonly keep: boolean;
}

export function cellName(c: Cell): string {
  const size = c.bytes >= 1_000_000 ? `${c.bytes / 1_000_000}M` : `${c.bytes / 1000}k`;
  return `${size}/${c.sessions}${c.keep ? "/keep" : ""}`;
}

const SPOOL_MB = 1024;
const START_SECONDS_MAX = 40;
const TRANSFER_SECONDS_MAX = 90;

/** A contender that runs. */
class Running {
  readonly group: Group;
  readonly spool: LoopSpool;
  readonly at: Start;
  readonly #process: ChildProcess;

  constructor(group: Group, spool: LoopSpool, at: Start, child: ChildProcess) {
    this.group = group;
    this.spool = spool;
    this.at = at;
    this.#process = child;
  }

  async stop(): Promise<void> {
    await this.group.end();
    await within(5, () => this.#process.exitCode !== null || this.#process.signalCode !== null);
    this.group.remove();
    this.spool.release();
  }
}

async function start(
  c: Contender,
  load: Load,
  s: Settings,
  wrapper: readonly string[] = [],
): Promise<Running> {
  const spool = new LoopSpool(s.work, c.name, SPOOL_MB, s.fileSystem);
  const group = new Group("mta");
  const at: Start = { work: s.work, spool: spool.folder, port: await freePort(), sink: load.sinkPort };
  const log = openSync(join(s.work, "spools", `${c.name}.log`), "w");
  const [command = "", ...args] = group.enter([...wrapper, ...c.start(at)]);
  const child = spawn(command, args, { stdio: ["ignore", log, log], detached: true });
  closeSync(log);
  const running = new Running(group, spool, at, child);
  if (!(await within(START_SECONDS_MAX, () => listening(at.port), 20))) {
    await running.stop();
    throw new Error(`${c.name} does not listen (its log: ${join(s.work, "spools", `${c.name}.log`)})`);
  }
  await wait(1000);
  return running;
}

interface Transfer {
  readonly count: number;
  readonly acceptSeconds: number;
  readonly totalSeconds: number;
  readonly cpuSeconds: number;
  readonly written: number;
  readonly other: number;
  readonly error: string;
}

/** Sends the cell's messages and waits until the sink has them all (`dead`: until they are accepted). */
async function transfer(r: Running, load: Load, cell: Cell, dead = false): Promise<Transfer> {
  const before = dead ? 0 : load.count();
  const written = r.spool.written();
  const cpu = r.group.cpuSeconds();
  const loadCpu = load.group.cpuSeconds();
  const busy = machineBusySeconds();
  const own = process.cpuUsage();
  const begun = performance.now();
  const source = load.source(r.at.port, cell.sessions, cell.bytes, cell.count, cell.keep);
  let said = "";
  source.stderr?.on("data", (d: Buffer) => {
    said = (said + d.toString("latin1")).slice(-200);
  });
  let error = "";
  if (!(await within(TRANSFER_SECONDS_MAX, () => source.exitCode !== null))) {
    source.kill("SIGKILL");
    error = `smtp-source not done within ${TRANSFER_SECONDS_MAX} s`;
  }
  const accepted = performance.now();
  if (error === "" && source.exitCode !== 0)
    error = said.trim() || `smtp-source exited with ${source.exitCode}`;
  if (
    !dead &&
    !(await within(error === "" ? TRANSFER_SECONDS_MAX : 5, () => load.count() - before >= cell.count))
  )
    error ||= `the sink has ${load.count() - before} of ${cell.count}`;
  const ended = performance.now();
  const used = r.group.cpuSeconds() - cpu;
  const mine = process.cpuUsage(own);
  const others =
    machineBusySeconds() -
    busy -
    used -
    (load.group.cpuSeconds() - loadCpu) -
    (mine.user + mine.system) / 1e6;
  return {
    count: dead ? cell.count : load.count() - before,
    acceptSeconds: (accepted - begun) / 1000,
    totalSeconds: (ended - begun) / 1000,
    cpuSeconds: used,
    written: r.spool.written() - written,
    other: Math.max(0, others / ((ended - begun) / 1000) / processors()),
    error,
  };
}

type Emit = (row: Row) => void;

function emitter(c: Contender, emit: Emit) {
  return (metric: string, cell: string, value: number | null, unit: string, more: Partial<Row> = {}): void =>
    emit({ contender: c.name, metric, cell, value, unit, ...more });
}

const WARMUP: Omit<Cell, "count"> = { bytes: 1000, sessions: 10, keep: false };

export async function throughput(c: Contender, load: Load, s: Settings, emit: Emit): Promise<void> {
  const row = emitter(c, emit);
  const r = await start(c, load, s);
  try {
    await transfer(r, load, { ...WARMUP, count: s.warmup });
    for (const cell of s.cells) {
      const t = await transfer(r, load, { ...cell, count: Math.max(10, Math.round(cell.count * s.scale)) });
      const name = cellName(cell);
      const more: Partial<Row> = { other: t.other, ...(t.error === "" ? {} : { error: t.error }) };
      row("relayed/s", name, t.count === 0 ? null : t.count / t.totalSeconds, "1/s", more);
      if (t.count === 0) continue;
      row("accepted/s", name, t.count / t.acceptSeconds, "1/s", more);
      row("cpu s/1000", name, (t.cpuSeconds / t.count) * 1000, "s", more);
      row("flash bytes/message", name, t.written / t.count, "B", more);
    }
  } finally {
    await r.stop();
  }
}

export async function latencies(c: Contender, load: Load, s: Settings, emit: Emit): Promise<void> {
  const row = emitter(c, emit);
  const r = await start(c, load, s);
  try {
    await transfer(r, load, { ...WARMUP, count: s.warmup });
    const l = await latency(r.at.port, 300);
    row("latency p50", "1k/1", l.message.p50, "ms");
    row("latency p99", "1k/1", l.message.p99, "ms");
    row("dot latency p50", "1k/1", l.dot.p50, "ms");
    row("dot latency p99", "1k/1", l.dot.p99, "ms");
  } finally {
    await r.stop();
  }
}

export async function memory(c: Contender, load: Load, s: Settings, emit: Emit): Promise<void> {
  const row = emitter(c, emit);
  const r = await start(c, load, s);
  try {
    await wait(2000);
    const emitAll = (cell: string, m: ReturnType<Group["memory"]>): void => {
      row("private dirty", cell, m.dirty, "MB");
      row("pss", cell, m.pss, "MB");
      row("processes", cell, m.processes, "");
    };
    emitAll("idle", r.group.memory());
    for (const cell of [
      { bytes: 10_000, sessions: 50, count: 1000, keep: false },
      { bytes: 1_000_000, sessions: 10, count: 60, keep: false },
    ]) {
      const sampler = sampleMemory(r.group);
      const t = await transfer(r, load, {
        ...cell,
        count: Math.max(cell.sessions, Math.round(cell.count * s.scale)),
      });
      emitAll(cellName(cell), sampler.stop());
      if (t.error !== "") row("private dirty", cellName(cell), null, "MB", { error: t.error });
    }
  } finally {
    await r.stop();
  }
}

const SYNC_CALLS = ["fsync", "fdatasync", "syncfs", "sync_file_range", "msync"];

/** Syncs and system calls per message, by strace; slow, so its rates mean nothing. */
export async function syncs(c: Contender, load: Load, s: Settings, emit: Emit): Promise<void> {
  const row = emitter(c, emit);
  for (const cell of [
    { bytes: 1000, sessions: 1, count: 100, keep: false },
    { bytes: 1000, sessions: 10, count: 300, keep: false },
  ]) {
    const out = join(s.work, "spools", `strace.${process.pid}`);
    const r = await start(c, load, s, [
      "strace",
      "-f",
      "-c",
      "-o",
      out,
      "--seccomp-bpf",
      "-e",
      `trace=${SYNC_CALLS.join(",")}`,
    ]);
    let t: Transfer;
    try {
      t = await transfer(r, load, cell);
    } finally {
      await r.stop();
    }
    let count = 0;
    for (const line of readFileSync(out, "utf8").split("\n")) {
      const f = line.trim().split(/\s+/);
      if (f.length >= 5 && SYNC_CALLS.includes(f.at(-1) ?? "")) count += Number(f[3]);
    }
    rmSync(out, { force: true });
    row(
      "syncs/message",
      cellName(cell),
      t.count === 0 ? null : count / t.count,
      "",
      t.error === "" ? {} : { error: t.error },
    );
  }
}

/** A queue for a dead next hop, listed, then flushed when the hop comes back. */
export async function deep(c: Contender, load: Load, s: Settings, emit: Emit): Promise<void> {
  const row = emitter(c, emit);
  const cell = `depth ${s.depth}`;
  const part = Math.max(1, Math.floor(s.depth / 10));
  await load.stopSink();
  const r = await start(c, load, s);
  try {
    const first = await transfer(r, load, { ...WARMUP, count: part }, true);
    const middle = await transfer(r, load, { ...WARMUP, count: s.depth - 2 * part }, true);
    const sampler = sampleMemory(r.group);
    const last = await transfer(r, load, { ...WARMUP, count: part }, true);
    const peak = sampler.stop();
    const error = first.error || middle.error || last.error;
    const more: Partial<Row> = error === "" ? {} : { error };
    row("accepted/s", "depth 0", part / first.acceptSeconds, "1/s", more);
    row("accepted/s", cell, part / last.acceptSeconds, "1/s", more);
    row("private dirty", cell, peak.dirty, "MB");
    const at = r.at;
    if (c.mailq !== undefined) {
      const times: number[] = [];
      for (let i = 0; i < 3; i++) {
        const begun = performance.now();
        await runIn(r.group, c.mailq(at), 60);
        times.push((performance.now() - begun) / 1000);
      }
      row("mailq", cell, median(times), "s");
    }
    if (c.flush !== undefined) {
      await load.startSink();
      const cpu = r.group.cpuSeconds();
      const begun = performance.now();
      const flushing = runIn(r.group, c.flush(at), 120);
      const done = await within(120, () => load.count() >= s.depth, 20);
      const seconds = (performance.now() - begun) / 1000;
      const n = load.count();
      row("flushed/s", cell, n / seconds, "1/s", done ? {} : { error: `${n} of ${s.depth} within 120 s` });
      row("flush cpu s/1000", cell, ((r.group.cpuSeconds() - cpu) / Math.max(1, n)) * 1000, "s");
      await flushing;
    }
  } finally {
    await r.stop();
    await load.startSink();
  }
}

async function runIn(group: Group, argv: readonly string[], seconds: number): Promise<void> {
  const [command = "", ...args] = group.enter(argv);
  const child = spawn(command, args, { stdio: "ignore" });
  if (!(await within(seconds, () => child.exitCode !== null))) child.kill("SIGKILL");
}

export const SCENARIOS = new Map<string, typeof throughput>([
  ["throughput", throughput],
  ["latency", latencies],
  ["memory", memory],
  ["syncs", syncs],
  ["deep", deep],
]);

export function prepareWork(work: string): void {
  mkdirSync(join(work, "spools"), { recursive: true });
}
