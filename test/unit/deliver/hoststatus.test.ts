// Host status: what hoststat shows, what purgestat forgets, and when a dead host is left alone (Timeout.hoststatus).

import assert from "node:assert/strict";
import { test } from "node:test";
import { HostStatus } from "../../../src/deliver/hoststatus.ts";
import { outcome } from "../../../src/mail/outcome.ts";
import type { Clock } from "../../../src/sys/clock.ts";

function clockAt(now: { ms: number }): Clock {
  return { monotonicMs: () => now.ms, wallMs: () => 1_000_000 + now.ms, after: () => () => undefined };
}

const DEAD = outcome("deferred", "4.4.1", "Deferred: Connection refused by a.example.");

test("the last result of each host is shown, without regard to case", () => {
  const now = { ms: 0 };
  const status = new HostStatus(clockAt(now), 1000, false);
  status.failed("A.example", DEAD);
  now.ms = 10;
  status.reached("a.EXAMPLE");
  status.failed("b.example", DEAD);
  assert.deepEqual(status.snapshot(), [
    { name: "a.EXAMPLE", triedWallMs: 1_000_010, result: "250 2.0.0 accepted", dead: false },
    { name: "b.example", triedWallMs: 1_000_010, result: DEAD.text, dead: true },
  ]);
});

test("a dead host is left alone for Timeout.hoststatus, and only when HostStatusDirectory is set", () => {
  const now = { ms: 0 };
  const keeping = new HostStatus(clockAt(now), 1000, true);
  const plain = new HostStatus(clockAt(now), 1000, false);
  for (const status of [keeping, plain]) status.failed("a.example", DEAD);
  assert.equal(keeping.known("A.example"), DEAD);
  assert.equal(plain.known("a.example"), null);
  now.ms = 1000;
  assert.equal(keeping.known("a.example"), null);
  keeping.failed("a.example", DEAD);
  keeping.reached("a.example");
  assert.equal(keeping.known("a.example"), null);
});

test("purgestat forgets all or what is too old; the table is bounded", () => {
  const now = { ms: 0 };
  const status = new HostStatus(clockAt(now), 1000, true);
  status.failed("old.example", DEAD);
  now.ms = 900;
  status.failed("new.example", DEAD);
  now.ms = 1500;
  status.purge(true);
  assert.deepEqual(
    status.snapshot().map((h) => h.name),
    ["new.example"],
  );
  status.purge(false);
  assert.deepEqual(status.snapshot(), []);
  for (let i = 0; i < 6000; i++) status.reached(`h${i}.example`);
  assert.equal(status.snapshot().length, 5000);
});
