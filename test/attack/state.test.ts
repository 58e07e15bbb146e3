// ST-01..07 (reliability 3.3), INJ, BOMB and RES rows that one process can show: no state of one transaction reaches the next, whatever
// ended the first; what a client may cost is bounded.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { reply } from "../../src/mail/reply.ts";
import { systemClock } from "../../src/sys/clock.ts";
import { makeStage, resolverOf, type Stage, type StageOptions, type Talk } from "../dialog/stage.ts";

async function hello(stage: Stage): Promise<Talk> {
  const talk = stage.connect();
  await talk.reply();
  await talk.say("EHLO c.test");
  return talk;
}

async function lines(talk: Talk, commands: readonly string[]): Promise<string[]> {
  const answers: string[] = [];
  for (const command of commands) answers.push((await talk.say(command)).join("|"));
  return answers;
}

const HEAD = "From: a@c.test\r\n\r\n";

/** Endings of a first transaction: how it is provoked, what it is answered. */
const ENDINGS: {
  name: string;
  stage?: StageOptions;
  prepare?: (s: Stage) => void;
  data: string;
  answer: string;
}[] = [
  {
    name: "ST-02 headers too large",
    data: `X: ${"a".repeat(33_000)}\r\n\r\nbody\r\n.\r\n`,
    answer: "552 5.6.0 Headers too large (32768 max)",
  },
  {
    name: "ST-03 552 size",
    stage: { options: { MaxMessageSize: 100 } },
    data: `${HEAD}${"x".repeat(200)}\r\n.\r\n`,
    answer: "552 5.2.3 Message exceeds maximum fixed size (100)",
  },
  {
    name: "ST-03 452 disk full at the dot",
    prepare: (s) => {
      s.intake.refusal = reply(452, "4.4.5", "Insufficient disk space; try again later");
    },
    data: `${HEAD}x\r\n.\r\n`,
    answer: "452 4.4.5 Insufficient disk space; try again later",
  },
  {
    name: "ST-03 451 spool error",
    prepare: (s) => {
      s.intake.refusal = reply(451, "4.3.0", "Queue file write error");
    },
    data: `${HEAD}x\r\n.\r\n`,
    answer: "451 4.3.0 Queue file write error",
  },
  {
    name: "ST-03 and LOOP-01: 554 hops",
    data: `${"Received: x\r\n".repeat(25)}\r\nx\r\n.\r\n`,
    answer: "554 5.4.6 Too many hops 26 (25 max): from <a@c.test> via client.test, to <b@gw2.test>",
  },
  { name: "ST-02 NUL", data: `${HEAD}\0\r\n.\r\n`, answer: "554 5.6.1 NUL byte not allowed" },
];

describe("state of a session", () => {
  it("ST-01: commands out of order get Sendmail's words", async () => {
    const talk = await hello(makeStage());
    assert.deepEqual(
      await lines(talk, [
        "RCPT TO:<b@gw2.test>",
        "DATA",
        "MAIL FROM:<a@c.test>",
        "DATA",
        "MAIL FROM:<a@c.test>",
      ]),
      [
        "503 5.0.0 Need MAIL before RCPT",
        "503 5.0.0 Need MAIL command",
        "250 2.1.0 <a@c.test>... Sender ok",
        "503 5.0.0 Need RCPT (recipient)",
        "503 5.5.0 Sender already specified",
      ],
    );
    await talk.leave();
  });

  for (const { name, stage: over, prepare, data, answer } of ENDINGS)
    it(`${name}: nothing of the transaction survives`, async () => {
      const stage = makeStage(over);
      const talk = await hello(stage);
      await lines(talk, ["MAIL FROM:<a@c.test> RET=HDRS ENVID=one", "RCPT TO:<b@gw2.test>", "DATA"]);
      prepare?.(stage);
      talk.send(data);
      assert.deepEqual(await talk.reply(), [answer]);
      assert.deepEqual(await lines(talk, ["RCPT TO:<x@gw2.test>", "DATA"]), [
        "503 5.0.0 Need MAIL before RCPT",
        "503 5.0.0 Need MAIL command",
      ]);
      stage.intake.refusal = null;
      await lines(talk, ["MAIL FROM:<second@c.test>", "RCPT TO:<c@gw2.test>", "DATA"]);
      talk.send("A: b\r\n\r\nx\r\n.\r\n");
      assert.match((await talk.reply())[0] ?? "", /^250 2\.0\.0 /);
      const kept = stage.intake.kept.map((m) => [m.envelope.sender, m.envelope.ret, m.envelope.envid]);
      assert.deepEqual(kept, [["second@c.test", undefined, undefined]]);
      await talk.leave();
      assert.equal(stage.intake.open_ - (prepare === undefined ? 0 : 1), 0);
    });

  it("ST-03: a DISCARD of the first message does not drop the second", async () => {
    let calls = 0;
    const stage = makeStage({
      policy: { mail: async () => (++calls === 1 ? { kind: "discard" } : { kind: "ok" }) },
    });
    const talk = await hello(stage);
    for (const sender of ["a@c.test", "b@c.test"]) {
      await lines(talk, [`MAIL FROM:<${sender}>`, "RCPT TO:<b@gw2.test>", "DATA"]);
      talk.send("A: b\r\n\r\n.\r\n");
      await talk.reply();
    }
    assert.deepEqual(
      stage.intake.kept.map((m) => m.envelope.discard),
      [true, undefined],
    );
    await talk.leave();
  });

  it("ST-04: CHUNKING is neither offered nor understood", async () => {
    const stage = makeStage();
    const talk = stage.connect();
    await talk.reply();
    assert.ok(!(await talk.say("EHLO c.test")).some((line) => line.includes("CHUNKING")));
    for (const command of [
      "BDAT 10",
      "BDAT -1",
      "BDAT 99999999999999999999",
      "BDAT 1e3",
      "BDAT 0x10",
      "BDAT 5 LAST",
      "BDAT",
    ])
      assert.deepEqual(await talk.say(command), [`500 5.5.1 Command unrecognized: "${command}"`]);
    await talk.leave();
  });

  it("ST-04: BDAT in a transaction changes nothing of it, what follows are commands", async () => {
    const stage = makeStage();
    const talk = await hello(stage);
    await lines(talk, ["MAIL FROM:<a@c.test>", "RCPT TO:<b@gw2.test>"]);
    talk.send("BDAT 5 LAST\r\nabc\r\n");
    assert.match((await talk.reply())[0] ?? "", /^500 5\.5\.1 /);
    assert.match((await talk.reply())[0] ?? "", /^500 5\.5\.1 Command unrecognized: "abc"/);
    assert.deepEqual(await talk.say("DATA"), ["354 End data with <CR><LF>.<CR><LF>"]);
    talk.send(".\r\n");
    assert.match((await talk.reply())[0] ?? "", /^250/);
    await talk.leave();
    assert.equal(stage.intake.kept.length, 1);
  });

  it("ST-04: BDAT 1 a hundred thousand times ends the connection at the 26th", async () => {
    const talk = await hello(makeStage());
    talk.send("BDAT 1\r\nx".repeat(100_000));
    const said = await talk.rest();
    assert.equal(said.match(/^500 /gm)?.length, 25);
    assert.match(said, /\r\n421 4\.7\.0 mail\.gw\.test Too many bad commands; closing connection\r\n$/);
    await talk.leave();
  });

  const POINTS = ["EHLO c.test", "MAIL FROM:<a@c.test>", "RCPT TO:<b@gw2.test>", "RCPT TO:<c@gw2.test>"];
  for (let point = 1; point <= POINTS.length; point++)
    it(`ST-05: RSET after ${POINTS[point - 1]} leaves nothing`, async () => {
      const stage = makeStage();
      const talk = stage.connect();
      await talk.reply();
      await lines(talk, POINTS.slice(0, point));
      assert.deepEqual(await lines(talk, ["RSET", "RCPT TO:<b@gw2.test>", "DATA", "MAIL FROM:<n@c.test>"]), [
        "250 2.0.0 Reset state",
        "503 5.0.0 Need MAIL before RCPT",
        "503 5.0.0 Need MAIL command",
        "250 2.1.0 <n@c.test>... Sender ok",
      ]);
      await lines(talk, ["RCPT TO:<d@gw2.test>", "DATA"]);
      talk.send(".\r\n");
      await talk.reply();
      await talk.leave();
      assert.deepEqual(
        stage.intake.kept.map((m) => [m.envelope.sender, m.envelope.recipients.map((r) => r.address)]),
        [["n@c.test", ["d@gw2.test"]]],
      );
    });

  for (const [name, between] of [
    ["RSET", "RSET"],
    ["EHLO", "EHLO again.test"],
    ["HELO", "HELO again.test"],
  ] as const)
    it(`ST-05: ${name} in a transaction ends it`, async () => {
      const talk = await hello(makeStage());
      await lines(talk, ["MAIL FROM:<a@c.test>", "RCPT TO:<b@gw2.test>", between]);
      assert.deepEqual(await lines(talk, ["RCPT TO:<b@gw2.test>", "DATA"]), [
        "503 5.0.0 Need MAIL before RCPT",
        "503 5.0.0 Need MAIL command",
      ]);
      await talk.leave();
    });

  it("ST-05: QUIT twice in one write is answered once", async () => {
    const talk = await hello(makeStage());
    talk.send("QUIT\r\nQUIT\r\n");
    assert.equal(await talk.rest(), "221 2.0.0 mail.gw.test closing connection\r\n");
    await talk.leave();
  });

  for (const half of [true, false])
    it(`ST-05: ${half ? "half-close" : "close"} inside DATA keeps nothing`, async () => {
      const stage = makeStage();
      const talk = await hello(stage);
      await lines(talk, ["MAIL FROM:<a@c.test>", "RCPT TO:<b@gw2.test>", "DATA"]);
      talk.send(`${HEAD}half a message\r\n`);
      if (half) await talk.leave();
      else {
        talk.stream.destroy();
        await talk.over;
      }
      assert.equal(stage.intake.kept.length, 0);
      assert.equal(stage.intake.open_, 0);
    });

  it("ST-05: half-close after the final dot still gets its answer", async () => {
    const stage = makeStage();
    const talk = await hello(stage);
    await lines(talk, ["MAIL FROM:<a@c.test>", "RCPT TO:<b@gw2.test>", "DATA"]);
    talk.send(`${HEAD}x\r\n.\r\n`);
    talk.stream.end();
    assert.match(await talk.rest(), /^250 2\.0\.0 \S+ Message accepted for delivery\r\n$/);
    await talk.leave();
    assert.equal(stage.intake.kept.length, 1);
  });

  it("ST-06: questions between RCPT and DATA leave the transaction alone, also in UTF-8", async () => {
    const stage = makeStage();
    const talk = await hello(stage);
    await lines(talk, ["MAIL FROM:<a@c.test>", "RCPT TO:<b@gw2.test>"]);
    for (const command of [
      "VRFY \xc3\xa9",
      "EXPN \xc3\xa9",
      "HELP \xc3\xa9",
      "NOOP \xc3\xa9",
      "VERB \xc3\xa9",
      "ETRN \xc3\xa9",
      "\xc3\xa9",
    ])
      assert.match((await talk.say(command))[0] ?? "", /^[25]/);
    assert.deepEqual(await talk.say("DATA"), ["354 End data with <CR><LF>.<CR><LF>"]);
    talk.send(".\r\n");
    await talk.reply();
    assert.equal(stage.intake.kept.length, 1);
    await talk.leave();
  });

  it("INJ-06: whatever byte a client's name has, Received stays one field and shows no control byte", async () => {
    const stage = makeStage({ options: { AllowBogusHELO: true } });
    for (let byte = 1; byte < 256; byte++) {
      if (byte === 10) continue;
      const talk = stage.connect();
      await talk.reply();
      const [answer = ""] = await talk.say(`HELO a${String.fromCharCode(byte)}b (c) <script>`);
      assert.match(answer, /^250 /);
      await lines(talk, ["MAIL FROM:<a@c.test>", "RCPT TO:<b@gw2.test>", "DATA"]);
      talk.send(".\r\n");
      await talk.reply();
      await talk.leave();
      const header = stage.intake.kept.at(-1)?.header ?? "";
      assert.match(
        header,
        /^Received: from a[!-~]b\?*[!-~]* \(client\.test \[192\.0\.2\.1\]\)\r\n\tby /,
        header,
      );
      assert.match(header, /^(?:[!-9;-~]+: ?[\t -~]*\r\n(?:[\t ][\t -~]*\r\n)*)+$/);
    }
  });

  it("INJ-06: names that are none are refused unless the configuration allows them", async () => {
    const stage = makeStage();
    for (const name of [
      "a b c",
      "<script>",
      "a".repeat(600),
      "a\x01b",
      "a\xe9b",
      "(x)",
      "a;b",
      '"a"',
      "a,b",
    ]) {
      const talk = stage.connect();
      await talk.reply();
      for (const verb of ["EHLO", "HELO"])
        assert.deepEqual(await talk.say(`${verb} ${name}`), ["501 5.0.0 Invalid domain name"]);
      await talk.leave();
    }
  });

  for (const name of [
    "evil\r\nX-I: y",
    "a".repeat(255),
    "",
    "a..b",
    "\u00e9.test",
    "127.0.0.1",
    "a b",
    "a)b",
    "-o.test",
  ])
    it(`INJ-07: a PTR record of ${JSON.stringify(name).slice(0, 30)} is not shown`, async () => {
      const stage = makeStage({ service: { resolver: resolverOf(new Map([["192.0.2.1", name]])) } });
      const talk = await hello(stage);
      await lines(talk, ["MAIL FROM:<a@c.test>", "RCPT TO:<b@gw2.test>", "DATA"]);
      talk.send(".\r\n");
      await talk.reply();
      await talk.leave();
      const header = stage.intake.kept[0]?.header ?? "";
      assert.match(header, /^Received: from c\.test \(\[192\.0\.2\.1\]\)\r\n\tby /);
      assert.doesNotMatch(header, /X-I/);
    });

  it("RES-03: an endless command line ends the connection, whole or not", async () => {
    for (const bytes of [`MAIL FROM:<${"a".repeat(3000)}@c.test>\r\n`, "x".repeat(4000)]) {
      const talk = await hello(makeStage());
      talk.send(bytes);
      assert.equal(
        await talk.rest(),
        "421 4.7.0 mail.gw.test Command too long, possible attack client.test [192.0.2.1]\r\n",
      );
      await talk.leave();
    }
  });

  it("RES-06: QUIT pipelined behind a message that is too large is answered too", async () => {
    const talk = await hello(makeStage({ options: { MaxMessageSize: 100 } }));
    await lines(talk, ["MAIL FROM:<a@c.test>", "RCPT TO:<b@gw2.test>", "DATA"]);
    talk.send(`${HEAD}${"x".repeat(200)}\r\n.\r\nQUIT\r\n`);
    assert.match(await talk.rest(), /^552 5\.2\.3 [^\r]+\r\n221 2\.0\.0 [^\r]+\r\n$/);
    await talk.leave();
  });

  for (const [what, extra, answer] of [
    ["exactly SIZE", 0, "250"],
    ["one byte more", 1, "552 5.2.3 Message exceeds maximum fixed size (1000)"],
  ] as const)
    it(`RES-06: ${what} gets ${answer.slice(0, 3)}, at every cut of its end`, async () => {
      const stage = makeStage({ options: { MaxMessageSize: 1000 } });
      const text = `${HEAD}${"x".repeat(1000 + extra - HEAD.length - 2)}\r\n.\r\nQUIT\r\n`;
      for (let cut = text.length - 16; cut <= text.length; cut++) {
        const talk = await hello(stage);
        await lines(talk, ["MAIL FROM:<a@c.test>", "RCPT TO:<b@gw2.test>", "DATA"]);
        talk.send(text.slice(0, cut));
        await new Promise((resolve) => setImmediate(resolve));
        talk.send(text.slice(cut));
        const [first = "", second = ""] = (await talk.rest()).split("\r\n");
        if (extra === 0) assert.match(first, /^250 2\.0\.0 /);
        else assert.equal(first, answer);
        assert.match(second, /^221 /);
        await talk.leave();
      }
    });

  it("RES-07: 500 refused recipients cost a second each from BadRcptThrottle on", async () => {
    // A clock on which a second passes in a millisecond.
    const fast = {
      ...systemClock,
      monotonicMs: () => systemClock.monotonicMs() * 1000,
      after: (ms: number, fn: () => void) => systemClock.after(ms / 1000, fn),
    };
    const stage = makeStage({ options: { BadRcptThrottle: 10 }, clock: fast });
    const talk = await hello(stage);
    await talk.say("MAIL FROM:<a@c.test>");
    const started = fast.monotonicMs();
    talk.send("RCPT TO:<unknown@gw2.test>\r\n".repeat(500));
    for (let n = 0; n < 500; n++) assert.match((await talk.reply())[0] ?? "", /^550 5\.1\.1 /);
    assert.ok(fast.monotonicMs() - started >= 490_000, `${fast.monotonicMs() - started} ms`);
    assert.ok(stage.log.some((line) => line.includes("Possible SMTP RCPT flood, throttling.")));
    await talk.leave();
  });

  for (const [command, free, end] of [
    ["NOOP", 20, 50],
    ["HELO c.test", 3, 50],
    ["VRFY mick", 6, 50],
    ["RSET", 1000, 1000],
  ] as const)
    it(`RES-07: ${command}: the first ${free - 1} are free, ${end > 999 ? "and it never ends" : `number ${end} ends the connection`}`, async () => {
      let waited = 0;
      const stage = makeStage({
        clock: {
          ...systemClock,
          monotonicMs: () => 0,
          after: (ms, fn) => {
            waited = Math.max(waited, ms);
            return systemClock.after(ms / 20_000, fn);
          },
        },
      });
      const talk = await hello(stage);
      let count = command.startsWith("HELO") ? 1 : 0;
      while (count < 1000) {
        const [answer = ""] = await talk.say(command);
        count++;
        if (answer.startsWith("421")) break;
        assert.match(answer, /^2/);
        if (count < free) assert.ok(waited <= 1000, `${waited} ms at number ${count}`);
      }
      assert.equal(count, end);
      assert.equal(waited >= 240_000, end < 1000, `${waited} ms at most`);
      await talk.leave();
    });

  it("RES-07: 25 senseless commands are answered, the 26th ends the connection", async () => {
    const talk = await hello(makeStage());
    for (let i = 1; i <= 25; i++)
      assert.deepEqual(await talk.say(`X${i}`), [`500 5.5.1 Command unrecognized: "X${i}"`]);
    talk.send("X26\r\n");
    assert.equal(await talk.rest(), "421 4.7.0 mail.gw.test Too many bad commands; closing connection\r\n");
    await talk.leave();
  });

  it("BOMB-01: recipients beyond the limit are told so, and those before it stay", async () => {
    const stage = makeStage({ options: { MaxRecipientsPerMessage: 3 } });
    const talk = await hello(stage);
    await talk.say("MAIL FROM:<a@c.test>");
    for (let i = 0; i < 3; i++) await talk.say(`RCPT TO:<r${i}@gw2.test>`);
    assert.deepEqual(await talk.say("RCPT TO:<r4@gw2.test>"), ["452 4.5.3 Too many recipients"]);
    await talk.say("DATA");
    talk.send(".\r\n");
    await talk.reply();
    assert.equal(stage.intake.kept[0]?.envelope.recipients.length, 3);
    await talk.leave();
  });

  it("BOMB-01: a recipient named a thousand times is one recipient", async () => {
    const stage = makeStage();
    const talk = await hello(stage);
    await talk.say("MAIL FROM:<a@c.test>");
    talk.send("RCPT TO:<r@gw2.test>\r\nRCPT TO:r@GW2.test\r\n".repeat(500));
    for (let i = 0; i < 1000; i++)
      assert.deepEqual(await talk.reply(), ["250 2.1.5 <r@gw2.test>... Recipient ok"]);
    await talk.say("DATA");
    talk.send(".\r\n");
    await talk.reply();
    assert.equal(stage.intake.kept[0]?.envelope.recipients.length, 1);
    await talk.leave();
  });

  it("TLS-07: the first words of HTTP and POP end the connection", async () => {
    for (const line of ["GET / HTTP/1.1", "POST / HTTP/1.0", "CONNECT a:25 HTTP/1.0", "USER joe"]) {
      const talk = makeStage().connect();
      await talk.reply();
      talk.send(`${line}\r\nHost: x\r\n\r\n`);
      assert.equal(
        await talk.rest(),
        "421 4.7.0 mail.gw.test Rejecting open proxy client.test [192.0.2.1]\r\n",
      );
      await talk.leave();
    }
  });
});
