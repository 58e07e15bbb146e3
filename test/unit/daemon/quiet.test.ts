// The quiet after work: when memory is given back, and that an idle gateway does nothing.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { watchQuiet } from "../../../src/daemon/quiet.ts";
import { collectEverything } from "../../../src/sys/heap.ts";
import { SimClock } from "../../sim/clock.ts";

describe("the quiet after work", () => {
  it("comes once after the start and once after each piece of work, two seconds after its end at the earliest", async () => {
    const clock = new SimClock();
    let done = 0;
    const rests: number[] = [];
    const end = watchQuiet(
      clock,
      () => done,
      () => void rests.push(clock.monotonicMs()),
    );
    const begin = clock.monotonicMs();
    await clock.pass(60_000);
    assert.equal(rests.length, 1, "after the start, and then never again while nothing happens");
    assert.ok((rests[0] ?? 0) - begin >= 2000);
    // Ten seconds of work without two quiet ones in it.
    for (let i = 0; i < 20; i++) {
      done++;
      await clock.pass(500);
    }
    assert.equal(rests.length, 1, "not while there is work");
    const worked = clock.monotonicMs();
    await clock.pass(60_000);
    assert.equal(rests.length, 2);
    assert.ok((rests[1] ?? 0) - worked >= 1500, "the last piece of work was half a second before");
    end();
    done++;
    await clock.pass(60_000);
    assert.equal(rests.length, 2, "the watch has ended");
  });

  it("gives back the memory of what nothing refers to any more", () => {
    const garbage = new WeakRef(new Array(100_000).fill("x"));
    collectEverything();
    // A WeakRef keeps its target to the end of the job that made it.
    return new Promise<void>((resolve) =>
      setImmediate(() => {
        collectEverything();
        assert.equal(garbage.deref(), undefined);
        assert.equal(Reflect.get(globalThis, "gc"), undefined, "the collector is not shown to the program");
        resolve();
      }),
    );
  });
});
