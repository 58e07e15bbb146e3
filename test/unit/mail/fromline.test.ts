// The date of an mbox line, as Sendmail's eatfrom() finds it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { completeHeader } from "../../../src/mail/complete.ts";
import { zoneText } from "../../../src/mail/date.ts";
import { fromLineDate, isFromLine } from "../../../src/mail/fromline.ts";

const NOW = Date.UTC(2026, 11, 1, 12, 0, 0);

const LINES: readonly (readonly [line: string, date: string])[] = [
  ["From a@c.test Mon Nov 30 10:00:00 2026", "Mon, 30 Nov 2026 10:00:00"],
  ["From a@c.test  Tue Dec  1 00:00:00 2026\r\n", "Tue, 1 Dec 2026 00:00:00"],
  ["From a b c Tue Dec  1 00:00:00 2026 remote from x", "Tue, 1 Dec 2026 00:00:00"],
  ["From MAILER-DAEMON Fri Jan 02 03:04:05 1998", "Fri, 02 Jan 1998 03:04:05"],
  ["From a@c.test", ""],
  ["From a@c.test Mon Nov 30", ""],
  ["From a@c.test Xyz Nov 30 10:00:00 2026", ""],
  ["From a@c.test Mon Nov 30 10:00:00 20\r\n26", ""],
  [`From ${"x".repeat(5000)} Mon Nov 30 10:00:00 2026`, ""],
  ["From: a@c.test Mon Nov 30 10:00:00 2026", ""],
  [">From a@c.test Mon Nov 30 10:00:00 2026", ""],
];

for (const [line, date] of LINES)
  test(`${JSON.stringify(line.slice(0, 60))} is of ${date === "" ? "no date" : date}`, () => {
    assert.equal(fromLineDate(Buffer.from(line), NOW), date === "" ? "" : `${date} ${zoneText(NOW)}`);
    assert.equal(isFromLine(Buffer.from(line)), line.startsWith("From "));
  });

test("a header without a date takes that of the line, one with a date keeps its own", () => {
  const facts = {
    id: "i",
    hostName: "h",
    version: "1",
    cfVersion: "1",
    origin: { helo: "", clientName: "", clientAddress: "", clientResolve: "ok", protocol: "", daemon: "" },
    sender: "a@b",
    recipients: [],
    wallMs: NOW,
    fromLine: Buffer.from("From a@c.test Mon Nov 30 10:00:00 2026\r\n"),
  } as const;
  const made = (raw: string): string => completeHeader(Buffer.from(raw), facts).header.toString("latin1");
  assert.match(made(""), /^Date: Mon, 30 Nov 2026 10:00:00 /m);
  assert.doesNotMatch(made("Date: x\r\n"), /30 Nov/);
  assert.match(made(""), /;\s+Tue, 1 Dec 2026 /, "Received is of now");
});
