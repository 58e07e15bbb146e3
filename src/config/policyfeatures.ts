// FEATUREs that decide who may do what: relaying, sender checks, rates, DNS lists, delays. Order rules and texts are Sendmail's
// (semantics section 1): what it calls ERROR is an error here, what it warns of is a warning.

import { type FeatureEntry, type FeatureUse, feature, needsAccessDb, toggle } from "./feature.ts";

/** Longest greet_pause that a client is made to wait: Sendmail's own limit of five minutes. */
const GREET_PAUSE_MS_MAX = 300_000;

function delayChecks(use: FeatureUse): void {
  const word = use.argument(0).trim();
  const letter = word.slice(0, 1).toLowerCase();
  if (word === "") use.state.features.delayChecks = "plain";
  else if (letter === "f") use.state.features.delayChecks = "friend";
  else if (letter === "h") use.state.features.delayChecks = "hater";
  else use.state.error(use.place, `illegal argument ${word} for FEATURE(delay_checks)`);
}

function control(use: FeatureUse): { noDelay: boolean; terminate: boolean } | null {
  const { state, place, name } = use;
  if (!needsAccessDb(use)) return null;
  const first = use.argument(0).trim();
  const second = use.argument(1).trim();
  if (first !== "" && first.toLowerCase() !== "nodelay")
    state.error(place, `unknown parameter "${first}" for FEATURE(\`${name}')`);
  else if (first !== "" && state.features.delayChecks === "off")
    state.error(place, `FEATURE(\`${name}', \`nodelay') requires FEATURE(\`delay_checks')`);
  if (second !== "" && second !== "terminate")
    state.error(place, `FEATURE(\`${name}'): unknown argument "${second}"`);
  return { noDelay: first !== "", terminate: second === "terminate" };
}

function zone(use: FeatureUse): string | null {
  const name = use.argument(0).trim().replace(/\.$/, "");
  if (/^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/.test(name)) return name;
  use.state.error(use.place, `FEATURE(\`${use.name}'): "${name}" is not the name of a zone`);
  return null;
}

function dnsbl(use: FeatureUse): void {
  const { state, place } = use;
  if (use.argument(0).trim() === "") {
    // The list that old releases asked by default is gone: nothing is looked up, and the mail flows.
    state.warn(place, "missing argument for FEATURE(`dnsbl'): no list is asked; name the zone of one");
    return;
  }
  const name = zone(use);
  if (name === null) return;
  state.features.dnsbl = [
    ...state.features.dnsbl,
    { zone: name, message: use.argument(1), tempMessage: use.argument(2), results: [], enhanced: false },
  ];
}

function enhDnsbl(use: FeatureUse): void {
  const { state, place } = use;
  if (use.argument(0).trim() === "") {
    state.error(place, "missing argument for FEATURE(`enhdnsbl')");
    return;
  }
  const name = zone(use);
  if (name === null) return;
  const results: string[] = [];
  for (let i = 3; i < use.count; i += 1) {
    const result = use.argument(i).trim();
    if (result === "") continue;
    results.push(result);
    if (/^[\d.]+$/.test(result) && !result.endsWith("."))
      state.warn(place, `FEATURE(\`enhdnsbl'): the result ${result} never matches; write ${result}.`);
  }
  state.features.dnsbl = [
    ...state.features.dnsbl,
    { zone: name, message: use.argument(1), tempMessage: use.argument(2), results, enhanced: true },
  ];
}

function greetPause(use: FeatureUse): void {
  const { state, place } = use;
  const text = use.argument(0).trim();
  if (text === "" && !needsAccessDb(use)) return;
  if (!/^\d*$/.test(text) || Number(text) > GREET_PAUSE_MS_MAX) {
    state.error(
      place,
      `FEATURE(\`greet_pause'): "${text}" is not a number of milliseconds up to ${GREET_PAUSE_MS_MAX}`,
    );
    return;
  }
  state.features.greetPauseMs = Number(text);
}

function percentOrBang(use: FeatureUse): "reject" | "nospecial" | null {
  const word = use.argument(0).trim();
  if (word.startsWith("r")) return "reject";
  if (word.startsWith("n")) return "nospecial";
  use.state.error(
    use.place,
    word === ""
      ? `missing argument for FEATURE(${use.name}): use \`reject' or \`nospecial'`
      : `illegal argument ${word} for FEATURE(${use.name})`,
  );
  return null;
}

function noUucp(use: FeatureUse): void {
  const { state, place } = use;
  if (use.argument(0).trim() === "") {
    state.features.noUucp = "reject";
    state.warn(
      place,
      "missing argument for FEATURE(nouucp): use `reject' or `nospecial'; it is taken for `reject'",
    );
    return;
  }
  const word = percentOrBang(use);
  if (word !== null) state.features.noUucp = word;
}

function noPercentHack(use: FeatureUse): void {
  const word = percentOrBang(use);
  if (word !== null) use.state.features.noPercentHack = word;
}

function relayMailFrom(use: FeatureUse): void {
  const { state, place } = use;
  if (!needsAccessDb(use)) return;
  const word = use.argument(0).trim();
  if (word !== "" && word !== "domain")
    state.error(place, `unknown argument "${word}" for FEATURE(\`relay_mail_from')`);
  state.features.relayMailFrom = word === "domain" ? "domain" : "address";
  state.warn(
    place,
    "FEATURE(`relay_mail_from') may cause your system to act as open relay.  Use SMTP AUTH or STARTTLS instead.",
  );
}

function relayLocalFrom(use: FeatureUse): void {
  use.state.features.relayLocalFrom = true;
  use.state.warn(
    use.place,
    "FEATURE(`relay_local_from') may cause your system to act as open relay.  Use SMTP AUTH or STARTTLS instead. If you cannot use those, try FEATURE(`relay_mail_from').",
  );
}

function promiscuousRelay(use: FeatureUse): void {
  use.state.features.promiscuousRelay = true;
  use.state.warn(
    use.place,
    "FEATURE(`promiscuous_relay') configures your system as open relay.  Do NOT use it on a server that is connected to the Internet!",
  );
}

function compatCheck(use: FeatureUse): void {
  if (needsAccessDb(use)) use.state.features.compatCheck = true;
}

function blockBadHelo(use: FeatureUse): void {
  const { state } = use;
  state.features.blockBadHelo = true;
  state.addMembers("R", "127.0.0.1 IPv6:0:0:0:0:0:0:0:1 IPv6:::1");
  state.addMembers("w", "[127.0.0.1] [IPv6:0:0:0:0:0:0:0:1] [IPv6:::1]");
}

function mtaMark(use: FeatureUse): void {
  use.state.warn(
    use.place,
    "FEATURE(`mtamark') has no effect: MTAMark records are not asked for in this build",
  );
}

// biome-ignore format: one feature a line.
export const POLICY_FEATURES: readonly FeatureEntry[] = [
  toggle("accept_unqualified_senders", "acceptUnqualifiedSenders", "Accept senders without a domain."),
  toggle("accept_unresolvable_domains", "acceptUnresolvableDomains", "Accept senders whose domain DNS does not know."),
  feature("block_bad_helo", "", 0, "Refuse HELO names that are ours or have no dot.", blockBadHelo),
  feature("compat_check", "", 0, "Compat: keys for pairs of sender and recipient.", compatCheck),
  feature("conncontrol", "nodelay, terminate", 2, "Limit open connections by client (ClientConn:).", (use) => { use.state.features.connControl = control(use); }, "POLICY_RATES"),
  feature("delay_checks", "friend | hater, n", 2, "Check client and sender only at RCPT.", delayChecks),
  feature("dnsbl", "zone, message, temporary message", 3, "Refuse clients that a DNS list names.", dnsbl, "POLICY_DNSBL"),
  feature("enhdnsbl", "zone, message, temporary message, result, ...", 9, "The same for given answers of the list.", enhDnsbl, "POLICY_DNSBL"),
  feature("greet_pause", "milliseconds", 1, "Wait before the greeting and refuse clients that do not.", greetPause, "POLICY_GREET_PAUSE"),
  toggle("loose_relay_check", "looseRelayCheck", "Do not look behind % in recipients."),
  feature("mtamark", "message, temporary message, record", 3, "MTAMark; accepted without effect.", mtaMark),
  feature("nopercenthack", "reject | nospecial", 1, "% in a local part: refused, or no special meaning.", noPercentHack),
  feature("nouucp", "reject | nospecial", 1, "! in an address: refused, or no special meaning.", noUucp),
  feature("promiscuous_relay", "", 0, "Relay everything for everybody.", promiscuousRelay),
  feature("ratecontrol", "nodelay, terminate", 2, "Limit connection rates by client (ClientRate:).", (use) => { use.state.features.rateControl = control(use); }, "POLICY_RATES"),
  toggle("relay_based_on_MX", "relayBasedOnMx", "Relay to domains that have us among their MX hosts."),
  toggle("relay_entire_domain", "relayEntireDomain", "Relay for all hosts of our domain."),
  toggle("relay_hosts_only", "relayHostsOnly", "Relay domains are host names, without their sub-domains."),
  feature("relay_local_from", "", 0, "Relay for senders that use our names.", relayLocalFrom),
  feature("relay_mail_from", "domain", 1, "Relay for senders that the access table has as RELAY.", relayMailFrom),
  toggle("require_rdns", "requireRdns", "Refuse clients without a name in DNS."),
  toggle("tls_session_features", "tlsSessionFeatures", "TLS features by session (TLS_Srv_features:, TLS_Clt_features:)."),
  toggle("use_client_ptr", "useClientPtr", "Access keys match the unverified client name too."),
];
