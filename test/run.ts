// `make test`: runs the stages in order, the fast ones first, and says at the end "N passed, N failed".
// Each stage is one child in a session of its own, bounded in time; what it leaves behind is ended by process id and counted
// as a failure. Test files are found by folder, so a new test needs no entry here.
// Arguments name stages; without any, all run.

import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

const ROOT = resolve(dirname(new URL(import.meta.url).pathname), "..");
const LOGS = join(ROOT, "build/test");
const MINUTE_MS = 60_000;
/** A single test file may take this long unless its stage says otherwise. */
const FILE_TIMEOUT_MS = 3 * MINUTE_MS;
/** Lines of a failing stage's report that are shown; the whole is in build/test. */
const REPORT_LINES_MAX = 150;

interface Stage {
  readonly name: string;
  /** A command that counts as one test, or null: the test files of test/<name>. */
  readonly command: readonly string[] | null;
  readonly minutes: number;
  readonly concurrency: number;
}

interface Count {
  passed: number;
  failed: number;
  skipped: number;
}

const tests = (name: string, minutes: number, concurrency: number): Stage => ({
  name,
  command: null,
  minutes,
  concurrency,
});

const command = (name: string, minutes: number, ...words: string[]): Stage => ({
  name,
  command: words,
  minutes,
  concurrency: 1,
});

/** Folders of test/ that have targets of their own. */
const NOT_STAGES = new Set(["bench", "fuzz", "soak", "update", "matrix", "sim"]);
/** Stages whose files may take as long as the whole stage. */
const LONG = new Set(["board", "crash", "flow", "powercut"]);

function stages(): Stage[] {
  const known: Stage[] = [
    command("types", 4, "node_modules/typescript/bin/tsc", "--noEmit", "-p", "."),
    command("tidy", 2, "scripts/tidy.ts"),
    command("lint", 2, "node_modules/@biomejs/biome/bin/biome", "ci", "--diagnostic-level=error", "."),
    tests("unit", 8, 2),
    tests("crash", 12, 2),
    tests("dialog", 4, 2),
    tests("attack", 8, 2),
    tests("flow", 20, 1),
    tests("oracle", 5, 2),
    tests("packaging", 10, 1),
    tests("board", 20, 1),
    tests("powercut", 12, 1),
  ];
  const names = new Set(known.map((stage) => stage.name));
  const others = readdirSync(join(ROOT, "test"), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !names.has(entry.name) && !NOT_STAGES.has(entry.name))
    .map((entry) => tests(entry.name, 4, 1));
  known.splice(known.length - 3, 0, ...others);
  return known;
}

function files(stage: string): string[] {
  const folder = join(ROOT, "test", stage);
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".test.ts"))
    .map((name) => join("test", stage, name))
    .sort();
}

/** Processes of one session, by /proc: (process id, name). */
function session(leader: number): [number, string][] {
  const found: [number, string][] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    let stat = "";
    try {
      stat = readFileSync(`/proc/${name}/stat`, "utf8");
    } catch {
      continue; // it ended meanwhile
    }
    const close = stat.lastIndexOf(")");
    const fields = stat.slice(close + 2).split(" ");
    if (Number(fields[3]) === leader && fields[0] !== "Z")
      found.push([Number(name), stat.slice(stat.indexOf("(") + 1, close)]);
  }
  return found;
}

function endSession(leader: number): string[] {
  const left = session(leader);
  for (const [pid] of left) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // it ended meanwhile
    }
  }
  return left.map(([pid, name]) => `${name} (${pid})`);
}

interface Ended {
  readonly status: number;
  readonly output: string;
  readonly timedOut: boolean;
  readonly left: string[];
}

let current: number | null = null;

function run(words: readonly string[], limitMs: number): Promise<Ended> {
  return new Promise((done) => {
    const child = spawn(process.execPath, words, {
      cwd: ROOT,
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, PATH: `${dirname(process.execPath)}:${process.env["PATH"] ?? ""}` },
    });
    const leader = child.pid ?? 0;
    current = leader;
    const parts: Buffer[] = [];
    child.stdout.on("data", (part: Buffer) => parts.push(part));
    child.stderr.on("data", (part: Buffer) => parts.push(part));
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      endSession(leader);
    }, limitMs);
    let status = 1;
    let left: string[] = [];
    // "exit", not "close": a process left behind may hold the pipes open.
    child.on("exit", (code) => {
      clearTimeout(timer);
      status = code ?? 1;
      left = timedOut ? [] : endSession(leader);
    });
    child.on("error", () => done({ status: 1, output: "cannot start", timedOut, left }));
    child.on("close", () => {
      current = null;
      done({ status, output: Buffer.concat(parts).toString("utf8"), timedOut, left });
    });
  });
}

function tapCount(text: string): Count {
  const number = (word: string) => Number(new RegExp(`^# ${word} (\\d+)$`, "m").exec(text)?.[1] ?? 0);
  return {
    passed: number("pass"),
    failed: number("fail") + number("cancelled"),
    skipped: number("skipped") + number("todo"),
  };
}

async function runTests(stage: Stage): Promise<[Count, string]> {
  const tap = join(LOGS, `${stage.name}.tap`);
  const spec = join(LOGS, `${stage.name}.log`);
  const ended = await run(
    [
      "--test",
      `--test-concurrency=${stage.concurrency}`,
      `--test-timeout=${LONG.has(stage.name) ? stage.minutes * MINUTE_MS : FILE_TIMEOUT_MS}`,
      "--test-reporter=tap",
      `--test-reporter-destination=${tap}`,
      "--test-reporter=spec",
      `--test-reporter-destination=${spec}`,
      ...files(stage.name),
    ],
    stage.minutes * MINUTE_MS,
  );
  const text = existsSync(tap) ? readFileSync(tap, "utf8") : "";
  const count = tapCount(text);
  const report = existsSync(spec) ? readFileSync(spec, "utf8") : "";
  const failing = report.indexOf("failing tests:");
  const said =
    failing >= 0 ? report.slice(failing) : ended.status === 0 ? "" : report.slice(-8000) + ended.output;
  if (count.failed === 0 && (ended.status !== 0 || ended.timedOut || count.passed === 0)) count.failed = 1;
  return [count, said + trouble(ended, stage, count)];
}

async function runCommand(stage: Stage): Promise<[Count, string]> {
  const ended = await run(stage.command ?? [], stage.minutes * MINUTE_MS);
  const good = ended.status === 0 && !ended.timedOut;
  const count = { passed: good ? 1 : 0, failed: good ? 0 : 1, skipped: 0 };
  return [count, (good ? "" : ended.output) + trouble(ended, stage, count)];
}

function trouble(ended: Ended, stage: Stage, count: Count): string {
  let text = "";
  if (ended.timedOut) text += `\n${stage.name}: not done within ${stage.minutes} minutes\n`;
  if (ended.left.length > 0) {
    count.failed += 1;
    text += `\n${stage.name}: left processes behind: ${ended.left.join(", ")}\n`;
  }
  return text;
}

function shorten(text: string): string {
  const lines = text.trimEnd().split("\n");
  if (lines.length <= REPORT_LINES_MAX) return lines.join("\n");
  return [
    ...lines.slice(0, REPORT_LINES_MAX),
    `... ${lines.length - REPORT_LINES_MAX} more lines in build/test/`,
  ].join("\n");
}

async function main(): Promise<number> {
  const wanted = new Set(process.argv.slice(2));
  const all = stages();
  const unknown = [...wanted].filter((name) => !all.some((stage) => stage.name === name));
  if (unknown.length > 0) {
    process.stdout.write(
      `no such stage: ${unknown.join(" ")}; there are: ${all.map((stage) => stage.name).join(" ")}\n`,
    );
    return 64;
  }
  rmSync(LOGS, { recursive: true, force: true });
  mkdirSync(LOGS, { recursive: true });
  const total: Count = { passed: 0, failed: 0, skipped: 0 };
  for (const stage of all) {
    if (wanted.size > 0 && !wanted.has(stage.name)) continue;
    if (stage.command === null && files(stage.name).length === 0) continue;
    const start = performance.now();
    process.stdout.write(`== ${stage.name} ... `);
    const [count, said] = await (stage.command === null ? runTests(stage) : runCommand(stage));
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    const skipped = count.skipped > 0 ? `, ${count.skipped} skipped` : "";
    process.stdout.write(`${count.passed} passed, ${count.failed} failed${skipped} (${seconds} s)\n`);
    if (count.failed > 0) process.stdout.write(`${shorten(said)}\n`);
    total.passed += count.passed;
    total.failed += count.failed;
  }
  process.stdout.write(`${total.passed} passed, ${total.failed} failed\n`);
  return total.failed === 0 ? 0 : 1;
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    if (current !== null) endSession(current);
    process.exit(130);
  });
}
process.exitCode = await main();
