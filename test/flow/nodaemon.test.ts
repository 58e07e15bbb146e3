// One way to ask: what a command is told does not depend on whether a daemon runs, and a command does its own work only.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, statSync } from "node:fs";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { freePort, Gateway, relayMc, Sink } from "./gateway.ts";

const sink = new Sink();
let gateway: Gateway;

const filled = new Gateway("filled");

async function made(name: string): Promise<Gateway> {
  const one = name === "" ? filled : new Gateway(name);
  one.port = await freePort();
  one.write({
    "sendmail.mc": relayMc(one.port),
    mailertable: `.\tesmtp:[127.0.0.1]:${sink.port}\n`,
    access: "",
  });
  return one;
}

// The queue is filled once: two free messages, one that is held.
before(async () => {
  await sink.start();
  gateway = await made("");
  for (const to of ["x@one.test", "y@two.test", "z@two.test"]) await sendmail("-odq", "-i", to);
  const held = await sendmail("-qRz@two.test", "-Qodd");
  assert.equal(held.status, 0, held.err);
});
after(async () => {
  await sink.stop();
  await filled.remove();
});

beforeEach(async () => {
  sink.received.length = 0;
  gateway = await made("nodaemon");
  cpSync(filled.queue, gateway.queue, { recursive: true });
  const { uid, gid } = statSync(filled.queue);
  execFileSync("chown", ["-R", `${uid}:${gid}`, gateway.queue]);
});

afterEach(() => gateway.remove());

const sendmail = (...words: string[]): ReturnType<Gateway["run"]> =>
  gateway.run("sendmail", [...gateway.options(), ...words], "Subject: s\n\nhi\n");

/** Recipients to whom something was sent, as often as it was. */
const sent = (): string[] =>
  sink.received.flatMap((r) => r.rcpt.map((l) => /<(.*)>/.exec(l)?.[1] ?? "")).sort();

async function listed(...words: string[]): Promise<string[]> {
  const { out, status } = await gateway.run("mailq", [...gateway.options(), ...words]);
  assert.equal(status, 0);
  return (out.match(/[xyz]@\w+\.test/g) ?? []).sort();
}

/** Runs `test` as it is and with a daemon that delivers nothing by itself. */
function bothWays(name: string, test: () => Promise<void>): void {
  it(`${name}, without a daemon`, test);
  it(`${name}, with one`, async () => {
    await gateway.start(["-odq"]);
    await test();
  });
}

describe("one way to ask", { concurrency: false }, () => {
  bothWays("mailq lists what is free, -qQ what is held, selectors select", async () => {
    assert.deepEqual(await listed(), ["x@one.test", "y@two.test"]);
    assert.deepEqual(await listed("-qQ"), ["z@two.test"]);
    assert.deepEqual(await listed("-qRtwo"), ["y@two.test"]);
    assert.deepEqual(await listed("-qQodd"), ["z@two.test"]);
    assert.deepEqual(await listed("-qQother"), []);
  });

  bothWays("-bP counts all", async () => {
    assert.match((await sendmail("-bP")).out, /entries=3$/m);
  });

  bothWays("-qR tries the chosen one, once", async () => {
    assert.equal((await sendmail("-qRone.test")).status, 0);
    assert.deepEqual(sent(), ["x@one.test"]);
    assert.deepEqual(await listed(), ["y@two.test"]);
  });

  bothWays("-q tries what is free, once", async () => {
    sink.replies.set("RCPT", "450 4.2.0 later");
    const tries = (): number => sink.rcptSeen;
    try {
      const before = tries();
      assert.equal((await sendmail("-q")).status, 0);
      assert.equal(tries() - before, 2);
    } finally {
      sink.replies.delete("RCPT");
    }
    assert.equal((await sendmail("-q")).status, 0);
    assert.deepEqual(sent(), ["x@one.test", "y@two.test"]);
  });

  bothWays("-Q holds and gives free", async () => {
    assert.equal((await sendmail("-qRx@one.test", "-Qlook at it")).status, 0);
    assert.deepEqual(await listed("-qQ"), ["x@one.test", "z@two.test"]);
    assert.equal((await sendmail("-qQ", "-Q")).status, 0);
    assert.deepEqual(await listed(), ["x@one.test", "y@two.test", "z@two.test"]);
  });

  bothWays("postern spool deletes", async () => {
    const done = await gateway.run("spool", [...gateway.options(), "delete", "-qRone"]);
    assert.equal(done.out, "1 message\n", done.err);
    assert.deepEqual(await listed(), ["y@two.test"]);
  });

  it("a new mail does not wait for the queue, and does not run it", async () => {
    const done = await sendmail("-i", "w@three.test");
    assert.equal(done.status, 0, done.err);
    assert.deepEqual(sent(), ["w@three.test"]);
    assert.deepEqual(await listed(), ["x@one.test", "y@two.test"]);
  });
});
