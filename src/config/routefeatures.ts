// FEATUREs that shape addresses and routes: masquerading, local delivery, nullclient, msp, and the names of features that are
// known and not built in. Effects of nullclient and msp are those of Sendmail's own m4 files of these names.

import { type FeatureEntry, type FeatureUse, feature, toggle } from "./feature.ts";
import { declareMailers } from "./mailers.ts";
import { addListener } from "./sockets.ts";

function alwaysAddDomain(use: FeatureUse): void {
  use.state.features.alwaysAddDomain = use.argument(0).trim();
}

function bestMxIsLocal(use: FeatureUse): void {
  use.state.features.bestMxIsLocal = use
    .argument(0)
    .split(/\s+/)
    .filter((name) => name !== "");
}

function localProcmail(use: FeatureUse): void {
  const { state, place } = use;
  // OSTYPE(linux) brings it unasked; a build without it delivers to the mailbox itself.
  if (!state.fromOstype && !state.build.available("MAILER_PROCMAIL")) {
    state.error(place, state.build.missing(`FEATURE(${use.name})`));
    return;
  }
  const path = use.argument(0).trim() || state.value("PROCMAIL_MAILER_PATH") || "/usr/local/bin/procmail";
  const args = use.argument(1).trim() || "procmail -a $h -d $u";
  const flags = use.argument(2).trim() || "SPfhn9";
  state.features.localProcmail = { path, args, flags, fromOstype: state.fromOstype };
  // The last of local_lmtp and local_procmail wins.
  state.features.localLmtp = null;
  for (const [name, text] of [
    ["LOCAL_MAILER_PATH", path],
    ["LOCAL_MAILER_ARGS", args],
    ["LOCAL_MAILER_FLAGS", flags],
  ] as const)
    state.m4.define(name, text, place);
}

function localLmtp(use: FeatureUse): void {
  const { state, place } = use;
  const folder = state.value("confEBINDIR") || "/usr/libexec";
  const path = use.argument(0).trim() || `${folder}/mail.local`;
  const args = use.argument(1).trim() || "mail.local -l";
  state.features.localLmtp = { path, args };
  state.features.localProcmail = null;
  for (const [name, text] of [
    ["LOCAL_MAILER_PATH", path],
    ["LOCAL_MAILER_ARGS", args],
    ["LOCAL_MAILER_FLAGS", "PSXmnz9"],
  ] as const)
    state.m4.define(name, text, place);
}

function smrsh(use: FeatureUse): void {
  const { state, place } = use;
  const folder = state.value("confEBINDIR") || "/usr/libexec";
  const path = use.argument(0).trim() || `${folder}/smrsh`;
  state.features.smrsh = path;
  state.m4.define("LOCAL_SHELL_PATH", path, place);
  state.defineDefault("LOCAL_SHELL_ARGS", "smrsh -c $u", place);
}

function noCanonify(use: FeatureUse): void {
  const word = use.argument(0).trim();
  if (word !== "" && word.toLowerCase() !== "canonify_hosts")
    use.state.error(use.place, `unknown parameter "${word}" for FEATURE(\`nocanonify')`);
  use.state.features.noCanonify = { canonifyHosts: word !== "" };
}

function noDns(use: FeatureUse): void {
  use.state.features.noCanonify = { canonifyHosts: false };
  use.state.warn(
    use.place,
    "FEATURE(`nodns') only switches canonification off here; write hosts of SMART_HOST and mailertable in [] to route without DNS",
  );
}

function preserveLuserHost(use: FeatureUse): void {
  if (use.state.m4.macro("LUSER_RELAY") === undefined)
    use.state.warn(use.place, "LUSER_RELAY should be defined before FEATURE(`preserve_luser_host')");
  use.state.features.preserveLuserHost = true;
}

function nullClient(use: FeatureUse): void {
  const { state, place } = use;
  const hub = use.argument(0).trim();
  if (hub === "") {
    state.error(place, 'Feature "nullclient" requires argument');
    return;
  }
  const colon = /^([\w-]+):(.*)$/.exec(hub);
  state.features.nullClient = { mailer: colon?.[1] ?? "relay", host: colon?.[2] ?? hub };
  state.m4.undefine("ALIAS_FILE");
  state.m4.define("MAIL_HUB", hub, place);
  state.m4.define("SMART_HOST", hub, place);
  state.m4.define("confFORWARD_PATH", "", place);
  state.defineDefault("confFROM_HEADER", "<$g>", place);
  state.m4.define("_DEF_LOCAL_MAILER_FLAGS", "lsDFM5q", place);
  state.m4.define("MASQUERADE_NAME", hub, place);
  state.features.allMasquerade = true;
  state.features.masqueradeEnvelope = true;
  declareMailers(state, "local", "", place);
  declareMailers(state, "smtp", "", place);
}

/** Settings of FEATURE(msp), as name and value. */
const MSP_SETTINGS: readonly (readonly [string, string])[] = [
  ["confDELIVERY_MODE", "interactive"],
  ["confUSE_MSP", "True"],
  ["confFORWARD_PATH", ""],
  ["confPRIVACY_FLAGS", "goaway,noetrn,restrictqrun"],
  ["confDONT_PROBE_INTERFACES", "True"],
  ["LOCAL_MAILER_PATH", "[IPC]"],
  ["LOCAL_MAILER_FLAGS", "lmDFMuXkw5"],
  ["LOCAL_MAILER_ARGS", "TCP $h"],
  ["_DEF_LOCAL_MAILER_FLAGS", ""],
];

function msp(use: FeatureUse): void {
  const { state, place } = use;
  const host = use.argument(0).trim() || "[localhost]";
  const port = use.argument(1).trim();
  state.features.msp = { host };
  state.features.localProcmail = null;
  state.features.localLmtp = null;
  state.features.noDefaultMsa = true;
  state.m4.undefine("ALIAS_FILE");
  for (const [name, value] of MSP_SETTINGS) state.m4.define(name, value, place);
  state.defineDefault("confRUN_AS_USER", "smmsp", place);
  state.m4.define("QUEUE_DIR", state.value("MSP_QUEUE_DIR") || "/var/spool/clientmqueue", place);
  if (port === "MSA") state.m4.define("RELAY_MAILER_ARGS", "TCP $h 587", place);
  else if (/^\d+$/.test(port)) state.m4.define("RELAY_MAILER_ARGS", `TCP $h ${port}`, place);
  else if (port !== "") state.error(place, `FEATURE(\`msp'): "${port}" is neither a port nor MSA`);
  if (state.daemons.length === 0) addListener(state, "Name=NoMTA, Addr=127.0.0.1, M=E", place);
  for (const group of ["SMTP", "ESMTP", "DSMTP", "SMTP8"]) state.changeFlags(group, "+k5");
  state.changeFlags("RELAY", "+k");
  declareMailers(state, "local", "", place);
  declareMailers(state, "smtp", "", place);
  state.m4.define("LUSER_RELAY", `relay:${host}`, place);
  state.m4.define("MAIL_HUB", `relay:${host}`, place);
  state.m4.define("SMART_HOST", `relay:${host}`, place);
}

function notBuilt(name: string): FeatureEntry {
  return feature(name, "", 9, "Not in this build.", (use) => {
    use.state.error(use.place, use.state.build.missing(`FEATURE(${name})`));
  });
}

function ignored(name: string, doc: string): FeatureEntry {
  return feature(name, "", 9, doc, () => undefined);
}

// biome-ignore format: one feature a line.
export const ROUTE_FEATURES: readonly FeatureEntry[] = [
  toggle("allmasquerade", "allMasquerade", "Masquerade recipients in headers too."),
  feature("always_add_domain", "domain", 1, "Bare names get a domain in local mail too.", alwaysAddDomain),
  feature("bestmx_is_local", "domains", 1, "Domains whose best MX is us are ours.", bestMxIsLocal),
  toggle("generics_entire_domain", "genericsEntireDomain", "GENERICS_DOMAIN matches sub-domains."),
  toggle("limited_masquerade", "limitedMasquerade", "Masquerade only MASQUERADE_DOMAIN."),
  feature("local_lmtp", "path, arguments", 2, "The local mailer speaks LMTP.", localLmtp, "MAILER_LMTP"),
  toggle("local_no_masquerade", "localNoMasquerade", "No masquerading in local mail."),
  feature("local_procmail", "path, arguments, flags", 3, "The local mailer is procmail.", localProcmail),
  toggle("masquerade_entire_domain", "masqueradeEntireDomain", "MASQUERADE_DOMAIN matches sub-domains."),
  toggle("masquerade_envelope", "masqueradeEnvelope", "Masquerade the envelope sender too."),
  feature("msp", "host, port", 2, "A submission program: hand all mail to an MTA.", msp),
  toggle("no_default_msa", "noDefaultMsa", "No listener on port 587 of its own accord."),
  feature("nocanonify", "canonify_hosts", 1, "Do not look names up to make them canonical.", noCanonify),
  feature("nodns", "", 0, "Old way of saying nocanonify.", noDns),
  ignored("notsticky", "The default since 8.7; nothing to do."),
  feature("nullclient", "hub", 1, "Hand all mail to a hub and do nothing else.", nullClient),
  toggle("preserve_local_plus_detail", "preserveLocalPlusDetail", "Keep +detail for local delivery."),
  feature("preserve_luser_host", "", 0, "Keep the host of recipients for LUSER_RELAY.", preserveLuserHost),
  toggle("redirect", "redirect", "user@domain.REDIRECT answers 551 with the new address."),
  feature("smrsh", "path", 1, "Programs run under smrsh's rules (always so here).", smrsh, "MAILER_PROG"),
  toggle("stickyhost", "stickyHost", "Addresses with our name keep it on the way to MAIL_HUB."),
  feature("tls_failures", "", 0, "Old way of saying confTLS_FALLBACK_TO_CLEAR.", (use) => use.state.error(use.place, "FEATURE(tls_failures) has been replaced by confTLS_FALLBACK_TO_CLEAR")),
  toggle("virtuser_entire_domain", "virtUserEntireDomain", "VIRTUSER_DOMAIN matches sub-domains."),
  ...["bcc", "bitdomain", "check_cert_altnames", "check_other", "domainmap", "drac", "ldap_routing", "prefixmod", "rhsbl", "sts", "uucpdomain", "vnet"].map(notBuilt),
];
