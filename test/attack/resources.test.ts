// RES rows (reliability 3.6) and LIFE-01 on loopback: idle, slow, deaf and vanishing clients cost a bounded amount for a bounded
// time, and a good client is served within two seconds all the while. Minutes pass in seconds: the server's clock is a fast one.

import assert from "node:assert/strict";
import { connect as connectTcp, type Socket } from "node:net";
import { afterEach, describe, it } from "node:test";
import type { DaemonSpec } from "../../src/config/configuration.ts";
import { NO_DAEMON } from "../../src/smtpd/service.ts";
import { type Clock, systemClock } from "../../src/sys/clock.ts";
import { makeStage, resolverOf, type Stage, type StageOptions, Talk } from "../dialog/stage.ts";

const open: Stage[] = [];
const sockets = new Set<Socket>();

afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  sockets.clear();
  for (const stage of open.splice(0)) await stage.smtpd.close(false);
});

/** A clock on which a minute passes in a second. */
const fast: Clock = {
  monotonicMs: () => systemClock.monotonicMs() * 60,
  wallMs: () => systemClock.wallMs(),
  after: (ms, fn) => systemClock.after(ms / 60, fn),
};

function stageOf(over: StageOptions = {}): Stage {
  const stage = makeStage({
    ...over,
    service: { resolver: resolverOf(new Map([["127.0.0.1", "localhost"]])), ...over.service },
  });
  open.push(stage);
  return stage;
}

async function listen(stage: Stage, daemon: Partial<DaemonSpec> = {}): Promise<number> {
  const bound = await stage.smtpd.listen({ ...NO_DAEMON, name: "MTA", address: "127.0.0.1", ...daemon });
  assert.ok(bound.ok);
  return bound.value.port;
}

function dial(port: number): Talk {
  const socket = connectTcp({ port, host: "127.0.0.1", noDelay: true });
  sockets.add(socket);
  return new Talk(socket, new Promise((resolve) => socket.once("close", () => resolve())));
}

async function goodClient(port: number): Promise<void> {
  const started = performance.now();
  const talk = dial(port);
  await talk.reply();
  for (const command of ["EHLO c.test", "MAIL FROM:<a@c.test>", "RCPT TO:<b@g.test>", "DATA"])
    await talk.say(command);
  talk.send("A: b\r\n\r\nhello\r\n.\r\n");
  assert.match((await talk.reply())[0] ?? "", /^250 2\.0\.0 /);
  assert.match((await talk.say("QUIT"))[0] ?? "", /^221/);
  assert.ok(performance.now() - started < 2000, "served within two seconds");
}

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until the server has no connection left. */
async function empty(stage: Stage, withinMs: number): Promise<void> {
  const end = performance.now() + withinMs;
  while (stage.smtpd.stats.connections > 0) {
    assert.ok(performance.now() < end, `${stage.smtpd.stats.connections} connections left`);
    await wait(20);
  }
}

describe("clients that cost", () => {
  it("RES-01: 1000 silent connections stay within 40 MB, others are served, all end at Timeout.command", async () => {
    const stage = stageOf({ clock: fast, options: { "Timeout.command": 300_000 } });
    const port = await listen(stage);
    await goodClient(port);
    const before = process.memoryUsage();
    for (let batch = 0; batch < 10; batch++) {
      const greeted = Array.from({ length: 100 }, () => dial(port).reply());
      for (const reply of await Promise.all(greeted)) assert.match(reply[0] ?? "", /^220/);
    }
    assert.equal(stage.smtpd.stats.connections, 1000);
    const after = process.memoryUsage();
    // Both ends of the connections live in this process.
    assert.ok(after.heapUsed + after.external - before.heapUsed - before.external < 40e6);
    await goodClient(port);
    await empty(stage, 15_000);
    await goodClient(port);
  });

  it("RES-02: a byte now and then does not keep a connection past its command's deadline", async () => {
    const stage = stageOf({ clock: fast, options: { "Timeout.command": 120_000 } });
    const port = await listen(stage);
    const talks = Array.from({ length: 200 }, () => dial(port));
    await Promise.all(talks.map((talk) => talk.reply()));
    const dripping = setInterval(() => {
      for (const talk of talks) if (!talk.stream.destroyed) talk.send("E");
    }, 200);
    await goodClient(port);
    await empty(stage, 10_000).finally(() => clearInterval(dripping));
  });

  it("RES-02: a message that drips in ends after Timeout.datablock, and nothing is kept", async () => {
    const stage = stageOf({ clock: fast, options: { "Timeout.datablock": 120_000 } });
    const port = await listen(stage);
    const talk = dial(port);
    await talk.reply();
    for (const command of ["EHLO c.test", "MAIL FROM:<a@c.test>", "RCPT TO:<b@g.test>", "DATA"])
      await talk.say(command);
    const dripping = setInterval(() => {
      if (!talk.stream.destroyed) talk.send("x");
    }, 100);
    await empty(stage, 10_000).finally(() => clearInterval(dripping));
    assert.equal(stage.intake.kept.length, 0);
    assert.equal(stage.intake.open_, 0);
  });

  it("RES-08: a client that never reads is not read from either, and ends at its deadline", async () => {
    const stage = stageOf({ clock: fast, options: { "Timeout.command": 120_000 } });
    const port = await listen(stage);
    const socket = connectTcp({ port, host: "127.0.0.1" });
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.pause();
    const block = Buffer.from("RSET\r\n".repeat(10_000));
    let given = 0;
    const feed = (): void => {
      while (given < 100 && !socket.destroyed) {
        given++;
        if (!socket.write(block)) return;
      }
    };
    socket.on("drain", feed);
    feed();
    await wait(700);
    const waiting = socket.writableLength;
    assert.ok(given < 100 || waiting > 0, "the client was made to wait");
    await goodClient(port);
    await empty(stage, 10_000);
  });

  const COSTLY: readonly (readonly [string, string])[] = [
    ["NOOPs", `${"NOOP\r\n".repeat(30)}QUIT\r\n`],
    ["HELOs, one by one", "HELO c.test\r\n"],
    ["refused recipients", `EHLO c.test\r\n`],
  ];
  for (const [what, bytes] of COSTLY)
    it(`RES-07: a client that leaves while it has to wait for its ${what} is not waited for`, async () => {
      const stage = stageOf({ options: { BadRcptThrottle: 1 } });
      const port = await listen(stage);
      const talk = dial(port);
      await talk.reply();
      talk.send(bytes);
      if (what.startsWith("HELO"))
        for (let n = 0; n < 3; n++) {
          await wait(50);
          talk.send(bytes);
        }
      if (what.startsWith("refused")) {
        await talk.reply();
        talk.send(`MAIL FROM:<a@c.test>\r\n${"RCPT TO:<unknown@g.test>\r\n".repeat(60)}`);
      }
      await wait(200);
      assert.equal(stage.smtpd.stats.connections, 1);
      talk.stream.end();
      await empty(stage, 500);
    });

  it("RES-11: a reset at every point leaves nothing behind", async () => {
    const stage = stageOf();
    const port = await listen(stage);
    const commands = [
      "",
      "EHLO c.test\r\n",
      "MAIL FROM:<a@c.test>\r\n",
      "RCPT TO:<b@g.test>\r\n",
      "DATA\r\n",
      "A: b\r\n\r\nhalf",
      "\r\n.\r\n",
    ];
    for (let point = 0; point < commands.length; point++)
      for (const early of [false, true]) {
        const talk = dial(port);
        await talk.reply();
        for (const command of commands.slice(1, point + 1)) {
          talk.send(command);
          if (command.endsWith("\r\n") && !(early && command === commands[point])) await talk.reply();
        }
        (talk.stream as Socket).resetAndDestroy();
      }
    await empty(stage, 3000);
    assert.equal(stage.intake.open_, 0);
    await goodClient(port);
  });
});

describe("listeners", () => {
  it("MaxDaemonChildren: a connection too many is dropped, and there is room again when one leaves", async () => {
    const stage = stageOf({ options: { MaxDaemonChildren: 2 } });
    const port = await listen(stage);
    const first = dial(port);
    const second = dial(port);
    await first.reply();
    await second.reply();
    const third = dial(port);
    assert.equal(await third.rest(), "");
    await first.say("QUIT");
    await first.leave();
    await wait(50);
    await second.say("QUIT");
    await goodClient(port);
    assert.equal(stage.smtpd.stats.refused, 1);
  });

  it("ConnectionRateThrottle: connections beyond the rate wait for the next second", async () => {
    const stage = stageOf({ options: { ConnectionRateThrottle: 2 } });
    const port = await listen(stage);
    const started = performance.now();
    const times = await Promise.all(
      Array.from({ length: 5 }, async () => {
        await dial(port).reply();
        return performance.now() - started;
      }),
    );
    times.sort((a, b) => a - b);
    // Two at once, two in the next second, one in the one after it; a second may end in between.
    assert.ok((times[4] ?? 0) > 900, `${times}`);
    assert.ok((times[0] ?? 9999) < 900, `${times}`);
  });

  it("an address that cannot be bound is an error with the reason, not a crash", async () => {
    const stage = stageOf();
    const port = await listen(stage);
    const again = await stage.smtpd.listen({ ...NO_DAEMON, name: "MTA", address: "127.0.0.1", port });
    assert.ok(!again.ok && /EADDRINUSE/.test(again.error));
  });

  it("LIFE-01: a stop tells idle clients, lets a message finish, and then is done", async () => {
    const stage = stageOf();
    const port = await listen(stage);
    const idle = dial(port);
    await idle.reply();
    const busy = dial(port);
    await busy.reply();
    for (const command of ["EHLO c.test", "MAIL FROM:<a@c.test>", "RCPT TO:<b@g.test>", "DATA"])
      await busy.say(command);
    busy.send("A: b\r\n\r\nhalf\r\n");
    await wait(20);
    let over = false;
    const stopped = stage.smtpd.close(true).then(() => {
      over = true;
    });
    assert.match((await idle.reply())[0] ?? "", /^421 4\.3\.2 /);
    idle.stream.destroy();
    assert.equal(over, false);
    busy.send("the rest\r\n.\r\n");
    assert.match((await busy.reply())[0] ?? "", /^250 2\.0\.0 /);
    assert.match((await busy.reply())[0] ?? "", /^421 4\.3\.2 /);
    busy.stream.end();
    await stopped;
    assert.equal(stage.intake.kept.length, 1);
  });

  it("a new configuration serves new connections, old ones finish under theirs", async () => {
    const stage = stageOf();
    const port = await listen(stage);
    const old = dial(port);
    await old.reply();
    stage.smtpd.update({ ...stage.service, hostName: "new.gw.test" }, []);
    const fresh = dial(port);
    assert.deepEqual(await fresh.reply(), ["220 new.gw.test ESMTP Postern"]);
    assert.deepEqual(await old.say("QUIT"), ["221 2.0.0 mail.gw.test closing connection"]);
    assert.deepEqual(await fresh.say("QUIT"), ["221 2.0.0 new.gw.test closing connection"]);
  });
});
