// The left side of an alias: which names it may be and what key it becomes (sendmail-semantics section 10): local names
// only, comments and brackets off, blanks to BlankSub, quotes off where they are not needed, folded to lower case.

import { foldCase } from "./bytestring.ts";

/** Sendmail's BlankSub option: what an unquoted blank in a name becomes. */
const BLANK_SUB = ".";

export type AliasName =
  | { readonly ok: true; readonly key: string }
  | { readonly ok: false; readonly messages: readonly string[]; readonly exit: number };

const EXIT_USAGE = 64;
const EXIT_SOFTWARE = 70;
const NAME_BYTES_MAX = 255;
/** Bytes of a name with its comments, blanks and quotes; nothing longer can become a name. */
const WRITTEN_BYTES_MAX = 2048;

/** A name as lookups take it: idempotent, so that keys may go through it again. */
export function aliasKey(name: string): string {
  return name.length > WRITTEN_BYTES_MAX ? foldCase(name) : foldCase(unquoted(bare(name)));
}

/** The key for the left side `written`; `isLocal` says which host names are ours (class w). */
export function aliasName(written: string, isLocal: (host: string) => boolean): AliasName {
  const name = written.length > WRITTEN_BYTES_MAX ? "" : bare(written);
  if (name === "" || name === '""' || name.length > NAME_BYTES_MAX)
    return { ok: false, messages: [], exit: EXIT_SOFTWARE };
  // Sendmail tells this too, but stores the rest of the line as a name that nothing can look up.
  if (isUnbalanced(written))
    return { ok: false, messages: [`${written}... Unbalanced '"'`], exit: EXIT_SOFTWARE };
  const refuse = (reason?: string): AliasName => ({
    ok: false,
    messages: [
      ...(reason === undefined ? [] : [`${written}... ${reason}`]),
      `${written.replace(/[\x00-\x1f\x7f]/g, "?")}... cannot alias non-local names`,
    ],
    exit: reason === undefined ? EXIT_SOFTWARE : EXIT_USAGE,
  });
  // A comma in front of something else begins a route ("@a,@b:user@dom" without its end).
  const comma = name.endsWith(",") ? lastUnquoted(name.slice(0, -1), ",") : lastUnquoted(name, ",");
  if (comma >= 0) return refuse("Invalid route address");
  const { user, host } = splitHost(name);
  if (host !== null && user === "") return refuse("User address required");
  if (host === "") return refuse("Hostname required");
  if (host !== null && !isLocal(foldCase(host))) return refuse();
  if (hasUnquoted(user, "!") || hasUnquoted(user, "@")) return refuse();
  if (user.startsWith("|") || user.startsWith("/")) return refuse();
  return { ok: true, key: foldCase(unquoted(user)) };
}

/** The text with comments and angle brackets taken off and blanks between words replaced. */
function bare(text: string): string {
  let out = "";
  let depth = 0;
  let blank = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i] ?? "";
    if (c === "\\" && i + 1 < text.length) {
      if (depth === 0) out += joint(out, c, blank) + c + (text[i + 1] ?? "");
      i += 1;
    } else if (c === "(") depth += 1;
    else if (depth > 0) {
      if (c === ")") depth -= 1;
    } else if (c === '"') {
      const end = closingQuote(text, i);
      out += text.slice(i, end + 1);
      i = end;
    } else if (c === " " || c === "\t") {
      blank = true;
      continue;
    } else if (c === "<") out = "";
    else if (c === ">") break;
    else out += joint(out, c, blank) + c;
    // A comment separates words as a blank does.
    blank = depth > 0 || (c === ")" && out !== "");
  }
  return out;
}

/** What stands between two words that a blank separated; nothing at operators and quotes, which separate by themselves. */
function joint(before: string, next: string, blank: boolean): string {
  if (!blank || before === "") return "";
  return /[@%!:;,."]$/.test(before) || /[@%!:;,.]/.test(next) ? "" : BLANK_SUB;
}

/** Where the quoted string that begins at `from` ends: at its closing quote, or at the end of the text. */
function closingQuote(text: string, from: number): number {
  let i = from + 1;
  while (i < text.length && text[i] !== '"') i += text[i] === "\\" ? 2 : 1;
  return Math.min(i, text.length - 1);
}

/** Does a quoted string begin that never ends? */
function isUnbalanced(text: string): boolean {
  let open = false;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === "\\") i += 1;
    else if (text[i] === '"') open = !open;
  }
  return open;
}

/** The position of the last unquoted `wanted`, -1 when there is none. */
function lastUnquoted(text: string, wanted: string): number {
  let last = -1;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === "\\") i += 1;
    else if (text[i] === '"') i = closingQuote(text, i);
    else if (text[i] === wanted) last = i;
  }
  return last;
}

function hasUnquoted(text: string, wanted: string): boolean {
  return lastUnquoted(text, wanted) >= 0;
}

function splitHost(name: string): { readonly user: string; readonly host: string | null } {
  // user%host is another way to write user@host when there is no "@".
  const at = lastUnquoted(name, "@");
  const split = at >= 0 ? at : lastUnquoted(name, "%");
  return split < 0 ? { user: name, host: null } : { user: name.slice(0, split), host: name.slice(split + 1) };
}

/** Without its quotes when the whole is one quoted string that needs none. */
function unquoted(name: string): string {
  if (name.length < 2 || !name.startsWith('"') || closingQuote(name, 0) !== name.length - 1) return name;
  const inner = name.slice(1, -1);
  return inner === "" || /[ \t<>()@;|/]/.test(inner) ? name : inner;
}
