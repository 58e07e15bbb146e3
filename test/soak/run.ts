// `make soak`: half an hour (SECONDS) of good clients, attackers and a moody next hop, from SEED, against one gateway process. Prints what
// it uses over time; fails when memory, descriptors, the queue on flash or the writes per message grow, or when mail is lost.

import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { SEGMENTS_IDLE_MAX, SPARE_FILES_MAX } from "../../src/base/limits.ts";
import { LoopSpool } from "../bench/measure.ts";
import { freePort, Gateway } from "../flow/gateway.ts";
import { Chance } from "../fuzz/chance.ts";
import { Clients, keyOf, NextHop, type Record } from "../powercut/traffic.ts";
import { ATTACKS, Crowd, pause } from "./clients.ts";
import { bytesBelow, HEAD, line, processUse, quarters, type Sample, writtenPerMessage } from "./gauge.ts";

const SECONDS = Number(process.env["SECONDS"] ?? "") || 1800;
const SEED = Number(process.env["SEED"] ?? "") || 20261122;
const SESSIONS = 6;
/** Mean rest of a session between two messages. */
const REST_MS = 300;
/** Attacks begin at this rate, and so many go on at once at most. */
const ATTACK_EVERY_MS = 400;
const ATTACKS_MAX = 150;
const SAMPLES = 40;
const LIST_EVERY_MS = 20_000;
const DRAIN_MS = 90_000;
const QUIET_MS = 5000;
/** What may differ between the second and the last quarter: noise of a collector and of a moment. */
const DIRTY_GROWTH_MAX_MIB = 12;
/** What the queue keeps open for later: files of bodies and segments, the one in use and one in the making. */
const DESCRIPTORS_KEPT_MAX = SPARE_FILES_MAX + SEGMENTS_IDLE_MAX + 2;
const SPOOL_MIB = 128;
const QUEUE_BYTES_MAX = 24 * 1024 * 1024;
const WRITTEN_GROWTH_MAX = 1.5;
const HEAP_MIB = 64;

const say = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

/** Deadlines as short as a day is in half an hour. */
function mc(port: number): string {
  const waits = "COMMAND DATABLOCK DATAFINAL DATAINIT HELO MAIL RCPT MISC QUIT".split(" ");
  return [
    "OSTYPE(`linux')dnl",
    "define(`confDOMAIN_NAME', `mail.polkatistas.org')dnl",
    "define(`confTO_IDENT', `0')dnl",
    ...waits.map((word) => `define(\`confTO_${word}', \`20s')dnl`),
    "define(`confMAX_MESSAGE_SIZE', `3000000')dnl",
    "define(`confMCI_CACHE_TIMEOUT', `2s')dnl",
    "define(`confBAD_RCPT_THROTTLE', `3')dnl",
    "FEATURE(`mailertable')dnl",
    "FEATURE(`access_db')dnl",
    "FEATURE(`nocanonify')dnl",
    "FEATURE(`accept_unresolvable_domains')dnl",
    "FEATURE(`no_default_msa')dnl",
    `DAEMON_OPTIONS(\`Name=MTA, Family=inet, Addr=127.0.0.1, Port=${port}')dnl`,
    "MAILER(`smtp')dnl",
    "",
  ].join("\n");
}

class Soak {
  readonly gateway = new Gateway("soak");
  readonly record: Record = { acknowledged: [], taken: [], damaged: [], refused: [] };
  readonly hop = new NextHop(this.record, () => 0);
  readonly samples: Sample[] = [];
  readonly problems: string[] = [];
  readonly #counts = new Map<string, number>();
  #attacks = 0;
  #logged = 0;
  #start = 0;
  /** A file system of its own, to count what reaches the medium; null without root. */
  #medium: LoopSpool | null = null;

  async run(): Promise<void> {
    const hopPort = await freePort();
    this.gateway.port = await freePort();
    this.gateway.write({
      "sendmail.mc": mc(this.gateway.port),
      mailertable: `polkatistas.org\tsmtp:[127.0.0.1]:${hopPort}\n`,
      access: "To:polkatistas.org\tRELAY\n",
    });
    if (process.getuid?.() === 0) {
      this.#medium = new LoopSpool(this.gateway.folder, "soak", SPOOL_MIB);
      const folder = join(this.#medium.folder, "mqueue");
      mkdirSync(folder, { mode: 0o700 });
      execFileSync("mount", ["--bind", folder, this.gateway.queue]);
    } else say("not root: writes to the medium are not counted");
    this.hop.never = 0;
    await this.hop.listen(hopPort);
    try {
      await this.gateway.start(["-q5s"], { NODE_OPTIONS: `--max-old-space-size=${HEAP_MIB}` });
      await this.#day();
    } finally {
      await this.hop.stop();
      await this.gateway.stop("SIGKILL");
      this.#medium?.release();
      await this.gateway.remove();
    }
  }

  async #day(): Promise<void> {
    await pause(QUIET_MS);
    const before = processUse(this.gateway.pid);
    this.#start = performance.now();
    const clients = new Clients(this.gateway.port, this.record, () => 0, REST_MS);
    const crowd = new Crowd(this.gateway.port, this.gateway.control);
    const sending = clients.run(SESSIONS, SEED);
    const attacking = this.#attack(crowd);
    say(HEAD);
    this.#sample();
    const listing = this.#list(crowd);
    const every = (SECONDS * 1000) / SAMPLES;
    for (let n = 1; n <= SAMPLES; n++) {
      await pause(Math.max(0, this.#start + n * every - performance.now()));
      this.#sample();
    }
    crowd.leave();
    clients.stop();
    await Promise.all([sending, attacking, listing]);
    await this.#drained();
    const end = performance.now() + DRAIN_MS;
    do await pause(QUIET_MS);
    while (processUse(this.gateway.pid).sockets > before.sockets && performance.now() < end);
    this.#sample();
    const after = processUse(this.gateway.pid);
    const [files, sockets] = [after.descriptors - before.descriptors, after.sockets - before.sockets];
    say(`left when all have gone: ${files} descriptors more than at the start, ${sockets} of them sockets`);
    if (sockets > 0) this.problems.push(`${sockets} sockets are left when all have gone`);
    if (files > DESCRIPTORS_KEPT_MAX) this.problems.push(`${files} descriptors are left when all have gone`);
    this.#judge();
    const status = await this.gateway.stop();
    if (status !== 0) this.problems.push(`the gateway ended with ${status}`);
  }

  async #attack(crowd: Crowd): Promise<void> {
    const chance = new Chance(SEED);
    const names = [...ATTACKS.keys()];
    const running = new Set<Promise<void>>();
    while (!crowd.over) {
      await pause(chance.next() * 2 * ATTACK_EVERY_MS);
      if (crowd.over || crowd.size >= ATTACKS_MAX) continue;
      const name = chance.pick(names);
      this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
      this.#attacks++;
      const attack = ATTACKS.get(name)?.(crowd.dial(name), new Chance(chance.below(2 ** 31)));
      if (attack === undefined) continue;
      running.add(attack);
      void attack.finally(() => running.delete(attack));
    }
    await Promise.all(running);
  }

  /** An administrator who looks at the queue now and then. */
  async #list(crowd: Crowd): Promise<void> {
    while (!crowd.over) {
      const { status, err } = await this.gateway.run("mailq", this.gateway.options());
      if (status !== 0) this.problems.push(`mailq ended with ${status}: ${err.slice(0, 200)}`);
      for (let waited = 0; waited < LIST_EVERY_MS && !crowd.over; waited += 500) await pause(500);
    }
  }

  #sample(): void {
    const { gateway, record } = this;
    this.#logged += gateway.output.length;
    const wrong = /^.*(?:assert|uncaught|unhandled|TypeError|RangeError|ReferenceError).*$/im.exec(
      gateway.output,
    );
    if (wrong !== null) this.problems.push(`the log says: ${wrong[0].slice(0, 300)}`);
    gateway.output = "";
    const sample: Sample = {
      ...processUse(gateway.pid),
      written: this.#medium?.writtenNow() ?? 0,
      seconds: (performance.now() - this.#start) / 1000,
      queue: bytesBelow(gateway.queue),
      accepted: record.acknowledged.length,
      delivered: record.taken.length,
      refused: this.#attacks,
      logged: this.#logged,
    };
    say(line(sample, this.samples.at(-1) ?? sample));
    this.samples.push(sample);
  }

  #missing(): string[] {
    const taken = new Set(this.record.taken.map(({ key }) => key));
    return this.record.acknowledged
      .flatMap(({ tag, users }) => users.map((user) => keyOf(tag, user)))
      .filter((key) => !taken.has(key));
  }

  async #drained(): Promise<void> {
    const end = performance.now() + DRAIN_MS;
    while (this.#missing().length > 0 && performance.now() < end) await pause(500);
    const lost = this.#missing();
    if (lost.length > 0)
      this.problems.push(`${lost.length} recipients are lost: ${lost.slice(0, 5).join(", ")}`);
    for (const what of this.record.damaged) this.problems.push(`delivered, but not whole: ${what}`);
    const twice = this.record.taken.length - new Set(this.record.taken.map(({ key }) => key)).size;
    if (twice > 0) this.problems.push(`${twice} duplicates though nothing failed`);
    say(
      `${this.record.acknowledged.length} accepted, ${this.record.taken.length} deliveries, ${lost.length} lost, ${twice} twice`,
    );
  }

  #judge(): void {
    const during = this.samples.slice(0, -1);
    const grows = (name: string, [before, after]: readonly [number, number], limit: number): void => {
      say(`${name}: ${before.toFixed(1)} in the second quarter, ${after.toFixed(1)} in the last`);
      if (after > limit) this.problems.push(`${name} grew from ${before.toFixed(1)} to ${after.toFixed(1)}`);
    };
    const dirty = quarters(during, (sample) => sample.dirty);
    grows("own memory (MiB)", dirty, dirty[0] + DIRTY_GROWTH_MAX_MIB);
    const descriptors = quarters(during, (sample) => sample.descriptors);
    grows("descriptors", descriptors, descriptors[0] * 1.25 + DESCRIPTORS_KEPT_MAX);
    const queue = quarters(during, (sample) => sample.queue / 2 ** 20);
    grows("queue on the medium (MiB)", queue, QUEUE_BYTES_MAX / 2 ** 20);
    const written = writtenPerMessage(during);
    grows("bytes written per message", written, written[0] * WRITTEN_GROWTH_MAX + 4096);
    say([...this.#counts].map(([name, count]) => `${name} ${count}`).join(", "));
    if (this.record.acknowledged.length < SECONDS)
      this.problems.push("less than one message a second got through");
  }
}

const soak = new Soak();
await soak.run();
for (const problem of soak.problems) say(`soak: ${problem}`);
say(
  soak.problems.length === 0
    ? `soak: nothing grew, nothing lost (SEED=${SEED})`
    : `soak: failed (SEED=${SEED})`,
);
process.exitCode = soak.problems.length === 0 ? 0 : 1;
