// The header as it enters the queue: shapes recorded from Sendmail 8.17.1 (semantics section 18).

import assert from "node:assert/strict";
import { test } from "node:test";
import { completeHeader, type HeaderFacts, lacksSender } from "../../../src/mail/complete.ts";
import type { Origin } from "../../../src/mail/envelope.ts";

const ORIGIN: Origin = {
  helo: "client.test",
  clientName: "ws4.polkatistas.org",
  clientAddress: "192.168.1.4",
  clientResolve: "ok",
  protocol: "ESMTP",
  daemon: "MTA",
};
const FACTS: HeaderFacts = {
  id: "6AM6hwEx029888",
  hostName: "mail.polkatistas.org",
  version: "8",
  cfVersion: "9",
  origin: ORIGIN,
  sender: "joe@example.com",
  recipients: ["bob@example.net"],
  wallMs: Date.UTC(2026, 10, 22, 6, 43, 12),
};

function complete(raw: string, facts: Partial<HeaderFacts> = {}): string {
  const made = completeHeader(Buffer.from(raw.replaceAll("\n", "\r\n"), "latin1"), { ...FACTS, ...facts });
  // The zone of the date is the machine's.
  return made.header
    .toString("latin1")
    .replaceAll("\r\n", "\n")
    .replace(/\w{3}, \d+ \w{3} \d{4} [\d:]{8} .*/g, "DATE");
}

const RECEIVED =
  "Received: from client.test (ws4.polkatistas.org [192.168.1.4])\n" +
  "\tby mail.polkatistas.org (8/9) with ESMTP id 6AM6hwEx029888\n\tfor <bob@example.net>; DATE\n";
const MESSAGE_ID = "Message-Id: <202611220643.6AM6hwEx029888@mail.polkatistas.org>\n";

const HEADERS = [
  { name: "nothing there", input: "", expected: `Date: DATE\nFrom: joe@example.com\n${MESSAGE_ID}` },
  {
    name: "what is there is not added, and comes after what is",
    input: "From: a@b\nDate: x\nSubject: s\n",
    expected: `${MESSAGE_ID}From: a@b\nDate: x\nSubject: s\n`,
  },
  {
    name: "fields that must not travel on are dropped, names lose their blanks",
    input:
      "Return-Path: <a>\nFull-Name: Z\nContent-Length: 5\nsubject : odd\nFrom: a\nDate: x\nMessage-Id: y\nTo: z\nBcc: q\n",
    expected: "subject: odd\nFrom: a\nDate: x\nMessage-Id: y\nTo: z\n",
  },
  {
    name: "an emptied Bcc stays where it was when no other field names a recipient",
    input: "Bcc: q\nFrom: a\nDate: x\nMessage-Id: y\n",
    expected: "Bcc:\nFrom: a\nDate: x\nMessage-Id: y\n",
  },
  {
    name: "a resent message gets Resent fields",
    input: "Resent-To: q\nFrom: a\nDate: x\n",
    expected:
      "Resent-Date: DATE\nResent-From: joe@example.com\n" +
      `Resent-${MESSAGE_ID}${MESSAGE_ID}Resent-To: q\nFrom: a\nDate: x\n`,
  },
  {
    name: "empty From and Date are as good as missing",
    input: "From: \nDate:\nMessage-Id: y\n",
    expected: "Date: DATE\nFrom: joe@example.com\nMessage-Id: y\n",
  },
];

for (const { name, input, expected } of HEADERS)
  test(`header: ${name}`, () => {
    assert.equal(complete(input), RECEIVED + expected);
  });

const WHOLE = "From: a\nDate: x\nMessage-Id: y\n";
const RECEIVEDS = [
  {
    name: "several recipients are not named",
    facts: { recipients: ["a", "b"] },
    expected: " with ESMTP id 6AM6hwEx029888;\n\tDATE\n",
  },
  {
    name: "nor one of several that were tried",
    facts: { alone: false },
    expected: " with ESMTP id 6AM6hwEx029888;\n\tDATE\n",
  },
];

for (const { name, facts, expected } of RECEIVEDS)
  test(`Received: ${name}`, () => {
    assert.ok(complete(WHOLE, facts).includes(expected));
  });

const FROMS: readonly { name: string; origin: Partial<Origin>; expected: string }[] = [
  {
    name: "no name",
    origin: { clientName: "[10.2.0.1]", clientAddress: "10.2.0.1" },
    expected: "from client.test ([10.2.0.1])",
  },
  {
    name: "a forged name",
    origin: { clientResolve: "forged" },
    expected: "from client.test (ws4.polkatistas.org [192.168.1.4] (may be forged))",
  },
  {
    name: "a local user",
    origin: { helo: "", clientName: "localhost", clientAddress: "", localUser: "root" },
    expected: "(from root@localhost)",
  },
  {
    name: "control bytes in HELO",
    origin: { helo: "a\r\nX: y" },
    expected: "from a??X: y (ws4.polkatistas.org [192.168.1.4])",
  },
];

for (const { name, origin, expected } of FROMS)
  test(`Received from: ${name}`, () => {
    const first = complete(WHOLE, { origin: { ...ORIGIN, ...origin } }).split("\n")[0];
    assert.equal(first, `Received: ${expected}`);
  });

test("hops, class and urgency are read from the header", () => {
  const raw = "Received: a\r\nVia: b\r\nMail-From: c\r\nPrecedence: bulk\r\nPriority: urgent\r\n";
  const { hops, precedence, urgency } = completeHeader(Buffer.from(raw), FACTS);
  assert.deepEqual({ hops, precedence, urgency }, { hops: 3, precedence: -60, urgency: "urgent" });
});

const REPORT = "Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=x\r\n";
// headers.c of Sendmail, eatheader(): timeout classes.
const URGENCIES = [
  { name: "nothing", raw: "", urgency: "normal" },
  { name: "a negative class", raw: "Precedence: bulk\r\n", urgency: "non-urgent" },
  { name: "a list", raw: "precedence:  LIST \r\n", urgency: "non-urgent" },
  { name: "a positive class", raw: "Precedence: special-delivery\r\n", urgency: "urgent" },
  { name: "class 0", raw: "Precedence: first-class\r\n", urgency: "normal" },
  { name: "an unknown class", raw: "Precedence: -60\r\n", urgency: "normal" },
  { name: "Priority against the class", raw: "Precedence: bulk\r\nPriority: Normal\r\n", urgency: "normal" },
  { name: "Priority urgent", raw: "Precedence: junk\r\nPriority: urgent\r\n", urgency: "urgent" },
  { name: "an unknown Priority", raw: "Precedence: junk\r\nPriority: 1\r\n", urgency: "non-urgent" },
  {
    name: "the first of two",
    raw: "Precedence: junk\r\nPrecedence: special-delivery\r\n",
    urgency: "non-urgent",
  },
  { name: "a status notification", raw: REPORT, urgency: "dsn" },
  { name: "an urgent status notification", raw: `Priority: urgent\r\n${REPORT}`, urgency: "urgent" },
  { name: "another report", raw: REPORT.replace("delivery-status", "disposition"), urgency: "normal" },
];

for (const { name, raw, urgency } of URGENCIES)
  test(`the class of timeouts with ${name}`, () => {
    assert.equal(completeHeader(Buffer.from(raw), FACTS).urgency, urgency);
  });

test("a full name goes into the From that we add", () => {
  assert.ok(lacksSender(Buffer.from("To: x\r\n")));
  assert.ok(!lacksSender(Buffer.from("From: x\r\n")));
  assert.ok(complete("", { fullName: "Larry Fine" }).includes("From: Larry Fine <joe@example.com>\n"));
});
