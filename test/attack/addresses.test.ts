// INJ-15 (reliability 3.4): addresses at the edges of RFC 5321 and 5322, and beyond them, in MAIL and RCPT. The answers in addresses.json
// were recorded from Debian's Sendmail 8.17.1 (FEATURE accept_unqualified_senders, a relay for the client, no local users).

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { Client } from "../flow/gateway.ts";
import { Siege } from "./siege.ts";

/** Address, and what Sendmail says to it in MAIL and in RCPT. */
const RECORDED = JSON.parse(
  readFileSync(join(import.meta.dirname, "addresses.json"), "utf8"),
) as readonly (readonly [string, string, string])[];

describe("INJ-15", () => {
  let siege: Siege;
  before(async () => {
    siege = await Siege.start("addresses", { more: "FEATURE(`accept_unqualified_senders')dnl\n" });
  });
  after(async () => {
    try {
      await siege.holds();
    } finally {
      await siege.end();
    }
  });

  for (const [at, command] of [
    [1, "MAIL FROM"],
    [2, "RCPT TO"],
  ] as const)
    it(`${RECORDED.length} addresses in ${command} get the codes that Sendmail gives them`, async () => {
      assert.ok(RECORDED.length > 90);
      const client = new Client(siege.gateway.port);
      await client.reply();
      await client.say("EHLO c.test");
      if (at === 2) await client.say("MAIL FROM:<a@c.test>");
      const wrong: string[] = [];
      for (const row of RECORDED) {
        const answer = await client.say(`${command}:<${row[0]}>`);
        if (at === 1) await client.say("RSET");
        const code = /^\d{3} \d\.\d\.\d/;
        if (code.exec(answer)?.[0] !== code.exec(row[at])?.[0])
          wrong.push(`${row[0]}: ${answer}, not ${row[at]}`);
      }
      client.close();
      assert.deepEqual(wrong, []);
    });

  it("as From, To and Reply-To of a message each of them passes without a word", async () => {
    for (const [address] of RECORDED) {
      const client = new Client(siege.gateway.port);
      await client.reply();
      for (const line of ["EHLO c.test", "MAIL FROM:<a@c.test>", "RCPT TO:<b@gw2.test>", "DATA"])
        assert.match(await client.say(line), /^[23]/);
      client.raw(`From: ${address}\r\nTo: ${address}\r\nReply-To: <${address}>\r\n\r\nx\r\n.\r\n`);
      assert.match(await client.reply(), /^250 2\.0\.0 /, address);
      client.close();
    }
    await siege.drained();
    assert.equal(siege.hop.taken.length >= RECORDED.length, true);
  });
});
