// Failure notices of large messages through the whole program: RET=FULL brings the whole original back, byte for byte, however large
// it is, RET=HDRS its header; and many at once do not take memory for themselves (RFC 3461 section 4.3).

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Client, freePort, Gateway, relayMc, Sink, until } from "./gateway.ts";

const MIB = 1024 * 1024;

/** Lines of all lengths, some with a dot or "From " in front, together about `bytes`. */
function body(bytes: number, seed: number): string {
  const lines: string[] = [];
  for (let n = seed, size = 0; size < bytes; n++) {
    const start = n % 7 === 0 ? "." : n % 11 === 0 ? "From " : "";
    const line = `${start}${n} ${"abcdefghij".repeat(n % 8)}`;
    lines.push(line);
    size += line.length + 2;
  }
  return `${lines.join("\r\n")}\r\n`;
}

async function submit(port: number, tag: string, text: string, ret: string): Promise<string> {
  const client = new Client(port);
  try {
    await client.reply();
    for (const line of [
      "EHLO client.test",
      `MAIL FROM:<a@example.com>${ret}`,
      "RCPT TO:<b@example.net>",
      "DATA",
    ])
      assert.match(await client.say(line), /^[23]/);
    client.raw(`From: a@example.com\r\nSubject: ${tag}\r\n\r\n${text.replace(/^\./gm, "..")}.\r\n`);
    return await client.reply();
  } finally {
    client.close();
  }
}

const peakBytes = (pid: number): number =>
  Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) * 1024;

test("failed messages of 100 kB and 5 MB come back whole, thirty at once in bounded memory", {
  timeout: 120_000,
}, async (t) => {
  const gateway = new Gateway("bounces");
  const away = new Sink();
  const home = new Sink();
  try {
    await away.start();
    await away.stop();
    await home.start();
    gateway.port = await freePort();
    gateway.write({
      "sendmail.mc": relayMc(gateway.port),
      mailertable: `example.net\tsmtp:[127.0.0.1]:${away.port}\nexample.com\tsmtp:[127.0.0.1]:${home.port}\n`,
      access: "To:example.net\tRELAY\n",
    });
    await gateway.start(["-q1h"]);
    const large = body(5 * MIB, 1);
    const expected = new Map([
      ["small", body(100_000, 5)],
      ["headers", ""],
    ]);
    assert.match(await submit(gateway.port, "small", expected.get("small") ?? "", " RET=FULL"), /^250/);
    assert.match(await submit(gateway.port, "headers", large, " RET=HDRS"), /^250/);
    for (let n = 0; n < 30; n++) {
      expected.set(`large${n}`, large);
      assert.match(await submit(gateway.port, `large${n}`, large, n % 2 === 0 ? "" : " RET=FULL"), /^250/);
    }
    const before = peakBytes(gateway.pid);
    away.replies.set("RCPT", "550 5.1.1 nobody of that name");
    await away.start(away.port);
    const flushed = await gateway.run("sendmail", [...gateway.options(), "-q"]);
    assert.equal(flushed.status, 0, flushed.err);
    await until("all have come back", 60, () => home.received.length >= expected.size);
    assert.equal(home.received.length, expected.size);
    for (const { mail, rcpt, data } of home.received) {
      assert.match(mail, /^MAIL From:<>/i);
      assert.deepEqual(
        rcpt.map((r) => r.replace(/ .*/, "").toLowerCase()),
        ["rcpt"],
      );
      const tag = /^Subject: (small|headers|large\d+)\r$/m.exec(data)?.[1] ?? "";
      const text = expected.get(tag);
      assert.ok(text !== undefined, `${tag} comes back once`);
      expected.delete(tag);
      const at = data.indexOf("\r\n\r\n", data.indexOf(`Subject: ${tag}`)) + 4;
      const end = data.lastIndexOf("\r\n--");
      if (tag === "headers")
        assert.ok(data.includes("Content-Type: text/rfc822-headers") && data.length < 10_000);
      else assert.ok(data.slice(at, end) === text.replace(/^From /gm, ">From "), `${tag} is whole`);
    }
    const grown = (peakBytes(gateway.pid) - before) / MIB;
    t.diagnostic(
      `peak of memory ${(before / MIB).toFixed(0)} MiB before, ${grown.toFixed(1)} MiB more after`,
    );
    assert.ok(grown < 48, `${grown} MiB for 150 MiB of notices`);
    assert.match((await gateway.run("mailq", gateway.options())).out, /is empty/);
    assert.equal(await gateway.stop(), 0);
  } finally {
    await gateway.remove();
    await away.stop();
    await home.stop();
  }
});
