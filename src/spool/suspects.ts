// Which message ends the program? Only an end of the program itself counts (a bug, an abort), never a power cut or a kill from outside:
// whoever was in hand then is innocent. After such an end each message that was in the queue is marked before it is tried. One that
// bears a mark of an earlier end is a suspect: suspects go one at a time. One more end and it would be held, so that last time it goes
// alone: nobody else can have been the reason.

import { STARTS_IN_HAND_MAX, SUSPECT_ALONE_MS } from "../base/limits.ts";
import type { Clock } from "../sys/clock.ts";
import type { Entry } from "./entry.ts";

export interface SuspectsDeps {
  readonly clock: Clock;
  /** The queue as it was when the program ended by itself; empty when it ended otherwise. */
  readonly ids: Iterable<string>;
  /** Resolves when it is durable that the message is about to be tried. */
  readonly mark: (entry: Entry) => Promise<void>;
}

export class Suspects {
  readonly #deps: SuspectsDeps;
  readonly #ids: Set<string>;
  readonly #underWay = new Set<Promise<void>>();
  /** The end of the last suspect's turn. */
  #turn: Promise<unknown> = Promise.resolve();
  /** While one goes alone: its end. */
  #alone: Promise<void> | null = null;

  constructor(deps: SuspectsDeps) {
    this.#deps = deps;
    this.#ids = new Set(deps.ids);
  }

  /** Runs the attempt of a message as soon as it may. */
  async run(entry: Entry, attempt: () => Promise<void>): Promise<void> {
    const marked = this.#ids.delete(entry.id);
    if (!marked || entry.inHand === 0) {
      while (this.#alone !== null) await this.#alone;
      if (marked) await this.#deps.mark(entry);
      return this.#watch(attempt());
    }
    const turn = this.#turn.then(() => this.#suspected(entry, attempt));
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  #watch(attempt: Promise<void>): Promise<void> {
    this.#underWay.add(attempt);
    const over = (): void => void this.#underWay.delete(attempt);
    attempt.then(over, over);
    return attempt;
  }

  async #suspected(entry: Entry, attempt: () => Promise<void>): Promise<void> {
    if (entry.inHand + 1 < STARTS_IN_HAND_MAX) {
      await this.#deps.mark(entry);
      return this.#watch(attempt());
    }
    let end: () => void = () => undefined;
    this.#alone = new Promise((resolve) => {
      end = () => {
        this.#alone = null;
        resolve();
      };
    });
    try {
      await this.#atMost(Promise.allSettled(this.#underWay));
      await this.#deps.mark(entry);
      const run = this.#watch(attempt());
      await this.#atMost(run);
      end();
      await run;
    } finally {
      end();
    }
  }

  /** A next hop that makes us wait does not stop all mail: after a while the rest goes on. */
  #atMost(work: Promise<unknown>): Promise<void> {
    return new Promise((resolve, reject) => {
      const cancel = this.#deps.clock.after(SUSPECT_ALONE_MS, resolve);
      work.then(
        () => {
          cancel();
          resolve();
        },
        (e: unknown) => {
          cancel();
          reject(e);
        },
      );
    });
  }
}
