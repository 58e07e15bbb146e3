// The compiler against Sendmail's own m4 files: the same .mc goes through GNU m4 with Debian's sendmail-cf, and the options, classes,
// class files, maps, mailers and listeners of the sendmail.cf that comes out must be those of our configuration.
// Skipped where the packages m4 and sendmail-cf are not installed (test/packages names them).

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import type { Configuration } from "../../../src/config/configuration.ts";
import { parseMapSpec } from "../../../src/config/mapspec.ts";
import { defaultOptions, optionNamed, parseOptionValue } from "../../../src/config/options.ts";
import { parseSocketOptions } from "../../../src/config/sockets.ts";
import { compileText } from "./sources.ts";

const CF = "/usr/share/sendmail/cf/";
const have = existsSync(`${CF}m4/cf.m4`) && spawnSync("m4", ["--version"]).status === 0;

/** The sendmail.cf that Sendmail makes of `mc`, continuation lines joined, comments gone. */
function theirs(mc: string): string[] {
  const result = spawnSync("m4", [`-D_CF_DIR_=${CF}`, `${CF}m4/cf.m4`, "-"], {
    input: mc,
    encoding: "utf8",
    timeout: 20_000,
  });
  assert.equal(result.status, 0, result.stderr);
  return result.stdout
    .replace(/\n[ \t]+/g, " ")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
}

function compareOptions(cf: readonly string[], configuration: Configuration): void {
  const ours = new Map(Object.entries(configuration.options));
  const expected = new Map(Object.entries(defaultOptions()));
  // Without its line there are no aliases at all.
  expected.set("AliasFile", []);
  const seen = new Set<string>();
  for (const line of cf) {
    const match = /^O ([\w.-]+)(?:=(.*))?$/.exec(line);
    const row = match === null ? undefined : optionNamed(match[1] ?? "");
    // Where an OSTYPE puts its statistics and pid file is that system's business (config/ostypes.ts).
    if (row === undefined || /PortOptions$|^(StatusFile|PidFile)$/.test(row.name)) continue;
    const value = parseOptionValue(row, match?.[2] ?? "");
    assert.ok(value.ok, line);
    // Two lines of privacy words add up.
    const before = row.name === "PrivacyOptions" && seen.has(row.name) ? expected.get(row.name) : [];
    const words =
      Array.isArray(value.value) && Array.isArray(before) ? [...before, ...value.value] : value.value;
    seen.add(row.name);
    expected.set(row.name, words);
    // Timeout.queuewarn=4h and its like are in every cf; their classes keep the defaults of the reference (section 24).
    if (value.value !== row.default) for (const name of row.leads) expected.set(name, value.value);
  }
  const sorted = (value: unknown): unknown => (Array.isArray(value) ? [...value].sort() : value);
  for (const [name, value] of expected) assert.deepEqual(sorted(ours.get(name)), sorted(value), name);
}

function compareClasses(cf: readonly string[], configuration: Configuration): void {
  const wanted = ["w", "R", "M", "N", "E", "G", "VirtHost", "L", "t", "TrustAuthMech", "Canonify", "P"];
  const found = new Map<string, Set<string>>();
  const files: string[] = [];
  for (const line of cf) {
    const member = /^C(?:\{(\w+)\}|(\w))(.*)$/.exec(line) ?? /^(T)()(.*)$/.exec(line);
    const file = /^F(?:\{(\w+)\}|(\w))((?:-o )?\/\S+)/.exec(line);
    if (file !== null) files.push(`${file[1] ?? file[2]} ${file[3]}`);
    if (member === null) continue;
    const name = member[1] === "T" ? "t" : (member[1] ?? member[2] ?? "");
    const words = (member[3] ?? "").split(/\s+/).filter((word) => word !== "" && !word.startsWith("$="));
    found.set(name, new Set([...(found.get(name) ?? []), ...words]));
  }
  // cf.m4 has localhost in class w; here it is one of the names that are ours without being asked (section 4).
  found.get("w")?.delete("localhost");
  for (const member of found.get("VirtHost") ?? [])
    found.set("R", new Set([...(found.get("R") ?? []), member]));
  for (const name of wanted)
    assert.deepEqual(
      new Set(configuration.classes[name] ?? []),
      found.get(name) ?? new Set(),
      `class ${name}`,
    );
  const ours = configuration.classFiles
    .filter((item) => !(item.class === "R" && files.includes(`VirtHost ${item.path}`)))
    .map(({ class: name, path, optional }) => `${name} ${optional ? "-o " : ""}${path}`);
  assert.deepEqual(ours.sort(), files.sort());
}

function compareMaps(cf: readonly string[], configuration: Configuration): void {
  const { features } = configuration;
  const maps = new Map([
    ["access", features.accessDb?.map ?? null],
    ["mailertable", features.mailerTable],
    ["virtuser", features.virtUserTable],
    ["domaintable", features.domainTable],
    ["generics", features.genericsTable],
    ["authinfo", features.authInfo],
  ]);
  for (const [name, map] of maps) {
    const line = cf.find((text) => text.startsWith(`K${name} `));
    const parsed = line === undefined ? null : parseMapSpec(line.slice(name.length + 2));
    assert.deepEqual(map, parsed?.ok === true ? parsed.value : null, name);
  }
}

function compareMailers(cf: readonly string[], configuration: Configuration): void {
  for (const line of cf) {
    const match = /^M(\w+),\s*P=([^,]*), F=([^,]*),.*? A=(.*)$/.exec(line);
    if (match === null) continue;
    const spec = configuration.mailers.find((candidate) => candidate.name === match[1]);
    assert.ok(spec !== undefined, line);
    const amount = (letter: string): number =>
      Number(new RegExp(`[ ,]${letter}=(\\d+)`).exec(line)?.[1] ?? 0);
    assert.deepEqual(
      [spec.path, [...spec.flags].sort().join(""), spec.args, spec.lineMax, spec.sizeMax, spec.messagesMax],
      [match[2], [...(match[3] ?? "")].sort().join(""), match[4], amount("L"), amount("M"), amount("m")],
      line,
    );
  }
  const names = cf.flatMap((line) => /^M(\w+),\s+P=/.exec(line)?.[1] ?? []);
  const ours = configuration.mailers
    .map((spec) => spec.name)
    .filter((name) => !/^\*|^(error|discard)$/.test(name));
  assert.deepEqual(ours.sort(), names.sort());
}

function compareSockets(cf: readonly string[], configuration: Configuration): void {
  const lines = cf.flatMap((line) => /^O DaemonPortOptions=(.*)$/.exec(line)?.[1] ?? []);
  const expected = lines.map((line, index) => {
    const parsed = parseSocketOptions(line, "DaemonPortOptions", `Daemon${index}`);
    assert.ok(parsed.ok);
    return parsed.value;
  });
  assert.deepEqual(configuration.daemons, expected);
}

function compareMacros(cf: readonly string[], configuration: Configuration): void {
  const value = (name: string): string => cf.findLast((line) => line.startsWith(`D${name}`))?.slice(2) ?? "";
  const host = (target: Configuration["smartHost"]): string =>
    target === null ? "" : target.mailer === "relay" ? target.host : `${target.mailer}:${target.host}`;
  assert.equal(configuration.masqueradeAs, value("M"));
  assert.equal(configuration.domainName, value("j"));
  assert.equal(host(configuration.smartHost), value("S").replace(/^relay:/, ""));
  assert.equal(host(configuration.mailHub), value("H").replace(/^relay:/, ""));
  assert.equal(host(configuration.localRelay), value("R").replace(/^relay:/, ""));
  assert.equal(host(configuration.luserRelay), value("L").replace(/^relay:/, ""));
  assert.equal(configuration.texts.mailerName, value("n"));
}

const TABLES = `FEATURE(\`access_db')
FEATURE(\`mailertable')
FEATURE(\`virtusertable', \`btree -o -f /etc/mail/virt.db')
FEATURE(\`domaintable')
FEATURE(\`genericstable', \`hash -o /etc/mail/g')
FEATURE(\`authinfo')`;

const BODIES: readonly (readonly [name: string, lines: string])[] = [
  ["nothing", ""],
  ["tables", TABLES],
  [
    "another settings folder",
    `define(\`MAIL_SETTINGS_DIR', \`/opt/mail/')\nFEATURE(\`use_cw_file')\n${TABLES}`,
  ],
  [
    "classes",
    "LOCAL_DOMAIN(`a.example b.example')\nEXPOSED_USER(`root')\nEXPOSED_USER_FILE(`/etc/mail/exposed')\nMASQUERADE_DOMAIN(`m.example')\nMASQUERADE_DOMAIN_FILE(`-o /etc/mail/m')\nMASQUERADE_EXCEPTION(`x.m.example')\nRELAY_DOMAIN(`r.example 192.168')\nVIRTUSER_DOMAIN(`v.example')\nGENERICS_DOMAIN(`g.example')\nCANONIFY_DOMAIN(`c.example')\nLOCAL_USER(`moe')\nTRUST_AUTH_MECH(`PLAIN LOGIN')",
  ],
  [
    "relays",
    "define(`SMART_HOST', `esmtp:[s.example]')\ndefine(`MAIL_HUB', `hub.example')\ndefine(`LUSER_RELAY', `local:moe')\ndefine(`LOCAL_RELAY', `l.example')",
  ],
  [
    "masquerading",
    "MASQUERADE_AS(`m.example')\nFEATURE(`masquerade_envelope')\ndefine(`confDOMAIN_NAME', `j.example')\ndefine(`confMAILER_NAME', `mailer')",
  ],
  [
    "mailer settings",
    "define(`SMTP_MAILER_ARGS', `TCP $h 26')\ndefine(`SMTP_MAILER_MAX', `1000')\ndefine(`SMTP_MAILER_MAXMSGS', `7')\ndefine(`SMTP_MAILER_FLAGS', `k')\ndefine(`RELAY_MAILER_ARGS', `TCP $h 587')\ndefine(`RELAY_MAILER_LL', `900')\nMODIFY_MAILER_FLAGS(`ESMTP', `+z')\nMODIFY_MAILER_FLAGS(`RELAY', `-a')\ndefine(`LOCAL_MAILER_MAX', `5000')",
  ],
  ["smrsh and LMTP", "FEATURE(`smrsh', `/usr/sbin/smrsh')\nFEATURE(`local_lmtp')"],
  ["procmail with arguments", "FEATURE(`local_procmail', `/bin/procmail', `procmail -t -d $u', `SPhn')"],
  [
    "listeners",
    "DAEMON_OPTIONS(`Name=A, Port=2525, Addr=127.0.0.1, M=a')\nDAEMON_OPTIONS(`Family=inet6, Port=smtps, M=s')",
  ],
  ["no MSA", "FEATURE(`no_default_msa')"],
  ["redirect and a domain file", "DOMAIN(`generic')"],
  [
    "options",
    "define(`confMAX_MESSAGE_SIZE', `5000000')\ndefine(`confTO_QUEUERETURN', `2d')\ndefine(`confTO_COMMAND', `10m')\ndefine(`confTO_RESOLVER_RETRY', `2')\ndefine(`confPRIVACY_FLAGS', `goaway,noetrn')\ndefine(`confSMTP_LOGIN_MSG', ` Sendmail')\ndefine(`confLOG_LEVEL', `14')\ndefine(`confSAFE_QUEUE', `interactive')\ndefine(`confDELIVERY_MODE', `q')\ndefine(`confDEF_USER_ID', ``8:12'')\ndefine(`confDONT_BLAME_SENDMAIL', `GroupReadableKeyFile,GroupWritableIncludeFile')\ndefine(`confUNSAFE_GROUP_WRITES')\ndefine(`confBLANK_SUB', `_')\ndefine(`confDOUBLE_BOUNCE_ADDRESS', `')\ndefine(`confFALLBACK_MX', `f.example')\ndefine(`confMIN_QUEUE_AGE', `30m')\ndefine(`ALIAS_FILE', `/etc/aliases')\ndefine(`QUEUE_DIR', `/q')\ndefine(`confAUTH_MECHANISMS', `PLAIN LOGIN')\ndefine(`confTLS_SRV_OPTIONS', `V')",
  ],
  ["a changed quote", "changequote([, ])define([confBLANK_SUB], [_])changequote(`, ')"],
  [
    "conditions",
    "ifdef(`UUCP_RELAY', `define(`confLOG_LEVEL', `1')', `define(`confLOG_LEVEL', `2')')\nifelse(eval(1 + 1), 2, `define(`confMAX_HOP', incr(29))')",
  ],
];

/** The other system types differ in their local mailers and listeners only. */
const SHORT = new Set(["nothing", "smrsh and LMTP", "mailer settings", "no MSA"]);
for (const type of ["linux", "ultrix4", "freebsd6", "openbsd", "darwin", "solaris2", "solaris8"])
  for (const [name, lines] of BODIES.filter(([body]) => type === "linux" || SHORT.has(body)))
    test(`OSTYPE(${type}) with ${name} compiles to what Sendmail's m4 files make of it`, {
      skip: !have,
    }, () => {
      const mc = `divert(0)dnl\nOSTYPE(\`${type}')dnl\n${lines}\nMAILER(\`local')dnl\nMAILER(\`smtp')dnl\nMAILER(\`procmail')dnl\n`;
      const { configuration, errors } = compileText(mc);
      assert.deepEqual(errors, []);
      assert.ok(configuration !== null);
      const cf = theirs(mc);
      compareOptions(cf, configuration);
      compareClasses(cf, configuration);
      compareMaps(cf, configuration);
      compareMailers(cf, configuration);
      compareSockets(cf, configuration);
      compareMacros(cf, configuration);
    });

// Complete files: what they bring themselves is part of the comparison.
const COMPLETE: readonly (readonly [name: string, mc: string])[] = [
  ["nullclient", "OSTYPE(`linux')\nFEATURE(`nullclient', `hub.example')\n"],
  [
    "raw lines",
    "OSTYPE(`linux')\nMAILER(`local')\nMAILER(`smtp')\nLOCAL_CONFIG\nCwone.example two.example\nC{E}moe\nFR/etc/mail/more\nO LogLevel=13\nO PrivacyOptions=noexpn\nO MaxRecipientsPerMessage=7\nTlarry curly\nDMmasq.example\n",
  ],
  [
    "a mailer of its own",
    "OSTYPE(`linux')\nMAILER(`local')\nMAILER(`smtp')\nMAILER_DEFINITIONS\nMarchive,\tP=[IPC], F=mDFMuXa, S=EnvFromSMTP/HdrFromSMTP, R=EnvToSMTP, E=\\r\\n, L=990,\n\t\tT=DNS/RFC822/SMTP,\n\t\tA=TCP $h 2525\n",
  ],
];

for (const [name, mc] of COMPLETE)
  test(`${name} compiles to what Sendmail's m4 files make of it`, { skip: !have }, () => {
    const { configuration, errors } = compileText(mc);
    assert.deepEqual(errors, []);
    assert.ok(configuration !== null);
    const cf = theirs(mc);
    compareClasses(cf, configuration);
    compareOptions(cf, configuration);
    compareMailers(cf, configuration);
    compareSockets(cf, configuration);
    compareMacros(cf, configuration);
  });

for (const file of ["debian/sendmail.mc", "cf/generic-linux.mc"])
  test(`${file} of Debian has our mailers and listeners`, { skip: !have }, () => {
    // The two files that Debian's scripts write are not in any package.
    const text = readFileSync(`${CF}${file}`, "utf8").replace(/^include\(`\/etc\/mail.*$/gm, "dnl");
    const { configuration } = compileText(text);
    assert.ok(configuration !== null);
    const cf = theirs(text);
    compareMailers(cf, configuration);
    compareSockets(cf, configuration);
    compareMaps(cf, configuration);
  });
