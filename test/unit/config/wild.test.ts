// Configurations as they are found: the chapter's Example 9-1, the shapes of the stock files of Debian, Red Hat, SUSE and FreeBSD,
// smart-host recipes. What is expected of them comes from semantics sections 1 to 4 and from Sendmail's cf/ files.
// The stock files of Debian itself are read from its package when it is installed.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import type { Configuration } from "../../../src/config/configuration.ts";
import { buildWithout, compileText, usual } from "./sources.ts";

function compiled(
  text: string,
  files: Record<string, string> = {},
): { configuration: Configuration; warnings: readonly string[] } {
  const { configuration, errors, warnings } = compileText(text, files);
  assert.deepEqual(errors, []);
  assert.ok(configuration !== null);
  return { configuration, warnings };
}

function mailer(configuration: Configuration, name: string) {
  const found = configuration.mailers.find((spec) => spec.name === name);
  assert.ok(found !== undefined, name);
  return found;
}

const EXAMPLE_9_1 = `dnl This is a comment line
include(\`/usr/lib/sendmail-cf/m4/cf.m4')
VERSIONID(\`Mail server')dnl
OSTYPE(\`linux')
define(\`confDEF_USER_ID',\`\`8:12'')dnl
define(\`confPRIVACY_FLAGS', \`authwarnings,needmailhelo,noexpn,novrfy')dnl
define(\`confSMTP_LOGIN_MSG', \` Sendmail')dnl
define(\`confSAFE_FILE_ENV', \`/var/mailjail')dnl
define(\`confUNSAFE_GROUP_WRITES')dnl
undefine(\`UUCP_RELAY')dnl
undefine(\`BITNET_RELAY')dnl
FEATURE(\`access_db',\`hash -o /etc/mail/access.db')dnl
FEATURE(\`smrsh',\`/usr/sbin/smrsh')dnl
FEATURE(\`dnsbl')dnl
FEATURE(\`blacklist_recipients')dnl
FEATURE(\`mailertable',\`hash -o /etc/mail/mailertable.db')dnl
FEATURE(\`virtusertable',\`hash -o /etc/mail/virtusertable.db')dnl
FEATURE(\`use_cw_file')dnl
FEATURE(\`masquerade_entire_domain')dnl
FEATURE(\`masquerade_envelope')dnl
FEATURE(\`nouucp')dnl
MASQUERADE_AS(\`hackenbush.com')dnl
MASQUERADE_DOMAIN(\`.hackenbush.com')dnl
EXPOSED_USER(\`root')dnl
MAILER(smtp)dnl
MAILER(procmail)dnl
`;

test("the chapter's Example 9-1 is accepted as printed, and each warning names what to do", () => {
  const { configuration, warnings } = compiled(EXAMPLE_9_1);
  assert.deepEqual(warnings, [
    "sendmail.mc:9:1: confUNSAFE_GROUP_WRITES is deprecated; use confDONT_BLAME_SENDMAIL",
    "sendmail.mc:12:1: missing -T<TMPF> in argument of FEATURE(`access_db', hash -o /etc/mail/access.db); it is added",
    "sendmail.mc:14:1: missing argument for FEATURE(`dnsbl'): no list is asked; name the zone of one",
    "sendmail.mc:15:1: FEATURE(blacklist_recipients) is deprecated; use FEATURE(blocklist_recipients)",
    "sendmail.mc:21:1: missing argument for FEATURE(nouucp): use `reject' or `nospecial'; it is taken for `reject'",
  ]);
  const { options, features, classes } = configuration;
  assert.equal(options.DefaultUser, "8:12");
  assert.equal(options.SmtpGreetingMessage, " Sendmail");
  assert.equal(options.SafeFileEnvironment, "/var/mailjail");
  assert.equal(options.UnsafeGroupWrites, true);
  assert.deepEqual(options.PrivacyOptions, ["authwarnings", "needmailhelo", "noexpn", "novrfy"]);
  assert.deepEqual(features.accessDb?.map, {
    type: "hash",
    path: "/etc/mail/access",
    optional: true,
    tempfail: true,
    caseSensitive: false,
    flags: [],
  });
  assert.deepEqual(features.dnsbl, []);
  assert.equal(features.noUucp, "reject");
  assert.equal(features.smrsh, "/usr/sbin/smrsh");
  assert.equal(configuration.masqueradeAs, "hackenbush.com");
  assert.deepEqual(classes["M"], [".hackenbush.com"]);
  assert.deepEqual(classes["E"], ["root"]);
  assert.deepEqual(configuration.classFiles, [
    { class: "w", path: "/etc/mail/local-host-names", optional: false },
    { class: "R", path: "/etc/mail/relay-domains", optional: true },
  ]);
  assert.equal(mailer(configuration, "local").kind, "procmail");
  assert.equal(configuration.versionId, "Mail server");
});

test("OSTYPE(linux) makes procmail the local mailer, and a build without it does not mind", () => {
  const text = "OSTYPE(`linux')dnl\nMAILER(`local')dnl\nMAILER(`smtp')dnl\n";
  const { configuration } = compiled(text);
  assert.equal(mailer(configuration, "local").args, "procmail -a $h -d $u");
  assert.equal(configuration.features.localProcmail?.fromOstype, true);
  const without = compileText(text, {}, buildWithout("MAILER_PROCMAIL"));
  assert.deepEqual(without.errors, []);
  assert.equal(without.configuration?.features.localProcmail?.fromOstype, true);
});

test("local and prog are there when any MAILER is used", () => {
  const { configuration } = compiled("OSTYPE(`ultrix4')dnl\nMAILER(`smtp')dnl\n");
  assert.deepEqual(configuration.mailers.map((spec) => spec.name).sort(), [
    "*file*",
    "*include*",
    "discard",
    "dsmtp",
    "error",
    "esmtp",
    "local",
    "prog",
    "relay",
    "smtp",
    "smtp8",
  ]);
});

test("the mailers of MAILER(smtp) have Sendmail's flags and limits", () => {
  const { configuration } = compiled(usual("dnl"));
  const row = (name: string) => {
    const { flags, args, lineMax, recipientsMax } = mailer(configuration, name);
    return [flags, args, lineMax, recipientsMax];
  };
  assert.deepEqual(row("smtp"), ["mDFMuX", "TCP $h", 990, 100]);
  assert.deepEqual(row("esmtp"), ["mDFMuXa", "TCP $h", 990, 100]);
  assert.deepEqual(row("smtp8"), ["mDFMuX8", "TCP $h", 990, 100]);
  assert.deepEqual(row("dsmtp"), ["mDFMuXa%", "TCP $h", 990, 100]);
  assert.deepEqual(row("relay"), ["mDFMuXa8", "TCP $h", 2040, 100]);
  assert.equal(mailer(configuration, "local").flags, "lsDFMAw5:/|@qPrmn9");
});

test("Debian's stock shape compiles: raw comment lines, skip flag, text after dnl, missing generated files", () => {
  const text = `divert(-1)dnl
# A comment with an apostrophe's quote and the word FEATURE
divert(0)dnl
#   This line goes to the cf
define(\`_USE_ETC_MAIL_')dnl
include(\`/usr/share/sendmail/cf/m4/cf.m4')dnl
VERSIONID(\`$Id: sendmail.mc, v 8.17.1.9 Exp $')
OSTYPE(\`debian')dnl
DOMAIN(\`debian-mta')dnl
dnl # Items - DO NOT TOUCH \`HERE
FEATURE(\`no_default_msa')dnl
DAEMON_OPTIONS(\`Family=inet,  Name=MTA-v4, Port=smtp, Addr=127.0.0.1')dnl
DAEMON_OPTIONS(\`Family=inet,  Name=MSP-v4, Port=submission, M=Ea, Addr=127.0.0.1')dnl
define(\`confPRIVACY_FLAGS',dnl
\`needmailhelo,needexpnhelo,needvrfyhelo,restrictqrun,restrictexpand,nobodyreturn,authwarnings')dnl
define(\`confCONNECTION_RATE_WINDOW_SIZE',\`10m')dnl
FEATURE(\`use_cw_file')dnl
FEATURE(\`access_db', , \`skip')dnl
FEATURE(\`greet_pause', \`1000')dnl 1 seconds
FEATURE(\`delay_checks', \`friend', \`n')dnl
define(\`confBAD_RCPT_THROTTLE',\`3')dnl
FEATURE(\`conncontrol', \`nodelay', \`terminate')dnl
FEATURE(\`ratecontrol', \`nodelay', \`terminate')dnl
include(\`/etc/mail/m4/dialup.m4')dnl
include(\`/etc/mail/tls/starttls.m4')dnl
MAILER_DEFINITIONS
MAILER(\`local')dnl
MAILER(\`smtp')dnl
`;
  const { configuration, warnings } = compiled(text);
  assert.deepEqual(warnings, [
    "sendmail.mc:24:1: /etc/mail/m4/dialup.m4 is not there (Debian's packages make it); what it would set is not set",
    "sendmail.mc:25:1: /etc/mail/tls/starttls.m4 is not there (Debian's packages make it); what it would set is not set",
  ]);
  const { features, options, daemons } = configuration;
  assert.equal(features.accessDb?.skip, true);
  assert.equal(features.accessDb?.map.path, "/etc/mail/access");
  assert.equal(features.accessDb?.map.tempfail, true);
  assert.equal(features.greetPauseMs, 1000);
  assert.equal(features.delayChecks, "friend");
  assert.deepEqual(features.connControl, { noDelay: true, terminate: true });
  assert.equal(options.ConnectionRateWindowSize, 600_000);
  assert.equal(options.MaxHopCount, 100);
  assert.equal(options["Timeout.command"], 300_000);
  assert.ok(options.PrivacyOptions.includes("nobodyreturn"));
  assert.ok(options.DontBlameSendmail.includes("GroupWritableIncludeFile"));
  assert.deepEqual(
    daemons.map((d) => [d.name, d.address, d.port, d.modifiers]),
    [
      ["MTA-v4", "127.0.0.1", 25, ""],
      ["MSP-v4", "127.0.0.1", 587, "Ea"],
    ],
  );
  assert.equal(mailer(configuration, "local").kind, "local");
});

test("Debian's starttls.m4 shape is read when it is there", () => {
  const starttls = `divert(-1)dnl
# comment
divert(0)dnl
ifdef(\`sm_version', \`dnl',
\`include(\`/usr/share/sendmail/cf/debian/autoconf.m4')dnl')
ifelse(eval(sm_version_math >= 527104), \`1', \`dnl
ifelse(sm_enable_tls, \`yes', \`dnl
define(\`confDONT_BLAME_SENDMAIL',dnl
    defn(\`confDONT_BLAME_SENDMAIL')\`,GroupReadableKeyFile')dnl
define(\`confTO_STARTTLS', \`2m')dnl      #           , def=10m
define(\`confSERVER_CERT', \`/etc/mail/tls/sendmail-server.crt')dnl
define(\`confSERVER_KEY',  \`/etc/mail/tls/sendmail-common.key')dnl
define(\`confTLS_SRV_OPTIONS', \`V')dnl
')')dnl
`;
  const text =
    "OSTYPE(`debian')dnl\ninclude(`/etc/mail/tls/starttls.m4')dnl\nMAILER(`local')dnl\nMAILER(`smtp')dnl\n";
  const { configuration, warnings } = compiled(text, { "/etc/mail/tls/starttls.m4": starttls });
  assert.deepEqual(warnings, []);
  assert.equal(configuration.options.ServerCertFile, "/etc/mail/tls/sendmail-server.crt");
  assert.equal(configuration.options["Timeout.starttls"], 120_000);
  assert.equal(configuration.options.TLSSrvOptions, "V");
  assert.deepEqual(configuration.options.DontBlameSendmail, ["GroupReadableKeyFile"]);
  assert.deepEqual(
    configuration.sources.map((source) => source.path),
    ["/etc/mail/sendmail.mc", "/etc/mail/tls/starttls.m4"],
  );
});

test("submit.mc's shape: everything goes to the MTA on this host", () => {
  const { configuration } = compiled(
    "OSTYPE(`debian')dnl\nDOMAIN(`debian-msp')dnl\nFEATURE(`msp', `[127.0.0.1]', `25')dnl\n",
  );
  assert.deepEqual(configuration.features.msp, { host: "[127.0.0.1]" });
  assert.deepEqual(configuration.mailHub, { mailer: "relay", host: "[127.0.0.1]" });
  assert.deepEqual(configuration.smartHost, { mailer: "relay", host: "[127.0.0.1]" });
  assert.equal(mailer(configuration, "relay").args, "TCP $h 25");
  assert.equal(configuration.options.QueueDirectory, "/var/spool/mqueue-client");
  assert.deepEqual(configuration.options.AliasFile, []);
  assert.equal(configuration.options.DeliveryMode, "interactive");
});

test("Red Hat's stock shape compiles, CRLF line ends and all", () => {
  const text = `divert(-1)dnl
dnl #
dnl # This is the sendmail macro config file for m4.
dnl #
include(\`/usr/share/sendmail-cf/m4/cf.m4')dnl
VERSIONID(\`setup for linux')dnl
OSTYPE(\`linux')dnl
dnl define(\`SMART_HOST', \`smtp.your.provider')dnl
define(\`confDEF_USER_ID', \`\`8:12'')dnl
dnl define(\`confAUTO_REBUILD')dnl
define(\`confTO_CONNECT', \`1m')dnl
define(\`confTRY_NULL_MX_LIST', \`True')dnl
define(\`confDONT_PROBE_INTERFACES', \`True')dnl
define(\`PROCMAIL_MAILER_PATH', \`/usr/bin/procmail')dnl
define(\`ALIAS_FILE', \`/etc/aliases')dnl
define(\`STATUS_FILE', \`/var/log/mail/statistics')dnl
define(\`UUCP_MAILER_MAX', \`2000000')dnl
define(\`confPRIVACY_FLAGS', \`authwarnings,novrfy,noexpn,restrictqrun')dnl
define(\`confAUTH_OPTIONS', \`A')dnl
dnl define(\`confAUTH_OPTIONS', \`A p')dnl
define(\`confTO_IDENT', \`0')dnl
dnl FEATURE(delay_checks)dnl
FEATURE(\`no_default_msa', \`dnl')dnl
FEATURE(\`smrsh', \`/usr/sbin/smrsh')dnl
FEATURE(\`mailertable', \`hash -o /etc/mail/mailertable.db')dnl
FEATURE(\`virtusertable', \`hash -o /etc/mail/virtusertable.db')dnl
FEATURE(redirect)dnl
FEATURE(always_add_domain)dnl
FEATURE(use_cw_file)dnl
FEATURE(use_ct_file)dnl
FEATURE(local_procmail, \`', \`procmail -t -Y -a $h -d $u')dnl
FEATURE(\`access_db', \`hash -T<TMPF> -o /etc/mail/access.db')dnl
FEATURE(\`blocklist_recipients')dnl
EXPOSED_USER(\`root')dnl
DAEMON_OPTIONS(\`Port=smtp,Addr=127.0.0.1, Name=MTA')dnl
FEATURE(\`accept_unresolvable_domains')dnl
LOCAL_DOMAIN(\`localhost.localdomain')dnl
dnl MASQUERADE_AS(\`mydomain.com')dnl
MAILER(smtp)dnl
MAILER(procmail)dnl
dnl MAILER(cyrusv2)dnl
`.replaceAll("\n", "\r\n");
  const { configuration, warnings } = compiled(text);
  assert.deepEqual(warnings, []);
  const local = mailer(configuration, "local");
  assert.equal(local.path, "/usr/bin/procmail");
  assert.equal(local.args, "procmail -t -Y -a $h -d $u");
  assert.deepEqual(configuration.options.AliasFile, ["/etc/aliases"]);
  assert.equal(configuration.options.TryNullMXList, true);
  assert.equal(configuration.options["Timeout.ident"], 0);
  assert.deepEqual(configuration.classes["w"], ["localhost.localdomain"]);
  assert.deepEqual(
    configuration.daemons.map((d) => [d.name, d.address]),
    [["MTA", "127.0.0.1"]],
  );
  assert.deepEqual(
    configuration.classFiles.map((file) => file.path),
    ["/etc/mail/local-host-names", "/etc/mail/trusted-users", "/etc/mail/relay-domains"],
  );
});

test("SUSE's linux.mc shape compiles: no cf.m4, quotes here and there, several features on a line", () => {
  const text = `divert(-1)
  Copyright notices, with apostrophe's and \`\`double quotes''
divert(0)dnl
VERSIONID(\`@(#)Setup for SUSE Linux')dnl
OSTYPE(\`suse-linux')dnl
define(\`confMAX_MESSAGE_SIZE', \`0') define(\`confTO_QUEUERETURN', 3d)
FEATURE(nouucp, reject)dnl
FEATURE(\`genericstable', \`hash -o /etc/mail/genericstable')dnl
GENERICS_DOMAIN_FILE(\`/etc/mail/genericsdomain')dnl
MASQUERADE_AS(tubby.example.org)dnl
define(confDOMAIN_NAME, mail.example.org)dnl
MAILER(\`local')
MAILER(\`smtp')
LOCAL_CONFIG
Cwmail.example.org www.example.org
O MaxDaemonChildren=12
O LogLevel=12
`;
  const { configuration, warnings } = compiled(text);
  assert.deepEqual(warnings, [
    "sendmail.mc:17:1: O LogLevel has no effect in LOCAL_CONFIG, the value that m4 writes comes later; say define(`confLOG_LEVEL', `12')",
  ]);
  assert.equal(configuration.options["Timeout.queuereturn"], 3 * 86_400_000);
  assert.equal(configuration.masqueradeAs, "tubby.example.org");
  assert.equal(configuration.domainName, "mail.example.org");
  assert.deepEqual(configuration.classes["w"], ["mail.example.org", "www.example.org"]);
  assert.equal(configuration.options.LogLevel, 9);
  assert.equal(configuration.options.MaxDaemonChildren, 12);
  assert.deepEqual(configuration.classFiles[0], {
    class: "G",
    path: "/etc/mail/genericsdomain",
    optional: false,
  });
});

test("FreeBSD's shape compiles: cf.m4 given to m4 first, LMTP to mail.local, commented blocks", () => {
  const text = `divert(-1)
#
# Copyright: it's the default mc file
#
divert(0)
VERSIONID(\`$FreeBSD$')
OSTYPE(freebsd6)
DOMAIN(generic)

FEATURE(access_db, \`hash -o -T<TMPF> /etc/mail/access')
FEATURE(blocklist_recipients)
FEATURE(local_lmtp)
FEATURE(mailertable, \`hash -o /etc/mail/mailertable')
FEATURE(virtusertable, \`hash -o /etc/mail/virtusertable')

dnl Uncomment to allow relaying based on your MX records.
dnl FEATURE(relay_based_on_MX)

define(\`confCW_FILE', \`-o /etc/mail/local-host-names')
DAEMON_OPTIONS(\`Name=IPv4, Family=inet')
DAEMON_OPTIONS(\`Name=IPv6, Family=inet6, Modifiers=O')
define(\`confBIND_OPTS', \`WorkAroundBrokenAAAA')
define(\`confNO_RCPT_ACTION', \`add-to-undisclosed')
define(\`confPRIVACY_FLAGS', \`authwarnings,noexpn,novrfy')
MAILER(local)
MAILER(smtp)
`;
  const { configuration, warnings } = compiled(text);
  assert.deepEqual(warnings, []);
  assert.equal(mailer(configuration, "local").kind, "lmtp");
  assert.equal(mailer(configuration, "local").path, "/usr/libexec/mail.local");
  assert.equal(configuration.features.redirect, true);
  assert.deepEqual(configuration.classes["P"], [".", "REDIRECT"]);
  assert.deepEqual(configuration.classFiles[0], {
    class: "w",
    path: "/etc/mail/local-host-names",
    optional: true,
  });
  assert.deepEqual(
    configuration.daemons.map((d) => [d.name, d.family, d.port, d.modifiers]),
    [
      ["IPv4", "inet", 25, ""],
      ["IPv6", "inet6", 25, "O"],
      ["MSA", "inet", 587, "E"],
    ],
  );
});

test("the smart-host recipe: brackets, port, authinfo, AUTH options", () => {
  const { configuration, warnings } = compiled(
    usual(`define(\`SMART_HOST',\`[smtp.example.com]')dnl
define(\`RELAY_MAILER_ARGS', \`TCP $h 587')dnl
define(\`ESMTP_MAILER_ARGS', \`TCP $h 587')dnl
define(\`confAUTH_OPTIONS', \`A p')dnl
TRUST_AUTH_MECH(\`EXTERNAL DIGEST-MD5 CRAM-MD5 LOGIN PLAIN')dnl
define(\`confAUTH_MECHANISMS', \`EXTERNAL GSSAPI DIGEST-MD5 CRAM-MD5 LOGIN PLAIN')dnl
FEATURE(\`authinfo',\`hash -o /etc/mail/authinfo/smtp.db')dnl`),
  );
  assert.deepEqual(warnings, [
    "sendmail.mc:7:1: confAUTH_MECHANISMS: GSSAPI is not in this build and is left out",
  ]);
  assert.deepEqual(configuration.smartHost, { mailer: "relay", host: "[smtp.example.com]" });
  assert.equal(mailer(configuration, "relay").args, "TCP $h 587");
  assert.equal(mailer(configuration, "esmtp").args, "TCP $h 587");
  assert.equal(mailer(configuration, "smtp").args, "TCP $h");
  assert.equal(configuration.options.AuthOptions, "Ap");
  assert.equal(configuration.features.authInfo?.path, "/etc/mail/authinfo/smtp");
  assert.deepEqual(configuration.options.AuthMechanisms, [
    "EXTERNAL",
    "DIGEST-MD5",
    "CRAM-MD5",
    "LOGIN",
    "PLAIN",
  ]);
  assert.deepEqual(configuration.classes["TrustAuthMech"], [
    "EXTERNAL",
    "DIGEST-MD5",
    "CRAM-MD5",
    "LOGIN",
    "PLAIN",
  ]);
});

test("a mailer setting after its MAILER has no effect and is warned of", () => {
  const { configuration, warnings } = compiled(
    `${usual("dnl")}define(\`RELAY_MAILER_ARGS', \`TCP $h 587')dnl\n`,
  );
  assert.equal(mailer(configuration, "relay").args, "TCP $h");
  assert.deepEqual(warnings, [
    "sendmail.mc:5:1: RELAY_MAILER_ARGS has no effect after MAILER(smtp): move it up",
  ]);
});

for (const { value, expected } of [
  { value: "hub.example.com", expected: { mailer: "relay", host: "hub.example.com" } },
  { value: "esmtp:[hub.example.com]", expected: { mailer: "esmtp", host: "[hub.example.com]" } },
  { value: "relay:[192.0.2.1]:2525", expected: { mailer: "relay", host: "[192.0.2.1]:2525" } },
  { value: "[2001:db8::1]", expected: { mailer: "relay", host: "[2001:db8::1]" } },
  { value: "smtp:a.example:b.example", expected: { mailer: "smtp", host: "a.example:b.example" } },
  { value: "local:root", expected: { mailer: "local", host: "root" } },
  { value: "error:5.1.1:550 No such user", expected: { mailer: "error", host: "5.1.1:550 No such user" } },
])
  test(`LUSER_RELAY ${value}`, () => {
    const { configuration } = compiled(usual(`define(\`LUSER_RELAY', \`${value}')dnl`));
    assert.deepEqual(configuration.luserRelay, expected);
  });

test("VIRTUSER_DOMAIN is put into class R as well", () => {
  const { configuration } = compiled(
    usual("VIRTUSER_DOMAIN(`a.example b.example')dnl\nRELAY_DOMAIN(`c.example')dnl"),
  );
  assert.deepEqual(configuration.classes["VirtHost"], ["a.example", "b.example"]);
  assert.deepEqual(configuration.classes["R"], ["a.example", "b.example", "c.example"]);
});

test("the first DAEMON_OPTIONS replaces MTA and leaves MSA", () => {
  const names = (lines: string) =>
    compiled(usual(lines)).configuration.daemons.map((d) => `${d.name}:${d.port}`);
  assert.deepEqual(names("dnl"), ["MTA:25", "MSA:587"]);
  assert.deepEqual(names("DAEMON_OPTIONS(`Port=2525, Name=X')dnl"), ["X:2525", "MSA:587"]);
  assert.deepEqual(names("FEATURE(`no_default_msa')dnl"), ["MTA:25"]);
  assert.deepEqual(names("DAEMON_OPTIONS(`Name=MTA')dnl\nDAEMON_OPTIONS(`Port=smtps, Name=TLS, M=s')dnl"), [
    "MTA:25",
    "TLS:465",
    "MSA:587",
  ]);
});

test("the last of local_lmtp and local_procmail wins", () => {
  const kind = (lines: string) => mailer(compiled(usual(lines)).configuration, "local").kind;
  assert.equal(kind("FEATURE(`local_procmail')dnl\nFEATURE(`local_lmtp')dnl"), "lmtp");
  assert.equal(kind("FEATURE(`local_lmtp')dnl\nFEATURE(`local_procmail')dnl"), "procmail");
});

test("nullclient: one hub, masquerading as it, no aliases", () => {
  const { configuration } = compiled("OSTYPE(`linux')dnl\nFEATURE(`nullclient', `hub.example.org')dnl\n");
  assert.deepEqual(configuration.features.nullClient, { mailer: "relay", host: "hub.example.org" });
  assert.equal(configuration.masqueradeAs, "hub.example.org");
  assert.equal(configuration.features.allMasquerade, true);
  assert.equal(configuration.features.masqueradeEnvelope, true);
  assert.deepEqual(configuration.options.AliasFile, []);
  assert.deepEqual(configuration.mailHub, { mailer: "relay", host: "hub.example.org" });
});

test("TLS settings may be built from CERT_DIR (Example 9-19)", () => {
  const { configuration } = compiled(
    usual(`define(\`CERT_DIR', \`/etc/mail/certs')dnl
define(\`confCACERT_PATH', \`CERT_DIR')dnl
define(\`confCACERT', \`CERT_DIR/cacert.pem')dnl
define(\`confSERVER_CERT', \`CERT_DIR/newcert_signed.pem')dnl
define(\`confSERVER_KEY', \`CERT_DIR/newcert_key.pem')dnl`),
  );
  assert.equal(configuration.options.CACertPath, "/etc/mail/certs");
  assert.equal(configuration.options.ServerKeyFile, "/etc/mail/certs/newcert_key.pem");
});

test("flags of mailers change with MODIFY_MAILER_FLAGS", () => {
  const { configuration } = compiled(
    usual(
      "MODIFY_MAILER_FLAGS(`ESMTP', `+z')dnl\nMODIFY_MAILER_FLAGS(`RELAY', `-a')dnl\nMODIFY_MAILER_FLAGS(`SMTP8', `mF')dnl",
    ),
  );
  assert.equal(mailer(configuration, "esmtp").flags, "mDFMuXaz");
  assert.equal(mailer(configuration, "relay").flags, "mDFMuX8");
  assert.equal(mailer(configuration, "smtp8").flags, "mF");
});

test("a network mailer can be defined in MAILER_DEFINITIONS", () => {
  const { configuration } = compiled(
    `${usual("dnl")}MAILER_DEFINITIONS\nMarchive, P=[IPC], F=mDFMuXa, S=EnvFromSMTP/HdrFromSMTP, R=EnvToSMTP,\n\tE=\\r\\n, L=990, T=DNS/RFC822/SMTP, A=TCP $h 2525\n`,
  );
  const spec = mailer(configuration, "archive");
  assert.deepEqual([spec.kind, spec.flags, spec.args, spec.lineMax], ["smtp", "mDFMuXa", "TCP $h 2525", 990]);
});

test("unknown conf names are warned of with the nearest one", () => {
  const { warnings } = compiled(
    usual(
      "define(`confMAX_HOP_COUNT', `25')dnl\ndefine(`confPRIVACY_FLAG', `goaway')dnl\ndefine(`confZZZZZZZ')dnl",
    ),
  );
  assert.deepEqual(warnings, [
    "sendmail.mc:2:1: confMAX_HOP_COUNT is unknown and has no effect; did you mean confMAX_HOP?",
    "sendmail.mc:3:1: confPRIVACY_FLAG is unknown and has no effect; did you mean confPRIVACY_FLAGS?",
    "sendmail.mc:4:1: confZZZZZZZ is unknown and has no effect",
  ]);
});

test("what looks right and has no effect is warned of", () => {
  const { warnings } = compiled(
    usual(`define('confLOG_LEVEL', \`9')dnl
DAEMON_OPTIONS(Port=2525, Name=X)dnl
RELAY_DOMAIN(\`192.168.0.0/16 10.0.0.0/9 *.example.com')dnl
DAEMON_OPTIONS(\`Port=465, Name=TLS, M=s')dnl
MASQUERADE_DOMAIN(\`a.example,b.example')dnl
FEATURE(\`redirect', \`yes')dnl
define(\`confUSERDB_SPEC', \`/etc/mail/userdb.db')dnl
MAIL_FILTER(\`x', \`S=local:/x')dnl
define(\`confSERVER_CERT', \`/c.pem')dnl`),
  );
  assert.deepEqual(warnings, [
    "sendmail.mc:2:1: \"'confLOG_LEVEL'\" is never read; names are quoted like this: define(`confLOG_LEVEL', ...)",
    "sendmail.mc:3:1: DAEMON_OPTIONS reads its first argument only; put the whole list in quotes",
    "sendmail.mc:4:1: RELAY_DOMAIN: 192.168.0.0/16 matches nothing, networks are written as leading numbers; write 192.168",
    "sendmail.mc:4:1: RELAY_DOMAIN: 10.0.0.0/9 matches nothing, networks are written as leading numbers",
    "sendmail.mc:4:1: RELAY_DOMAIN: *.example.com matches nothing, there are no patterns in a class",
    "sendmail.mc:5:1: listener TLS (M=s) begins with TLS and there is no confSERVER_CERT with confSERVER_KEY",
    "sendmail.mc:6:1: MASQUERADE_DOMAIN: names are separated by blanks, the comma becomes part of a name",
    'sendmail.mc:7:1: FEATURE(`redirect\') does not read its argument "yes"',
    "sendmail.mc:8:1: confUSERDB_SPEC has no effect: the user database is not in this build; use aliases and genericstable",
    "sendmail.mc:9:1: MAIL_FILTER(x) has no effect: milters are not in this build",
    "sendmail.mc:10:1: confSERVER_CERT without confSERVER_KEY: STARTTLS is not offered to clients",
  ]);
});

test("order matters where Sendmail says so", () => {
  const { warnings } = compiled(usual("FEATURE(`greet_pause', `500')dnl\nFEATURE(`access_db')dnl"));
  assert.deepEqual(warnings, [
    "sendmail.mc:3:1: FEATURE(`greet_pause') before FEATURE(`access_db'): greet_pause will not use access_db!",
  ]);
});

test("a listener of one's own on 587 takes the place of MSA, with a warning", () => {
  const { configuration, warnings } = compiled(usual("DAEMON_OPTIONS(`Port=submission, Name=SUB, M=Ea')dnl"));
  assert.deepEqual(
    configuration.daemons.map((d) => d.name),
    ["SUB"],
  );
  assert.equal(warnings.length, 1);
});

test("a domain file of one's own is read from domain/ beside the .mc", () => {
  const { configuration } = compiled(usual("DOMAIN(`ours')dnl"), {
    "/etc/mail/domain/ours.m4":
      "A comment that goes nowhere\ndivert(0)\nVERSIONID(`ours')\ndefine(`confMAX_HOP', `30')\nEXPOSED_USER(`admin')\n",
  });
  assert.equal(configuration.options.MaxHopCount, 30);
  assert.deepEqual(configuration.classes["E"], ["admin"]);
});

test("a domain file among Sendmail's own is read where a host has them", () => {
  const { configuration } = compiled(
    "include(`/usr/share/sendmail/cf/m4/cf.m4')\nOSTYPE(`linux')dnl\nDOMAIN(`ours')dnl\nMAILER(`smtp')dnl\n",
    { "/usr/share/sendmail/cf/domain/ours.m4": "define(`confMAX_HOP', `31')\n" },
  );
  assert.equal(configuration.options.MaxHopCount, 31);
});

// Debian's package sendmail-cf, when it is there (test/packages names it).
const DEBIAN_CF = "/usr/share/sendmail/cf";
for (const name of ["debian/sendmail.mc", "debian/submit.mc", "cf/generic-linux.mc", "cf/submit.mc"])
  test(`${name} of Debian's sendmail-cf compiles`, { skip: !existsSync(`${DEBIAN_CF}/${name}`) }, () => {
    const { errors, configuration } = compileText(readFileSync(`${DEBIAN_CF}/${name}`, "utf8"));
    assert.deepEqual(errors, []);
    assert.ok(configuration !== null);
  });
