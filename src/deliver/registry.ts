// The mailers of this build, one line each: which implementation serves which kind of MailerSpec.
// A feature flag takes away exactly one file and its line. A mailer whose kind is not here defers with a local configuration error.

import type { MailerSpec } from "../config/configuration.ts";
import type { Mailer } from "../spool/mailer.ts";
import { shortestMs } from "./deadlines.ts";
import { DiscardMailer } from "./discard.ts";
import { ErrorMailer } from "./error.ts";
import { FileMailer, Turns } from "./file.ts";
import { HostStatus } from "./hoststatus.ts";
import { LocalMailer } from "./local.ts";
import type { MailerNeeds } from "./needs.ts";
import { Pool } from "./pool.ts";
import { ProgramMailer } from "./procmail.ts";
import { ProgMailer } from "./prog.ts";
import { type Connections, SmtpMailer } from "./smtp.ts";
import { Watch } from "./watch.ts";

/** What the mailers of one gateway share. */
interface Shared extends Connections {
  readonly turns: Turns;
}

type Factory = (spec: MailerSpec, needs: MailerNeeds, shared: Shared) => Mailer;

const KINDS = new Map<string, Factory>([
  ["smtp", (spec, needs, shared) => new SmtpMailer(needs, spec, shared)],
  ["lmtp", makeLmtp],
  ["local", (spec, needs, shared) => new LocalMailer(needs, spec, shared.turns)],
  ["procmail", makeProgram],
  ["prog", (spec, needs) => new ProgMailer(needs, spec)],
  ["file", (spec, needs, shared) => new FileMailer(needs, spec, shared.turns)],
  ["discard", () => new DiscardMailer()],
  ["error", () => new ErrorMailer()],
]);

/** LMTP over a socket; mail.local -l is our own mailer for mailboxes, without the detour of a pipe. */
function makeLmtp(spec: MailerSpec, needs: MailerNeeds, shared: Shared): Mailer {
  return spec.path.startsWith("[")
    ? new SmtpMailer(needs, spec, shared, true)
    : new LocalMailer(needs, spec, shared.turns);
}

/** OSTYPE(linux) makes procmail the local mailer unasked: where it is not installed, mailboxes are written by our own. */
function makeProgram(spec: MailerSpec, needs: MailerNeeds, shared: Shared): Mailer {
  const missing = spec.name === "local" && needs.inspect(spec.path) === "absent";
  return missing ? new LocalMailer(needs, spec, shared.turns) : new ProgramMailer(needs, spec);
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
    const made = KINDS.get(spec.kind)?.(spec, needs, shared);
    if (made !== undefined) byName.set(spec.name, made);
  }
  return { byName, status };
}
