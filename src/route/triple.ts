// `mailer:[user@]host` made a decision (rule sets MailerToTriple and CanonLocal): what mailertable values, SMART_HOST, MAIL_HUB and
// LUSER_RELAY mean. Forms and their oddities: semantics section 7.

import { dequote, isOperator, joinTokens, tokensOf } from "../mail/address.ts";
import { type Focus, focus, focusOf } from "../mail/focus.ts";
import { canonify } from "./canonify.ts";
import type { Parsed, Run } from "./run.ts";

/** Does the token route mail: "@", "%", and "!" unless nouucp (class O)? */
export function isRoutingSign(run: Run, token: string): boolean {
  return token === "@" || token === "%" || (token === "!" && run.site.routing.uucp);
}

export function taken(mailer: string, host: string, user: Focus, final = false): Parsed {
  return { kind: "mailer", mailer, host, user, final };
}

/** `error:x.y.z:text`, `error:word:text`, `error:text`; tokens start after "error" ":". */
function errorTriple(rest: readonly string[], text: string): Parsed {
  const single = (token: string | undefined) => token !== undefined && !isOperator(token);
  if (
    rest.length > 6 &&
    single(rest[0]) &&
    rest[1] === "." &&
    single(rest[2]) &&
    rest[3] === "." &&
    single(rest[4]) &&
    rest[5] === ":"
  ) {
    const status = `${rest[0]}.${rest[2]}.${rest[4]}`;
    return { kind: "error", status, text: afterColons(text, 1) };
  }
  if (rest.length > 2 && rest[0] !== undefined && rest[1] === ":")
    return { kind: "error", status: dequote(rest[0]) ?? rest[0], text: afterColons(text, 1) };
  return { kind: "error", status: "", text };
}

/** The text after `count` colons, leading blanks dropped. */
function afterColons(text: string, count: number): string {
  let at = 0;
  for (let i = 0; i < count; i++) at = text.indexOf(":", at) + 1;
  return text.slice(at).trimStart();
}

/** `local:`, `local:user`, `local:user@host`. The original address becomes the host part ($h). */
async function localTriple(run: Run, name: readonly string[], address: Focus): Promise<Parsed> {
  const mailer = run.site.config.localMailer;
  const sign = address.left.findIndex((token, i) => i > 0 && isRoutingSign(run, token));
  if (address.host !== null && sign > 0 && sign + 1 < address.left.length)
    return run.recurse(await canonify(run, focus(address.left, run.site.routing)));
  const original =
    address.host === null ? joinTokens(address.left) : `${joinTokens(address.left)}@${address.host}`;
  const at = name.indexOf("@", 1);
  const user = name.length === 0 ? address.left : at > 0 && address.host !== null ? name.slice(0, at) : name;
  return taken(mailer, original, focusOf(user, null));
}

/** Does the value have the form that names a mailer: one token, a colon, and not an address in brackets? */
export function namesMailer(tokens: readonly string[]): boolean {
  return tokens.length >= 2 && tokens[0] !== "[" && tokens[1] === ":";
}

/**
 * What `spec` makes of `address`: null leaves the address as it is (an empty spec, or a host that is ours).
 */
export async function mailerTriple(run: Run, spec: string, address: Focus): Promise<Parsed | null> {
  if (spec === "") return null;
  const tokens = tokensOf(spec);
  if (tokens.length === 0) return null;
  const first = (tokens[0] as string).toLowerCase();
  if (namesMailer(tokens) && first === "error" && tokens.length > 2)
    return errorTriple(tokens.slice(2), spec.slice(spec.indexOf(":") + 1).trimStart());
  if (namesMailer(tokens) && first === "local") return localTriple(run, tokens.slice(2), address);
  if (namesMailer(tokens) && tokens.length > 2) {
    const at = tokens.indexOf("@", 3);
    if (at > 0 && at + 1 < tokens.length && address.host !== null) {
      const host = joinTokens(tokens.slice(at + 1));
      return taken(tokens[0] as string, host, focusOf(tokens.slice(2, at), host));
    }
    return taken(tokens[0] as string, joinTokens(tokens.slice(2)), address);
  }
  if (run.site.classes.w.has(spec)) return null;
  return taken(run.site.config.relayMailer, joinTokens(tokens), address);
}

/** `mailer:host` as the configuration holds it, back in one text; "" for none. */
export function specOf(target: { readonly mailer: string; readonly host: string } | null): string {
  if (target === null) return "";
  return target.mailer === "" ? target.host : `${target.mailer}:${target.host}`;
}
