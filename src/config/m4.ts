// The macro processor m4 (POSIX, with GNU's blind built-ins): tokens, quotes, comments, arguments, diversions.
// It does no input or output of its own: files come through an injected reader, errors and text go into lists, each with
// file, line and column. Recursion, expansions and sizes are bounded (base/limits.ts); a bound that is hit stops it with an error.

import {
  CONFIGURATION_ERRORS_MAX,
  M4_EXPANSIONS_MAX,
  M4_NESTING_MAX,
  M4_TEXT_CHARS_MAX,
} from "../base/limits.ts";
import type { Place } from "./configuration.ts";
import { M4Input } from "./m4input.ts";

/** One call of a built-in. */
export interface M4Call {
  readonly name: string;
  /** Arguments, the first is args[0]; empty when called without parentheses. */
  readonly args: readonly string[];
  readonly place: Place;
  readonly m4: M4;
}

export interface M4Builtin {
  /** True: a mere word unless a "(" follows at once. */
  readonly blind: boolean;
  /** Returns the text that is read next. */
  run(call: M4Call): string;
}

export interface M4Macro {
  readonly text: string;
  readonly builtin: M4Builtin | null;
  readonly place: Place;
}

/** A piece of output with the place it came from: at most one line, which begins with its first visible character. */
export class M4Piece {
  readonly place: Place;
  #parts: string[];
  #blank: boolean;
  #ended: boolean;

  constructor(text: string, place: Place) {
    this.place = place;
    this.#parts = [text];
    this.#blank = text.trim() === "";
    this.#ended = text.endsWith("\n");
  }

  get text(): string {
    return this.#parts.join("");
  }

  /** Takes `text` in when it belongs to the same line; false when it needs a piece of its own. */
  take(text: string, place: Place): boolean {
    if (this.#ended || place.line !== this.place.line || place.file !== this.place.file) return false;
    const blank = text.trim() === "";
    if (this.#blank && !blank) return false;
    this.#parts.push(text);
    this.#ended = text.endsWith("\n");
    return true;
  }
}

export interface M4Message {
  readonly place: Place;
  readonly message: string;
}

const NAME_START = /[A-Za-z_]/;
const NAME_CHAR = /[A-Za-z0-9_]/;
const SPACE = /[ \t\n\v\f\r]/;

export class M4 {
  readonly errors: M4Message[] = [];
  /** Output by diversion number; negative numbers keep nothing. */
  readonly diversions = new Map<number, M4Piece[]>();
  diversion = 0;
  quotes: readonly [string, string] = ["`", "'"];
  /** Start and end of comments; an empty start: there are none. */
  comment: readonly [string, string] = ["#", "\n"];
  readonly wrapped: M4Message[] = [];
  input: M4Input;
  #macros = new Map<string, M4Macro[]>();
  #expansions = 0;
  #pushed = 0;
  #depth = 0;
  #halted = false;
  #sink: ((text: string, place: Place) => void) | null = null;

  constructor(start: Place) {
    this.input = new M4Input(start);
  }

  /** Notes an error; processing goes on, so that all errors are said at once. */
  error(place: Place, message: string): void {
    if (this.errors.length < CONFIGURATION_ERRORS_MAX) this.errors.push({ place, message });
  }

  /** Notes an error after which nothing sensible can follow. */
  halt(place: Place, message: string): void {
    if (!this.#halted) this.errors.push({ place, message });
    this.#halted = true;
  }

  get halted(): boolean {
    return this.#halted;
  }

  macro(name: string): M4Macro | undefined {
    return this.#macros.get(name)?.at(-1);
  }

  /** Names of all macros that are defined now. */
  names(): string[] {
    return [...this.#macros.keys()];
  }

  define(name: string, text: string, place: Place, builtin: M4Builtin | null = null): void {
    const stack = this.#macros.get(name);
    const macro: M4Macro = { text, builtin, place };
    if (stack === undefined) this.#macros.set(name, [macro]);
    else stack[stack.length - 1] = macro;
  }

  pushDefinition(name: string, text: string, place: Place, builtin: M4Builtin | null = null): void {
    const stack = this.#macros.get(name);
    const macro: M4Macro = { text, builtin, place };
    if (stack === undefined) this.#macros.set(name, [macro]);
    else stack.push(macro);
  }

  popDefinition(name: string): void {
    const stack = this.#macros.get(name);
    stack?.pop();
    if (stack?.length === 0) this.#macros.delete(name);
  }

  undefine(name: string): void {
    this.#macros.delete(name);
  }

  /** Processes a whole file. */
  process(file: string, text: string): void {
    this.input.open(file, text);
    this.#run();
    for (let piece = this.wrapped.shift(); piece !== undefined; piece = this.wrapped.shift()) {
      this.input.push(piece.message, piece.place);
      this.#run();
    }
  }

  /** What `text` expands to, apart from the files being read; "" after a fatal error. */
  evaluate(text: string, place: Place): string {
    const { input, diversion } = this;
    const sink = this.#sink;
    const parts: string[] = [];
    this.input = new M4Input(place);
    this.#sink = (part) => parts.push(part);
    this.input.push(text, place);
    this.#run();
    this.input = input;
    this.#sink = sink;
    this.diversion = diversion;
    return parts.join("");
  }

  /** What the macro `name` expands to, undefined when it is not defined. */
  valueOf(name: string): string | undefined {
    const macro = this.macro(name);
    if (macro === undefined) return undefined;
    return macro.builtin === null ? this.evaluate(name, macro.place) : "";
  }

  /** The result of calling `name` with these arguments, undefined when it is not defined. */
  apply(name: string, args: readonly string[], place: Place): string | undefined {
    const macro = this.macro(name);
    if (macro === undefined) return undefined;
    return macro.builtin === null
      ? substitute(macro.text, name, args, this.quotes)
      : macro.builtin.run({ name, args, place, m4: this });
  }

  #emit(text: string, place: Place): void {
    if (this.#sink !== null) this.#sink(text, place);
    else if (this.diversion >= 0) {
      const pieces = this.diversions.get(this.diversion);
      if (pieces === undefined) this.diversions.set(this.diversion, [new M4Piece(text, place)]);
      else if (pieces.at(-1)?.take(text, place) !== true) pieces.push(new M4Piece(text, place));
    }
  }

  #run(): void {
    while (!this.#halted && this.input.peek() !== "") {
      const place = this.input.place();
      this.#emit(this.#token(), place);
    }
  }

  /** Reads one token; a macro call puts its result back into the input and yields "". */
  #token(): string {
    const { input } = this;
    const place = input.place();
    if (this.comment[0] !== "" && input.follows(this.comment[0])) return this.#readComment();
    if (this.quotes[0] !== "" && input.follows(this.quotes[0])) return this.#readQuoted(place);
    const first = input.next();
    if (!NAME_START.test(first)) return first;
    let name = first;
    while (NAME_CHAR.test(input.peek()) && !input.follows(this.quotes[0])) name += input.next();
    const macro = this.macro(name);
    if (macro === undefined) return name;
    if (macro.builtin?.blind === true && input.peek() !== "(") return name;
    this.#call(name, place);
    return "";
  }

  #readComment(): string {
    const [start, end] = this.comment;
    this.input.skip(start.length);
    let text = start;
    while (this.input.peek() !== "") {
      if (this.input.follows(end)) {
        this.input.skip(end.length);
        return text + end;
      }
      text += this.input.next();
    }
    return text;
  }

  #readQuoted(place: Place): string {
    const { input } = this;
    const [open, close] = this.quotes;
    input.skip(open.length);
    const parts: string[] = [];
    let depth = 1;
    for (;;) {
      if (input.follows(close)) {
        input.skip(close.length);
        depth -= 1;
        if (depth === 0) return parts.join("");
        parts.push(close);
      } else if (input.follows(open)) {
        input.skip(open.length);
        depth += 1;
        parts.push(open);
      } else {
        const char = input.next();
        if (char === "") {
          this.halt(place, "end of file in the quoted text that begins here");
          return "";
        }
        parts.push(char);
      }
    }
  }

  #call(name: string, place: Place): void {
    this.#expansions += 1;
    if (this.#expansions > M4_EXPANSIONS_MAX) {
      this.halt(
        place,
        `more than ${M4_EXPANSIONS_MAX} macro expansions: ${name} seems to expand without end`,
      );
      return;
    }
    const args = this.input.peek() === "(" ? this.#readArguments(name, place) : [];
    if (this.#halted) return;
    const result = this.apply(name, args, place) ?? "";
    this.#pushed += result.length;
    if (this.#pushed > M4_TEXT_CHARS_MAX) {
      this.halt(place, `${name} expands to too much text`);
      return;
    }
    this.input.push(result, place);
  }

  #readArguments(name: string, place: Place): string[] {
    const { input } = this;
    this.#depth += 1;
    if (this.#depth > M4_NESTING_MAX) {
      this.halt(place, `calls are nested more than ${M4_NESTING_MAX} deep`);
      return [];
    }
    input.next();
    const args: string[] = [];
    let last = false;
    while (!last && !this.#halted) {
      while (SPACE.test(input.peek())) input.next();
      const argument = this.#readArgument(name, place);
      args.push(argument.text);
      last = argument.last;
    }
    this.#depth -= 1;
    return args;
  }

  #readArgument(name: string, place: Place): { text: string; last: boolean } {
    const parts: string[] = [];
    // Blanks that an expansion yields before the first text are dropped too, as m4 does.
    let depth = 0;
    for (;;) {
      const char = this.input.peek();
      if (char === "") {
        this.halt(place, `end of file in the arguments of ${name}: a ) is missing`);
        return { text: "", last: true };
      }
      if (this.#halted) return { text: "", last: true };
      const special =
        !this.input.follows(this.quotes[0]) &&
        !this.#commentFollows() &&
        (char === "," || char === "(" || char === ")");
      if (special) {
        this.input.next();
        if (char === "," && depth === 0) return { text: parts.join(""), last: false };
        if (char === ")" && depth === 0) return { text: parts.join(""), last: true };
        if (char !== ",") depth += char === "(" ? 1 : -1;
        parts.push(char);
      } else if (parts.length === 0 && SPACE.test(char)) this.input.next();
      else {
        const quoted = this.input.follows(this.quotes[0]);
        const token = this.#token();
        // A quoted text counts as text even when it is empty or blank.
        if (token !== "" || quoted) parts.push(token);
      }
    }
  }

  #commentFollows(): boolean {
    return this.comment[0] !== "" && this.input.follows(this.comment[0]);
  }
}

/** Replaces $0 to $9.., $#, $* and $@ in the text of a macro. Other uses of $ stay, they belong to sendmail. */
function substitute(
  text: string,
  name: string,
  args: readonly string[],
  quotes: readonly [string, string],
): string {
  return text.replace(/\$(\d+|[#*@])/g, (_match, what: string) => {
    if (what === "#") return String(args.length);
    if (what === "*") return args.join(",");
    if (what === "@") return args.map((arg) => quotes[0] + arg + quotes[1]).join(",");
    return what === "0" ? name : (args[Number(what) - 1] ?? "");
  });
}
