// Who is told what: failures, delays and successes go to the sender as new messages with the null sender; the null sender never
// gets one, the postmaster gets what cannot be told (double bounce), and a double bounce that fails is dropped: never a third.
// A notice is durable before the failure that it tells of is forgotten.

import { err, type Lookup, type Result } from "../base/result.ts";
import { makeNotice, type NoticeFacts, type NoticeRecipient } from "../mail/dsn.ts";
import type { Envelope } from "../mail/envelope.ts";
import { postmasterLetter } from "../mail/letter.ts";
import { type Outcome, outcome } from "../mail/outcome.ts";
import { peerText } from "../mail/peer.ts";
import type { Clock } from "../sys/clock.ts";
import type { Log } from "../sys/log.ts";
import type { Content, Delivery, Entry } from "./entry.ts";
import { UNROUTED } from "./expand.ts";
import type { Body } from "./mailer.ts";
import { inMemory, Originals } from "./original.ts";
import { ageFor, type Settings } from "./settings.ts";
import type { Store } from "./store.ts";
import { interval } from "./wording.ts";

/** What became of one delivery in a round. */
export interface Report {
  readonly delivery: Delivery;
  readonly outcome: Outcome;
  /** Set when the delivery was given up for its age: the age in milliseconds. */
  readonly expiredMs?: number;
}

export interface NoticeNames {
  /** $j */
  readonly hostName: string;
  /** $v, as in Received. */
  readonly version: string;
  /** From of notices, e.g. "MAILER-DAEMON@gw.example". */
  readonly mailerDaemon: string;
  /** The original's sender and header as notices show them (addresses canonical, lists laid out); undefined: as they came. */
  readonly returned?: (
    sender: string,
    header: Buffer,
  ) => Promise<{ readonly sender: string; readonly header: Buffer }>;
}

/** Sender that a double bounce has, so that its own failure is recognised (Sendmail's MAILER-DAEMON). */
export interface NoticesDeps {
  readonly store: Store;
  readonly settings: Settings;
  readonly names: NoticeNames;
  readonly clock: Clock;
  readonly log: Log;
  /** A notice was accepted: try it. */
  readonly onAccepted: (entry: Entry) => void;
}

type Kind = NoticeFacts["kind"];

function wants(delivery: Delivery, word: "SUCCESS" | "FAILURE" | "DELAY"): boolean {
  // RFC 3461 4.1: without NOTIFY failures and delays are reported.
  return delivery.notify === undefined ? word !== "SUCCESS" : delivery.notify.includes(word);
}

/** As the client named them, whichever was first to fail. */
function inOrder(reports: readonly Report[]): readonly Report[] {
  return [...reports].sort((a, b) => a.delivery.index - b.delivery.index);
}

function toRecipient(report: Report, action: NoticeRecipient["action"]): NoticeRecipient {
  const { delivery, outcome: o } = report;
  return {
    address: delivery.address,
    actual: delivery.user,
    via: delivery.via,
    ...(delivery.orcpt === undefined ? {} : { orcpt: delivery.orcpt }),
    action,
    status: action === "delayed" ? o.status.replace(/^[25]/, "4") : o.status,
    diagnostic: o.diagnostic,
    // What our own tables and aliases say is of the local mailer, as in Sendmail; a reply of a table of ours (error:) is SMTP's.
    diagnosticType:
      o.remote !== "" || (delivery.mailer !== UNROUTED && /^[2-5]\d\d\b/.test(o.diagnostic))
        ? "SMTP"
        : "X-Unix",
    remote: o.remote,
    transcript: o.transcript.length > 0 ? o.transcript : [`<${delivery.address}>... ${o.text}`],
  };
}

export class Notices {
  readonly #deps: NoticesDeps;
  readonly #originals: Originals;

  constructor(deps: NoticesDeps) {
    this.#deps = deps;
    this.#originals = new Originals(deps.store);
  }

  /** Tells of failures and successes; true when everything that must be told is durable. */
  async tell(
    entry: Entry,
    reports: readonly Report[],
    load: () => Promise<Lookup<Content>>,
  ): Promise<boolean> {
    const failed = reports.filter((r) => r.outcome.kind === "failed" && wants(r.delivery, "FAILURE"));
    const done = reports.filter(
      (r) =>
        (r.outcome.kind === "delivered" || r.outcome.kind === "expanded") &&
        r.delivery.notify?.includes("SUCCESS") === true,
    );
    let told = true;
    if (done.length > 0 && !this.#deps.settings.noReceipts && entry.sender !== "") {
      const recipients = inOrder(done).map((r) => toRecipient(r, actionOf(r)));
      told = await this.#send("success", entry, recipients, entry.sender, 0, load);
    }
    // An owner- alias makes its own sender; each sender is told of its own deliveries.
    const bySender = new Map<string, Report[]>();
    for (const report of failed) {
      const sender = report.delivery.mailer === "" ? entry.sender : report.delivery.sender;
      const list = bySender.get(sender);
      if (list === undefined) bySender.set(sender, [report]);
      else list.push(report);
    }
    for (const [sender, list] of bySender) told = (await this.#bounce(entry, sender, list, load)) && told;
    return told;
  }

  async #bounce(
    entry: Entry,
    sender: string,
    reports: readonly Report[],
    load: () => Promise<Lookup<Content>>,
  ): Promise<boolean> {
    const { settings, log } = this.#deps;
    const recipients = inOrder(reports).map((r) => toRecipient(r, "failed"));
    const lateMs = reports.reduce((most, r) => Math.max(most, r.expiredMs ?? 0), 0);
    if (sender === DOUBLE_BOUNCE_SENDER || entry.sender === DOUBLE_BOUNCE_SENDER) {
      log.line(1, `${entry.id}: double bounce dropped: ${recipients[0]?.transcript.at(-1) ?? ""}`);
      return true;
    }
    if (sender === "") {
      if (settings.doubleBounce === "") {
        log.line(1, `${entry.id}: bounce dropped: DoubleBounceAddress is empty`);
        return true;
      }
      return this.#send("postmaster", entry, recipients, settings.doubleBounce, lateMs, load);
    }
    const told = await this.#send("failed", entry, recipients, sender, lateMs, load);
    // A copy is a courtesy: its failure does not hold the message.
    if (told && settings.postmasterCopy !== "")
      await this.#send("postmaster", entry, recipients, settings.postmasterCopy, lateMs, load);
    return told;
  }

  /** The warning that a message is late, once; true when that is settled (sent, or not wanted). */
  async warn(
    entry: Entry,
    waiting: readonly Delivery[],
    warnAgeMs: number,
    load: () => Promise<Lookup<Content>>,
  ): Promise<boolean> {
    if (entry.sender === "" || entry.sender === DOUBLE_BOUNCE_SENDER || entry.precedence < 0) return true;
    // As Sendmail: those who run lists are not warned.
    if (/^owner-|-request$/i.test(entry.sender)) return true;
    const late = waiting.filter((d) => wants(d, "DELAY"));
    if (late.length === 0) return true;
    const recipients = late.map((delivery) =>
      toRecipient(
        { delivery, outcome: lastAnswer(delivery, "deferred", delivery.status || "4.4.7") },
        "delayed",
      ),
    );
    const { log } = this.#deps;
    log.line(
      3,
      `${entry.id}: sender notify: Warning: could not send message for past ${interval(warnAgeMs)}`,
    );
    return this.#send("delayed", entry, recipients, entry.sender, warnAgeMs, load);
  }

  async #send(
    kind: Kind,
    entry: Entry,
    recipients: readonly NoticeRecipient[],
    to: string,
    lateMs: number,
    load: () => Promise<Lookup<Content>>,
  ): Promise<boolean> {
    const { store, settings, names, clock, log } = this.#deps;
    const content = await load();
    if (content.kind === "tempfail") return false;
    const original = content.kind === "found" ? content.value : null;
    const returnMs = ageFor(settings.returnMs, entry.urgency);
    const now = clock.wallMs();
    const header = original?.header ?? Buffer.alloc(0);
    const returned = (await names.returned?.(entry.sender, header)) ?? { sender: entry.sender, header };
    const facts = {
      kind,
      to,
      from: names.mailerDaemon,
      hostName: names.hostName,
      version: names.version,
      nowMs: now,
      arrivedMs: entry.arrivedWallMs,
      receivedFrom: original === null ? "localhost" : clientOf(original.envelope),
      receivedFromMta: original === null ? "" : mtaOf(original.envelope),
      envid: original?.envelope.envid ?? "",
      recipients,
      hideActualRecipient: settings.noActualRecipient ?? false,
      lateMs,
      returnMs,
      retryUntilMs: now + Math.max(0, returnMs - (store.time.now() - entry.arrivedSpoolMs)),
      originalSender: returned.sender,
      originalHeader: returned.header,
    };
    const envelope = noticeEnvelope(kind, to, original);
    const whole = original !== null && this.#returnsBody(kind, original, recipients) ? original.body : null;
    let accepted = await this.#accept(facts, envelope, whole);
    if (!accepted.ok && whole !== null) accepted = await this.#accept(facts, envelope, null);
    if (!accepted.ok) {
      log.line(1, `${entry.id}: a notice cannot be stored: ${accepted.error}; tried again later`);
      return false;
    }
    const notice = accepted.value;
    log.line(4, `${entry.id}: ${notice.id}: ${KIND_WORDS[kind]}: ${logText(recipients)}`);
    this.#deps.onAccepted(notice);
    return true;
  }

  /** A letter to the postmaster about the gateway itself; true when it is durable, or nobody is to have it. */
  async announce(subject: string, lines: readonly string[]): Promise<boolean> {
    const { store, settings, names, clock, log } = this.#deps;
    const to = settings.doubleBounce;
    if (to === "") return true;
    const id = store.newId();
    const { hostName, version, mailerDaemon: from } = names;
    const letter = postmasterLetter(
      { id, to, from, hostName, version, nowMs: clock.wallMs() },
      subject,
      lines,
    );
    const envelope = noticeEnvelope("postmaster", to, null);
    const { header } = letter;
    const accepted = await store.accept({
      id,
      envelope,
      header,
      body: inMemory([letter.body]),
      form: { eightBit: false, lineMax: 0 },
    });
    if (!accepted.ok) {
      log.line(1, `a notice to ${to} cannot be stored: ${accepted.error.code}: ${subject}`);
      return false;
    }
    log.line(4, `${id}: postmaster notify: ${subject}`);
    this.#deps.onAccepted(accepted.value);
    return true;
  }

  /** Puts the notice into the queue, with the original's body when there is one; the error says why it cannot be stored so. */
  async #accept(
    facts: Omit<NoticeFacts, "id" | "whole" | "eightBit">,
    envelope: Envelope,
    original: Body | null,
  ): Promise<Result<Entry>> {
    const id = this.#deps.store.newId();
    const eightBit = original?.eightBit === true;
    const notice = makeNotice({ ...facts, id, whole: original !== null, eightBit });
    const body =
      original === null
        ? inMemory([notice.before, notice.after])
        : await this.#originals.around(notice, original);
    if (body === null) return err("no room for the original");
    const { header } = notice;
    const accepted = await this.#deps.store.accept({
      id,
      envelope,
      header,
      body,
      form: { eightBit, lineMax: 0 },
    });
    return accepted.ok ? accepted : err(accepted.error.code);
  }

  /** Whether the original's body is wanted, or its header is enough. */
  #returnsBody(kind: Kind, original: Content, recipients: readonly NoticeRecipient[]): boolean {
    const { settings } = this.#deps;
    // A body that cannot be converted for a next hop would take its own notice with it, and then the notice of that.
    if (recipients.some((r) => r.status === UNCONVERTIBLE)) return false;
    if (kind === "success" || kind === "delayed") return false;
    if (settings.noBodyReturn || original.envelope.ret === "HDRS") return false;
    // Lists, bulk and junk mail come back without their body.
    if (original.envelope.precedence < 0) return false;
    return settings.returnBytesMax === 0 || original.body.size <= settings.returnBytesMax;
  }
}

/** Sender of notices to the postmaster; Sendmail's is the unqualified MAILER-DAEMON too. */
export const DOUBLE_BOUNCE_SENDER = "MAILER-DAEMON";

/** RFC 3463 X.6.3: conversion required but not supported. */
const UNCONVERTIBLE = "5.6.3";

const KIND_WORDS = {
  failed: "DSN",
  delayed: "DSN",
  success: "DSN",
  postmaster: "postmaster notify",
} as const;

function logText(recipients: readonly NoticeRecipient[]): string {
  const [first] = recipients;
  if (first === undefined) return "";
  if (first.action === "delivered" || first.action === "relayed" || first.action === "expanded")
    return "Return receipt";
  if (first.action === "delayed") return "Warning: could not send message";
  const last = first.transcript.at(-1) ?? "";
  const at = last.indexOf("... ");
  return at < 0 ? last : last.slice(at + 4);
}

function actionOf(report: Report): NoticeRecipient["action"] {
  if (report.outcome.kind === "expanded") return "expanded";
  return report.outcome.remote === "" ? "delivered" : "relayed";
}

/** A reply of the next hop in the words of a deferral: behind "Deferred: ", or behind what was made of it. */
const ANSWER = /: ([45]\d\d(?: .*)?)$/;

/**
 * The last answer about a delivery that still waits, as a warning or the notice of its end tells it. Queues keep the words and, since the
 * last start, who said them.
 */
export function lastAnswer(delivery: Delivery, kind: "deferred" | "failed", status: string): Outcome {
  const { text, address } = delivery;
  const diagnostic = ANSWER.exec(text)?.[1] ?? "";
  const remote = delivery.remote ?? "";
  const said =
    remote === "" || diagnostic === "" ? [] : [`... while talking to ${remote}:`, `<<< ${diagnostic}`];
  return outcome(kind, status, text, {
    diagnostic,
    remote,
    transcript: [...said, `<${address}>... ${text}`],
  });
}

function clientOf({ origin }: Envelope): string {
  const { clientName: name, clientAddress: address, clientResolve: resolve } = origin;
  return address === "" ? "localhost" : peerText({ name, address, resolve });
}

function mtaOf(envelope: Envelope): string {
  return envelope.origin.clientAddress === "" ? "" : envelope.origin.clientName;
}

function noticeEnvelope(kind: Kind, to: string, original: Content | null): Envelope {
  return {
    sender: kind === "postmaster" ? DOUBLE_BOUNCE_SENDER : "",
    // A notice must not make a notice of its own delivery.
    recipients: [{ address: to }],
    origin: {
      helo: "localhost",
      clientName: "localhost",
      clientAddress: "",
      clientResolve: "ok",
      protocol: "",
      daemon: "",
    },
    ...(original?.body.eightBit === true ? { body: "8BITMIME" as const } : {}),
    smtpUtf8: original?.envelope.smtpUtf8 ?? false,
    requireTls: false,
    hops: 0,
    precedence: 0,
    urgency: "dsn",
  };
}
