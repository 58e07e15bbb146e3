// What is done to a contender besides the matrix (matrix.ts): latency, memory, syncs per message, a deep queue.
// Each scenario starts the contender on a fresh spool and gives rows; what a cap cut short says so in its row.

import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type Cell, cellName } from "./cell.ts";
import type { Contender } from "./contender.ts";
import { type Load, latency, within } from "./load.ts";
import { type Group, median, sampleMemory, wait } from "./measure.ts";
import { type Running, start } from "./running.ts";
import { type Order, Rates, type Transfer, timed, transfer } from "./transfer.ts";

export interface Row {
  readonly contender: string;
  readonly metric: string;
  readonly cell: string;
  readonly value: number | null;
  readonly unit: string;
  /** Which turn it was, from 1. */
  readonly round?: number;
  /** Share of the machine that others used meanwhile; above 0.2 rates are not to be trusted. */
  readonly other?: number;
  /** Why the figure is missing or not what the cell's name says. */
  readonly error?: string;
}

export interface Settings {
  readonly work: string;
  /** How long a cell lasts, about. */
  readonly seconds: number;
  /** At most so many messages before anything is measured, and at most two cells' time. */
  readonly warmup: number;
  readonly depth: number;
  readonly fileSystem: string;
}

export type Emit = (row: Row) => void;
type Scenario = (c: Contender, load: Load, s: Settings, emit: Emit) => Promise<void>;

const LATENCY_MESSAGES = 1000;
/** To come to rest after the start; and as long again for what an idle program writes. */
const IDLE_MS = 4000;
/** A queue is filled, and flushed, for at most so long: slower peers get less deep. */
const FILL_SECONDS_MAX = 45;
const FLUSH_SECONDS_MAX = 30;
const MAILQ_SECONDS_MAX = 30;
const MAILQ_RUNS = 3;
const MAILQ_ENOUGH_SECONDS = 3;

const small = (sessions: number): Cell => ({ bytes: 1000, sessions, keep: false });

function emitter(c: Contender, emit: Emit) {
  return (metric: string, cell: string, value: number | null, unit: string, more: Partial<Row> = {}): void =>
    emit({ contender: c.name, metric, cell, value, unit, ...more });
}

const said = (error: string): Partial<Row> => (error === "" ? {} : { error });

/** Until the program runs as it will run from then on: Node compiles what is used often. */
export async function warm(r: Running, load: Load, s: Settings): Promise<void> {
  const rates = new Rates();
  const cell = small(10);
  const first = await timed(r, load, cell, Math.min(1, s.seconds), rates);
  const count = Math.min(s.warmup - first.messages, Math.round((rates.get(r.contender.name, cell) ?? 0) * 2));
  if (first.last.error !== "") throw new Error(first.last.error);
  if (count > 0) await transfer(r, load, cell, { count, capSeconds: 2 * s.seconds + 10 });
}

async function latencies(c: Contender, load: Load, s: Settings, emit: Emit): Promise<void> {
  const row = emitter(c, emit);
  const r = await start(c, load, s.work, s.fileSystem);
  try {
    await warm(r, load, s);
    const l = await latency(r.at.port, LATENCY_MESSAGES, Math.max(5, 2 * s.seconds));
    row("latency p50", "1k/1", l.message.p50, "ms");
    row("latency p99", "1k/1", l.message.p99, "ms");
    row("dot latency p50", "1k/1", l.dot.p50, "ms");
    row("dot latency p99", "1k/1", l.dot.p99, "ms");
  } finally {
    await r.stop();
  }
}

async function memory(c: Contender, load: Load, s: Settings, emit: Emit): Promise<void> {
  const row = emitter(c, emit);
  const r = await start(c, load, s.work, s.fileSystem);
  try {
    await wait(IDLE_MS);
    const written = r.spool.written();
    await wait(IDLE_MS);
    row("flash bytes idle", `${IDLE_MS / 1000} s`, r.spool.written() - written, "B");
    const emitAll = (cell: string, m: ReturnType<Group["memory"]>, error = ""): void => {
      row("private dirty", cell, m.dirty, "MB", said(error));
      row("pss", cell, m.pss, "MB");
      row("processes", cell, m.processes, "");
    };
    emitAll("idle", r.group.memory());
    for (const cell of [
      { bytes: 10_000, sessions: 50, keep: false },
      { bytes: 1_000_000, sessions: 10, keep: false },
    ]) {
      const sampler = sampleMemory(r.group);
      let error = "";
      try {
        error = (await timed(r, load, cell, s.seconds)).last.error;
      } finally {
        emitAll(cellName(cell), sampler.stop(), error);
      }
    }
  } finally {
    await r.stop();
  }
}

const SYNC_CALLS = ["fsync", "fdatasync", "syncfs", "sync_file_range", "msync"];

/** Syncs per message, by strace; slow, so its rates mean nothing. The start of the program is in it. */
async function syncs(c: Contender, load: Load, s: Settings, emit: Emit): Promise<void> {
  const row = emitter(c, emit);
  for (const cell of [small(1), small(10)]) {
    const out = join(s.work, "spools", `strace.${process.pid}`);
    const trace = ["-f", "-c", "-o", out, "--seccomp-bpf", "-e", `trace=${SYNC_CALLS.join(",")}`];
    const r = await start(c, load, s.work, s.fileSystem, ["strace", ...trace]);
    let run: Awaited<ReturnType<typeof timed>>;
    try {
      run = await timed(r, load, cell, s.seconds);
    } finally {
      await r.stop();
    }
    let count = 0;
    for (const line of readFileSync(out, "utf8").split("\n")) {
      const f = line.trim().split(/\s+/);
      if (f.length >= 5 && SYNC_CALLS.includes(f.at(-1) ?? "")) count += Number(f[3]);
    }
    rmSync(out, { force: true });
    const each = run.messages === 0 ? null : count / run.messages;
    row("syncs/message", cellName(cell), each, "", said(run.last.error));
  }
}

interface Filled {
  readonly first: Transfer;
  readonly last: Transfer;
  readonly depth: number;
  readonly error: string;
}

/** The queue in three parts, the last one as large as the first, for the rate at depth. */
async function fill(r: Running, load: Load, depth: number, part: number): Promise<Filled> {
  const begun = performance.now();
  const send = (count: number): Promise<Transfer> => {
    const order: Order = { count, capSeconds: FILL_SECONDS_MAX, dead: true };
    return transfer(r, load, small(10), order);
  };
  const first = await send(part);
  if (first.error !== "") throw new Error(first.error);
  const rate = part / first.acceptSeconds;
  const time = FILL_SECONDS_MAX - (performance.now() - begun) / 1000;
  const middle = Math.max(0, Math.min(depth - 2 * part, Math.floor(rate * time) - part));
  if (middle > 0) {
    const { error } = await send(middle);
    if (error !== "") throw new Error(error);
  }
  const last = await send(part);
  const reached = 2 * part + middle;
  const short =
    reached < depth ? `a queue of ${reached}: ${FILL_SECONDS_MAX} s were not enough for more` : "";
  return { first, last, depth: reached, error: last.error || short };
}

/** A queue for a dead next hop, listed, then flushed when the hop comes back. */
async function deep(c: Contender, load: Load, s: Settings, emit: Emit): Promise<void> {
  const row = emitter(c, emit);
  const cell = `depth ${s.depth}`;
  const part = Math.max(1, Math.floor(s.depth / 10));
  const r = await start(c, load, s.work, s.fileSystem);
  try {
    // A cold program's rate is no measure of an empty queue.
    await warm(r, load, s);
    await load.stopSink();
    const filled = await fill(r, load, s.depth, part);
    const { dirty } = r.group.memory();
    const more = said(filled.error);
    row("accepted/s", "depth 0", part / filled.first.acceptSeconds, "1/s");
    row("accepted/s", cell, part / filled.last.acceptSeconds, "1/s", more);
    row("private dirty", cell, dirty, "MB", more);
    const at = r.at;
    if (c.mailq !== undefined) {
      const times: number[] = [];
      while (times.length < MAILQ_RUNS && (times[0] ?? 0) < MAILQ_ENOUGH_SECONDS) {
        const begun = performance.now();
        await r.command(c.mailq(at), MAILQ_SECONDS_MAX);
        times.push((performance.now() - begun) / 1000);
      }
      const long = median(times) >= MAILQ_SECONDS_MAX ? "cut there" : filled.error;
      row("mailq", cell, median(times), "s", said(long));
    }
    if (c.flush !== undefined) {
      await load.startSink();
      const cpu = r.group.cpuSeconds();
      const begun = performance.now();
      const flushing = r.command(c.flush(at), FLUSH_SECONDS_MAX);
      const done = await within(FLUSH_SECONDS_MAX, () => load.count() >= filled.depth, 5);
      const seconds = (performance.now() - begun) / 1000;
      const n = load.count();
      const cut = done ? filled.error : `${n} of ${filled.depth} within ${FLUSH_SECONDS_MAX} s`;
      row("flushed/s", cell, n === 0 ? null : n / seconds, "1/s", said(cut));
      row("flush cpu s/1000", cell, n === 0 ? null : ((r.group.cpuSeconds() - cpu) / n) * 1000, "s");
      await flushing;
    }
  } finally {
    await r.stop();
    await load.startSink();
  }
}

export const SCENARIOS = new Map<string, Scenario>([
  ["latency", latencies],
  ["memory", memory],
  ["syncs", syncs],
  ["deep", deep],
]);
