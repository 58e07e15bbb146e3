// The `name=value, name="quoted value"` lists of DIGEST-MD5 (RFC 2831 section 7.2), read and written as bytes (one character a byte).
// Promises that a list with control bytes, open quotes or a repeated directive is no list at all.

/** Characters of a token (RFC 2831 section 7.1): no CTL, no separator, no byte above 0x7e. */
const TOKEN = /[!#$%&'*+\-.0-9A-Z^_`a-z|~]+/y;
const BLANKS = /[ \t\r\n]*/y;
/** Inside quotes: anything but CTL, quote and backslash, or a backslash and a character. */
const QUOTED = /"((?:[^\x00-\x1f\x7f"\\]|\\[^\x00-\x1f\x7f])*)"/y;

/**
 * Directives in lower case with their values, one character a byte, in the order sent. `repeatable` may occur more than once
 * (RFC 2831 2.1.1: realm in a challenge, cipher never here); any other twice makes the whole list null.
 */
export function parseDirectives(
  bytes: Buffer,
  repeatable: ReadonlySet<string>,
): ReadonlyMap<string, readonly string[]> | null {
  const text = bytes.toString("latin1");
  const found = new Map<string, string[]>();
  let at = 0;
  const match = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const m = pattern.exec(text);
    if (m !== null) at = pattern.lastIndex;
    return m;
  };
  // Each turn consumes at least one character: the text's length bounds the loop.
  while (at < text.length) {
    match(BLANKS);
    if (text[at] === ",") {
      at++;
      continue;
    }
    if (at >= text.length) break;
    const name = match(TOKEN)?.[0].toLowerCase();
    if (name === undefined) return null;
    match(BLANKS);
    if (text[at] !== "=") return null;
    at++;
    match(BLANKS);
    const value = text[at] === '"' ? unquote(match(QUOTED)?.[1]) : match(TOKEN)?.[0];
    if (value === undefined) return null;
    const values = found.get(name);
    if (values === undefined) found.set(name, [value]);
    else if (repeatable.has(name)) values.push(value);
    else return null;
    match(BLANKS);
    if (at < text.length && text[at] !== ",") return null;
  }
  return found;
}

function unquote(inside: string | undefined): string | undefined {
  return inside?.replace(/\\(.)/gs, "$1");
}

/** `value` in quotes. */
export function quote(value: string): string {
  return `"${value.replace(/["\\]/g, "\\$&")}"`;
}
