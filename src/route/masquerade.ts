// Addresses as the world should see them (semantics section 12): qualification, genericstable, masquerading, for each kind of mailer
// and each place of an address. Rewriting what is already rewritten changes nothing, except through tables that say so.

import { joinTokens, tokensOf } from "../mail/address.ts";
import { type Focus, focus, focusOf, NULL_FOCUS } from "../mail/focus.ts";
import { canonify } from "./canonify.ts";
import { ask, type Run, substitute } from "./run.ts";

/** Where an address stands. */
export type Place = "header-sender" | "envelope-sender" | "header-recipient" | "envelope-recipient";

/** How a mailer's rule sets treat addresses (S= and R= of its declaration). */
export type Style = "smtp" | "relay" | "local" | "lmtp" | "procmail";

/** Mailer declarations differ by name where Sendmail's do, else by what delivers for them. */
export function styleOf(mailer: string, kind: string, localLmtp: boolean): Style {
  if (mailer === "relay") return "relay";
  if (mailer === "procmail") return "procmail";
  if (mailer === "local" && localLmtp) return "lmtp";
  if (["local", "prog", "*file*", "*include*"].includes(mailer)) return "local";
  return kind === "smtp" || kind === "lmtp" ? "smtp" : "local";
}

/** The null address, and `user@`, which comes out as nothing. */
function isNull(address: Focus): boolean {
  return address.kind === "null" || (address.kind === "address" && address.host === "");
}

/** A bare name under work is LOCAL until the end; `host: null` says so. */
function atJ(run: Run, address: Focus): Focus {
  return address.host === null ? focusOf(address.left, run.site.j, true) : address;
}

/** The keys of one address in genericstable, in order, with the arguments of their values. */
function genericKeys(
  left: string,
  domain: string,
  local: boolean,
): readonly (readonly [string, readonly string[]])[] {
  const plus = left.indexOf("+", 1);
  const user = plus > 0 ? left.slice(0, plus) : left;
  const detail = plus > 0 ? left.slice(plus + 1) : "";
  const keys: (readonly [string, readonly string[]])[] = [[`${left}@${domain}`, []]];
  if (plus > 0) keys.push([`${user}+*@${domain}`, [detail]], [`${user}@${domain}`, []]);
  if (!local) keys.push([`@${domain}`, [left]]);
  keys.push([left, []]);
  if (plus > 0) keys.push([`${user}+*`, [detail]], [user, []]);
  return keys;
}

/** The value that genericstable has for the address, its %1 filled in; null for none. */
function generic(run: Run, address: Focus): string | null {
  const { site } = run;
  if (site.tables.generics === null) return null;
  const local = address.host === null;
  if (address.host !== null) {
    if (!address.dot) return null;
    const entire = site.config.features.genericsEntireDomain;
    const member = entire ? site.classes.G.ending(address.host) !== null : site.classes.G.has(address.host);
    if (!member) return null;
  }
  const domain = address.host ?? site.j;
  for (const [key, args] of genericKeys(joinTokens(address.left), domain, local)) {
    const value = ask(run, "genericstable", site.tables.generics, key);
    if (value !== null) return substitute(value, [key, ...args]);
  }
  return null;
}

/** Is the name masqueraded by class M or by being ours? */
function inMasqueraded(run: Run, host: string): boolean {
  const { config, classes } = run.site;
  const m = config.features.masqueradeEntireDomain ? classes.M.ending(host) !== null : classes.M.has(host);
  return m || (!config.features.limitedMasquerade && classes.w.has(host));
}

/** Headers' senders (and what is treated as them): steps 1-7 of section 12. */
export async function masqueradeHeader(run: Run, start: Focus): Promise<Focus> {
  const { site } = run;
  let address = start;
  const value = generic(run, address);
  if (value !== null) {
    const tokens = tokensOf(value);
    if (tokens.includes("@")) return canonify(run, focus(tokens, site.routing));
    address = focusOf(tokens, null);
  }
  const { host } = address;
  if (host !== null && address.dot && site.classes.N.ending(host) !== null) return address;
  if (site.masquerade === "") return atJ(run, address);
  const exposed = site.classes.E.has(joinTokens(address.left));
  if (host === null) {
    if (exposed) return atJ(run, address);
    run.trace({ rule: "masquerade", text: site.masquerade });
    return focusOf(address.left, site.masquerade, true);
  }
  if (!address.dot || !inMasqueraded(run, host)) return address;
  if (exposed) return address;
  run.trace({ rule: "masquerade", text: site.masquerade });
  return focusOf(address.left, site.masquerade, true);
}

async function envelopeSender(run: Run, address: Focus): Promise<Focus> {
  return run.site.config.features.masqueradeEnvelope ? masqueradeHeader(run, address) : atJ(run, address);
}

/** `user@host.UUCP` in its old form, `host!user`, a bare name that is qualified like any other. */
function banged(run: Run, address: Focus): Focus {
  if (!run.site.routing.uucp || address.host === null || !/^[^.]+\.UUCP$/i.test(address.host)) return address;
  return focusOf([address.host.slice(0, -".UUCP".length), "!", ...address.left], null);
}

async function smtpPlace(run: Run, style: Style, place: Place, start: Focus): Promise<Focus> {
  const address = style === "relay" && place.endsWith("recipient") ? start : banged(run, start);
  const all = run.site.config.features.allMasquerade;
  if (place === "header-sender") return masqueradeHeader(run, address);
  if (place === "envelope-sender") return envelopeSender(run, address);
  const masked = place === "header-recipient" && (all || style === "procmail");
  return masked ? masqueradeHeader(run, address) : atJ(run, address);
}

/** Adds the domain of always_add_domain to a bare name; null: the feature is off and the name stays bare. */
function added(run: Run, address: Focus): Focus | null {
  const domain = run.site.config.features.alwaysAddDomain;
  if (address.host !== null) return address;
  if (domain === null) return null;
  return domain === "" ? address : focusOf(address.left, domain, false);
}

async function localPlace(run: Run, place: Place, address: Focus): Promise<Focus> {
  const { features } = run.site.config;
  const full = added(run, address);
  const masked = !features.localNoMasquerade;
  if (full === null) return address;
  if (place === "header-sender") return masked ? masqueradeHeader(run, full) : full;
  if (place === "envelope-sender") return masked ? envelopeSender(run, full) : full;
  if (features.allMasquerade && masked) return masqueradeHeader(run, full);
  return features.allMasquerade ? full : atJ(run, full);
}

/** An address (already canonical) as `style` mailers show it at `place`. The null address stays what it is. */
export async function placed(run: Run, style: Style, place: Place, address: Focus): Promise<Focus> {
  if (place === "envelope-recipient" && (style === "local" || style === "lmtp"))
    return address.host === null || address.left.length === 0 ? address : focusOf(address.left, null);
  if (isNull(address) || address.kind === "list") {
    const daemon = style === "local" && place.endsWith("sender") && address.left.length === 0;
    return daemon ? focusOf(tokensOf(run.site.config.texts.mailerName), null) : NULL_FOCUS;
  }
  // Over LMTP only the envelope's sender is written as for SMTP.
  const local = style === "local" || (style === "lmtp" && place !== "envelope-sender");
  if (local) return localPlace(run, place, address);
  const done = await smtpPlace(run, style, place, address);
  return atJ(run, done);
}
