// The jobs behind postern trace: a decision from the configuration on this machine, or the life of a message as the daemon and the
// queue tell it.

import { ok, type Result } from "../base/result.ts";
import type { QueueEntry } from "../spool/spool.ts";
import { systemClock } from "../sys/clock.ts";
import { systemEntropy } from "../sys/entropy.ts";
import { ask, type Job } from "./commands.ts";
import { smrshDirectories } from "./gateway.ts";
import { openSiteHere, resolverFor, thisMachine } from "./site.ts";
import type { HistoryEvent } from "./statistics.ts";
import { type TraceQuestion, type TraceReport, traceDecision } from "./tracing.ts";

/** Opens the configuration as the daemon does and traces one question over it. */
export async function traceHere(job: Job, question: TraceQuestion): Promise<Result<TraceReport>> {
  const { ready } = job;
  const machine = thisMachine(ready.found, job.environment);
  const resolver = resolverFor(ready.configuration, machine, systemClock);
  const opened = openSiteHere(ready.configuration, ready.found, machine, resolver);
  if (!opened.ok) return opened;
  try {
    return ok(
      await traceDecision(
        {
          site: opened.value.site,
          clock: systemClock,
          entropy: systemEntropy,
          jail: job.folders.jail,
          smrshDirectories: smrshDirectories(ready.configuration),
        },
        question,
      ),
    );
  } finally {
    opened.value.close();
  }
}

/** What is known of a message: its queue entry when it still waits, and its events. */
export interface MessageLife {
  readonly id: string;
  readonly entry: QueueEntry | null;
  readonly events: readonly HistoryEvent[];
}

interface Shown {
  readonly entry: QueueEntry;
}

/** What is known of the message with this id. */
export async function messageLife(job: Job, id: string): Promise<Result<MessageLife>> {
  const events = await ask(job, { verb: "history", names: [id] });
  if (!events.ok) return events;
  const shown = await ask(job, { verb: "show", names: [id] });
  // history is answered with events and show with messages.
  const [first] = shown.ok ? (shown.value as Shown[]) : [];
  return ok({ id, entry: first?.entry ?? null, events: events.value as HistoryEvent[] });
}
