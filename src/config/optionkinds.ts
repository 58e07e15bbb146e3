// The kinds of option values, how each is read from text, and what is wrong with a bad one. Numbers and times follow
// Sendmail's readcf(): atobool(), convtime() with its default units, and words cut at commas and blanks.
// Unlike Sendmail, text that is not a number is an error here and never silently 0.

import { err, ok, type Result } from "../base/result.ts";

export type TimeUnit = "s" | "m" | "h" | "d" | "w";

export type OptionValue = boolean | number | string | readonly string[];

export type OptionKind =
  | "boolean"
  | "integer"
  | "bytes"
  | "duration"
  | "text"
  | "words"
  | "letters"
  | "choice";

/** One line of the option table. `T` is the type of the value. */
export interface OptionRow<N extends string = string, T extends OptionValue = OptionValue> {
  /** Sendmail's long name, as after `O ` and `-O`. */
  readonly name: N;
  /** The m4 macro that sets it, "confMAX_HOP"; "" when there is none. */
  readonly conf: string;
  /** The one-letter name (`-o`), "" when there is none. */
  readonly letter: string;
  readonly kind: OptionKind;
  readonly default: T;
  /** What a bare number means, for durations. */
  readonly unit: TimeUnit;
  /** Inclusive bounds of numbers (durations: milliseconds). */
  readonly min: number;
  readonly max: number;
  /** Permitted words, for choice, words and letters; empty when all are. */
  readonly values: readonly string[];
  /** Other options that follow this one when they are not set themselves. */
  readonly leads: readonly string[];
  /** False: the name is known and kept, and has no effect here (the doc line says why). */
  readonly effective: boolean;
  /** One line for the reference page. */
  readonly doc: string;
}

const UNIT_MS: Readonly<Record<TimeUnit, number>> = {
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** The longest time that may be configured: a year. */
export const DURATION_MS_MAX = 366 * UNIT_MS.d;

/** Sendmail's atobool: nothing, or a word that begins with t or y, is true; f and n are false; anything else is an error here. */
export function parseBoolean(text: string): Result<boolean> {
  if (text === "" || /^(t|true|y|yes|on)$/i.test(text)) return ok(true);
  if (/^(f|false|n|no|off)$/i.test(text)) return ok(false);
  return err(`"${text}" is neither True nor False`);
}

/** Milliseconds of Sendmail's time notation: `5d`, `1h30m`, `now`; a bare number is in `unit`. */
export function parseDuration(text: string, unit: TimeUnit): Result<number> {
  if (/^now$/i.test(text)) return ok(0);
  if (text.length > 32 || !/^(?:\d+[smhdw])*\d+[smhdw]?$/i.test(text))
    return err(`"${text}" is not a time (like 30s, 5m, 1h30m, 5d)`);
  let total = 0;
  for (const [, digits, letter] of text.matchAll(/(\d+)([smhdw]?)/gi)) {
    const name = (letter ?? "") === "" ? unit : ((letter ?? "").toLowerCase() as TimeUnit);
    total += Number(digits) * UNIT_MS[name];
  }
  return total <= DURATION_MS_MAX ? ok(total) : err(`${text} is more than a year`);
}

function parseNumber(text: string): Result<number> {
  if (!/^-?\d{1,15}$/.test(text)) return err(`"${text}" is not a number`);
  return ok(Number(text));
}

function bounded(row: OptionRow, text: string, parsed: Result<number>): Result<number> {
  if (!parsed.ok) return parsed;
  if (parsed.value < row.min) return err(`${text} is less than the smallest value ${row.min}`);
  if (parsed.value > row.max) return err(`${text} is more than the largest value ${row.max}`);
  return parsed;
}

function parseWords(row: OptionRow, text: string): Result<readonly string[]> {
  const words = text.split(/[\s,]+/).filter((word) => word !== "");
  if (row.values.length === 0) return ok(words);
  const known = new Map(row.values.map((value) => [value.toLowerCase(), value]));
  const result: string[] = [];
  for (const word of words) {
    const value = known.get(word.toLowerCase());
    if (value === undefined) return err(`${word} unrecognized`);
    if (!result.includes(value)) result.push(value);
  }
  return ok(result);
}

function parseLetters(row: OptionRow, text: string): Result<string> {
  const letters = text.replace(/[\s,]+/g, "");
  for (const letter of letters) {
    if (row.values.length > 0 && !row.values.includes(letter))
      return err(`"${letter}" is none of ${row.values.join(" ")}`);
  }
  return ok(letters);
}

function parseChoice(row: OptionRow, text: string): Result<string> {
  const wanted = text.toLowerCase();
  const exact = row.values.find((value) => value === wanted);
  if (exact !== undefined) return ok(exact);
  // Sendmail looks at the first letters only (`-odq`, `QueueSortOrder=h`).
  const matches = wanted === "" ? [] : row.values.filter((value) => value.startsWith(wanted));
  const [match] = matches;
  return match !== undefined && matches.length === 1
    ? ok(match)
    : err(`"${text}" is none of ${row.values.join(", ")}`);
}

/** Reads `text` as a value of `row`; the error is a reason without the option's name. Blanks around the value do not count, except in free text. */
export function parseOptionValue(row: OptionRow, text: string): Result<OptionValue> {
  const value = text.trim();
  switch (row.kind) {
    case "boolean":
      return parseBoolean(value);
    case "integer":
    case "bytes":
      return value === "" ? ok(row.default) : bounded(row, value, parseNumber(value));
    case "duration":
      return value === "" ? ok(row.default) : bounded(row, value, parseDuration(value, row.unit));
    case "words":
      return parseWords(row, value);
    case "letters":
      return parseLetters(row, value);
    case "choice":
      return value === "" ? ok(row.default) : parseChoice(row, value);
    case "text":
      // Free text keeps leading blanks: the chapter's greeting is ` Sendmail`.
      return /[\0\r\n]/.test(text) ? err("a value cannot hold line breaks or NUL") : ok(text.trimEnd());
  }
}
