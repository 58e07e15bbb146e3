// The log: one line per call in Sendmail's format, to standard error or to a collector in tests.
// Control bytes never reach a log line: peers choose parts of the text.

export interface Log {
  /** `level` as Sendmail's LogLevel: the line is written when LogLevel >= level. */
  line(level: number, text: string): void;
}

/** Replaces control bytes so that one call is one line. */
export function printable(text: string): string {
  if (!/[\x00-\x1f\x7f]/.test(text)) return text;
  return text.replace(/[\x00-\x1f\x7f]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, "0")}`);
}

/** Lines are written together when they reach this, or at the end of the turn of the event loop. */
const BATCH_CHARACTERS = 16 * 1024;

/**
 * A log whose lines of one turn of the event loop leave in one write: a busy relay would otherwise spend a fifth of its time
 * on them. They are written before the process ends in any way that it notices; the order stays.
 */
export function batchedLog(write: (lines: string) => void, maxLevel: number): Log {
  let waiting = "";
  let planned = false;
  const flush = (): void => {
    planned = false;
    const lines = waiting;
    waiting = "";
    if (lines !== "") write(lines);
  };
  process.on("exit", flush);
  return {
    line(level, text) {
      if (level > maxLevel) return;
      waiting += `${printable(text)}\n`;
      if (waiting.length >= BATCH_CHARACTERS) flush();
      else if (!planned) {
        planned = true;
        setImmediate(flush);
      }
    },
  };
}

export const silentLog: Log = { line() {} };
