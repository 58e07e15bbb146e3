// What a session writes into the log, in the form and with the priority that readers of Sendmail's log expect: each line under the id of
// the message that it belongs to, a from= line for every transaction that came to nothing, AUTH failures as fail2ban finds them.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { plain } from "../../src/sasl/plain.ts";
import type { ServerAuth } from "../../src/smtpd/service.ts";
import { makeStage, type StageOptions } from "./stage.ts";

/** Log lines of a dialog, ids as ID, without their level. */
async function logOf(
  lines: readonly string[],
  over: StageOptions = {},
  from = "192.0.2.1",
): Promise<string[]> {
  const log: string[] = [];
  const stage = makeStage({
    ...over,
    service: {
      log: { line: (level, text, priority = "info") => void (level <= 9 && log.push(`${priority} ${text}`)) },
      ...over.service,
    },
  });
  const talk = stage.connect(from);
  await talk.reply();
  for (const line of lines) await talk.say(line);
  talk.stream.end();
  await talk.over;
  return log.map((line) => line.replace(/ Q\d{13}: /, " ID: "));
}

const RELAY = "relay=client.test [192.0.2.1]";
const empty = (count: number): string =>
  `info ID: from=<a@b.test>, size=0, class=0, nrcpts=${count}, proto=ESMTP, daemon=MTA, ${RELAY}`;

const REFUSING: StageOptions["policy"] = {
  mail: async (_client, sender, typed) =>
    sender.startsWith("bad")
      ? {
          kind: "reject",
          reply: { code: 550, enhanced: "5.7.1", lines: [`${typed}... Access denied`] },
          close: false,
        }
      : { kind: "ok" },
  rcpt: async (_client, _sender, address, typed) =>
    address.startsWith("bad")
      ? {
          kind: "reject",
          reply: { code: 550, enhanced: "5.7.1", lines: [`${typed}... Relaying denied`] },
          close: false,
        }
      : { kind: "ok" },
};

const DIALOGS: readonly {
  readonly name: string;
  readonly say: readonly string[];
  readonly log: readonly string[];
  readonly over?: StageOptions;
}[] = [
  {
    name: "a refused sender",
    say: ["EHLO c", "MAIL FROM:<bad@b.test>", "QUIT"],
    log: [
      `notice ID: ruleset=check_mail, arg1=<bad@b.test>, ${RELAY}, reject=550 5.7.1 <bad@b.test>... Access denied`,
      empty(0).replace("<a@", "<bad@"),
    ],
  },
  {
    name: "refused and unknown recipients",
    say: ["EHLO c", "MAIL FROM:<a@b.test>", "RCPT TO:<bad@d.test>", "RCPT TO:<unknown@d.test>", "QUIT"],
    log: [
      `notice ID: ruleset=check_rcpt, arg1=<bad@d.test>, ${RELAY}, reject=550 5.7.1 <bad@d.test>... Relaying denied`,
      "notice ID: <unknown@d.test>... User unknown",
      empty(0),
    ],
  },
  {
    name: "a transaction that the client takes back",
    say: ["EHLO c", "MAIL FROM:<a@b.test>", "RCPT TO:<c@d.test>", "RSET", "QUIT"],
    log: [empty(1)],
  },
  {
    name: "too many recipients",
    say: ["EHLO c", "MAIL FROM:<a@b.test>", "RCPT TO:<c@d.test>", "RCPT TO:<d@d.test>", "QUIT"],
    over: { options: { MaxRecipientsPerMessage: 1 } },
    log: ["notice ID: Too many recipients", empty(1)],
  },
  {
    name: "a client that leaves in a transaction",
    say: ["EHLO c", "MAIL FROM:<a@b.test>"],
    log: ["info ID: lost input channel from client.test [192.0.2.1] to MTA after MAIL", empty(0)],
  },
  {
    name: "VRFY, EXPN, ETRN",
    say: ["EHLO c", "VRFY mick", "ETRN d.test", "QUIT"],
    log: ["info ID: client.test [192.0.2.1]: VRFY mick", "info ID: client.test [192.0.2.1]: ETRN d.test"],
  },
  {
    name: "a client that wants nothing",
    say: ["EHLO c", "QUIT"],
    log: ["info ID: client.test [192.0.2.1] did not issue MAIL/EXPN/VRFY/ETRN during connection to MTA"],
  },
];

describe("the log of a session", () => {
  for (const { name, say, log, over } of DIALOGS)
    it(name, async () => {
      assert.deepEqual(await logOf(say, { policy: REFUSING, ...over }), log);
    });

  it("has one id for all of a transaction, and another for the next", async () => {
    const log: string[] = [];
    const stage = makeStage({
      policy: REFUSING,
      service: { log: { line: (_l, text) => void log.push(text) } },
    });
    const talk = stage.connect();
    await talk.reply();
    for (const line of [
      "EHLO c",
      "MAIL FROM:<a@b.test>",
      "RCPT TO:<bad@d.test>",
      "RSET",
      "MAIL FROM:<a@b.test>",
      "RSET",
      "QUIT",
    ])
      await talk.say(line);
    const ids = log.map((line) => /^(\w{14}): /.exec(line)?.[1] ?? "");
    assert.equal(ids.length, 3);
    assert.equal(ids[0], ids[1]);
    assert.notEqual(ids[1], ids[2] ?? "");
  });

  it("names an IPv6 client without a name once", async () => {
    const log = await logOf(["EHLO c", "MAIL FROM:<a@b.test>", "RSET", "QUIT"], {}, "2001:db8::1");
    assert.ok(log[0]?.endsWith("relay=[IPv6:2001:db8::1]"), log[0] ?? "");
  });
});

describe("a failed AUTH", () => {
  const auth: ServerAuth = {
    offered: () => [plain],
    context: () => ({
      host: "h",
      realm: "h",
      service: "smtp",
      find: async () => ({ kind: "absent" }),
      checkPassword: async () => ({ kind: "absent" }),
      externalIdentity: "",
      nonce: (bytes) => Buffer.alloc(bytes),
    }),
  };
  // As fail2ban's sendmail-auth: the reason without a comma, the user, and the client's address as the last on the line.
  const FOUND =
    /^warning ID: AUTH failure \(PLAIN\): authentication failure \(-13\) SASL\(-13\): authentication failure: [^,]*(, user=[^,]*)?, relay=client\.test \[192\.0\.2\.1\]$/;
  for (const user of [
    "joe",
    "joe@realm.test",
    "x, relay=[198.51.100.7]",
    "a]: b=c, relay=evil [198.51.100.7",
    "ünï",
  ])
    it(`by ${user} names the user, and no address but the client's`, async () => {
      const guess = Buffer.from(`\0${user}\0wrong`).toString("base64");
      const log = await logOf(["EHLO c", `AUTH PLAIN ${guess}`, "QUIT"], { service: { auth } });
      assert.match(log[0] ?? "", FOUND);
      assert.equal(log[0]?.match(/relay=/g)?.length, 1);
      assert.ok(!log[0]?.includes("wrong,"));
      if (user === "joe") assert.match(log[0] ?? "", /, user=joe, /);
    });
});
