// From the host of a decision to hosts to try, over the reference's DNS data (semantics section 20).

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { hostParts, mxHosts } from "../../../src/route/mx.ts";
import type { Entropy } from "../../../src/sys/entropy.ts";
import { readZone } from "../../oracle/resolver.ts";
import { openCase } from "../../oracle/site.ts";

const RECORDED = join(import.meta.dirname, "../../oracle/recorded");
const { site } = openCase(join(RECORDED, "config-b"), readZone(join(RECORDED, "dns.json")));
const entropy: Entropy = { bytes: (count) => Buffer.alloc(count), below: () => 0 };

const PARTS = [
  { input: "a.example", expected: [{ literal: false, name: "a.example", port: 0 }] },
  { input: "a.example.", expected: [{ literal: false, name: "a.example", port: 0 }] },
  { input: "[a.example]:2525", expected: [{ literal: true, name: "a.example", port: 2525 }] },
  { input: "[IPv6:2001:db8::1]", expected: [{ literal: true, name: "2001:db8::1", port: 0 }] },
  {
    input: "h1:h2:[10.0.0.1]",
    expected: [
      { literal: false, name: "h1", port: 0 },
      { literal: false, name: "h2", port: 0 },
      { literal: true, name: "10.0.0.1", port: 0 },
    ],
  },
  {
    input: "h1:70000",
    expected: [
      { literal: false, name: "h1", port: 0 },
      { literal: false, name: "70000", port: 0 },
    ],
  },
];

for (const { input, expected } of PARTS)
  test(`${input} is taken apart`, () => {
    assert.deepEqual(hostParts(input), expected);
  });

const HOSTS = [
  { input: "example.com.", expected: ["mx1.example.com.", "mx2.example.com."] },
  { input: "[example.com]", expected: ["example.com."] },
  { input: "aonly.example", expected: ["aonly.example."] },
  { input: "[203.0.113.10]", expected: ["[203.0.113.10]"] },
  { input: "backup.example", expected: ["primary.backup.example."] },
  { input: "www.example.com", expected: ["mx1.example.com.", "mx2.example.com."] },
  {
    input: "mx1.example.com:mx2.example.com:[203.0.113.10]",
    expected: ["mx1.example.com.", "mx2.example.com.", "[203.0.113.10]"],
  },
];

for (const { input, expected } of HOSTS)
  test(`${input} is tried at ${expected.join(", ")}`, async () => {
    const answer = await mxHosts(site, input, entropy);
    assert.equal(answer.kind, "hosts");
    assert.deepEqual(
      answer.kind === "hosts" && answer.candidates.map((candidate) => candidate.shown),
      expected,
    );
  });

const OUTCOMES = [
  { input: "nosuch.example", status: "5.1.2", text: "Host unknown" },
  {
    input: "servfail.example",
    status: "4.4.3",
    text: "Deferred: Name server: servfail.example.: host name lookup failure",
  },
  { input: "nullmx.example", status: "5.1.10", text: "Host does not accept mail: MX 0 ." },
  { input: "bestmx.example", status: "5.5.0", text: "Local configuration error" },
];

for (const { input, status, text } of OUTCOMES)
  test(`${input} ends with ${status}`, async () => {
    const answer = await mxHosts(site, input, entropy);
    assert.ok(answer.kind === "outcome");
    const outcome = answer.outcome("u@x");
    assert.deepEqual([outcome.status, outcome.text], [status, text]);
  });

test("the transcript of an unknown host has Sendmail's words", async () => {
  const answer = await mxHosts(site, "nosuch.example", entropy);
  assert.ok(answer.kind === "outcome");
  assert.deepEqual(answer.outcome("u@nosuch.example").transcript, [
    "550 5.1.2 <u@nosuch.example>... Host unknown (Name server: nosuch.example: host not found)",
  ]);
});
