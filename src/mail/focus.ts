// From tokens to an address with its focus: what stands left of the last @ and the host right of it (Sendmail's rule set canonify,
// before DNS and tables have a say). Source routes, group syntax, %-hack and bang paths are taken apart here (semantics section 5).

import { joinTokens, tokensOf } from "./address.ts";

/** An address under decision. */
export interface Focus {
  /**
   * "address": left (and host); "null": the null address `<>`; "list": an empty group `name:;`, as Sendmail allows in headers only.
   */
  readonly kind: "address" | "null" | "list";
  /** Tokens of the local part; may be empty for bad input (`@dom`). */
  readonly left: readonly string[];
  /** Host text as written, without a trailing dot; null for a bare name. "" for `user@`. */
  readonly host: string | null;
  /** True when the host is canonical: one of our names, found in DNS, or written with a trailing dot. */
  readonly dot: boolean;
}

/** Which characters of a local part route mail. */
export interface Routing {
  /** `host!user` is understood (no FEATURE(nouucp)). */
  readonly uucp: boolean;
  /** `user%host` is understood (no FEATURE(nopercenthack)). */
  readonly percent: boolean;
}

export const NULL_FOCUS: Focus = { kind: "null", left: [], host: null, dot: false };
const LIST_FOCUS: Focus = { kind: "list", left: [], host: null, dot: false };

export function focusOf(left: readonly string[], host: string | null, dot = false): Focus {
  return { kind: "address", left, host, dot };
}

/** Tokens after the first ":" of `phrase: address` unless something says that the colon is not a group's. */
function withoutGroup(tokens: readonly string[]): readonly string[] {
  const text = tokens;
  const colon = text.indexOf(":");
  if (colon < 0) return text;
  const literalAfterColon = text.at(-1) === "]" && text.indexOf("[", colon) > colon;
  if (!literalAfterColon) {
    if (text.includes("<") || text[0] === "@") return text;
    if (text.at(-1) === "]" && ipv6Literal(text)) return text;
    if (text[colon + 1] === ":") return text;
    if (colon === 0 && text[1]?.toLowerCase() === "include" && text[2] === ":") return text;
  }
  return text.slice(colon + 1);
}

function ipv6Literal(tokens: readonly string[]): boolean {
  const open = tokens.lastIndexOf("[");
  return open >= 0 && tokens[open + 1]?.toLowerCase() === "ipv6" && tokens[open + 2] === ":";
}

/** The innermost bracketed part, or everything when there are no brackets. */
function withoutBrackets(tokens: readonly string[]): readonly string[] {
  const open = tokens.lastIndexOf("<");
  if (open < 0) return tokens;
  const close = tokens.indexOf(">", open);
  return tokens.slice(open + 1, close < 0 ? tokens.length : close);
}

/** `@a,@b:user@dom` is user@dom: source routes are stripped (RFC 5321 appendix C allows it). */
function withoutRoute(tokens: readonly string[]): readonly string[] {
  let rest = tokens;
  // Each turn drops at least one token.
  while (rest[0] === "@") {
    const comma = rest.indexOf(",", 2);
    const literal = rest[1] === "[" ? rest.indexOf("]", 2) : -1;
    const cut = comma >= 0 && comma + 1 < rest.length ? comma : rest.indexOf(":", literal > 0 ? literal : 2);
    if (cut < 2 || cut + 1 >= rest.length) return rest;
    rest = rest.slice(cut + 1);
  }
  return rest;
}

/** Splits at the last "@" that has something on both sides; null when there is none. */
function atFocus(tokens: readonly string[]): Focus | null {
  const first = tokens.indexOf("@", 1);
  if (first < 0 || first + 1 >= tokens.length) return null;
  let at = first;
  // The gaze moves right over `a@@b` too: it is refused, not sent to a host called "@b".
  for (let next = tokens.indexOf("@", at + 1); next >= 0 && next + 1 < tokens.length; )
    [at, next] = [next, tokens.indexOf("@", next + 1)];
  return withHost(tokens.slice(0, at), tokens.slice(at + 1));
}

function withHost(left: readonly string[], host: readonly string[]): Focus {
  return focusOf(left, joinTokens(host));
}

/** `host!user` and `a.b!user`: the part before the first "!" is a host, a single label one of the pseudo-domain UUCP. */
function bangFocus(tokens: readonly string[]): Focus | null {
  const bang = tokens.indexOf("!", 1);
  if (bang < 0 || bang + 1 >= tokens.length) return null;
  const host = joinTokens(tokens.slice(0, bang));
  const dotted = bang >= 3 && tokens[bang - 2] === ".";
  return focusOf(tokens.slice(bang + 1), dotted ? host : `${host}.UUCP`);
}

/** The last "%" becomes the "@". */
function percentFocus(tokens: readonly string[]): Focus | null {
  const signs = tokens.filter((token) => token === "%" || token === "@").length;
  if (signs === 0) return null;
  const at = Math.max(tokens.lastIndexOf("%"), tokens.lastIndexOf("@"));
  const left = tokens.slice(0, at).map((token) => (token === "@" ? "%" : token));
  return withHost(left, tokens.slice(at + 1));
}

/** The focus of scanned tokens. Never fails: what makes no sense is refused later, by parse(). */
export function focus(tokens: readonly string[], routing: Routing): Focus {
  if (tokens.length === 0) return NULL_FOCUS;
  let rest = withoutGroup(tokens);
  while (rest.at(-1) === ";") rest = rest.slice(0, -1);
  if (rest.length === 0) return LIST_FOCUS;
  if (rest.includes("<")) {
    let inner = withoutBrackets(rest);
    if (inner.at(-1) === ";" && inner.at(-2) === ":") return LIST_FOCUS;
    while (inner.at(-1) === ";") inner = inner.slice(0, -1);
    rest = inner;
  }
  if (rest.length === 0) return NULL_FOCUS;
  rest = withoutRoute(rest);
  const at = atFocus(rest);
  if (at !== null) return at;
  const bang = routing.uucp ? bangFocus(rest) : null;
  if (bang !== null) return bang;
  if (routing.percent) {
    const percent = percentFocus(rest);
    if (percent !== null) return percent;
  }
  const bare = rest.indexOf("@");
  if (bare >= 0) return withHost(rest.slice(0, bare), rest.slice(bare + 1));
  return focusOf(rest, null);
}

/** focus() of a text from our own tables. */
export function focusText(text: string, routing: Routing): Focus {
  return focus(tokensOf(text), routing);
}

/** The address as text, "user@host" (rule set final): a bare name stays bare. `uucp`: bang paths are understood here. */
export function focusToText(address: Focus, uucp = true): string {
  if (address.kind === "null") return "";
  const left = joinTokens(address.left);
  if (address.host === null) return left;
  // UUCP addresses are always shown in their old form, except with FEATURE(nouucp).
  const bang = uucp ? /^([^.]+)\.UUCP$/i.exec(address.host) : null;
  return bang === null ? `${left}@${address.host}` : `${bang[1]}!${left}`;
}
