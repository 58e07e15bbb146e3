// Who may ask what over the control sockets, by what the kernel says of the peer: every local user submits as himself and does nothing
// else; what a submission says is looked at before it is believed. Needs root, to become somebody else.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { statSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { encodeFrame } from "../../src/control/frame.ts";
import { freePort, Gateway, Sink, until } from "./gateway.ts";

const gateway = new Gateway("controlusers");
const sink = new Sink();
const isRoot = process.getuid?.() === 0;
/** Known to class t by the name that a user without an account has. */
const TRUSTED = 61003;
const JOE = 61001;
const MAIL_GROUP = 12;

before(async () => {
  if (!isRoot) return;
  await sink.start();
  gateway.port = await freePort();
  gateway.write({
    "sendmail.mc": `OSTYPE(\`linux')
define(\`confDOMAIN_NAME', \`gw.test')dnl
define(\`confPRIVACY_FLAGS', \`authwarnings,restrictmailq,restrictqrun')dnl
FEATURE(\`mailertable')dnl
FEATURE(\`use_ct_file')dnl
FEATURE(\`nocanonify')dnl
FEATURE(\`no_default_msa')dnl
DAEMON_OPTIONS(\`Name=MTA, Addr=127.0.0.1, Port=${gateway.port}')dnl
MAILER(\`smtp')dnl
`,
    "trusted-users": `uid${TRUSTED}\n`,
    mailertable: `.\tsmtp:[127.0.0.1]:${sink.port}\n`,
  });
  await gateway.start();
});
after(async () => {
  await gateway.remove();
  await sink.stop();
});

/** Frames of an answer, spoken by a process of `uid` and `gid` that knows nothing of our sources. */
function ask(
  uid: number,
  gid: number,
  socket: string,
  call: unknown,
  data = "",
  later = false,
): { type: string; text: string }[] {
  const first = encodeFrame("J", JSON.stringify(call));
  const rest = [...(data === "" ? [] : [encodeFrame("D", data)]), encodeFrame("E", "")];
  // A client of SMTP lets the other side speak first.
  const bytes = later ? first : Buffer.concat([first, ...rest]);
  const ran = spawnSync(
    process.execPath,
    [
      "-e",
      `const s=require("node:net").connect(process.argv[1]);s.on("error",e=>{process.stdout.write(e.code);process.exit(3)});
       s.pipe(process.stdout);s.once("data",()=>s.write(Buffer.from(process.argv[2],"base64")));process.stdin.pipe(s,{end:false});setTimeout(()=>process.exit(4),15000).unref()`,
      socket,
      later ? Buffer.concat(rest).toString("base64") : "",
    ],
    { uid, gid, input: bytes, timeout: 30_000, cwd: "/" },
  );
  if (ran.status === 3) return [{ type: "errno", text: ran.stdout.toString("latin1") }];
  const frames: { type: string; text: string }[] = [];
  for (let at = 0; at + 5 <= ran.stdout.length; ) {
    const length = ran.stdout.readUInt32BE(at + 1);
    frames.push({
      type: String.fromCharCode(ran.stdout[at] ?? 0),
      text: ran.stdout.toString("utf8", at + 5, at + 5 + length),
    });
    at += 5 + length;
  }
  return frames;
}

const LETTER = {
  ...{ sender: "", fullName: "", recipients: ["b@far.test"], fromHeader: false, user: "root", notify: "" },
  ...{ ret: "", envid: "", body: "", deliveryMode: "", quarantine: "", ignoreDots: true },
};

const everybody = `${gateway.control}.submit`;
const DENIED = /^permission denied: this is for root, the group mail and trusted users/;
const VERBS = [
  "mailq",
  "flush",
  "hold",
  "release",
  "delete",
  "requeue",
  "show",
  "verify",
  "reinject",
  "discard",
].concat([
  "hoststat",
  "purgestat",
  "mailstats",
  "counters",
  "suspend",
  "resume",
  "status",
  "reload",
  "trace",
  "history",
]);

describe("control sockets", { skip: isRoot ? false : "needs root, to become somebody else" }, () => {
  it("one is for root and the group mail, one for everybody", () => {
    assert.equal(statSync(gateway.control).mode & 0o777, 0o660);
    assert.equal(statSync(gateway.control).uid, 0);
    assert.equal(statSync(gateway.control).gid, MAIL_GROUP);
    assert.equal(statSync(everybody).mode & 0o777, 0o666);
    assert.deepEqual(ask(JOE, JOE, gateway.control, { verb: "status" }), [{ type: "errno", text: "EACCES" }]);
  });

  for (const verb of VERBS)
    it(`an ordinary user may not ask ${verb}`, () => {
      const [first] = ask(JOE, JOE, everybody, { verb, names: [], reason: "", user: "root" });
      assert.equal(first?.type, "X");
      assert.match(first?.text ?? "", DENIED);
    });

  const ALLOWED: readonly (readonly [string, number, number, string, string])[] = [
    ["root", 0, 0, "status", "J"],
    ["the gateway's user", 8, 8, "status", "J"],
    ["a member of the group mail", JOE, MAIL_GROUP, "status", "J"],
    ["a trusted user", TRUSTED, TRUSTED, "status", "J"],
    ["root", 0, 0, "flush", "J"],
    ["the gateway's user, who owns the queue folder,", 8, 8, "flush", "J"],
  ];
  for (const [who, uid, gid, verb, type] of ALLOWED)
    it(`${who} may ask ${verb}`, () => {
      const [first] = ask(uid, gid, everybody, { verb });
      assert.equal(first?.type ?? "", type, first?.text ?? "");
    });

  it("restrictmailq and restrictqrun hold for trusted users and the group, whatever program asks", () => {
    const list = "You are not permitted to see the queue";
    const run = "You do not have permission to process the queue";
    const rows: readonly (readonly [number, number, string, string])[] = [
      [TRUSTED, TRUSTED, "mailq", list],
      [TRUSTED, TRUSTED, "show", list],
      [TRUSTED, TRUSTED, "flush", run],
      [JOE, MAIL_GROUP, "flush", run],
    ];
    for (const [uid, gid, verb, text] of rows)
      assert.deepEqual(ask(uid, gid, everybody, { verb, names: [] })[0], { type: "X", text });
  });

  it("an ordinary user submits as himself, whoever he says he is", async () => {
    for (const user of ["root", "joe\r\nX-Evil: y", "joe\r\nRCPT TO:<evil@x.test>\r\nX: "]) {
      sink.received.length = 0;
      const [answer] = ask(
        JOE,
        JOE,
        everybody,
        { verb: "submit", submit: { ...LETTER, user } },
        "Subject: x\n\nbody\n",
      );
      assert.match(answer?.text ?? "", /"status":0/);
      const got = await until("the message comes", 15, () => sink.received[0]);
      assert.match(got.mail, new RegExp(`^MAIL From:<uid${JOE}@gw\\.test>`));
      assert.deepEqual(got.rcpt.length, 1);
      assert.doesNotMatch(got.data, /evil|root@/i);
    }
  });

  it("a sender that is not his is named with the one that the kernel knows", async () => {
    sink.received.length = 0;
    const submit = { ...LETTER, sender: "boss@gw.test", user: "boss\r\nX-Evil: y" };
    ask(JOE, JOE, everybody, { verb: "submit", submit }, "Subject: x\n\nbody\n");
    const got = await until("the message comes", 15, () => sink.received[0]);
    assert.match(
      got.data,
      new RegExp(`^X-Authentication-Warning: gw\\.test: uid${JOE} set sender to boss@gw\\.test`, "m"),
    );
    assert.doesNotMatch(got.data, /X-Evil/);
  });

  it("a session of -bs is his own", () => {
    const frames = ask(JOE, JOE, everybody, { verb: "smtp", user: "root" }, "EHLO x\r\n", true);
    assert.match(frames.map((f) => f.text).join(""), new RegExp(`250-gw\\.test Hello uid${JOE}@localhost`));
  });

  const LINES = "x\r\nRCPT TO:<evil@x.test>";
  const BAD: readonly (readonly [string, object])[] = [
    ["a line end in the sender", { sender: `a@b.test${LINES}` }],
    ["a line end in a recipient", { recipients: [`b@far.test${LINES}`] }],
    ["a line end in the envelope id", { envid: LINES }],
    ["a line end in NOTIFY", { notify: `SUCCESS\r\nRCPT` }],
    ["a NOTIFY that is none", { notify: "SUCCESS,NEVER" }],
    ["a line end in RET", { ret: LINES }],
    ["a line end in the body type", { body: LINES }],
    ["a line end in the delivery mode", { deliveryMode: LINES }],
    ["hops that are no number", { hops: "9" }],
    ["hops below zero", { hops: -1 }],
    ["recipients that are no list", { recipients: "b@far.test" }],
    ["recipients that are no text", { recipients: [{}] }],
    ["a sender that is no text", { sender: {} }],
    ["an endless sender", { sender: "a".repeat(100_000) }],
    ["20,000 recipients", { recipients: Array.from({ length: 20_000 }, (_, i) => `r${i}@far.test`) }],
    [
      "20,000 recipients in one word",
      { recipients: [Array.from({ length: 20_000 }, (_, i) => `r${i}@far.test`).join(",")] },
    ],
  ];
  for (const [name, over] of BAD)
    it(`${name} is refused`, () => {
      sink.received.length = 0;
      const [answer] = ask(
        JOE,
        JOE,
        everybody,
        { verb: "submit", submit: { ...LETTER, ...over } },
        "Subject: x\n\nbody\n",
      );
      assert.equal(answer?.type ?? "", "J", answer?.text ?? "");
      const { status, id } = JSON.parse(answer?.text ?? "{}");
      assert.ok([65, 64, 69].includes(status), answer?.text ?? "");
      assert.equal(id, "");
    });

  it("no call without a verb, no submission without a letter, nothing that is no frame", () => {
    for (const call of [
      null,
      1,
      "x",
      [],
      {},
      { verb: 1 },
      { verb: "submit" },
      { verb: "submit", submit: 7 },
      { verb: "__proto__" },
    ])
      assert.doesNotMatch(
        ask(JOE, JOE, everybody, call)
          .map((f) => f.text)
          .join(""),
        /"status":0/,
      );
    assert.equal(ask(0, 0, everybody, { verb: "status" })[0]?.type, "J");
  });
});
