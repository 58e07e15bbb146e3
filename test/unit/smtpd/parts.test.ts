// The small parts of the SMTP server as tables: xtext (RFC 3461 section 4), client names (semantics section 14), throttling
// (Sendmail's checksmtpattack), the greeting (section 16), guesses, and how lines are shown back.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Lookup } from "../../../src/base/result.ts";
import { formatDate } from "../../../src/mail/date.ts";
import { bracketed } from "../../../src/mail/peer.ts";
import { isXtext } from "../../../src/mail/xtext.ts";
import { Guesses } from "../../../src/smtpd/guesses.ts";
import { identifyPeer, plainAddress } from "../../../src/smtpd/peer.ts";
import { Throttle } from "../../../src/smtpd/throttle.ts";
import { shortened } from "../../../src/smtpd/wording.ts";
import type { Resolver } from "../../../src/sys/resolver.ts";
import { makeStage, resolverOf } from "../../dialog/stage.ts";

describe("xtext", () => {
  const TABLE: [string, boolean][] = [
    ["", true],
    ["abc", true],
    ["a+2Bb", true],
    ["a+2bb", true],
    ["+0D+0A", true],
    ["a+b", false],
    ["a+", false],
    ["a+2", false],
    ["a=b", false],
    ["a b", false],
    ["+00", false],
    ["a\u00e9", false],
    ["\x7f", false],
  ];
  for (const [text, right] of TABLE)
    it(`${JSON.stringify(text)} is ${right}`, () => assert.equal(isXtext(text), right));
});

type Answers = ReadonlyMap<string, Lookup<readonly string[]>>;

function resolver(ptr: Lookup<readonly string[]>, forward: Answers = new Map()): Resolver {
  const look = async (name: string): Promise<Lookup<readonly string[]>> =>
    forward.get(name) ?? { kind: "absent" };
  return { ...resolverOf(new Map()), ptr: async () => ptr, a: look, aaaa: look };
}

const found = (...value: string[]): Lookup<readonly string[]> => ({ kind: "found", value });
const failed: Lookup<readonly string[]> = { kind: "tempfail", reason: "SERVFAIL" };

describe("client names", () => {
  const ADDRESS = "203.0.113.5";
  const TABLE: { name: string; resolver: Resolver; expected: { name: string; resolve: string } }[] = [
    {
      name: "PTR and forward agree",
      resolver: resolver(found("client.test"), new Map([["client.test", found(ADDRESS)]])),
      expected: { name: "client.test", resolve: "ok" },
    },
    {
      name: "the second of two names is the one that agrees",
      resolver: resolver(
        found("other.test", "client.test"),
        new Map([
          ["other.test", found("203.0.113.9")],
          ["client.test", found(ADDRESS)],
        ]),
      ),
      expected: { name: "client.test", resolve: "ok" },
    },
    {
      name: "no PTR",
      resolver: resolver({ kind: "absent" }),
      expected: { name: `[${ADDRESS}]`, resolve: "fail" },
    },
    {
      name: "PTR without forward",
      resolver: resolver(found("client.test")),
      expected: { name: `[${ADDRESS}]`, resolve: "fail" },
    },
    {
      name: "forward says another address",
      resolver: resolver(found("forged.test"), new Map([["forged.test", found("203.0.113.9")]])),
      expected: { name: "forged.test", resolve: "forged" },
    },
    { name: "PTR fails", resolver: resolver(failed), expected: { name: `[${ADDRESS}]`, resolve: "temp" } },
    {
      name: "forward fails",
      resolver: resolver(found("client.test"), new Map([["client.test", failed]])),
      expected: { name: `[${ADDRESS}]`, resolve: "temp" },
    },
    ...["evil\r\nX-I: y", "a".repeat(255), "a..b", "\u00e9.test", "127.0.0.1", "", "-a.test", "a b.test"].map(
      (name) => ({
        name: `INJ-07: ${JSON.stringify(name).slice(0, 30)} is no name`,
        resolver: resolver(found(name), new Map([[name, found(ADDRESS)]])),
        expected: { name: `[${ADDRESS}]`, resolve: "fail" },
      }),
    ),
  ];
  for (const { name, resolver: from, expected } of TABLE)
    it(name, async () => assert.deepEqual(await identifyPeer(from, ADDRESS), expected));

  it("an address is shown without what sockets add", () => {
    assert.equal(plainAddress("::ffff:192.0.2.1"), "192.0.2.1");
    assert.equal(plainAddress("fe80::1%eth0"), "fe80::1");
    assert.equal(bracketed("2001:db8::1"), "[IPv6:2001:db8::1]");
    assert.equal(bracketed("192.0.2.1"), "[192.0.2.1]");
  });
});

describe("throttling", () => {
  it("MaxNOOPCommands: the twentieth waits a second, each further one twice as long, four minutes at most", () => {
    const throttle = new Throttle(20);
    const waits = Array.from({ length: 30 }, () => throttle.count("noop"));
    assert.deepEqual(waits.slice(0, 19), Array(19).fill(0));
    assert.deepEqual(
      waits.slice(19),
      [1, 2, 4, 8, 16, 32, 64, 128, 240, 240, 240].map((s) => s * 1000),
    );
  });
  it("the third HELO waits a second, and a limit of 0 is none", () => {
    const throttle = new Throttle(0);
    assert.deepEqual(
      [1, 2, 3, 4].map(() => throttle.count("helo")),
      [0, 0, 1000, 2000],
    );
    for (let i = 0; i < 1000; i++) assert.equal(throttle.count("noop"), 0);
  });
  it("RES-07: twice 25 of them end the connection", () => {
    const throttle = new Throttle(20);
    let last: number | "stop" = 0;
    let count = 0;
    while (last !== "stop") {
      last = throttle.count("verify");
      count++;
    }
    assert.equal(count, 50);
  });
});

describe("guesses", () => {
  it("wrong passwords of an address cost more each time, are forgotten after a while, and by success", () => {
    let now = 0;
    const guesses = new Guesses({ monotonicMs: () => now, wallMs: () => 0, after: () => () => {} });
    assert.deepEqual(
      [1, 2, 3].map(() => guesses.failed("192.0.2.1")),
      [1000, 2000, 3000],
    );
    assert.equal(guesses.failed("192.0.2.2"), 1000);
    for (let i = 0; i < 100; i++) guesses.failed("192.0.2.1");
    assert.equal(guesses.failed("192.0.2.1"), 20_000);
    now += 11 * 60 * 1000;
    assert.equal(guesses.failed("192.0.2.1"), 1000);
    guesses.succeeded("192.0.2.1");
    assert.equal(guesses.failures("192.0.2.1"), 0);
  });
  it("addresses are bounded", () => {
    const guesses = new Guesses({ monotonicMs: () => 0, wallMs: () => 0, after: () => () => {} });
    for (let i = 0; i < 20_000; i++) guesses.failed(`a${i}`);
    assert.equal(guesses.failures("a0"), 0);
    assert.equal(guesses.failures("a19999"), 1);
  });
});

describe("the greeting", () => {
  const TABLE: [string, RegExp][] = [
    [" Sendmail", /^220 Sendmail ESMTP$/],
    ["$j ESMTP", /^220 mail\.gw\.test ESMTP ESMTP$/],
    [
      "$j Sendmail $v/$Z; $b",
      /^220 mail\.gw\.test ESMTP Sendmail 1\/1; \w{3}, \d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d \S+/,
    ],
    ["$w of $m$$", /^220 mail ESMTP of gw\.test\$$/],
    ["hello", /^220 hello ESMTP$/],
    ["$j for $_", /^220 mail\.gw\.test ESMTP for client\.test \[192\.0\.2\.1\]$/],
  ];
  for (const [message, expected] of TABLE)
    it(`confSMTP_LOGIN_MSG ${JSON.stringify(message)}`, async () => {
      const talk = makeStage({ options: { SmtpGreetingMessage: message } }).connect();
      assert.match((await talk.reply()).join("|"), expected);
      await talk.leave();
    });
});

describe("words", () => {
  it("long lines lose their middle", () => {
    assert.equal(shortened("a".repeat(203)), "a".repeat(203));
    const short = shortened("a".repeat(150) + "b".repeat(150));
    assert.ok(short.length <= 203 && /^a+\.\.\.b+$/.test(short));
  });
  it("dates are RFC 5322's, GMT in UTC", () => {
    const text = formatDate(Date.UTC(2026, 10, 22, 6, 43, 12));
    assert.match(text, /^\w{3}, \d{1,2} \w{3} 2026 \d\d:\d\d:12 (GMT|[+-]\d{4}( \(\w+\))?)$/);
    assert.equal(Date.parse(text.replace(/ \(.*\)/, "")), Date.UTC(2026, 10, 22, 6, 43, 12));
  });
});
