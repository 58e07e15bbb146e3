// RFC 6531 through a whole session: addresses are text from MAIL to the queue, bytes in the header, UTF-8 in replies;
// SevenBitInput takes the eighth bit of message data.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { makeStage } from "./stage.ts";

const bytes = (text: string): string => Buffer.from(text, "utf8").toString("latin1");

describe("SMTPUTF8", () => {
  it("keeps addresses as text in the envelope, as UTF-8 in Received and replies", async () => {
    const stage = makeStage({ options: { SMTPUTF8: true } });
    const talk = stage.connect();
    await talk.reply();
    await talk.say("EHLO c.test");
    const from = bytes("<andr\u00e9@c.test>");
    assert.deepEqual(await talk.say(`MAIL FROM:${from} SMTPUTF8`), [`250 2.1.0 ${from}... Sender ok`]);
    const to = bytes("<\u7528\u6237@g.test>");
    assert.deepEqual(await talk.say(`RCPT TO:${to}`), [`250 2.1.5 ${to}... Recipient ok`]);
    await talk.say("DATA");
    talk.send("Subject: x\r\n\r\n.\r\n");
    await talk.reply();
    await talk.leave();
    const kept = stage.intake.kept[0];
    assert.equal(kept?.envelope.sender, "andr\u00e9@c.test");
    assert.equal(kept?.envelope.recipients[0]?.address, "\u7528\u6237@g.test");
    assert.equal(kept?.envelope.smtpUtf8, true);
    assert.match(kept?.header ?? "", /with UTF8SMTP id /);
    assert.ok(kept?.header.includes(`for ${to};`), kept?.header);
  });

  it("SevenBitInput takes the eighth bit", async () => {
    const stage = makeStage({ options: { SevenBitInput: true } });
    const talk = stage.connect();
    await talk.reply();
    for (const command of ["MAIL FROM:<a@c.test>", "RCPT TO:<b@g.test>", "DATA"]) await talk.say(command);
    talk.send("A: \xe9\r\n\r\n\xe9\r\n.\r\n");
    await talk.reply();
    await talk.leave();
    assert.match(stage.intake.kept[0]?.header ?? "", /\r\nA: i\r\n/);
    assert.equal(stage.intake.kept[0]?.body, "i\r\n");
  });
});
