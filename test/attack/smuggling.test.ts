// SMUG-01..20 (reliability 3.1: CVE-2023-51764/5/6, SEC Consult 2023, hannob/smtpsmug) against whole sessions: each sequence in one
// segment, cut at every place, and byte by byte. The verdict is what was kept, never only the words.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { makeStage, type Stage, type Talk } from "../dialog/stage.ts";
import { SEQUENCES } from "./sequences.ts";

const TAIL = "MAIL FROM:<evil@c.test>\r\nRCPT TO:<b@gw2.test>\r\nDATA\r\nx: y\r\n\r\nsmug\r\n.\r\n";
const START = "From: a@c.test\r\nSubject: t\r\n\r\nline1";
const LF = "421 4.5.0 Bare linefeed (LF) not allowed";
const CR = "421 4.5.0 Bare carriage return (CR) not allowed";

const BARE: readonly (readonly [string, string, string])[] = [
  ["SMUG-01", "\n.\n", LF],
  ["SMUG-02", "\n.\r", LF],
  ["SMUG-03", "\r.\n", CR],
  ["SMUG-04", "\r.\r", CR],
  ["SMUG-05", "\n.\r\n", LF],
  ["SMUG-06", "\r.\r\n", CR],
  ["SMUG-07", "\r\n.\n", LF],
  ["SMUG-08", "\r\n.\r", CR],
  ["SMUG-09", "\r\n.\r\r\n", CR],
  ["SMUG-10", "\r\r\n.\r\r\n", CR],
];
const NUL: readonly (readonly [string, string])[] = [
  ["SMUG-11", "\r\n\x00.\r\n"],
  ["SMUG-12", "\r\n.\x00\r\n"],
];

/** Where a sequence first has a CR or LF that stands alone: what is named first. */
function bareAt(sequence: string): number {
  return /\r(?!\n)|(?<!\r)\n/.exec(sequence)?.index ?? -1;
}

async function toData(stage: Stage): Promise<Talk> {
  const talk = stage.connect();
  await talk.reply();
  for (const command of ["EHLO c.test", "MAIL FROM:<a@c.test>", "RCPT TO:<b@gw2.test>", "DATA"])
    await talk.say(command);
  return talk;
}

/** Sends `bytes` in the given pieces, letting the server see each on its own. */
async function trickle(talk: Talk, pieces: readonly string[]): Promise<void> {
  for (const piece of pieces) {
    talk.send(piece);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function cuts(text: string): string[][] {
  const all: string[][] = [[text], [...text]];
  for (let at = 1; at < text.length; at++) all.push([text.slice(0, at), text.slice(at)]);
  return all;
}

/** Cuts inside and around the sequence: the rest of the stream does not care. */
function cutsAround(before: string, sequence: string, after: string): string[][] {
  return cuts(`${before.slice(-3)}${sequence}${after.slice(0, 3)}`).map((pieces) => [
    before.slice(0, Math.max(0, before.length - 3)) + pieces[0],
    ...pieces.slice(1, -1),
    (pieces.length > 1 ? (pieces.at(-1) ?? "") : "") + after.slice(3),
  ]);
}

describe("smuggled messages", () => {
  for (const [origin, sequence, answer] of BARE) {
    it(`${origin} ${JSON.stringify(sequence)} is refused, nothing is kept, the connection ends (SMUG-13)`, async () => {
      const stage = makeStage();
      for (const pieces of cutsAround(START, sequence, TAIL)) {
        const talk = await toData(stage);
        await trickle(talk, pieces);
        assert.equal(await talk.rest(), `${answer}\r\n`);
        await talk.leave();
      }
      assert.equal(stage.intake.kept.length, 0);
      assert.equal(stage.intake.open_, 0);
    });
  }

  for (const [origin, sequence] of SEQUENCES) {
    const nul = sequence.includes("\0");
    const answer = nul ? "554 5.6.1 NUL byte not allowed" : sequence[bareAt(sequence)] === "\n" ? LF : CR;
    it(`SMUG-14 ${origin} as the first bytes of DATA is refused, however it is cut`, async () => {
      const stage = makeStage();
      for (const pieces of cutsAround("", sequence, TAIL)) {
        const talk = await toData(stage);
        await trickle(talk, pieces);
        if (nul) assert.deepEqual(await talk.reply(), [answer]);
        else assert.equal(await talk.rest(), `${answer}\r\n`);
        await talk.leave();
      }
      assert.equal(stage.intake.kept.length, 0);
      assert.equal(stage.intake.open_, 0);
    });

    it(`SMUG-14 ${origin} after a body of 1 MiB, too large, gets 552 at the true end and runs nothing, however it is cut`, async () => {
      const stage = makeStage({ options: { MaxMessageSize: 1_000_000 } });
      const body = Buffer.from(`${START}\r\n${`${"x".repeat(62)}\r\n`.repeat(16_384)}x`);
      for (const pieces of cutsAround("", sequence, TAIL)) {
        const talk = await toData(stage);
        talk.send(body);
        await trickle(talk, pieces);
        assert.deepEqual(await talk.reply(), ["552 5.2.3 Message exceeds maximum fixed size (1000000)"]);
        assert.deepEqual(await talk.say("RCPT TO:<b@gw2.test>"), ["503 5.0.0 Need MAIL before RCPT"]);
        assert.deepEqual(await talk.say("QUIT"), ["221 2.0.0 mail.gw.test closing connection"]);
        await talk.leave();
      }
      assert.equal(stage.intake.kept.length, 0);
      assert.equal(stage.intake.open_, 0);
    });
  }

  for (const [origin, sequence] of NUL)
    it(`${origin} ${JSON.stringify(sequence)}: refused after the true end, the session lives`, async () => {
      const stage = makeStage();
      for (const pieces of cutsAround(START, sequence, TAIL)) {
        const talk = await toData(stage);
        await trickle(talk, pieces);
        assert.deepEqual(await talk.reply(), ["554 5.6.1 NUL byte not allowed"]);
        assert.deepEqual(await talk.say("NOOP"), ["250 2.0.0 OK"]);
        await talk.leave();
      }
      assert.equal(stage.intake.kept.length, 0);
      assert.equal(stage.intake.open_, 0);
    });

  it("SMUG-17: a message sent before 354 ends the connection", async () => {
    const stage = makeStage();
    const talk = stage.connect();
    await talk.reply();
    for (const command of ["EHLO c.test", "MAIL FROM:<a@c.test>", "RCPT TO:<b@gw2.test>"])
      await talk.say(command);
    talk.send("DATA\r\nSubject: x\r\n\r\nbody\r\n.\r\n");
    assert.equal(await talk.rest(), "554 5.5.0 SMTP protocol error\r\n");
    await talk.leave();
    assert.equal(stage.intake.kept.length, 0);
  });

  for (const verb of ["EHLO", "HELO"])
    it(`SMUG-18: commands behind ${verb} are refused, and the session lives`, async () => {
      const stage = makeStage();
      const talk = stage.connect();
      await talk.reply();
      talk.send(`${verb} c.test\r\nMAIL FROM:<a@c.test>\r\n`);
      assert.deepEqual(await talk.reply(), ["554 5.5.0 SMTP protocol error"]);
      assert.deepEqual(await talk.reply(), ["550 5.0.0 Command rejected"]);
      assert.deepEqual(await talk.say("NOOP"), ["250 2.0.0 OK"]);
      assert.deepEqual(await talk.say("QUIT"), ["221 2.0.0 mail.gw.test closing connection"]);
      await talk.leave();
    });

  it("SMUG-19: a bare LF ends a command, as with Sendmail", async () => {
    const talk = makeStage().connect();
    await talk.reply();
    talk.send("EHLO c.test\n");
    assert.match((await talk.reply())[0] ?? "", /^250-/);
    await talk.leave();
  });

  it("SMUG-20: legal pipelining is served, replies in order", async () => {
    const stage = makeStage();
    const talk = stage.connect();
    await talk.reply();
    await talk.say("EHLO c.test");
    talk.send("MAIL FROM:<a@c.test>\r\nRCPT TO:<b@gw2.test>\r\nRCPT TO:<c@gw2.test>\r\nDATA\r\n");
    const codes = [await talk.reply(), await talk.reply(), await talk.reply(), await talk.reply()].map((r) =>
      r[0]?.slice(0, 3),
    );
    assert.deepEqual(codes, ["250", "250", "250", "354"]);
    talk.send(`${START}\r\n.\r\nMAIL FROM:<a@c.test>\r\nQUIT\r\n`);
    assert.match((await talk.reply())[0] ?? "", /^250 2\.0\.0 \S+ Message accepted for delivery$/);
    assert.deepEqual(await talk.reply(), ["250 2.1.0 <a@c.test>... Sender ok"]);
    await talk.leave();
    assert.equal(stage.intake.kept.length, 1);
    assert.equal(stage.intake.kept[0]?.envelope.recipients.length, 2);
  });
});
