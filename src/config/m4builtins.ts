// m4's built-in macros, one line each in the table at the end. What would run programs or make files (syscmd, esyscmd, maketemp,
// mkstemp) is refused by name. Text that reaches errprint becomes an error when it says ERROR and a warning otherwise.

import { M4_INCLUDE_DEPTH_MAX } from "../base/limits.ts";
import type { Lookup } from "../base/result.ts";
import type { Place } from "./configuration.ts";
import type { M4, M4Builtin, M4Call, M4Message } from "./m4.ts";
import { evaluateExpression } from "./m4eval.ts";
import { formatNumber, formatText, transliterate } from "./m4strings.ts";

/** What the macro processor needs from outside. */
export interface M4Surroundings {
  /** The text of a file named by include or sinclude, as written there; `from` is the including file. */
  readSource(
    path: string,
    from: string,
    optional: boolean,
    place: Place,
  ): Lookup<{ file: string; text: string }> | "known";
  /** Text of errprint. */
  print(message: M4Message): void;
}

function arg(call: M4Call, index: number): string {
  return call.args[index] ?? "";
}

function numeric(call: M4Call, index: number, otherwise: number): number {
  const text = arg(call, index).trim();
  if (text === "") return otherwise;
  if (/^[-+]?\d+$/.test(text)) return Number(text);
  call.m4.error(call.place, `non-numeric argument to ${call.name}: ${text}`);
  return otherwise;
}

function define(call: M4Call, push: boolean): string {
  const name = arg(call, 0);
  if (name === "") return "";
  // The value of defn of a built-in travels as a marked word.
  const builtin = builtinOfToken(call.m4, arg(call, 1));
  if (push) call.m4.pushDefinition(name, builtin === null ? arg(call, 1) : "", call.place, builtin);
  else call.m4.define(name, builtin === null ? arg(call, 1) : "", call.place, builtin);
  return "";
}

const TOKEN_MARK = "\u0001builtin:";

function builtinOfToken(m4: M4, text: string): M4Builtin | null {
  return text.startsWith(TOKEN_MARK) ? (m4.macro(text.slice(TOKEN_MARK.length))?.builtin ?? null) : null;
}

function definition(call: M4Call): string {
  const [open, close] = call.m4.quotes;
  return call.args
    .map((name) => {
      const macro = call.m4.macro(name);
      if (macro === undefined) return "";
      return open + (macro.builtin === null ? macro.text : TOKEN_MARK + name) + close;
    })
    .join("");
}

function chooseEqual(call: M4Call): string {
  const { args } = call;
  if (args.length < 3) return "";
  for (let i = 0; ; i += 3) {
    if (args[i] === args[i + 1]) return args[i + 2] ?? "";
    const left = args.length - (i + 3);
    if (left <= 0) return "";
    if (left <= 2) return args[i + 3] ?? "";
  }
}

function include(call: M4Call, outside: M4Surroundings, optional: boolean): string {
  const path = arg(call, 0);
  const { m4, place } = call;
  const { file, depth } = m4.input.currentFile();
  if (depth >= M4_INCLUDE_DEPTH_MAX) {
    m4.halt(place, `files are included more than ${M4_INCLUDE_DEPTH_MAX} deep`);
    return "";
  }
  const source = outside.readSource(path, file, optional, place);
  if (source === "known") return "";
  if (source.kind === "found") m4.input.open(source.value.file, source.value.text);
  else if (source.kind === "tempfail") m4.error(place, source.reason);
  else if (!optional) m4.error(place, `cannot open '${path}': No such file or directory`);
  return "";
}

function undivert(call: M4Call): string {
  const { m4 } = call;
  const numbers =
    call.args.length === 0 ? [...m4.diversions.keys()].filter((n) => n > 0) : call.args.map(Number);
  for (const number of numbers) {
    const pieces = m4.diversions.get(number);
    if (pieces === undefined || number === m4.diversion) continue;
    m4.diversions.delete(number);
    if (m4.diversion < 0) continue;
    m4.diversions.set(m4.diversion, [...(m4.diversions.get(m4.diversion) ?? []), ...pieces]);
  }
  return "";
}

function evaluate(call: M4Call): string {
  const value = evaluateExpression(arg(call, 0));
  if (!value.ok) {
    call.m4.error(call.place, value.error);
    return "";
  }
  const text = formatNumber(value.value, numeric(call, 1, 10), numeric(call, 2, 1));
  if (text.ok) return text.value;
  call.m4.error(call.place, text.error);
  return "";
}

function substring(call: M4Call): string {
  const text = arg(call, 0);
  const from = numeric(call, 1, 0);
  const length = numeric(call, 2, text.length);
  return from < 0 || length <= 0 ? "" : text.slice(from, from + length);
}

function format(call: M4Call): string {
  const text = formatText(arg(call, 0), call.args.slice(1));
  if (text.ok) return text.value;
  call.m4.error(call.place, text.error);
  return "";
}

function deleteToNewline(call: M4Call): string {
  const { input } = call.m4;
  for (let char = input.next(); char !== "" && char !== "\n"; ) char = input.next();
  return "";
}

function refused(what: string): (call: M4Call) => string {
  return (call) => {
    call.m4.error(call.place, `${call.name} is refused: a configuration ${what}`);
    return "";
  };
}

/** Calls the macro named by the first argument with the others. */
function indirect(call: M4Call): string {
  const name = arg(call, 0);
  const result = call.m4.apply(name, call.args.slice(1), call.place);
  if (result === undefined) call.m4.error(call.place, `indir: ${name} is not defined`);
  return result ?? "";
}

/** Defines the built-ins of m4 in `m4`. */
export function defineBuiltins(m4: M4, outside: M4Surroundings): void {
  const nowhere: Place = { file: "m4", line: 0, column: 0 };
  const add = (name: string, blind: boolean, run: (call: M4Call) => string): void =>
    m4.define(name, "", nowhere, { blind, run });
  const effect = (run: (call: M4Call) => void) => (call: M4Call) => {
    run(call);
    return "";
  };
  const words = (name: string, run: (call: M4Call) => string): void => add(name, true, run);

  words("define", (call) => define(call, false));
  words("pushdef", (call) => define(call, true));
  words(
    "undefine",
    effect((call) => {
      for (const name of call.args) m4.undefine(name);
    }),
  );
  words(
    "popdef",
    effect((call) => {
      for (const name of call.args) m4.popDefinition(name);
    }),
  );
  words("defn", definition);
  words("ifdef", (call) => (m4.macro(arg(call, 0)) === undefined ? arg(call, 2) : arg(call, 1)));
  words("ifelse", chooseEqual);
  words("include", (call) => include(call, outside, false));
  words("sinclude", (call) => include(call, outside, true));
  words("shift", (call) =>
    call.args
      .slice(1)
      .map((text) => m4.quotes[0] + text + m4.quotes[1])
      .join(","),
  );
  words("incr", (call) => String(numeric(call, 0, 0) + 1));
  words("decr", (call) => String(numeric(call, 0, 0) - 1));
  words("eval", evaluate);
  words("len", (call) => String(arg(call, 0).length));
  words("index", (call) => String(arg(call, 0).indexOf(arg(call, 1))));
  words("substr", substring);
  words("translit", (call) => transliterate(arg(call, 0), arg(call, 1), arg(call, 2)));
  words("format", format);
  words(
    "errprint",
    effect((call) => outside.print({ place: call.place, message: call.args.join(" ").trim() })),
  );
  words(
    "m4wrap",
    effect((call) => m4.wrapped.push({ message: arg(call, 0), place: call.place })),
  );
  words("indir", indirect);
  add("dnl", false, deleteToNewline);
  add(
    "divert",
    false,
    effect((call) => {
      m4.diversion = numeric(call, 0, 0);
    }),
  );
  add("divnum", false, () => String(m4.diversion));
  add("undivert", false, undivert);
  add(
    "changequote",
    false,
    effect((call) => {
      m4.quotes = quotePair(call);
    }),
  );
  add(
    "changecom",
    false,
    effect((call) => {
      m4.comment = commentPair(call);
    }),
  );
  add(
    "m4exit",
    false,
    effect((call) => m4.halt(call.place, `m4exit(${arg(call, 0)}) ends the configuration here`)),
  );
  add("__file__", false, (call) => m4.quotes[0] + call.place.file + m4.quotes[1]);
  add("__line__", false, (call) => String(call.place.line));
  for (const name of ["syscmd", "esyscmd"]) words(name, refused("does not run commands"));
  for (const name of ["maketemp", "mkstemp"]) words(name, refused("does not make files"));
  for (const name of ["regexp", "patsubst", "builtin", "changeword"])
    words(name, refused("gets by without it"));
}

function quotePair(call: M4Call): readonly [string, string] {
  if (call.args.length === 0) return ["`", "'"];
  const open = arg(call, 0);
  return [open, open !== "" && arg(call, 1) === "" ? "'" : arg(call, 1)];
}

function commentPair(call: M4Call): readonly [string, string] {
  if (call.args.length === 0) return ["", "\n"];
  return [arg(call, 0), arg(call, 1) === "" ? "\n" : arg(call, 1)];
}
