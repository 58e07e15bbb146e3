// The reference page of the configuration language, made from the tables that the compiler itself runs on:
// directives, features, mailers, options and the other conf names. Plain Markdown, shown by the console too.

import { ABSENT } from "../base/result.ts";
import { TEXT_NAMES } from "./confnames.ts";
import { FEATURES } from "./features.ts";
import { MAILER_GROUPS } from "./mailers.ts";
import type { OptionRow } from "./optionkinds.ts";
import { OPTION_ROWS } from "./optiontable.ts";
import { SYSTEM_TYPES } from "./ostypes.ts";
import { directives } from "./system.ts";

/** A cell of a table: no bar may end it early. */
function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}

function row(...cells: readonly string[]): string {
  return `| ${cells.map(cell).join(" | ")} |`;
}

function table(head: readonly string[], rows: readonly string[]): string[] {
  return [row(...head), `|${" --- |".repeat(head.length)}`, ...rows];
}

const UNITS: readonly (readonly [ms: number, letter: string])[] = [
  [604_800_000, "w"],
  [86_400_000, "d"],
  [3_600_000, "h"],
  [60_000, "m"],
  [1000, "s"],
];

function durationText(ms: number): string {
  const unit = UNITS.find(([size]) => ms >= size && ms % size === 0);
  return unit === undefined ? String(ms) : `${ms / unit[0]}${unit[1]}`;
}

function defaultText(option: OptionRow): string {
  const value = option.default;
  if (option.kind === "duration" && typeof value === "number") return durationText(value);
  if (typeof value === "boolean") return value ? "True" : "False";
  const text = Array.isArray(value) ? value.join(" ") : String(value);
  return text === "" ? "" : `\`${text}\``;
}

function kindText(option: OptionRow): string {
  if (option.kind === "duration") return `time (${option.unit})`;
  if (option.kind === "choice") return option.values.join(", ");
  return option.kind;
}

function optionRows(): string[] {
  const byName = [...OPTION_ROWS].sort((a, b) => (a.name.toLowerCase() < b.name.toLowerCase() ? -1 : 1));
  return byName.map((option) =>
    row(
      option.name,
      option.conf === "" ? "" : `\`${option.conf}\``,
      option.letter,
      kindText(option),
      defaultText(option),
      option.effective ? option.doc : `${option.doc} (no effect)`,
    ),
  );
}

/** The whole page. */
export function renderReference(): string {
  const words = directives(() => ABSENT);
  const lines = [
    "# sendmail.mc: reference",
    "",
    "What a `sendmail.mc` may say to this gateway. Names are Sendmail's. Times take the units `s m h d w`;",
    "the letter in brackets is the unit of a bare number. An empty value of a boolean is true.",
    "",
    "## Directives",
    "",
    ...table(
      ["Directive", "Arguments", "What it does"],
      words.map((word) => row(`\`${word.name}\``, word.usage, word.doc)),
    ),
    "",
    "Sections of rules (`LOCAL_RULESETS` and its like) are refused when they hold a line: decisions are made by tables.",
    "",
    "## Features",
    "",
    ...table(
      ["FEATURE", "Arguments", "What it does"],
      [...FEATURES.values()].map((entry) => row(`\`${entry.name}\``, entry.usage, entry.doc)),
    ),
    "",
    "## Mailers",
    "",
    ...table(
      ["MAILER", "What it declares"],
      MAILER_GROUPS.map((group) => row(`\`${group.name}\``, group.doc)),
    ),
    "",
    "## System types",
    "",
    `\`OSTYPE\` knows: ${[...SYSTEM_TYPES.keys()].sort().join(", ")}.`,
    "",
    "## Options",
    "",
    ...table(["Option", "define", "Letter", "Value", "Default", "What it does"], optionRows()),
    "",
    "## Other names to define",
    "",
    ...table(
      ["Name", "What it is"],
      TEXT_NAMES.map(([name, doc]) => row(`\`${name}\``, doc)),
    ),
    "",
  ];
  return lines.join("\n");
}
