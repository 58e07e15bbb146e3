// Drivers of the cases that need no session: route, alias, rewrite, relay. Each asks the code that the daemon asks.

import type { Reply } from "../../src/mail/reply.ts";
import { makePolicy, makeRates } from "../../src/policy/gate.ts";
import type { Client } from "../../src/policy/policy.ts";
import { errorLine, expandRecipient, verifyRecipient } from "../../src/route/expand.ts";
import { prefixed, resolveRecipient } from "../../src/route/resolve.ts";
import { rewriteAddress } from "../../src/route/rewrite.ts";
import { identifyPeer } from "../../src/smtpd/peer.ts";
import { systemClock } from "../../src/sys/clock.ts";
import { type AliasCase, plainHost, type RelayCase, type RewriteCase, type RouteCase } from "./cases.ts";
import type { Opened } from "./site.ts";

export async function route({ site }: Opened, c: RouteCase): Promise<RouteCase["expect"]> {
  const answer = await resolveRecipient(site, c.address);
  if (answer.kind === "route") {
    // For the local mailer the host part is $h, which the record leaves out.
    const local = answer.mailer === site.config.localMailer && c.expect.mailer === answer.mailer;
    const host = local && "host" in c.expect && c.expect.host === "" ? "" : plainHost(answer.host);
    return { mailer: answer.mailer, host, user: answer.user };
  }
  const shown = prefixed(answer.reply, c.address.startsWith("<") ? c.address : `<${c.address}>`);
  return { mailer: "error", code: shown.code, enhanced: shown.enhanced, text: shown.lines.join(" ") };
}

export async function alias({ site }: Opened, c: AliasCase): Promise<AliasCase["expect"]> {
  const answer = await expandRecipient(site, { address: c.address });
  return {
    deliveries: answer.deliveries.map(({ mailer, host, user }) => ({ mailer, host: plainHost(host), user })),
    messages: answer.errors.map(errorLine),
    exit: answer.exit,
  };
}

export async function rewrite({ site }: Opened, c: RewriteCase): Promise<RewriteCase["expect"]> {
  return { address: await rewriteAddress(site, c.mailer, c.which, c.address) };
}

function answered(stage: RelayCase["expect"]["stage"], reply: Reply): RelayCase["expect"] {
  return { stage, code: reply.code, enhanced: reply.enhanced, text: reply.lines.join(" ") };
}

export async function relay({ site, config, resolver }: Opened, c: RelayCase): Promise<RelayCase["expect"]> {
  const policy = makePolicy(site, makeRates(site, systemClock));
  const peer = await identifyPeer(resolver, c.client);
  const client: Client = {
    address: c.client,
    name: peer.name,
    resolve: peer.resolve,
    helo: c.helo ?? "client.test",
    daemon: config.daemons[0]?.name ?? "MTA",
    modifiers: config.daemons[0]?.modifiers ?? "",
    localAddress: "127.0.0.2",
    localPort: 25,
  };
  const connected = await policy.connect(client);
  // A refused client hears it at its first command that matters, MAIL.
  if (connected.kind === "reject") return answered(connected.close ? "connect" : "mail", connected.reply);
  const mail = await policy.mail(client, c.from, `<${c.from}>`);
  if (mail.kind === "reject") return answered("mail", mail.reply);
  const rcpt = await policy.rcpt(client, c.from, c.to, `<${c.to}>`);
  if (rcpt.kind === "reject") return answered("rcpt", rcpt.reply);
  const accepted = {
    stage: "rcpt" as const,
    code: 250,
    enhanced: "2.1.5",
    text: `<${c.to}>... Recipient ok`,
  };
  // Nobody asks for the user of a message that will be dropped.
  if ([connected, mail, rcpt].some((verdict) => verdict.kind === "discard")) return accepted;
  const verified = await verifyRecipient(site, c.to, `<${c.to}>`, { modifiers: client.modifiers });
  if (verified.kind === "refused") return answered("rcpt", verified.reply);
  return verified.kind === "queued" ? { ...accepted, text: `${accepted.text} (will queue)` } : accepted;
}
