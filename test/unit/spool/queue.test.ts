// The queue's behaviour: when what is tried, who is told, what a restart and a wrong clock change (semantics 19 and 21, contract
// section 8 items 6 and 10, reliability.md CLK-01 to CLK-04, BNC-01, CR-06, CR-07).

import assert from "node:assert/strict";
import { test } from "node:test";
import { outcome } from "../../../src/mail/outcome.ts";
import { SimClock, settle } from "../../sim/clock.ts";
import { SimDisk } from "../../sim/disk.ts";
import { BUSY, DOWN, SENT, UNKNOWN, World } from "./world.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

async function world(options: ConstructorParameters<typeof World>[0] = {}, intervalMs = 0): Promise<World> {
  const made = new World(options);
  await made.open(intervalMs);
  return made;
}

test("background delivery tries a message at once and takes it out of the queue", async () => {
  const w = await world();
  assert.equal((await w.send("amy@example.net")).kind, "accepted");
  assert.deepEqual(w.sent[0]?.recipients, ["amy@example.net"]);
  assert.equal(w.spool.list().length, 0);
  assert.match(
    w.lines.join("\n"),
    /: from=<joe@example.com>, size=73, class=0, nrcpts=1, msgid=<1@example.com>, proto=ESMTP, daemon=MTA, relay=client.test \[192.0.2.1\]/,
  );
  assert.match(
    w.lines.join("\n"),
    /: to=<amy@example.net>, delay=00:00:00, xdelay=00:00:00, mailer=esmtp, pri=\d+, relay=mx.example, dsn=2.0.0, stat=Sent \(250 2.0.0 Ok\)/,
  );
});

for (const mode of ["queueonly", "deferred"] as const) {
  test(`${mode} mode waits for a queue run`, async () => {
    const w = await world({ DeliveryMode: mode });
    await w.send("amy@example.net");
    assert.equal(w.attempts, 0);
    await w.flush();
    assert.equal(w.sent.length, 1);
  });
}

test("recipients with the same host share one attempt; another host has its own", async () => {
  const w = await world();
  await w.send(["amy@example.net", "bob@example.net", "cat@example.org"]);
  assert.deepEqual(w.sent.map((s) => s.recipients.length).sort(), [1, 2]);
});

test("a recipient that two aliases reach gets one copy", async () => {
  const w = await world();
  const delivery = {
    mailer: "esmtp",
    host: "h",
    user: "amy@h",
    address: "amy@h",
    via: "x@h",
    sender: "s",
    unsafe: false,
  };
  w.aliases.set("x@h", { deliveries: [delivery], errors: [] });
  w.aliases.set("y@h", { deliveries: [delivery], errors: [] });
  await w.send(["x@h", "y@h"]);
  assert.deepEqual(w.sent[0]?.recipients, ["amy@h"]);
});

test("a queue run tries every message again, however often it was tried", async () => {
  const w = await world({}, 15 * MINUTE);
  w.otherwise = BUSY;
  await w.send("amy@example.net");
  for (let i = 0; i < 4; i++) await w.clock.pass(15 * MINUTE);
  assert.equal(w.attempts, 5);
});

test("MinQueueAge spares what was tried more recently", async () => {
  const w = await world({ MinQueueAge: 30 * MINUTE }, 15 * MINUTE);
  w.otherwise = BUSY;
  await w.send("amy@example.net");
  await w.clock.pass(15 * MINUTE);
  assert.equal(w.attempts, 1);
  await w.clock.pass(15 * MINUTE);
  assert.equal(w.attempts, 2);
});

test("MaxQueueAge doubles the rest up to its value", async () => {
  const w = await world({ MinQueueAge: 10 * MINUTE, MaxQueueAge: 40 * MINUTE }, MINUTE);
  w.otherwise = BUSY;
  await w.send("amy@example.net");
  const at: number[] = [];
  let last = 1;
  for (let minute = 1; minute <= 160; minute++) {
    await w.clock.pass(MINUTE);
    if (w.attempts > last) at.push(minute);
    last = w.attempts;
  }
  assert.deepEqual(at.slice(0, 4), [10, 30, 70, 110]);
});

test("a host found dead in a queue run is not asked again for each message", async () => {
  const w = await world({ DeliveryMode: "queueonly" });
  w.otherwise = DOWN;
  for (let i = 0; i < 30; i++) await w.send(`u${i}@down.example`);
  await w.send("amy@up.example");
  w.answers.set("amy", SENT);
  await w.flush();
  assert.ok(w.attempts <= 17, `${w.attempts} attempts`);
  assert.equal(w.sent.length, 1);
  assert.ok(w.spool.list().every((e) => e.text.includes("Connection refused")));
});

test("new mail for a host that has just failed waits for one probe and is delivered when the host is back", async () => {
  const w = await world();
  w.otherwise = DOWN;
  await w.send("a@down.example");
  for (let i = 0; i < 20; i++) await w.send(`u${i}@down.example`);
  assert.equal(w.attempts, 1);
  w.otherwise = SENT;
  await w.clock.pass(4000);
  assert.equal(w.sent.length, 20);
});

test("new mail for a host that stays down is deferred at once, but for a probe now and then, and goes out when the host is back", async () => {
  const w = await world();
  w.otherwise = DOWN;
  const send = async (count: number, prefix: string): Promise<void> => {
    for (let i = 0; i < count; i++) await w.send(`${prefix}${i}@down.example`);
  };
  await send(100, "first");
  await w.clock.pass(4000);
  assert.equal(w.attempts, 2, "the first message and one probe for the other 99");
  assert.equal(w.spool.list().filter((e) => e.text.includes("Connection refused")).length, 100);
  await send(50, "second");
  assert.equal(
    w.spool.list().filter((e) => e.text.includes("Connection refused")).length,
    150,
    "nobody waits",
  );
  assert.equal(w.attempts, 2);
  await w.clock.pass(4000);
  await send(50, "third");
  assert.equal(w.attempts, 3, "one of the third is a probe");
  w.otherwise = SENT;
  await w.clock.pass(4000);
  await send(5, "fourth");
  assert.equal(w.sent.length, 5);
});

test("partial success is remembered over a power cut: only what is left is tried again", async () => {
  const w = await world();
  w.answers.set("bob", BUSY);
  await w.send(["amy@example.net", "bob@example.net"]);
  await w.clock.pass(200);
  const next = await w.reboot();
  await next.clock.pass(1);
  assert.deepEqual(
    next.sent.map((s) => s.recipients),
    [["bob@example.net"]],
  );
});

test("a failure is told to the sender, once, with the null sender", async () => {
  const w = await world();
  w.answers.set("bad", UNKNOWN);
  await w.send("bad@example.net");
  assert.equal(w.sent.length, 1);
  const [notice] = w.sent;
  assert.equal(notice?.sender, "");
  assert.deepEqual(notice?.recipients, ["joe@example.com"]);
  assert.match(notice?.header ?? "", /Auto-Submitted: auto-generated \(failure\)/);
  assert.match(
    notice?.body ?? "",
    /Final-Recipient: RFC822; bad@example.net\r\n(?:X-Actual-Recipient: rfc822; bad@example.net\r\n)?Action: failed\r\nStatus: 5.1.1\r\nRemote-MTA: DNS; mx.example\r\nDiagnostic-Code: SMTP; 550 5.1.1/,
  );
  assert.equal(w.spool.list().length, 0);
});

test("500 failing recipients make one notice", async () => {
  const w = await world();
  w.otherwise = UNKNOWN;
  w.answers.set("joe", SENT);
  await w.send(Array.from({ length: 500 }, (_, i) => `u${i}@example.net`));
  assert.equal(w.sent.length, 1);
  assert.equal(w.sent[0]?.body.match(/^Final-Recipient/gm)?.length, 500);
});

test("the null sender gets no notice: the postmaster does, and a failing double bounce is the end", async () => {
  const w = await world();
  w.otherwise = UNKNOWN;
  w.aliases.set("postmaster", {
    deliveries: [
      {
        mailer: "esmtp",
        host: "h",
        user: "pm@h",
        address: "postmaster",
        via: "",
        sender: "MAILER-DAEMON",
        unsafe: false,
      },
    ],
    errors: [],
  });
  await w.send("bad@example.net", { sender: "" });
  await settle();
  assert.equal(w.attempts, 2);
  assert.equal(w.spool.list().length, 0);
  assert.match(w.lines.join("\n"), /postmaster notify/);
  assert.match(w.lines.join("\n"), /double bounce dropped/);
});

test("an empty DoubleBounceAddress drops the bounce of a bounce", async () => {
  const w = await world({ DoubleBounceAddress: "" });
  w.otherwise = UNKNOWN;
  await w.send("bad@example.net", { sender: "" });
  assert.equal(w.attempts, 1);
  assert.equal(w.spool.list().length, 0);
});

const NOTIFY = [
  { name: "nothing said, failed", notify: undefined, answer: UNKNOWN, notices: ["failure"] },
  { name: "NEVER, failed", notify: ["NEVER"] as const, answer: UNKNOWN, notices: [] },
  { name: "SUCCESS, failed", notify: ["SUCCESS"] as const, answer: UNKNOWN, notices: [] },
  { name: "FAILURE, failed", notify: ["FAILURE"] as const, answer: UNKNOWN, notices: ["failure"] },
  {
    name: "SUCCESS, next hop without DSN",
    notify: ["SUCCESS"] as const,
    answer: outcome("delivered", "2.0.0", "Sent", { remote: "mx.example" }),
    notices: ["return-receipt"],
  },
  { name: "SUCCESS, next hop with DSN", notify: ["SUCCESS"] as const, answer: SENT, notices: [] },
  {
    name: "nothing said, delivered",
    notify: undefined,
    answer: outcome("delivered", "2.0.0", "Sent"),
    notices: [],
  },
];

for (const { name, notify, answer, notices } of NOTIFY) {
  test(`NOTIFY ${name}: ${notices.length === 0 ? "no notice" : notices.join()}`, async () => {
    const w = await world();
    w.answers.set("amy", answer);
    const recipient = { address: "amy@example.net", ...(notify === undefined ? {} : { notify }) };
    await w.send([], { recipients: [recipient] });
    const got = w.sent
      .filter((s) => s.sender === "")
      .map((s) => /auto-generated \(([^)]*)\)/.exec(s.header)?.[1]);
    assert.deepEqual(got, notices);
  });
}

test("a message is warned of once after queuewarn and returned after queuereturn", async () => {
  const w = await world({}, HOUR);
  w.otherwise = BUSY;
  w.answers.set("joe", SENT);
  await w.send("amy@example.net");
  await w.clock.pass(3 * HOUR + MINUTE);
  assert.equal(w.sent.length, 0);
  await w.clock.pass(2 * HOUR);
  assert.equal(w.sent.length, 1);
  assert.match(w.sent[0]?.header ?? "", /Subject: Warning: could not send message for past 4 hours/);
  assert.match(w.sent[0]?.body ?? "", /Will keep trying until message is 5 days old/);
  await w.clock.pass(4 * DAY);
  assert.equal(w.sent.length, 1);
  await w.clock.pass(DAY);
  assert.equal(w.sent.length, 2);
  assert.match(
    w.sent[1]?.body ?? "",
    /Message could not be delivered for 5 days\r\nMessage will be deleted from queue/,
  );
  assert.match(w.sent[1]?.body ?? "", /Status: 4.4.7/);
  assert.equal(w.spool.list().length, 0);
});

test("warning and last notice tell what the next hop said last", async () => {
  const w = await world({}, HOUR);
  w.otherwise = BUSY;
  w.answers.set("joe", SENT);
  await w.send("amy@example.net");
  await w.clock.pass(3 * HOUR + MINUTE);
  await w.clock.pass(6 * DAY);
  assert.equal(w.sent.length, 2);
  for (const [nth, status] of [
    [0, "4\\.3\\.2"],
    [1, "4\\.4\\.7"],
  ] as const) {
    const body = w.sent[nth]?.body ?? "";
    assert.match(
      body,
      new RegExp(
        `Status: ${status}\r\nRemote-MTA: DNS; mx\\.example\r\nDiagnostic-Code: SMTP; 451 4\\.3\\.2 try later\r\n`,
      ),
    );
    assert.match(body, /\(reason: 451 4\.3\.2 try later\)/);
    assert.match(
      body,
      /\.\.\. while talking to mx\.example:\r\n<<< 451 4\.3\.2 try later\r\n<amy@example\.net>\.\.\. Deferred: 451/,
    );
  }
});

test("urgent mail is returned earlier, bulk mail is not warned of", async () => {
  const w = await world({}, HOUR);
  w.otherwise = BUSY;
  w.answers.set("joe", SENT);
  await w.send("amy@example.net", { urgency: "urgent", precedence: -60 });
  await w.clock.pass(2 * DAY + HOUR);
  assert.deepEqual(
    w.sent.map((s) => /auto-generated \(([^)]*)\)/.exec(s.header)?.[1]),
    ["failure"],
  );
});

const LARGE = "From the first line\r\n..dots\r\n".repeat(20_000);
const RETURNED = [
  { name: "whole", more: {}, options: {}, whole: true },
  { name: "whole when the sender asks for it", more: { ret: "FULL" }, options: {}, whole: true },
  { name: "as its header when the sender asks for that", more: { ret: "HDRS" }, options: {}, whole: false },
  {
    name: "as its header for nobodyreturn",
    more: {},
    options: { PrivacyOptions: ["nobodyreturn"] },
    whole: false,
  },
  { name: "as its header when it is bulk mail", more: { precedence: -60 }, options: {}, whole: false },
  {
    name: "as its header beyond MaxMessageSize",
    more: {},
    options: { MaxMessageSize: 500_000 },
    whole: false,
  },
] as const;

for (const { name, more, options, whole } of RETURNED)
  test(`a failed message of 600 kB comes back ${name}`, async () => {
    const w = await world({
      ...options,
      ...("PrivacyOptions" in options ? { PrivacyOptions: [...options.PrivacyOptions] } : {}),
    });
    w.answers.set("bad", UNKNOWN);
    await w.send("bad@example.net", more, LARGE);
    assert.equal(w.sent.length, 1);
    const body = w.sent[0]?.body ?? "";
    const type = whole ? "message/rfc822" : "text/rfc822-headers";
    assert.match(body, new RegExp(`\r\nContent-Type: ${type}\r\n\r\nReturn-Path: <joe@example.com>\r\n`));
    const original = LARGE.replaceAll("From the", ">From the");
    assert.equal(body.includes(`Subject: test\r\n\r\n${original}\r\n--`), whole);
    assert.equal(w.spool.list().length, 0);
  });

test("a failed large message comes back as its header when there is no room for two of it", async () => {
  const w = await world({ DeliveryMode: "queueonly" });
  await w.send("bad@example.net", {}, LARGE);
  w.answers.set("bad", UNKNOWN);
  w.disk.freeBytes = 400_000;
  await w.clock.pass(1500);
  w.spool.admit(1);
  await settle();
  await w.flush();
  await w.flush();
  assert.equal(w.sent.length, 1);
  assert.match(w.sent[0]?.body ?? "", /Content-Type: text\/rfc822-headers/);
  assert.equal(w.spool.list().length, 0);
});

test("a notice that cannot be stored keeps the message: nothing is lost on a full disk", async () => {
  const w = await world();
  w.answers.set("bad", BUSY);
  await w.send("bad@example.net");
  await w.clock.pass(5000);
  w.answers.set("bad", UNKNOWN);
  // A body that needs a file of its own, on a disk without room for it.
  w.disk.freeInodes = 0;
  const big = await w.send("huge@example.net", {}, `${"x".repeat(300_000)}\r\n`);
  assert.equal(big.kind, "refused");
  assert.ok(big.kind === "refused" && big.reply.code === 452);
  await w.flush();
  assert.equal(w.spool.list().length, 0);
});

test("at 1970 nothing expires, and a jump of the clock returns nothing in a burst", async () => {
  const w = await world({}, HOUR);
  w.otherwise = BUSY;
  w.answers.set("joe", SENT);
  await w.send("amy@example.net");
  await w.clock.pass(HOUR);
  const next = await w.reboot(HOUR, undefined, 30_000);
  next.answers.set("joe", SENT);
  await next.clock.pass(2 * HOUR);
  assert.equal(next.sent.length, 0);
  next.clock.setWall(Date.UTC(2082, 0, 1));
  await next.clock.pass(2 * HOUR);
  assert.ok(next.sent.every((s) => !s.header.includes("Returned mail")));
  assert.equal(next.spool.list().length, 1);
});

test("time that a trusted clock says the device was off counts, up to a day", async () => {
  const w = await world({}, HOUR);
  w.otherwise = BUSY;
  await w.send("amy@example.net");
  await w.clock.pass(200);
  const next = await w.reboot(HOUR, undefined, w.clock.wallMs() + 5 * HOUR);
  next.answers.set("joe", SENT);
  await next.flush();
  assert.match(next.sent[0]?.header ?? "", /Warning: could not send message/);
});

test("ids of two boots with the same clock differ, and have Sendmail's shape", async () => {
  const w = await world();
  const first = w.spool.open().id;
  const next = await w.reboot(0, undefined, 0);
  const second = next.spool.open().id;
  assert.notEqual(first, second);
  for (const id of [first, second]) assert.match(id, /^[0-9A-Za-z]{8}[0-9]{6}$/);
});

test("quarantined mail is not tried or listed, and is released by reason", async () => {
  const w = await world();
  await w.send("amy@example.net", { quarantine: "looks odd" });
  assert.equal(w.spool.list().length, 0);
  const held = [{ kind: "reason", text: "odd", negate: false }] as const;
  assert.equal(w.spool.list(held).length, 1);
  await w.flush();
  assert.equal(w.attempts, 0);
  const next = await w.reboot();
  assert.equal(next.spool.list(held)[0]?.hold, "looks odd");
  await Promise.all([next.spool.release(held), next.clock.pass(200)]);
  await next.flush();
  assert.equal(next.sent.length, 1);
});

for (const DeliveryMode of ["background", "interactive"] as const)
  test(`on a loaded machine only urgent mail is tried, ${DeliveryMode}; the rest when the load is gone or somebody asks`, async () => {
    const w = await world({ DeliveryMode, SuperSafe: "interactive" }, HOUR);
    w.priorityMax = 40_000;
    assert.equal((await w.send("amy@example.net")).kind, "accepted");
    await w.send("bulk@example.net", { precedence: -60 });
    await w.send("list@example.net", { precedence: -60 });
    assert.deepEqual(
      w.sent.flatMap((s) => s.recipients),
      ["amy@example.net"],
    );
    await w.clock.pass(HOUR);
    assert.equal(w.spool.list().length, 2, "queue runs leave them too");
    void w.spool.flush([{ kind: "recipient", text: "list", negate: false }]);
    await w.clock.pass(1);
    assert.equal(w.spool.list().length, 1, "an explicit run does not");
    w.priorityMax = Number.POSITIVE_INFINITY;
    await w.clock.pass(HOUR);
    assert.equal(w.spool.list().length, 0);
  });

test("suspend stops delivery and survives a reboot; resume delivers", async () => {
  const w = await world();
  await Promise.all([w.spool.suspend("delivery"), w.clock.pass(200)]);
  await w.send("amy@example.net");
  const next = await w.reboot();
  assert.equal(next.attempts, 0);
  assert.ok(next.spool.suspended.has("delivery"));
  await Promise.all([next.spool.resume("delivery"), next.clock.pass(200)]);
  assert.equal(next.sent.length, 1);
});

/** Starts the program again and again with what was on flash when it died, until it lives for an hour; how often it died. */
async function untilItLives(first: World, poison: string, delayMs: number): Promise<[World, number]> {
  let image = first.disk.strict();
  for (let deaths = 0; ; deaths++) {
    assert.ok(deaths < 12, "it dies for ever");
    const w = new World({}, new SimDisk(image), new SimClock());
    w.crashed = deaths > 0;
    w.poison = poison;
    w.delayMs = delayMs;
    w.otherwise = BUSY;
    await w.open(900_000);
    for (let second = 0; second < 3600 && w.died === null; second += 10) await w.clock.pass(10_000);
    if (w.died === null) return [w, deaths];
    image = w.died;
  }
}

test("the message that ends the program is held at its third end, alone, and said", async () => {
  for (const delayMs of [0, 5_000, 300_000]) {
    const first = await world({ DeliveryMode: "queueonly" });
    for (let i = 0; i < 20; i++) await first.send(`${i === 7 ? "poison" : `user${i}`}@host${i % 5}.example`);
    const [w, deaths] = await untilItLives(first, "poison", delayMs);
    const held = w.spool.list([{ kind: "reason", text: "", negate: false }]);
    assert.deepEqual(
      held.map((e) => e.recipients[0]?.address),
      ["poison@host2.example"],
      `attempts of ${delayMs} ms`,
    );
    assert.match(held[0]?.hold ?? "", /the program ended 3 times/);
    assert.ok(deaths <= 5, `${deaths} ends`);
    assert.ok(w.lines.some((line) => /quarantine=the program ended/.test(line)));
    const letters = w.spool.list().filter((e) => e.recipients[0]?.address === "postmaster");
    assert.equal(letters.length, 1, "one letter to the postmaster");
  }
});

test("what the program holds comes back to its sender in the end; what a person holds does not", async () => {
  const day = 24 * 3600 * 1000;
  const first = await world({ DeliveryMode: "queueonly" });
  await first.send("poison@example.net", { sender: "joe@gw.example" });
  await first.send("amy@example.net", { sender: "joe@gw.example" });
  await first.spool.hold([{ kind: "recipient", text: "amy", negate: false }], "looked at by Sam");
  const [w] = await untilItLives(first, "poison", 0);
  w.otherwise = SENT;
  const sentTo = (who: string) => w.sent.filter((s) => s.recipients.includes(who));
  for (let hours = 0; hours < 5; hours++) await w.clock.pass(3600_000);
  assert.equal(sentTo("joe@gw.example").length, 1, "after four hours its sender is warned");
  await w.clock.pass(6 * day);
  const [, bounce] = sentTo("joe@gw.example");
  assert.match(bounce?.body ?? "", /Action: failed/);
  assert.match(bounce?.body ?? "", /poison@example\.net/);
  assert.match(bounce?.body ?? "", /the program ended 3 times while trying this message/);
  assert.equal(sentTo("joe@gw.example").length, 2);
  assert.deepEqual(
    w.spool.list([{ kind: "reason", text: "", negate: false }]).map((e) => e.hold),
    ["looked at by Sam"],
  );
});

test("power cuts and kills from outside never count against a message, however often they come", async () => {
  let w = await world();
  w.otherwise = BUSY;
  for (let i = 0; i < 20; i++) await w.send(`user${i}@example.net`);
  await w.clock.pass(200);
  for (let cut = 0; cut < 10; cut++) {
    const image = w.disk.strict();
    w = new World({}, new SimDisk(image), new SimClock());
    w.delayMs = Number.MAX_SAFE_INTEGER;
    await w.open(900_000);
    await w.clock.pass(2_000);
    assert.ok(w.attempts > 0, "they are tried again");
  }
  const last = await w.reboot();
  last.otherwise = SENT;
  await last.flush();
  assert.deepEqual(last.spool.list([{ kind: "reason", text: "", negate: false }]), []);
  assert.equal(last.sent.length, 20);
});

test("a power cut between two ends of the program wipes the slate", async () => {
  const first = await world({ DeliveryMode: "queueonly" });
  await first.send("poison@example.net");
  let image = first.disk.strict();
  // Twice it ends the program, then the power fails, and so on.
  for (const crashed of [false, true, true, false, true, true, false]) {
    const w = new World({}, new SimDisk(image), new SimClock());
    w.crashed = crashed;
    w.poison = "poison";
    await w.open(900_000);
    await w.clock.pass(200);
    assert.ok(w.died !== null, "it is tried each time");
    image = w.died;
  }
});

test("the program's own note of its end counts like its starter's word, once", async () => {
  const first = await world({ DeliveryMode: "queueonly" });
  await first.send("poison@example.net");
  let image: ReadonlyMap<string, Buffer> = first.disk.strict();
  let deaths = 0;
  for (; deaths < 12; deaths++) {
    const w = new World({}, new SimDisk(image), new SimClock());
    w.poison = "poison";
    await w.open(900_000);
    await w.clock.pass(200);
    if (w.died === null) break;
    assert.equal(w.died.has("/q/crashed"), false, "the note is taken away when deliveries begin");
    image = new Map([...w.died, ["/q/crashed", Buffer.alloc(0)]]);
  }
  assert.equal(deaths, 4, "once unmarked, then three times with a mark");
});

test("each damaged message costs only itself, and is kept with a reason", async () => {
  const w = await world({ DeliveryMode: "queueonly" });
  for (const name of ["one", "two", "three"]) await w.send(`${name}@example.net`, {}, `${name} `.repeat(50));
  const image = new Map(w.disk.strict());
  for (const [path, content] of image) {
    const at = content.indexOf("two two two");
    if (at < 0) continue;
    const changed = Buffer.from(content);
    changed[at] = 0;
    image.set(path, changed);
  }
  const next = await w.reboot(0, image);
  assert.equal(next.spool.list().length, 2);
  const damaged = await next.spool.damaged();
  assert.deepEqual(damaged.length, 1);
  assert.match(damaged[0]?.reason ?? "", /checksum/);
  const again = await next.reboot();
  assert.equal((await again.spool.damaged()).length, 1);
  const name = damaged[0]?.name ?? "";
  const id = await again.spool.reinject(name, "");
  assert.ok(id.ok);
  assert.equal((await again.spool.damaged()).length, 0);
  await again.flush();
  assert.deepEqual(again.sent.map((s) => s.recipients[0]).sort(), [
    "one@example.net",
    "three@example.net",
    "two@example.net",
  ]);
  assert.ok(!(await again.spool.reinject(name, "")).ok);
  const last = await again.reboot();
  assert.equal((await last.spool.damaged()).length, 0, "it does not come back");
});

/** The disk after a byte of the accept record of `id` was turned, so many bytes into its payload. */
function withRecordDamaged(w: World, id: string, byte: number): Map<string, Buffer> {
  const image = new Map(w.disk.strict());
  for (const [path, content] of image) {
    const at = content.indexOf(id);
    if (!path.includes("/log/") || at < 0) continue;
    const changed = Buffer.from(content);
    changed[at + byte] = (changed[at + byte] ?? 0) ^ 1;
    image.set(path, changed);
  }
  return image;
}

for (const { name, byte, back } of [
  { name: "its time of arrival", byte: 17, back: true },
  { name: "the checksum of its body", byte: 48, back: true },
  { name: "the number of its file", byte: 56, back: false },
])
  test(`a large message whose record is damaged (${name}): its file is kept, and the message ${back ? "can be sent after all" : "is not taken for another"}`, async () => {
    const w = await world({ DeliveryMode: "queueonly" });
    const lost = await w.send("amy@example.net", {}, LARGE);
    for (let n = 0; n < 3; n++) await w.send(`u${n}@example.net`, {}, LARGE.replaceAll("dots", `d${n}`));
    const next = await w.reboot(0, withRecordDamaged(w, lost.kind === "accepted" ? lost.id : "", byte));
    assert.equal(next.spool.list().length, 3);
    // New large messages must not take the file, nor those of a later start.
    for (let n = 3; n < 6; n++) await next.send(`u${n}@example.net`, {}, LARGE.replaceAll("dots", `d${n}`));
    await next.flush();
    assert.equal(next.sent.length, 6);
    await next.clock.pass(300);
    const again = await next.reboot();
    for (let n = 0; n < 3; n++) await again.send(`v${n}@example.net`, {}, LARGE.replaceAll("dots", `e${n}`));
    const [item] = await again.spool.damaged();
    const id = await again.spool.reinject(item?.name ?? "", "");
    assert.equal(id.ok, back, id.ok ? id.value : id.error);
    await again.flush();
    const amy = again.sent.filter((s) => s.recipients.includes("amy@example.net"));
    assert.deepEqual(
      amy.map((s) => s.body === LARGE),
      back ? [true] : [],
    );
    if (!back) assert.ok(await again.spool.discardDamaged(item?.name ?? ""));
    assert.deepEqual(await again.spool.damaged(), []);
    await again.clock.pass(300);
    const last = await again.reboot();
    assert.deepEqual([last.spool.list(), await last.spool.damaged()], [[], []]);
  });

test("a large message that a power failure cut off keeps no file", async () => {
  const w = await world({ DeliveryMode: "queueonly" });
  const lost = await w.send("amy@example.net", {}, LARGE);
  const next = await w.reboot(0, withRecordDamaged(w, lost.kind === "accepted" ? lost.id : "", 17));
  assert.equal(next.spool.list().length, 0);
  const [item] = await next.spool.damaged();
  assert.match(item?.reason ?? "", /end of the log/);
  assert.ok(!(await next.spool.reinject(item?.name ?? "", "")).ok);
});

test("a large message whose file is damaged is held, never delivered", async () => {
  const w = await world({ DeliveryMode: "queueonly" });
  await w.send("amy@example.net", {}, `${"x".repeat(300_000)}\r\n`);
  const image = new Map(w.disk.strict());
  for (const [path, content] of image) {
    if (!path.includes("/body/")) continue;
    const changed = Buffer.from(content);
    changed[1000] = 0;
    image.set(path, changed);
  }
  const next = await w.reboot(0, image);
  await next.flush();
  assert.equal(next.sent.length, 0);
  assert.match(next.spool.list([{ kind: "reason", text: "", negate: false }])[0]?.hold ?? "", /damaged/);
});

test("a full disk refuses mail with 452, goes on delivering, and recovers alone", async () => {
  const w = await world({ DeliveryMode: "queueonly" });
  await w.send("amy@example.net");
  w.disk.freeBytes = 0;
  await w.clock.pass(2000);
  w.spool.admit(0);
  await settle();
  const refusal = w.spool.admit(1000);
  assert.equal(refusal?.code, 452);
  assert.equal(refusal?.enhanced, "4.4.5");
  await w.flush();
  assert.equal(w.sent.length, 1);
  await w.clock.pass(200);
  w.disk.freeBytes = 32 * 1024 * 1024;
  w.spool.admit(0);
  await w.clock.pass(2000);
  w.spool.admit(0);
  await settle();
  assert.equal(w.spool.admit(1000), null);
});

test("DELIVERBY with R returns what is late, with N tells of it and goes on", async () => {
  for (const mode of ["R", "N"] as const) {
    const w = await world({}, 10 * MINUTE);
    w.otherwise = BUSY;
    w.answers.set("joe", SENT);
    await w.send("amy@example.net", { deliverBy: { seconds: 1200, mode, trace: false } });
    await w.clock.pass(9 * MINUTE);
    assert.equal(w.sent.length, 0);
    await w.clock.pass(22 * MINUTE);
    assert.equal(w.sent.length, 1);
    assert.match(w.sent[0]?.body ?? "", mode === "R" ? /Status: 5.4.7/ : /Action: delayed/);
    assert.equal(w.spool.list().length, mode === "R" ? 0 : 1);
  }
});

test("DELIVERBY is judged when its time is up, without a queue run, and nothing late is delivered", async () => {
  for (const mode of ["R", "N"] as const) {
    const w = await world({}, 4 * HOUR);
    w.otherwise = BUSY;
    w.answers.set("joe", SENT);
    await w.send("amy@example.net", { deliverBy: { seconds: 1200, mode, trace: false } });
    await w.clock.pass(20 * MINUTE - 1000);
    assert.equal(w.sent.length, 0);
    if (mode === "R") w.otherwise = SENT;
    const attempts = w.attempts;
    await w.clock.pass(2000);
    assert.equal(w.sent.length, 1);
    assert.deepEqual(w.sent[0]?.recipients, ["joe@example.com"]);
    assert.match(w.sent[0]?.body ?? "", mode === "R" ? /Status: 5.4.7/ : /Action: delayed/);
    assert.equal(w.attempts - attempts, mode === "R" ? 1 : 2, "R: only the notice is sent");
    await w.clock.pass(4 * HOUR);
    assert.equal(w.sent.length, 1);
  }
});

test("a message that stays pins no segment: the log stays small and is copied at most once for each byte accepted", async () => {
  const disk = new SimDisk();
  disk.totalBytes = 2 * 1024 * 1024;
  const w = new World({}, disk);
  await w.open();
  w.answers.set("stays", BUSY);
  for (let i = 0; i < 10; i++) await w.send("stays@example.net", {}, `${"s".repeat(3000)}\r\n`);
  const before = w.spool.figures().log.written;
  let accepted = 0;
  for (let i = 0; i < 600; i++) {
    const body = `${"x".repeat(3000)}\r\n`;
    await w.submit("amy@example.net", {}, body);
    accepted += body.length;
    if (i % 20 === 0) await w.clock.pass(150);
  }
  await w.clock.pass(200);
  const { log } = w.spool.figures();
  assert.ok(log.segments <= 6, `${log.segments} segments`);
  assert.ok(log.written - before < 2.2 * accepted, `${log.written - before} bytes written for ${accepted}`);
  const next = await w.reboot();
  next.otherwise = SENT;
  await next.flush();
  assert.equal(next.sent.length, 10);
  assert.ok(next.sent.every((s) => s.body === `${"s".repeat(3000)}\r\n`));
});

test("a spool that has grown gets larger segments, and what was queued in small ones stays", async () => {
  const disk = new SimDisk();
  disk.totalBytes = 2 * 1024 * 1024;
  const w = new World({ DeliveryMode: "queueonly" }, disk);
  await w.open();
  for (let i = 0; i < 40; i++) await w.send(`u${i}@example.net`, {}, `${"x".repeat(3000)}\r\n`);
  const grown = await w.reboot();
  for (let i = 0; i < 20; i++) await grown.send(`v${i}@example.net`, {}, `${"y".repeat(100_000)}\r\n`);
  const last = await grown.reboot();
  await last.flush();
  assert.equal(last.sent.length, 60);
  await last.clock.pass(300);
  assert.equal((await last.reboot()).spool.list().length, 0);
});
