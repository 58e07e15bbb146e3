// Interactive delivery: what the client is answered, and what reaches the flash (contract section 8 item 10; semantics 19).

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Options } from "../../../src/config/options.ts";
import { type Outcome, outcome } from "../../../src/mail/outcome.ts";
import { settle } from "../../sim/clock.ts";
import { BUSY, DOWN, SENT, UNKNOWN, World } from "./world.ts";

const CUT_THROUGH: Partial<Options> = { DeliveryMode: "interactive", SuperSafe: "interactive" };

async function world(options: Partial<Options> = CUT_THROUGH): Promise<World> {
  const made = new World(options);
  await made.open();
  return made;
}

/** Bytes written to the disk so far. */
function writes(w: World): number {
  return w.disk.trace.filter((op) => op.startsWith("write")).length;
}

interface Case {
  readonly name: string;
  readonly to: readonly string[];
  readonly answers: readonly (readonly [string, Outcome])[];
  readonly how: "relayed" | "spooled" | "refused";
  /** Messages left in the queue. */
  readonly left: number;
  /** Notices that were sent. */
  readonly notices: number;
}

const CASES: readonly Case[] = [
  { name: "the next hop takes all", to: ["a@h", "b@h"], answers: [], how: "relayed", left: 0, notices: 0 },
  {
    name: "the one next hop refuses all for good",
    to: ["a@h", "b@h"],
    answers: [
      ["a", UNKNOWN],
      ["b", UNKNOWN],
    ],
    how: "refused",
    left: 0,
    notices: 0,
  },
  {
    name: "the next hop refuses one of two for good",
    to: ["a@h", "b@h"],
    answers: [["b", UNKNOWN]],
    how: "spooled",
    left: 0,
    notices: 1,
  },
  {
    name: "the next hop refuses for now",
    to: ["a@h"],
    answers: [["a", BUSY]],
    how: "spooled",
    left: 1,
    notices: 0,
  },
  { name: "the next hop is down", to: ["a@h"], answers: [["a", DOWN]], how: "spooled", left: 1, notices: 0 },
  {
    name: "one is taken, one refused for now",
    to: ["a@h", "b@h"],
    answers: [["b", BUSY]],
    how: "spooled",
    left: 1,
    notices: 0,
  },
  { name: "there are two next hops", to: ["a@h", "b@i"], answers: [], how: "spooled", left: 0, notices: 0 },
  {
    name: "two next hops refuse for good",
    to: ["a@h", "b@i"],
    answers: [
      ["a", UNKNOWN],
      ["b", UNKNOWN],
    ],
    how: "spooled",
    left: 0,
    notices: 1,
  },
];

for (const { name, to, answers, how, left, notices } of CASES) {
  test(`interactive: ${name}: ${how}`, async () => {
    const w = await world();
    for (const [user, answer] of answers) w.answers.set(user, answer);
    const before = writes(w);
    const verdict = await w.send(to);
    await w.clock.pass(500);
    assert.equal(verdict.kind === "accepted" ? verdict.how : "refused", how);
    assert.equal(w.spool.list().length, left);
    assert.equal(w.sent.filter((s) => s.sender === "").length, notices);
    if (how !== "spooled") assert.equal(writes(w), before, "nothing was written");
    for (const address of to)
      assert.ok(
        w.sent.filter((s) => s.recipients.includes(address)).length <= 1,
        "no recipient gets two copies",
      );
  });
}

test("interactive: the refusal carries the next hop's code, status and text", async () => {
  const w = await world();
  w.otherwise = outcome("failed", "5.7.1", "Rejected", { diagnostic: "554 5.7.1 go away", remote: "mx" });
  const verdict = await w.send("a@h");
  assert.deepEqual(verdict, { kind: "refused", reply: { code: 554, enhanced: "5.7.1", lines: ["go away"] } });
});

test("interactive: after the deadline the message is durable and acknowledged, and the running attempt still counts", async () => {
  const w = await world();
  w.delayMs = 5000;
  const pending = w.submit("a@h");
  await w.clock.pass(1100);
  const verdict = await pending;
  assert.equal(verdict.kind === "accepted" && verdict.how, "spooled");
  const held = await w.reboot();
  assert.equal(held.sent.length, 1, "it was on flash before the answer");
  await w.clock.pass(5000);
  assert.equal(w.sent.length, 1);
  assert.equal(w.spool.list().length, 0);
});

test("interactive: a refusal that comes after the deadline becomes a notice", async () => {
  const w = await world();
  w.delayMs = 5000;
  w.answers.set("a", UNKNOWN);
  const pending = w.submit("a@h");
  await w.clock.pass(1100);
  assert.equal((await pending).kind, "accepted");
  await w.clock.pass(20_000);
  assert.equal(w.sent.filter((s) => s.sender === "").length, 1);
});

test("interactive: mail for a host that is known to be down does not wait for it", async () => {
  const w = await world();
  w.otherwise = DOWN;
  await w.send("a@h");
  const attempts = w.attempts;
  const verdict = await w.send("b@h");
  assert.equal(verdict.kind, "accepted");
  assert.equal(w.attempts, attempts);
});

test("interactive: relaying goes on when the spool cannot be written, and what must be kept is refused with 421", async () => {
  const w = await world();
  w.answers.set("busy", BUSY);
  await w.send("busy@h");
  w.disk.break("EROFS");
  assert.equal((await w.send("busy@i")).kind, "refused");
  assert.equal(w.spool.admit(0), null);
  const verdict = await w.send("a@j");
  assert.equal(verdict.kind === "accepted" && verdict.how, "relayed");
  const refused = await w.send("busy@k");
  assert.ok(refused.kind === "refused" && refused.reply.code === 421);
});

test("interactive with SuperSafe=True: on flash before the attempt, the refusal of the one next hop is still the answer", async () => {
  const w = await world({ DeliveryMode: "interactive", SuperSafe: "true" });
  w.answers.set("bad", UNKNOWN);
  const before = writes(w);
  assert.equal((await w.send("a@h")).kind, "accepted");
  assert.ok(writes(w) > before);
  const refused = await w.send("bad@h");
  assert.ok(refused.kind === "refused" && refused.reply.code === 550);
  await w.clock.pass(500);
  assert.equal(w.sent.length, 1, "nobody else was told");
  assert.equal((await w.reboot()).spool.list().length, 0);
});

test("interactive with SuperSafe=True: a refusal after the deadline becomes a notice", async () => {
  const w = await world({ DeliveryMode: "interactive", SuperSafe: "true" });
  w.delayMs = 5000;
  w.answers.set("bad", UNKNOWN);
  const pending = w.submit("bad@h");
  await w.clock.pass(1500);
  assert.equal((await pending).kind, "accepted");
  await w.clock.pass(20_000);
  assert.equal(w.sent.filter((s) => s.sender === "").length, 1);
});

test("interactive: a large message is relayed through its file, which is gone afterwards", async () => {
  const w = await world();
  const verdict = await w.send("a@h", {}, `${"x".repeat(3_000_000)}\r\n`);
  assert.equal(verdict.kind === "accepted" && verdict.how, "relayed");
  assert.equal(w.sent[0]?.body.length, 3_000_002);
  await settle();
  assert.ok([...w.disk.live().keys()].every((path) => !path.includes("/body/")));
  assert.ok(!w.disk.syncs.includes("a large message before its record"));
});

test("interactive: a success notice is made when the next hop sends none", async () => {
  const w = await world();
  w.answers.set("a", outcome("delivered", "2.0.0", "Sent", { remote: "mx" }));
  w.answers.set("joe", SENT);
  await w.send([], { recipients: [{ address: "a@h", notify: ["SUCCESS"] }] });
  await w.clock.pass(300);
  assert.equal(w.sent.filter((s) => s.header.includes("return-receipt")).length, 1);
});
