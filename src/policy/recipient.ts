// check_rcpt: may this client send to this recipient? Our own routing is peeled off first, then the access table (blocklist), then
// authentication, then relaying; with delay_checks the checks of MAIL and of the connection follow (semantics section 15).

import { dequote, isOperator, joinTokens, tokensOf } from "../mail/address.ts";
import { type Focus, focusOf } from "../mail/focus.ts";
import type { Reply } from "../mail/reply.ts";
import { canonicalAddress, canonicalTokens } from "../route/resolve.ts";
import type { Site } from "../route/site.ts";
import { lookupExact, type SearchItem, says, search, TO, tagOnly } from "./access.ts";
import { type Decision, fromAccess, PASS, refuse, refuseWith } from "./decision.ts";
import { checkHelo } from "./helo.ts";
import type { Client } from "./policy.ts";
import { denied, isRelayDomain, relayFor, relayTo } from "./relay.ts";

/** How deep `a%b%c@relayed` is taken apart. */
const PEEL_MAX = 20;

/** "stop": accepted for good (authenticated), no delayed checks either. */
export type RecipientAnswer = Decision | { readonly kind: "stop" };

const STOP: RecipientAnswer = { kind: "stop" };

function routes(site: Site, token: string): boolean {
  return token === "@" || token === "%" || (token === "!" && site.routing.uucp);
}

/** ParseRecipient: `u%site@R` is judged as u@site when R is ours or relayed to. */
async function judged(site: Site, start: Focus): Promise<Focus> {
  let address = start;
  for (let i = 0; i < PEEL_MAX; i++) {
    if (address.host === null) return address;
    const only = address.left.length === 1 ? address.left[0] : undefined;
    const bare = only === undefined || isOperator(only) ? null : dequote(only);
    const left = bare === null ? address.left : tokensOf(bare);
    address = left === address.left ? address : focusOf(left, address.host, address.dot);
    if (address.host === null || !left.some((token) => routes(site, token))) return address;
    if (!(await isRelayDomain(site, address.host))) return address;
    const inner = await canonicalTokens(site, left);
    if (inner === null || inner.kind !== "address") return address;
    address = inner;
  }
  return address;
}

/** A domain whose best MX is one of our names is judged as local. */
async function bestMxLocal(site: Site, address: Focus): Promise<Focus> {
  const domains = site.config.features.bestMxIsLocal;
  if (domains === null || address.host === null) return address;
  const host = address.host.toLowerCase();
  const listed = (domain: string) =>
    host === domain.toLowerCase() || host.endsWith(`.${domain.toLowerCase()}`);
  if (domains.length > 0 && !domains.some(listed)) return address;
  const mx = await site.resolver.mx(address.host);
  if (mx.kind !== "found") return address;
  const best = mx.value.reduce((a, b) => (b.preference < a.preference ? b : a)).exchange;
  return site.classes.w.has(best) ? focusOf(address.left, best, true) : address;
}

/** FEATURE(blocklist_recipients) */
function blocklisted(site: Site, address: Focus): Decision {
  if (!site.config.features.blocklistRecipients || site.tables.access === null) return PASS;
  const local = joinTokens(address.left);
  const user: SearchItem = { kind: "user", local, host: "" };
  const { host } = address;
  const items: SearchItem[] =
    host === null
      ? [user]
      : [
          { kind: "user", local, host },
          ...(site.classes.w.has(host) ? [user] : []),
          { kind: "domain", host },
        ];
  const decision = fromAccess(search(site, TO, items), () =>
    refuseWith(
      "5.2.1",
      site.config.recipientRejectMessage === ""
        ? "550 Mailbox disabled for this recipient"
        : site.config.recipientRejectMessage,
    ),
  );
  return decision.kind === "accept" ? PASS : decision;
}

/** RelayTLS and TrustAuthMech. */
function authenticated(site: Site, client: Client): boolean {
  const { tls, auth } = client;
  if (tls !== undefined && (tls.verify === "OK" || tls.verify === "TRUSTED") && site.tables.access !== null) {
    const issuer = lookupExact(site, tls.certIssuer, tagOnly("CERTISSUER"));
    if (tls.certIssuer !== "" && says(issuer, "RELAY")) return true;
    if (tls.certIssuer !== "" && says(issuer, "SUBJECT") && tls.certSubject !== "")
      if (says(lookupExact(site, tls.certSubject, tagOnly("CERTSUBJECT")), "RELAY")) return true;
  }
  return auth !== undefined && site.classes.TrustAuthMech.has(auth.mechanism);
}

/** Basic_check_rcpt: recipient, then relaying. */
export async function checkRecipient(
  site: Site,
  client: Client,
  sender: string,
  recipient: string,
  typed: string,
): Promise<RecipientAnswer> {
  if (recipient === "") return refuse(553, "5.0.0", "User address required");
  const canonical = await canonicalAddress(site, typed);
  if (canonical === null || canonical.kind !== "address") return denied(site);
  const peeled = site.config.features.looseRelayCheck ? canonical : await judged(site, canonical);
  const address = await bestMxLocal(site, peeled);
  const blocked = blocklisted(site, address);
  if (blocked.kind !== "pass") return blocked;
  if (site.config.features.promiscuousRelay) return PASS;
  if (authenticated(site, client)) return STOP;
  return relaying(site, client, sender, address);
}

async function relaying(site: Site, client: Client, sender: string, address: Focus): Promise<Decision> {
  const to = await relayTo(site, address);
  if (to.kind === "relay") return PASS;
  if (to.kind === "refuse") return to.decision;
  let waiting: Reply | null = to.kind === "temp" ? to.reply : null;
  const by = await relayFor(site, client, sender);
  if (by.kind === "relay") return PASS;
  if (by.kind === "refuse") return by.decision;
  if (by.kind === "temp") waiting = by.reply;
  if (waiting !== null) return { kind: "refuse", reply: waiting };
  const helo = site.config.features.delayChecks === "off" ? checkHelo(site, client) : PASS;
  return helo.kind === "pass" ? denied(site) : helo;
}

/** delay_checks: does the recipient want the checks of sender and client at all (Spam: FRIEND or HATER)? */
export async function wantsChecks(site: Site, typed: string): Promise<boolean> {
  const mode = site.config.features.delayChecks;
  if (mode !== "friend" && mode !== "hater") return true;
  const address = await canonicalAddress(site, typed);
  if (address === null || address.kind !== "address") return true;
  const local = joinTokens(address.left);
  const host = address.host ?? site.j;
  const items: SearchItem[] = [
    { kind: "user", local, host },
    { kind: "domain", host },
    ...(site.classes.w.has(host) ? [{ kind: "user", local, host: "" } as const] : []),
  ];
  const answer = search(site, tagOnly("Spam"), items);
  return mode === "friend" ? !says(answer, "FRIEND") : says(answer, "HATER");
}
