// The source text of a map, read exactly as makemap reads it (sendmail-semantics section 25, makemap(8)): key = first
// word, value = the rest with its trailing blanks, no quoting, comment and empty lines skipped, problems told per line
// while the good lines count. Used by makemap, by the daemon where no .db was built, and by whoever wants a table of text.

import { MAP_LINE_BYTES_MAX } from "../base/limits.ts";
import { ABSENT, found, type Lookup } from "../base/result.ts";
import { byteString, foldCase } from "./bytestring.ts";
import type { Table } from "./table.ts";

export interface SourceOptions {
  /** -t: the one character between key and value; "" is white space. */
  readonly delimiter: string;
  /** -D: the first character of a comment line. */
  readonly comment: string;
  /** -e: a missing value is an empty one. */
  readonly allowEmpty: boolean;
  /** Not -f: keys are folded to lower case. */
  readonly fold: boolean;
}

export const SOURCE_DEFAULTS: SourceOptions = { delimiter: "", comment: "#", allowEmpty: false, fold: true };

/** Where the lines of a source go. `line` counts from 1. */
export interface SourceSink {
  entry(key: string, value: string, line: number): void;
  /** A line that does not count, with makemap's words, e.g. "no RHS for LHS a". */
  problem(line: number, message: string): void;
}

/** A NUL would end the key or the value inside Sendmail, and what follows would be lost in silence. */
const NUL_MESSAGE = "syntax error (NUL byte)";
const LONG_MESSAGE = "line too long (1024 bytes max)";

/** isspace(3) in the C locale. */
function isSpace(text: string, at: number): boolean {
  const c = text.charCodeAt(at);
  return c === 0x20 || (c >= 0x09 && c <= 0x0d);
}

/** Takes source text in pieces as they come and gives its lines to a sink. Holds one line at most. */
export class SourceReader {
  readonly #options: SourceOptions;
  readonly #sink: SourceSink;
  #line = 0;
  /** The beginning of a line whose end has not come; never longer than MAP_LINE_BYTES_MAX. */
  #held = "";
  #overlong = false;

  constructor(options: SourceOptions, sink: SourceSink) {
    this.#options = options;
    this.#sink = sink;
  }

  push(bytes: Buffer): void {
    let start = 0;
    for (;;) {
      const end = bytes.indexOf(0x0a, start);
      this.#hold(bytes, start, end < 0 ? bytes.length : end);
      if (end < 0) return;
      this.#finishLine();
      start = end + 1;
    }
  }

  /** To be called once, after the last piece: a last line needs no newline. */
  end(): void {
    if (this.#held !== "" || this.#overlong) this.#finishLine();
  }

  #hold(bytes: Buffer, from: number, to: number): void {
    if (this.#overlong || this.#held.length + to - from > MAP_LINE_BYTES_MAX) {
      this.#overlong = true;
      this.#held = "";
    } else if (to > from) {
      this.#held += bytes.toString("latin1", from, to);
    }
  }

  #finishLine(): void {
    const text = this.#held;
    const overlong = this.#overlong;
    this.#held = "";
    this.#overlong = false;
    this.#line += 1;
    if (overlong) this.#sink.problem(this.#line, LONG_MESSAGE);
    else this.#take(text);
  }

  #take(text: string): void {
    const { delimiter, comment, allowEmpty, fold } = this.#options;
    if (text === "" || text[0] === comment) return;
    if (text.includes("\0")) {
      this.#sink.problem(this.#line, NUL_MESSAGE);
      return;
    }
    if (delimiter === "" && isSpace(text, 0)) {
      this.#sink.problem(this.#line, "syntax error (leading space)");
      return;
    }
    const ends = (at: number): boolean => (delimiter === "" ? isSpace(text, at) : text[at] === delimiter);
    let keyEnd = 0;
    while (keyEnd < text.length && !ends(keyEnd)) keyEnd++;
    let valueStart = keyEnd;
    while (valueStart < text.length && ends(valueStart)) valueStart++;
    const written = text.slice(0, keyEnd);
    const key = fold ? foldCase(written) : written;
    if (valueStart === text.length && !allowEmpty) this.#sink.problem(this.#line, `no RHS for LHS ${key}`);
    else this.#sink.entry(key, text.slice(valueStart), this.#line);
  }
}

/** What was wrong with one line of a source. */
export interface SourceProblem {
  readonly line: number;
  readonly message: string;
}

/** A source in memory. */
export interface ParsedSource {
  /** Key to value; of repeated keys the first. Both are byte strings. */
  readonly entries: ReadonlyMap<string, string>;
  /** As makemap tells them, duplicates included. */
  readonly problems: readonly SourceProblem[];
}

/** Reads a whole source. Strings are taken as UTF-8. */
export function parseMapText(
  source: Buffer | string,
  options: SourceOptions = SOURCE_DEFAULTS,
): ParsedSource {
  const entries = new Map<string, string>();
  const problems: SourceProblem[] = [];
  const reader = new SourceReader(options, {
    entry(key, value, line) {
      if (entries.has(key)) problems.push({ line, message: `key ${key}: duplicate key` });
      else entries.set(key, value);
    },
    problem(line, message) {
      problems.push({ line, message });
    },
  });
  reader.push(typeof source === "string" ? Buffer.from(source, "utf8") : source);
  reader.end();
  return { entries, problems };
}

/** A table over entries in memory; keys are folded at lookup unless `caseSensitive`. */
export function tableOf(
  name: string,
  entries: ReadonlyMap<string, string>,
  caseSensitive: boolean = false,
): Table {
  return {
    name,
    lookup(key): Lookup<string> {
      const bytes = byteString(key);
      const value = entries.get(caseSensitive ? bytes : foldCase(bytes));
      return value === undefined ? ABSENT : found(value);
    },
  };
}

/** The table that makemap would have built from `source`; lines that it would have refused are not in it. */
export function textTable(name: string, source: Buffer | string): Table {
  return tableOf(name, parseMapText(source).entries);
}
