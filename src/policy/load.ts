// Load limits (DelayLA, QueueLA, RefuseLA, QueueFactor): on a machine with too much to do commands are answered slowly, mail is only
// queued, connections are refused. Limits are compared as Sendmail does; 0 turns one off. QueueLA and RefuseLA that were left at
// Sendmail's 8 and 12 are not in force: those figures are for a process per connection, and a load that others make is no reason to
// refuse mail. A listener's own limit (DaemonPortOptions delayLA, queueLA, refuseLA) replaces the global one.

import type { Options } from "../config/options.ts";
import { defaultOptions } from "../config/options.ts";

/** Milliseconds that a delayed command or connection waits. */
export const LOAD_DELAY_MS = 1000;

export class LoadLimits {
  readonly #read: () => number;
  readonly #delay: number;
  readonly #queue: number;
  readonly #refuse: number;
  readonly #factor: number;

  /** `read`: the load average now. */
  constructor(
    options: Pick<Options, "DelayLA" | "QueueLA" | "RefuseLA" | "QueueFactor">,
    read: () => number,
  ) {
    const usual = defaultOptions();
    this.#read = read;
    this.#delay = options.DelayLA;
    this.#queue = options.QueueLA === usual.QueueLA ? 0 : options.QueueLA;
    this.#refuse = options.RefuseLA === usual.RefuseLA ? 0 : options.RefuseLA;
    this.#factor = options.QueueFactor;
  }

  /** The load for which a listener with this limit of its own (0: none) takes no connections now; null when it does. */
  refuses(own: number): number | null {
    return this.#reached(own > 0 ? own : this.#refuse);
  }

  /** The load for which commands to a listener with this limit of its own (0: none) are answered slowly; null when they are not. */
  delays(own: number): number | null {
    return this.#reached(own > 0 ? own : this.#delay);
  }

  /** True when a message of this priority is not worth an attempt now; `own`: queueLA of the listener it came through (0: none). */
  queues(priority: number, own = 0): boolean {
    const limit = own > 0 ? own : this.#queue;
    const load = this.#reached(limit);
    return load !== null && priority > this.#factor / (load - limit + 1);
  }

  #reached(limit: number): number | null {
    if (limit <= 0) return null;
    const load = this.#read();
    return load >= limit ? load : null;
  }
}
