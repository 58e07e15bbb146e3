// INJ-16, INJ-01..04 and BNC-02 (reliability 3.4, nmap's smtp-open-relay): every spelling of somebody else's address, from a client
// that may not relay, through the whole server with real routing and policy. Nothing is ever accepted for elsewhere.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { forgetful, Talk } from "../oracle/conversation.ts";
import type { Zone } from "../oracle/resolver.ts";
import { type Opened, openCase } from "../oracle/site.ts";

const OUTSIDER = "203.0.113.5";
const SERVER = "mail.polkatistas.org";

const zone: Zone = new Map(
  Object.entries({
    "polkatistas.org": { MX: [[10, SERVER]] as [number, string][] },
    [SERVER]: { A: ["127.0.0.2"] },
    "5.113.0.203.in-addr.arpa": { PTR: ["client.example.com"] },
    "client.example.com": { A: [OUTSIDER] },
    "example.com": { A: [OUTSIDER] },
    "victim.example": { A: ["203.0.113.99"] },
  }),
);

let folder = "";
let site: Opened;

before(() => {
  folder = mkdtempSync(join(tmpdir(), "postern-relay-"));
  writeFileSync(
    join(folder, "sendmail.mc"),
    "include(`/usr/share/sendmail/cf/m4/cf.m4')\nOSTYPE(`linux')dnl\nFEATURE(`use_cw_file')dnl\n" +
      "FEATURE(`access_db', `hash -T<TMPF> -o /etc/mail/access.db')dnl\nFEATURE(`blocklist_recipients')dnl\nMAILER(`smtp')dnl\n",
  );
  writeFileSync(join(folder, "local-host-names"), "polkatistas.org\n");
  writeFileSync(join(folder, "access"), "");
  site = openCase(folder, zone);
});
after(() => rmSync(folder, { recursive: true, force: true }));

async function rcpt(recipient: string, sender = "<a@example.com>"): Promise<string> {
  const talk = new Talk(site, forgetful, OUTSIDER);
  try {
    await talk.reply();
    talk.send("EHLO client.example.com\r\n");
    await talk.reply();
    talk.send(`MAIL FROM:${sender}\r\n`);
    const mail = (await talk.reply()).join("|");
    if (!mail.startsWith("250")) return mail;
    talk.send(`RCPT TO:${recipient}\r\n`);
    return (await talk.reply()).join("|");
  } finally {
    talk.close();
  }
}

/** nmap's sixteen, and more of the kind. */
const SPELLINGS = [
  "<u@victim.example>",
  "<u@VICTIM.example>",
  "<u@victim.example.>",
  "u@victim.example",
  `<u%victim.example@[127.0.0.2]>`,
  `<u%victim.example@${SERVER}>`,
  "<u%victim.example@polkatistas.org>",
  "<u%victim.example>",
  '<"u@victim.example">',
  '<"u%victim.example">',
  "<u@victim.example@[127.0.0.2]>",
  '<"u@victim.example"@[127.0.0.2]>',
  `<u@victim.example@${SERVER}>`,
  `<"u@victim.example"@${SERVER}>`,
  `<@[127.0.0.2]:u@victim.example>`,
  `<@${SERVER}:u@victim.example>`,
  `<@${SERVER},@victim.example:u@victim.example>`,
  "<victim.example!u>",
  "<victim.example!u@[127.0.0.2]>",
  `<victim.example!u@${SERVER}>`,
  `<u%victim.example%${SERVER}@${SERVER}>`,
  `<"u%victim.example"@${SERVER}>`,
  `<"victim.example!u"@${SERVER}>`,
  "<u@[203.0.113.99]>",
  "<u@[10.0.0.1]>",
  "Full Name <u@victim.example>",
  "(comment)<u@victim.example>",
  "<u@victim.example(comment)>",
  "<u@(comment)victim.example>",
  '<u@"victim.example">',
  "<list: u@victim.example;>",
  `<u\\@victim.example@${SERVER}>`,
];

describe("an outsider", () => {
  for (const spelling of SPELLINGS)
    for (const sender of ["<a@example.com>", "<>", `<joe@${SERVER}>`])
      it(`INJ-16: ${spelling} from ${sender} is not relayed`, async () => {
        const answer = await rcpt(spelling, sender);
        assert.match(answer, /^55[0-9] 5\.[0-9.]+ |^45[0-9] |^50[0-9] |^555 /, answer);
      });

  const DIRECT: readonly (readonly [string, string, RegExp])[] = [
    ["INJ-03", "<|/bin/sh>", /^550 5\.7\.1 .* Cannot mail directly to programs$/],
    ["INJ-03", `<"|/bin/sh"@${SERVER}>`, /^550 5\.7\.1 .* Cannot mail directly to programs$/],
    ["INJ-03", "</etc/passwd>", /^550 5\.7\.1 .* Cannot mail directly to files$/],
    ["INJ-03", "<:include:/etc/shadow>", /^550 5\.7\.1 .* Cannot mail directly to :include:s$/],
    ["INJ-02", `<\${run{/bin/sh}}@${SERVER}>`, /^55[0-9] /],
    ["INJ-04", `<-oQ/tmp@${SERVER}>`, /^550 5\.1\.1 .* User unknown$/],
    ["INJ-04", `<../../../etc/passwd@${SERVER}>`, /^55[0-9] /],
    ["INJ-11", `<__proto__@${SERVER}>`, /^550 5\.1\.1 .* User unknown$/],
    ["INJ-11", `<constructor@${SERVER}>`, /^550 5\.1\.1 .* User unknown$/],
    ["BNC-02", `<nobody-here@${SERVER}>`, /^550 5\.1\.1 .* User unknown$/],
    ["INJ-12", "<b@\xe2\x84\xaaelvin.test>", /^553 /],
    ["INJ-10", `<${"(".repeat(600)}@${SERVER}>`, /^55[0-9] /],
    ["INJ-10", `<${"<>".repeat(500)}@${SERVER}>`, /^55[0-9] /],
    ["INJ-10", `<${"a".repeat(1500)}@${SERVER}>`, /^55[0-9] /],
  ];
  for (const [origin, recipient, expected] of DIRECT)
    it(`${origin}: ${recipient.slice(0, 40)} is refused`, async () => {
      const started = performance.now();
      assert.match(await rcpt(recipient), expected);
      assert.ok(performance.now() - started < 2000);
    });

  it("postmaster is reached, so that the refusals above mean something", async () => {
    assert.match(await rcpt(`<root@${SERVER}>`), /^250 /);
  });
});
