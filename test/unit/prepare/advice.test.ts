// Advice on tables: each row is a statement of sendmail-semantics sections 7, 8, 11 or 13 about lines that are stored and do
// not do what they say; the recorded tables that work get none.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ADVISERS, adviseLine, type Surroundings } from "../../../src/prepare/advice.ts";

const AROUND: Surroundings = {
  mailers: new Set(["smtp", "esmtp", "smtp8", "relay", "dsmtp", "local", "procmail"]),
  isLocal: (domain) => domain === "polkatistas.org",
  isVirtual: (domain) => domain === "virt.example",
  skip: false,
  lookupDotDomain: false,
  blocklistRecipients: true,
  delayChecks: false,
};

interface Case {
  readonly table: string;
  readonly key: string;
  readonly value: string;
  /** "" is no advice. */
  readonly expected: RegExp | "";
  readonly around?: Partial<Surroundings>;
}

const CASES: readonly Case[] = [
  { table: "mailertable", key: "exact.example", value: "esmtp:gw.example.net", expected: "" },
  { table: "mailertable", key: ".", value: "smtp:[192.0.2.1]", expected: "" },
  { table: "mailertable", key: "prog.example", value: "procmail:/etc/procmailrcs/prog.rc", expected: "" },
  { table: "mailertable", key: "err.example", value: "error:5.7.0:550 no", expected: "" },
  { table: "mailertable", key: "loc.example", value: "local:", expected: "" },
  {
    table: "mailertable",
    key: "x.example",
    value: "gw.example.net",
    expected: /names no mailer.*esmtp:gw\.example\.net/,
  },
  { table: "mailertable", key: "x.example", value: "uucp:gw", expected: /mailer uucp is not declared/ },
  { table: "mailertable", key: "*.x.example", value: "smtp:gw", expected: /write "\.x\.example"/ },
  { table: "mailertable", key: "[192.0.2.1]", value: "smtp:gw", expected: /address literals/ },
  { table: "mailertable", key: "polkatistas.org", value: "smtp:gw", expected: /one of our own names/ },
  { table: "mailertable", key: ".polkatistas.org", value: "smtp:%2", expected: "" },
  { table: "virtusertable", key: "info@virt.example", value: "mick", expected: "" },
  { table: "virtusertable", key: "@polkatistas.org", value: "%1@example.com", expected: "" },
  { table: "virtusertable", key: "a@virt.example", value: "error:nouser a, b", expected: "" },
  {
    table: "virtusertable",
    key: "@lederhosendudes.net",
    value: "x@y.example",
    expected: /neither in local-host-names/,
  },
  { table: "virtusertable", key: "info", value: "mick", expected: /keys are user@domain/ },
  { table: "virtusertable", key: "!a@virt.example", value: "mick", expected: /no address begins with "!"/ },
  {
    table: "virtusertable",
    key: "@virt.example",
    value: "@example.com",
    expected: /write "%1@example\.com"/,
  },
  { table: "virtusertable", key: "a@virt.example", value: "mick, larry", expected: /a list is refused/ },
  { table: "virtusertable", key: "a@virt.example", value: "|/bin/x", expected: /name an alias/ },
  { table: "domaintable", key: "old.example", value: "new.example", expected: "" },
  { table: "domaintable", key: "u@old.example", value: "new.example", expected: /both sides are domains/ },
  { table: "domaintable", key: ".old.example", value: "new.example", expected: /exact names only/ },
  { table: "access", key: "192.168", value: "RELAY", expected: "" },
  { table: "access", key: "connect:198.51.100", value: "REJECT", expected: "" },
  { table: "access", key: "ipv6:2001:db8:1", value: "RELAY", expected: "" },
  { table: "access", key: "from:loud@example.com", value: "ERROR:5.7.1:550 too loud", expected: "" },
  { table: "access", key: "lp@", value: "550 Mailbox lp disabled", expected: "" },
  { table: "access", key: "from:quar@example.com", value: "QUARANTINE:suspicious", expected: "" },
  { table: "access", key: "greetpause:192.0.2.1", value: "0", expected: "" },
  { table: "access", key: "authinfo:mx.example", value: '"U:u" "P:p"', expected: "" },
  { table: "access", key: "spam:a@x", value: "FRIEND", expected: /delay_checks/ },
  { table: "access", key: "spam:a@x", value: "FRIEND", expected: "", around: { delayChecks: true } },
  { table: "access", key: "x.example", value: "DENY", expected: /"DENY" is no decision.*553 5\.3\.0 DENY/ },
  { table: "access", key: "x.example", value: "SKIP", expected: /needs the flag/ },
  { table: "access", key: "x.example", value: "SKIP", expected: "", around: { skip: true } },
  { table: "access", key: ".x.example", value: "REJECT", expected: /lookupdotdomain/ },
  { table: "access", key: ".x.example", value: "REJECT", expected: "", around: { lookupDotDomain: true } },
  { table: "access", key: "*.x.example", value: "REJECT", expected: /stands for all below it/ },
  {
    table: "access",
    key: "form:x.example",
    value: "REJECT",
    expected: /nothing looks up keys with the tag "form:"/,
  },
  {
    table: "access",
    key: "to:x@polkatistas.org",
    value: "REJECT",
    expected: /blocklist_recipients/,
    around: { blocklistRecipients: false },
  },
  {
    table: "access",
    key: "to:x.example",
    value: "RELAY",
    expected: "",
    around: { blocklistRecipients: false },
  },
  { table: "access", key: "x.example", value: "RELAY\r", expected: /carriage return/ },
  { table: "genericstable", key: "mick", value: "Mick.Bauer@x.example\r", expected: /carriage return/ },
  { table: "genericstable", key: "mick", value: "Mick.Bauer@x.example", expected: "" },
];

for (const { table, key, value, expected, around } of CASES)
  test(`advice: ${table} "${key}" "${value}" ${expected === "" ? "is fine" : `-> ${expected.source}`}`, () => {
    const said = adviseLine(ADVISERS.get(table), key, value, { ...AROUND, ...around });
    if (expected === "") assert.equal(said, "");
    else assert.match(said, expected);
  });
