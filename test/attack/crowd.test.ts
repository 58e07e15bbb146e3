// RES-01, RES-02, RES-09, RES-11 and RES-12 (reliability 3.6) as only the whole program can show them: what crowds cost in memory, files
// and time, measured from outside by the kernel's figures. Each ends with the three questions of siege.ts.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import type { Socket } from "node:net";
import { describe, it } from "node:test";
import { delay, send, until } from "../flow/gateway.ts";
import { Chance } from "../fuzz/chance.ts";
import { ATTACKS, Crowd } from "../soak/clients.ts";
import { besieged, copyOf, greeted, quiet, type Siege } from "./siege.ts";

/** Time-outs that a test can wait for. */
const IMPATIENT = "define(`confTO_COMMAND', `8s')dnl\ndefine(`confTO_DATABLOCK', `8s')dnl\n";

/** Bytes that 1200 idle and slow connections may cost together: 25 kB each. */
const CROWD_BYTES = 30e6;

async function arrive(port: number, count: number): Promise<Socket[]> {
  const all: Socket[] = [];
  while (all.length < count) {
    const some = Array.from({ length: Math.min(100, count - all.length) }, () => quiet(port));
    await greeted(some);
    all.push(...some);
  }
  return all;
}

/** Processor time that the gateway has used, in ticks of 10 ms. */
function ticks(siege: Siege): number {
  const stat = readFileSync(`/proc/${siege.gateway.pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

describe("crowds", () => {
  it(`RES-01, RES-02: 1000 idle and 200 slow connections cost less than ${CROWD_BYTES / 1e6} MB, a good client waits less than 2 s`, async () => {
    await besieged("crowd", { more: IMPATIENT, growth: CROWD_BYTES }, async (siege) => {
      const { port } = siege.gateway;
      const before = siege.figures().memory;
      const idle = await arrive(port, 1000);
      const slow = await arrive(port, 200);
      const all = [...idle, ...slow];
      // Half of the slow ones drip into a command, half into a message.
      slow.forEach((socket, n) => {
        if (n % 2 === 0) return;
        for (const [at, line] of [
          "EHLO c.test",
          "MAIL FROM:<a@c.test>\r\nRCPT TO:<b@gw2.test>\r\nDATA",
        ].entries())
          setTimeout(() => socket.write(`${line}\r\n`), 300 * at);
      });
      const dripping = setInterval(() => {
        for (const socket of slow) if (!socket.destroyed) socket.write("E");
      }, 700);
      try {
        assert.equal(all.filter((socket) => !socket.destroyed).length, 1200, "all of them are there");
        await siege.good();
        await siege.good();
        const cost = siege.figures().memory - before;
        assert.ok(cost < CROWD_BYTES, `${Math.round(cost / 1e6)} MB`);
        await until("time-outs have ended them all", 40, () =>
          all.every((socket) => socket.destroyed || socket.readableEnded),
        );
      } finally {
        clearInterval(dripping);
        for (const socket of all) socket.destroy();
      }
      assert.equal(
        siege.hop.taken.filter((t) => !t.mail.includes("good@")).length,
        0,
        "half messages were sent",
      );
    });
  });

  it("RES-09: with 40 open files and 100 clients it does not spin, queued mail leaves, and it recovers when they go", async () => {
    await besieged("files", { before: ["prlimit", "--nofile=40:40"] }, async (siege) => {
      const { gateway } = siege;
      siege.hop.slowMs = 1000;
      const queued = await send(gateway.port, "a@c.test", ["b@gw2.test"], "Subject: queued\r\n\r\nx\r\n");
      assert.match(queued, /^250 /);
      const crowd = Array.from({ length: 100 }, () => quiet(gateway.port));
      await delay(1000);
      const from = ticks(siege);
      const logged = gateway.output.length;
      await delay(2000);
      assert.ok(ticks(siege) - from < 100, `it spins: ${ticks(siege) - from} of 200 ticks`);
      assert.ok(gateway.output.length - logged < 20_000, "the log is flooded");
      await copyOf(siege, "queued");
      for (const socket of crowd) socket.destroy();
      siege.hop.slowMs = 0;
      await until("a message is taken again", 10, async () =>
        (await send(gateway.port, "a@c.test", ["b@gw2.test"], "Subject: later\r\n\r\nx\r\n")).startsWith(
          "250",
        ),
      );
      await copyOf(siege, "later");
    });
  });

  it("RES-11: a client that is stopped for good in mid-message is let go at the time-out", async () => {
    await besieged("stopped", { more: IMPATIENT }, async (siege) => {
      const script = `const socket = require("net").connect(${siege.gateway.port}, "127.0.0.1");
        const lines = ["EHLO c.test", "MAIL FROM:<a@c.test>", "RCPT TO:<b@gw2.test>", "DATA", "Subject: half"];
        socket.on("data", () => {
          if (lines.length > 0) socket.write(lines.shift() + "\\r\\n");
          if (lines.length === 0) console.log("now");
        });`;
      const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "ignore"] });
      try {
        await new Promise((resolve) => child.stdout.once("data", resolve));
        child.kill("SIGSTOP");
        await until("it is let go", 20, () =>
          /timeout waiting for input from .* during message collect/.test(siege.gateway.output),
        );
        await siege.holds();
      } finally {
        child.kill("SIGKILL");
      }
    });
  });

  it("RES-12: fifteen seconds of all attacks at once, chosen by a seed, between messages that all arrive", async () => {
    await besieged("mixed", { more: IMPATIENT, growth: 40e6 }, async (siege) => {
      const { gateway } = siege;
      const seed = 20261122;
      const names = [...ATTACKS.keys()];
      const crowd = new Crowd(gateway.port, gateway.control);
      const end = performance.now() + 15_000;
      const attacker = async (n: number): Promise<void> => {
        const chance = new Chance(seed + n);
        while (performance.now() < end) {
          const name = chance.pick(names);
          const attack = ATTACKS.get(name)?.(crowd.dial(name), chance);
          await Promise.race([attack, delay(4000)]);
        }
      };
      const attackers = Promise.all(Array.from({ length: 30 }, (_, n) => attacker(n)));
      let sent = 0;
      while (performance.now() < end) {
        await siege.good();
        sent++;
        await delay(100);
      }
      await attackers;
      crowd.leave();
      const good = (): number => siege.hop.taken.filter((t) => t.mail.includes("good@c.test")).length;
      // One more was sent before the attack began.
      await until("each message has arrived once", 20, () => good() >= sent + 1);
      assert.equal(good(), sent + 1);
      assert.ok(!siege.hop.taken.some((t) => t.mail.includes("evil")));
      assert.ok(gateway.output.length < 2e6, `${gateway.output.length} bytes of log`);
    });
  });
});
