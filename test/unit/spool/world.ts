// A spool on a simulated disk with a scripted router and next hop: what the unit tests of the queue talk to.

import { present } from "../../../src/base/assert.ts";
import { defaultOptions, type Options } from "../../../src/config/options.ts";
import type { Envelope } from "../../../src/mail/envelope.ts";
import { type Outcome, outcome } from "../../../src/mail/outcome.ts";
import type { Verdict } from "../../../src/spool/intake.ts";
import type { Attempt, Mailer } from "../../../src/spool/mailer.ts";
import type { Routed, Router } from "../../../src/spool/router.ts";
import { settingsFrom } from "../../../src/spool/settings.ts";
import { makeSpool, type Spool } from "../../../src/spool/spool.ts";
import { SimClock, settle } from "../../sim/clock.ts";
import { SimDisk } from "../../sim/disk.ts";
import { SimEntropy } from "../../sim/entropy.ts";

export interface Sent {
  readonly id: string;
  readonly sender: string;
  readonly recipients: readonly string[];
  readonly host: string;
  readonly header: string;
  readonly body: string;
  readonly interactive: boolean;
}

export const SENT = outcome("relayed", "2.0.0", "Sent (250 2.0.0 Ok)", { remote: "mx.example" });
export const DOWN = outcome("deferred", "4.4.1", "Deferred: Connection refused by mx.example.");
export const BUSY = outcome("deferred", "4.3.2", "Deferred: 451 4.3.2 try later", {
  diagnostic: "451 4.3.2 try later",
  remote: "mx.example",
});
export const UNKNOWN = outcome("failed", "5.1.1", "User unknown", {
  diagnostic: "550 5.1.1 <r>... User unknown",
  remote: "mx.example",
  transcript: [
    "... while talking to mx.example:",
    ">>> RCPT To:<r>",
    "<<< 550 5.1.1 <r>... User unknown",
    "550 5.1.1 <r>... User unknown",
  ],
});

export class World implements Mailer, Router {
  readonly clock: SimClock;
  readonly disk: SimDisk;
  readonly sent: Sent[] = [];
  readonly lines: string[] = [];
  /** Attempts that were made, taken or not. */
  attempts = 0;
  /** What the next hop says to a user (by the part before "@"), else `otherwise`. */
  readonly answers = new Map<string, Outcome>();
  otherwise: Outcome = SENT;
  /** Messages of a higher priority number are not tried (QueueLA). */
  priorityMax = Number.POSITIVE_INFINITY;
  /** Milliseconds that each attempt takes. */
  delayMs = 0;
  /** The program ended by itself before this start, and whoever started it says so. */
  crashed = false;
  /** Bytes of the log's segments; undefined: by the size of the disk. */
  segmentBytes: number | undefined = undefined;
  /** The attempt for this user ends the program: `died` is what is on flash then. */
  poison = "";
  died: ReadonlyMap<string, Buffer> | null = null;
  readonly aliases = new Map<string, Routed>();
  #spool: Spool | null = null;
  #seed = 1;
  readonly #options: Partial<Options>;

  constructor(options: Partial<Options> = {}, disk = new SimDisk(), clock = new SimClock()) {
    this.#options = options;
    this.disk = disk;
    this.clock = clock;
  }

  get spool(): Spool {
    return present(this.#spool, "an open spool");
  }

  async open(intervalMs = 0): Promise<void> {
    const made = await makeSpool({
      disk: this.disk,
      clock: this.clock,
      entropy: new SimEntropy(this.#seed++),
      log: { line: (_level, text) => void this.lines.push(text) },
      folder: "/q",
      settings: settingsFrom({ ...defaultOptions(), ...this.#options }, 1000),
      router: this,
      mailers: new Map<string, Mailer>([["esmtp", this]]),
      names: { hostName: "gw.example", version: "8.18.1", mailerDaemon: "MAILER-DAEMON@gw.example" },
      clockFloorMs: Date.UTC(2026, 0, 1),
      tooLoaded: (priority) => priority > this.priorityMax,
      crashed: this.crashed,
      ...(this.segmentBytes === undefined ? {} : { segmentBytes: this.segmentBytes }),
    });
    if (!made.ok) throw new Error(`${made.error.operation}: ${made.error.code}`);
    this.#spool = made.value;
    this.spool.start(intervalMs);
    await settle();
  }

  /** The power goes, and comes back. */
  async reboot(intervalMs = 0, image = this.disk.strict(), wallMs?: number): Promise<World> {
    const next = new World(this.#options, new SimDisk(image), new SimClock(wallMs ?? this.clock.wallMs()));
    next.#seed = this.#seed;
    next.otherwise = this.otherwise;
    await next.open(intervalMs);
    return next;
  }

  async expand(recipient: { readonly address: string }, sender: string): Promise<Routed> {
    const { address } = recipient;
    const alias = this.aliases.get(address);
    if (alias !== undefined) return alias;
    const host = address.slice(address.indexOf("@") + 1);
    return {
      deliveries: [{ mailer: "esmtp", host, user: address, address, via: "", sender, unsafe: false }],
      errors: [],
    };
  }

  async deliver(attempt: Attempt): Promise<readonly Outcome[]> {
    this.attempts++;
    const pieces: Buffer[] = [];
    for await (const chunk of attempt.message.body.chunks()) pieces.push(chunk);
    if (this.poison !== "" && attempt.recipients.some((r) => r.user.startsWith(`${this.poison}@`))) {
      this.died = this.disk.strict();
      return new Promise(() => undefined);
    }
    if (this.delayMs > 0) {
      await new Promise<void>((resolve) => {
        this.clock.after(this.delayMs, resolve);
      });
    }
    const outcomes = attempt.recipients.map(
      (r) => this.answers.get(r.user.slice(0, r.user.indexOf("@"))) ?? this.otherwise,
    );
    const taken = attempt.recipients.filter(
      (_, i) => outcomes[i]?.kind === "relayed" || outcomes[i]?.kind === "delivered",
    );
    if (taken.length > 0)
      this.sent.push({
        id: attempt.message.id,
        sender: attempt.sender,
        recipients: taken.map((r) => r.user),
        host: attempt.host,
        header: attempt.message.header.toString("latin1"),
        body: Buffer.concat(pieces).toString("latin1"),
        interactive: attempt.interactive,
      });
    return outcomes;
  }

  async close(): Promise<void> {}

  /** Submits a message and lets everything happen that needs no time. */
  async send(
    to: readonly string[] | string,
    more: Partial<Envelope> = {},
    body = "body\r\n",
  ): Promise<Verdict> {
    const verdict = this.submit(to, more, body);
    await settle();
    return verdict;
  }

  submit(to: readonly string[] | string, more: Partial<Envelope> = {}, body = "body\r\n"): Promise<Verdict> {
    const draft = this.spool.open();
    draft.write(Buffer.from(body, "latin1"));
    return draft.commit(
      {
        sender: "joe@example.com",
        recipients: (typeof to === "string" ? [to] : to).map((address) => ({ address })),
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
        ...more,
      },
      Buffer.from("From: joe@example.com\r\nMessage-Id: <1@example.com>\r\nSubject: test\r\n"),
    );
  }

  async flush(): Promise<number> {
    const done = this.spool.flush();
    await this.clock.pass(this.delayMs + 1);
    return (await done).tried;
  }
}
