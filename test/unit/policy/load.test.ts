// Load limits as Sendmail compares them (op guide, options DelayLA, QueueLA, RefuseLA, QueueFactor), with a load that the test says.

import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultOptions } from "../../../src/config/options.ts";
import { LoadLimits } from "../../../src/policy/load.ts";
import { makeSmtpd } from "../../../src/smtpd/server.ts";
import { NO_DAEMON } from "../../../src/smtpd/service.ts";
import { makeStage } from "../../dialog/stage.ts";
import { Client } from "../../flow/gateway.ts";

function limits(load: number, options = {}): LoadLimits {
  return new LoadLimits({ ...defaultOptions(), ...options }, () => load);
}

const REFUSES = [
  { name: "the default is not in force", load: 1000, own: 0, options: {}, expected: null },
  { name: "below the limit", load: 12, own: 0, options: { RefuseLA: 13 }, expected: null },
  { name: "from the limit on", load: 13, own: 0, options: { RefuseLA: 13 }, expected: 13 },
  { name: "0 is off", load: 1000, own: 0, options: { RefuseLA: 0 }, expected: null },
  { name: "a listener's own limit comes first", load: 5, own: 5, options: {}, expected: 5 },
];

for (const { name, load, own, options, expected } of REFUSES)
  test(`RefuseLA: ${name}`, () => assert.equal(limits(load, options).refuses(own), expected));

const AT_16 = { QueueLA: 16 };
const QUEUES = [
  { name: "the default is not in force", load: 1000, priority: 1e9, options: {}, expected: false },
  { name: "below the limit nothing waits", load: 15, priority: 1e9, options: AT_16, expected: false },
  { name: "at the limit QueueFactor decides", load: 16, priority: 600_000, options: AT_16, expected: false },
  { name: "what is less urgent waits", load: 16, priority: 600_001, options: AT_16, expected: true },
  { name: "the higher the load, the more waits", load: 25, priority: 60_001, options: AT_16, expected: true },
  {
    name: "QueueFactor is a factor",
    load: 25,
    priority: 60_001,
    options: { ...AT_16, QueueFactor: 700_000 },
    expected: false,
  },
  {
    name: "an ordinary message is tried at 18 over",
    load: 34,
    priority: 31_000,
    options: AT_16,
    expected: false,
  },
  { name: "and waits at 20 over", load: 36, priority: 31_000, options: AT_16, expected: true },
  { name: "0 is off", load: 1000, priority: 1e9, options: { QueueLA: 0 }, expected: false },
];

for (const { name, load, priority, options, expected } of QUEUES)
  test(`QueueLA: ${name}`, () => assert.equal(limits(load, options).queues(priority), expected));

test("QueueLA: a listener's own limit comes first", () => {
  assert.equal(limits(9).queues(700_000, 8), true);
  assert.equal(limits(9, { QueueLA: 9 }).queues(700_000, 10), false);
});

test("DelayLA is off unless it is set", () => {
  assert.equal(limits(1000).delays(0), null);
  assert.equal(limits(7, { DelayLA: 8 }).delays(0), null);
  assert.equal(limits(8, { DelayLA: 8 }).delays(0), 8);
});

test("above DelayLA each command waits a second", async () => {
  const stage = makeStage({ service: { load: limits(9, { DelayLA: 8 }) } });
  const smtpd = makeSmtpd(stage.service);
  const bound = await smtpd.listen({ ...NO_DAEMON, name: "MTA", address: "127.0.0.1" });
  assert.ok(bound.ok);
  const started = performance.now();
  const client = new Client(bound.value.port);
  try {
    assert.match(await client.reply(), /^220 /);
    assert.match(await client.say("EHLO client.test"), /^250/);
    assert.match(await client.say("NOOP"), /^250/);
    const seconds = (performance.now() - started) / 1000;
    assert.ok(seconds >= 2.9 && seconds < 8, `the greeting and two commands took ${seconds} s`);
    assert.ok(stage.log.some((line) => line.includes("delaying=EHLO, load average=9")));
  } finally {
    client.close();
    await smtpd.close(false);
  }
});

test("above RefuseLA connections are reset, said once, and taken again when the load is lower", async () => {
  let load = 24;
  const stage = makeStage({
    service: { load: new LoadLimits({ ...defaultOptions(), RefuseLA: 24 }, () => load) },
  });
  const smtpd = makeSmtpd(stage.service);
  const bound = await smtpd.listen({ ...NO_DAEMON, name: "MTA", address: "127.0.0.1" });
  assert.ok(bound.ok);
  const greeting = async (): Promise<string> => {
    const client = new Client(bound.value.port);
    try {
      return await client.reply();
    } finally {
      client.close();
    }
  };
  try {
    for (let n = 0; n < 3; n++) assert.doesNotMatch(await greeting().catch(() => ""), /^220/);
    assert.equal(smtpd.stats.refused, 3);
    const said = stage.log.filter((line) =>
      line.includes("rejecting connections on daemon MTA: load average: 24"),
    );
    assert.equal(said.length, 1);
    load = 23;
    assert.match(await greeting(), /^220 /);
  } finally {
    await smtpd.close(false);
  }
});
