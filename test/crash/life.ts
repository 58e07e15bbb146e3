// The life of a spool that the crash tests cut short: a script of everything the spool does, against next hops that can be down,
// and a record of what was promised to whom. `check` says what is wrong with a spool that was recovered from some state of the disk
// (reliability.md section 4.2: invariants I1 to I5).

import { present } from "../../src/base/assert.ts";
import { SPARE_FILES_MAX } from "../../src/base/limits.ts";
import { defaultOptions } from "../../src/config/options.ts";
import type { Envelope } from "../../src/mail/envelope.ts";
import { type Outcome, outcome } from "../../src/mail/outcome.ts";
import type { Attempt, Mailer } from "../../src/spool/mailer.ts";
import type { Router } from "../../src/spool/router.ts";
import { settingsFrom } from "../../src/spool/settings.ts";
import { makeSpool, type Spool, type SpoolDeps } from "../../src/spool/spool.ts";
import { Store } from "../../src/spool/store.ts";
import type { Disk } from "../../src/sys/disk.ts";
import { silentLog } from "../../src/sys/log.ts";
import { SimClock, settle } from "../sim/clock.ts";
import { type Image, SimDisk, SimProcess } from "../sim/disk.ts";
import { SimEntropy } from "../sim/entropy.ts";

export const FOLDER = "/q";
export const SEGMENT_BYTES = 16 * 1024;

/** What the outside world has seen. */
export interface Knowledge {
  /** Everything ever submitted, by tag. */
  readonly submitted: Map<string, { id: string; recipients: readonly string[]; body: string }>;
  /** Tags that got a 250. */
  readonly acknowledged: Set<string>;
  /** `tag recipient` that the next hop has taken. */
  readonly delivered: Map<string, number>;
  /** Recipients that a delivered notice told of, as `tag recipient`. */
  readonly told: Set<string>;
  /** `tag recipient` whose mark was durable, as far as the spool says. */
  readonly settled: Set<string>;
  /** Tags that the administrator has removed (durably or not). */
  readonly removed: Set<string>;
}

export function newKnowledge(): Knowledge {
  return {
    submitted: new Map(),
    acknowledged: new Set(),
    delivered: new Map(),
    told: new Set(),
    settled: new Set(),
    removed: new Set(),
  };
}

export function copyOf(k: Knowledge): Knowledge {
  return {
    submitted: new Map(k.submitted),
    acknowledged: new Set(k.acknowledged),
    delivered: new Map(k.delivered),
    told: new Set(k.told),
    settled: new Set(k.settled),
    removed: new Set(k.removed),
  };
}

/** The next hops: hosts that are down defer, users called bad fail, notices are noted. */
class Hops implements Mailer {
  readonly down = new Set<string>();
  readonly #known: Knowledge;

  constructor(known: Knowledge) {
    this.#known = known;
  }

  async deliver(attempt: Attempt): Promise<readonly Outcome[]> {
    const body = await textOf(attempt);
    const tag = /^X-Tag: (.*)\r\n/m.exec(attempt.message.header.toString("latin1"))?.[1];
    return attempt.recipients.map((r) => {
      if (this.down.has(attempt.host))
        return outcome("deferred", "4.4.1", `Deferred: Connection refused by ${attempt.host}.`);
      if (r.user.startsWith("bad"))
        return outcome("failed", "5.1.1", "User unknown", {
          diagnostic: `550 5.1.1 <${r.user}>... User unknown`,
        });
      if (tag === undefined) this.#notice(body);
      else {
        const key = `${tag} ${r.user}`;
        this.#known.delivered.set(key, (this.#known.delivered.get(key) ?? 0) + 1);
        const expected = this.#known.submitted.get(tag)?.body;
        if (expected !== body) throw new Error(`I2: ${tag} was delivered with another body`);
      }
      return outcome("relayed", "2.0.0", "Sent (ok)", { remote: attempt.host });
    });
  }

  #notice(body: string): void {
    const tag = /^X-Tag: (.*)\r\n/m.exec(body)?.[1];
    for (const match of body.matchAll(/^Final-Recipient: RFC822; (.*)\r$/gm))
      this.#known.told.add(`${tag} ${match[1]}`);
  }

  async close(): Promise<void> {}
}

async function textOf(attempt: Attempt): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const chunk of attempt.message.body.chunks()) pieces.push(chunk);
  return Buffer.concat(pieces).toString("latin1");
}

const router: Router = {
  async expand(recipient, sender) {
    const { address } = recipient;
    const host = address.slice(address.indexOf("@") + 1);
    const users = address.startsWith("list@")
      ? [`one@${host}`, "two@up.example", "bad@up.example"]
      : [address];
    return {
      deliveries: users.map((user) => ({
        mailer: "esmtp",
        host: user.slice(user.indexOf("@") + 1),
        user,
        address: user,
        via: user === address ? "" : address,
        sender,
        unsafe: false,
      })),
      errors: [],
    };
  },
};

export function spoolDeps(disk: Disk, clock: SimClock, hops: Mailer, seed: number): SpoolDeps {
  return {
    disk,
    clock,
    entropy: new SimEntropy(seed),
    log: silentLog,
    folder: FOLDER,
    settings: settingsFrom(defaultOptions(), 1000),
    router,
    mailers: new Map([["esmtp", hops]]),
    names: { hostName: "gw.example", version: "1", mailerDaemon: "MAILER-DAEMON@gw.example" },
    clockFloorMs: 0,
    segmentBytes: SEGMENT_BYTES,
  };
}

export function envelopeTo(recipients: readonly string[]): Envelope {
  return {
    sender: "joe@example.com",
    recipients: recipients.map((address) => ({ address })),
    origin: {
      helo: "client.test",
      clientName: "client.test",
      clientAddress: "192.0.2.1",
      clientResolve: "ok",
      protocol: "ESMTP",
      daemon: "MTA",
    },
    smtpUtf8: false,
    requireTls: false,
    hops: 0,
    precedence: 0,
    urgency: "normal",
  };
}

/** One script of a spool's life. */
export class Life {
  readonly disk: SimDisk;
  readonly clock = new SimClock();
  readonly known: Knowledge;
  readonly hops: Hops;
  #spool: Spool | null = null;
  #process: SimProcess | null = null;
  #seed: number;

  constructor(disk: SimDisk, known = newKnowledge(), seed = 1) {
    this.disk = disk;
    this.known = known;
    this.#seed = seed;
    this.hops = new Hops(known);
  }

  get spool(): Spool {
    return present(this.#spool, "an open spool");
  }

  /** Called for each new program. */
  onProcess: ((process: SimProcess) => void) | null = null;

  /** The spool was opened at least once. */
  get opened(): boolean {
    return this.#spool !== null;
  }

  get alive(): boolean {
    return this.#process === null || this.#process.alive;
  }

  async open(): Promise<boolean> {
    if (!(await this.openOnly())) return false;
    this.spool.start(0);
    await settle();
    return true;
  }

  /** Recovers, and delivers nothing. */
  async openOnly(): Promise<boolean> {
    this.#process = new SimProcess(this.disk);
    this.onProcess?.(this.#process);
    const made = await makeSpool(spoolDeps(this.#process, this.clock, this.hops, this.#seed++));
    if (!made.ok) return false;
    this.#spool = made.value;
    return true;
  }

  get process(): SimProcess {
    return present(this.#process, "a process");
  }

  /** Submits a message; true when it was acknowledged. */
  async send(tag: string, bytes: number, ...recipients: string[]): Promise<boolean> {
    const body = `${`${tag} `.repeat(Math.ceil(bytes / (tag.length + 1))).slice(0, bytes - 2)}\r\n`;
    const draft = this.spool.open();
    this.known.submitted.set(tag, { id: draft.id, recipients, body });
    const wait = draft.write(Buffer.from(body, "latin1"));
    if (wait !== undefined) await wait;
    const verdict = await draft.commit(
      envelopeTo(recipients),
      Buffer.from(`X-Tag: ${tag}\r\nSubject: ${tag}\r\n`),
    );
    if (verdict.kind === "accepted") this.known.acknowledged.add(tag);
    return verdict.kind === "accepted";
  }

  /** Lets marks be written; what they say then holds for ever. */
  async rest(): Promise<void> {
    const before = new Set([...this.known.delivered.keys(), ...this.known.told]);
    await this.clock.pass(250);
    if (this.spool.figures().running > 0 || !(await this.spool.settled())) return;
    for (const key of before) this.known.settled.add(key);
  }

  async flush(): Promise<void> {
    const done = this.spool.flush([]);
    await this.clock.pass(100);
    await done;
    await this.rest();
  }

  /** Removes a message by tag. */
  async remove(tag: string): Promise<void> {
    this.known.removed.add(tag);
    const id = present(this.known.submitted.get(tag), "a submitted message").id;
    const done = this.spool.remove([{ kind: "id", text: id, negate: false }]);
    await this.clock.pass(250);
    await done;
  }

  async close(): Promise<void> {
    const done = this.spool.close(0);
    await this.clock.pass(100);
    await done;
  }
}

/** Everything that a spool does, with segments small enough to be recycled and messages that are moved. */
export async function script(life: Life): Promise<void> {
  if (!(await life.open())) return;
  life.hops.down.add("down.example");
  await life.send("a", 300, "amy@up.example");
  await life.rest();
  await life.send("b", 700, "bob@down.example");
  await life.send("c", 500, "cat@up.example", "cat@down.example");
  await Promise.all([
    life.send("d", 600, "dan@up.example"),
    life.send("e", 650, "eve@up.example"),
    life.send("f", 9000, "fay@up.example"),
  ]);
  await life.rest();
  await life.send("g", 9000, "gus@down.example");
  await life.send("k", 140_000, "kim@down.example");
  await life.send("h", 400, "bad@up.example");
  await life.send("i", 400, "list@down.example");
  await life.rest();
  await life.spool.hold([{ kind: "recipient", text: "bob@", negate: false }], "looked at");
  await life.send("r", 300, "ray@down.example");
  await life.rest();
  await life.remove("r");
  // Files of large messages are used again once their messages are done.
  for (let i = 0; i < 3; i++) {
    await life.send(`l${i}`, 9000 + i, `l${i}@up.example`);
    await life.rest();
  }
  await roundTheSegments(life);
  await life.spool.release([{ kind: "reason", text: "", negate: false }]);
  life.hops.down.clear();
  await life.flush();
  await life.close();
  await killed(life);
}

/** A program killed before the name of a segment was synced: the next one finds the name in the cache, and has no room for another. */
export async function namesScript(life: Life): Promise<void> {
  let zeroed = 0;
  life.onProcess = (process) => {
    process.killAfter = (operation) => operation.startsWith("sync the zeros") && ++zeroed === 3;
  };
  life.disk.totalBytes = 5 * SEGMENT_BYTES;
  life.disk.freeBytes = life.disk.totalBytes;
  void life.openOnly();
  while (life.alive) await settle();
  life.onProcess = null;
  await fullScript(life);
}

/** A spool that has room for three segments and no more: the reserve is used, and a segment is recycled as soon as it is free. */
export async function fullScript(life: Life): Promise<void> {
  if (life.disk.operations === 0) {
    life.disk.totalBytes = 5 * SEGMENT_BYTES;
    life.disk.freeBytes = life.disk.totalBytes;
  }
  if (!(await life.open())) return;
  for (let i = 0; i < 8; i++) {
    await life.send(`s${i}`, 100, `s${i}@up.example`);
    await life.rest();
  }
  life.hops.down.add("down.example");
  for (let i = 0; i < 10; i++) await life.send(`t${i}`, 100, `t${i}@down.example`);
  await life.rest();
  const everything = [{ kind: "sender", text: "", negate: false }] as const;
  const held = [{ kind: "reason", text: "", negate: false }] as const;
  for (let i = 0; i < 14; i++) {
    await life.spool.hold(everything, `hold ${"x".repeat(80)}`);
    await life.rest();
    await life.spool.release(held);
    await life.rest();
  }
  life.hops.down.clear();
  await life.flush();
  await life.close();
}

/** Small messages, then large ones over their places, so that segments are recycled and what stays is moved. */
async function roundTheSegments(life: Life): Promise<void> {
  for (let i = 0; i < 90; i++) {
    await life.send(`m${i}`, 100, `m${i}@up.example`);
    if (i % 3 === 2) await life.rest();
  }
  for (let i = 0; i < 24; i++) await life.send(`n${i}`, 2500, `n${i}@up.example`);
  await life.rest();
  for (let i = 0; i < 60; i++) {
    await life.send(`o${i}`, 100, `o${i}@up.example`);
    if (i % 3 === 2) await life.rest();
  }
  for (let i = 0; i < 24; i++) await life.send(`p${i}`, 2500, `p${i}@up.example`);
  await life.rest();
}

/** A backlog that leaves all at once: many segments become free together, and some go back to the file system. */
export async function backlogScript(life: Life): Promise<void> {
  if (!(await life.open())) return;
  life.hops.down.add("down.example");
  for (let i = 0; i < 30; i++) {
    await life.send(`q${i}`, 2500, `q${i}@down.example`);
    await life.send(`u${i}`, 100, `u${i}@up.example`);
    if (i % 3 === 2) await life.rest();
  }
  await life.rest();
  life.hops.down.clear();
  await life.flush();
  for (let i = 0; i < 8; i++) await life.send(`w${i}`, 2500, `w${i}@up.example`);
  await life.rest();
  await life.close();
}

/** The program is killed between a write and its sync; the next one acts on what it finds in the page cache. */
async function killed(life: Life): Promise<void> {
  if (!(await life.open())) return;
  await life.send("x", 9000, "xen@up.example");
  life.process.killAfter = (operation) => operation.startsWith("write /q/log/segment");
  await life.clock.pass(250);
  life.process.kill();
  if (!(await life.open())) return;
  await life.send("z", 300, "zoe@up.example");
  await life.rest();
  await life.close();
}

/** What is wrong with the spool in `image`, given what was promised; empty when nothing is. */
export async function check(
  image: Image,
  known: Knowledge,
  seed: number,
  without: string | undefined,
  syncs: Set<string>,
): Promise<string[]> {
  const first = new SimDisk(image, without === undefined ? {} : { without });
  const opened = await openStore(first, seed);
  if (typeof opened === "string") return [opened];
  for (const why of first.syncs) syncs.add(why);
  const problems = [...invariants(opened, known), ...unexplained(first, opened)];
  problems.push(...(await wholeness(opened, known)), ...(await quarantined(opened)), ...kept(first));
  const before = snapshot(opened);
  // I5: the same again after a kill, and after a power cut, right behind the recovery.
  for (const again of [first.live(), first.strict()]) {
    const second = await openStore(new SimDisk(again), seed + 1);
    if (typeof second === "string") problems.push(`I5: ${second}`);
    else if (snapshot(second) !== before)
      problems.push(`I5: recovered twice:\n${before}\n--- then\n${snapshot(second)}`);
  }
  return problems;
}

export async function openStore(disk: SimDisk, seed: number): Promise<Store | string> {
  const opened = await Store.open({
    disk,
    clock: new SimClock(),
    entropy: new SimEntropy(seed),
    log: silentLog,
    folder: FOLDER,
    minFreeBlocks: 100,
    clockFloorMs: 0,
    segmentBytes: SEGMENT_BYTES,
  });
  return opened.ok ? opened.value : `recovery failed: ${opened.error.operation}: ${opened.error.code}`;
}

function snapshot(store: Store): string {
  return [...store.entries.values()]
    .map((e) => {
      const rows = e.deliveries?.map((d) => `${d.user}:${d.state}`) ?? e.recipients.map((r) => r.address);
      return `${e.id} ${e.sender} ${e.hold} ${e.place.bodyBytes} ${rows.join(" ")}`;
    })
    .sort()
    .join("\n");
}

/** Recipients that a recovered spool will still serve, as `tag recipient`; notices by the recipients that they tell of. */
function pending(store: Store, known: Knowledge): Set<string> {
  const tags = new Map([...known.submitted].map(([tag, m]) => [m.id, tag]));
  const keys = new Set<string>();
  for (const entry of store.entries.values()) {
    const tag = tags.get(entry.id);
    if (tag === undefined) continue;
    const addresses =
      entry.deliveries?.filter((d) => d.state === "waiting").map((d) => d.user) ??
      entry.recipients.flatMap((r) => finals(r.address));
    for (const address of addresses) keys.add(`${tag} ${address}`);
  }
  return keys;
}

function finals(address: string): string[] {
  return address === "list@down.example"
    ? ["one@down.example", "two@up.example", "bad@up.example"]
    : [address];
}

function invariants(store: Store, known: Knowledge): string[] {
  const problems: string[] = [];
  const waiting = pending(store, known);
  const notices = [...store.entries.values()].some((e) => e.sender === "");
  for (const tag of known.acknowledged) {
    if (known.removed.has(tag)) continue;
    const message = present(known.submitted.get(tag), "an acknowledged message");
    for (const address of message.recipients.flatMap(finals)) {
      const key = `${tag} ${address}`;
      const told =
        known.told.has(key) || (address === "bad@up.example" && known.told.has(`${tag} list@down.example`));
      if (waiting.has(key) || known.delivered.has(key) || told) continue;
      if (address.startsWith("bad") && notices) continue;
      problems.push(`I1: ${key} was acknowledged and is lost`);
    }
  }
  for (const key of known.settled)
    if (waiting.has(key)) problems.push(`I4: ${key} was done and would be delivered again`);
  return problems;
}

/** I2: what is there is whole. */
async function wholeness(store: Store, known: Knowledge): Promise<string[]> {
  const problems: string[] = [];
  const bodies = new Map([...known.submitted.values()].map((m) => [m.id, m.body]));
  for (const entry of store.entries.values()) {
    const content = await store.load(entry);
    if (content.kind !== "found") {
      problems.push(`I2: ${entry.id} cannot be read: ${content.kind}`);
      continue;
    }
    const pieces: Buffer[] = [];
    for await (const chunk of content.value.body.chunks()) pieces.push(chunk);
    const expected = bodies.get(entry.id);
    if (expected !== undefined && Buffer.concat(pieces).toString("latin1") !== expected)
      problems.push(`I2: ${entry.id} has another body`);
  }
  return problems;
}

/** Quarantined bytes are on flash when recovery has ended: their segment may be recycled from then on. */
function kept(disk: SimDisk): string[] {
  const durable = disk.strict();
  return [...disk.live()]
    .filter(
      ([path, content]) => path.startsWith(`${FOLDER}/quarantine/`) && !durable.get(path)?.equals(content),
    )
    .map(([path]) => `I3: ${path} is not durable after recovery`);
}

/** I3: every file is a segment, the catalogue, the file of a live message, one of a few spare files, or quarantined bytes. */
function unexplained(disk: SimDisk, store: Store): string[] {
  const problems: string[] = [];
  const owned = new Set([...store.entries.values()].flatMap((e) => (e.place.inFile ? [e.place.slot] : [])));
  let spare = 0;
  for (const path of disk.live().keys()) {
    const [, , folder, name = ""] = path.split("/");
    if (folder === "log" && /^(segment-\d{6}|catalogue)$/.test(name)) continue;
    if (folder === "quarantine" && !path.endsWith(".new")) continue;
    if (folder === "body" && /^\d{6}$/.test(name) && (owned.has(Number(name)) || ++spare <= SPARE_FILES_MAX))
      continue;
    problems.push(`I3: nothing explains ${path}`);
  }
  return problems;
}

/** A power cut only ever damages the end of a segment. */
async function quarantined(store: Store): Promise<string[]> {
  const items = await store.quarantine.list();
  return items
    .filter((item) => !item.reason.includes("the end of the log"))
    .map((item) => `damage without a reason: ${item.name}: ${item.reason}`);
}
