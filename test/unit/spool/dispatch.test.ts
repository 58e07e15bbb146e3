// What counts as a probe of a next hop: an attempt that began when it was known to be down. Attempts that ran side by side when it went
// down all fail for that one moment, and new mail still waits for a probe.

import assert from "node:assert/strict";
import { test } from "node:test";
import { found } from "../../../src/base/result.ts";
import { type Outcome, outcome } from "../../../src/mail/outcome.ts";
import { Dispatcher } from "../../../src/spool/dispatch.ts";
import type { Content, Delivery, Entry } from "../../../src/spool/entry.ts";
import type { Mailer } from "../../../src/spool/mailer.ts";
import { SimClock, settle } from "../../sim/clock.ts";

const DOWN = outcome("deferred", "4.4.1", "Deferred: Connection refused by h.");
const SENT = outcome("relayed", "2.0.0", "Sent (ok)");

/** A next hop whose attempts end when the test says so. */
function hop() {
  const clock = new SimClock();
  const ends: ((result: Outcome) => void)[] = [];
  const mailer: Mailer = {
    deliver: async () => [await new Promise<Outcome>((resolve) => ends.push(resolve))],
    async close() {},
  };
  const dispatcher = new Dispatcher(clock, new Map([["esmtp", mailer]]));
  const results: string[] = [];
  // The dispatcher looks at the number of deliveries and nothing else of a message.
  const delivery = { index: 0 } as Delivery;
  const send = async (): Promise<void> => {
    void dispatcher
      .submit({
        entry: { id: "x" } as Entry,
        mailer: "esmtp",
        host: "h",
        sender: "",
        deliveries: [delivery],
        dead: null,
        interactive: false,
        signal: new AbortController().signal,
        load: async () => found({} as Content),
      })
      .then(({ outcomes }) => results.push(outcomes[0]?.kind ?? ""));
    await settle();
  };
  const end = async (result: Outcome): Promise<void> => {
    for (const one of ends.splice(0)) one(result);
    await settle();
  };
  return { clock, dispatcher, ends, results, send, end };
}

test("attempts side by side that fail as a host goes down are no probe: new mail waits, and goes out when the host is back", async () => {
  const h = hop();
  for (let n = 0; n < 4; n++) await h.send();
  assert.equal(h.ends.length, 4);
  await h.end(DOWN);
  assert.deepEqual(h.results.splice(0), Array(4).fill("deferred"));
  for (let n = 0; n < 3; n++) await h.send();
  assert.equal(h.dispatcher.waiting, 3, "they wait for a probe");
  await h.clock.pass(4000);
  assert.equal(h.ends.length, 1, "one of them is the probe");
  await h.end(SENT);
  await h.end(SENT);
  assert.deepEqual(h.results, Array(3).fill("relayed"));
});

test("a probe that fails defers what waits, and new mail at once", async () => {
  const h = hop();
  await h.send();
  await h.end(DOWN);
  for (let n = 0; n < 3; n++) await h.send();
  await h.clock.pass(4000);
  await h.end(DOWN);
  await h.send();
  assert.deepEqual(h.results, Array(5).fill("deferred"));
  assert.equal(h.dispatcher.waiting, 0);
});

test("an explicit run forgets that a host was down while its probe is under way", async () => {
  const h = hop();
  await h.send();
  await h.end(DOWN);
  await h.send();
  await h.clock.pass(4000);
  h.dispatcher.retryNow();
  await h.end(DOWN);
  await h.send();
  assert.equal(h.dispatcher.waiting, 1, "it waits for a probe of its own");
});
