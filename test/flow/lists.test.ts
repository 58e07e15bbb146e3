// What a sender asks of delivery reports, and lists: RFC 3461 5.2.7.3 for a list with an owner, Sendmail's way for an alias of several names.

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { Client, freePort, Gateway, type Received, relayMc, Sink, until } from "./gateway.ts";

const sink = new Sink();
const gateway = new Gateway("lists");

before(async () => {
  await sink.start();
  gateway.port = await freePort();
  gateway.write({
    "sendmail.mc": relayMc(gateway.port, "LOCAL_DOMAIN(`gw.test')dnl\n").replace(
      "MAILER(",
      "MAILER(`local')\nMAILER(",
    ),
    mailertable: `.\tesmtp:[127.0.0.1]:${sink.port}\n`,
    access: "",
    aliases:
      "list: z1@far.test, z2@far.test\nowner-list: own@ret.test\nteam: a@far.test, b@far.test\none: c@far.test\n" +
      "outer: list\nbig: list, d@far.test\n",
  });
  await gateway.start();
});

after(async () => {
  await gateway.remove();
  await sink.stop();
});

beforeEach(() => {
  sink.received.length = 0;
  sink.replies.clear();
});

/** Sends to `to` with these words behind RCPT; waits until `count` messages have come. */
async function report(to: string, words: string, count: number): Promise<readonly Received[]> {
  const client = new Client(gateway.port);
  await client.reply();
  for (const line of [
    "EHLO client.test",
    "MAIL FROM:<me@ret.test> ENVID=e1",
    `RCPT TO:<${to}@gw.test> ${words}`,
    "DATA",
  ])
    assert.match(await client.say(line), /^[23]/, line);
  client.raw("Subject: s\r\n\r\nhi\r\n.\r\n");
  assert.match(await client.reply(), /^250/);
  client.close();
  await until(`${count} messages`, 10, () => sink.received.length >= count);
  await new Promise((resolve) => setTimeout(resolve, 300));
  return sink.received;
}

const ORCPT = "ORCPT=rfc822;orig@gw.test";

describe("a list with an owner", { concurrency: false }, () => {
  for (const to of ["list", "outer", "big"])
    for (const words of ["NOTIFY=SUCCESS", "NOTIFY=SUCCESS,FAILURE,DELAY"])
      it(`${to}, ${words}: one receipt, that the list has it; no member is asked for one or named`, async () => {
        const got = await report(to, `${words} ${ORCPT}`, 2);
        const members = got.filter((r) => r.mail.startsWith("MAIL From:<own@ret.test>"));
        assert.deepEqual(members.flatMap((r) => r.rcpt).sort(), [
          `RCPT To:<z1@far.test> ${ORCPT}`,
          `RCPT To:<z2@far.test> ${ORCPT}`,
        ]);
        const receipts = got.filter((r) => r.mail.startsWith("MAIL From:<>"));
        assert.equal(receipts.length, 1);
        assert.match(receipts[0]?.rcpt.join() ?? "", /<me@ret\.test>/);
        const { data = "" } = receipts[0] ?? {};
        assert.match(data, /^Action: delivered \(to mailing list\)\r$/m);
        assert.match(data, /^Original-Recipient: rfc822;orig@gw\.test\r$/m);
        assert.match(data, new RegExp(`^Final-Recipient: RFC822; ${to}@gw\\.test\\r$`, "im"));
        assert.doesNotMatch(data, /z1@|z2@/);
      });

  for (const words of ["NOTIFY=NEVER", "NOTIFY=FAILURE", ""])
    it(`${words || "without NOTIFY"}: the owner hears of a dead member, the sender nothing`, async () => {
      for (const member of ["z1@far.test", "z2@far.test"]) sink.replies.set(member, "550 5.1.1 no such user");
      const got = await report("list", words, 1);
      assert.equal(got.length, 1);
      assert.match(got[0]?.rcpt.join() ?? "", /^RCPT To:<own@ret\.test>/);
      assert.match(got[0]?.data ?? "", /^Action: failed\r$/m);
    });
});

describe("an alias", { concurrency: false }, () => {
  it("of several names passes no wish for receipts on and sends none", async () => {
    const got = await report("team", "NOTIFY=SUCCESS,FAILURE", 1);
    assert.equal(got.length, 1);
    assert.deepEqual(
      got[0]?.rcpt.map((line) => /SUCCESS/.test(line)),
      [false, false],
    );
  });

  it("of one name passes everything on", async () => {
    const got = await report("one", `NOTIFY=SUCCESS ${ORCPT}`, 1);
    assert.deepEqual(got[0]?.rcpt, [`RCPT To:<c@far.test> NOTIFY=SUCCESS ${ORCPT}`]);
  });
});
