// mailertable: the host, then its parents with a leading dot, then "." (semantics section 7). The most specific key wins; a value
// without a mailer is passed over, as Sendmail does.

import { joinTokens, tokensOf } from "../mail/address.ts";
import type { Focus } from "../mail/focus.ts";
import { ask, type Parsed, type Run, substitute } from "./run.ts";
import { mailerTriple, namesMailer } from "./triple.ts";

const RULE = "mailertable";

/** The decision of the table for `host` (without trailing dot), or null when it has none. At most one lookup per label. */
export async function lookupMailertable(run: Run, host: string, address: Focus): Promise<Parsed | null> {
  const table = run.site.tables.mailer;
  if (table === null) return null;
  const exact = ask(run, RULE, table, host);
  let domain = tokensOf(host);
  if (exact !== null) {
    const value = substitute(exact, [host]);
    const tokens = tokensOf(value);
    if (namesMailer(tokens)) return mailerTriple(run, value, address);
    // Sendmail goes on with the useless value in the place of the host.
    domain = tokens;
  }
  return byParents(run, domain, address);
}

async function byParents(run: Run, domain: readonly string[], address: Focus): Promise<Parsed | null> {
  const table = run.site.tables.mailer;
  let start = 0;
  // Tokens alternate label, dot, label, ...; anything else ends the walk, as the rules' patterns do.
  while (domain[start + 1] === "." && start + 2 < domain.length) {
    const label = domain[start] as string;
    const key = `.${joinTokens(domain.slice(start + 2))}`;
    const left = joinTokens(domain.slice(0, start + 1));
    const found = ask(run, RULE, table, key);
    if (found !== null) {
      const value = substitute(found, [key, left, label]);
      if (namesMailer(tokensOf(value))) return mailerTriple(run, value, address);
      // Not usable, and not a name to go on with: only "." is left.
      return byDot(run, joinTokens([...domain.slice(0, start + 1), ...tokensOf(value)]), address);
    }
    start += 2;
  }
  return byDot(run, joinTokens(domain), address);
}

async function byDot(run: Run, whole: string, address: Focus): Promise<Parsed | null> {
  const found = ask(run, RULE, run.site.tables.mailer, ".");
  if (found === null) return null;
  const value = substitute(found, [".", whole]);
  return namesMailer(tokensOf(value)) ? mailerTriple(run, value, address) : null;
}
