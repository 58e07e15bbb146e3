// One SMTP session: bytes in, commands in order, replies out, whatever the transport (RFC 5321; texts and order of decisions as
// Sendmail's, semantics sections 14-17). Commands run one after the other; replies of a pipelined batch leave in one write.
// The session owns its state and drops its transaction whole at every ending; verbs only word what happened.

import { AssertionError } from "../base/assert.ts";
import {
  AUTH_LINE_BYTES_MAX,
  BAD_COMMANDS_MAX,
  COMMAND_LINE_BYTES_MAX,
  COMMANDS_WAITING_BYTES_MAX,
  DATA_RATE_BYTES_PER_SECOND_MIN,
  REPLIES_WAITING_BYTES_MAX,
} from "../base/limits.ts";
import type { DaemonSpec } from "../config/configuration.ts";
import { formatReply, type Reply, reply } from "../mail/reply.ts";
import type { Client } from "../policy/policy.ts";
import type { Priority } from "../sys/log.ts";
import type { AuthExchange } from "./auth.ts";
import { dispatch } from "./dispatch.ts";
import type { Guesses } from "./guesses.ts";
import { Input } from "./input.ts";
import { Patience } from "./patience.ts";
import type { Service } from "./service.ts";
import type { Settings } from "./settings.ts";
import { Throttle, type ThrottleName } from "./throttle.ts";
import type { Fate, Transaction } from "./transaction.ts";
import type { Wire } from "./wire.ts";
import { describe } from "./wording.ts";

const LINE_END_BYTES = 2;
/** What is known when a connection is there and nothing was said. */
export interface SessionStart {
  readonly client: Client;
  readonly daemon: DaemonSpec;
  /** Implicit TLS is already active. */
  readonly encrypted: boolean;
  /** True for -bs: a local process, no DNS name. */
  readonly local: boolean;
  /** Wrong passwords by address, of all sessions. */
  readonly guesses: Guesses;
}

export class Session {
  readonly service: Service;
  readonly settings: Settings;
  readonly daemon: DaemonSpec;
  readonly wire: Wire;
  readonly throttle: Throttle;
  readonly guesses: Guesses;
  readonly local: boolean;
  /** $j, or the interface's own name with DaemonPortOptions modifier h. */
  hostName: string;
  client: Client;
  /** "name [1.2.3.4] (may be forged)", as replies, logs and Received say it. */
  who: string;
  encrypted: boolean;
  protocol: "" | "SMTP" | "ESMTP" = "";
  transaction: Transaction | null = null;
  /** Set when the connection may only be told why it gets nothing (Sendmail's nullserver). */
  refusal: Reply | null = null;
  /** Applies to every message of the connection. */
  fate: Fate = { discard: false, quarantine: "" };
  auth: AuthExchange | null = null;
  authFailures = 0;
  badRecipients = 0;
  /** MAIL, EXPN, VRFY or ETRN was used: the connection had a purpose. */
  usedFor = false;
  closed = false;
  /** For the log: what the client said last. */
  lastVerb = "startup";
  /** SMTPUTF8 was used: addresses are text now, and replies are UTF-8. */
  utf8 = false;

  readonly #input = new Input();
  #queueId = "";
  #out = "";
  #busy = true;
  #running = false;
  #stalled = false;
  #ended = false;
  #stopping = false;
  #badCommands = 0;
  #commands = 0;
  readonly #patience: Patience;
  #sleepers = new Set<() => void>();
  /** Waits under way that the client has brought upon itself. */
  #fines = 0;
  /** policy.connect() was asked, so policy.closed() is owed. */
  #counted = false;
  #arrived: (() => void) | null = null;

  constructor(service: Service, settings: Settings, start: SessionStart, wire: Wire) {
    this.service = service;
    this.settings = settings;
    this.daemon = start.daemon;
    this.guesses = start.guesses;
    this.hostName = service.hostName;
    this.client = start.client;
    this.local = start.local;
    this.encrypted = start.encrypted;
    this.wire = wire;
    this.who = describe(start.client, start.local);
    this.throttle = new Throttle(settings.noopMax);
    this.#patience = new Patience(service.clock);
  }

  /** Reads commands from now on; the greeting was sent. */
  open(): void {
    this.#busy = false;
    this.#patience.expect(this.settings.commandTimeoutMs);
    this.#run();
  }

  /** True when bytes arrived that nobody has read: pipelining where it is not allowed. */
  get inputWaiting(): boolean {
    return this.#input.waiting > 0;
  }

  /** Bytes from the peer. */
  feed(chunk: Buffer): void {
    if (this.closed) return;
    this.#input.add(chunk);
    this.#arrived?.();
    if (this.#busy || this.#stalled) {
      if (this.#input.waiting > COMMANDS_WAITING_BYTES_MAX) this.wire.pause();
      return;
    }
    this.#run();
  }

  /**
   * The peer will send no more. What it sent is still answered, except an unfinished line or message, and except what it has to wait
   * for because it asked too much: nobody holds a connection open that way by leaving.
   */
  end(): void {
    this.#ended = true;
    if (this.#fines > 0) this.#lostInput();
    else if (!this.#busy) this.#run();
  }

  /** The peer has read what was waiting. */
  drained(): void {
    if (!this.#stalled) return;
    this.#stalled = false;
    if (!this.#busy) this.#run();
  }

  /** The connection is gone. */
  dropped(): void {
    if (this.closed) return;
    this.note(
      this.transaction === null ? 20 : 2,
      `lost input channel from ${this.who} to ${this.daemon.name} after ${this.lastVerb}`,
    );
    this.#finish();
  }

  /** Called about once a second: ends sessions whose client owes us something for too long. */
  tick(nowMs: number): void {
    if (this.closed) return;
    // A message that comes at a fair rate may take as long as it is large (reliability RES-02).
    const graceMs = ((this.transaction?.gate?.size ?? 0) / DATA_RATE_BYTES_PER_SECOND_MIN) * 1000;
    if (!this.#patience.over(nowMs, graceMs)) return;
    this.note(
      1,
      `timeout waiting for input from ${this.who} during ${this.transaction?.gate ? "message collect" : "server cmd read"}`,
    );
    this.#finish();
    this.wire.destroy();
  }

  /** The server goes down: idle sessions now, the others after the message they are at. */
  stop(): void {
    this.#stopping = true;
    if (!this.#busy && this.transaction?.gate == null) this.#shutdown();
  }

  #shutdown(): void {
    if (this.closed) return;
    this.say(reply(421, "4.3.2", `${this.hostName} System going down`));
    this.close();
  }

  log(level: number, text: string, priority?: Priority): void {
    this.service.log.line(level, text, priority);
  }

  /** The id that the next message of this session has, or the one it is at: what happens on the way to it is logged under it. */
  get queueId(): string {
    this.#queueId ||= this.service.intake.newId();
    return this.#queueId;
  }

  /** A line of the log that belongs to the message of this session. */
  note(level: number, text: string, priority?: Priority): void {
    if (level <= this.service.config.options.LogLevel) this.log(level, `${this.queueId}: ${text}`, priority);
  }

  /** The line of a transaction that came to nothing; the next has another id. */
  abandoned(sender: string, recipients: number): void {
    const proto = this.protocol === "" ? "SMTP" : this.protocol;
    this.note(
      5,
      `from=<${sender}>, size=0, class=0, nrcpts=${recipients}, proto=${proto}, daemon=${this.daemon.name}, relay=${this.who}`,
    );
    this.#queueId = "";
  }

  /** Adds one reply to the batch. */
  say(answer: Reply): void {
    if (this.closed) return;
    this.#out += formatReply(answer);
    if (this.#out.length > REPLIES_WAITING_BYTES_MAX) this.flush();
  }

  answer(code: number, enhanced: string, text: string): void {
    this.say({ code, enhanced, lines: [text] });
  }

  flush(): void {
    if (this.#out === "" || this.closed) return;
    const out = this.#out;
    this.#out = "";
    // What is shown back are the client's bytes, one character each, unless it speaks RFC 6531.
    this.wire.write(Buffer.from(out, this.utf8 ? "utf8" : "latin1"));
  }

  /** Sends what is to be said and ends the session. */
  close(): void {
    if (this.closed) return;
    this.flush();
    this.#finish();
    this.wire.close();
  }

  #finish(): void {
    this.closed = true;
    this.#patience.nothing();
    this.#input.clear();
    this.reset();
    this.auth = null;
    for (const wake of this.#sleepers) wake();
    this.#sleepers.clear();
    if (!this.usedFor && this.#counted && this.refusal === null)
      this.note(6, `${this.who} did not issue MAIL/EXPN/VRFY/ETRN during connection to ${this.daemon.name}`);
    if (this.#counted) this.service.policy.closed(this.client);
  }

  /** Answers with a refusal of a rule set and logs it as Sendmail does. */
  rejected(ruleset: string, typed: string, answer: Reply): void {
    this.logRejection(ruleset, typed, answer);
    this.say(answer);
  }

  logRejection(ruleset: string, typed: string, answer: Reply): void {
    const text = `${answer.code} ${answer.enhanced} ${answer.lines.join(" ")}`;
    this.note(5, `ruleset=${ruleset}, arg1=${typed}, relay=${this.who}, reject=${text}`, "notice");
  }

  /** Waits `ms` with everything said so far on its way; ends early when the session does. */
  async sleep(ms: number): Promise<void> {
    if (ms <= 0 || this.closed) return;
    this.flush();
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        cancel();
        this.#sleepers.delete(wake);
        resolve();
      };
      const cancel = this.service.clock.after(ms, wake);
      this.#sleepers.add(wake);
    });
  }

  /** sleep() as the price of what the client did: a client that has left, or leaves meanwhile, is not waited for. */
  async pay(ms: number): Promise<void> {
    if (this.closed) return;
    this.flush();
    if (this.#ended) {
      this.#lostInput();
      return;
    }
    this.#fines++;
    await this.sleep(ms);
    this.#fines--;
  }

  /** Waits `ms` or until the client says something; true when it did (greet_pause). */
  async listen(ms: number): Promise<boolean> {
    if (this.inputWaiting) return true;
    await new Promise<void>((resolve) => {
      this.#arrived = resolve;
      void this.sleep(ms).then(resolve);
    });
    this.#arrived = null;
    return this.inputWaiting;
  }

  /** Counts a command that should not come often: undefined to go on, a promise to wait for, or null when the session has ended. */
  slow(name: ThrottleName, verb: string): Promise<void> | undefined | null {
    const wait = this.throttle.count(name);
    if (wait === 0) return undefined;
    if (this.throttle.reached(name)) {
      const shown = name === "helo" ? "HELO/EHLO" : verb;
      this.note(
        6,
        `${this.who}: possible SMTP attack: command=${shown}, count=${this.throttle.of(name)}`,
        "notice",
      );
    }
    if (wait === "stop") {
      this.tooManyBad();
      return null;
    }
    return this.pay(wait);
  }

  /** Drops the transaction (RSET, HELO, an ending of DATA). */
  reset(): void {
    const { transaction } = this;
    if (transaction === null) return;
    this.transaction = null;
    transaction.drop();
    if (transaction.offered) this.#queueId = "";
    else this.abandoned(transaction.sender, transaction.recipients.length);
  }

  /** The client broke the protocol's timing: told once, then refused everything but QUIT. */
  protocolError(command: string): void {
    this.note(1, `rejecting server ${command} from ${this.who} due to traffic before response`);
    this.reset();
    this.refusal = reply(550, "5.0.0", "Command rejected");
    this.answer(554, "5.5.0", "SMTP protocol error");
  }

  tooManyBad(): void {
    this.answer(421, "4.7.0", `${this.hostName} Too many bad commands; closing connection`);
    this.close();
  }

  /** Counts a command that made no sense; false when it was one too many. */
  countBad(): boolean {
    if (++this.#badCommands <= BAD_COMMANDS_MAX) return true;
    this.tooManyBad();
    return false;
  }

  /** Discards input and starts over: the state after STARTTLS (RFC 3207 section 4.2). */
  restart(): void {
    this.reset();
    this.protocol = "";
    this.client = { ...this.client, helo: "" };
    this.#input.clear();
    this.#commands = 0;
    this.throttle.reset("helo");
  }

  /** The client's name is known. */
  identify(client: Client): void {
    this.client = client;
    this.who = describe(client, this.local);
  }

  /** check_relay is asked from here on. */
  counted(): void {
    this.#counted = true;
  }

  /** Runs what waits in the input until something has to be waited for. */
  #run(): void {
    if (this.#running) return;
    this.#running = true;
    while (!this.#busy && !this.closed && !this.#stalled) {
      const gate = this.transaction?.gate ?? null;
      if (!(gate === null ? this.#command() : this.#data())) break;
      if (this.#out.length > 0 && this.wire.backlog() > REPLIES_WAITING_BYTES_MAX) {
        this.flush();
        this.#stalled = true;
        this.wire.pause();
      }
    }
    this.#running = false;
    if (this.closed || this.#busy) return;
    this.flush();
    if (this.#stalled) return;
    if (this.#stopping && this.transaction?.gate == null) this.#shutdown();
    else if (this.#ended) this.#lostInput();
    else this.wire.resume();
  }

  #lostInput(): void {
    this.dropped();
    this.wire.close();
  }

  /** Runs one command; false when there is no whole line. */
  #command(): boolean {
    let line = this.#input.line(this.#lineMax());
    if (line === null) return false;
    if (typeof line === "number") {
      this.note(6, `${this.who}: SMTP violation, input too long: ${line}`);
      this.answer(421, "4.7.0", `${this.hostName} Command too long, possible attack ${this.who}`);
      this.close();
      return true;
    }
    // A C string ends at NUL, and so does what Sendmail makes of the line.
    const nul = line.indexOf("\0");
    if (nul >= 0) line = line.slice(0, nul);
    this.#patience.expect(this.settings.commandTimeoutMs);
    const exchange = this.auth;
    this.#wait(exchange === null ? dispatch(this, line, this.#commands++ === 0) : exchange.respond(line));
    return true;
  }

  /** AUTH lines carry base64 of any length the mechanism wants (RFC 4954 section 4). */
  #lineMax(): number {
    if (this.auth !== null) return AUTH_LINE_BYTES_MAX + LINE_END_BYTES;
    return this.#input.peek(5).toUpperCase() === "AUTH "
      ? AUTH_LINE_BYTES_MAX + LINE_END_BYTES
      : COMMAND_LINE_BYTES_MAX;
  }

  /** Gives waiting bytes to the data gate; false when there are none. */
  #data(): boolean {
    const transaction = this.transaction;
    const gate = transaction?.gate;
    if (transaction == null || gate == null || !this.inputWaiting) return false;
    gate.pending = undefined;
    this.#input.give((bytes, from) => gate.feed(bytes, from));
    if (gate.state === "open") {
      if (gate.tooLarge || gate.headerTooLarge) this.#dropDraft(transaction);
      this.#wait(gate.pending);
      return true;
    }
    this.#patience.expect(this.settings.commandTimeoutMs);
    this.#wait(transaction.received(gate));
    return true;
  }

  /** What is refused anyway takes no more room; the reader runs to the true end all the same. */
  #dropDraft(transaction: Transaction): void {
    transaction.draft?.abort();
    transaction.draft = null;
  }

  /** The message has Timeout.datablock, and more as it comes. */
  expectData(): void {
    this.#patience.expect(this.settings.dataTimeoutMs);
  }

  expectAuth(): void {
    this.#patience.expect(this.settings.authTimeoutMs);
  }

  /** Commands after this one wait for `work`. */
  #wait(work: Promise<void> | undefined): void {
    if (work === undefined || this.closed) return;
    this.#busy = true;
    // While we work the client owes us nothing.
    const leftMs = this.#patience.hold();
    work.then(
      () => this.#goOn(leftMs),
      (e: unknown) => this.#failed(e),
    );
  }

  #goOn(leftMs: number): void {
    this.#busy = false;
    if (this.closed) return;
    // The work may have said itself what is expected next (message data, an AUTH response).
    if (!this.#patience.waiting)
      this.#patience.expect(this.transaction?.gate == null ? this.settings.commandTimeoutMs : leftMs);
    this.#run();
  }

  #failed(e: unknown): void {
    // A broken assertion is a bug that the process must not survive; the rest ends this session only.
    if (e instanceof AssertionError) throw e;
    this.note(0, `SYSERR(root): session of ${this.who}: ${e instanceof Error ? e.stack : String(e)}`, "crit");
    this.#busy = false;
    this.answer(421, "4.3.0", `${this.hostName} Internal error, closing connection`);
    this.close();
  }
}
