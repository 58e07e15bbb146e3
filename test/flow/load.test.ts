// A thousand clients that say nothing and two hundred that speak a byte at a time, at one gateway: what they cost in memory is bounded,
// and whoever comes with mail meanwhile is served at once. Private dirty memory of the daemon by /proc, after garbage had its chance.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { after, before, describe, it } from "node:test";
import { delay, freePort, Gateway, Sink, send, until } from "./gateway.ts";

const IDLE = 1000;
const SLOW = 200;
/** The bound that is promised for these 1,200 connections together. */
const GROWTH_BYTES_MAX = 32 * 1024 * 1024;
const SERVED_MS_MAX = 2000;

const gateway = new Gateway("load");
const sink = new Sink();
const clients: Socket[] = [];
let greeted = 0;

function privateDirty(): number {
  const text = readFileSync(`/proc/${gateway.pid}/smaps_rollup`, "utf8");
  return Number(/^Private_Dirty:\s+(\d+) kB/m.exec(text)?.[1] ?? 0) * 1024;
}

function join(): Socket {
  const socket = connect({ port: gateway.port, host: "127.0.0.1" });
  socket.once("data", () => {
    greeted++;
  });
  socket.on("error", () => socket.destroy());
  clients.push(socket);
  return socket;
}

async function joinAll(count: number, first: number): Promise<Socket[]> {
  const made: Socket[] = [];
  for (let i = 0; i < count; i++) {
    made.push(join());
    // A wave at a time: a test of memory, not of the listen backlog.
    if (i % 100 === 99) await until("greetings", 20, () => greeted >= first + i - 5);
  }
  await until("all greetings", 20, () => greeted >= first + count);
  return made;
}

before(async () => {
  await sink.start();
  gateway.port = await freePort();
  gateway.write({
    "sendmail.mc": `OSTYPE(\`linux')dnl
define(\`confDOMAIN_NAME', \`mail.polkatistas.org')dnl
FEATURE(\`mailertable')dnl
FEATURE(\`nocanonify')dnl
FEATURE(\`accept_unresolvable_domains')dnl
FEATURE(\`no_default_msa')dnl
DAEMON_OPTIONS(\`Name=MTA, Addr=127.0.0.1, Port=${gateway.port}')dnl
MAILER(\`smtp')dnl
`,
    mailertable: `.\tsmtp:[127.0.0.1]:${sink.port}\n`,
  });
  await gateway.start();
});

after(async () => {
  for (const socket of clients) socket.destroy();
  await gateway.remove();
  await sink.stop();
});

/** How long a whole message takes, and that it arrives. */
async function served(subject: string): Promise<number> {
  const started = performance.now();
  const said = await send(
    gateway.port,
    "joe@example.com",
    ["bob@elsewhere.example"],
    `Subject: ${subject}\r\n\r\nhello\r\n`,
  );
  const took = performance.now() - started;
  assert.match(said, /^250 2\.0\.0/);
  await until("the message", 10, () => sink.received.some((r) => r.data.includes(`Subject: ${subject}\r\n`)));
  return took;
}

describe("a crowd", () => {
  let before = 0;

  it("good clients are served within 2 s among 1,000 idle and 200 slow ones", async () => {
    // Warm first, so that the growth below is the crowd's.
    for (let i = 0; i < 20; i++) await served(`warm ${i}`);
    before = privateDirty();
    await joinAll(IDLE, 0);
    const slow = await joinAll(SLOW, IDLE);
    // Half of the slow ones are in the middle of a message, half in the middle of a command; all of them go on, byte by byte.
    const lines = [
      "EHLO slow.test",
      "MAIL FROM:<slow@example.com>",
      "RCPT TO:<slow@elsewhere.example>",
      "DATA",
    ];
    for (const [i, socket] of slow.entries()) {
      if (i % 2 === 0) socket.write(`${lines.join("\r\n")}\r\nSubject: slow\r\n\r\n`);
      else socket.write("EHLO slow");
    }
    let sent = 0;
    const drip = setInterval(() => {
      for (const socket of slow) socket.write("x");
      sent++;
    }, 250);
    try {
      const took: number[] = [];
      for (let i = 0; i < 12; i++) {
        took.push(await served(`good ${i}`));
        await delay(100);
      }
      assert.ok(sent > 2, "the slow ones went on meanwhile");
      assert.ok(Math.max(...took) <= SERVED_MS_MAX, `${took.map((ms) => Math.round(ms)).join(" ")} ms`);
      process.stdout.write(`good clients among the crowd: ${Math.round(Math.max(...took))} ms at most\n`);
    } finally {
      clearInterval(drip);
    }
    assert.equal(slow.filter((socket) => socket.destroyed).length, 0);
  });

  it(`the crowd costs ${GROWTH_BYTES_MAX / 1024 / 1024} MB at most`, async () => {
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 10; i++) {
      least = Math.min(least, privateDirty() - before);
      if (least <= GROWTH_BYTES_MAX / 2) break;
      await delay(500);
    }
    process.stdout.write(
      `${IDLE} idle and ${SLOW} slow connections: ${(least / 1024 / 1024).toFixed(1)} MB private dirty, ${(least / 1024 / (IDLE + SLOW)).toFixed(1)} kB each\n`,
    );
    assert.ok(least <= GROWTH_BYTES_MAX, `${least} bytes`);
  });

  it("nothing of the unfinished messages goes out or stays when the crowd leaves", async () => {
    for (const socket of clients) socket.destroy();
    await served("after the crowd");
    assert.ok(!sink.received.some((r) => r.mail.includes("slow@example.com")));
    const listed = await gateway.run("sendmail", [...gateway.options(), "-bp"]);
    assert.match(listed.out, /is empty|Total requests: 0/);
  });
});
