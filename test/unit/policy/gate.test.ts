// The gate as a whole: what needs counting, authentication or certificates, and so is not in the recorded cases (semantics 14, 15, 22).

import assert from "node:assert/strict";
import { test } from "node:test";
import { makePolicy, makeRates } from "../../../src/policy/gate.ts";
import { filledIn } from "../../../src/policy/message.ts";
import type { Client, Verdict } from "../../../src/policy/policy.ts";
import type { Site } from "../../../src/route/site.ts";
import type { Clock } from "../../../src/sys/clock.ts";
import { client, siteOf } from "./site.ts";

class HandClock implements Clock {
  now = 0;
  monotonicMs = (): number => this.now;
  wallMs = (): number => this.now;
  after = (): (() => void) => () => undefined;
}

function shown(verdict: Verdict): string {
  if (verdict.kind !== "reject") return verdict.kind;
  const { code, enhanced, lines } = verdict.reply;
  return `${code} ${enhanced} ${lines.join(" ")}${verdict.close ? " (close)" : ""}`;
}

async function rcpt(site: Site, who: Client, to = "bob@example.net"): Promise<string> {
  return shown(
    await makePolicy(site, makeRates(site, new HandClock())).rcpt(who, "joe@example.com", to, `<${to}>`),
  );
}

const DENIED = "550 5.7.1 <bob@example.net>... Relaying denied. IP name lookup failed [192.0.2.9]";
const TLS = {
  version: "TLSv1.3",
  cipher: "x",
  bits: 256,
  verify: "OK",
  certIssuer: "",
  certSubject: "",
  cnIssuer: "",
  cnSubject: "",
};

test("an authenticated client relays only by a trusted mechanism", async () => {
  const site = siteOf("TRUST_AUTH_MECH(`CRAM-MD5')dnl");
  const auth = (mechanism: string) => client("192.0.2.9", { auth: { identity: "joe", mechanism } });
  assert.equal(await rcpt(site, auth("CRAM-MD5")), "ok");
  assert.equal(await rcpt(site, auth("PLAIN")), DENIED);
  assert.equal(await rcpt(site, client("192.0.2.9")), DENIED);
});

test("a certificate relays when its issuer, or with SUBJECT its subject, is in the access table", async () => {
  const site = siteOf(
    "",
    "CERTISSUER:/CN=ca\tRELAY\nCERTISSUER:/CN=other\tSUBJECT\nCERTSUBJECT:/CN=me\tRELAY\n",
  );
  const cert = (certIssuer: string, certSubject: string, verify = "OK") =>
    client("192.0.2.9", { tls: { ...TLS, certIssuer, certSubject, verify } });
  assert.equal(await rcpt(site, cert("/CN=ca", "/CN=x")), "ok");
  assert.equal(await rcpt(site, cert("/CN=ca", "/CN=x", "NO")), DENIED);
  assert.equal(await rcpt(site, cert("/CN=other", "/CN=me")), "ok");
  assert.equal(await rcpt(site, cert("/CN=other", "/CN=you")), DENIED);
});

test("ClientRate counts a sliding minute, ClientConn what is open", async () => {
  const site = siteOf(
    "FEATURE(`conncontrol', `', `terminate')dnl\nFEATURE(`ratecontrol')dnl",
    "ClientRate:192.0.2.9\t3\nClientConn:192.0.2.8\t1\nClientRate:\t0\nClientConn:\t0\n",
  );
  const clock = new HandClock();
  const policy = makePolicy(site, makeRates(site, clock));
  const rated = client("192.0.2.9");
  for (let i = 0; i < 3; i++) {
    assert.equal(shown(await policy.connect(rated)), "ok");
    policy.closed(rated);
  }
  assert.equal(shown(await policy.connect(rated)), "452 4.3.2 Connection rate limit exceeded.");
  policy.closed(rated);
  clock.now = 70_000;
  assert.equal(shown(await policy.connect(rated)), "ok");
  const open = client("192.0.2.8");
  assert.equal(shown(await policy.connect(open)), "ok");
  assert.equal(shown(await policy.connect(open)), "421 4.3.2 Too many open connections. (close)");
  policy.closed(open);
  policy.closed(open);
  assert.equal(shown(await policy.connect(open)), "ok");
});

test("greet_pause: by name, address, default", () => {
  const site = siteOf(
    "FEATURE(`greet_pause', `5000')dnl",
    "GreetPause:192.0.2\t0\nGreetPause:slow.example\t9000\n",
  );
  const policy = makePolicy(site, makeRates(site, new HandClock()));
  assert.equal(policy.greetPauseMs(client("198.51.100.1")), 5000);
  assert.equal(policy.greetPauseMs(client("192.0.2.1")), 0);
  assert.equal(policy.greetPauseMs(client("198.51.100.1", { name: "a.slow.example", resolve: "ok" })), 9000);
});

const HELOS = [
  {
    helo: "mail.polkatistas.org",
    expected: "550 5.7.1 <mick@mail.polkatistas.org>... bogus HELO name used: mail.polkatistas.org",
  },
  { helo: "bare", expected: "550 5.7.1 <mick@mail.polkatistas.org>... bogus HELO name used: bare" },
  { helo: "good.example", expected: "ok" },
  { helo: "[IPv6:2001:db8::1]", expected: "ok" },
];

for (const { helo, expected } of HELOS)
  test(`block_bad_helo with delay_checks: ${helo}`, async () => {
    const site = siteOf("FEATURE(`delay_checks')dnl\nFEATURE(`block_bad_helo')dnl");
    assert.equal(await rcpt(site, client("192.0.2.9", { helo }), "mick@mail.polkatistas.org"), expected);
    assert.equal(await rcpt(site, client("127.0.0.1", { helo }), "mick@mail.polkatistas.org"), "ok");
  });

test("badmx refuses senders whose MX cannot be true", async () => {
  const site = siteOf("FEATURE(`badmx')dnl");
  const policy = makePolicy(site, makeRates(site, new HandClock()));
  const mail = async (from: string) => shown(await policy.mail(client("192.0.2.9"), from, `<${from}>`));
  // mail.polkatistas.org is 127.0.0.2 there.
  assert.equal(
    await mail("joe@bestmx.example"),
    "550 5.1.2 <joe@bestmx.example>... Invalid MX record for host bestmx.example",
  );
  assert.equal(await mail("joe@example.com"), "ok");
});

const TEXTS = [
  { input: '"550 Mail from " $&{client_addr} " refused"', expected: "550 Mail from 192.0.2.1 refused" },
  { input: "550 plain words", expected: "550 plain words" },
  { input: `550 a $\{client_addr} b`, expected: "550 a 192.0.2.1 b" },
  { input: '"unclosed', expected: "unclosed" },
];

for (const { input, expected } of TEXTS)
  test(`the text ${input} reads ${expected}`, () => {
    assert.equal(filledIn(input, new Map([["client_addr", "192.0.2.1"]])), expected);
  });

/** Every check's answer about one client, sender and recipient, with this access line. */
async function answersTo(line: string): Promise<readonly string[]> {
  const site = siteOf("FEATURE(`blocklist_recipients')dnl", `${line}\n`);
  const policy = makePolicy(site, makeRates(site, new HandClock()));
  const who = client("192.0.2.9");
  const verdicts = [
    await policy.connect(who),
    await policy.mail(who, "joe@example.com", "<joe@example.com>"),
    await policy.rcpt(who, "joe@example.com", "bob@example.net", "<bob@example.net>"),
  ];
  return verdicts.map((v) => (v.kind === "quarantine" ? `quarantine ${v.reason}` : shown(v)));
}

for (const [word, rest] of [
  ["OK", ""],
  ["RELAY", ""],
  ["REJECT", ""],
  ["DISCARD", ""],
  ["SKIP", ""],
  ["QUARANTINE", ":Hold It"],
  ["ERROR", ":5.7.1:550 No Thanks"],
  ["ERROR", ":No Thanks"],
] as const)
  test(`the access value ${word}${rest} means the same in any case, its text as it is written`, async () => {
    const capital = word.slice(0, 1) + word.slice(1).toLowerCase();
    for (const key of ["Connect:192.0.2.9", "From:joe@example.com", "To:bob@example.net", "example.net"]) {
      const expected = await answersTo(`${key}\t${word}${rest}`);
      for (const spelling of [
        word.toLowerCase(),
        capital,
        word.toLowerCase().replace(/.$/, (c) => c.toUpperCase()),
      ])
        assert.deepEqual(
          await answersTo(`${key}\t${spelling}${rest}`),
          expected,
          `${key} ${spelling}${rest}`,
        );
    }
  });

test("access values in other case, as Sendmail 8.17 answers them", async () => {
  const site = (access: string) => {
    const made = siteOf("", access);
    return makePolicy(made, makeRates(made, new HandClock()));
  };
  const mail = async (access: string, sender: string, address = "192.0.2.9") =>
    shown(await site(access).mail(client(address), sender, `<${sender}>`));
  assert.equal(await mail("Connect:127.0.0.2\tRelay\n", "a@example.com", "127.0.0.2"), "ok");
  assert.equal(await mail("From:example.com\tok\n", "x@example.com"), "ok");
  assert.equal(await mail("From:example.com\tdiscard\n", "x@example.com"), "discard");
  assert.equal(await mail("From:example.com\tquarantine:hold\n", "x@example.com"), "quarantine");
  assert.equal(
    await mail("From:example.com\tError:5.7.1:550 nope\n", "x@example.com"),
    "550 5.7.1 <x@example.com>... nope",
  );
  assert.equal(
    await mail('From:example.com\terror:"550 quoted text"\n', "x@example.com"),
    "550 5.0.0 <x@example.com>... quoted text",
  );
});

test("quotes and backslashes in a sender's local part do not make another mailbox", async () => {
  const site = siteOf("", "From:spam@example.com\tREJECT\nFrom:a.b@example.com\tREJECT\n");
  const policy = makePolicy(site, makeRates(site, new HandClock()));
  for (const local of ['"spam"', 'sp"am"', '"sp\\am"', "spam", '"a.b"', '"a"."b"']) {
    const said = shown(
      await policy.mail(client("192.0.2.9"), `${local}@example.com`, `<${local}@example.com>`),
    );
    assert.match(said, /^550 5\.7\.1 .*Access denied$/, local);
  }
  assert.equal(shown(await policy.mail(client("192.0.2.9"), "ham@example.com", "<ham@example.com>")), "ok");
});
