// `make fuzz`: every target for its share of TIME seconds (60), from SEED (the day), and for each failure the case that shows it again.
// ONLY=target and CASE=number run just that.

import { Worker } from "node:worker_threads";
import { TARGETS } from "./targets.ts";

/** A case that takes longer than this hangs. */
const CASE_MS = 5000;
const POLL_MS = 250;
const CASES_MAX = 2 ** 31;
const MESSAGE_MAX = 2000;

interface Answer {
  readonly done: number;
  readonly number: number;
  readonly failure: string | null;
}

const environment = (name: string): string => process.env[name] ?? "";
const seconds = Number(environment("TIME")) || 60;
const seed = Number(environment("SEED")) || Math.floor(Date.now() / 86_400_000);
const only = environment("ONLY");
const one = environment("CASE");

const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

function runTarget(target: string, limitMs: number): Promise<Answer> {
  const at = new SharedArrayBuffer(4);
  const current = new Uint32Array(at);
  const first = one === "" ? 0 : Number(one);
  const cases = one === "" ? CASES_MAX : 1;
  const worker = new Worker(new URL("./worker.ts", import.meta.url), {
    workerData: { target, seed, first, cases, limitMs, at },
  });
  return new Promise((done) => {
    let seen = -1;
    let sinceMs = performance.now();
    const timer = setInterval(() => {
      const number = Atomics.load(current, 0);
      if (number !== seen) {
        seen = number;
        sinceMs = performance.now();
      } else if (performance.now() - sinceMs > CASE_MS) finish(number, `no end within ${CASE_MS} ms`);
    }, POLL_MS);
    const finish = (number: number, failure: string): void => {
      clearInterval(timer);
      void worker.terminate();
      done({ done: number - first, number, failure });
    };
    worker.on("message", (answer: Answer) => {
      clearInterval(timer);
      done(answer);
    });
    // What nobody waited for (an unhandled rejection) is a failure of the case too.
    worker.on("error", (e) =>
      finish(Atomics.load(current, 0), e instanceof Error ? (e.stack ?? e.message) : String(e)),
    );
  });
}

async function main(): Promise<number> {
  const names = [...TARGETS.keys()].filter((name) => only === "" || name === only);
  if (names.length === 0) {
    say(`no such target: ${only}; there are: ${[...TARGETS.keys()].join(" ")}`);
    return 64;
  }
  let failed = 0;
  for (const name of names) {
    const { done, number, failure } = await runTarget(name, (seconds * 1000) / names.length);
    say(`${name}: ${done} cases${failure === null ? "" : ", failed"}`);
    if (failure === null) continue;
    failed++;
    say(`  again with: make fuzz ONLY=${name} SEED=${seed} CASE=${number}`);
    say(failure.slice(0, MESSAGE_MAX).replaceAll(/^/gm, "  "));
  }
  say(failed === 0 ? `fuzz: nothing found (SEED=${seed})` : `fuzz: ${failed} targets failed (SEED=${seed})`);
  return failed === 0 ? 0 : 1;
}

process.exitCode = await main();
