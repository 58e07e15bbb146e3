// =M of address test mode and -d0.15: the mailers of the configuration, one line each, with Sendmail's fields.
// Scripts that look for a mailer's flags or arguments find them where Sendmail prints them.

import type { MailerSpec } from "../config/configuration.ts";
import type { Site } from "../route/site.ts";
import { setsOf } from "./rulesets.ts";

/** T=: MTA type, address type, diagnostic type. */
function typesOf(spec: MailerSpec): string {
  if (spec.name === "*include*") return "<undefined>/<undefined>/<undefined>";
  if (spec.kind === "smtp" || spec.kind === "lmtp") return "DNS/RFC822/SMTP";
  return spec.kind === "prog" || spec.kind === "file" ? "X-Unix/X-Unix/X-Unix" : "DNS/RFC822/X-Unix";
}

/** Letters in the order of their codes, each once. */
function flagsOf(spec: MailerSpec): string {
  return [...new Set(spec.flags)].sort().join("");
}

/** Mailers that Sendmail makes itself come first; error and discard are answers, not mailers, and have no number. */
const FIRST = ["prog", "*file*", "*include*"];

/** The mailers in the order of Sendmail's numbers, which mailstats shows too. */
export function numberedMailers(mailers: readonly MailerSpec[]): readonly MailerSpec[] {
  const first = FIRST.flatMap((name) => mailers.filter((m) => m.name === name));
  const others = mailers.filter((m) => !FIRST.includes(m.name) && m.kind !== "error" && m.kind !== "discard");
  return [...first, ...others];
}

export function mailerLines(site: Site): readonly string[] {
  return numberedMailers(site.config.mailers).map((spec, number) => {
    const sets = setsOf(site, spec.name);
    const end = spec.kind === "smtp" || spec.kind === "lmtp" ? "\\r\\n" : "\\n";
    return [
      `mailer ${number} (${spec.name}): P=${spec.path}`,
      `S=${sets.sender.join("/")} R=${sets.recipient.join("/")}`,
      `M=${spec.sizeMax} U=-1:-1 F=${flagsOf(spec)} L=${spec.lineMax} E=${end}`,
      `T=${typesOf(spec)}`,
      ...(spec.messagesMax > 0 ? [`m=${spec.messagesMax}`] : []),
      `r=${spec.recipientsMax} A=${spec.args}`,
    ].join(" ");
  });
}
