// Runs the steps of a smrsh command line as a shell would: && after success, || after failure, exec and exit end it.
// The message: the first program has it, and so has each that runs because the one before failed; a program after && finds its
// input at the end, as it would behind a shell whose first command read everything.

import type { Ran } from "../sys/spawn.ts";
import { EX_OK } from "./exits.ts";
import { outputLines } from "./program.ts";
import type { Step } from "./smrsh.ts";

/** Characters of one echo that are kept. */
const ECHO_CHARS_MAX = 1024;

export type PlanEnd =
  | { readonly kind: "status"; readonly status: number; readonly said: readonly string[] }
  /** A program was killed, took too long or could not be started. */
  | { readonly kind: "broken"; readonly ran: Ran };

/** `run` starts one program; `whole` says whether it gets the message. `echo` is told each echo at once. */
export async function runPlan(
  steps: readonly Step[],
  run: (step: Step, whole: boolean) => Promise<Ran>,
  echo: (line: string) => void = () => undefined,
): Promise<PlanEnd> {
  let status = EX_OK;
  let unread = true;
  const said: string[] = [];
  for (const step of steps) {
    if (step.when === "&&" && status !== EX_OK) continue;
    if (step.when === "||" && status === EX_OK) continue;
    if (step.what === "exit") return { kind: "status", status: exitStatus(step.args[0], status), said };
    if (step.what === "echo") {
      const line = step.args.join(" ").slice(0, ECHO_CHARS_MAX);
      said.push(line);
      echo(line);
      status = EX_OK;
      continue;
    }
    const ran = await run(step, unread || step.when === "||");
    unread = false;
    if (ran.kind !== "exited") return { kind: "broken", ran };
    said.push(...outputLines(ran.output));
    status = ran.status;
    if (step.exec) break;
  }
  return { kind: "status", status, said };
}

/** `exit` without a number keeps the last status; what is no number is sh's 2. */
function exitStatus(word: string | undefined, last: number): number {
  if (word === undefined) return last;
  return /^\d{1,9}$/.test(word) ? Number(word) % 256 : 2;
}
