// What all mailers that run a program share: how its end becomes an outcome (sysexits.h; Diagnostic-Code: X-Unix; N), which
// environment it gets, how long it may run. Standard output and error go into the transcript of a bounce, bounded.

import { PROGRAM_MS_MAX, PROGRAM_OUTPUT_BYTES_MAX } from "../base/limits.ts";
import type { MailerSpec } from "../config/configuration.ts";
import { type Outcome, outcome } from "../mail/outcome.ts";
import type { Ran } from "../sys/spawn.ts";
import { EX_OK, EX_OSERR, EX_TEMPFAIL, EX_UNAVAILABLE } from "./exits.ts";
import { exited } from "./wording.ts";

export { PROGRAM_OUTPUT_BYTES_MAX };

/** Milliseconds that a program of this mailer may run: W=, or our own bound. */
export function runMs(spec: MailerSpec): number {
  return spec.waitSeconds > 0 ? Math.min(spec.waitSeconds * 1000, PROGRAM_MS_MAX) : PROGRAM_MS_MAX;
}

/** The clean environment of mailers; nothing that a message or a peer chose is in it. */
export function programEnvironment(): ReadonlyMap<string, string> {
  return new Map([
    ["AGENT", "sendmail"],
    ["PATH", "/usr/local/bin:/usr/bin:/bin"],
  ]);
}

/** Lines of a program's output as a transcript shows them. */
export function outputLines(output: Buffer): readonly string[] {
  const text = output.toString("latin1").replace(/[^\x0a\x20-\x7e]/g, "?");
  return text
    .split("\n")
    .filter((line) => line !== "")
    .slice(0, 100);
}

/** The outcome of a program's end. */
export function programOutcome(ran: Ran, address: string): Outcome {
  switch (ran.kind) {
    case "exited":
      return statusOutcome(ran.status, outputLines(ran.output), address);
    case "killed": {
      const made = exited(EX_TEMPFAIL, address);
      return {
        ...made,
        diagnostic: String(EX_TEMPFAIL),
        transcript: [...outputLines(ran.output), `mailer died with signal ${ran.signal}`, ...made.transcript],
      };
    }
    case "timeout": {
      const made = exited(EX_TEMPFAIL, address, "Deferred: the program took too long");
      return { ...made, transcript: [...outputLines(ran.output), ...made.transcript] };
    }
    case "failed": {
      const gone = ran.code === "ENOENT" || ran.code === "EACCES" || ran.code === "ENOEXEC";
      const made = exited(gone ? EX_UNAVAILABLE : EX_OSERR, address);
      return { ...made, transcript: [`cannot run the program: ${ran.code}`, ...made.transcript] };
    }
  }
}

/** The outcome of an exit status; 0 is delivered. */
export function statusOutcome(status: number, said: readonly string[], address: string): Outcome {
  if (status === EX_OK) return outcome("delivered", "2.0.0", "Sent");
  const made = exited(status, address);
  return { ...made, diagnostic: String(status), transcript: [...said, ...made.transcript] };
}
