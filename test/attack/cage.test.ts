// RES-10 (reliability 3.6) in a control group of 96 MB, page cache and all: 50 messages of 10 MB stream through it; and where there is
// less than the program itself needs and the kernel ends it, the next start delivers all that was acknowledged.

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { until } from "../flow/gateway.ts";
import { Cage } from "./cage.ts";
import { besieged, peak, type Siege, toData } from "./siege.ts";

const MIB = 1024 * 1024;
const HEAP = ["--max-old-space-size=64"];
const BODY = Buffer.from(`${"z".repeat(70)}\r\n`.repeat(Math.floor((10 * MIB) / 72)));

/** Runs `work` with a group of `bytes`, or says why not. */
async function caged(t: TestContext, bytes: number, work: (cage: Cage) => Promise<void>): Promise<void> {
  const cage = Cage.make(bytes);
  if (typeof cage === "string") return t.skip(cage);
  try {
    await work(cage);
  } finally {
    cage.remove();
  }
}

/** Sends message `n` of 10 MB; whether it was acknowledged. */
async function big(siege: Siege, n: number): Promise<boolean> {
  const client = await toData(siege);
  try {
    client.raw(`Subject: big ${n}\r\n\r\n`);
    for (let at = 0; at < BODY.length; at += 65_536) await client.pour(BODY.subarray(at, at + 65_536));
    client.raw(".\r\n");
    return (await client.reply(120)).startsWith("250 2.0.0 ");
  } finally {
    client.close();
  }
}

/** All 50 at once; the numbers of those that were acknowledged. */
async function flood(siege: Siege): Promise<readonly number[]> {
  const taken = await Promise.all(Array.from({ length: 50 }, (_, n) => big(siege, n).catch(() => false)));
  return taken.flatMap((good, n) => (good ? [n] : []));
}

const mb = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

describe("RES-10", () => {
  it("50 messages of 10 MB at once in a cgroup of 96 MB: all are taken and arrive, nothing is killed", async (t) => {
    await caged(t, 96 * MIB, async (cage) => {
      await besieged("cage", { before: cage.before, flags: HEAP, growth: 70e6 }, async (siege) => {
        siege.hop.keep = false;
        await siege.drained();
        const start = siege.hop.count;
        const rest = cage.anonymous;
        let anonymous = 0;
        const watching = setInterval(() => {
          anonymous = Math.max(anonymous, cage.anonymous);
        }, 20);
        try {
          const all = flood(siege).then((taken) => {
            assert.equal(taken.length, 50);
            return until("all have arrived", 120, () => siege.hop.count - start >= 50);
          });
          const most = await peak(siege, all);
          t.diagnostic(
            `peak ${mb(cage.peak)} with page cache; anonymous ${mb(anonymous)}, ${mb(rest)} at rest; private dirty ${mb(most)}`,
          );
        } finally {
          clearInterval(watching);
        }
        assert.equal(cage.kills, 0);
        assert.equal(siege.hop.count - start, 50);
      });
    });
  });

  it("killed for want of memory under them, it starts again and all that was acknowledged arrives", async (t) => {
    await caged(t, 60 * MIB, async (cage) => {
      await besieged("killed", { before: cage.before, flags: HEAP, growth: 70e6 }, async (siege) => {
        const { hop } = siege;
        hop.keep = false;
        // They wait in the queue until the next life.
        hop.refuse.set("b@gw2.test", "450 4.2.0 not now");
        const acknowledged: number[] = [];
        for (let n = 100; n < 105; n++) if (await big(siege, n)) acknowledged.push(n);
        assert.equal(acknowledged.length, 5);
        t.diagnostic(`anonymous ${mb(cage.anonymous)} of 60 MiB after five`);
        acknowledged.push(...(await flood(siege)));
        assert.equal(cage.kills, 1);
        t.diagnostic(`killed at ${mb(cage.peak)} with ${acknowledged.length} acknowledged`);
        const arrived = new Set<number>();
        hop.watch = (chunk) => {
          for (const [, n] of chunk.toString("latin1").matchAll(/\r\nSubject: big (\d+)\r\n/g))
            arrived.add(Number(n));
        };
        await siege.restart(async () => {
          hop.refuse.clear();
          cage.limit(96 * MIB);
        });
        await siege.drained(60);
        assert.deepEqual(
          acknowledged.filter((n) => !arrived.has(n)),
          [],
        );
      });
    });
  });
});
