// virtusertable: addresses of our own and of virtual domains, with details and catch-alls (semantics section 8). A hit starts the
// decision again with the new address; `error:` values end it.

import { isOperator, joinTokens, tokensOf } from "../mail/address.ts";
import { type Focus, focus } from "../mail/focus.ts";
import { canonify } from "./canonify.ts";
import { ask, type Parsed, type Run, substitute } from "./run.ts";

const RULE = "virtusertable";

/** Is the (canonical) host one whose users the table may rename? */
function applies(run: Run, host: string): boolean {
  const { classes, config } = run.site;
  if (classes.w.has(host)) return true;
  return config.features.virtUserEntireDomain
    ? classes.VirtHost.ending(host) !== null
    : classes.VirtHost.has(host);
}

/** Keys in the order of lookup, each with the arguments %1.. of its value. */
function keysOf(local: string, host: string): readonly (readonly [string, readonly string[]])[] {
  const keys: (readonly [string, readonly string[]])[] = [[`${local}@${host}`, [local]]];
  const plus = local.indexOf("+", 1);
  if (plus > 0) {
    const user = local.slice(0, plus);
    const detail = local.slice(plus + 1);
    const args = [user, detail, `+${detail}`];
    if (detail !== "") keys.push([`${user}++@${host}`, args]);
    keys.push([`${user}+*@${host}`, args], [`${user}@${host}`, args]);
    if (detail !== "") keys.push([`++@${host}`, args]);
    keys.push([`+*@${host}`, args], [`@${host}`, args]);
  } else keys.push([`@${host}`, [local]]);
  return keys;
}

function findValue(run: Run, local: string, host: string): string | null {
  for (const [key, args] of keysOf(local, host)) {
    const value = ask(run, RULE, run.site.tables.virtuser, key);
    if (value !== null) return substitute(value, [key, ...args]);
  }
  return null;
}

/** `error:5.7.1:550 text` and `error:word text`; the odd `error:5.7.1 550 text` comes out as mangled as Sendmail makes it. */
function errorValue(value: string, tokens: readonly string[]): Parsed {
  const rest = tokens.slice(2);
  const text = value.slice(value.indexOf(":") + 1).trimStart();
  const dotted =
    rest.length > 6 &&
    rest[1] === "." &&
    rest[3] === "." &&
    rest[5] === ":" &&
    [rest[0], rest[2], rest[4]].every((token) => token !== undefined && !isOperator(token));
  if (dotted)
    return {
      kind: "error",
      status: `${rest[0]}.${rest[2]}.${rest[4]}`,
      text: text.slice(text.indexOf(":") + 1).trimStart(),
    };
  const word = rest[0] ?? "";
  return { kind: "error", status: word, text: text.slice(word.length).trimStart() };
}

/** The decision of the table for an address with a canonical host, or null when it has none. */
export async function lookupVirtuser(run: Run, address: Focus): Promise<Parsed | null> {
  if (run.site.tables.virtuser === null || address.host === null || !address.dot) return null;
  if (address.left.length === 0 || !applies(run, address.host)) return null;
  const value = findValue(run, joinTokens(address.left), address.host);
  if (value === null) return null;
  const tokens = tokensOf(value);
  if (tokens[0]?.toLowerCase() === "error" && tokens[1] === ":" && tokens.length > 3)
    return errorValue(value, tokens);
  return run.recurse(await canonify(run, focus(tokens, run.site.routing)));
}
