// How the access table is asked (semantics section 13): the most specific key wins, tagged before untagged, SKIP, IPv6, details.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ABSENT, tempfail } from "../../../src/base/result.ts";
import {
  type AccessAnswer,
  addressKey,
  CONNECT,
  FROM,
  lookupAddress,
  lookupDomain,
  lookupUser,
  search,
  tagOnly,
} from "../../../src/policy/access.ts";
import { siteOf } from "./site.ts";

const TABLE = `Connect:192.168.1	RELAY
Connect:192.168.1.99	REJECT
203.0.114	both
IPv6:2001:db8:1	six
From:spammer.example	REJECT
From:good@spammer.example	OK
plus@example.com	whole
From:tag+*@example.com	star
lp@	user
Connect:skip.example	SKIP
example	top
.dotted.example	below
GreetPause:192.168	5000
`;

const site = siteOf(
  "",
  TABLE,
  "FEATURE(`access_db', `hash -T<TMPF> -o /etc/mail/access.db', `skip', `lookupdotdomain')dnl",
);

function shown(answer: AccessAnswer): string {
  return answer.kind === "value" ? answer.value : answer.kind;
}

const LOOKUPS = [
  {
    name: "an address is cut at its dots",
    answer: lookupAddress(site, "192.168.1.4", CONNECT),
    expected: "RELAY",
  },
  {
    name: "the longer address wins",
    answer: lookupAddress(site, "192.168.1.99", CONNECT),
    expected: "REJECT",
  },
  {
    name: "192.168.1 is not 192.168.11",
    answer: lookupAddress(site, "192.168.11.1", CONNECT),
    expected: "none",
  },
  {
    name: "an untagged key serves Connect",
    answer: lookupAddress(site, "203.0.114.5", CONNECT),
    expected: "both",
  },
  { name: "IPv6 is cut at colons", answer: lookupAddress(site, "2001:db8:1::5", CONNECT), expected: "six" },
  { name: "parents of a domain", answer: lookupDomain(site, "mx.spammer.example", FROM), expected: "REJECT" },
  { name: "SKIP ends the search", answer: lookupDomain(site, "a.skip.example", CONNECT), expected: "none" },
  {
    name: "without SKIP the top counts",
    answer: lookupDomain(site, "a.other.example", CONNECT),
    expected: "top",
  },
  {
    name: ".dom is what lies below",
    answer: lookupDomain(site, "a.dotted.example", CONNECT),
    expected: "below",
  },
  { name: ".dom is not dom", answer: lookupDomain(site, "dotted.example", CONNECT), expected: "top" },
  {
    name: "a detail is taken off",
    answer: lookupUser(site, "plus+a", "example.com", FROM),
    expected: "whole",
  },
  {
    name: "user+* is asked before user",
    answer: lookupUser(site, "tag+x", "example.com", FROM),
    expected: "star",
  },
  { name: "user@ stands for any domain", answer: lookupUser(site, "lp+x", "", FROM), expected: "user" },
  {
    name: "an exact tag does not see untagged keys",
    answer: lookupAddress(site, "203.0.114.5", tagOnly("GreetPause")),
    expected: "none",
  },
  {
    name: "a list ends at its first answer",
    answer: search(site, FROM, [
      { kind: "user", local: "good", host: "spammer.example" },
      { kind: "domain", host: "spammer.example" },
    ]),
    expected: "OK",
  },
];

for (const { name, answer, expected } of LOOKUPS)
  test(`access: ${name}`, () => {
    assert.equal(shown(answer), expected);
  });

const KEYS = [
  { input: "192.0.2.1", expected: "192.0.2.1" },
  { input: "::1", expected: "IPv6:0:0:0:0:0:0:0:1" },
  { input: "2001:DB8::0010:1", expected: "IPv6:2001:db8:0:0:0:0:10:1" },
  { input: "IPv6:2001:db8:1:2:3:4:5:6", expected: "IPv6:2001:db8:1:2:3:4:5:6" },
];

for (const { input, expected } of KEYS)
  test(`${input} is looked up as ${expected}`, () => {
    assert.equal(addressKey(input), expected);
  });

test("a table that cannot be read is never an absent entry", () => {
  const broken = {
    ...site,
    tables: { ...site.tables, access: { name: "broken", lookup: () => tempfail("EIO") } },
  };
  assert.equal(lookupDomain(broken, "a.b.c", FROM).kind, "temp");
  assert.equal(lookupAddress(broken, "10.0.0.1", CONNECT).kind, "temp");
});

test("a lookup of any name ends, and asks no more often than it has labels", () => {
  let asked = 0;
  const lookup = () => {
    asked++;
    return ABSENT;
  };
  const counting = {
    ...site,
    tables: { ...site.tables, access: { name: "none", lookup } },
  };
  fc.assert(
    fc.property(fc.string({ maxLength: 300, unit: fc.constantFrom(..."ab.[]:") }), (name) => {
      asked = 0;
      lookupDomain(counting, name, CONNECT);
      lookupAddress(counting, name, CONNECT);
      assert.ok(asked <= 4 * (name.length + 20));
    }),
  );
});
