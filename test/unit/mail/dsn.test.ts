// Notices in Sendmail's form (semantics section 21, RFC 3462 and 3464), which a peer cannot bend and another MIME parser understands.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { longInterval, makeNotice, type NoticeFacts, type NoticeRecipient } from "../../../src/mail/dsn.ts";

const RECIPIENT: NoticeRecipient = {
  address: "nobody@example.net",
  via: "",
  action: "failed",
  status: "5.1.1",
  diagnostic: "550 5.1.1 <nobody@example.net>... User unknown",
  diagnosticType: "SMTP",
  remote: "mx.example.net",
  transcript: [
    "... while talking to mx.example.net.:",
    ">>> RCPT To:<nobody@example.net>",
    "<<< 550 5.1.1 <nobody@example.net>... User unknown",
    "550 5.1.1 <nobody@example.net>... User unknown",
  ],
};

const FACTS: NoticeFacts = {
  kind: "failed",
  id: "6AM6hwEx029888",
  to: "joe@example.com",
  from: "MAILER-DAEMON@gw.example",
  hostName: "gw.example",
  version: "8.18.1",
  nowMs: Date.UTC(2026, 10, 22, 6, 43, 58),
  arrivedMs: Date.UTC(2026, 10, 22, 6, 43, 12),
  receivedFrom: "client.test [192.0.2.1]",
  receivedFromMta: "client.test",
  envid: "",
  recipients: [RECIPIENT],
  lateMs: 0,
  returnMs: 5 * 86_400_000,
  retryUntilMs: Date.UTC(2026, 10, 27, 6, 43, 12),
  originalSender: "joe@example.com",
  originalHeader: Buffer.from("From: joe@example.com\r\nSubject: test\r\n"),
  whole: true,
  eightBit: false,
};

function textOf(facts: NoticeFacts): { header: string; body: string } {
  const notice = makeNotice(facts);
  const original = Buffer.from(facts.whole ? "body\r\n..dot\r\n" : "");
  const body = Buffer.concat([notice.before, original, notice.after]);
  return { header: notice.header.toString("latin1"), body: body.toString("latin1") };
}

const FORMS = [
  {
    name: "failure",
    kind: "failed",
    subject: "Returned mail: see transcript for details",
    auto: "failure",
    heading: "   ----- The following addresses had permanent fatal errors -----",
    type: "message/rfc822",
  },
  {
    name: "delay",
    kind: "delayed",
    subject: "Warning: could not send message for past 4 hours",
    auto: "warning-timeout",
    heading: "    **      THIS IS A WARNING MESSAGE ONLY      **",
    type: "text/rfc822-headers",
  },
  {
    name: "success",
    kind: "success",
    subject: "Return receipt",
    auto: "return-receipt",
    heading: "   ----- The following addresses had successful delivery notifications -----",
    type: "text/rfc822-headers",
  },
  {
    name: "double bounce",
    kind: "postmaster",
    subject: "Postmaster notify: see transcript for details",
    auto: "postmaster-notification",
    heading: "   ----- The following addresses had permanent fatal errors -----",
    type: "message/rfc822",
  },
] as const;

for (const { name, kind, subject, auto, heading, type } of FORMS) {
  test(`a notice of ${name} has Sendmail's subject, mark, heading and parts`, () => {
    const { header, body } = textOf({
      ...FACTS,
      kind,
      lateMs: kind === "delayed" ? 4 * 3_600_000 : 0,
      whole: type === "message/rfc822",
    });
    assert.match(header, /^From: Mail Delivery Subsystem <MAILER-DAEMON@gw.example>\r$/m);
    assert.match(
      header,
      /^Content-Type: multipart\/report; report-type=delivery-status;\r\n\tboundary="6AM6hwEx029888\.1795329838\/gw\.example"\r$/m,
    );
    assert.ok(header.includes(`Subject: ${subject}\r\n`));
    assert.ok(header.includes(`Auto-Submitted: auto-generated (${auto})\r\n`));
    assert.ok(body.includes(`${heading}\r\n`));
    assert.deepEqual(
      [...body.matchAll(/^Content-Type: (.*)\r$/gm)].map((m) => m[1]),
      ["message/delivery-status", type],
    );
  });
}

test("the part for people and the part for programs say what happened", () => {
  const { body } = textOf({
    ...FACTS,
    envid: "QQ+2B314",
    recipients: [{ ...RECIPIENT, orcpt: "rfc822;n+2Bb@example.net" }],
  });
  for (const line of [
    "The original message was received at Sun, 22 Nov 2026 06:43:12 ",
    "from client.test [192.0.2.1]",
    "<nobody@example.net>",
    "    (reason: 550 5.1.1 <nobody@example.net>... User unknown)",
    "   ----- Transcript of session follows -----",
    ">>> RCPT To:<nobody@example.net>",
    "Original-Envelope-Id: QQ+314",
    "Reporting-MTA: dns; gw.example",
    "Received-From-MTA: DNS; client.test",
    "Original-Recipient: rfc822;n+b@example.net",
    "Final-Recipient: RFC822; nobody@example.net",
    "Action: failed",
    "Status: 5.1.1",
    "Remote-MTA: DNS; mx.example.net",
    "Diagnostic-Code: SMTP; 550 5.1.1 <nobody@example.net>... User unknown",
  ])
    assert.ok(body.includes(`\r\n${line}`), line);
});

test("an alias is named as the recipient, its member as the actual one", () => {
  const { body } = textOf({ ...FACTS, recipients: [{ ...RECIPIENT, via: "list@gw.example" }] });
  assert.match(body, /\(expanded from: <list@gw\.example>\)/);
  assert.match(
    body,
    /Final-Recipient: RFC822; list@gw\.example\r\nX-Actual-Recipient: rfc822; nobody@example\.net/,
  );
});

test("nothing that a peer or an address says can make a line, a field or a part of its own", () => {
  const evil = "x\r\nStatus: 2.0.0\r\n\r\n--6AM6hwEx029888.1795329838/gw.example--\r\n.\r\n";
  const { header, body } = textOf({
    ...FACTS,
    to: evil,
    receivedFrom: evil,
    receivedFromMta: evil,
    envid: "+0D+0AStatus:+20forged",
    recipients: [
      {
        ...RECIPIENT,
        address: evil,
        diagnostic: evil,
        remote: evil,
        transcript: [evil],
        orcpt: "rfc822;+0D+0AStatus:+20forged",
        via: evil,
      },
    ],
  });
  assert.equal(header.match(/^Status:/gm), null);
  assert.deepEqual(body.match(/^Status: .*/gm), ["Status: 5.1.1"]);
  assert.equal(body.match(/^--6AM6hwEx029888\.1795329838\/gw\.example--\r$/gm)?.length, 1);
  assert.equal(body.match(/^\.\r$/m), null);
});

test("the body is in wire form: leading dots are doubled once", () => {
  const { body } = textOf(FACTS);
  assert.ok(body.includes("\r\n.... while talking to mx.example.net.:\r\n"));
  assert.ok(body.includes("\r\nbody\r\n..dot\r\n"));
});

test("a notice about ten thousand recipients is bounded", () => {
  const recipients = Array.from({ length: 10_000 }, (_, i) => ({
    ...RECIPIENT,
    address: `u${i}@example.net`,
  }));
  const { body } = textOf({ ...FACTS, recipients });
  assert.ok(body.length < 1_000_000);
  assert.match(body, /and 9500 more addresses/);
});

const INTERVALS: readonly { ms: number; expected: string }[] = [
  { ms: 4 * 3_600_000, expected: "4 hours" },
  { ms: 5 * 86_400_000, expected: "5 days" },
  { ms: 90_000, expected: "1 minute 30 seconds" },
  { ms: 0, expected: "zero seconds" },
];
for (const { ms, expected } of INTERVALS)
  test(`${ms} ms are "${expected}"`, () => {
    assert.equal(longInterval(ms), expected);
  });

test("Python's email package reads a notice as a multipart/report with its three parts", (t) => {
  const { header, body } = textOf(FACTS);
  const script = [
    "import sys, email, email.policy",
    "m = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)",
    "assert m.get_content_type() == 'multipart/report' and m.get_param('report-type') == 'delivery-status'",
    "parts = m.get_payload()",
    "print([p.get_content_type() for p in parts])",
    "blocks = parts[1].get_payload()",
    "print(blocks[0]['Reporting-MTA'], '|', blocks[1]['Action'], '|', blocks[1]['Status'])",
    "assert not m.defects and not any(p.defects for p in parts), [m.defects]",
  ].join("\n");
  const unstuffed = body.replace(/^\.\./gm, ".");
  let printed: string;
  try {
    printed = execFileSync("python3", ["-c", script], {
      input: Buffer.from(`${header}\r\n${unstuffed}`, "latin1"),
      encoding: "utf8",
    });
  } catch (e) {
    if (e instanceof Error && "code" in e && e.code === "ENOENT") {
      t.skip("python3 is not installed");
      return;
    }
    throw e;
  }
  assert.equal(
    printed,
    "['text/plain', 'message/delivery-status', 'message/rfc822']\ndns; gw.example | failed | 5.1.1\n",
  );
});

test("a returned original with 8-bit text is labelled where it stands and on the outside", () => {
  for (const [whole, eightBit, expected] of [
    [true, true, "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\nReturn-Path:"],
    [true, false, "Content-Type: message/rfc822\r\n\r\nReturn-Path:"],
    [false, false, "Content-Type: text/rfc822-headers\r\n\r\nReturn-Path:"],
  ] as const) {
    const { header, body } = textOf({ ...FACTS, whole, eightBit });
    assert.ok(body.includes(expected), body);
    assert.equal(header.includes("Content-Transfer-Encoding: 8bit"), eightBit);
  }
});
