// The mailers of this build, one line each: which implementation serves which kind of MailerSpec.
// A feature flag takes away exactly one file and its line. A mailer whose kind is not here defers with a local configuration error.

import type { MailerSpec } from "../config/configuration.ts";
import type { Mailer } from "../spool/mailer.ts";
import { shortestMs } from "./deadlines.ts";
import { HostStatus } from "./hoststatus.ts";
import type { SmtpNeeds } from "./needs.ts";
import { Pool } from "./pool.ts";
import { type Connections, SmtpMailer } from "./smtp.ts";
import { Watch } from "./watch.ts";

type Factory = (spec: MailerSpec, needs: SmtpNeeds, shared: Connections) => Mailer;

const KINDS = new Map<string, Factory>([
  ["smtp", (spec, needs, shared) => new SmtpMailer(needs, spec, shared)],
]);

export interface Mailers {
  readonly byName: Map<string, Mailer>;
  readonly status: HostStatus;
}

/** A Mailer for each declared one whose kind is in this build. Close any one SMTP mailer to close the shared connections. */
export function makeMailers(specs: readonly MailerSpec[], needs: SmtpNeeds): Mailers {
  const { options, clock } = needs;
  const watch = new Watch(clock, shortestMs(options));
  const status = new HostStatus(clock, options["Timeout.hoststatus"], options.HostStatusDirectory !== "");
  const pool = new Pool(
    watch,
    options.ConnectionCacheSize,
    options.ConnectionCacheTimeout,
    options.SingleThreadDelivery,
  );
  const shared: Connections = { watch, pool, status };
  const byName = new Map<string, Mailer>();
  for (const spec of specs) {
    const made = KINDS.get(spec.kind)?.(spec, needs, shared);
    if (made !== undefined) byName.set(spec.name, made);
  }
  return { byName, status };
}
