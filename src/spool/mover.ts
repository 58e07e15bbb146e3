// Copies what is still live in crowded segments to the head of the log, so that no message pins a segment for ever and no suspect
// segment keeps one. The tail is freed when the copies are durable.

import type { Log } from "../sys/log.ts";
import { costOf } from "./accepting.ts";
import { ACCEPT_FIXED_BYTES, encodeAccept } from "./codec.ts";
import { progressDrafts } from "./drafts.ts";
import type { Entry } from "./entry.ts";
import type { SegmentLog } from "./log.ts";
import { draftOf, RECORD } from "./record.ts";

const MOVE_BYTES_AT_A_TIME = 1024 * 1024;

export class Mover {
  readonly #entries: ReadonlyMap<string, Entry>;
  readonly #log: SegmentLog;
  readonly #lines: Log;
  #running: Promise<void> | null = null;
  #stopped = false;

  constructor(entries: ReadonlyMap<string, Entry>, log: SegmentLog, lines: Log) {
    this.#entries = entries;
    this.#log = log;
    this.#lines = lines;
  }

  /** Looks for what is to be moved, unless it does already. */
  soon(): void {
    if (this.#running !== null || this.#stopped) return;
    this.#running = this.#run().finally(() => {
      this.#running = null;
    });
  }

  /** Begins nothing new; resolves when what was begun has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#running !== null) await this.#running;
  }

  async #run(): Promise<void> {
    // One turn later: the log that asks for this is in the middle of its own change.
    await Promise.resolve();
    const epochs = this.#log.crowded();
    if (epochs.length === 0) return;
    let bytes = 0;
    let moves: Promise<void>[] = [];
    for (const entry of [...this.#entries.values()]) {
      if (this.#stopped || !epochs.includes(entry.place.location.epoch)) continue;
      if (entry.finishing || entry.moving !== null) continue;
      entry.moving = this.#move(entry).finally(() => {
        entry.moving = null;
      });
      moves.push(entry.moving);
      bytes += costOf(entry);
      if (bytes < MOVE_BYTES_AT_A_TIME) continue;
      await Promise.all(moves);
      moves = [];
      bytes = 0;
    }
    await Promise.all(moves);
  }

  async #move(entry: Entry): Promise<void> {
    const { place } = entry;
    const from = place.location;
    const facts = {
      id: entry.id,
      arrivedSpoolMs: entry.arrivedSpoolMs,
      arrivedWallMs: entry.arrivedWallMs,
      trusted: false,
      copy: true,
      place,
    };
    const pieces = [encodeAccept(facts)];
    if (!place.inFile) {
      const payload = await this.#log.readChecked(from);
      if (payload.kind !== "found") {
        const why = payload.kind === "tempfail" ? payload.reason : "it is damaged";
        this.#lines.line(1, `${entry.id}: cannot be moved: ${why}`);
        return;
      }
      pieces.push(payload.value.subarray(ACCEPT_FIXED_BYTES));
    }
    if (entry.finishing) return;
    const appended = this.#log.append(draftOf(RECORD.accept, pieces), "mark", costOf(entry));
    const stated = this.#log.appendAll(progressDrafts(entry, this.#log.payloadBytesMax), "mark");
    const done = await appended;
    if (!done.ok || !(await stated)) return;
    place.location = done.value;
    this.#log.drop(from, costOf(entry));
  }
}
