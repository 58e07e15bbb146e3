// ratecontrol and conncontrol: how often and how much a client address connects, counted here in bounded memory on the monotonic
// clock, limited by ClientRate: and ClientConn: keys (semantics section 14). The daemon is the only writer.

import type { Site } from "../route/site.ts";
import type { Clock } from "../sys/clock.ts";
import { search, tagOnly } from "./access.ts";
import { clientAddress } from "./client.ts";
import { type Decision, PASS, refuse, UNREADABLE } from "./decision.ts";
import type { Client } from "./policy.ts";

/** Addresses remembered at a time; the oldest without open connections go first. */
const ADDRESSES_MAX = 10_000;
/** Slices of the window, so that a slow second does not hide a burst. */
const SLICES = 10;

interface Counter {
  open: number;
  /** Connections begun, by slice of time. */
  readonly begun: number[];
  slice: number;
}

/** Counts of connections by client address. */
export interface Rates {
  begin(address: string): void;
  end(address: string): void;
  /** Connections begun within the window, this one included. */
  rate(address: string): number;
  /** Connections open now. */
  connections(address: string): number;
}

class Counters implements Rates {
  readonly #clock: Clock;
  readonly #sliceMs: number;
  readonly #counters = new Map<string, Counter>();

  /** `windowMs`: ConnectionRateWindowSize. */
  constructor(clock: Clock, windowMs: number) {
    this.#clock = clock;
    this.#sliceMs = Math.max(1, windowMs / SLICES);
  }

  #counter(address: string): Counter {
    const now = Math.floor(this.#clock.monotonicMs() / this.#sliceMs);
    let counter = this.#counters.get(address);
    if (counter === undefined) {
      this.#makeRoom();
      counter = { open: 0, begun: Array.from({ length: SLICES }, () => 0), slice: now };
      this.#counters.set(address, counter);
    }
    const passed = Math.min(now - counter.slice, SLICES);
    for (let i = 1; i <= passed; i++) counter.begun[(counter.slice + i) % SLICES] = 0;
    counter.slice = now;
    return counter;
  }

  #makeRoom(): void {
    if (this.#counters.size < ADDRESSES_MAX) return;
    for (const [address, counter] of this.#counters) {
      if (counter.open > 0) continue;
      this.#counters.delete(address);
      return;
    }
    // All have open connections: the listener's own limit is far below this.
    const first = this.#counters.keys().next().value;
    if (first !== undefined) this.#counters.delete(first);
  }

  begin(address: string): void {
    const counter = this.#counter(address);
    counter.open++;
    const slot = counter.slice % SLICES;
    counter.begun[slot] = (counter.begun[slot] ?? 0) + 1;
  }

  end(address: string): void {
    const counter = this.#counters.get(address);
    if (counter !== undefined && counter.open > 0) counter.open--;
  }

  rate(address: string): number {
    return this.#counter(address).begun.reduce((a, b) => a + b, 0);
  }

  connections(address: string): number {
    return this.#counters.get(address)?.open ?? 0;
  }
}

function limited(site: Site, client: Client, tag: string, count: number, over: Decision): Decision {
  const address = clientAddress(client);
  const answer = search(site, tagOnly(tag), [
    { kind: "address", address },
    { kind: "exact", key: "" },
  ]);
  if (answer.kind === "none") return PASS;
  if (answer.kind === "temp") return UNREADABLE;
  const limit = Number(answer.value.trim());
  if (!Number.isFinite(limit) || limit === 0) return PASS;
  return limit < count ? over : PASS;
}

/** ClientRate: */
function checkRate(site: Site, rates: Rates, client: Client): Decision {
  const terminate = site.config.features.rateControl?.terminate ?? false;
  const over = refuse(terminate ? 421 : 452, "4.3.2", "Connection rate limit exceeded.");
  return limited(site, client, "ClientRate", rates.rate(clientAddress(client)), over);
}

/** ClientConn: */
function checkConnections(site: Site, rates: Rates, client: Client): Decision {
  const terminate = site.config.features.connControl?.terminate ?? false;
  const over = refuse(terminate ? 421 : 452, "4.3.2", "Too many open connections.");
  return limited(site, client, "ClientConn", rates.connections(clientAddress(client)), over);
}

/** What the registry lists. */
export const rateControl = {
  /** `windowMs`: ConnectionRateWindowSize. */
  make: (clock: Clock, windowMs: number): Rates => new Counters(clock, windowMs),
  checkRate,
  checkConnections,
};
