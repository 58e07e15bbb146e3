// Messages, attempts and needs for tests of the mailers: real clock and sockets, names and rules made of data.

import { found } from "../../../src/base/result.ts";
import type { MailerSpec } from "../../../src/config/configuration.ts";
import { defaultOptions, type Options } from "../../../src/config/options.ts";
import { shortestMs } from "../../../src/deliver/deadlines.ts";
import { HostMailer } from "../../../src/deliver/hostmailer.ts";
import { HostStatus } from "../../../src/deliver/hoststatus.ts";
import type { Candidate, SmtpNeeds } from "../../../src/deliver/needs.ts";
import { Pool } from "../../../src/deliver/pool.ts";
import type { Connections } from "../../../src/deliver/shared.ts";
import { Watch } from "../../../src/deliver/watch.ts";
import type { Envelope } from "../../../src/mail/envelope.ts";
import type { Attempt, Body, DeliveryRecipient } from "../../../src/spool/mailer.ts";
import { systemClock } from "../../../src/sys/clock.ts";
import { systemEntropy } from "../../../src/sys/entropy.ts";
import type { Log } from "../../../src/sys/log.ts";

export const ESMTP: MailerSpec = {
  name: "esmtp",
  kind: "smtp",
  flags: "mDFMuXa",
  path: "[IPC]",
  args: "TCP $h",
  lineMax: 990,
  sizeMax: 0,
  recipientsMax: 100,
  messagesMax: 0,
  waitSeconds: 0,
  charset: "",
};

export function envelope(more: Partial<Envelope> = {}): Envelope {
  return {
    sender: "sender@here.example",
    recipients: [],
    origin: {
      helo: "client.example",
      clientName: "client.example",
      clientAddress: "127.0.0.1",
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
  };
}

export function body(...texts: (string | Buffer)[]): Body {
  const pieces = texts.map((t) => (typeof t === "string" ? Buffer.from(t, "latin1") : t));
  return {
    size: pieces.reduce((n, p) => n + p.length, 0),
    pieces,
    async *chunks() {
      yield* pieces;
    },
    eightBit: pieces.some((p) => p.some((b) => b > 0x7f)),
    lineMax: 0,
  };
}

/** The same body, but only as chunks. */
export function streamed(made: Body): Body {
  return { ...made, pieces: null };
}

export interface AttemptParts {
  readonly to?: readonly (string | Partial<DeliveryRecipient>)[];
  readonly body?: Body;
  readonly header?: string;
  readonly envelope?: Partial<Envelope>;
  readonly host?: string;
  readonly mailer?: string;
  readonly signal?: AbortSignal;
}

export function attempt(parts: AttemptParts = {}): Attempt {
  const made = envelope(parts.envelope);
  return {
    message: {
      id: "6AM6hwEx029888",
      envelope: made,
      header: Buffer.from(parts.header ?? "Subject: test\r\n", "latin1"),
      body: parts.body ?? body("hello\r\n"),
      arrivedMs: Date.now(),
    },
    mailer: parts.mailer ?? "esmtp",
    host: parts.host ?? "peer.example",
    sender: made.sender,
    recipients: (parts.to ?? ["a@peer.example"]).map((r, index) => {
      const more = typeof r === "string" ? { user: r } : r;
      const user = more.user ?? "a@peer.example";
      return { index, user, address: user, via: "", unsafe: false, ...more };
    }),
    signal: parts.signal ?? new AbortController().signal,
    interactive: false,
  };
}

export function options(more: Partial<Options> = {}): Options {
  return { ...defaultOptions(), ...more };
}

export interface Rig {
  readonly needs: SmtpNeeds;
  readonly shared: Connections;
  readonly log: string[];
  mailer(spec?: Partial<MailerSpec>, lmtp?: boolean): HostMailer;
}

/** Names resolve to 127.0.0.1 unless `addresses` says otherwise. */
export function rig(candidates: readonly Candidate[], more: Partial<SmtpNeeds> = {}): Rig {
  const log: string[] = [];
  const sink: Log = { line: (_level, text) => log.push(text) };
  const needs: SmtpNeeds = {
    options: options(),
    clock: systemClock,
    entropy: systemEntropy,
    log: sink,
    hostName: "here.example",
    hosts: () => ({ kind: "hosts", candidates }),
    addresses: () => found(["127.0.0.1"]),
    header: (_mailer, header) => header,
    senderFor: (_mailer, sender) => sender,
    recipientFor: (_mailer, user) => user,
    tls: null,
    auth: null,
    localAddress: "",
    ...more,
  };
  const watch = new Watch(needs.clock, shortestMs(needs.options));
  const shared: Connections = {
    watch,
    pool: new Pool(
      watch,
      needs.options.ConnectionCacheSize,
      needs.options.ConnectionCacheTimeout,
      needs.options.SingleThreadDelivery,
    ),
    status: new HostStatus(
      needs.clock,
      needs.options["Timeout.hoststatus"],
      needs.options.HostStatusDirectory !== "",
    ),
  };
  return {
    needs,
    shared,
    log,
    mailer: (spec = {}, lmtp = false) => new HostMailer(needs, { ...ESMTP, ...spec }, shared, lmtp),
  };
}

export function host(port: number, name = "peer.example"): Candidate {
  return { name, shown: `${name}.`, port };
}
