// The mailers of this build, one line each: which implementation serves which kind of MailerSpec.
// A feature flag takes away exactly one file and its lines (scripts/features.ts reads the marks).

import type { MailerSpec } from "../config/configuration.ts";
import type { Mailer } from "../spool/mailer.ts";
import { baseName } from "../sys/path.ts";
import { Turns } from "./append.ts";
import { shortestMs } from "./deadlines.ts";
import { makeDiscard } from "./discard.ts";
import { makeError } from "./error.ts";
import { makeFile } from "./file.ts"; // CONFIG_MAILER_FILE
import { HostStatus } from "./hoststatus.ts";
import { makeLmtp } from "./lmtp.ts"; // CONFIG_MAILER_LMTP
import { makeLocal } from "./local.ts"; // CONFIG_MAILER_LOCAL
import type { MailerNeeds } from "./needs.ts";
import { Pool } from "./pool.ts";
import { makeProcmail } from "./procmail.ts"; // CONFIG_MAILER_PROCMAIL
import { makeProg } from "./prog.ts"; // CONFIG_MAILER_PROG
import type { Factory, Shared } from "./shared.ts";
import { makeSmtp } from "./smtp.ts"; // CONFIG_MAILER_SMTP
import { Watch } from "./watch.ts";

const KINDS = new Map<string, Factory>([
  ["smtp", makeSmtp], // CONFIG_MAILER_SMTP
  ["lmtp", makeLmtp], // CONFIG_MAILER_LMTP
  ["local", makeLocal], // CONFIG_MAILER_LOCAL
  ["procmail", makeProcmail], // CONFIG_MAILER_PROCMAIL
  ["prog", makeProg], // CONFIG_MAILER_PROG
  ["file", makeFile], // CONFIG_MAILER_FILE
  ["discard", makeDiscard],
  ["error", makeError],
]);

/**
 * mail.local -l is our own mailer for mailboxes, without the detour of a pipe; and so is a local mailer whose program
 * (procmail, which OSTYPE(linux) brings unasked) is not installed or not in this build.
 */
function kindOf(spec: MailerSpec, needs: MailerNeeds): string {
  if (spec.kind === "lmtp" && baseName(spec.path) === "mail.local") return "local";
  if (spec.kind === "procmail" && spec.name === "local")
    return KINDS.has("procmail") && needs.inspect(spec.path) !== "absent" ? "procmail" : "local";
  return spec.kind;
}

export interface Mailers {
  readonly byName: Map<string, Mailer>;
  readonly status: HostStatus;
}

/** A Mailer for each declared one whose kind is in this build. Close any one SMTP mailer to close the shared connections. */
export function makeMailers(specs: readonly MailerSpec[], needs: MailerNeeds): Mailers {
  const { options, clock } = needs;
  const watch = new Watch(clock, shortestMs(options));
  const status = new HostStatus(clock, options["Timeout.hoststatus"], options.HostStatusDirectory !== "");
  const pool = new Pool(
    watch,
    options.ConnectionCacheSize,
    options.ConnectionCacheTimeout,
    options.SingleThreadDelivery,
  );
  const shared: Shared = { watch, pool, status, turns: new Turns() };
  const byName = new Map<string, Mailer>();
  for (const spec of specs) {
    const made = KINDS.get(kindOf(spec, needs))?.(spec, needs, shared);
    if (made !== undefined) byName.set(spec.name, made);
  }
  return { byName, status };
}
