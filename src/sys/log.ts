// The log: one line per call in Sendmail's format, to standard error, to syslog, or to a collector in tests. Control bytes never reach
// a line: peers choose parts of the text. A log that cannot be written stops nothing: what does not fit is counted, and said in one
// line as soon as lines can be written again.

import { writeSync } from "node:fs";
import { LOG_WAITING_BYTES_MAX } from "../base/limits.ts";
import { errorCode } from "./output.ts";

/** Names of syslog(3). */
export type Priority = "alert" | "crit" | "err" | "warning" | "notice" | "info" | "debug";

export interface Log {
  /** `level` as Sendmail's LogLevel: the line is written when LogLevel >= level. `priority` is what syslog is told, "info" when not given. */
  line(level: number, text: string, priority?: Priority): void;
}

/** Replaces control bytes so that one call is one line. */
export function printable(text: string): string {
  if (!/[\x00-\x1f\x7f]/.test(text)) return text;
  return text.replace(/[\x00-\x1f\x7f]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, "0")}`);
}

export interface LogLine {
  readonly text: string;
  readonly priority: Priority;
}

/** Bytes that leave in one write, and the lines in them. */
export interface Packet {
  readonly bytes: Buffer;
  readonly lines: number;
}

/** Where lines go. It may refuse, it never waits. */
export interface Sink {
  pack(lines: readonly LogLine[]): readonly Packet[];
  /** How many of the bytes were taken, or the name of the error. */
  take(bytes: Buffer): number | string;
}

/** Milliseconds until what waits is tried again: a reader that takes a little at a time is asked often, one that takes nothing less and less. */
const RETRY_MS_MIN = 1;
const RETRY_MS_MAX = 200;
/** A slow reader has this long to take the last lines of a process that ends. */
const LAST_LINES_MS = 500;
const LAST_LINES_STEP_MS = 10;

/** Keeps what a sink cannot take now, up to a bound. */
export class LogWriter {
  readonly #sink: Sink;
  #waiting: Packet[] = [];
  #waitingBytes = 0;
  #lost = 0;
  #reason = "";
  #retry: NodeJS.Timeout | null = null;
  #retryMs = RETRY_MS_MIN;

  constructor(sink: Sink) {
    this.#sink = sink;
  }

  write(lines: readonly LogLine[]): void {
    for (const packet of this.#sink.pack(lines)) {
      if (this.#waitingBytes + packet.bytes.length > LOG_WAITING_BYTES_MAX && this.#waiting.length > 0)
        this.#lost += packet.lines;
      else this.#add(packet);
    }
    if (this.#retry === null) this.#drain();
  }

  #add(packet: Packet): void {
    this.#waiting.push(packet);
    this.#waitingBytes += packet.bytes.length;
  }

  #drain(): void {
    if (this.#emptied()) return;
    // The process does not live on for a log.
    this.#retry = setTimeout(() => {
      this.#retry = null;
      this.#drain();
    }, this.#retryMs).unref();
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS_MAX);
  }

  /** Writes what can be written; true when nothing waits any more. */
  #emptied(): boolean {
    for (;;) {
      for (let [packet] = this.#waiting; packet !== undefined; [packet] = this.#waiting) {
        const taken = this.#sink.take(packet.bytes);
        if (typeof taken === "string" || taken === 0) {
          this.#reason = typeof taken === "string" ? taken : this.#reason;
          return false;
        }
        this.#retryMs = RETRY_MS_MIN;
        this.#waitingBytes -= taken;
        if (taken < packet.bytes.length)
          this.#waiting[0] = { bytes: packet.bytes.subarray(taken), lines: packet.lines };
        else this.#waiting.shift();
      }
      if (this.#lost === 0) return true;
      const text = `the log could not be written (${this.#reason}): ${this.#lost} lines are lost`;
      this.#lost = 0;
      for (const packet of this.#sink.pack([{ text, priority: "warning" }])) this.#add(packet);
    }
  }

  /** The process ends: what waits is tried once more. */
  end(): void {
    for (let left = LAST_LINES_MS; !this.#emptied() && this.#reason === "EAGAIN" && left > 0; ) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LAST_LINES_STEP_MS);
      left -= LAST_LINES_STEP_MS;
    }
  }
}

/** Lines one after the other on a descriptor. */
class Stream implements Sink {
  readonly #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  pack(lines: readonly LogLine[]): readonly Packet[] {
    return [{ bytes: Buffer.from(`${lines.map((l) => l.text).join("\n")}\n`), lines: lines.length }];
  }

  take(bytes: Buffer): number | string {
    try {
      return writeSync(this.#fd, bytes);
    } catch (e) {
      return errorCode(e);
    }
  }
}

/** Standard error. */
export function standardErrorLog(): LogWriter {
  // Opening the stream makes a pipe or socket non-blocking, so that a reader that stands still cannot make us stand still.
  process.stderr.on("error", () => undefined);
  return new LogWriter(new Stream(2));
}

/** Lines are written together when they reach this, or at the end of the turn of the event loop. */
const BATCH_CHARACTERS = 16 * 1024;

/**
 * A log whose lines of one turn of the event loop leave together: a busy relay would otherwise spend a fifth of its time
 * on them. They are written before the process ends in any way that it notices; the order stays.
 */
export function batchedLog(write: (lines: readonly LogLine[]) => void, maxLevel: number): Log {
  let waiting: LogLine[] = [];
  let characters = 0;
  let planned = false;
  const flush = (): void => {
    planned = false;
    const lines = waiting;
    waiting = [];
    characters = 0;
    if (lines.length > 0) write(lines);
  };
  process.on("exit", flush);
  return {
    line(level, text, priority = "info") {
      if (level > maxLevel) return;
      const shown = printable(text);
      waiting.push({ text: shown, priority });
      characters += shown.length;
      if (characters >= BATCH_CHARACTERS) flush();
      else if (!planned) {
        planned = true;
        setImmediate(flush);
      }
    },
  };
}

/** The log of a process: batched, and tried once more when it ends. */
export function processLog(writer: LogWriter, maxLevel: number): Log {
  const log = batchedLog((lines) => writer.write(lines), maxLevel);
  process.on("exit", () => writer.end());
  return log;
}

export const silentLog: Log = { line() {} };
