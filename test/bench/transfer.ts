// One load on one contender: smtp-source sends, the sink counts, the kernel counts what it costs. A cell is as many messages as the
// contender takes in the asked time: a short run tells the rate, and a slow peer's short run is its cell. Every wait has an end.

import { type Cell, cellName } from "./cell.ts";
import { type Load, within } from "./load.ts";
import { machineBusySeconds, processors, wait } from "./measure.ts";
import type { Running } from "./running.ts";

/** A cell may take this many times what it was given, and this many seconds, before it is cut. */
const CAP_FACTOR = 4;
const CAP_SECONDS = 15;
const SETTLE_MS = 200;
const PILOT_MESSAGES = 20;
const PILOT_LARGE_MESSAGES = 4;
const GROWTH_MAX = 20;
const TRIES = 4;
const CELL_MESSAGES_MAX = 40_000;
/** No cell fills the spool, not even one that is only queued. */
const CELL_BYTES_MAX = 400_000_000;
/** A run of at least this part of the asked time is the cell. */
const ENOUGH = 0.6;

export interface Transfer {
  /** Messages that the sink has (queued for a dead hop: that were accepted). */
  readonly count: number;
  readonly acceptSeconds: number;
  readonly totalSeconds: number;
  readonly cpuSeconds: number;
  readonly written: number;
  /** Share of the machine that others used meanwhile. */
  readonly other: number;
  /** Not empty: it did not end by itself, and messages may still be under way. */
  readonly error: string;
}

export interface Order {
  readonly count: number;
  readonly capSeconds: number;
  /** The sink is down: the transfer is over when all is accepted. */
  readonly dead?: boolean;
}

/** Sends `count` messages and waits until the sink has them all. */
export async function transfer(r: Running, load: Load, cell: Cell, order: Order): Promise<Transfer> {
  const { count, capSeconds } = order;
  const dead = order.dead ?? false;
  const before = dead ? 0 : load.count();
  const written = r.spool.written();
  const cpu = r.group.cpuSeconds();
  const loadCpu = load.group.cpuSeconds();
  const busy = machineBusySeconds();
  const own = process.cpuUsage();
  const begun = performance.now();
  const left = (): number => Math.max(1, capSeconds - (performance.now() - begun) / 1000);
  const source = load.source(r.at.port, cell.sessions, cell.bytes, count, cell.keep);
  let said = "";
  source.stderr?.on("data", (d: Buffer) => {
    said = (said + d.toString("latin1")).slice(-200);
  });
  let error = "";
  if (!(await within(capSeconds, () => source.exitCode !== null || source.signalCode !== null))) {
    source.kill("SIGKILL");
    error = `not all of ${count} accepted within ${capSeconds.toFixed(0)} s`;
  }
  const accepted = performance.now();
  if (error === "" && source.exitCode !== 0)
    error = said.trim().split("\n").at(-1) || `smtp-source ended with ${source.exitCode}`;
  if (!dead && error === "") {
    const { contender } = r;
    if (contender.queueOnly === true && contender.flush !== undefined)
      await r.command(contender.flush(r.at), left());
    if (!(await within(left(), () => load.count() - before >= count)))
      error = `${load.count() - before} of ${count} relayed within ${capSeconds.toFixed(0)} s`;
  }
  const ended = performance.now();
  // What is still to be done for messages that have left (files removed, marks written) belongs to them.
  await wait(SETTLE_MS);
  const used = r.group.cpuSeconds() - cpu;
  const mine = process.cpuUsage(own);
  const others =
    machineBusySeconds() -
    busy -
    used -
    (load.group.cpuSeconds() - loadCpu) -
    (mine.user + mine.system) / 1e6;
  const total = r.spool.written();
  return {
    count: dead ? count : load.count() - before,
    acceptSeconds: (accepted - begun) / 1000,
    totalSeconds: (ended - begun) / 1000,
    cpuSeconds: used,
    written: total - written,
    other: Math.max(0, others / ((performance.now() - begun) / 1000) / processors()),
    error,
  };
}

/** Rates by contender and cell that earlier runs found, so that later rounds need no trial. */
export class Rates {
  readonly #known = new Map<string, number>();

  get(name: string, cell: Cell): number | undefined {
    return this.#known.get(`${name} ${cellName(cell)}`);
  }

  set(name: string, cell: Cell, rate: number): void {
    this.#known.set(`${name} ${cellName(cell)}`, rate);
  }
}

export interface Timed {
  /** The last and longest run. */
  readonly last: Transfer;
  /** Messages of all runs. */
  readonly messages: number;
}

/** About `seconds` of `cell`, whatever the contender's rate is. */
export async function timed(
  r: Running,
  load: Load,
  cell: Cell,
  seconds: number,
  rates: Rates = new Rates(),
): Promise<Timed> {
  const most = Math.max(cell.sessions, Math.min(CELL_MESSAGES_MAX, Math.floor(CELL_BYTES_MAX / cell.bytes)));
  const least = Math.max(cell.bytes >= 1_000_000 ? PILOT_LARGE_MESSAGES : PILOT_MESSAGES, cell.sessions);
  const capSeconds = seconds * CAP_FACTOR + CAP_SECONDS;
  const known = rates.get(r.contender.name, cell);
  const clamp = (n: number): number => Math.max(least, Math.min(most, Math.round(n)));
  let count = known === undefined ? least : clamp(known * seconds);
  let messages = 0;
  for (let attempt = 1; ; attempt++) {
    const last = await transfer(r, load, cell, { count, capSeconds });
    messages += last.count;
    const rate = last.count / last.totalSeconds;
    if (last.count > 0) rates.set(r.contender.name, cell, rate);
    if (
      last.error !== "" ||
      last.totalSeconds >= ENOUGH * seconds ||
      count >= most ||
      attempt === TRIES ||
      (known !== undefined && attempt > 1)
    )
      return { last, messages };
    count = Math.min(clamp(rate * seconds), count * GROWTH_MAX);
  }
}
