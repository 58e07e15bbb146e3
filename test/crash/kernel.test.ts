// CR-03: the real program on the real kernel, killed by strace at the Nth fdatasync, fsync, write, unlink or rename, or given an
// errno there, once or from then on. What was acknowledged is afterwards sent or queued, whole; damage is in quarantine.
// libuv has one thread here, because strace counts calls by thread; each run shows that its fault did happen.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

const WORKER = join(import.meta.dirname, "worker.ts");
const COUNT = 40;
const SLOTS = 60;
/** Runs of one test that are under way at the same time. */
const TOGETHER = 4;

function tool(name: string): boolean {
  try {
    execFileSync(name, ["--version"], { stdio: "ignore" });
    return true;
  } catch (e) {
    if (e instanceof Error) return false;
    throw e;
  }
}

/** Runs a program to its end or for 60 seconds; its standard output. */
function output(command: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, UV_THREADPOOL_SIZE: "1" };
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "ignore"], env });
    const timer = setTimeout(() => child.kill("SIGKILL"), 60_000);
    let text = "";
    child.stdout.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
    });
    child.on("error", reject);
    child.on("close", () => {
      clearTimeout(timer);
      resolve(text);
    });
  });
}

function words(text: string, first: string): string[][] {
  return text
    .split("\n")
    .filter((line) => line.startsWith(`${first} `))
    .map((line) => line.split(" ").slice(1));
}

type Mode = "feed" | "large" | "list";

/** Everything in the spool that can be opened: the calls of Node itself are left alone. */
function pathsOf(folder: string): string[] {
  const slots = Array.from({ length: SLOTS }, (_, i) => String(i + 1).padStart(6, "0"));
  return [
    folder,
    ...["log", "body", "quarantine"].map((name) => join(folder, name)),
    ...slots.flatMap((slot) => [join(folder, "log", `segment-${slot}`), join(folder, "body", slot)]),
  ];
}

/** Runs the worker under strace; what it said and what strace saw of `call`. */
async function traced(mode: Mode, folder: string, call: string, inject: string): Promise<[string, string]> {
  const file = `${folder}.trace`;
  const fault = inject === "" ? [] : ["-e", `inject=${call}:${inject}`];
  const where = call === "openat" ? pathsOf(folder).flatMap((path) => ["-P", path]) : [];
  const args = ["-f", "-qq", "-o", file, "-e", `trace=${call}`, ...fault, ...where];
  const said = await output("strace", [...args, process.execPath, WORKER, mode, folder, String(COUNT)]);
  const seen = readFileSync(file, "latin1");
  rmSync(file);
  return [said, seen];
}

interface Check {
  readonly acknowledged: number;
  readonly twice: number;
}

async function check(folder: string, fed: string, what: string): Promise<Check> {
  const ids = new Map(words(fed, "id").map(([tag = "", id = ""]) => [tag, id]));
  const acknowledged = words(fed, "ack").map(([tag = ""]) => tag);
  const sent = new Set(words(fed, "sent").map(([tag = ""]) => tag));
  const listed = await output(process.execPath, [WORKER, "list", folder]);
  const queued = new Set(words(listed, "queued").map(([id = ""]) => id));
  assert.deepEqual(words(listed, "unreadable"), [], `${what}: every queued message is whole`);
  assert.deepEqual(words(listed, "damaged"), [["0"]], `${what}: nothing is damaged`);
  const lost = acknowledged.filter((tag) => !sent.has(tag) && !queued.has(ids.get(tag) ?? ""));
  assert.deepEqual(lost, [], `${what}: acknowledged and lost`);
  const twice = acknowledged.filter((tag) => sent.has(tag) && queued.has(ids.get(tag) ?? "")).length;
  return { acknowledged: acknowledged.length, twice };
}

/** First, middle and last of `count` calls, and one a quarter in. */
function spread(count: number): number[] {
  return [...new Set([1, Math.ceil(count / 4), Math.ceil(count / 2), count])];
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  let next = 0;
  const one = async (): Promise<void> => {
    for (let item = items[next++]; item !== undefined; item = items[next++]) await work(item);
  };
  await Promise.all(Array.from({ length: TOGETHER }, one));
}

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const top = mkdtempSync(join(tmpdir(), "postern-kernel-"));
  try {
    const folder = join(top, "spool");
    mkdirSync(folder);
    await work(folder);
  } finally {
    rmSync(top, { recursive: true });
  }
}

/** True when the fault happened in the run that strace wrote down. */
const happened = (seen: string, action: string): boolean =>
  action.startsWith("signal") ? seen.includes("killed by SIGKILL") : seen.includes("(INJECTED)");

interface Row {
  readonly call: string;
  readonly mode: Mode;
  readonly actions: readonly string[];
}

const KILL = "signal=KILL";
const ROWS: readonly Row[] = [
  { call: "fdatasync", mode: "feed", actions: [KILL, "error=EIO", "error=EIO+", "error=ENOSPC"] },
  { call: "fsync", mode: "feed", actions: [KILL, "error=EIO", "error=EIO+"] },
  // With several pieces, and with one (zeros of new segments, parts of large messages).
  {
    call: "pwritev",
    mode: "feed",
    actions: [KILL, "error=EIO", "error=ENOSPC", "error=ENOSPC+", "error=EROFS+"],
  },
  { call: "pwrite64", mode: "large", actions: [KILL, "error=EIO", "error=ENOSPC+", "error=EROFS+"] },
  { call: "unlink", mode: "large", actions: [KILL, "error=EIO", "error=EROFS+"] },
  { call: "openat", mode: "large", actions: ["error=EMFILE", "error=EMFILE+", "error=EROFS+"] },
];

const skip = !tool("strace") && "strace is not installed";

for (const { call, mode, actions } of ROWS) {
  test(`at the Nth ${call}, ${actions.join(", ")}: nothing acknowledged is lost`, {
    skip,
    timeout: 300_000,
  }, async (t) => {
    let calls = 0;
    await inFolder(async (folder) => {
      const [said, seen] = await traced(mode, folder, call, "");
      assert.match(said, /\ndone\n$/);
      calls = seen.split("\n").filter((line) => line.includes(`${call}(`)).length;
    });
    assert.ok(calls > 2, `${call} is called`);
    const faults = actions.flatMap((action) => spread(calls).map((n) => ({ action, n })));
    let acknowledged = 0;
    let twice = 0;
    let hits = 0;
    await inParallel(faults, ({ action, n }) =>
      inFolder(async (folder) => {
        const inject = `${action.replace("+", "")}:when=${n}${action.endsWith("+") ? "+" : ""}`;
        const [fed, seen] = await traced(mode, folder, call, inject);
        // A run may have fewer calls than the one that was counted: only the last N can miss.
        assert.ok(happened(seen, action) || n === calls, `${inject} at ${call} happened`);
        if (happened(seen, action)) hits++;
        const found = await check(folder, fed, `${inject} at ${call}`);
        acknowledged += found.acknowledged;
        twice += found.twice;
        assert.ok(found.twice <= COUNT, "duplicates are bounded by what was in flight");
      }),
    );
    assert.ok(acknowledged > 0, "some runs acknowledge mail before their fault");
    t.diagnostic(
      `${hits} faults at ${calls} calls, ${acknowledged} acknowledged, ${twice} sent and still queued`,
    );
  });
}

/** Turns one byte of the body of each of these queued messages, in every copy. */
function damage(folder: string, tags: readonly string[]): void {
  for (const name of readdirSync(join(folder, "log"))) {
    const path = join(folder, "log", name);
    const bytes = readFileSync(path);
    for (const tag of tags)
      for (
        let at = bytes.indexOf(`X-Tag: ${tag}\r\n`);
        at >= 0;
        at = bytes.indexOf(`X-Tag: ${tag}\r\n`, at + 1)
      )
        bytes[at + 100] = (bytes[at + 100] ?? 0) ^ 0x20;
    writeFileSync(path, bytes);
  }
}

/** The tags whose bytes are kept in quarantine. */
function quarantined(folder: string): string[] {
  const kept = join(folder, "quarantine");
  return readdirSync(kept)
    .flatMap((name) => /X-Tag: (t\d+)\r\n/.exec(readFileSync(join(kept, name), "latin1"))?.[1] ?? [])
    .sort();
}

test("at the Nth rename, fsync or write of damaged records into quarantine: all of them are there after the next start", {
  skip,
  timeout: 300_000,
}, async (t) => {
  // Every third message waits for a host that is down; the tenth is in a file of its own.
  const tags = ["t12", "t15", "t18", "t3"];
  let hits = 0;
  await inFolder(async (fresh) => {
    const fed = await output(process.execPath, [WORKER, "feed", fresh, String(COUNT)]);
    const whole = words(await output(process.execPath, [WORKER, "list", fresh]), "queued").length;
    assert.ok(whole > tags.length);
    const ids = new Map(words(fed, "id").map(([tag = "", id = ""]) => [tag, id]));
    damage(fresh, tags);
    const faults = ["rename", "fsync", "pwritev"].flatMap((call) =>
      [KILL, "error=EIO", "error=ENOSPC+", "error=EROFS+"].flatMap((action) =>
        [1, 2, 4].map((n) => ({ call, action, n })),
      ),
    );
    await inParallel(faults, ({ call, action, n }) =>
      inFolder(async (folder) => {
        cpSync(fresh, folder, { recursive: true });
        const inject = `${action.replace("+", "")}:when=${n}${action.endsWith("+") ? "+" : ""}`;
        const what = `${inject} at ${call}`;
        const [, seen] = await traced("list", folder, call, inject);
        assert.ok(happened(seen, action), `${what} happened`);
        hits++;
        const listed = await output(process.execPath, [WORKER, "list", folder]);
        assert.deepEqual(words(listed, "damaged"), [[String(tags.length)]], what);
        assert.deepEqual(quarantined(folder), tags, what);
        const queued = new Set(words(listed, "queued").map(([id = ""]) => id));
        assert.equal(queued.size, whole - tags.length, what);
        for (const tag of tags) assert.ok(!queued.has(ids.get(tag) ?? ""), what);
      }),
    );
  });
  t.diagnostic(`${hits} faults`);
});
