// `make bench BOARD=b`: an emulated board beside a bare guest (bareguest.ts), in turn, in the same run: power-on to 220,
// memory of the gateway at rest and under load, mail through it with 128 and 96 MB of memory, sizes.
// --rounds N (3), --messages N (200). Times are of software emulation on this machine; the difference to the bare guest counts.

import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { outputOf, ROOT, readBoard, say } from "../../scripts/board.ts";
import { makeImage, makeSlot, type Products } from "../../scripts/image.ts";
import { freePorts } from "../../scripts/qemu.ts";
import { type Appliance, powerOn } from "../board/appliance.ts";
import { goodConfiguration, testDisk } from "../board/content.ts";
import { type Sink, startSink } from "../board/sink.ts";
import { converse, greeting } from "../board/talk.ts";
import { makeBareGuest } from "./bareguest.ts";

const BOOT_MS = 180_000;
const DRAIN_MS = 180_000;
const MESSAGE_BYTES = 1000;
const SMALL_MB = 128;
const TINY_MB = 96;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: "string", default: "3" }, messages: { type: "string", default: "200" } },
});
const name = positionals[0] ?? "qemu-x86_64";
const rounds = Number(values.rounds);
const messages = Number(values.messages);

interface Row {
  readonly what: string;
  readonly value: string;
  readonly must: string;
  readonly aim: string;
}

const median = (numbers: readonly number[]) =>
  [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;
const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;

async function upTime(board: string, products: Products, disk: string): Promise<number> {
  const start = performance.now();
  await using box = await powerOn(board, products, disk, SMALL_MB);
  const text = await greeting(box.smtpPort, BOOT_MS);
  if (!text.startsWith("220")) throw new Error(`greeted with ${text}`);
  return performance.now() - start;
}

/** kB of the gateway's process, by the kernel's own sums. */
async function memory(box: Appliance): Promise<Map<string, number>> {
  const { output } = await box.run(
    "cat /proc/$(cat /run/gateway/pid)/smaps_rollup; grep MemAvailable /proc/meminfo",
  );
  return new Map(
    [...output.matchAll(/^(\w+): +(\d+) kB$/gm)].map((match) => [match[1] ?? "", Number(match[2])]),
  );
}

async function load(box: Appliance, sink: Sink): Promise<number> {
  const before = sink.received().length;
  const body = `Subject: load\r\n\r\n${"x".repeat(70)}\r\n`.padEnd(MESSAGE_BYTES, "y");
  const start = performance.now();
  const sessions = Array.from({ length: 4 }, async () => {
    for (let count = 0; count < messages / 4; count++) {
      const replies = await converse(box.smtpPort, [
        "EHLO bench.example.org",
        "MAIL FROM:<ann@example.org>",
        "RCPT TO:<bob@polkatistas.org>",
        "DATA",
        `${body}\r\n.`,
      ]);
      if (!replies.at(-1)?.startsWith("250")) throw new Error(`refused: ${replies.at(-1)}`);
    }
  });
  await Promise.all(sessions);
  const taken = performance.now() - start;
  const end = performance.now() + DRAIN_MS;
  while (sink.received().length - before < messages) {
    if (performance.now() > end)
      throw new Error(`only ${sink.received().length - before} of ${messages} arrived`);
    await new Promise((done) => setTimeout(done, 200));
  }
  return messages / (taken / 1000);
}

async function loaded(products: Products, disk: string, mb: number, innerPort: number): Promise<Row[]> {
  await using sink = await startSink(innerPort);
  await using box = await powerOn(name, products, disk, mb);
  await greeting(box.smtpPort, BOOT_MS);
  await box.logIn();
  const idle = await memory(box);
  const rate = await load(box, sink);
  const busy = await memory(box);
  const row = (what: string, value: string, must = "", aim = ""): Row => ({
    what: `${mb} MB: ${what}`,
    value,
    must,
    aim,
  });
  const kilobytes = (from: Map<string, number>, key: string) =>
    `${((from.get(key) ?? 0) / 1024).toFixed(1)} MB`;
  return [
    row("private dirty at rest", kilobytes(idle, "Private_Dirty")),
    row("resident at rest", kilobytes(idle, "Rss")),
    row(
      `${messages} messages of 1 kB over 4 sessions`,
      `${rate.toFixed(1)}/s, all delivered`,
      "runs",
      "runs",
    ),
    row("private dirty after them", kilobytes(busy, "Private_Dirty"), "64 MB", "40 MB"),
    row("memory left to the system", kilobytes(busy, "MemAvailable")),
  ];
}

async function main(): Promise<void> {
  const board = readBoard(name);
  const products = await makeImage(name);
  const work = mkdtempSync(join(tmpdir(), "postern-bench-"));
  process.once("exit", () => rmSync(work, { recursive: true, force: true }));
  const [innerPort = 0] = await freePorts(1);
  const config = await goodConfiguration(work, "a", innerPort);
  const disk = await testDisk(products, name, work, { configA: config });
  const bareFolder = join(work, "bare");
  mkdirSync(bareFolder, { recursive: true });
  const bare = { ...products, ...(await makeSlot(board, await makeBareGuest(board), bareFolder)) };
  const bareDisk = await testDisk(bare, name, bareFolder, { configA: null });
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let round = 0; round < rounds; round++) {
    theirs.push(await upTime(name, bare, bareDisk));
    ours.push(await upTime(name, products, disk));
    say(`round ${round + 1}: bare ${seconds(theirs.at(-1) ?? 0)}, appliance ${seconds(ours.at(-1) ?? 0)}`);
  }
  const extra = ours.map((own, round) => own - (theirs[round] ?? 0));
  const rows: Row[] = [
    {
      what: `power-on to 220, ${SMALL_MB} MB, median of ${rounds}`,
      value: seconds(median(ours)),
      must: "",
      aim: "",
    },
    { what: "the bare guest", value: seconds(median(theirs)), must: "", aim: "" },
    { what: "beyond the bare guest", value: `+${seconds(median(extra))}`, must: "+6 s", aim: "+2 s" },
    ...(await loaded(products, disk, SMALL_MB, innerPort)),
  ];
  try {
    rows.push(...(await loaded(products, disk, TINY_MB, innerPort)));
  } catch (error) {
    rows.push({
      what: `${TINY_MB} MB`,
      value: error instanceof Error ? (error.message.split("\n")[0] ?? "") : "",
      must: "-",
      aim: "runs",
    });
  }
  const size = (file: string) => `${(statSync(file).size / 1e6).toFixed(1)} MB`;
  rows.push({ what: "root file system", value: size(products.rootfs), must: "42 MB", aim: "36 MB" });
  rows.push({ what: "binary", value: size(join(outputOf(name), "postern")), must: "", aim: "" });
  const width = Math.max(...rows.map(({ what }) => what.length));
  process.stdout.write(`\n${name}\n${"".padEnd(width)}  measured                 must     aim\n`);
  for (const { what, value, must, aim } of rows)
    process.stdout.write(`${what.padEnd(width)}  ${value.padEnd(24)} ${must.padEnd(8)} ${aim}\n`);
  mkdirSync(join(ROOT, "build/bench"), { recursive: true });
  writeFileSync(
    join(ROOT, `build/bench/${name}.json`),
    JSON.stringify({ board: name, ours, theirs, rows }, null, 1),
  );
}

await main();
process.exit(0);
