// INJ-01 to INJ-14 (reliability 3.4) against the whole program: bytes that want to become an option, a path, a program, a line of a header, of
// the queue or of a log. The real program answers, and what it passes on is looked at byte by byte.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { Client, delay, until } from "../flow/gateway.ts";
import { faultsOf } from "./sequences.ts";
import { copyOf, Siege, toData } from "./siege.ts";

let siege: Siege;
before(async () => {
  siege = await Siege.start("injection", {
    more: "define(`confMAX_MESSAGE_SIZE', `20000000')dnl\n",
  });
});
after(async () => {
  try {
    await siege.holds();
  } finally {
    await siege.end();
  }
});

/** Processes that the gateway has started and that still run. */
function children(): readonly string[] {
  const found: string[] = [];
  for (const task of readdirSync(`/proc/${siege.gateway.pid}/task`))
    found.push(...readFileSync(`/proc/${siege.gateway.pid}/task/${task}/children`, "utf8").split(" "));
  return found.filter((pid) => pid.trim() !== "");
}

/** The answer to the last of `lines` in a session of its own. */
async function answerTo(...lines: readonly string[]): Promise<string> {
  const client = new Client(siege.gateway.port);
  try {
    await client.reply();
    await client.say("EHLO c.test");
    let last = "";
    for (const line of lines) last = await client.say(line);
    return last;
  } finally {
    client.close();
  }
}

const UNKNOWN = /^550 5\.1\.1 .*\.\.\. User unknown$/;
const UP = "../".repeat(200);

const COMMANDS: readonly (readonly [origin: string, line: string, expected: RegExp])[] = [
  // Sendmail measured 250 for the first: the address cannot be the defence, what is done with it must be.
  ["INJ-01", "MAIL FROM:<;sleep 66;>", /^(?:250|553) /],
  ["INJ-01", "MAIL FROM:<;for i in 0 1;do read r;done;sh;>", /^553 /],
  ["INJ-02", `RCPT TO:<\${run{\\x2Fbin\\x2Fsh\\t-c\\t"id"}}@gw.test>`, UNKNOWN],
  ["INJ-03", "RCPT TO:<|/bin/sh@gw.test>", /^550 5\.7\.1 .*Cannot mail directly to programs$/],
  ["INJ-03", "RCPT TO:</etc/passwd@gw.test>", /^550 5\.7\.1 .*Cannot mail directly to files$/],
  ["INJ-03", "RCPT TO:<:include:/etc/shadow@gw.test>", /^550 5\.7\.1 .*Cannot mail directly to :include:s$/],
  ["INJ-04", "RCPT TO:<-oQ/tmp@gw.test>", UNKNOWN],
  ["INJ-04", "RCPT TO:<-bi@gw.test>", UNKNOWN],
  ["INJ-04", "RCPT TO:</@gw.test>", /^55[0-9] /],
  ["INJ-04", "RCPT TO:<..@gw.test>", UNKNOWN],
  ["INJ-04", `RCPT TO:<${UP}etc/passwd@gw.test>`, /^55[0-9] /],
  ["INJ-04", `RCPT TO:<${UP}etc/passwd@gw2.test>`, /^(?:250|55[0-9]) /],
  ["INJ-05", "MAIL FROM:<a@c.test> AUTH=a+0AX-Evil:+20y", /^250 2\.1\.0 <a@c\.test>\.\.\. Sender ok$/],
  ["INJ-05", "MAIL FROM:<a@c.test> ENVID=a+0D+0AX:+20y", /^250 2\.1\.0 /],
  ["INJ-05", "MAIL FROM:<a@c.test> ENVID=+00", /^501 5\.5\.4 Syntax error in ENVID parameter value$/],
  ["INJ-05", "MAIL FROM:<a@c.test> ENVID=a+00b", /^501 5\.5\.4 /],
  ["INJ-05", "RCPT TO:<b@gw2.test> ORCPT=rfc822;b+0D+0ABcc:+20evil@x", /^250 2\.1\.5 /],
  ["INJ-05", "RCPT TO:<b@gw2.test> ORCPT=rfc822;b+00", /^501 5\.5\.4 /],
  ["INJ-10", `RCPT TO:<${"a".repeat(1500)}@gw2.test>`, /^553 5\.1\.0 .* too long/],
  ["INJ-10", `RCPT TO:<${"(".repeat(1500)}@gw2.test>`, /^553 /],
  ["INJ-10", `RCPT TO:<${"<".repeat(900)}a@gw2.test${">".repeat(900)}>`, /^(?:250|55[0-9]) /],
  ["INJ-10", `MAIL FROM:<${"\xff".repeat(500)}@c.test>`, /^553 /],
  ["INJ-10", `RCPT TO:<${"\xff".repeat(500)}@gw2.test>`, /^553 /],
  ["INJ-11", "MAIL FROM:<a@c.test> __proto__=1", /^555 5\.5\.4 .*parameter unrecognized$/],
  ["INJ-11", "MAIL FROM:<a@c.test> constructor=1", /^555 5\.5\.4 constructor parameter unrecognized$/],
  ["INJ-11", "RCPT TO:<__proto__@gw.test>", UNKNOWN],
  ["INJ-11", "RCPT TO:<hasOwnProperty@gw.test>", UNKNOWN],
  ["INJ-11", "RCPT TO:<toString@__proto__>", /^(?:250|55[0-9]) /],
  ["INJ-11", "__proto__", /^500 5\.5\.1 Command unrecognized: "__proto__"$/],
  ["INJ-11", "constructor", /^500 5\.5\.1 /],
  ["INJ-12", "RCPT TO:<b@\xe2\x84\xaaelvin.test>", /^553 5\.6\.7 /],
  ["INJ-12", "RCPT TO:<b\xef\xbc\xa0gw2.test>", /^553 5\.6\.7 /],
  ["INJ-12", "RCPT TO:<b@gw2\xef\xbc\x8etest>", /^553 5\.6\.7 /],
  ["INJ-12", "MAIL FROM:<\xc4\xb0@c.test>", /^553 5\.6\.7 /],
  ["INJ-12", "\xc5\xbfTARTTLS", /^500 5\.5\.1 /],
  ["INJ-12", "MA\xc4\xb0L FROM:<a@c.test>", /^500 5\.5\.1 /],
  ["INJ-12", "QU\xc4\xb1T", /^500 5\.5\.1 /],
  ["INJ-13", "MAIL FROM:<a@c.test> SIZE=1e9", /^501 5\.5\.4 /],
  ["INJ-13", "MAIL FROM:<a@c.test> SIZE=-1", /^501 5\.5\.4 /],
  ["INJ-13", "MAIL FROM:<a@c.test> SIZE=0x10", /^501 5\.5\.4 /],
  ["INJ-13", "MAIL FROM:<a@c.test> SIZE=", /^501 5\.5\.[24] /],
  ["INJ-13", "MAIL FROM:<a@c.test> SIZE", /^501 5\.5\.2 SIZE requires a value$/],
  ["INJ-13", "MAIL FROM:<a@c.test> SIZE=99999999999999", /^552 5\.2\.3 /],
  ["INJ-13", "MAIL FROM:<a@c.test> SIZE=18446744073709551617", /^552 5\.2\.3 /],
  ["INJ-13", `MAIL FROM:<a@c.test> SIZE=${"9".repeat(400)}`, /^(?:501|552) /],
  ["INJ-13", "MAIL FROM:<a@c.test> SIZE=\xd9\xa1", /^501 5\.5\.4 /],
  ["DELIVERBY", "MAIL FROM:<a@c.test> BY=", /^501 5\.5\.2 BY= missing ';'$/],
  ["DELIVERBY", "MAIL FROM:<a@c.test> BY=;", /^501 5\.5\.2 illegal by-mode/],
  ["DELIVERBY", "MAIL FROM:<a@c.test> BY=99999999999;R", /^501 5\.5\.2 BY=99999999999;R out of range$/],
  ["DELIVERBY", `MAIL FROM:<a@c.test> BY=-${"9".repeat(300)};N`, /^501 5\.5\.2 .* out of range$/],
  ["DELIVERBY", "MAIL FROM:<a@c.test> BY=0;R", /^501 5\.5\.4 mode R requires BY time > 0$/],
  ["DELIVERBY", "MAIL FROM:<a@c.test> BY=-1;R", /^501 5\.5\.4 mode R requires BY time > 0$/],
  ["DELIVERBY", "MAIL FROM:<a@c.test> BY=1e3;N", /^501 5\.5\.2 BY= missing ';'$/],
  ["DELIVERBY", "MAIL FROM:<a@c.test> BY=10;X", /^501 5\.5\.2 illegal by-mode 'X'$/],
  ["DELIVERBY", "MAIL FROM:<a@c.test> BY=10;RX", /^501 5\.5\.2 illegal by-trace 'X'$/],
  ["parameters", `MAIL FROM:<a@c.test>${" RET=FULL".repeat(2)}`, /^501 5\.5\.0 Duplicate RET parameter$/],
  ["parameters", `MAIL FROM:<a@c.test>${" SIZE=1".repeat(30)}`, /^501 5\.5\.4 Too many parameters$/],
  ["parameters", "MAIL FROM:<a@c.test> BODY=BINARYMIME", /^501 5\.5\.4 Unknown BODY type BINARYMIME$/],
  ["parameters", "MAIL FROM:<a@c.test> SMTPUTF8", /^555 5\.5\.4 SMTPUTF8 parameter unrecognized$/],
  ["parameters", "MAIL FROM:<a@c.test> REQUIRETLS", /^555 5\.5\.4 REQUIRETLS parameter unrecognized$/],
  ["ST-04", "BDAT 10 LAST", /^500 5\.5\.1 /],
  ["controls", "MAIL FROM:<a\x01b@c.test>", /^501 5\.1\.7 .*non-printable/],
  ["controls", "RCPT TO:<a\x1b[2J@gw2.test>", /^501 5\.1\.3 .*non-printable/],
  ["controls", "RCPT TO:<a\x7f@gw2.test>", /^501 5\.1\.3 .*non-printable/],
  // What stands behind a NUL is not there for a program in C, nor for us.
  ["controls", "MAIL FROM:<a\0@c.test>", /^553 5\.0\.0 <a\.\.\. Unbalanced '<'$/],
  ["controls", "VRFY \x1b]0;owned\x07", /^\d{3} [\x20-\x7e]*$/],
  ["controls", "ETRN \x1b]0;owned\x07", /^\d{3} [\x20-\x7e]*$/],
  ["controls", "HELP \r\x0b", /^214-2\.0\.0 [\x20-\x7e\n]*$/],
];

describe("commands", () => {
  for (const [origin, line, expected] of COMMANDS)
    it(`${origin}: ${JSON.stringify(line).slice(0, 70)} gets ${expected.source.slice(0, 40)}`, async () => {
      const started = performance.now();
      const answer = line.startsWith("RCPT")
        ? await answerTo("MAIL FROM:<a@c.test>", line)
        : await answerTo(line);
      assert.match(answer, expected);
      assert.doesNotMatch(answer, /[\x00-\x09\x0b-\x1f\x7f]/);
      assert.ok(performance.now() - started < 2000);
      assert.deepEqual(children(), [], "a program was started");
    });

  it("no log line was made by a client", () => {
    assert.doesNotMatch(siege.gateway.output, /[\x00-\x08\x0b-\x1f\x7f]/);
    assert.doesNotMatch(siege.gateway.output, /^(?:X-Evil|Bcc|X:)/m);
  });
});

/** Sends a message as it is; its copy at the next hop, without our Received field. */
async function pass(tag: string, message: string, rcpt = "b@gw2.test"): Promise<string> {
  const client = await toData(siege, rcpt);
  client.raw(`${message.replace("TAG", `Subject: ${tag}`)}.\r\n`);
  assert.match(await client.reply(), /^250 2\.0\.0 /, tag);
  client.close();
  const wire = await copyOf(siege, tag);
  assert.deepEqual(faultsOf(wire), [], tag);
  return wire.toString("latin1").replace(/^Received: [^\r]*\r\n(?:\t[^\r]*\r\n)*/, "");
}

const FIELDS = "Date: d\r\nFrom: a@c.test\r\nMessage-Id: <m@c.test>\r\n";

/** Messages, and what must be in or missing from the copy. The rules are those of sendmail's collect() and chompheader(). */
const HEADERS: readonly {
  readonly name: string;
  readonly message: string;
  readonly has: readonly (string | RegExp)[];
  readonly lacks?: RegExp;
}[] = [
  {
    name: "INJ-11 names of JavaScript's own are fields like others",
    message: `${FIELDS}__proto__: 1\r\nconstructor: 2\r\nhasOwnProperty: 3\r\ntoString: 4\r\nTAG\r\n\r\nx\r\n`,
    has: ["__proto__: 1\r\nconstructor: 2\r\nhasOwnProperty: 3\r\ntoString: 4\r\n"],
  },
  {
    name: "INJ-12 U+2028, U+0085 and ISO-8859-1 survive in fields and bodies",
    message: `${FIELDS}TAG\r\nX-A: a\xe2\x80\xa8b\xc2\x85c\xff\r\n\r\n\xe2\x80\xa8\x85\xfe\xff\r\n`,
    has: ["X-A: a\xe2\x80\xa8b\xc2\x85c\xff\r\n", "\r\n\r\n\xe2\x80\xa8\x85\xfe\xff\r\n"],
  },
  {
    name: "INJ-14 a line that is no field ends the header",
    message: `${FIELDS}TAG\r\nno colon here\r\nX-Body: y\r\n\r\nx\r\n`,
    has: ["\r\n\r\nno colon here\r\nX-Body: y\r\n\r\nx\r\n"],
  },
  {
    name: "INJ-14 a first line that begins with a blank begins the body",
    message: ` blank first\r\n${FIELDS}TAG\r\n\r\nx\r\n`,
    has: ["\r\n\r\n blank first\r\nDate: d\r\n"],
  },
  {
    name: "INJ-14 a field without a name begins the body",
    message: `${FIELDS}TAG\r\n: y\r\n\r\nx\r\n`,
    has: ["\r\n\r\n: y\r\n"],
  },
  {
    name: "INJ-14 an 8-bit name begins the body",
    message: `${FIELDS}TAG\r\nX-\xe9: y\r\n\r\nx\r\n`,
    has: ["\r\n\r\nX-\xe9: y\r\n"],
  },
  {
    name: "INJ-14 Bcc does not travel",
    message: `${FIELDS}To: b@gw2.test\r\nBcc: secret@gw2.test\r\nTAG\r\n\r\nx\r\n`,
    has: ["To: b@gw2.test\r\n"],
    lacks: /secret/,
  },
  {
    name: "INJ-14 two From fields stay two",
    message: `${FIELDS}From: z@c.test\r\nTAG\r\n\r\nx\r\n`,
    has: ["From: a@c.test\r\n", "From: z@c.test\r\n"],
  },
  {
    name: "INJ-14 a Return-Path of the client's is dropped",
    message: `Return-Path: <forged@c.test>\r\n${FIELDS}TAG\r\n\r\nx\r\n`,
    has: [],
    lacks: /^Return-Path/im,
  },
  {
    name: "INJ-14 Received folded badly stays as it is, beneath ours",
    message: `Received: from x\r\n by y\r\n\t\r\n ;\r\n${FIELDS}TAG\r\n\r\nx\r\n`,
    has: ["Received: from x\r\n by y\r\n\t\r\n ;\r\n"],
  },
  {
    name: "INJ-10 From with 5000 pairs of brackets and as many parentheses",
    message: `Date: d\r\nMessage-Id: <m@c.test>\r\nFrom: ${"<>".repeat(5000)}${"(".repeat(5000)}\r\nTAG\r\n\r\nx\r\n`,
    has: [/^From: /m],
  },
  {
    name: "INJ-10 nested groups and comments",
    message: `Date: d\r\nMessage-Id: <m@c.test>\r\nFrom: ${"g: ".repeat(3000)}a@c.test${";".repeat(3000)}\r\nTo: ${"(".repeat(3000)}x${")".repeat(3000)} b@gw2.test\r\nTAG\r\n\r\nx\r\n`,
    has: [/^From: /m, /^To: /m],
  },
  {
    name: "INJ-10 an address of 0xFF bytes",
    message: `Date: d\r\nMessage-Id: <m@c.test>\r\nFrom: ${"\xff".repeat(600)}@c.test\r\nTAG\r\n\r\nx\r\n`,
    has: [/^From: /m],
  },
];

describe("headers", () => {
  for (const { name, message, has, lacks } of HEADERS)
    it(name, async () => {
      const started = performance.now();
      const wire = await pass(name, message);
      for (const part of has)
        if (typeof part === "string") assert.ok(wire.includes(part), `${JSON.stringify(part)} in ${wire}`);
        else assert.match(wire, part);
      if (lacks !== undefined) assert.doesNotMatch(wire, lacks);
      assert.ok(performance.now() - started < 4000);
      await siege.good();
    });
});

describe("INJ-05, INJ-09", () => {
  it("xtext stays encoded on its way and is one printable line in a notice", async () => {
    const { hop, gateway } = siege;
    hop.extensions = ["8BITMIME", "DSN"];
    // Sessions from before, which had no DSN, are kept for two seconds.
    await delay(3000);
    hop.refuse.set("evil@gw2.test", "550 5.1.1 no\x1b[2J\tsuch\x00 user\xe9");
    try {
      const client = new Client(gateway.port);
      await client.reply();
      for (const line of [
        "EHLO c.test",
        "MAIL FROM:<a@c.test> ENVID=a+0D+0AX-Evil:+20y RET=HDRS",
        "RCPT TO:<evil@gw2.test> ORCPT=rfc822;b+0D+0ABcc:+20evil@x NOTIFY=FAILURE",
        "DATA",
      ])
        assert.match(await client.say(line), /^[23]/);
      client.raw("Subject: xtext\r\n\r\nx\r\n.\r\n");
      assert.match(await client.reply(), /^250/);
      client.close();
      const wire = (await copyOf(siege, "Returned mail: see transcript for details")).toString("latin1");
      const heard = Buffer.concat(hop.heard).toString("latin1");
      assert.match(heard, /^MAIL From:<a@c\.test>.* ENVID=a\+0D\+0AX-Evil:\+20y/m);
      assert.match(heard, /^RCPT To:<evil@gw2\.test>.* ORCPT=rfc822;b\+0D\+0ABcc:\+20evil@x/m);
      assert.doesNotMatch(wire, /^(?:X-Evil|Bcc):/m);
      assert.match(wire, /^Diagnostic-Code: SMTP; 550 5\.1\.1 no[\x20-\x7e]*$/m);
      assert.doesNotMatch(wire, /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/);
      assert.doesNotMatch(gateway.output, /[\x00-\x08\x0b-\x1f\x7f]/);
    } finally {
      hop.refuse.clear();
      hop.extensions = ["8BITMIME"];
    }
  });

  const HOSTILE: readonly (readonly [name: string, answer: string])[] = [
    ["half a reply and the end", "550-5.1.1 a\r\n550-\r\n55\0CLOSE"],
    ["10,000 lines", `${"550-5.1.1 a\r\n".repeat(10_000)}550 5.1.1 b`],
    ["a line of 1 MB", `550 5.1.1 ${"a".repeat(1_000_000)}`],
    ["5x0", "5x0 5.1.1 no"],
    ["999", "999 no"],
    ["no code at all", "no such user"],
    ["a bare LF that forges a second reply", "450 4.0.0 later\n250 ok"],
  ];
  for (const [name, answer] of HOSTILE)
    it(`INJ-09: a next hop whose answer to RCPT is ${name} is tried again later`, async () => {
      const { hop } = siege;
      const tag = `hostile ${name}`;
      const address = `h${HOSTILE.findIndex(([n]) => n === name)}@gw2.test`;
      hop.refuse.set(address, answer);
      const before = siege.figures().memory;
      const client = await toData(siege, address);
      client.raw(`Subject: ${tag}\r\n\r\nx\r\n.\r\n`);
      const id = /^250 2\.0\.0 (\S+) /.exec(await client.reply())?.[1] ?? "";
      client.close();
      await until("it is deferred", 20, () =>
        new RegExp(`${id}: to=.*stat=Deferred`).test(siege.gateway.output),
      );
      assert.ok(siege.figures().memory - before < 20e6);
      hop.refuse.delete(address);
      // The host may be left alone for a moment after that.
      await copyOf(siege, tag);
      assert.equal(hop.taken.filter((t) => t.wire.includes(`Subject: ${tag}\r\n`)).length, 1);
    });
});
