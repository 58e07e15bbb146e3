// The one opener of LevelDB: state that can be rebuilt or done without (statistics, history, host status), never mail.
// Sections are written whole, in one batch: at the end of the program, and at most hourly while there is traffic, so that it costs no
// write per message and none when idle. A database that is damaged is made anew; without one the program runs all the same.

import type { ClassicLevel } from "classic-level";
import { STATE_SECTION_BYTES_MAX, STATE_WRITE_MS } from "../base/limits.ts";
import { ABSENT, found, type Lookup, tempfail } from "../base/result.ts";
import type { Clock } from "../sys/clock.ts";
import type { Log } from "../sys/log.ts";

export interface StateDeps {
  /** Folder of the database. */
  readonly folder: string;
  readonly clock: Clock;
  readonly log: Log;
}

type Level = ClassicLevel<string, string>;
type LevelClass = typeof import("classic-level").ClassicLevel;

export class State {
  readonly #deps: StateDeps;
  readonly #sections = new Map<string, () => unknown>();
  #module: Promise<LevelClass | null> | null = null;
  #database: Promise<Level | null> | null = null;
  #writing: Promise<void> | null = null;
  #writtenMs: number;
  #touched = false;
  #closed = false;

  constructor(deps: StateDeps) {
    this.#deps = deps;
    this.#writtenMs = deps.clock.monotonicMs();
  }

  /** Loads the native addon, which must happen before privileges are dropped. False when it cannot be had. */
  async prepare(): Promise<boolean> {
    this.#module ??= this.#import();
    return (await this.#module) !== null;
  }

  async #import(): Promise<LevelClass | null> {
    try {
      return (await import("classic-level")).ClassicLevel;
    } catch (e) {
      this.#deps.log.line(1, `state: LevelDB cannot be loaded: ${reasonOf(e)}; going on without`);
      return null;
    }
  }

  #open(): Promise<Level | null> {
    this.#database ??= this.#opened();
    return this.#database;
  }

  async #opened(): Promise<Level | null> {
    if (!(await this.prepare())) return null;
    const level = await this.#module;
    if (level === null) return null;
    const { folder, log } = this.#deps;
    try {
      return await openLevel(level, folder);
    } catch (e) {
      const reason = reasonOf(e);
      // A lock means another program, a missing right means that no new one can be made either.
      if (!/corrupt|manifest|missing|CURRENT|checksum|truncated/i.test(reason)) {
        log.line(1, `state: ${folder} cannot be opened: ${reason}; going on without`);
        return null;
      }
      log.line(1, `state: ${folder} is damaged (${reason}) and is made anew`);
    }
    try {
      await level.destroy(folder);
      return await openLevel(level, folder);
    } catch (e) {
      log.line(1, `state: ${folder} cannot be made: ${reasonOf(e)}; going on without`);
      return null;
    }
  }

  /** What the last program kept under this name; absent when there is nothing, tempfail when it cannot be read. */
  async load(name: string): Promise<Lookup<unknown>> {
    const database = await this.#open();
    if (database === null) return tempfail("no state database");
    try {
      const text: string | undefined = await database.get(name);
      return text === undefined ? ABSENT : found(JSON.parse(text));
    } catch (e) {
      return e instanceof SyntaxError ? ABSENT : tempfail(reasonOf(e));
    }
  }

  /** A section to write from now on; `snapshot` gives plain data. */
  keep(name: string, snapshot: () => unknown): void {
    this.#sections.set(name, snapshot);
  }

  /** Something has changed. Cheap; writes when the last write is long ago. */
  touch(): void {
    this.#touched = true;
    if (this.#closed || this.#writing !== null) return;
    if (this.#deps.clock.monotonicMs() - this.#writtenMs < STATE_WRITE_MS) return;
    this.#writing = this.#write().finally(() => {
      this.#writing = null;
    });
  }

  async #write(): Promise<void> {
    this.#touched = false;
    this.#writtenMs = this.#deps.clock.monotonicMs();
    const database = await this.#open();
    if (database === null) return;
    const batch: { type: "put"; key: string; value: string }[] = [];
    for (const [key, snapshot] of this.#sections) {
      const value = JSON.stringify(snapshot());
      if (value.length <= STATE_SECTION_BYTES_MAX) batch.push({ type: "put", key, value });
    }
    try {
      await database.batch(batch);
    } catch (e) {
      // A full disk: LevelDB takes nothing until it is opened again. The next write is in an hour.
      this.#deps.log.line(3, `state: not written: ${reasonOf(e)}`);
    }
  }

  /** Writes what has changed, for the next program. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#writing !== null) await this.#writing;
    if (this.#touched) await this.#write();
    if (this.#database === null) return;
    const database = await this.#database;
    try {
      await database?.close();
    } catch (e) {
      this.#deps.log.line(3, `state: ${reasonOf(e)}`);
    }
  }
}

/** Small buffers: the sections are few, and the device has little memory. */
async function openLevel(level: LevelClass, folder: string): Promise<Level> {
  const database = new level<string, string>(folder, {
    writeBufferSize: 256 * 1024,
    cacheSize: 256 * 1024,
    maxOpenFiles: 64,
  });
  await database.open();
  return database;
}

/** LevelDB's own words are in the cause. */
function reasonOf(e: unknown): string {
  if (!(e instanceof Error)) return String(e);
  return e.cause instanceof Error ? e.cause.message : e.message;
}
