// What is known of next hops: when each was tried last and what it said (hoststat, purgestat; Timeout.hoststatus).
// Kept in memory and bounded; state/ may take snapshots. As in Sendmail, a host found dead is left alone for Timeout.hoststatus
// only where HostStatusDirectory asks for it; within one queue run it is the schedule of the spool that leaves it alone.

import type { Outcome } from "../mail/outcome.ts";
import type { Clock } from "../sys/clock.ts";

/** Hosts remembered; the one tried longest ago is forgotten first. */
const HOSTS_MAX = 5000;

export interface HostEntry {
  readonly name: string;
  /** Wall-clock milliseconds of the last attempt, for people. */
  readonly triedWallMs: number;
  /** `250 2.0.0 accepted`, or the failure's words. */
  readonly result: string;
  /** No connection could be used. */
  readonly dead: boolean;
}

interface Remembered extends HostEntry {
  readonly triedMs: number;
  readonly outcome: Outcome | null;
}

export class HostStatus {
  readonly #clock: Clock;
  readonly #keepMs: number;
  readonly #skips: boolean;
  readonly #hosts = new Map<string, Remembered>();

  /** keepMs: Timeout.hoststatus. skips: dead hosts are not tried again meanwhile (HostStatusDirectory is set). */
  constructor(clock: Clock, keepMs: number, skips: boolean) {
    this.#clock = clock;
    this.#keepMs = keepMs;
    this.#skips = skips;
  }

  /** The outcome of a host that need not be asked now, or null. */
  known(name: string): Outcome | null {
    if (!this.#skips) return null;
    const entry = this.#hosts.get(name.toLowerCase());
    if (entry === undefined || !entry.dead) return null;
    return this.#clock.monotonicMs() - entry.triedMs < this.#keepMs ? entry.outcome : null;
  }

  reached(name: string): void {
    this.#remember(name, "250 2.0.0 accepted", null);
  }

  failed(name: string, outcome: Outcome): void {
    this.#remember(name, outcome.text, outcome);
  }

  #remember(name: string, result: string, outcome: Outcome | null): void {
    const key = name.toLowerCase();
    this.#hosts.delete(key);
    this.#hosts.set(key, {
      name,
      triedWallMs: this.#clock.wallMs(),
      triedMs: this.#clock.monotonicMs(),
      result,
      dead: outcome !== null,
      outcome,
    });
    if (this.#hosts.size <= HOSTS_MAX) return;
    const oldest = this.#hosts.keys().next();
    if (oldest.done !== true) this.#hosts.delete(oldest.value);
  }

  /** The last first forgotten, for hoststat. */
  snapshot(): readonly HostEntry[] {
    return [...this.#hosts.values()].map(({ name, triedWallMs, result, dead }) => ({
      name,
      triedWallMs,
      result,
      dead,
    }));
  }

  /** Takes over what an earlier run or configuration knew, for people: no host is spared because of it. */
  restore(entries: readonly HostEntry[]): void {
    const now = this.#clock.monotonicMs();
    for (const entry of entries.slice(-HOSTS_MAX)) {
      const key = entry.name.toLowerCase();
      if (this.#hosts.has(key) || this.#hosts.size >= HOSTS_MAX) continue;
      this.#hosts.set(key, { ...entry, triedMs: now, outcome: null });
    }
  }

  /** purgestat: forgets all, or what is older than Timeout.hoststatus. */
  purge(expiredOnly: boolean): void {
    const now = this.#clock.monotonicMs();
    for (const [key, entry] of this.#hosts)
      if (!expiredOnly || now - entry.triedMs >= this.#keepMs) this.#hosts.delete(key);
  }
}
