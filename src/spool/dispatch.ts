// Attempts, a bounded number at a time and to each host: the one place that calls mailers. New mail for a host that has just
// failed waits together for one probe instead of failing message by message; while the host stays down new mail is deferred at once,
// one message now and then being the probe. In a queue run a dead host is asked once.

import { assert } from "../base/assert.ts";
import { ATTEMPTS_MAX, ATTEMPTS_PER_HOST_MAX, HOST_DOWN_MS, HOST_REMEMBERED_MS } from "../base/limits.ts";
import type { Lookup } from "../base/result.ts";
import { type Outcome, outcome } from "../mail/outcome.ts";
import type { Clock } from "../sys/clock.ts";
import { nextTurn } from "../sys/turn.ts";
import type { Content, Delivery, Entry } from "./entry.ts";
import type { Mailer } from "./mailer.ts";

const DEFERRED_PER_TURN = 32;

/** Hosts found dead in one queue run, with the outcome to repeat. */
export type DeadHosts = Map<string, Outcome>;

/** Deliveries of one message for the same mailer, host and sender. */
export interface Group {
  readonly entry: Entry;
  readonly mailer: string;
  readonly host: string;
  readonly sender: string;
  readonly deliveries: readonly Delivery[];
  /** The queue run that this belongs to; null for a first attempt at once. */
  readonly dead: DeadHosts | null;
  readonly interactive: boolean;
  readonly signal: AbortSignal;
  load(): Promise<Lookup<Content>>;
}

export interface GroupResult {
  /** One for each delivery, in order. */
  readonly outcomes: readonly Outcome[];
  /** Milliseconds that the attempt took. */
  readonly tookMs: number;
  /** False when the gateway stops: nothing was learnt about the deliveries. */
  readonly tried: boolean;
}

interface Waiting {
  readonly group: Group;
  readonly resolve: (result: GroupResult) => void;
}

interface Host {
  readonly key: string;
  running: number;
  /** First attempts of new mail: they wait while the host is down. */
  fresh: Fifo;
  /** Groups of queue runs. */
  run: Fifo;
  /** Monotonic milliseconds until which new mail only waits; 0 when the host is not known to be down. */
  downUntilMs: number;
  /** What the last probe met, when it failed too; null when the host is not known to stay down. */
  staysDown: Outcome | null;
  wake: (() => void) | null;
}

/** A queue whose ends are both cheap, however long it is. */
class Fifo {
  #items: Waiting[] = [];
  #first = 0;

  get length(): number {
    return this.#items.length - this.#first;
  }

  push(item: Waiting): void {
    this.#items.push(item);
  }

  shift(): Waiting | undefined {
    const item = this.#items[this.#first];
    if (item === undefined) return undefined;
    this.#first++;
    if (this.#first > 64 && this.#first * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#first);
      this.#first = 0;
    }
    return item;
  }
}

/** True when the outcomes say that the host itself could not be reached, not that it answered for these recipients. */
export function hostIsDown(outcomes: readonly Outcome[]): Outcome | null {
  const [first] = outcomes;
  if (first === undefined) return null;
  const down = outcomes.every(
    (o) => o.kind === "deferred" && o.status.startsWith("4.4.") && o.diagnostic === "",
  );
  return down ? first : null;
}

export class Dispatcher {
  readonly #clock: Clock;
  readonly #mailers: ReadonlyMap<string, Mailer>;
  readonly #hosts = new Map<string, Host>();
  #running = 0;
  #ready: Host[] = [];
  #stopped = false;

  constructor(clock: Clock, mailers: ReadonlyMap<string, Mailer>) {
    this.#clock = clock;
    this.#mailers = mailers;
  }

  get running(): number {
    return this.#running;
  }

  /** Groups that wait for their host's turn. */
  get waiting(): number {
    let count = 0;
    for (const host of this.#hosts.values()) count += host.fresh.length + host.run.length;
    return count;
  }

  isDown(mailer: string, host: string): boolean {
    const known = this.#hosts.get(keyOf(mailer, host));
    return known !== undefined && this.#isDown(known);
  }

  #isDown(host: Host): boolean {
    return host.downUntilMs > this.#clock.monotonicMs();
  }

  /** Resolves when the group has been tried, or need not be. */
  submit(group: Group): Promise<GroupResult> {
    if (this.#stopped) return Promise.resolve({ ...untried(group, SHUTTING_DOWN), tried: false });
    const key = keyOf(group.mailer, group.host);
    let host = this.#hosts.get(key);
    if (host === undefined) {
      const fifos = { fresh: new Fifo(), run: new Fifo() };
      host = { key, running: 0, ...fifos, downUntilMs: 0, staysDown: null, wake: null };
      this.#hosts.set(key, host);
    }
    const target = host;
    if (group.dead === null && host.staysDown !== null && (this.#isDown(host) || host.running > 0))
      return Promise.resolve(untried(group, host.staysDown));
    return new Promise((resolve) => {
      (group.dead === null ? target.fresh : target.run).push({ group, resolve });
      this.#offer(target);
    });
  }

  /** Forgets which hosts were down (an explicit queue run asks them again). */
  retryNow(): void {
    for (const host of [...this.#hosts.values()]) {
      host.downUntilMs = 0;
      host.staysDown = null;
      host.wake?.();
      host.wake = null;
      this.#offer(host);
    }
  }

  /** What waits is given back untried; what runs is told to end soon. */
  stop(): void {
    this.#stopped = true;
    for (const host of this.#hosts.values()) {
      host.wake?.();
      host.wake = null;
      for (const queue of [host.fresh, host.run])
        for (let waiting = queue.shift(); waiting !== undefined; waiting = queue.shift())
          waiting.resolve({ ...untried(waiting.group, SHUTTING_DOWN), tried: false });
    }
  }

  #offer(host: Host): void {
    if (!this.#ready.includes(host)) this.#ready.push(host);
    this.#pump();
  }

  #pump(): void {
    const ready = this.#ready;
    this.#ready = [];
    for (const [i, host] of ready.entries()) {
      if (this.#running >= ATTEMPTS_MAX) {
        this.#ready.push(...ready.slice(i));
        return;
      }
      this.#start(host);
    }
  }

  /** Starts what the host may have now; it comes back when an attempt ends. */
  #start(host: Host): void {
    while (!this.#stopped) {
      if (this.#running >= ATTEMPTS_MAX) {
        this.#ready.push(host);
        return;
      }
      if (host.running >= ATTEMPTS_PER_HOST_MAX) return;
      const waiting = this.#next(host);
      if (waiting === undefined) break;
      host.running++;
      this.#running++;
      void this.#attempt(host, waiting);
    }
    const remembered =
      host.downUntilMs > 0 && this.#clock.monotonicMs() < host.downUntilMs + HOST_REMEMBERED_MS;
    if (host.fresh.length + host.run.length + host.running === 0 && !remembered) this.#hosts.delete(host.key);
  }

  /** The next group to try; undefined when there is none, or all that is there must wait for a host that is down. */
  #next(host: Host): Waiting | undefined {
    for (let waiting = host.run.shift(); waiting !== undefined; waiting = host.run.shift()) {
      const known = waiting.group.dead?.get(host.key);
      if (known === undefined) return waiting;
      waiting.resolve(untried(waiting.group, known));
    }
    return host.fresh.length === 0 || this.#mustWait(host) ? undefined : host.fresh.shift();
  }

  #mustWait(host: Host): boolean {
    if (host.downUntilMs === 0) return false;
    const left = host.downUntilMs - this.#clock.monotonicMs();
    if (left > 0) {
      host.wake ??= this.#clock.after(left, () => {
        host.wake = null;
        this.#offer(host);
      });
      return true;
    }
    // One probe at a time until the host has answered.
    return host.running > 0;
  }

  async #attempt(host: Host, { group, resolve }: Waiting): Promise<void> {
    const started = this.#clock.monotonicMs();
    // Only an attempt that began after a failure is a probe: those that run side by side when a host goes down fail for the same moment.
    const knownDown = host.downUntilMs > 0;
    const outcomes = await this.#deliver(group);
    assert(outcomes.length === group.deliveries.length, "a mailer says one outcome for each recipient");
    const down = hostIsDown(outcomes);
    host.running--;
    this.#running--;
    if (down === null) {
      host.downUntilMs = 0;
      host.staysDown = null;
    } else {
      const wasProbe = knownDown && host.downUntilMs > 0;
      host.downUntilMs = this.#clock.monotonicMs() + HOST_DOWN_MS;
      group.dead?.set(host.key, down);
      if (wasProbe) {
        host.staysDown = down;
        this.#failWaiting(host, down);
      }
      // Only so that the table of hosts does not grow: nothing else depends on this timer.
      this.#clock.after(HOST_DOWN_MS + HOST_REMEMBERED_MS, () => this.#offer(host));
    }
    resolve({ outcomes, tookMs: this.#clock.monotonicMs() - started, tried: true });
    this.#offer(host);
  }

  /** The probe failed too: what waited with it is deferred with the same words, some in each turn, so that clients are served between. */
  #failWaiting(host: Host, down: Outcome): void {
    for (let count = 0; count < DEFERRED_PER_TURN && host.staysDown === down; count++) {
      const waiting = host.fresh.shift();
      if (waiting === undefined) return;
      waiting.resolve(untried(waiting.group, down));
    }
    if (host.staysDown === down && host.fresh.length > 0) nextTurn(() => this.#failWaiting(host, down));
  }

  async #deliver(group: Group): Promise<readonly Outcome[]> {
    const mailer = this.#mailers.get(group.mailer);
    if (mailer === undefined) {
      const text = `Deferred: mailer ${group.mailer} is not in this build`;
      return group.deliveries.map(() => outcome("deferred", "4.3.5", text));
    }
    const content = await group.load();
    if (content.kind !== "found") {
      const why = content.kind === "tempfail" ? content.reason : "it is damaged";
      return group.deliveries.map(() =>
        outcome("deferred", "4.3.0", `Deferred: cannot read the message: ${why}`),
      );
    }
    return mailer.deliver({
      message: {
        id: group.entry.id,
        envelope: content.value.envelope,
        header: content.value.header,
        body: content.value.body,
        arrivedMs: group.entry.arrivedWallMs,
      },
      mailer: group.mailer,
      host: group.host,
      sender: group.sender,
      recipients: group.deliveries,
      signal: group.signal,
      interactive: group.interactive,
    });
  }
}

const SHUTTING_DOWN = outcome("deferred", "4.3.2", "Deferred: the gateway is stopping");

function untried(group: Group, known: Outcome): GroupResult {
  return { outcomes: group.deliveries.map(() => known), tookMs: 0, tried: true };
}

function keyOf(mailer: string, host: string): string {
  return `${mailer}\0${host.toLowerCase()}`;
}
