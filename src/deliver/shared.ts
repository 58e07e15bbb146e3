// What the mailers of one gateway share, and how the registry makes one of them.
// Types only: registry.ts fills them.

import type { MailerSpec } from "../config/configuration.ts";
import type { Mailer } from "../spool/mailer.ts";
import type { Turns } from "./append.ts";
import type { HostStatus } from "./hoststatus.ts";
import type { MailerNeeds } from "./needs.ts";
import type { Pool } from "./pool.ts";
import type { Watch } from "./watch.ts";

/** What the mailers that talk to hosts share. */
export interface Connections {
  readonly watch: Watch;
  readonly pool: Pool;
  readonly status: HostStatus;
}

export interface Shared extends Connections {
  readonly turns: Turns;
}

/** Makes the mailer of one declaration. */
export type Factory = (spec: MailerSpec, needs: MailerNeeds, shared: Shared) => Mailer;
