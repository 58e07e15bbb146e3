// A configuration in which nothing was asked for: every feature off, every option at its default, the mailers and listeners that
// any .mc has. The shape that a compiled form is checked against, and a base for tests and tools.

import type { Configuration, DaemonSpec, Features, MailerSpec } from "./configuration.ts";
import { defaultOptions } from "./options.ts";

export type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** All features off. */
export function noFeatures(): Mutable<Features> {
  return {
    accessDb: null,
    acceptUnqualifiedSenders: false,
    acceptUnresolvableDomains: false,
    allMasquerade: false,
    alwaysAddDomain: null,
    authInfo: null,
    badMx: null,
    bestMxIsLocal: null,
    blockBadHelo: false,
    blocklistRecipients: false,
    compatCheck: false,
    connControl: null,
    delayChecks: "off",
    dnsbl: [],
    domainTable: null,
    genericsEntireDomain: false,
    genericsTable: null,
    greetPauseMs: null,
    limitedMasquerade: false,
    localLmtp: null,
    localNoMasquerade: false,
    localProcmail: null,
    lookupDotDomain: false,
    looseRelayCheck: false,
    mailerTable: null,
    masqueradeEntireDomain: false,
    masqueradeEnvelope: false,
    msp: null,
    noCanonify: null,
    noDefaultMsa: false,
    noPercentHack: "off",
    noUucp: "off",
    nullClient: null,
    preserveLocalPlusDetail: false,
    preserveLuserHost: false,
    promiscuousRelay: false,
    queueGroup: null,
    rateControl: null,
    redirect: false,
    relayBasedOnMx: false,
    relayEntireDomain: false,
    relayHostsOnly: false,
    relayLocalFrom: false,
    relayMailFrom: "off",
    requireRdns: false,
    smrsh: null,
    stickyHost: false,
    tlsSessionFeatures: false,
    useClientPtr: false,
    useCtFile: false,
    useCwFile: false,
    virtUserEntireDomain: false,
    virtUserTable: null,
  };
}

function mailer(
  name: string,
  kind: string,
  flags: string,
  path: string,
  args: string,
  lineMax: number,
): MailerSpec {
  const limits = { sizeMax: 0, recipientsMax: 100, messagesMax: 0, waitSeconds: 0, charset: "" };
  return { name, kind, flags, path, args, lineMax, ...limits };
}

function listener(name: string, port: number, modifiers: string): DaemonSpec {
  return {
    name,
    address: "",
    port,
    family: "inet",
    listen: 128,
    modifiers,
    children: 0,
    deliveryMode: "",
    sendBufferSize: 0,
    receiveBufferSize: 0,
    delayLA: 0,
    queueLA: 0,
    refuseLA: 0,
  };
}

/** A fresh default configuration: local mail to mailboxes, everything else by MX, no relaying. */
export function defaultConfiguration(): Configuration {
  return {
    format: "postern-configuration",
    version: 1,
    sources: [],
    options: defaultOptions(),
    features: noFeatures(),
    domainName: "",
    classes: { P: ["."], t: ["root", "daemon", "uucp"] },
    classFiles: [{ class: "R", path: "/etc/mail/relay-domains", optional: true }],
    masqueradeAs: "",
    smartHost: null,
    smartHostNamesMailer: false,
    mailHub: null,
    localRelay: null,
    luserRelay: null,
    fallbackMx: "",
    mailers: [
      mailer("local", "local", "lsDFMAw5:/|@qPrmn9", "/bin/mail", "mail -d $u", 0),
      mailer("prog", "prog", "lsDFMoqeu9", "/bin/sh", "sh -c $u", 0),
      mailer("smtp", "smtp", "mDFMuX", "[IPC]", "TCP $h", 990),
      mailer("esmtp", "smtp", "mDFMuXa", "[IPC]", "TCP $h", 990),
      mailer("smtp8", "smtp", "mDFMuX8", "[IPC]", "TCP $h", 990),
      mailer("dsmtp", "smtp", "mDFMuXa%", "[IPC]", "TCP $h", 990),
      mailer("relay", "smtp", "mDFMuXa8", "[IPC]", "TCP $h", 2040),
      mailer("*file*", "file", "lsDFMPEouq9", "[FILE]", "FILE $u", 0),
      mailer("*include*", "file", "su", "/dev/null", "INCLUDE $u", 0),
      mailer("error", "error", "", "", "", 0),
      mailer("discard", "discard", "", "", "", 0),
    ],
    localMailer: "local",
    smtpMailer: "esmtp",
    relayMailer: "relay",
    daemons: [listener("MTA", 25, ""), listener("MSA", 587, "E")],
    client: null,
    clients: [],
    rejectMessage: "550 Access denied",
    relayMessage: "550 Relaying denied",
    recipientRejectMessage: "550 Mailbox disabled for this recipient",
    queueGroups: [],
    versionId: "",
    texts: {
      mailerName: "MAILER-DAEMON",
      cfVersion: "",
      fromHeader: "",
      messageIdHeader: "",
      receivedHeader: "",
    },
    macros: {},
    warnings: [],
  };
}
