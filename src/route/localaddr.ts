// Last resorts for a local name without an alias (rule set localaddr): its +detail taken off, LUSER_RELAY for names without an
// account, MAIL_HUB, LOCAL_RELAY (semantics section 9). One step at a time: the result is looked up as an alias again.

import type { RelayTarget } from "../config/configuration.ts";
import { joinTokens, tokensOf } from "../mail/address.ts";
import { type Focus, focusOf } from "../mail/focus.ts";
import type { Parsed, Run } from "./run.ts";
import { mailerTriple, namesMailer, specOf, taken } from "./triple.ts";

/** A user name for the account file: quotes and backslashes off. */
function plainName(name: string): string {
  return name.replace(/["\\]/g, "");
}

/** Is there an account of that name? A lookup failure is remembered and counts as yes: nobody is sent elsewhere by mistake. */
function hasAccount(run: Run, name: string): boolean {
  const account = run.site.accounts.find(plainName(name));
  if (account.kind === "tempfail") run.tempfail ||= account.reason;
  return account.kind !== "absent";
}

/** The user part and detail of tokens with a "+" in them. */
function atPlus(tokens: readonly string[]): readonly [readonly string[], readonly string[]] | null {
  const plus = tokens.indexOf("+", 1);
  return plus < 0 ? null : [tokens.slice(0, plus), tokens.slice(plus + 1)];
}

/** Where an unknown user goes, or null. */
function luserRelay(run: Run, user: readonly string[]): RelayTarget | null {
  const { config } = run.site;
  if (config.luserRelay === null) return null;
  const parts = config.features.preserveLocalPlusDetail ? atPlus(user) : null;
  return hasAccount(run, joinTokens(parts === null ? user : parts[0])) ? null : config.luserRelay;
}

/** The host of the original address that preserve_luser_host keeps, from $h. */
function keptHost(run: Run, h: string): string | null {
  if (!run.site.config.features.preserveLuserHost || h === "" || h.startsWith("+")) return null;
  return h.slice(h.indexOf("@") + 1);
}

async function forwarded(
  run: Run,
  target: RelayTarget,
  user: readonly string[],
  h: string,
): Promise<Parsed | null> {
  const spec = specOf(target);
  const name = h.startsWith("+") ? [...user, "+", ...tokensOf(h.slice(1))] : user;
  run.trace({ rule: "relay for local users", text: spec });
  const tokens = tokensOf(spec);
  const first = tokens[0]?.toLowerCase();
  const bare = namesMailer(tokens) && (first === "local" || first === "error");
  const kept = target === run.site.config.luserRelay ? keptHost(run, h) : null;
  const host = kept ?? (namesMailer(tokens) ? joinTokens(tokens.slice(2)) : spec);
  const address: Focus = focusOf(name, bare ? null : host);
  return mailerTriple(run, spec, address);
}

/** Without a relay: a name with a detail becomes the plain name with the detail in $h, for good. */
function withoutDetail(run: Run, user: readonly string[], h: string): Parsed | null {
  if (run.site.config.features.preserveLocalPlusDetail) return null;
  const full = h.startsWith("+") ? [...user, "+", ...tokensOf(h.slice(1))] : user;
  const parts = atPlus(full);
  if (parts === null) return null;
  return taken(run.site.config.localMailer, joinTokens(parts[1]), focusOf(parts[0], null), true);
}

/** What rule set localaddr makes of `user` (with `h` as $h), or null when it leaves it alone. */
export async function localAddress(run: Run, user: string, h: string): Promise<Parsed | null> {
  const { config } = run.site;
  const tokens = tokensOf(user);
  if (tokens.length === 0) return null;
  const parts = config.features.preserveLocalPlusDetail ? null : atPlus(tokens);
  if (parts !== null) {
    const [name, detail] = parts;
    if (tokens.at(-1) === "*" && tokens.at(-2) === "+" && tokens.length > 2)
      return taken(config.localMailer, h, focusOf(tokens.slice(0, -2), null));
    return taken(config.localMailer, `+${joinTokens(detail)}`, focusOf([...name, "+", "*"], null));
  }
  const lost = luserRelay(run, tokens);
  // Having been found among the accounts, the name goes on without its quotes.
  const name = config.luserRelay !== null && lost === null ? tokensOf(plainName(user)) : tokens;
  for (const target of [lost, config.mailHub, config.localRelay])
    if (target !== null && specOf(target) !== "") return forwarded(run, target, name, h);
  return withoutDetail(run, tokens, h);
}
