// The sendmail command as other programs call it: what Sendmail 8.17.1 was seen to send for the same words and the same input.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { freePort, Gateway, type Received, relayMc, Sink } from "./gateway.ts";

const sink = new Sink();
const gateway = new Gateway("submission");
const MAIL = "Subject: s\n\nhi\n";
const POSTMARK = "From a@c.test Mon Nov 30 10:00:00 2026\n";

interface Case {
  readonly name: string;
  readonly args: readonly string[];
  readonly input?: string;
  readonly status?: number;
  readonly err?: RegExp;
  /** Recipients that got it, in any order; none: nothing was sent. */
  readonly to?: readonly string[];
  readonly sender?: RegExp;
  readonly data?: readonly RegExp[];
  readonly never?: RegExp;
}

const cases: readonly Case[] = [
  ...["\n", "\r\n"].flatMap((end): Case[] => {
    const lines = (text: string): string => text.replaceAll("\n", end);
    const ends = end === "\n" ? "LF" : "CRLF";
    return [
      {
        name: `an mbox line is no header, its date stands in for a missing one (${ends})`,
        args: ["-i", "b@far.test"],
        input: lines(`${POSTMARK}From: S <s@c.test>\nSubject: s\nContent-Type: text/html\n\n<b>hi</b>\n`),
        to: ["b@far.test"],
        data: [
          /^From: S <s@c.test>\r$/m,
          /^Content-Type: text\/html\r$/m,
          /^Date: Mon, 30 Nov 2026 10:00:00 /m,
        ],
        never: /a@c\.test/,
      },
      {
        name: `-t finds its recipients below an mbox line (${ends})`,
        args: ["-i", "-t"],
        input: lines(`${POSTMARK}To: b@far.test\nDate: Tue, 1 Dec 2026 01:02:03 +0100\nSubject: s\n\nhi\n`),
        to: ["b@far.test"],
        data: [/^Date: Tue, 1 Dec 2026 01:02:03 \+0100\r$/m],
        never: /30 Nov/,
      },
    ];
  }),
  {
    name: "Resent-Date takes the date of the mbox line as well",
    args: ["-i", "b@far.test"],
    input: `${POSTMARK}Resent-From: s@c.test\n${MAIL}`,
    to: ["b@far.test"],
    data: [/^Resent-Date: Mon, 30 Nov 2026 10:00:00 /m, /^Date: Mon, 30 Nov 2026 10:00:00 /m],
  },
  {
    name: "an mbox line without a date is no header either",
    args: ["-i", "b@far.test"],
    input: `From nobody\n${MAIL}`,
    to: ["b@far.test"],
    data: [/^Subject: s\r$/m],
    never: /nobody/,
  },
  {
    name: "a second mbox line is text",
    args: ["-i", "b@far.test"],
    input: `${POSTMARK}${POSTMARK}${MAIL}`,
    to: ["b@far.test"],
    data: [/\r\n\r\n>?From a@c\.test Mon Nov 30 10:00:00 2026\r\nSubject: s\r\n/],
  },
  ...["", " "].map(
    (sender): Case => ({
      name: `-f ${JSON.stringify(sender)} is the null sender`,
      args: ["-i", "-f", sender, "b@far.test"],
      to: ["b@far.test"],
      sender: /^MAIL From:<>/,
    }),
  ),
  {
    name: "one argument, two addresses",
    args: ["-i", "b@far.test c@far.test"],
    to: ["b@far.test", "c@far.test"],
  },
  { name: "one argument, a comma", args: ["-i", "b@far.test,c@far.test"], to: ["b@far.test", "c@far.test"] },
  {
    name: "blanks separate until a list has a phrase",
    args: ["-i", "b@far.test d@far.test", "Ann Other <c@far.test>"],
    to: ["b@far.test", "d@far.test", "c@far.test"],
  },
  {
    name: "options end at the first recipient",
    args: ["-i", "b@far.test", "-f", "x@far.test"],
    to: ["b@far.test", "x@far.test"],
    sender: /^MAIL From:<(?!x@)/,
    status: 67,
    err: /^-f\.\.\. User unknown$/m,
  },
  {
    name: "what a visitor appends is no option",
    args: ["-i", "b@far.test", "-C/nonexistent"],
    to: ["b@far.test"],
    status: 67,
  },
  {
    name: "-- behind a recipient is a word",
    args: ["-i", "b@far.test", "--", "c@far.test"],
    to: ["b@far.test", "c@far.test"],
    status: 67,
  },
  { name: "-- ends the options", args: ["-i", "--", "b@far.test"], to: ["b@far.test"] },
  {
    name: "a comment is no recipient",
    args: ["-i", "-t"],
    input: `To: b@far.test\nCc: (none)\n${MAIL}`,
    to: ["b@far.test"],
    data: [/^Cc: \(none\) ?\r$/m],
  },
  {
    name: "-t: blanks separate",
    args: ["-i", "-t"],
    input: `To: b@far.test c@far.test\n${MAIL}`,
    to: ["b@far.test", "c@far.test"],
  },
  {
    name: "-h above the limit",
    args: ["-h", "30", "-i", "b@far.test"],
    status: 69,
    err: /Too many hops 30 \(25 max\)/,
  },
  { name: "-h at the limit", args: ["-h25", "-i", "b@far.test"], to: ["b@far.test"] },
  {
    name: "-h with no number",
    args: ["-h", "x", "-i", "b@far.test"],
    status: 64,
    err: /Bad hop count \(x\)/,
  },
  {
    name: "Received fields count",
    args: ["-i", "b@far.test"],
    input: `${"Received: from a\n".repeat(25)}${MAIL}`,
    status: 69,
    err: /Too many hops 26/,
  },
  {
    name: "NUL in the body",
    args: ["-i", "b@far.test"],
    input: "Subject: s\n\nhi\0there\n",
    status: 65,
    err: /NUL byte not allowed/,
  },
  {
    name: "NUL in the header",
    args: ["-i", "b@far.test"],
    input: "Subject: s\0x\n\nhi\n",
    status: 65,
    err: /NUL byte not allowed/,
  },
  {
    name: "-B that is none",
    args: ["-B", "9BIT", "-i", "b@far.test"],
    status: 64,
    err: /Illegal body type 9BIT/,
  },
  { name: "-T wants a time", args: ["-T5d", "-i", "b@far.test"], status: 64, err: /Invalid time unit/ },
  ...[
    ["-oMrUUCP", "-oMsoldhost"],
    ["-p", "UUCP:oldhost"],
    ["-MrUUCP", "-M{s}oldhost"],
  ].map(
    (args): Case => ({
      name: `${args.join(" ")}: how it came stands in Received`,
      args: [...args, "-i", "b@far.test"],
      to: ["b@far.test"],
      data: [/^Received: from oldhost \(\w+@localhost\)\r\n\tby \S+ \(\S+\) with UUCP id/],
    }),
  ),
  {
    name: "cron's words",
    args: ["-FCronDaemon", "-i", "-B8BITMIME", "-oem", "b@far.test"],
    input: "From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@h> x\n\nGr\xc3\xbc\xc3\x9fe\n",
    to: ["b@far.test"],
    data: [/^Subject: Cron <root@h> x\r$/m],
  },
  {
    name: "bsd-mailx's words: recipients of the header and behind --",
    args: ["-i", "-t", "--", "c@far.test"],
    input: `To: b@far.test\n${MAIL}`,
    to: ["b@far.test", "c@far.test"],
  },
  {
    name: "nodemailer's words: CRLF, and Bcc left in",
    args: ["-i", "-f", "a@c.test", "b@far.test", "c@far.test"],
    input: "From: a@c.test\r\nTo: b@far.test\r\nBcc: c@far.test\r\nSubject: s\r\n\r\nhi\r\n",
    to: ["b@far.test", "c@far.test"],
    never: /^Bcc: c/m,
  },
  {
    name: "-p cannot write a header",
    args: ["-p", "UUCP\r\nX-Evil: yes:h\nX-Evil: 1", "-i", "b@far.test"],
    to: ["b@far.test"],
    never: /^X-Evil/m,
  },
];

before(async () => {
  await sink.start();
  gateway.port = await freePort();
  gateway.write({
    "sendmail.mc": relayMc(gateway.port),
    mailertable: `far.test\tesmtp:[127.0.0.1]:${sink.port}\n`,
    access: "",
  });
});

after(async () => {
  await gateway.remove();
  await sink.stop();
});

const recipientsOf = (received: readonly Received[]): string[] =>
  received.flatMap((r) => r.rcpt.map((line) => /<(.*)>/.exec(line)?.[1] ?? "")).sort();

async function check(c: Case): Promise<void> {
  sink.received.length = 0;
  const to = [...(c.to ?? [])].sort();
  const done = await gateway.run("sendmail", [...gateway.options(), "-odi", ...c.args], c.input ?? MAIL);
  assert.equal(done.status, c.status ?? 0, done.err);
  if (c.err !== undefined) assert.match(done.err, c.err);
  const end = performance.now() + (to.length === 0 ? 0 : 10_000);
  while (recipientsOf(sink.received).length < to.length && performance.now() < end)
    await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual(recipientsOf(sink.received), to);
  for (const { mail, data } of sink.received) {
    if (c.sender !== undefined) assert.match(mail, c.sender);
    for (const pattern of c.data ?? []) assert.match(data, pattern);
    if (c.never !== undefined) assert.doesNotMatch(data, c.never);
  }
}

describe("sendmail, with a daemon", { concurrency: false }, () => {
  before(() => gateway.start());
  after(() => gateway.stop());
  for (const c of cases) it(c.name, () => check(c));
});

describe("sendmail, without a daemon", { concurrency: false }, () => {
  for (const c of cases.filter((_c, at) => at % 4 === 0)) it(c.name, () => check(c));
});
