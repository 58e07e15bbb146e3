// A large message on its way out: every byte of it arrives, from a peer that takes it at once and from one that takes its time, and
// the memory of what has left is free at once.

import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { sendPayload } from "../../../src/deliver/payload.ts";
import { Watch } from "../../../src/deliver/watch.ts";
import { Wire } from "../../../src/deliver/wire.ts";
import { systemClock } from "../../../src/sys/clock.ts";

const CHUNKS = 12;
const CHUNK_BYTES = 64 * 1024;
const LINE = 64;
const WAIT_MS = 20_000;

/** A peer that takes each write after `delayMs`, and looks at the bytes only then. */
class Peer extends Duplex {
  readonly got: Buffer[] = [];
  readonly #delayMs: number;

  constructor(delayMs: number) {
    super();
    this.#delayMs = delayMs;
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    const take = (): void => {
      this.got.push(Buffer.from(chunk));
      done();
    };
    if (this.#delayMs === 0) take();
    else void pause(this.#delayMs).then(take);
  }
}

function chunkOf(number: number): Buffer {
  const line = `${String(number).padEnd(LINE - 2, "x")}\r\n`;
  const chunk = Buffer.from(new ArrayBuffer(CHUNK_BYTES));
  chunk.write(line.repeat(CHUNK_BYTES / LINE), "latin1");
  return chunk;
}

describe("a large body on its way to the next hop", () => {
  for (const [kind, delayMs] of [
    ["quick", 0],
    ["slow", 5],
  ] as const)
    it(`arrives whole at a ${kind} peer, and of its chunks at most two are in memory`, async () => {
      const chunks = Array.from({ length: CHUNKS }, (_, n) => chunkOf(n));
      const expected = `A: b\r\n\r\n${chunks.map((chunk) => chunk.toString("latin1")).join("")}.\r\n`;
      const most: number[] = [];
      const body = {
        size: CHUNKS * CHUNK_BYTES,
        pieces: null,
        eightBit: false,
        lineMax: 0,
        async *chunks() {
          for (const [n, chunk] of chunks.entries()) {
            most.push(chunks.slice(0, n).filter((before) => before.length > 0).length);
            yield chunk;
          }
        },
      };
      const peer = new Peer(delayMs);
      const wire = new Wire(peer, new Watch(systemClock, WAIT_MS));
      assert.equal(await sendPayload(wire, { header: Buffer.from("A: b\r\n"), body }, 990, WAIT_MS), true);
      while (peer.writableLength > 0) await pause(5);
      assert.equal(Buffer.concat(peer.got).toString("latin1"), expected);
      assert.ok(Math.max(...most) <= 2, `chunks in memory: ${most.join(" ")}`);
      wire.destroy();
    });
});

describe("a body that the data gate has proved clean", () => {
  // What the gate would never call clean shows whether anybody looked.
  const STRAY = "one\rtwo\r\n";
  for (const [name, lineMax, limit, expected] of [
    ["leaves without a second look", 8, 990, STRAY],
    ["and with no limit of lines at all", 8, 0, STRAY],
    ["is looked at when its lines are longer than the next hop takes", 7, 6, "one t!\r\n wo\r\n"],
    ["is looked at when nobody has proved it", 0, 990, "one two\r\n"],
  ] as const)
    it(name, async () => {
      const piece = Buffer.from(STRAY);
      for (const pieces of [[piece], null]) {
        const body = {
          size: piece.length,
          pieces,
          eightBit: false,
          lineMax,
          async *chunks() {
            yield Buffer.from(piece);
          },
        };
        const peer = new Peer(0);
        const wire = new Wire(peer, new Watch(systemClock, WAIT_MS));
        assert.equal(await sendPayload(wire, { header: Buffer.alloc(0), body }, limit, WAIT_MS), true);
        while (peer.writableLength > 0) await pause(5);
        assert.equal(Buffer.concat(peer.got).toString("latin1"), `\r\n${expected}.\r\n`);
        wire.destroy();
      }
    });
});
