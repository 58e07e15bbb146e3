// What the daemon remembers over a restart, through state/: statistics with the last events, and host status. All of it can be done
// without; a kept section that is not of the expected shape is ignored.

import type { HostEntry } from "../deliver/hoststatus.ts";
import { State } from "../state/state.ts";
import type { Gateway } from "./gateway.ts";
import type { HistoryEvent, MailerRow, Snapshot } from "./statistics.ts";

const STATISTICS = "statistics";
const HOSTS = "hosts";

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

/** All of `like`'s members are there with its types. */
function hasShape(value: unknown, like: object): boolean {
  if (!isObject(value)) return false;
  return Object.entries(like).every(([key, sample]) => typeof value[key] === typeof sample);
}

const ROW: MailerRow = {
  mailer: "",
  messagesFrom: 0,
  bytesFrom: 0,
  messagesTo: 0,
  bytesTo: 0,
  rejected: 0,
  discarded: 0,
  quarantined: 0,
  deferred: 0,
};
const EVENT: HistoryEvent = {
  id: "",
  wallMs: 0,
  recipient: "",
  mailer: "",
  result: "",
  status: "",
  text: "",
};
const TOTALS = { connectionsFrom: 0, connectionsTo: 0, connectionsRejected: 0 };
const HOST: HostEntry = { name: "", triedWallMs: 0, result: "", dead: false };

function isSnapshot(value: unknown): value is Snapshot {
  if (!hasShape(value, { sinceWallMs: 0, rows: [], totals: TOTALS, events: [] }) || !isObject(value))
    return false;
  const { rows, totals, events } = value;
  if (!Array.isArray(rows) || !Array.isArray(events) || !hasShape(totals, TOTALS)) return false;
  return rows.every((row) => hasShape(row, ROW)) && events.every((event) => hasShape(event, EVENT));
}

function isHostList(value: unknown): value is readonly HostEntry[] {
  return Array.isArray(value) && value.every((entry) => hasShape(entry, HOST));
}

/** The state of one daemon. */
export class Keeping {
  readonly #gateway: Gateway;
  readonly #state: State;

  private constructor(gateway: Gateway, state: State) {
    this.#gateway = gateway;
    this.#state = state;
  }

  /** Loads the addon, while root may still read it; nothing is opened. */
  static async prepare(gateway: Gateway): Promise<Keeping> {
    const { clock, log, folders } = gateway.around;
    const state = new State({ folder: folders.state, clock, log });
    await state.prepare();
    return new Keeping(gateway, state);
  }

  /** Takes over what the last daemon kept, then keeps what this one learns. Mail does not wait for it. */
  async begin(): Promise<void> {
    const gateway = this.#gateway;
    const { statistics } = gateway;
    const [counted, hosts] = [await this.#state.load(STATISTICS), await this.#state.load(HOSTS)];
    if (counted.kind === "found" && isSnapshot(counted.value)) statistics.restore(counted.value);
    if (hosts.kind === "found" && isHostList(hosts.value))
      gateway.generation.mailers.status.restore(hosts.value);
    this.#state.keep(STATISTICS, () => statistics.snapshot());
    this.#state.keep(HOSTS, () => gateway.generation.mailers.status.snapshot());
    statistics.onChange = () => this.#state.touch();
  }

  close(): Promise<void> {
    return this.#state.close();
  }
}
