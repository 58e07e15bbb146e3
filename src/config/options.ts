// Options as one typed object, keyed by Sendmail's long names: defaults, and setting one by name or letter (-O, -o, O lines).
// Names are matched without case and by unique prefix, errors are worded as Sendmail's readcf() words them; nothing is guessed.

import { err, ok, type Result } from "../base/result.ts";
import { type OptionRow, type OptionValue, parseOptionValue as parseRow } from "./optionkinds.ts";
import { OPTION_ROWS, OPTION_TABLE } from "./optiontable.ts";

export type { OptionRow, OptionValue } from "./optionkinds.ts";
export { OPTION_TABLE };

type Row = (typeof OPTION_TABLE)[number];

/** All options by long name: times in milliseconds, sizes in bytes, unset texts "", unset numbers 0. */
export type Options = { readonly [R in Row as R["name"]]: R["default"] };

/** What goaway stands for. */
const GOAWAY = ["authwarnings", "noexpn", "novrfy", "noverb", "needmailhelo", "needexpnhelo", "needvrfyhelo"];

const BY_NAME = new Map(OPTION_ROWS.map((row) => [row.name.toLowerCase(), row]));
const BY_LETTER = new Map(OPTION_ROWS.filter((row) => row.letter !== "").map((row) => [row.letter, row]));
const BY_CONF = new Map(OPTION_ROWS.filter((row) => row.conf !== "").map((row) => [row.conf, row]));

/** The row of an m4 macro ("confMAX_HOP", "QUEUE_DIR"). */
export function optionOfConf(conf: string): OptionRow | undefined {
  return BY_CONF.get(conf);
}

/** The row of an option by its full name, without case. */
export function optionNamed(name: string): OptionRow | undefined {
  return BY_NAME.get(name.toLowerCase());
}

/** A fresh set of options with every default written out. */
export function defaultOptions(): Options {
  // Built from the table that the type is derived from, so the cast only says what the compiler cannot compute.
  return Object.fromEntries(OPTION_ROWS.map((row) => [row.name, row.default])) as unknown as Options;
}

/** Files of aliases: separated by commas, each with an optional type and flags in front (`hash:-o /path`). */
function parseAliasFiles(value: string): readonly string[] {
  return value
    .split(",")
    .map((part) => part.trim().replace(/^(?:[a-z]+\s*:\s*|[a-z]+\s+(?=[-/]))?(?:-\S+\s+)*/, ""))
    .filter((path) => path !== "");
}

/** Reads the value of one option; goaway is followed by what it stands for. */
export function parseOptionValue(row: OptionRow, value: string): Result<OptionValue> {
  const parsed: Result<OptionValue> =
    row.name === "AliasFile" ? ok(parseAliasFiles(value)) : parseRow(row, value);
  if (!parsed.ok || row.name !== "PrivacyOptions" || !Array.isArray(parsed.value)) return parsed;
  const words: string[] = parsed.value;
  return ok(words.includes("goaway") ? [...new Set([...words, ...GOAWAY])] : words);
}

/** `options` with one value replaced; options that follow it (Timeout.queuereturn.*) get it too. */
export function withOption(options: Options, row: OptionRow, value: OptionValue): Options {
  const changed = new Map<string, OptionValue>([[row.name, value]]);
  for (const name of row.leads) changed.set(name, value);
  return { ...options, ...Object.fromEntries(changed) };
}

function findByPrefix(name: string): Result<OptionRow> {
  const wanted = name.toLowerCase();
  const exact = BY_NAME.get(wanted);
  if (exact !== undefined) return ok(exact);
  const timeout = /^timeout\.(.*)$/i.exec(name);
  if (timeout !== null) return err(`settimeout: invalid timeout ${timeout[1]}`);
  const matches = OPTION_ROWS.filter(
    (row) => row.name.toLowerCase().startsWith(wanted) && !row.name.startsWith("Timeout."),
  );
  const [first, second] = matches;
  if (wanted === "" || first === undefined) return err(`readcf: unknown option name ${name}`);
  if (second !== undefined)
    return err(`readcf: ambiguous option name ${name} (matches ${first.name} and ${second.name})`);
  return ok(first);
}

/**
 * Sets one option as -O (long name) and -o (letter) do. Errors are Sendmail's texts, ready to print; the exit status is EX_SOFTWARE.
 * PrivacyOptions and DontBlameSendmail add to what is there, as Sendmail's do.
 */
export function setOption(options: Options, nameOrLetter: string, value: string): Result<Options> {
  const byLetter = nameOrLetter.length === 1 ? BY_LETTER.get(nameOrLetter) : undefined;
  if (nameOrLetter.length === 1 && byLetter === undefined)
    return err(`readcf: unknown option name ${nameOrLetter}`);
  const row = byLetter === undefined ? findByPrefix(nameOrLetter) : ok(byLetter);
  if (!row.ok) return row;
  const parsed = parseOptionValue(row.value, value);
  if (!parsed.ok) {
    if (row.value.name === "PrivacyOptions") return err(`readcf: Op line: ${parsed.error}`);
    return err(`readcf: option ${row.value.name}: ${parsed.error}`);
  }
  const adds = row.value.name === "PrivacyOptions" || row.value.name === "DontBlameSendmail";
  const before = adds ? new Map(Object.entries(options)).get(row.value.name) : undefined;
  if (Array.isArray(before) && Array.isArray(parsed.value))
    return ok(withOption(options, row.value, [...new Set([...before, ...parsed.value])]));
  return ok(withOption(options, row.value, parsed.value));
}
