// A stage for conversations: a Service of scripted parts (policy, intake in memory, routes, DNS) and a client that speaks over an
// in-process stream. What a test needs otherwise it overrides; nothing here knows a case.

import { type Duplex, duplexPair } from "node:stream";
import type { Configuration, DaemonSpec } from "../../src/config/configuration.ts";
import { defaultOptions, type Options } from "../../src/config/options.ts";
import type { Envelope } from "../../src/mail/envelope.ts";
import { type Reply, reply } from "../../src/mail/reply.ts";
import { OK, type Policy, type Verdict } from "../../src/policy/policy.ts";
import { makeSmtpd, type Smtpd } from "../../src/smtpd/server.ts";
import { NO_DAEMON, type Service } from "../../src/smtpd/service.ts";
import type { Draft, Intake } from "../../src/spool/intake.ts";
import type { Clock } from "../../src/sys/clock.ts";
import { systemClock } from "../../src/sys/clock.ts";
import type { Resolver } from "../../src/sys/resolver.ts";

/** A message that got its 250. */
export interface Kept {
  readonly envelope: Envelope;
  readonly header: string;
  /** Wire form: dots stuffed. */
  readonly body: string;
}

export class MemoryIntake implements Intake {
  readonly kept: Kept[] = [];
  #ids = 0;
  opened = 0;
  aborted = 0;
  /** What MAIL is told. */
  full: Reply | null = null;
  /** What the final dot is told instead of 250. */
  refusal: Reply | null = null;

  admit(): Reply | null {
    return this.full;
  }

  newId(): string {
    return `Q${String(++this.#ids).padStart(13, "0")}`;
  }

  open(id = this.newId()): Draft {
    this.opened++;
    const chunks: Buffer[] = [];
    let over = false;
    const end = (): void => {
      if (over) throw new Error("a draft ended twice");
      over = true;
    };
    return {
      id,
      write: (chunk) => {
        if (!over) chunks.push(Buffer.from(chunk));
        return undefined;
      },
      commit: async (envelope, header) => {
        end();
        if (this.refusal !== null) return { kind: "refused", reply: this.refusal };
        this.kept.push({
          envelope: { ...envelope, recipients: [...envelope.recipients] },
          header: header.toString("latin1"),
          body: Buffer.concat(chunks).toString("latin1"),
        });
        return { kind: "accepted", id, how: "spooled" };
      },
      abort: () => {
        end();
        this.aborted++;
      },
    };
  }

  /** Drafts that were neither committed nor aborted. */
  get open_(): number {
    return this.opened - this.aborted - this.kept.length;
  }
}

export function scriptedPolicy(over: Partial<Policy> = {}): Policy {
  const yes = async (): Promise<Verdict> => OK;
  return {
    greetPauseMs: () => 0,
    connect: yes,
    closed: () => {},
    helo: yes,
    mail: yes,
    rcpt: yes,
    data: yes,
    tlsClient: () => OK,
    serverFeatures: () => "",
    etrn: yes,
    ...over,
  };
}

/** DNS that knows names by address: PTR and forward agree. */
export function resolverOf(names: ReadonlyMap<string, string>): Resolver {
  const absent = { kind: "absent" } as const;
  return {
    a: async (name) => {
      const found = [...names].filter(([, n]) => n === name).map(([address]) => address);
      return found.length > 0 ? { kind: "found", value: found } : absent;
    },
    aaaa: async () => absent,
    mx: async () => absent,
    ptr: async (address) => {
      const name = names.get(address);
      return name === undefined ? absent : { kind: "found", value: [name] };
    },
    cname: async () => absent,
    txt: async () => absent,
    exists: async () => absent,
    searchDomains: [],
  };
}

/** The part of a configuration that smtpd/ reads. */
export function configurationOf(options: Partial<Options> = {}): Configuration {
  return {
    options: { ...defaultOptions(), ...options },
    texts: { cfVersion: "", fromHeader: "" },
  } as unknown as Configuration;
}

export interface Stage {
  readonly service: Service;
  readonly intake: MemoryIntake;
  readonly smtpd: Smtpd;
  readonly log: string[];
  /** A new client connection, in process. */
  connect(from?: string, daemon?: Partial<DaemonSpec>): Talk;
}

export interface StageOptions {
  readonly options?: Partial<Options>;
  readonly policy?: Partial<Policy>;
  readonly service?: Partial<Service>;
  readonly clock?: Clock;
}

/** The system's clock; a test that failed half way is not kept alive by what the server still waits for. */
const patientClock: Clock = {
  ...systemClock,
  after(ms, fn) {
    const timer = setTimeout(fn, ms).unref();
    return () => clearTimeout(timer);
  },
};

export const HOST = "mail.gw.test";

export function makeStage(over: StageOptions = {}): Stage {
  const intake = new MemoryIntake();
  const log: string[] = [];
  const service: Service = {
    config: configurationOf({ SmtpGreetingMessage: "$j Postern", ...over.options }),
    hostName: HOST,
    version: "1",
    policy: scriptedPolicy(over.policy),
    intake,
    routes: {
      check: async (address, typed) =>
        address.startsWith("unknown")
          ? { kind: "refused", reply: reply(550, "5.1.1", `${typed}... User unknown`) }
          : { kind: "ok", willQueue: false },
      verify: async (argument) =>
        argument === "mick"
          ? { kind: "found", entries: [{ user: "mick", fullName: "Mick Bauer", local: true }] }
          : { kind: "refused", reply: reply(550, "5.1.1", `${argument}... User unknown`) },
    },
    resolver: resolverOf(new Map([["192.0.2.1", "client.test"]])),
    clock: over.clock ?? patientClock,
    log: { line: (level, text) => void log.push(`${level} ${text}`) },
    tls: null,
    auth: null,
    etrn: () => true,
    ...over.service,
  };
  const smtpd = makeSmtpd(service);
  return {
    service,
    intake,
    smtpd,
    log,
    connect(from = "192.0.2.1", daemon = {}) {
      const [ours, theirs] = duplexPair({ allowHalfOpen: true });
      const over_ = smtpd.serve(
        theirs,
        { address: from, localAddress: "192.0.2.25", localPort: 25, localUser: "" },
        { ...NO_DAEMON, name: "MTA", ...daemon },
      );
      return new Talk(ours, over_);
    },
  };
}

const WAIT_MS = 5000;

/** The client's side of one connection. */
export class Talk {
  readonly stream: Duplex;
  /** Resolves when the server has let go. */
  readonly over: Promise<void>;
  #text = "";
  #ended = false;
  #wake: () => void = () => {};

  constructor(stream: Duplex, over: Promise<void>) {
    this.stream = stream;
    this.over = over;
    stream.on("data", (chunk: Buffer) => {
      this.#text += chunk.toString("latin1");
      this.#wake();
    });
    const end = (): void => {
      this.#ended = true;
      this.#wake();
    };
    stream.on("end", end);
    stream.on("close", end);
    stream.on("error", end);
  }

  send(bytes: string | Buffer): void {
    this.stream.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
  }

  /** One whole reply, lines without CRLF; ["EOF"] when the server closed. */
  async reply(): Promise<string[]> {
    const lines: string[] = [];
    for (;;) {
      const line = await this.line();
      if (line === null) return [...lines, "EOF"];
      lines.push(line);
      if (line[3] !== "-") return lines;
    }
  }

  async say(command: string): Promise<string[]> {
    this.send(`${command}\r\n`);
    return this.reply();
  }

  /** Everything until the server closes. */
  async rest(): Promise<string> {
    await this.#until(() => this.#ended);
    const text = this.#text;
    this.#text = "";
    return text;
  }

  /** Gives the stream away (to TLS): this talk hears no more. */
  release(): Duplex {
    for (const event of ["data", "end", "close"]) this.stream.removeAllListeners(event);
    return this.stream;
  }

  /** Everything that has arrived and was not taken. */
  get heard(): string {
    return this.#text;
  }

  /** Ends the client's side and waits for the server to be done. */
  async leave(): Promise<void> {
    this.stream.end();
    this.stream.resume();
    await this.over;
  }

  /** The next line without CRLF; null when the server closed. */
  async line(): Promise<string | null> {
    await this.#until(() => this.#ended || this.#text.includes("\r\n"));
    const end = this.#text.indexOf("\r\n");
    if (end < 0) return null;
    const line = this.#text.slice(0, end);
    this.#text = this.#text.slice(end + 2);
    return line;
  }

  async #until(done: () => boolean): Promise<void> {
    const limit = setTimeout(() => this.stream.destroy(new Error("waited too long")), WAIT_MS);
    while (!done())
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    clearTimeout(limit);
  }
}
