// smrsh's rules (semantics section 23): which commands an alias or .forward may run. No shell is started: the command is split
// here into a list of programs joined by && and ||, each of which must be an executable file of the smrsh directory.
// Messages and exit statuses are smrsh's. Quotes and backslashes group words as in sh; nothing else of sh's language means anything.

import { EX_UNAVAILABLE } from "./exits.ts";

/** Where allowed programs are looked for, in this order; the first directory that has the name decides. */
export const SMRSH_DIRECTORIES: readonly string[] = [
  "/etc/mail/smrsh",
  "/usr/libexec/smrsh",
  "/usr/lib/sendmail.d/bin",
  "/usr/adm/sm.bin",
];

/** Bytes of one command. */
const COMMAND_BYTES_MAX = 4096;
/** Programs of one command line. */
const COMMANDS_MAX = 32;

/** Characters that may not stand after a program's name, except && and || between commands. */
const SPECIALS = "`<>;&|$()\r\n";

/** A step of the command line. */
export interface Step {
  readonly what: "program" | "exit" | "echo";
  /** Absolute path of the program, "" for a built-in. */
  readonly file: string;
  /** Words after the name. */
  readonly args: readonly string[];
  /** Run only when the step before succeeded ("&&"), failed ("||"), or always (the first). */
  readonly when: "first" | "&&" | "||";
  /** Written with exec: nothing follows it. */
  readonly exec: boolean;
}

export type Plan =
  | { readonly ok: true; readonly steps: readonly Step[] }
  | { readonly ok: false; readonly status: number; readonly message: string };

/** What is at a path: an executable plain file, something else, or nothing. */
export type Inspect = (path: string) => "program" | "not a file" | "not executable" | "absent";

/** Makes the plan of `command`, or says why it is refused. */
export function planCommand(command: string, directories: readonly string[], inspect: Inspect): Plan {
  if (Buffer.byteLength(command) > COMMAND_BYTES_MAX) return refusal("command too long");
  if (command.includes("\0")) return refusal("cannot use \\000 in command");
  const steps: Step[] = [];
  let rest = command;
  let when: Step["when"] = "first";
  for (let n = 0; n < COMMANDS_MAX; n++) {
    const taken = takeStep(rest, when, directories, inspect);
    if (!taken.ok) return taken;
    if (taken.step !== null) steps.push(taken.step);
    if (taken.next === null) return { ok: true, steps };
    when = taken.next.when;
    rest = taken.next.rest;
  }
  return refusal("too many commands");
}

type Taken =
  | {
      readonly ok: true;
      readonly step: Step | null;
      readonly next: { readonly when: "&&" | "||"; readonly rest: string } | null;
    }
  | { readonly ok: false; readonly status: number; readonly message: string };

function takeStep(text: string, when: Step["when"], directories: readonly string[], inspect: Inspect): Taken {
  let rest = text.replace(/^[ \t\n\v\f\r]+/, "");
  let exec = false;
  for (;;) {
    if (rest === "") return exec ? refusal("missing command to exec") : { ok: true, step: null, next: null };
    const end = rest.search(/[ \t]/);
    const word = end < 0 ? rest : rest.slice(0, end);
    const after = end < 0 ? "" : rest.slice(end);
    if (word === "exec" && end >= 0) {
      exec = true;
      rest = after.replace(/^[ \t\n\v\f\r]+/, "");
      continue;
    }
    const named = programOf(word, directories, inspect);
    if (!named.ok) return named;
    return takeArguments(after, { ...named.step, when, exec });
  }
}

type Named = { readonly ok: true; readonly step: Pick<Step, "what" | "file"> } | ReturnType<typeof refusal>;

/** The program that a command word names: its directory part is not looked at. */
function programOf(word: string, directories: readonly string[], inspect: Inspect): Named {
  if (word === "exit" || word === "echo") return { ok: true, step: { what: word, file: "" } };
  const name = word.slice(word.lastIndexOf("/") + 1);
  if (name === "" || name === "." || name === ".." || /[\x00-\x1f\x7f]/.test(name))
    return unavailable(name, "not a file");
  let seen: "stat failed" | "not a file" | "not executable" = "stat failed";
  for (const directory of directories) {
    const file = `${directory}/${name}`;
    const found = inspect(file);
    if (found === "program") return { ok: true, step: { what: "program", file } };
    if (found === "absent") continue;
    seen = found;
    break;
  }
  return unavailable(name, seen);
}

function takeArguments(text: string, step: Omit<Step, "args">): Taken {
  const at = indexOfSpecial(text);
  const two = at < 0 ? "" : text.slice(at, at + 2);
  if (at >= 0 && two !== "&&" && two !== "||")
    return refusal(`cannot use ${shown(text[at] ?? "")} in command`);
  const words = splitWords(at < 0 ? text : text.slice(0, at));
  if (words === null) return refusal("unbalanced quote in command");
  const next =
    at < 0 ? null : { when: two === "&&" ? ("&&" as const) : ("||" as const), rest: text.slice(at + 2) };
  return { ok: true, step: { ...step, args: words }, next };
}

function indexOfSpecial(text: string): number {
  for (let i = 0; i < text.length; i++) if (SPECIALS.includes(text[i] ?? "")) return i;
  return -1;
}

function shown(c: string): string {
  return c === "\r" ? "\\r" : c === "\n" ? "\\n" : c;
}

/** Words as sh splits them, without expansions. null: a quote is never closed. */
function splitWords(text: string): readonly string[] | null {
  const words: string[] = [];
  let word: string | null = null;
  let quote = "";
  for (let i = 0; i < text.length; i++) {
    const c = text[i] ?? "";
    if (quote !== "") {
      if (c === quote) quote = "";
      else if (c === "\\" && quote === '"' && i + 1 < text.length && '"\\'.includes(text[i + 1] ?? ""))
        word = (word ?? "") + (text[++i] ?? "");
      else word = (word ?? "") + c;
    } else if (c === " " || c === "\t") {
      if (word !== null) words.push(word);
      word = null;
    } else if (c === "'" || c === '"') {
      quote = c;
      word ??= "";
    } else if (c === "\\" && i + 1 < text.length) {
      word = (word ?? "") + (text[++i] ?? "");
    } else {
      word = (word ?? "") + c;
    }
  }
  if (quote !== "") return null;
  if (word !== null) words.push(word);
  return words;
}

function refusal(what: string): { readonly ok: false; readonly status: number; readonly message: string } {
  return { ok: false, status: EX_UNAVAILABLE, message: `smrsh: ${what}` };
}

function unavailable(name: string, why: string): ReturnType<typeof refusal> {
  return refusal(`"${name.replace(/[\x00-\x1f\x7f]/g, "?")}" not available for sendmail programs (${why})`);
}
