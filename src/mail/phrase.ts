// What surrounds an address in a header: the phrase before `<`, comments, and what follows. Rewriting an address keeps all of it
// (Sendmail's crackaddr): a phrase that needs quotes gets them, everything else is left as the author wrote it.

/** An address in a header taken apart; `before + newAddress + after` is the header text again. */
export interface Cracked {
  readonly before: string;
  /** The address proper, without comments; the text to scan. */
  readonly address: string;
  readonly after: string;
}

/** Characters that a phrase may not hold unquoted (Sendmail's MustQuoteChars). */
const MUST_QUOTE = "@,;:\\()[].'";

interface Marks {
  /** Index of the "<" that opens the address, and of its ">"; -1 when there are none. */
  open: number;
  close: number;
}

/** Finds the last bracketed part outside quotes and comments. One pass. */
function brackets(text: string): Marks {
  const marks: Marks = { open: -1, close: -1 };
  let comment = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === "\\") i++;
    else if (quoted) quoted = c !== '"';
    else if (c === "(") comment++;
    else if (c === ")") comment = Math.max(0, comment - 1);
    else if (comment > 0) continue;
    else if (c === '"') quoted = true;
    else if (c === "<") {
      marks.open = i;
      marks.close = -1;
    } else if (c === ">" && marks.open >= 0 && marks.close < 0) marks.close = i;
  }
  return marks;
}

/** Does the phrase hold characters that need quotes, outside quoted strings and comments? */
function needsQuotes(phrase: string): boolean {
  let comment = 0;
  let quoted = false;
  for (let i = 0; i < phrase.length; i++) {
    const c = phrase[i] as string;
    if (c === "\\") {
      if (comment === 0 && !quoted) return true;
      i++;
    } else if (quoted) quoted = c !== '"';
    else if (c === "(") comment++;
    else if (c === ")" && comment > 0) comment--;
    else if (comment > 0) continue;
    else if (c === '"') quoted = true;
    else if (c === "<" || c === ">" || MUST_QUOTE.includes(c)) return true;
  }
  return false;
}

/** The phrase in quotes where it needs them; comments inside stay where they are only when nothing needs quoting. */
function quotedPhrase(phrase: string): string {
  if (phrase.trim() === "" || !needsQuotes(phrase)) return phrase;
  const group = phrase.indexOf(":");
  const start = group >= 0 && !phrase.slice(0, group).includes('"') ? group + 1 : 0;
  const rest = phrase.slice(start);
  const body = rest.trim();
  if (body === "" || (start > 0 && !needsQuotes(rest))) return phrase;
  const lead = rest.slice(0, rest.length - rest.trimStart().length);
  const tail = rest.slice(rest.trimEnd().length);
  const escaped = body.replaceAll('\\"', '\\\\"');
  return `${phrase.slice(0, start)}${lead}"${escaped}"${tail}`;
}

/** Splits `text` into comments and the rest. */
function withoutComments(text: string): {
  readonly address: string;
  readonly lead: string;
  readonly tail: string;
} {
  let address = "";
  let lead = "";
  let tail = "";
  let comment = 0;
  let quoted = false;
  const put = (c: string) => {
    if (address.trim() === "") lead += c;
    else tail += c;
  };
  for (let i = 0; i < text.length; i++) {
    const c = text[i] as string;
    const pair = c === "\\" && i + 1 < text.length ? c + text[++i] : c;
    if (comment > 0) {
      put(pair);
      if (c === "(") comment++;
      else if (c === ")" && --comment === 0) put(" ");
    } else if (!quoted && c === "(") {
      comment = 1;
      put(c);
    } else {
      if (c === '"') quoted = !quoted;
      address += pair;
    }
  }
  return { address: address.trim(), lead: lead.trim(), tail: tail.trim() };
}

/**
 * Where `phrase:` of a group ends, so that the phrase stays as it is while the address after it changes; -1 when there is none. Colons in
 * quotes, comments and `[IPv6:...]` are no group's.
 */
function groupColon(text: string): number {
  let comment = 0;
  let literal = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === "\\") i++;
    else if (quoted) quoted = c !== '"';
    else if (c === "(") comment++;
    else if (c === ")") comment = Math.max(0, comment - 1);
    else if (comment > 0) continue;
    else if (c === '"') quoted = true;
    else if (c === "[") literal++;
    else if (c === "]") literal = Math.max(0, literal - 1);
    else if (c === ":" && literal === 0) return i;
  }
  return -1;
}

/** `phrase: address;` as phrase, address and what follows. */
function crackGroup(text: string, colon: number): Cracked {
  const phrase = text.slice(0, colon);
  const rest = text.slice(colon + 1);
  const blanks = rest.slice(0, rest.length - rest.trimStart().length);
  const end = rest.endsWith(";") ? ";" : "";
  const { lead, tail } = withoutComments(end === "" ? rest : rest.slice(0, -1));
  return {
    before: `${quotedPhrase(phrase)}:${blanks}${lead === "" ? "" : `${lead} `}`,
    // The scanner takes the phrase off again: `:include:` and the like are for it to tell.
    address: text,
    after: `${tail === "" ? "" : ` ${tail}`}${end}`,
  };
}

/** Without a last backslash that has nothing to quote: it is no part of an address (Sendmail's prescan). */
function withoutLastBackslash(text: string): string {
  let slashes = 0;
  while (text.at(-1 - slashes) === "\\") slashes++;
  return slashes % 2 === 1 && text.length > 1 ? text.slice(0, -1) : text;
}

/** Takes one address of a header list apart. Never fails: text without brackets is address and comments. */
export function crack(text: string): Cracked {
  const trimmed = text.trim();
  const { open, close } = brackets(trimmed);
  if (open >= 0) {
    const end = close < 0 ? trimmed.length : close;
    const before = quotedPhrase(trimmed.slice(0, open));
    const after = close < 0 ? "" : trimmed.slice(close + 1);
    const inside = withoutComments(trimmed.slice(open + 1, end));
    const comment = [inside.lead, inside.tail].filter((text) => text !== "").join(" ");
    return {
      before: `${before}<`,
      // The brackets stay: they tell the scanner that a colon inside is no group's.
      address: `<${inside.address}>`,
      after: `${comment === "" ? "" : ` ${comment}`}>${after}`,
    };
  }
  const colon = groupColon(trimmed);
  if (colon >= 0) return crackGroup(trimmed, colon);
  const { address, lead, tail } = withoutComments(
    trimmed.endsWith(";") ? trimmed.slice(0, -1) : withoutLastBackslash(trimmed),
  );
  if (trimmed.endsWith(";"))
    return { before: lead === "" ? "" : `${lead} `, address, after: `${tail === "" ? "" : ` ${tail}`};` };
  return { before: lead === "" ? "" : `${lead} `, address, after: tail === "" ? "" : ` ${tail}` };
}

/**
 * Splits a header's address list at its commas (outside quotes, comments, brackets and source routes). The pieces keep their
 * blanks; at most one piece per comma.
 */
export function splitList(text: string): readonly string[] {
  const pieces: string[] = [];
  let start = 0;
  let comment = 0;
  let route = false;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    // A backslash does not keep a comma from ending an address, outside quotes and comments.
    if (c === "\\" && (quoted || comment > 0 || text[i + 1] !== ",")) i++;
    else if (quoted) quoted = c !== '"';
    else if (c === "(") comment++;
    else if (c === ")") comment = Math.max(0, comment - 1);
    else if (comment > 0) continue;
    else if (c === '"') quoted = true;
    else if (c === "<")
      route = text
        .slice(i + 1, i + 80)
        .trimStart()
        .startsWith("@");
    else if (c === ">") route = false;
    else if (c === "," && !route) {
      pieces.push(text.slice(start, i));
      start = i + 1;
    }
  }
  pieces.push(text.slice(start));
  return pieces;
}

/** Splits at blanks outside quotes: the old style of lists, `a b c`. */
function splitAtBlanks(text: string): string[] {
  return text.match(/(?:"(?:[^"\\]|\\[\s\S])*"?|\\[\s\S]|[^\s"\\]|\\$)+/g) ?? [];
}

/**
 * The addresses of recipient lists (arguments of the sendmail command, fields that -t reads), without those that are nothing but a
 * comment. Follows Sendmail's sendtolist(): with `oldStyle` (OldStyleHeaders) blanks separate them too, until a list has a comma,
 * semicolon, bracket or comment in it.
 */
export function recipientList(lists: readonly string[], oldStyle: boolean): string[] {
  let blanks = oldStyle;
  const found: string[] = [];
  for (const list of lists) {
    if (/[,;<(]/.test(list)) blanks = false;
    for (const piece of blanks ? splitAtBlanks(list) : splitList(list))
      if (crack(piece).address !== "") found.push(piece.trim());
  }
  return found;
}
