// CR-03: the real program on the real kernel, killed at the Nth fdatasync, pwritev, unlink or fsync by strace, or given an EIO there.
// What was acknowledged is afterwards sent or queued, and nothing of it is damaged.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

const WORKER = join(import.meta.dirname, "worker.ts");
const COUNT = 40;

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
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "ignore"] });
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

const CALLS = ["fdatasync", "fsync", "pwritev", "unlink"];

for (const action of ["signal=KILL", "error=EIO"]) {
  for (const call of CALLS) {
    const name = `${action} at the Nth ${call}: nothing acknowledged is lost`;
    test(name, { skip: !tool("strace") && "strace is not installed", timeout: 300_000 }, async (t) => {
      let acknowledged = 0;
      for (const n of [1, 4, 9, 23]) {
        const folder = mkdtempSync(join(tmpdir(), "postern-kernel-"));
        try {
          const inject = `inject=${call}:${action}:when=${n}`;
          const args = ["-f", "-qq", "-o", "/dev/null", "-e", `trace=${call}`, "-e", inject];
          const fed = await output("strace", [
            ...args,
            process.execPath,
            WORKER,
            "feed",
            folder,
            String(COUNT),
          ]);
          const found = await check(folder, fed, `${action} at ${call} ${n}`);
          acknowledged += found.acknowledged;
          assert.ok(found.twice <= COUNT, "duplicates are bounded by what was in flight");
        } finally {
          rmSync(folder, { recursive: true });
        }
      }
      t.diagnostic(`${acknowledged} acknowledged`);
    });
  }
}
