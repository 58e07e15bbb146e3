// How cost grows: with the messages in the queue, with idle connections, with the lines of a table. Each point is a process of its
// own, so that one does not pay for another's memory; what is counted (bytes, calls) holds on a busy machine, times only roughly.
// growth.ts --table N | --queue N | --connections N prints one point as JSON; grow() runs such a process.

import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { defaultOptions } from "../../src/config/options.ts";
import { outcome } from "../../src/mail/outcome.ts";
import { makemap, parseMakemapArguments } from "../../src/map/makemap.ts";
import { openTable } from "../../src/map/open.ts";
import { settingsFrom } from "../../src/spool/settings.ts";
import { makeSpool, type Spool } from "../../src/spool/spool.ts";
import { systemClock } from "../../src/sys/clock.ts";
import { systemDisk } from "../../src/sys/disk.ts";
import { systemEntropy } from "../../src/sys/entropy.ts";
import { silentLog } from "../../src/sys/log.ts";
import { envelopeTo } from "../crash/life.ts";
import { freePort, Gateway } from "../flow/gateway.ts";
import { median } from "./measure.ts";

/** What grows, and how far. */
export const POINTS: ReadonlyMap<string, readonly number[]> = new Map([
  ["queue", [10, 100, 1000, 10_000, 100_000]],
  ["connections", [1, 10, 100, 1000]],
  ["table", [10, 100, 1000, 10_000, 50_000, 200_000]],
]);
const POINT_SECONDS_MAX = 120;

/** One figure of one point. `value` is null when there is an `error`. */
export interface Point {
  readonly what: string;
  readonly at: number;
  readonly metric: string;
  readonly value: number | null;
  readonly unit: string;
  readonly error?: string;
}

type Figure = readonly [metric: string, value: number, unit: string];

const LOOKUPS = 20_000;
const WARMUP = 10_000;
const AT_ONCE = 50;
/** What freed objects held outside the heap goes with a later one. */
const COLLECTIONS = 4;

let folder = "";

async function timed<T>(work: () => T | Promise<T>): Promise<{ readonly value: T; readonly ms: number }> {
  const start = performance.now();
  const value = await work();
  return { value, ms: performance.now() - start };
}

/** MB that the program itself holds: counted, not what the allocator keeps for later. Needs --expose-gc. */
async function heldMegabytes(): Promise<number> {
  for (let i = 0; i < COLLECTIONS; i++) {
    globalThis.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / 2 ** 20;
}

function privateDirty(pid: number): number {
  return Number(
    /^Private_Dirty:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "latin1"))?.[1] ?? 0,
  );
}

/** Builds a table of `lines`; milliseconds. On its own, so that nothing of the text is held afterwards. */
async function build(name: string, lines: number): Promise<number> {
  const parsed = parseMakemapArguments(["hash", name]);
  if (!parsed.ok) throw new Error(parsed.error);
  const text = Array.from({ length: lines }, (_, i) => `user${i}@domain${i % 977}.example\tRELAY\n`).join("");
  const input = (async function* () {
    yield Buffer.from(text);
  })();
  const io = { out: () => undefined, err: (said: string) => process.stderr.write(said) };
  return (await timed(() => makemap(parsed.value, input, io))).ms;
}

async function table(lines: number): Promise<Figure[]> {
  const name = join(folder, "access");
  const buildMs = await build(name, lines);
  const before = await heldMegabytes();
  const open = openTable({
    type: "hash",
    path: name,
    optional: false,
    tempfail: false,
    caseSensitive: false,
    flags: [],
  });
  const asked = await timed(() => {
    let found = 0;
    for (let i = 0; i < LOOKUPS; i++) {
      const n = (i * 7919) % lines;
      if (open.lookup(`user${n}@domain${n % 977}.example`).kind === "found") found++;
      open.lookup(`nobody${i}@domain.example`);
    }
    return found;
  });
  if (asked.value !== LOOKUPS) throw new Error(`${asked.value} of ${LOOKUPS} keys found`);
  return [
    ["makemap", buildMs / 1000, "s"],
    ["file", statSync(`${name}.db`).size / 1000, "kB"],
    ["a lookup", (asked.ms * 1000) / LOOKUPS / 2, "us"],
    ["memory", (await heldMegabytes()) - before, "MB"],
  ];
}

async function openSpool(name: string): Promise<Spool> {
  const down = outcome("deferred", "4.3.2", "Deferred: 451 later", { diagnostic: "451 later" });
  const made = await makeSpool({
    disk: systemDisk,
    clock: systemClock,
    entropy: systemEntropy,
    log: silentLog,
    folder: join(folder, name),
    settings: settingsFrom({ ...defaultOptions(), DeliveryMode: "queueonly" }, 1000),
    router: {
      expand: async ({ address }, sender) => ({
        deliveries: [{ mailer: "esmtp", host: "h", user: address, address, via: "", sender, unsafe: false }],
        errors: [],
      }),
    },
    mailers: new Map([
      ["esmtp", { deliver: async (a) => a.recipients.map(() => down), close: async () => {} }],
    ]),
    names: { hostName: "gw.example", version: "1", mailerDaemon: "MAILER-DAEMON@gw.example" },
    clockFloorMs: 0,
  });
  if (!made.ok) throw new Error(made.error.operation);
  return made.value;
}

/** Queues `count` messages, AT_ONCE at a time; the median milliseconds of such a batch. */
async function accept(spool: Spool, first: number, count: number): Promise<number> {
  const batches: number[] = [];
  const one = async (i: number): Promise<void> => {
    const draft = spool.open();
    draft.write(Buffer.alloc(1000, "x"));
    const verdict = await draft.commit(envelopeTo([`u${i}@h.example`]), Buffer.from("Subject: x\r\n"));
    if (verdict.kind !== "accepted") throw new Error(String(verdict.reply.code));
  };
  for (let i = 0; i < count; i += AT_ONCE) {
    const size = Math.min(AT_ONCE, count - i);
    const batch = await timed(() => Promise.all(Array.from({ length: size }, (_, n) => one(first + i + n))));
    batches.push((batch.ms * AT_ONCE) / size);
  }
  return median(batches);
}

async function queue(depth: number): Promise<Figure[]> {
  // Another queue takes what makes the code warm: the rate is to be that of the depth.
  const other = await openSpool("warm");
  other.start(0);
  await accept(other, 0, WARMUP);
  await other.close(100);
  const first = await openSpool("q");
  first.start(0);
  await accept(first, 0, depth);
  const batchMs = await accept(first, depth, 1000);
  await first.close(100);
  const before = await heldMegabytes();
  const opened = await timed(() => openSpool("q"));
  const listed = await timed(() => opened.value.list().length);
  if (listed.value !== depth + 1000) throw new Error(`${listed.value} of ${depth + 1000} messages listed`);
  const memory = (await heldMegabytes()) - before;
  await opened.value.close(100);
  return [
    ["accepted there", (AT_ONCE * 1000) / batchMs, "1/s"],
    ["recovery at start", opened.ms / 1000, "s"],
    ["listing", listed.ms, "ms"],
    ["memory", memory, "MB"],
  ];
}

async function connections(count: number): Promise<Figure[]> {
  const gateway = new Gateway("growth");
  try {
    gateway.port = await freePort();
    gateway.write({
      "sendmail.mc": `OSTYPE(\`linux')dnl
define(\`confDOMAIN_NAME', \`gw.test')dnl
FEATURE(\`nocanonify')dnl
FEATURE(\`no_default_msa')dnl
DAEMON_OPTIONS(\`Name=MTA, Addr=127.0.0.1, Port=${gateway.port}')dnl
MAILER(\`smtp')dnl
`,
    });
    await gateway.start();
    const hello = (): Promise<number> =>
      new Promise((resolve, reject) => {
        const start = performance.now();
        const socket = connect({ port: gateway.port, host: "127.0.0.1" });
        socket.once("data", () => resolve(performance.now() - start));
        socket.on("error", reject);
      });
    for (let i = 0; i < 10; i++) await hello();
    const before = privateDirty(gateway.pid);
    for (let i = 0; i < count; i += AT_ONCE)
      await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - i) }, hello));
    const more = privateDirty(gateway.pid) - before;
    const late: number[] = [];
    for (let i = 0; i < 20; i++) late.push(await hello());
    late.sort((a, b) => a - b);
    return [
      ["memory", more / 1024, "MB"],
      ["the next greeting after", late[10] ?? 0, "ms"],
    ];
  } finally {
    await gateway.remove();
  }
}

/** One point, in a process of its own with `work` for its files. A point that fails says why. */
export function grow(what: string, at: number, work: string): Promise<Point[]> {
  const argv = ["--expose-gc", import.meta.filename, `--${what}`, String(at)];
  const options = {
    env: { ...process.env, TMPDIR: work },
    timeout: POINT_SECONDS_MAX * 1000,
    encoding: "utf8" as const,
  };
  return new Promise((resolve) => {
    execFile(process.execPath, argv, options, (error, out, err) => {
      if (error === null) {
        const figures: Figure[] = JSON.parse(out);
        resolve(figures.map(([metric, value, unit]) => ({ what, at, metric, value, unit })));
      } else {
        const why = err.trim().split("\n").at(-1) || error.message;
        resolve([{ what, at, metric: "point", value: null, unit: "", error: why }]);
      }
    });
  });
}

if (import.meta.main) {
  folder = mkdtempSync(join(tmpdir(), "postern-growth-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  const { values } = parseArgs({
    options: { table: { type: "string" }, queue: { type: "string" }, connections: { type: "string" } },
  });
  const figures =
    values.table !== undefined
      ? await table(Number(values.table))
      : values.queue !== undefined
        ? await queue(Number(values.queue))
        : await connections(Number(values.connections ?? 1));
  process.stdout.write(JSON.stringify(figures));
  process.exit(0);
}
