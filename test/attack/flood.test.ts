// BOMB-01 to BOMB-03 (reliability 3.5) against the whole program: recipients and aliases without end, tens of thousands of messages, MIME
// trees that would drown a parser. What is accepted arrives once each; the rest is told so.

import assert from "node:assert/strict";
import { connect } from "node:net";
import { describe, it } from "node:test";
import { Client, until } from "../flow/gateway.ts";
import { besieged, copyOf, peak, type Siege, toData } from "./siege.ts";

/** A session that sends messages `from`, `from` + `step`, ... below `to`, one after the other; how many were accepted. */
function source(port: number, from: number, to: number, step: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    let n = from;
    let accepted = 0;
    let text = "";
    const body = `${"w".repeat(70)}\r\n`.repeat(6);
    const next = (): void => {
      if (n >= to) socket.end("QUIT\r\n");
      else socket.write("MAIL FROM:<a@c.test>\r\nRCPT TO:<b@gw2.test>\r\nDATA\r\n");
    };
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      for (let end = text.indexOf("\r\n"); end >= 0; end = text.indexOf("\r\n")) {
        const line = text.slice(0, end);
        text = text.slice(end + 2);
        if (line.startsWith("220")) socket.write("EHLO c.test\r\n");
        else if (line === "250 HELP") next();
        else if (line.startsWith("354")) socket.write(`Subject: no. ${n}\r\n\r\n${body}.\r\n`);
        else if (/^[45]/.test(line)) reject(new Error(line));
        else if (line.endsWith("Message accepted for delivery")) {
          accepted++;
          n += step;
          next();
        }
      }
    });
    socket.on("error", reject);
    socket.on("close", () => resolve(accepted));
  });
}

/** Sends RCPT commands pipelined; how many of the answers began with each code. */
async function recipients(client: Client, lines: readonly string[]): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>();
  for (let at = 0; at < lines.length; at += 500) {
    const some = lines.slice(at, at + 500);
    client.raw(some.map((line) => `${line}\r\n`).join(""));
    for (const _ of some) {
      const code = (await client.reply()).slice(0, 9);
      counts.set(code, (counts.get(code) ?? 0) + 1);
    }
  }
  return counts;
}

const RCPTS = Array.from({ length: 5000 }, (_, n) => `RCPT TO:<r${n}@gw2.test>`);

/** Everybody the next hop was told to deliver `tag` to. */
function delivered(siege: Siege, tag: string): readonly string[] {
  return siege.hop.taken
    .filter((t) => t.wire.includes(`Subject: ${tag}\r\n`))
    .flatMap((t) => t.rcpt.map((line) => line.slice("RCPT To:<".length, -1)));
}

describe("BOMB-01", () => {
  for (const max of [0, 100])
    it(`5000 recipients in one transaction, MaxRecipientsPerMessage ${max}: each accepted one gets it once`, async () => {
      await besieged(
        "rcpts",
        { more: `define(\`confMAX_RCPTS_PER_MESSAGE', \`${max}')dnl\n`, growth: 40e6 },
        async (siege) => {
          const client = new Client(siege.gateway.port);
          await client.reply();
          await client.say("EHLO c.test");
          await client.say("MAIL FROM:<a@c.test>");
          const counts = await recipients(client, RCPTS);
          const taken = max === 0 ? 5000 : max;
          assert.equal(counts.get("250 2.1.5"), taken);
          assert.equal(counts.get("452 4.5.3") ?? 0, 5000 - taken);
          assert.match(await client.say("DATA"), /^354/);
          client.raw("Subject: many\r\n\r\nx\r\n.\r\n");
          assert.match(await client.reply(), /^250/);
          client.close();
          await until("all have it", 30, () => delivered(siege, "many").length >= taken);
          const to = delivered(siege, "many");
          assert.deepEqual([to.length, new Set(to).size], [taken, taken]);
        },
      );
    });

  it("10,000 recipients are one envelope's bound, whatever the configuration says; the same one 5000 times is one", async () => {
    await besieged("rcptmax", { growth: 40e6 }, async (siege) => {
      const client = new Client(siege.gateway.port);
      await client.reply();
      await client.say("EHLO c.test");
      await client.say("MAIL FROM:<a@c.test>");
      const same = await recipients(
        client,
        RCPTS.map(() => "RCPT TO:<one@gw2.test>"),
      );
      assert.equal(same.get("250 2.1.5"), 5000);
      await client.say("RSET");
      await client.say("MAIL FROM:<a@c.test>");
      const names = Array.from({ length: 10_100 }, (_, n) => `RCPT TO:<s${n}@gw2.test>`);
      const counts = await recipients(client, names);
      assert.equal(counts.get("250 2.1.5"), 10_000);
      assert.equal(counts.get("452 4.5.3"), 100);
      client.close();
    });
  });

  it("an alias for 20,000 addresses reaches each once; one for more than 100,000 is cut and said, memory is bounded", async () => {
    const list = (count: number): string =>
      Array.from({ length: count }, (_, n) => `m${n}@gw2.test\n`).join("");
    const files = {
      aliases: "root: root@gw2.test\npostmaster: root\nlist: :include:LIST\nhuge: :include:HUGE\n",
    };
    // A recipient costs about two kilobytes until its message is through: a hundred thousand at once are the most there can be.
    await besieged("alias", { files, growth: 250e6 }, async (siege) => {
      const { gateway } = siege;
      await siege.restart(async () => {
        const place = (name: string): string => `${gateway.config}/${name}`;
        gateway.write({
          "list.txt": list(20_000),
          "huge.txt": list(100_500),
          aliases: files.aliases.replace("LIST", place("list.txt")).replace("HUGE", place("huge.txt")),
        });
      });
      const before = siege.figures().memory;
      const client = await toData(siege, "list@gw.test");
      client.raw("Subject: list\r\n\r\nx\r\n.\r\n");
      assert.match(await client.reply(60), /^250/);
      client.close();
      const most = await peak(
        siege,
        until("all have it", 60, () => delivered(siege, "list").length >= 20_000),
      );
      const to = delivered(siege, "list");
      assert.deepEqual([to.length, new Set(to).size], [20_000, 20_000]);
      assert.ok(most - before < 80e6, `${Math.round((most - before) / 1e6)} MB`);
      const other = new Client(gateway.port);
      await other.reply();
      await other.say("EHLO c.test");
      await other.say("MAIL FROM:<a@c.test>");
      for (const [command, code] of [
        ["RCPT TO:<huge@gw.test>", /^250/],
        ["DATA", /^354/],
      ] as const)
        assert.match(await other.say(command), code);
      other.raw("Subject: huge\r\n\r\nx\r\n.\r\n");
      assert.match(await other.reply(60), /^250/);
      other.close();
      // Those before the bound get it, and the sender hears, once, that there were more.
      await until("the sender is told", 90, () =>
        /stat=too many recipients in expansion/.test(gateway.output),
      );
      await until("the others have it", 90, () => delivered(siege, "huge").length >= 100_000);
      assert.equal(gateway.output.match(/stat=too many recipients in expansion/g)?.length, 1);
      await siege.drained();
    });
  });
});

describe("BOMB-02", () => {
  // Half a minute; FLOOD=10000 takes fewer. POSTAL_MINUTES=10 is the row's other half (postal.test.ts).
  const count = Number(process.env["FLOOD"] ?? 50_000);
  it(`${count} small messages over 20 sessions: what was accepted has arrived, each once`, async () => {
    await besieged("messages", { growth: 40e6 }, async (siege) => {
      const before = siege.figures().memory;
      const sessions = Array.from({ length: 20 }, (_, n) => source(siege.gateway.port, n, count, 20));
      const work = Promise.all(sessions);
      const most = await peak(siege, work);
      const accepted = (await work).reduce((sum, n) => sum + n, 0);
      assert.equal(accepted, count);
      await until("all have arrived", 60, () => siege.hop.count >= count + 1);
      const numbers = siege.hop.taken.flatMap(
        (t) => /^Subject: no\. (\d+)\r$/m.exec(t.wire.toString("latin1"))?.[1] ?? [],
      );
      assert.deepEqual([numbers.length, new Set(numbers).size], [count, count]);
      assert.ok(most - before < 60e6, `${Math.round((most - before) / 1e6)} MB`);
    });
  });
});

/** A tree of `depth` multiparts, each in the one before, with one 8-bit leaf. */
function nested(depth: number): string {
  const lines: string[] = [];
  for (let n = 1; n < depth; n++)
    lines.push(`--b${n - 1}`, `Content-Type: multipart/mixed; boundary="b${n}"`, "");
  lines.push(`--b${depth - 1}`, "Content-Type: text/plain", "", "caf\xe9");
  for (let n = depth - 1; n >= 0; n--) lines.push(`--b${n}--`);
  return `MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b0"\r\n\r\n${lines.join("\r\n")}\r\n`;
}

const LONG = "B".repeat(70_000);
const LONG_BORDER = "a boundary of 70 kB in a part";
const TREES: readonly (readonly [name: string, message: string, convertible: boolean])[] = [
  ["15 levels", nested(15), true],
  ["10,000 levels", nested(10_000), false],
  [
    LONG_BORDER,
    `MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: multipart/mixed;\r\n boundary="${LONG}"\r\n\r\n--${LONG}\r\n\r\ncaf\xe9\r\n--${LONG}--\r\n--a--\r\n`,
    false,
  ],
  [
    "20,000 parts",
    `MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n${"--a\r\n\r\n\xe9\r\n".repeat(20_000)}--a--\r\n`,
    false,
  ],
  [
    "a million lines that look like borders",
    `MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\n\xe9\r\n${"--\r\n".repeat(1_000_000)}--a--\r\n`,
    true,
  ],
];

describe("BOMB-03", () => {
  for (const eight of [true, false])
    it(`MIME trees to a next hop ${eight ? "with" : "without"} 8BITMIME: ${eight ? "as they came" : "converted or refused, never half"}`, async () => {
      await besieged("mime", { growth: 60e6 }, async (siege) => {
        siege.hop.extensions = eight ? ["8BITMIME"] : [];
        for (const [name, message, convertible] of TREES) {
          const client = await toData(siege);
          await client.pour(Buffer.from(`Subject: ${name}\r\n${message}.\r\n`, "latin1"));
          assert.match(await client.reply(60), /^250/, name);
          client.close();
          const started = performance.now();
          const wire = (await copyOf(siege, name)).toString("latin1");
          const [, body = ""] = message.split("\r\n\r\n--");
          // Lines of 70 kB leave in pieces.
          if (eight && name === LONG_BORDER) assert.ok(wire.includes("B".repeat(900)), name);
          else if (eight)
            assert.ok(wire.endsWith(message.slice(message.indexOf("\r\n\r\n"))), `${name} was changed`);
          else if (convertible) assert.doesNotMatch(wire, /[\x80-\xff]/, name);
          // What cannot be converted goes back to its sender.
          else assert.match(wire, /554 5\.6\.[0-9].*|5\.6\.3/, name);
          assert.ok(performance.now() - started < 15_000, `${name} took ${performance.now() - started} ms`);
          assert.ok(body !== "", name);
        }
      });
    });
});
