// The matrix: every cell by every contender in turn (A B A B), seconds apart, so that what the machine does meanwhile hits all alike.
// All contenders stay up between their turns; one that did not get through a cell is started afresh, one that fails again and again
// is left out, and said.

import { type Cell, cellName } from "./cell.ts";
import type { Contender } from "./contender.ts";
import type { Load } from "./load.ts";
import { type Running, start } from "./running.ts";
import { type Emit, type Row, type Settings, warm } from "./scenario.ts";
import { Rates, type Transfer, timed } from "./transfer.ts";

const FAILURES_MAX = 3;

export class Matrix {
  readonly #load: Load;
  readonly #settings: Settings;
  readonly #rowOf: (round: number) => Emit;
  #emit: Emit = () => undefined;
  readonly #rates = new Rates();
  readonly #live = new Map<string, Running>();
  readonly #failures = new Map<string, number>();

  /** `told.row(n)` takes the rows of round n. */
  constructor(load: Load, settings: Settings, told: { row(round: number): Emit }) {
    this.#load = load;
    this.#settings = settings;
    this.#rowOf = (round) => told.row(round);
  }

  #failed(c: Contender, metric: string, cell: string, error: string): void {
    const failures = (this.#failures.get(c.name) ?? 0) + 1;
    this.#failures.set(c.name, failures);
    const out = failures >= FAILURES_MAX ? `; left out from here on` : "";
    this.#emit({ contender: c.name, metric, cell, value: null, unit: "", error: `${error}${out}` });
  }

  async #up(c: Contender): Promise<Running | null> {
    const running = this.#live.get(c.name);
    if (running?.alive === true) return running;
    if (running !== undefined) await this.#stop(running);
    try {
      const fresh = await start(c, this.#load, this.#settings.work, this.#settings.fileSystem);
      this.#live.set(c.name, fresh);
      await warm(fresh, this.#load, this.#settings);
      return fresh;
    } catch (e) {
      const left = this.#live.get(c.name);
      if (left !== undefined) await this.#stop(left);
      this.#failed(c, "start", "-", e instanceof Error ? e.message : String(e));
      return null;
    }
  }

  async #stop(r: Running): Promise<void> {
    this.#live.delete(r.contender.name);
    await r.stop();
  }

  /** One cell by one contender in round n. With a prefix only the bytes written are of interest. */
  async cell(c: Contender, cell: Cell, n: number, prefix = ""): Promise<void> {
    this.#emit = this.#rowOf(n);
    if ((this.#failures.get(c.name) ?? 0) >= FAILURES_MAX) return;
    const r = await this.#up(c);
    if (r === null) return;
    const name = cellName(cell);
    let t: Transfer;
    try {
      t = (await timed(r, this.#load, cell, this.#settings.seconds, this.#rates)).last;
    } catch (e) {
      this.#failed(c, `${prefix}relayed/s`, name, e instanceof Error ? e.message : String(e));
      await this.#stop(r);
      return;
    }
    if (t.count === 0) this.#failed(c, `${prefix}relayed/s`, name, t.error || "nothing was relayed");
    else this.#rows(c, name, prefix, t);
    if (t.error === "") return;
    r.keepLog(name);
    await this.#stop(r);
  }

  #rows(c: Contender, cell: string, prefix: string, t: Transfer): void {
    const more: Partial<Row> = { other: t.other, ...(t.error === "" ? {} : { error: t.error }) };
    const row = (metric: string, value: number, unit: string): void =>
      this.#emit({ contender: c.name, metric: `${prefix}${metric}`, cell, value, unit, ...more });
    if (prefix === "") {
      row("relayed/s", t.count / t.totalSeconds, "1/s");
      if (t.error === "") row("accepted/s", t.count / t.acceptSeconds, "1/s");
      row("cpu s/1000", (t.cpuSeconds / t.count) * 1000, "s");
    }
    row("flash bytes/message", t.written / t.count, "B");
  }

  /** Ends all contenders. */
  async end(): Promise<void> {
    for (const r of [...this.#live.values()]) await this.#stop(r);
  }
}
