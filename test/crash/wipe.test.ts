// Flash that loses what it held: ranges of 512 bytes, a page, two pages, an erase block and whole files, of every kind of file of the
// queue, as zeros, as erased flash, as rubbish, cut off and removed. Each message that was acknowledged is delivered as it was, or held
// and told, or named as lost in the log and to the postmaster; none disappears.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { crc32 } from "node:zlib";
import { SimClock } from "../sim/clock.ts";
import { type Image, SimDisk } from "../sim/disk.ts";
import { SimEntropy } from "../sim/entropy.ts";
import { World } from "../unit/spool/world.ts";

const SEGMENT_BYTES = 64 * 1024;
const MESSAGES = 60;

/** What a message of this number says: most go into the log, some into files of their own. */
function bodyOf(number: number): string {
  const line = `this is message ${number}, ${"x".repeat(60)}\r\n`;
  return line.repeat(number % 10 === 9 ? 400 : 20 + (number % 7) * 10);
}

interface Queue {
  readonly image: Image;
  /** Body by id. */
  readonly messages: ReadonlyMap<string, string>;
}

/** A queue that was filled and whose program was killed: all of it is in the page cache, and so on flash in the end. */
async function filled(): Promise<Queue> {
  const w = new World({ DeliveryMode: "queueonly" }, new SimDisk(), new SimClock());
  w.segmentBytes = SEGMENT_BYTES;
  await w.open();
  const messages = new Map<string, string>();
  for (let i = 0; i < MESSAGES; i++) {
    const verdict = await w.send(`user${i}@example.net`, {}, bodyOf(i));
    assert.ok(verdict.kind === "accepted");
    messages.set(verdict.id, bodyOf(i));
    // Some are done before: their marks are among the records that may be lost.
    if (i === 20) {
      w.spool.start(0);
      await w.flush();
      for (const sent of w.sent) messages.delete(sent.id);
    }
  }
  await w.clock.pass(1000);
  return { image: w.disk.live(), messages };
}

interface Fates {
  delivered: number;
  held: number;
  lost: number;
}

/** Starts on what is left; the fate of each message, or what is wrong. */
async function fates(queue: Queue, left: Image, what: string): Promise<Fates> {
  const w = new World({}, new SimDisk(left), new SimClock());
  w.segmentBytes = SEGMENT_BYTES;
  await w.open(900_000);
  await w.clock.pass(5000);
  const sent = new Map(w.sent.map((s) => [s.id, s]));
  const held = new Set(w.spool.list([{ kind: "reason", text: "", negate: false }]).map((e) => e.id));
  const letters = w.sent.filter((s) => s.recipients.includes("postmaster"));
  const found: Fates = { delivered: 0, held: 0, lost: 0 };
  for (const [id, body] of queue.messages) {
    const one = sent.get(id);
    if (one !== undefined) {
      assert.equal(one.body, body, `${what}: ${id} is delivered, but not as it was`);
      found.delivered++;
    } else if (held.has(id)) found.held++;
    else {
      assert.ok(
        w.lines.some((line) => line.startsWith(`${id}: lost: `) || line.startsWith(`${id}: damaged: `)),
        `${what}: ${id} has disappeared\n${w.lines.join("\n")}`,
      );
      found.lost++;
    }
  }
  if (found.held + found.lost > 0) assert.ok(letters.length >= 1, `${what}: the postmaster is told`);
  const damaged = await w.spool.damaged();
  if (found.lost > 0) assert.ok(damaged.length > 0, `${what}: verify says it`);
  // The next start says nothing again.
  const again = new World({}, new SimDisk(w.disk.live()), new SimClock());
  again.segmentBytes = SEGMENT_BYTES;
  await again.open(900_000);
  await again.clock.pass(5000);
  const twice = again.sent.filter((s) => s.recipients.includes("postmaster")).map((s) => s.body);
  assert.deepEqual(twice, [], `${what}: told once`);
  return found;
}

const RUBBISH = new SimEntropy(20261201).bytes(SEGMENT_BYTES * 4);

const FILLS: readonly (readonly [string, (length: number) => Buffer])[] = [
  ["zeros", (length) => Buffer.alloc(length)],
  ["erased", (length) => Buffer.alloc(length, 0xff)],
  ["rubbish", (length) => Buffer.from(RUBBISH.subarray(0, length))],
];

/** Every damage of the table, with a name. */
function* damages(image: Image): Generator<readonly [string, Image]> {
  let turn = 0;
  for (const [path, content] of image) {
    if (/quarantine|crashed/.test(path) || content.length === 0) continue;
    const without = new Map(image);
    without.delete(path);
    yield [`${path} removed`, without];
    for (const length of [0, 300, Math.floor(content.length / 2)])
      yield [`${path} cut off at ${length}`, new Map([...image, [path, content.subarray(0, length)]])];
    for (const size of [512, 4096, 8192, 65536, Number.POSITIVE_INFINITY]) {
      // Each place of the larger ranges, some of the many of the small ones.
      const step = size === 512 ? 512 * 13 : size;
      for (let at = 0; at < content.length; at += Math.min(step, content.length)) {
        const length = Math.min(size, content.length - at);
        const fills = size < 8192 ? [FILLS[turn++ % FILLS.length]] : FILLS;
        for (const fill of fills) {
          if (fill === undefined) continue;
          const hurt = Buffer.from(content);
          fill[1](length).copy(hurt, at);
          yield [`${path}: ${length} bytes at ${at} are ${fill[0]}`, new Map([...image, [path, hurt]])];
        }
      }
    }
  }
}

describe("flash that has lost something", () => {
  it("costs only what was there, and all of that is said", { timeout: 600_000 }, async (t) => {
    const queue = await filled();
    assert.equal(queue.messages.size, MESSAGES - 21);
    const untouched = await fates(queue, queue.image, "nothing");
    assert.deepEqual(untouched, { delivered: queue.messages.size, held: 0, lost: 0 });
    let cases = 0;
    const all: Fates = { delivered: 0, held: 0, lost: 0 };
    for (const [what, left] of damages(queue.image)) {
      cases++;
      const found = await fates(queue, left, what);
      all.delivered += found.delivered;
      all.held += found.held;
      all.lost += found.lost;
    }
    t.diagnostic(`${cases} kinds of damage: ${JSON.stringify(all)}`);
    assert.ok(cases > 300, `${cases} cases`);
    assert.ok(all.lost < all.delivered / 5, "most of it is still there");
  });

  it("wiped heads at either end of a segment cost nothing", async () => {
    const queue = await filled();
    for (const [path, content] of queue.image) {
      if (!/segment-/.test(path)) continue;
      for (const [at, length] of [
        [0, 4096],
        [content.length - 4096, 4096],
      ] as const) {
        const hurt = Buffer.from(content);
        hurt.fill(0, at, at + length);
        const found = await fates(queue, new Map([...queue.image, [path, hurt]]), `${path} at ${at}`);
        if (at === 0) assert.equal(found.lost, 0, `${path} at ${at}`);
      }
    }
  });

  it("segments of the version before, without a catalogue and with heads at one end, are read, and searched when the heads are gone", async () => {
    const queue = await filled();
    const old = new Map([...queue.image].filter(([path]) => !path.endsWith("/catalogue")));
    for (const [path, content] of old) {
      if (!/segment-/.test(path)) continue;
      const bytes = Buffer.from(content);
      bytes.fill(0, bytes.length - 512);
      for (const at of [0, 2048]) bytes.fill(0, at + 44, at + 48);
      old.set(path, bytes);
    }
    const whole = await fates(queue, old, "old segments");
    assert.deepEqual(whole, { delivered: queue.messages.size, held: 0, lost: 0 });
    let searched = 0;
    for (const [path, content] of old) {
      if (!/segment-/.test(path) || content.equals(Buffer.alloc(content.length))) continue;
      const hurt = Buffer.from(content);
      hurt.fill(0, 0, 4096);
      const found = await fates(queue, new Map([...old, [path, hurt]]), `${path} without its heads`);
      assert.equal(found.delivered, queue.messages.size, path);
      searched++;
    }
    assert.ok(searched >= 3);
  });

  it("a segment of a later version is left as it is, and the rest of the queue works", async () => {
    const queue = await filled();
    const paths = [...queue.image.keys()].filter((path) => /segment-/.test(path));
    const later = paths[1] ?? "";
    const bytes = Buffer.from(queue.image.get(later) ?? Buffer.alloc(0));
    for (const at of [0, 2048]) {
      bytes.writeUInt32LE(7, at + 8);
      bytes.writeUInt32LE(crc32(bytes.subarray(at, at + 40)), at + 40);
    }
    const w = new World({}, new SimDisk(new Map([...queue.image, [later, bytes]])), new SimClock());
    w.segmentBytes = SEGMENT_BYTES;
    await w.open(900_000);
    for (let i = 0; i < 40; i++) await w.send(`new${i}@example.net`, {}, bodyOf(3));
    await w.clock.pass(5000);
    assert.ok(w.lines.some((line) => /format version 7 is not known to this program/.test(line)));
    assert.ok(w.disk.live().get(later)?.equals(bytes), "not a byte of it has changed");
    assert.ok(w.sent.filter((s) => s.recipients.some((r) => r.startsWith("new"))).length === 40);
  });
});
