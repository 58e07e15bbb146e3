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

/** Returns the text that is read next; undefined for none. */
type Run = (call: M4Call) => string | undefined;

function quoted(call: M4Call, texts: readonly string[]): string {
  const [open, close] = call.m4.quotes;
  return texts.map((text) => open + text + close).join(",");
}

function forEach(call: M4Call, act: (name: string) => void): undefined {
  for (const name of call.args) act(name);
}

function divert(call: M4Call): undefined {
  call.m4.diversion = numeric(call, 0, 0);
}

function changeQuote(call: M4Call): undefined {
  call.m4.quotes = quotePair(call);
}

function changeComment(call: M4Call): undefined {
  call.m4.comment = commentPair(call);
}

function wrap(call: M4Call): undefined {
  call.m4.wrapped.push({ message: arg(call, 0), place: call.place });
}

/** Built-ins that are mere words unless a parenthesis follows. */
// biome-ignore format: one built-in a line.
const BLIND: readonly (readonly [name: string, run: Run])[] = [
  ["define", (call) => define(call, false)],
  ["pushdef", (call) => define(call, true)],
  ["undefine", (call) => forEach(call, (name) => call.m4.undefine(name))],
  ["popdef", (call) => forEach(call, (name) => call.m4.popDefinition(name))],
  ["defn", definition],
  ["ifdef", (call) => (call.m4.macro(arg(call, 0)) === undefined ? arg(call, 2) : arg(call, 1))],
  ["ifelse", chooseEqual],
  ["shift", (call) => quoted(call, call.args.slice(1))],
  ["incr", (call) => String(numeric(call, 0, 0) + 1)],
  ["decr", (call) => String(numeric(call, 0, 0) - 1)],
  ["eval", evaluate],
  ["len", (call) => String(arg(call, 0).length)],
  ["index", (call) => String(arg(call, 0).indexOf(arg(call, 1)))],
  ["substr", substring],
  ["translit", (call) => transliterate(arg(call, 0), arg(call, 1), arg(call, 2))],
  ["format", format],
  ["m4wrap", wrap],
  ["indir", indirect],
  ["syscmd", refused("does not run commands")],
  ["esyscmd", refused("does not run commands")],
  ["maketemp", refused("does not make files")],
  ["mkstemp", refused("does not make files")],
  ["regexp", refused("gets by without it")],
  ["patsubst", refused("gets by without it")],
  ["builtin", refused("gets by without it")],
  ["changeword", refused("gets by without it")],
];

/** Built-ins that act without a parenthesis too. */
// biome-ignore format: one built-in a line.
const BARE: readonly (readonly [name: string, run: Run])[] = [
  ["dnl", deleteToNewline],
  ["divert", divert],
  ["divnum", (call) => String(call.m4.diversion)],
  ["undivert", undivert],
  ["changequote", changeQuote],
  ["changecom", changeComment],
  ["m4exit", (call) => { call.m4.halt(call.place, `m4exit(${arg(call, 0)}) ends the configuration here`); return undefined; }],
  ["__file__", (call) => quoted(call, [call.place.file])],
  ["__line__", (call) => String(call.place.line)],
];

/** Defines the built-ins of m4 in `m4`. */
export function defineBuiltins(m4: M4, outside: M4Surroundings): void {
  const nowhere: Place = { file: "m4", line: 0, column: 0 };
  const add = (name: string, blind: boolean, run: Run): void =>
    m4.define(name, "", nowhere, { blind, run: (call) => run(call) ?? "" });
  for (const [name, run] of BLIND) add(name, true, run);
  for (const [name, run] of BARE) add(name, false, run);
  add("include", true, (call) => include(call, outside, false));
  add("sinclude", true, (call) => include(call, outside, true));
  add("errprint", true, (call) => {
    outside.print({ place: call.place, message: call.args.join(" ").trim() });
    return undefined;
  });
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
