// Kept connections: an open session is used again for the next message to the same host (semantics section 20).
// ConnectionCacheSize counts hosts, not connections (0: nothing is kept); ConnectionCacheTimeout ends idle ones. Promises: at most
// DESTINATION_CONNECTIONS_MAX at once to a host; while the first is being opened the others wait for it, so that a dead host is
// asked once and its answer is everybody's; a session that broke while idle is never handed out.

import { CONNECTIONS_PER_HOST_MAX } from "../base/limits.ts";
import { err, ok, type Result } from "../base/result.ts";
import { type Outcome, outcome } from "../mail/outcome.ts";
import { farewell, type Opened, type Session } from "./session.ts";
import type { Waiting, Watch } from "./watch.ts";

/** A session to use, and whether it was open before (its end may then be an old one). */
export interface Lease {
  readonly session: Session;
  readonly reused: boolean;
}

interface Waiter {
  resolve(answer: Result<Lease, Outcome>): void;
  readonly opener: () => Promise<Opened>;
}

interface Destination {
  readonly key: string;
  readonly idle: IdleSession[];
  /** Sessions that exist or are being opened. */
  open: number;
  opening: number;
  readonly waiting: Waiter[];
}

class IdleSession implements Waiting {
  deadlineMs: number;
  readonly session: Session;
  readonly #end: () => void;

  constructor(session: Session, deadlineMs: number, end: () => void) {
    this.session = session;
    this.deadlineMs = deadlineMs;
    this.#end = end;
  }

  expire(): void {
    this.#end();
  }
}

export class Pool {
  readonly #watch: Watch;
  readonly #hostsMax: number;
  readonly #idleMs: number;
  readonly #perHostMax: number;
  /** In order of last use, for ConnectionCacheSize. */
  readonly #destinations = new Map<string, Destination>();

  constructor(watch: Watch, cacheSize: number, cacheTimeoutMs: number, singleThread: boolean) {
    this.#watch = watch;
    this.#hostsMax = cacheSize;
    this.#idleMs = cacheTimeoutMs;
    this.#perHostMax = singleThread ? 1 : CONNECTIONS_PER_HOST_MAX;
  }

  /** A session for `key`: an idle one, a new one from `opener`, or the next that becomes free. */
  acquire(key: string, opener: () => Promise<Opened>, signal: AbortSignal): Promise<Result<Lease, Outcome>> {
    const destination = this.#destination(key);
    this.#destinations.delete(key);
    this.#destinations.set(key, destination);
    const idle = this.#takeIdle(destination);
    if (idle !== null) return Promise.resolve(ok({ session: idle, reused: true }));
    return new Promise((resolve) => {
      const givenUp = (): void => {
        const now = destination.waiting.indexOf(waiter);
        if (now >= 0) destination.waiting.splice(now, 1);
        resolve(err(outcome("deferred", "4.4.2", "Deferred: given up")));
      };
      const waiter: Waiter = {
        resolve(answer) {
          signal.removeEventListener("abort", givenUp);
          resolve(answer);
        },
        opener,
      };
      destination.waiting.push(waiter);
      if (signal.aborted) givenUp();
      else {
        signal.addEventListener("abort", givenUp, { once: true });
        this.#serve(destination);
      }
    });
  }

  /** Gives a session back. `usable`: false closes it. */
  release(key: string, session: Session, usable: boolean): void {
    const destination = this.#destination(key);
    if (!usable || session.wire.broken !== null) {
      this.#drop(destination, session);
      return;
    }
    const waiter = destination.waiting.shift();
    if (waiter !== undefined) {
      waiter.resolve(ok({ session, reused: true }));
      return;
    }
    if (this.#hostsMax === 0 || this.#idleMs === 0) {
      this.#drop(destination, session);
      return;
    }
    const idle = new IdleSession(session, this.#watch.nowMs() + this.#idleMs, () => {
      this.#forget(destination, idle);
      this.#drop(destination, session);
    });
    session.wire.onIdleEnd = () => {
      this.#forget(destination, idle);
      this.#gone(destination);
    };
    destination.idle.push(idle);
    this.#watch.enter(idle);
    this.#evict();
  }

  /** Ends the idle sessions of one host: one of them was found dead, the others will be. */
  closeIdle(key: string): void {
    const destination = this.#destinations.get(key);
    if (destination !== undefined) this.#closeIdle(destination);
  }

  /** Ends idle sessions (shutdown, end of a queue run). */
  close(): void {
    for (const destination of this.#destinations.values()) this.#closeIdle(destination);
  }

  /** Open connections, for statistics and tests. */
  get connections(): number {
    let count = 0;
    for (const destination of this.#destinations.values()) count += destination.open;
    return count;
  }

  #destination(key: string): Destination {
    const known = this.#destinations.get(key);
    if (known !== undefined) return known;
    const made: Destination = { key, idle: [], open: 0, opening: 0, waiting: [] };
    this.#destinations.set(key, made);
    return made;
  }

  #takeIdle(destination: Destination): Session | null {
    const idle = destination.idle.pop();
    if (idle === undefined) return null;
    this.#watch.leave(idle);
    idle.session.wire.onIdleEnd = null;
    return idle.session;
  }

  /** Opens a connection for the first waiter when there may be one more and none is just being opened in vain. */
  #serve(destination: Destination): void {
    const established = destination.open - destination.opening;
    const probes = established > 0 ? this.#perHostMax : 1;
    while (
      destination.waiting.length > destination.opening &&
      destination.open < this.#perHostMax &&
      destination.opening < probes
    ) {
      const waiter = destination.waiting[destination.opening];
      if (waiter === undefined) return;
      destination.open++;
      destination.opening++;
      void waiter.opener().then((opened) => this.#opened(destination, opened));
    }
  }

  #opened(destination: Destination, opened: Opened): void {
    destination.opening--;
    if (opened.ok) {
      const waiter = destination.waiting.shift();
      if (waiter === undefined) this.release(destination.key, opened.value, true);
      else waiter.resolve(ok({ session: opened.value, reused: false }));
      this.#serve(destination);
      return;
    }
    destination.open--;
    // With no other session there is nothing to wait for: the failure is everybody's. Else the busy ones will come free.
    if (destination.open === 0) {
      for (const waiter of destination.waiting.splice(0)) waiter.resolve(err(opened.error));
      this.#forgetDestination(destination);
    }
  }

  #drop(destination: Destination, session: Session): void {
    session.wire.onIdleEnd = null;
    farewell(session.wire);
    this.#gone(destination);
  }

  #gone(destination: Destination): void {
    destination.open--;
    if (destination.waiting.length > 0) this.#serve(destination);
    else this.#forgetDestination(destination);
  }

  #forget(destination: Destination, idle: IdleSession): void {
    this.#watch.leave(idle);
    const at = destination.idle.indexOf(idle);
    if (at >= 0) destination.idle.splice(at, 1);
  }

  #forgetDestination(destination: Destination): void {
    if (destination.open === 0 && destination.waiting.length === 0)
      this.#destinations.delete(destination.key);
  }

  #closeIdle(destination: Destination): void {
    for (const idle of destination.idle.slice()) idle.expire();
  }

  /** Closes the idle sessions of the hosts that were used longest ago when more hosts are kept than allowed. */
  #evict(): void {
    if (this.#destinations.size <= this.#hostsMax) return;
    let kept = 0;
    for (const destination of this.#destinations.values()) if (destination.idle.length > 0) kept++;
    for (const destination of [...this.#destinations.values()]) {
      if (kept <= this.#hostsMax) return;
      if (destination.idle.length === 0) continue;
      this.#closeIdle(destination);
      kept--;
    }
  }
}
