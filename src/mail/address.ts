// Addresses as Sendmail reads them: a bounded scanner from text to tokens, and back. Comments go, quotes and backslashes stay,
// and its complaints carry Sendmail's words. Tolerant where Sendmail is (RFC 5321 4.1.2 and RFC 5322 3.4 are the polite subset).
// One pass, no regular expressions on input, so that no address can cost more than its length.

import { ADDRESS_BYTES_MAX, ADDRESS_TOKENS_MAX } from "../base/limits.ts";
import { err, ok, type Result } from "../base/result.ts";

/** What was wrong with an address: the reply's code, enhanced code and words (no `<address>... ` prefix). */
export interface AddressError {
  readonly code: number;
  readonly enhanced: string;
  readonly text: string;
}

/** The tokens of one address and where it ended in the text. */
export interface Scan {
  readonly tokens: readonly string[];
  /** Index of the delimiter that ended it, or the length of the text. */
  readonly end: number;
  /** What a tolerant scan repaired; null when nothing was wrong. */
  readonly problem: AddressError | null;
}

/** Sendmail's OperatorChars (each a token of its own) and the delimiters that always are. */
const OPERATORS = ".:%@!^/[]+";
const DELIMITERS = "<>,;";

/** Is the token an operator or delimiter character (not an atom, not a quoted string)? */
export function isOperator(token: string): boolean {
  return token.length === 1 && (OPERATORS.includes(token) || DELIMITERS.includes(token));
}

function isAtom(token: string): boolean {
  return token !== "" && token[0] !== '"' && !isOperator(token);
}

/**
 * Tokens back to text. Two atoms side by side had a blank (or comment) between them: they are joined by `blank`, Sendmail's BlankSub.
 */
export function joinTokens(tokens: readonly string[], blank = "."): string {
  let text = "";
  let atom = false;
  for (const token of tokens) {
    const next = isAtom(token);
    text += atom && next ? blank + token : token;
    atom = next;
  }
  return text;
}

function complaint(text: string, enhanced = "5.0.0"): AddressError {
  return { code: 553, enhanced, text };
}

/** One run over the text; see scanAddress. */
class Scanner {
  readonly tokens: string[] = [];
  problem: AddressError | null = null;
  atom = "";
  quoted = false;
  comments = 0;
  angles = 0;

  flush(): void {
    if (this.atom !== "") this.tokens.push(this.atom);
    this.atom = "";
  }

  complain(text: string): void {
    this.problem ??= complaint(text);
  }

  /** A character outside quotes and comments. */
  plain(c: string): void {
    if (c === '"') {
      this.flush();
      this.quoted = true;
      this.atom = c;
    } else if (c === "(") {
      this.comments++;
      this.flush();
    } else if (c === ")") this.complain("Unbalanced ')'");
    else if (c === "<") this.angle(1, c);
    else if (c === ">") {
      if (this.angles === 0) this.complain("Unbalanced '>'");
      else this.angle(-1, c);
    } else if (c === " " || c === "\t" || c === "\r" || c === "\n") this.flush();
    else if (isOperator(c)) {
      this.flush();
      this.tokens.push(c);
    } else this.atom += c;
  }

  /**
   * Does a delimiter end the address here? Outside of brackets always; a comma inside them too, unless a source route begins there
   * (`<@a,@b:u@c>`): somebody forgot a bracket.
   */
  endsAt(delimiter: string): boolean {
    if (this.angles === 0) return true;
    if (delimiter !== ",") return false;
    const open = this.tokens.lastIndexOf("<");
    const first = this.tokens[open + 1] ?? this.atom;
    return first !== "@";
  }

  angle(step: number, c: string): void {
    this.angles += step;
    this.flush();
    this.tokens.push(c);
  }

  /** The end of the text: what is still open is a complaint, and is closed as Sendmail closes it. */
  finish(): void {
    if (this.quoted) {
      this.complain("Unbalanced '\"'");
      this.atom += '"';
    } else if (this.comments > 0) this.complain("Unbalanced '('");
    this.flush();
    if (this.angles > 0) {
      this.complain("Unbalanced '<'");
      for (; this.angles > 0; this.angles--) this.tokens.push(">");
    }
  }
}

/**
 * Scans one address from `start`, up to `delimiter` outside of quotes, comments and angle brackets ("" : to the end; " " means any
 * blank). Bounds: ADDRESS_BYTES_MAX, ADDRESS_TOKENS_MAX. `tolerant` repairs unbalanced text instead of refusing it, as Sendmail
 * does for headers and aliases.
 */
export function scanAddress(
  text: string,
  start = 0,
  delimiter: "" | " " | "," = "",
  tolerant = false,
): Result<Scan, AddressError> {
  const scan = new Scanner();
  let i = start;
  for (; i < text.length; i++) {
    const c = text[i] as string;
    if (i - start >= ADDRESS_BYTES_MAX - 1)
      return err(complaint(`Address too long (${ADDRESS_BYTES_MAX - 1} bytes max)`, "5.1.0"));
    if (c === "\\" && i + 1 < text.length) {
      // The backslash and what it protects stay together, as part of an atom or string; in a comment both go.
      if (scan.comments === 0) scan.atom += c + text[i + 1];
      i++;
    } else if (scan.quoted) {
      scan.atom += c;
      if (c === '"') {
        scan.quoted = false;
        scan.flush();
      }
    } else if (scan.comments > 0) {
      if (c === "(") scan.comments++;
      else if (c === ")") scan.comments--;
    } else if (delimiter !== "" && isDelimiter(c, delimiter) && scan.endsAt(delimiter)) break;
    else scan.plain(c);
    if (scan.tokens.length > ADDRESS_TOKENS_MAX) return err(complaint("prescan: too many tokens"));
  }
  scan.finish();
  if (scan.problem !== null && !tolerant) return err(scan.problem);
  return ok({ tokens: scan.tokens, end: i, problem: scan.problem });
}

function isDelimiter(c: string, delimiter: " " | ","): boolean {
  return delimiter === "," ? c === "," : c === " " || c === "\t";
}

/** The tokens of a text that our own tables or rules produced; what cannot be scanned is one atom. */
export function tokensOf(text: string): readonly string[] {
  const scanned = scanAddress(text, 0, "", true);
  return scanned.ok ? scanned.value.tokens : [text];
}

/**
 * Takes the quotes off a token when what they protect needs none (Sendmail's dequote map): null when it must keep them
 * (blanks, unbalanced parentheses or angle brackets inside), or had none.
 */
export function dequote(token: string): string | null {
  if (!token.includes('"')) return null;
  let out = "";
  let quoted = false;
  let comments = 0;
  let angles = 0;
  for (let i = 0; i < token.length; i++) {
    const c = token[i] as string;
    if (c === "\\") {
      out += c + (token[i + 1] ?? "");
      i++;
      continue;
    }
    if (c === '"') {
      quoted = !quoted;
      continue;
    }
    if (c === " " || c === "\t") return null;
    if (c === "(") comments++;
    else if (c === ")" && --comments < 0) return null;
    else if (c === "<") angles++;
    else if (c === ">" && --angles < 0) return null;
    out += c;
  }
  return quoted || comments !== 0 || angles !== 0 ? null : out;
}
