// The log: one line per call in Sendmail's format, to standard error or to a collector in tests.
// Control bytes never reach a log line: peers choose parts of the text.

export interface Log {
  /** `level` as Sendmail's LogLevel: the line is written when LogLevel >= level. */
  line(level: number, text: string): void;
}

/** Replaces control bytes so that one call is one line. */
export function printable(text: string): string {
  return text.replace(/[\x00-\x1f\x7f]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, "0")}`);
}

/** A log that writes `<text>` lines to a stream, up to `maxLevel`. */
export function streamLog(write: (line: string) => void, maxLevel: number): Log {
  return {
    line(level, text) {
      if (level <= maxLevel) write(`${printable(text)}\n`);
    },
  };
}

export const silentLog: Log = { line() {} };
