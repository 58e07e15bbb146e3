// Options: defaults as semantics section 4 and 24 list them, values as Sendmail reads them, -O and -o with Sendmail's texts.

import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultConfiguration } from "../../../src/config/defaults.ts";
import {
  defaultOptions,
  OPTION_TABLE,
  optionOfConf,
  parseOptionValue,
  setOption,
} from "../../../src/config/options.ts";
import { overrideOption } from "../../../src/config/override.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

test("every option has the default of the reference", () => {
  const options = defaultOptions();
  // Semantics sections 4 and 24; DefaultUser is contract section 8 item 1.
  const expected: Record<string, unknown> = {
    AliasFile: ["/etc/mail/aliases"],
    AliasWait: 10 * MINUTE,
    BadRcptThrottle: 0,
    BlankSub: ".",
    CheckpointInterval: 10,
    ConnectionCacheSize: 2,
    ConnectionCacheTimeout: 5 * MINUTE,
    ConnectionRateThrottle: 0,
    ConnectionRateWindowSize: MINUTE,
    DefaultUser: "8:12",
    DeliveryMode: "background",
    DontBlameSendmail: ["Safe"],
    DoubleBounceAddress: "postmaster",
    EightBitMode: "pass8",
    ForwardPath: "$z/.forward.$w:$z/.forward",
    LogLevel: 9,
    MaxAliasRecursion: 10,
    MaxHeadersLength: 32768,
    MaxHopCount: 25,
    MaxMessageSize: 0,
    MaxMimeHeaderLength: "0/0",
    MaxNOOPCommands: 20,
    MaxRecipientsPerMessage: 0,
    MeToo: true,
    MinFreeBlocks: 100,
    MinQueueAge: 0,
    NoRecipientAction: "none",
    PrivacyOptions: ["authwarnings"],
    QueueFactor: 600000,
    QueueLA: 8,
    QueueSortOrder: "priority",
    RecipientFactor: 30000,
    RefuseLA: 12,
    RetryFactor: 90000,
    ClassFactor: 1800,
    RejectNUL: false,
    SmtpGreetingMessage: "$j Sendmail $v/$Z; $b",
    SoftBounce: false,
    SuperSafe: "true",
    UnsafeGroupWrites: true,
    "Timeout.initial": 5 * MINUTE,
    "Timeout.connect": 5 * MINUTE,
    "Timeout.iconnect": 5 * MINUTE,
    "Timeout.helo": 5 * MINUTE,
    "Timeout.mail": 10 * MINUTE,
    "Timeout.rcpt": HOUR,
    "Timeout.datainit": 5 * MINUTE,
    "Timeout.datablock": HOUR,
    "Timeout.datafinal": HOUR,
    "Timeout.command": HOUR,
    "Timeout.starttls": HOUR,
    "Timeout.rset": 5 * MINUTE,
    "Timeout.quit": 2 * MINUTE,
    "Timeout.misc": 2 * MINUTE,
    "Timeout.control": 2 * MINUTE,
    "Timeout.lhlo": 2 * MINUTE,
    "Timeout.ident": 5000,
    "Timeout.fileopen": MINUTE,
    "Timeout.hoststatus": 30 * MINUTE,
    "Timeout.auth": 10 * MINUTE,
    "Timeout.queuereturn": 5 * DAY,
    "Timeout.queuereturn.urgent": 2 * DAY,
    "Timeout.queuewarn": 4 * HOUR,
    "Timeout.queuewarn.urgent": HOUR,
    "Timeout.resolver.retrans": 5000,
    "Timeout.resolver.retry": 4,
  };
  const actual = new Map(Object.entries(options));
  for (const [name, value] of Object.entries(expected)) assert.deepEqual(actual.get(name), value, name);
});

test("option names, conf names and letters are unique", () => {
  for (const part of ["name", "conf", "letter"] as const) {
    const names = OPTION_TABLE.map((row) => row[part]).filter((name) => name !== "");
    assert.equal(new Set(names).size, names.length, part);
  }
});

for (const { conf, input, expected } of [
  // An empty value is true (semantics section 1).
  { conf: "confUNSAFE_GROUP_WRITES", input: "", expected: true },
  { conf: "confSOFT_BOUNCE", input: "True", expected: true },
  { conf: "confSOFT_BOUNCE", input: "y", expected: true },
  { conf: "confSOFT_BOUNCE", input: "False", expected: false },
  { conf: "confSOFT_BOUNCE", input: "0", expected: '"0" is neither True nor False' },
  { conf: "confTO_COMMAND", input: "5m", expected: 5 * MINUTE },
  { conf: "confTO_COMMAND", input: "90", expected: 90 * MINUTE },
  { conf: "confTO_COMMAND", input: "1h30m", expected: 90 * MINUTE },
  { conf: "confTO_QUEUERETURN", input: "3", expected: 3 * DAY },
  { conf: "confTO_QUEUERETURN", input: "now", expected: 0 },
  { conf: "confTO_QUEUEWARN", input: "4", expected: 4 * HOUR },
  { conf: "confTO_RESOLVER_RETRANS", input: "7", expected: 7000 },
  { conf: "confALIAS_WAIT", input: "10", expected: 10 * MINUTE },
  { conf: "confTO_IDENT", input: "0", expected: 0 },
  {
    conf: "confTO_MAIL",
    input: "5 minutes",
    expected: '"5 minutes" is not a time (like 30s, 5m, 1h30m, 5d)',
  },
  { conf: "confTO_MAIL", input: "9999w", expected: "9999w is more than a year" },
  { conf: "confMAX_MESSAGE_SIZE", input: "1000000", expected: 1000000 },
  { conf: "confMAX_MESSAGE_SIZE", input: "10M", expected: '"10M" is not a number' },
  { conf: "confMAX_MESSAGE_SIZE", input: "-1", expected: "-1 is less than the smallest value 0" },
  { conf: "confMAX_HOP", input: "0", expected: "0 is less than the smallest value 1" },
  {
    conf: "confPRIVACY_FLAGS",
    input: "needmailhelo, NoExpn novrfy",
    expected: ["needmailhelo", "noexpn", "novrfy"],
  },
  { conf: "confPRIVACY_FLAGS", input: "foo", expected: "foo unrecognized" },
  {
    // Semantics section 17: what goaway stands for, and what it does not.
    conf: "confPRIVACY_FLAGS",
    input: "goaway",
    expected: [
      "goaway",
      "authwarnings",
      "noexpn",
      "novrfy",
      "noverb",
      "needmailhelo",
      "needexpnhelo",
      "needvrfyhelo",
    ],
  },
  { conf: "confDELIVERY_MODE", input: "i", expected: "interactive" },
  { conf: "confDELIVERY_MODE", input: "queue", expected: "queueonly" },
  {
    conf: "confDELIVERY_MODE",
    input: "soon",
    expected: '"soon" is none of background, interactive, queueonly, deferred',
  },
  { conf: "confSAFE_QUEUE", input: "PostMilter", expected: "postmilter" },
  { conf: "confAUTH_OPTIONS", input: "A p y", expected: "Apy" },
  { conf: "confAUTH_OPTIONS", input: "A q", expected: '"q" is none of a A c d f m p T y r' },
  { conf: "confSMTP_LOGIN_MSG", input: " Sendmail", expected: " Sendmail" },
  { conf: "confDONT_BLAME_SENDMAIL", input: ",groupreadablekeyfile", expected: ["GroupReadableKeyFile"] },
  {
    conf: "ALIAS_FILE",
    input: "/etc/mail/aliases, hash:/etc/lists",
    expected: ["/etc/mail/aliases", "/etc/lists"],
  },
  {
    conf: "confBIND_OPTS",
    input: "+AAONLY -DNSRCH HasWildcardMX",
    expected: ["+AAONLY", "-DNSRCH", "HasWildcardMX"],
  },
] as const)
  test(`${conf} = ${JSON.stringify(input)}`, () => {
    const row = optionOfConf(conf);
    assert.ok(row !== undefined);
    const result = parseOptionValue(row, input);
    assert.deepEqual(result.ok ? result.value : result.error, expected);
  });

test("-O finds options without case and by unique prefix, and says Sendmail's words", () => {
  const options = defaultOptions();
  const cases = [
    ["loglevel", "12", "LogLevel", 12],
    [
      "MaxM",
      "5",
      null,
      "readcf: ambiguous option name MaxM (matches MaxMessageSize and MaxMimeHeaderLength)",
    ],
    ["MaxMess", "5", "MaxMessageSize", 5],
    ["nosuch", "5", null, "readcf: unknown option name nosuch"],
    ["Timeout.foo", "5", null, "settimeout: invalid timeout foo"],
    ["PrivacyOptions", "foo", null, "readcf: Op line: foo unrecognized"],
    ["d", "q", "DeliveryMode", "queueonly"],
    ["L", "14", "LogLevel", 14],
    ["~", "", null, "readcf: unknown option name ~"],
  ] as const;
  for (const [name, value, option, expected] of cases) {
    const result = setOption(options, name, value);
    if (option === null) assert.equal(result.ok ? "" : result.error, expected);
    else assert.deepEqual(result.ok ? new Map(Object.entries(result.value)).get(option) : "", expected);
  }
});

test("-p adds privacy flags to those of the configuration", () => {
  const result = setOption(defaultOptions(), "PrivacyOptions", "noexpn");
  assert.deepEqual(result.ok && result.value.PrivacyOptions, ["authwarnings", "noexpn"]);
});

test("Timeout.queuereturn sets its classes too", () => {
  const result = setOption(defaultOptions(), "Timeout.queuereturn", "1d");
  assert.ok(result.ok);
  assert.equal(result.value["Timeout.queuereturn.urgent"], DAY);
  assert.equal(result.value["Timeout.queuereturn.non-urgent"], DAY);
});

test("-ODaemonPortOptions replaces the listeners", () => {
  const result = overrideOption(
    defaultConfiguration(),
    "DaemonPortOptions",
    "Port=2525, Addr=127.0.0.1, Name=T",
  );
  assert.ok(result.ok);
  assert.deepEqual(
    result.value.daemons.map((d) => [d.name, d.address, d.port]),
    [["T", "127.0.0.1", 2525]],
  );
  const bad = overrideOption(defaultConfiguration(), "O", "Port=x");
  assert.equal(
    bad.ok ? "" : bad.error,
    'readcf: DaemonPortOptions Port: "x" is neither a port nor the name of one',
  );
});
