// What the mailers ask of the rest of the program, answered by route/, policy/, tls/ and sasl/.
// Only shapes change here; the mailers know nothing of tables, the tables nothing of sockets.

import { ABSENT, found, type Lookup } from "../base/result.ts";
import { authNeeds } from "../deliver/credentials.ts";
import type { MailerNeeds } from "../deliver/needs.ts";
import type { LoginAlarm } from "../deliver/refusals.ts";
import { mxHosts } from "../route/mx.ts";
import { envelopeRecipientFor, envelopeSenderFor, rewriteHeader } from "../route/rewrite.ts";
import type { Site } from "../route/site.ts";
import type { Clock } from "../sys/clock.ts";
import type { Entropy } from "../sys/entropy.ts";
import type { Log } from "../sys/log.ts";
import { joinPath } from "../sys/path.ts";
import { inspectProgram, runProgram } from "../sys/spawn.ts";
import type { ClientTls } from "../tls/context.ts";
import { makeTlsNeeds } from "./tlsneeds.ts";

export interface NeedsDeps {
  /** The site now; a reload is seen by the next attempt. */
  site(): Site;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
  readonly tls: ClientTls | null;
  /** Told when a next hop refuses our credentials. */
  readonly alarm: LoginAlarm;
  /** Beneath which alone local mail is written. */
  readonly jail: string;
  readonly smrshDirectories: readonly string[];
}

async function addressesOf(site: Site, name: string): Promise<Lookup<readonly string[]>> {
  if (/^[0-9.]+$/.test(name) || name.includes(":")) return found([name]);
  const [four, six] = await Promise.all([site.resolver.a(name), site.resolver.aaaa(name)]);
  // IPv4 first, as Sendmail's inet client does; a failing AAAA question must not stop a host that has an A record.
  const all = [...(four.kind === "found" ? four.value : []), ...(six.kind === "found" ? six.value : [])];
  if (all.length > 0) return found(all);
  if (four.kind === "tempfail") return four;
  return six.kind === "tempfail" ? six : ABSENT;
}

export function makeMailerNeeds(deps: NeedsDeps): MailerNeeds {
  const { site } = deps;
  const { config } = site();
  return {
    options: config.options,
    clock: deps.clock,
    entropy: deps.entropy,
    log: deps.log,
    hostName: site().j,
    hosts: (host, mailer) => mxHosts(site(), host, deps.entropy, !mailer.flags.includes("0")),
    addresses: (name) => addressesOf(site(), name),
    header: (mailer, header) => rewriteHeader(site(), mailer.name, header),
    senderFor: (mailer, sender) => envelopeSenderFor(site(), mailer.name, sender),
    recipientFor: (mailer, user) => envelopeRecipientFor(site(), mailer.name, user),
    tls: makeTlsNeeds(site, deps.tls),
    auth: authNeeds(site, deps.clock, deps.log, deps.alarm),
    localAddress: config.client?.address ?? "",
    jail: deps.jail,
    mailbox: (user) => joinPath(deps.jail, "var/spool/mail", user),
    mailboxBytesMax: 0,
    smrshDirectories: deps.smrshDirectories,
    run: runProgram,
    inspect: inspectProgram,
  };
}
