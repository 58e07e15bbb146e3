// Broken configurations, each with exactly what is said about it. Texts in capitals and of FEATUREs are Sendmail's own
// (semantics section 1 and cf/feature/*.m4); the others follow contract section 8. Places are those of the word at fault.

import assert from "node:assert/strict";
import { test } from "node:test";
import { buildWithout, compileText, usual } from "./sources.ts";

interface Row {
  readonly name: string;
  readonly text: string;
  readonly errors: readonly string[];
  readonly off?: readonly string[];
}

const ROWS: readonly Row[] = [
  {
    name: "no OSTYPE",
    text: "MAILER(`local')dnl\nMAILER(`smtp')dnl\n",
    errors: ["sendmail.mc:1:1: No system type defined (use OSTYPE macro)"],
  },
  {
    name: "no MAILER",
    text: "OSTYPE(`linux')dnl\n",
    errors: ["sendmail.mc:1:1: no MAILER() is declared: no mail could be delivered"],
  },
  {
    name: "unknown OSTYPE",
    text: "OSTYPE(`linx')dnl\nMAILER(`smtp')dnl\n",
    errors: [
      "sendmail.mc:1:1: OSTYPE(linx) is unknown: cannot open 'ostype/linx.m4': No such file or directory; did you mean linux?",
    ],
  },
  {
    name: "OSTYPE(unknown)",
    text: "OSTYPE(`unknown')dnl\nMAILER(`local')dnl\nMAILER(`smtp')dnl\n",
    errors: [
      "sendmail.mc:1:1: You have not specified a valid operating system type. Use the OSTYPE macro to select a valid system type.",
    ],
  },
  {
    name: "two OSTYPEs",
    text: usual("OSTYPE(`debian')dnl"),
    errors: ["sendmail.mc:2:1: duplicate OSTYPE(debian)"],
  },
  {
    name: "unknown DOMAIN",
    text: usual("DOMAIN(`example')dnl"),
    errors: [
      "sendmail.mc:2:1: DOMAIN(example) is unknown: cannot open 'domain/example.m4': No such file or directory",
    ],
  },
  {
    name: "unknown FEATURE",
    text: usual("dnl one\nFEATURE(`mailertabel')dnl"),
    errors: [
      "sendmail.mc:3:1: FEATURE(mailertabel) is unknown: cannot open 'feature/mailertabel.m4': No such file or directory; did you mean mailertable?",
    ],
  },
  {
    name: "FEATURE in capitals",
    text: usual("FEATURE(`SMRSH')dnl"),
    errors: [
      "sendmail.mc:2:1: FEATURE(SMRSH) is unknown: cannot open 'feature/SMRSH.m4': No such file or directory; did you mean smrsh?",
    ],
  },
  {
    name: "unknown MAILER",
    text: usual("MAILER(`smpt')dnl"),
    errors: [
      "sendmail.mc:2:1: MAILER(smpt) is unknown: cannot open 'mailer/smpt.m4': No such file or directory; did you mean smtp?",
    ],
  },
  {
    name: "the same MAILER twice",
    text: usual("MAILER(`smtp')dnl"),
    errors: ["sendmail.mc:4:1: MAILER(smtp) already included"],
  },
  {
    name: "FEATURE after MAILER",
    text: `${usual("dnl")}FEATURE(\`redirect')dnl\n`,
    errors: ["sendmail.mc:5:1: FEATURE() should be before MAILER()"],
  },
  {
    name: "MAILER(uucp)",
    text: usual("MAILER(`uucp')dnl"),
    errors: ["sendmail.mc:2:1: MAILER(uucp) is not in this build (board test)"],
  },
  {
    name: "a mailer that the board lacks",
    text: usual("MAILER(`procmail')dnl"),
    off: ["MAILER_PROCMAIL"],
    errors: ["sendmail.mc:2:1: MAILER(procmail) is not in this build (board test)"],
  },
  {
    name: "a feature that the board lacks",
    text: usual("FEATURE(`dnsbl', `list.example')dnl"),
    off: ["POLICY_DNSBL"],
    errors: ["sendmail.mc:2:1: FEATURE(dnsbl) is not in this build (board test)"],
  },
  {
    name: "a certificate without TLS in the build",
    text: usual("define(`confSERVER_CERT', `/c')dnl\ndefine(`confSERVER_KEY', `/k')dnl"),
    off: ["TLS_SERVER"],
    errors: ["sendmail.mc:2:1: confSERVER_CERT is not in this build (board test)"],
  },
  {
    name: "a listener where there is none",
    text: usual("DAEMON_OPTIONS(`Port=25')dnl"),
    off: ["LISTENER"],
    errors: ["sendmail.mc:2:1: DAEMON_OPTIONS is not in this build (board test)"],
  },
  {
    name: "LDAP routing",
    text: usual("FEATURE(`ldap_routing')dnl"),
    errors: ["sendmail.mc:2:1: FEATURE(ldap_routing) is not in this build (board test)"],
  },
  {
    name: "an LDAP map",
    text: usual("FEATURE(`mailertable', `ldap -1 -k x')dnl"),
    errors: ["sendmail.mc:2:1: FEATURE(`mailertable'): map type ldap is not in this build; use hash"],
  },
  {
    name: "a map without a type",
    text: usual("FEATURE(`virtusertable', `/etc/mail/virtusertable')dnl"),
    errors: [
      'sendmail.mc:2:1: FEATURE(`virtusertable\'): the map definition "/etc/mail/virtusertable" wants a type in front: hash /etc/mail/virtusertable',
    ],
  },
  {
    name: "a map of an unknown type",
    text: usual("FEATURE(`domaintable', `hahs /etc/mail/d')dnl"),
    errors: [
      'sendmail.mc:2:1: FEATURE(`domaintable\'): "hahs" is not a map type (hash, btree, dbm, cdb, text)',
    ],
  },
  {
    name: "a map without a file",
    text: usual("FEATURE(`genericstable', `hash -o')dnl"),
    errors: ['sendmail.mc:2:1: FEATURE(`genericstable\'): the map definition "hash -o" names no file'],
  },
  {
    name: "blocklist_recipients without access_db",
    text: usual("FEATURE(`blocklist_recipients')dnl"),
    errors: ["sendmail.mc:2:1: FEATURE(blocklist_recipients) requires FEATURE(access_db)"],
  },
  {
    name: "relay_mail_from without access_db",
    text: usual("FEATURE(`relay_mail_from')dnl"),
    errors: ["sendmail.mc:2:1: FEATURE(`relay_mail_from') requires FEATURE(`access_db')"],
  },
  {
    name: "compat_check without access_db",
    text: usual("FEATURE(`compat_check')dnl"),
    errors: ["sendmail.mc:2:1: FEATURE(`compat_check') requires FEATURE(`access_db')"],
  },
  {
    name: "greet_pause without a time and access_db",
    text: usual("FEATURE(`greet_pause')dnl"),
    errors: ["sendmail.mc:2:1: FEATURE(`greet_pause') requires FEATURE(`access_db')"],
  },
  {
    name: "greet_pause in words",
    text: usual("FEATURE(`greet_pause', `5s')dnl"),
    errors: ['sendmail.mc:2:1: FEATURE(`greet_pause\'): "5s" is not a number of milliseconds up to 300000'],
  },
  {
    name: "conncontrol nodelay without delay_checks",
    text: usual("FEATURE(`access_db')dnl\nFEATURE(`conncontrol', `nodelay', `terminate')dnl"),
    errors: ["sendmail.mc:3:1: FEATURE(`conncontrol', `nodelay') requires FEATURE(`delay_checks')"],
  },
  {
    name: "ratecontrol without access_db",
    text: usual("FEATURE(`ratecontrol')dnl"),
    errors: ["sendmail.mc:2:1: FEATURE(`ratecontrol') requires FEATURE(`access_db')"],
  },
  {
    name: "ratecontrol with an unknown word",
    text: usual("FEATURE(`access_db')dnl\nFEATURE(`ratecontrol', `fast', `stop')dnl"),
    errors: [
      'sendmail.mc:3:1: unknown parameter "fast" for FEATURE(`ratecontrol\')',
      'sendmail.mc:3:1: FEATURE(`ratecontrol\'): unknown argument "stop"',
    ],
  },
  {
    name: "delay_checks with a foreign word",
    text: usual("FEATURE(`delay_checks', `enemy')dnl"),
    errors: ["sendmail.mc:2:1: illegal argument enemy for FEATURE(delay_checks)"],
  },
  {
    name: "delay_checks friend without access_db",
    text: usual("FEATURE(`delay_checks', `friend')dnl"),
    errors: ["sendmail.mc:2:1: FEATURE(`delay_checks', `argument') requires FEATURE(`access_db')"],
  },
  {
    name: "enhdnsbl without a zone",
    text: usual("FEATURE(`enhdnsbl')dnl"),
    errors: ["sendmail.mc:2:1: missing argument for FEATURE(`enhdnsbl')"],
  },
  {
    name: "dnsbl with a text for a zone",
    text: usual("FEATURE(`dnsbl', `550 go away')dnl"),
    errors: ['sendmail.mc:2:1: FEATURE(`dnsbl\'): "550 go away" is not the name of a zone'],
  },
  {
    name: "nouucp with a foreign word",
    text: usual("FEATURE(`nouucp', `yes')dnl"),
    errors: ["sendmail.mc:2:1: illegal argument yes for FEATURE(nouucp)"],
  },
  {
    name: "nopercenthack without argument",
    text: usual("FEATURE(`nopercenthack')dnl"),
    errors: ["sendmail.mc:2:1: missing argument for FEATURE(nopercenthack): use `reject' or `nospecial'"],
  },
  {
    name: "nocanonify with a foreign word",
    text: usual("FEATURE(`nocanonify', `all')dnl"),
    errors: ['sendmail.mc:2:1: unknown parameter "all" for FEATURE(`nocanonify\')'],
  },
  {
    name: "nullclient without a hub",
    text: "OSTYPE(`linux')dnl\nFEATURE(`nullclient')dnl\n",
    errors: [
      "sendmail.mc:1:1: no MAILER() is declared: no mail could be delivered",
      'sendmail.mc:2:1: Feature "nullclient" requires argument',
    ],
  },
  {
    name: "access_db with a foreign flag",
    text: usual("FEATURE(`access_db', `hash -T<TMPF> /etc/mail/access', `skipp')dnl"),
    errors: ['sendmail.mc:2:1: unknown argument "skipp" for FEATURE(`access_db\')'],
  },
  {
    name: "a number with a unit",
    text: usual("define(`confMAX_MESSAGE_SIZE', `10M')dnl"),
    errors: ['sendmail.mc:2:1: confMAX_MESSAGE_SIZE: "10M" is not a number'],
  },
  {
    name: "a time in words",
    text: usual("define(`confTO_QUEUERETURN', `five days')dnl"),
    errors: ['sendmail.mc:2:1: confTO_QUEUERETURN: "five days" is not a time (like 30s, 5m, 1h30m, 5d)'],
  },
  {
    name: "an unknown privacy flag",
    text: usual("define(`confPRIVACY_FLAGS', `authwarnings,novrfi')dnl"),
    errors: ["sendmail.mc:2:1: confPRIVACY_FLAGS: novrfi unrecognized"],
  },
  {
    name: "a boolean that is neither",
    text: usual("define(`confSOFT_BOUNCE', `maybe')dnl"),
    errors: ['sendmail.mc:2:1: confSOFT_BOUNCE: "maybe" is neither True nor False'],
  },
  {
    name: "an unknown delivery mode",
    text: usual("define(`confDELIVERY_MODE', `later')dnl"),
    errors: [
      'sendmail.mc:2:1: confDELIVERY_MODE: "later" is none of background, interactive, queueonly, deferred',
    ],
  },
  {
    name: "a daemon that stays root",
    text: usual("define(`confDEF_USER_ID', ``0:0'')dnl"),
    errors: ["sendmail.mc:2:1: confDEF_USER_ID: the daemon must not stay root"],
  },
  {
    name: "a milter",
    text: usual("INPUT_MAIL_FILTER(`clamav', `S=local:/run/clamav')dnl"),
    errors: [
      "sendmail.mc:2:1: INPUT_MAIL_FILTER(clamav): milters are not in this build; without its filter mail would pass unchecked, so take the line out only if that is meant",
    ],
  },
  {
    name: "confINPUT_MAIL_FILTERS",
    text: usual("define(`confINPUT_MAIL_FILTERS', `clamav')dnl"),
    errors: ["sendmail.mc:2:1: confINPUT_MAIL_FILTERS: milters are not in this build"],
  },
  {
    name: "an unknown key of DAEMON_OPTIONS",
    text: usual("DAEMON_OPTIONS(`Prot=25, Name=MTA')dnl"),
    errors: ['sendmail.mc:2:1: "Prot" unknown DaemonPortOptions parameter'],
  },
  {
    name: "a port that is none",
    text: usual("DAEMON_OPTIONS(`Port=smtq')dnl"),
    errors: ['sendmail.mc:2:1: DaemonPortOptions Port: "smtq" is neither a port nor the name of one'],
  },
  {
    name: "a port beyond the last",
    text: usual("DAEMON_OPTIONS(`Port=70000')dnl"),
    errors: ['sendmail.mc:2:1: DaemonPortOptions Port: "70000" is neither a port nor the name of one'],
  },
  {
    name: "an IPv6 address in family inet",
    text: usual("DAEMON_OPTIONS(`Addr=::1')dnl"),
    errors: ["sendmail.mc:2:1: DaemonPortOptions: ::1 is an IPv6 address; add Family=inet6"],
  },
  {
    name: "an unknown modifier and family",
    text: usual("DAEMON_OPTIONS(`Family=inet7, M=Ez')dnl"),
    errors: [
      "sendmail.mc:2:1: DaemonPortOptions Family: unknown address family inet7",
      'sendmail.mc:2:1: DaemonPortOptions M: unknown modifier "z" (a b c f h r s u A C E O S)',
    ],
  },
  {
    name: "two listeners on one port",
    text: usual("DAEMON_OPTIONS(`Name=A')dnl\nDAEMON_OPTIONS(`Name=B, Addr=127.0.0.1')dnl"),
    errors: ["sendmail.mc:3:1: DAEMON_OPTIONS: B and A want the same port 25"],
  },
  {
    name: "a smart host with an undeclared mailer",
    text: usual("define(`SMART_HOST', `esmpt:mail.example.com')dnl"),
    errors: [
      'sendmail.mc:2:1: SMART_HOST names the mailer "esmpt", which no MAILER() declares; did you mean esmtp?',
    ],
  },
  {
    name: "a smart host without its closing bracket",
    text: usual("define(`SMART_HOST', `[smtp.example.com')dnl"),
    errors: ['sendmail.mc:2:1: SMART_HOST: a ] is missing in "[smtp.example.com"'],
  },
  {
    name: "two hosts for one hub",
    text: usual("define(`MAIL_HUB', `a.example b.example')dnl"),
    errors: ['sendmail.mc:2:1: MAIL_HUB: "a.example b.example" is not a host'],
  },
  {
    name: "UUCP_RELAY",
    text: usual("define(`UUCP_RELAY', `uucp.example')dnl"),
    errors: [
      "sendmail.mc:2:1: UUCP_RELAY is not in this build (board test); use mailertable for such addresses",
    ],
  },
  {
    name: "a refusal without a code",
    text: usual("define(`confREJECT_MSG', `Go away')dnl"),
    errors: ['sendmail.mc:2:1: confREJECT_MSG: "Go away" does not begin with a code like 550'],
  },
  {
    name: "mailer arguments that are no TCP",
    text: usual("define(`RELAY_MAILER_ARGS', `$h 587')dnl"),
    errors: ['sendmail.mc:4:1: mailer relay: the arguments "$h 587" are not of the form TCP $h [port]'],
  },
  {
    name: "a local mailer that is not declared",
    text: usual("define(`confLOCAL_MAILER', `cyrus')dnl"),
    errors: ['sendmail.mc:2:1: confLOCAL_MAILER: no MAILER() declares "cyrus"'],
  },
  {
    name: "MODIFY_MAILER_FLAGS for nobody",
    text: usual("MODIFY_MAILER_FLAGS(`REALY', `+k')dnl"),
    errors: ['sendmail.mc:2:1: MODIFY_MAILER_FLAGS: there is no mailer group "REALY"; did you mean RELAY?'],
  },
  {
    name: "two domains to masquerade as",
    text: usual("MASQUERADE_AS(`a.example b.example')dnl"),
    errors: ['sendmail.mc:2:1: MASQUERADE_AS: "a.example b.example" is not one domain'],
  },
  {
    name: "a class file that is no path",
    text: usual("RELAY_DOMAIN_FILE(`relays')dnl"),
    errors: ['sendmail.mc:2:1: "relays" is not the path of a file'],
  },
  {
    name: "a stray word",
    text: usual("dnl\n  hello\ndnl"),
    errors: ['sendmail.mc:3:3: stray text "hello"'],
  },
  {
    name: "a mistyped dnl",
    text: usual("dln this was a comment"),
    errors: ['sendmail.mc:2:1: stray text "dln this was a comment"'],
  },
  {
    name: "mistyped directives, each with its line",
    text: usual("MASQUERADE_DOMIAN(`x.example')dnl\nfeature(`redirect')dnl\nZZZZZZ(`y')dnl"),
    errors: [
      'sendmail.mc:2:1: stray text "MASQUERADE_DOMIAN(x.example)"; did you mean MASQUERADE_DOMAIN?',
      'sendmail.mc:3:1: stray text "feature(redirect)"; did you mean FEATURE?',
      'sendmail.mc:4:1: stray text "ZZZZZZ(y)"',
    ],
  },
  {
    name: "the wrong quotes around a host",
    text: usual("define(`SMART_HOST', 'relay.example')dnl"),
    errors: ["sendmail.mc:2:1: SMART_HOST: \"'relay.example'\" is not a host"],
  },
  {
    name: "a device for a file",
    text: usual("include(`/dev/zero')dnl"),
    errors: ["sendmail.mc:2:1: /dev/zero is not a file for configurations"],
  },
  {
    name: "our own name with an @",
    text: usual("define(`confDOMAIN_NAME', `root@mail.example')dnl"),
    errors: ['sendmail.mc:2:1: confDOMAIN_NAME: "root@mail.example" is not the name of a host'],
  },
  {
    name: "a blank before the parenthesis",
    text: usual("FEATURE (`redirect')dnl"),
    errors: [
      'sendmail.mc:2:1: stray text "FEATURE (redirect)" (no blank may stand between FEATURE and its parenthesis)',
    ],
  },
  {
    name: "a line of a sendmail.cf in the open",
    text: usual("Dj$w.example.com"),
    errors: ['sendmail.mc:2:1: stray text "Dj$w.example.com" (lines of a sendmail.cf go after LOCAL_CONFIG)'],
  },
  {
    name: "rules in LOCAL_RULESETS",
    text: `${usual("dnl")}LOCAL_RULESETS\nSLocal_check_mail\nR$*\t$@ OK\n`,
    errors: [
      'sendmail.mc:6:1: LOCAL_RULESETS: rules cannot be used here ("SLocal_check_mail"); use FEATURE(`access_db\') and its tables',
    ],
  },
  {
    name: "rules in LOCAL_NET_CONFIG",
    text: `${usual("dnl")}LOCAL_NET_CONFIG\nR$* < @ $* .$m. > $*\t$#esmtp $@ $2.$m $: $1 < @ $2.$m. > $3\n`,
    errors: [
      'sendmail.mc:6:1: LOCAL_NET_CONFIG: rules cannot be used here ("R$* < @ $* .$m. > $* $#esmtp $@ $2.$m $:..."); use mailertable, virtusertable, genericstable or access',
    ],
  },
  {
    name: "rules in LOCAL_RULE_0",
    text: usual("LOCAL_RULE_0\nR$+ $# local\ndivert(0)dnl"),
    errors: [
      'sendmail.mc:3:1: LOCAL_RULE_0: rules cannot be used here ("R$+ $# local"); use mailertable, virtusertable, genericstable or access',
    ],
  },
  {
    name: "a header line in LOCAL_CONFIG",
    text: `${usual("dnl")}LOCAL_CONFIG\nHX-Spam: $>Check\n`,
    errors: [
      'sendmail.mc:6:1: LOCAL_CONFIG: rules cannot be used here ("HX-Spam: $>Check"); headers cannot be added or checked by rules',
    ],
  },
  {
    name: "an unknown option in LOCAL_CONFIG",
    text: `${usual("dnl")}LOCAL_CONFIG\nO MaxMessageSiez=5\n`,
    errors: ["sendmail.mc:6:1: readcf: unknown option name MaxMessageSiez"],
  },
  {
    name: "a mailer definition without a program",
    text: `${usual("dnl")}MAILER_DEFINITIONS\nMfax, F=DFMhu, A=fax $u\n`,
    errors: ["sendmail.mc:6:1: mailer fax: a mailer wants a name, P= and A="],
  },
  {
    name: "a missing include",
    text: usual("include(`/etc/mail/local.m4')dnl"),
    errors: ["sendmail.mc:2:1: cannot open '/etc/mail/local.m4': No such file or directory"],
  },
  {
    name: "an open quote swallows the rest and says where it began",
    text: usual("define(`confLOG_LEVEL, `9')dnl"),
    errors: ["sendmail.mc:2:8: end of file in the quoted text that begins here"],
  },
  {
    name: "an open parenthesis",
    text: "OSTYPE(`linux')dnl\nFEATURE(`redirect'dnl\nMAILER(`smtp')dnl\n",
    errors: ["sendmail.mc:2:1: end of file in the arguments of FEATURE: a ) is missing"],
  },
  {
    name: "a command in the configuration",
    text: usual("define(`confDOMAIN_NAME', esyscmd(`hostname'))dnl"),
    errors: ["sendmail.mc:2:27: esyscmd is refused: a configuration does not run commands"],
  },
  {
    name: "Sendmail's own cf instead of a .mc",
    text: "V10/Berkeley\nCwlocalhost\n",
    errors: [
      "sendmail.mc:1:1: No system type defined (use OSTYPE macro)",
      "sendmail.mc:1:1: no MAILER() is declared: no mail could be delivered",
      'sendmail.mc:1:1: stray text "V10/Berkeley"',
      'sendmail.mc:2:1: stray text "Cwlocalhost"',
    ],
  },
];

for (const { name, text, errors, off = [] } of ROWS)
  test(name, () => {
    const result = compileText(text, {}, buildWithout(...off));
    assert.deepEqual([...result.errors].sort(), [...errors].sort());
    assert.equal(result.configuration, null);
  });

test("all errors are said at once, in the order of the file", () => {
  const result = compileText(
    usual("FEATURE(`nosuch')dnl\ndefine(`confMAX_HOP', `x')dnl\nstray\nDAEMON_OPTIONS(`Port=x')dnl"),
  );
  assert.deepEqual(
    result.errors.map((line) => line.split(" ")[0]),
    ["sendmail.mc:2:1:", "sendmail.mc:3:1:", "sendmail.mc:4:1:", "sendmail.mc:5:1:"],
  );
});

test("there are at least forty broken configurations here", () => {
  assert.ok(ROWS.length >= 40, String(ROWS.length));
});
