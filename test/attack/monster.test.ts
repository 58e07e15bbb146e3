// RES-03, RES-04, RES-05, RES-10 and BOMB-03 (reliability 3.5, 3.6) against the whole program: lines, headers, messages and MIME trees
// of any size cost it a bounded amount of memory. Each ends with the three questions of siege.ts.

import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { describe, it } from "node:test";
import { until } from "../flow/gateway.ts";
import { besieged, greeted, peak, quiet, toData } from "./siege.ts";

const MIB = 1024 * 1024;

/** Writes `chunks` as fast as they are taken. */
async function pour(socket: Socket, chunks: Iterable<Buffer>): Promise<void> {
  for (const chunk of chunks) {
    if (socket.destroyed) return;
    if (socket.write(chunk)) continue;
    await new Promise<void>((resolve) => {
      socket.once("drain", resolve);
      socket.once("close", resolve);
    });
  }
}

function* times(count: number, chunk: Buffer): Iterable<Buffer> {
  for (let n = 0; n < count; n++) yield chunk;
}

describe("monstrous input", () => {
  it("RES-03: 100 MB without a line end is 421 at once, and memory stays flat", async () => {
    await besieged("endless", {}, async (siege) => {
      const socket = quiet(siege.gateway.port);
      let said = "";
      socket.on("data", (chunk) => {
        said += chunk.toString("latin1");
      });
      await greeted([socket]);
      const before = siege.figures().memory;
      const most = await peak(siege, pour(socket, times(100, Buffer.alloc(MIB, "x"))));
      await until("the answer", 10, () => said.includes("421"));
      assert.match(
        said,
        /\r\n421 4\.7\.0 gw\.test Command too long, possible attack \S+ \[127\.0\.0\.1\]\r\n$/,
      );
      assert.ok(most - before < 20e6, `${Math.round((most - before) / 1e6)} MB`);
      socket.destroy();
    });
  });

  const HEADERS: readonly (readonly [string, () => Iterable<Buffer>])[] = [
    ["a block of 33 kB", () => times(33, Buffer.from(`X-A: ${"a".repeat(1000)}\r\n`))],
    [
      "one field of 1 MB",
      () => [Buffer.from("X-A: "), ...times(16, Buffer.alloc(65_536, "a")), Buffer.from("\r\n")],
    ],
    [
      "one field of 1 MB, folded",
      () => [Buffer.from("X-A: b\r\n"), ...times(16_384, Buffer.from(` ${"a".repeat(61)}\r\n`))],
    ],
    ["100,000 lines", () => times(1000, Buffer.from("X-A: b\r\n".repeat(100)))],
    [
      "100,000 continuation lines",
      () => [Buffer.from("X-A: b\r\n"), ...times(1000, Buffer.from(" c\r\n".repeat(100)))],
    ],
    ["a name of 1 MB", () => [...times(16, Buffer.alloc(65_536, "a")), Buffer.from(": b\r\n")]],
  ];
  it("RES-04: headers that are too large are 552 after their message, and the session lives", async () => {
    await besieged("headers", {}, async (siege) => {
      for (const [name, bytes] of HEADERS) {
        const client = await toData(siege);
        for (const chunk of bytes()) client.raw(chunk);
        client.raw(`\r\nbody\r\n.\r\n`);
        const answer = await client.reply();
        // A name that is no name begins the body.
        if (name.startsWith("a name")) assert.match(answer, /^250 2\.0\.0 /, name);
        else assert.equal(answer, "552 5.6.0 Headers too large (32768 max)", name);
        assert.equal(await client.say("NOOP"), "250 2.0.0 OK", name);
        client.close();
      }
    });
  });

  for (const size of [200_000, 100 * MIB])
    it(`RES-05: a body line of ${size} bytes is taken; no line of it leaves longer than 998; memory is bounded`, async () => {
      await besieged("longline", { growth: 70e6 }, async (siege) => {
        siege.hop.keep = size < MIB;
        let longest = 0;
        let bytes = 0;
        let column = 0;
        const client = await toData(siege);
        const before = siege.figures().memory;
        const work = (async () => {
          client.raw("Subject: long\r\n\r\n");
          const chunk = Buffer.alloc(Math.min(size, MIB), "y");
          for (let sent = 0; sent < size; sent += chunk.length) await client.pour(chunk);
          client.raw("\r\n.\r\n");
          assert.match(await client.reply(120), /^250 2\.0\.0 /);
        })();
        siege.hop.watch = (chunk) => {
          for (const byte of chunk) {
            if (byte === 0x79) bytes++;
            if (byte === 0x0a) column = 0;
            else if (byte !== 0x0d) longest = Math.max(longest, ++column);
          }
        };
        const most = await peak(
          siege,
          work.then(() => until("it is through", 120, () => siege.hop.count >= 2)),
        );
        client.close();
        assert.ok(longest <= 998, `a line of ${longest}`);
        assert.ok(bytes >= size && bytes < size + 100, `${bytes} of ${size} bytes`);
        assert.ok(most - before < 70e6, `${Math.round((most - before) / 1e6)} MB`);
      });
    });

  it("RES-10: 50 messages of 10 MB at once in a heap of 64 MB: all are taken and arrive, memory is bounded", async () => {
    await besieged("heap", { flags: ["--max-old-space-size=64"], growth: 70e6 }, async (siege) => {
      siege.hop.keep = false;
      const before = siege.figures().memory;
      const body = Buffer.from(`${"z".repeat(70)}\r\n`.repeat(Math.floor((10 * MIB) / 72)));
      const one = async (n: number): Promise<void> => {
        const client = await toData(siege);
        client.raw(`Subject: big ${n}\r\n\r\n`);
        for (let at = 0; at < body.length; at += 65_536) await client.pour(body.subarray(at, at + 65_536));
        client.raw(".\r\n");
        assert.match(await client.reply(120), /^250 2\.0\.0 /);
        client.close();
      };
      const start = siege.hop.count;
      const all = Promise.all(Array.from({ length: 50 }, (_, n) => one(n))).then(() =>
        until("all have arrived", 120, () => siege.hop.count - start >= 50),
      );
      const most = await peak(siege, all);
      assert.ok(most - before < 70e6, `${Math.round((most - before) / 1e6)} MB more than at rest`);
    });
  });
});
