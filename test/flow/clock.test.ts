// CLK-01 to CLK-04 with the whole program under a false wall clock (libfaketime; monotonic time stays true): a boot at 1970 with mail of
// 2026, jumps forth and back while mail waits. Nothing expires early, no burst of retries, ids never repeat.

import assert from "node:assert/strict";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Client, delay, freePort, Gateway, relayMc, Sink, send, until } from "./gateway.ts";

const LIBRARIES = existsSync("/usr/lib")
  ? readdirSync("/usr/lib")
      .map((name) => join("/usr/lib", name, "faketime/libfaketimeMT.so.1"))
      .filter((path) => existsSync(path))
  : [];
const [library] = LIBRARIES;
const skip = library === undefined ? "libfaketime is not installed (Debian: faketime)" : false;
const MESSAGE = "From: a@example.com\r\nSubject: clock\r\n\r\nbody\r\n";

/** A wall clock that is set by a file. */
class FalseClock {
  readonly #file: string;

  constructor(folder: string) {
    this.#file = join(folder, "time");
  }

  /** "@1970-01-01 00:00:30": this time now, running on. "-30d": that much beside the true time. */
  set(time: string): void {
    writeFileSync(this.#file, `${time}\n`);
  }

  get environment(): NodeJS.ProcessEnv {
    return {
      LD_PRELOAD: library ?? "",
      FAKETIME_TIMESTAMP_FILE: this.#file,
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
      FAKETIME_NO_CACHE: "1",
      TZ: "UTC",
    };
  }
}

/** A gateway whose next hop is away; example.com is relayed there too, so a bounce would be seen. */
async function place(name: string): Promise<{ gateway: Gateway; sink: Sink; clock: FalseClock }> {
  const gateway = new Gateway(name);
  const sink = new Sink();
  await sink.start();
  await sink.stop();
  gateway.port = await freePort();
  gateway.write({
    "sendmail.mc": relayMc(gateway.port),
    mailertable: `.\tsmtp:[127.0.0.1]:${sink.port}\n`,
    access: "To:example.net\tRELAY\n",
  });
  return { gateway, sink, clock: new FalseClock(gateway.folder) };
}

async function accept(gateway: Gateway): Promise<string> {
  const reply = await send(gateway.port, "a@example.com", ["b@example.net"], MESSAGE);
  const id = /^250 2\.0\.0 (\S+) Message accepted/.exec(reply)?.[1];
  assert.ok(id !== undefined, reply);
  return id;
}

const attempts = (gateway: Gateway): number => gateway.output.split("stat=Deferred").length - 1;

async function queued(gateway: Gateway): Promise<string> {
  return (await gateway.run("mailq", gateway.options())).out;
}

test("boots at 1970 expire nothing of 2026 and give no id twice", { skip, timeout: 90_000 }, async (t) => {
  const { gateway, sink, clock } = await place("clock-boot");
  t.after(async () => {
    await gateway.remove();
    await sink.stop();
  });
  await gateway.start(["-q1h"]);
  const ids = [await accept(gateway)];
  await until("an attempt", 10, () => attempts(gateway) > 0);
  await gateway.stop();
  for (let boot = 0; boot < 2; boot++) {
    clock.set("@1970-01-01 00:00:30");
    await gateway.start(["-q1h"], clock.environment);
    ids.push(await accept(gateway));
    const list = await queued(gateway);
    for (const id of ids) assert.ok(list.includes(id), `${id} is still queued: ${list}`);
    await gateway.stop("SIGKILL");
  }
  assert.equal(new Set(ids).size, ids.length, `ids repeat: ${ids}`);
  clock.set("@1970-01-01 00:00:30");
  await sink.start(sink.port);
  await gateway.start(["-q1h"], clock.environment);
  await until("all of it is delivered", 20, () => sink.received.length >= ids.length);
  await delay(300);
  assert.equal(sink.received.length, ids.length);
  assert.ok(
    sink.received.every(({ mail }) => mail.includes("<a@example.com>")),
    "no notice was sent",
  );
  // RFC 5322 dates, whatever the clock says.
  const newest = sink.received.map(({ data }) => data).find((data) => data.includes(" 1970 "));
  assert.match(newest ?? "", /; Thu, 0?1 Jan 1970 00:0\d:\d\d [+-]?\w+/);
  await gateway.stop();
});

const JUMPS = [
  { name: "56 years forth", before: "@1970-01-01 00:00:30", after: "@2026-11-22 06:43:00" },
  { name: "an hour back", before: "@2026-11-22 06:43:00", after: "@2026-11-22 05:43:00" },
  { name: "30 days back", before: "@2026-11-22 06:43:00", after: "@2026-10-23 06:43:00" },
  { name: "ten days forth", before: "@2026-11-22 06:43:00", after: "@2026-12-02 06:43:00" },
];

for (const { name, before, after } of JUMPS)
  test(`a jump ${name} while mail waits and a client sends: no notice, no burst, delivery as before`, {
    skip,
    timeout: 60_000,
  }, async (t) => {
    const { gateway, sink, clock } = await place("clock-jump");
    t.after(async () => {
      await gateway.remove();
      await sink.stop();
    });
    clock.set(before);
    await gateway.start(["-q1h"], clock.environment);
    await accept(gateway);
    await until("an attempt", 10, () => attempts(gateway) > 0);
    const client = new Client(gateway.port);
    await client.reply();
    for (const line of ["EHLO c.test", "MAIL FROM:<a@example.com>", "RCPT TO:<b@example.net>", "DATA"])
      assert.match(await client.say(line), /^[23]/);
    client.raw("From: a@example.com\r\nSubject: clock\r\n\r\nhalf ");
    const tried = attempts(gateway);
    clock.set(after);
    await delay(1500);
    assert.equal(attempts(gateway), tried, "no retry because of the clock");
    client.raw("and half\r\n.\r\n");
    assert.match(await client.reply(), /^250 2\.0\.0 /);
    client.close();
    const flushed = await gateway.run("sendmail", [...gateway.options(), "-q"]);
    assert.equal(flushed.status, 0, flushed.err);
    await delay(500);
    assert.match(await queued(gateway), /Total requests: 2/, "nothing is returned");
    await sink.start(sink.port);
    await gateway.run("sendmail", [...gateway.options(), "-q"]);
    await until("both are delivered", 20, () => sink.received.length >= 2);
    await delay(300);
    assert.deepEqual(
      sink.received.map(({ mail }) => /<[^>]*>/.exec(mail)?.[0]),
      ["<a@example.com>", "<a@example.com>"],
      "no notice of delay or failure",
    );
    assert.equal(await gateway.stop(), 0);
  });
