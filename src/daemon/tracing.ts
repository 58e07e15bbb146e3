// postern trace: a decision explained without sending. The questions of a session and of the queue are asked in their order, over a
// site that tells what its tables answered, and the mailers deliver to a recording transport: the same code, nothing of its own.

import { ABSENT, err, ok } from "../base/result.ts";
import type { MailerSpec } from "../config/configuration.ts";
import type { Candidate, Dial, MailerNeeds } from "../deliver/needs.ts";
import { SILENT_ALARM } from "../deliver/refusals.ts";
import { makeMailers } from "../deliver/registry.ts";
import { NO_TLS } from "../deliver/session.ts";
import type { Envelope } from "../mail/envelope.ts";
import { formatReply } from "../mail/reply.ts";
import { makePolicy, makeRates } from "../policy/gate.ts";
import type { Client, Verdict } from "../policy/policy.ts";
import { checkTlsServer, wantsTls } from "../policy/tlsrules.ts";
import type { Site } from "../route/site.ts";
import { identifyPeer, plainAddress } from "../smtpd/peer.ts";
import type { Attempt, StoredMessage } from "../spool/mailer.ts";
import type { RoutedDelivery } from "../spool/router.ts";
import type { Clock } from "../sys/clock.ts";
import type { Entropy } from "../sys/entropy.ts";
import { silentLog } from "../sys/log.ts";
import { makeMailerNeeds } from "./mailerneeds.ts";
import { type Recorded, recordedConnection } from "./recorder.ts";
import { makeRouter, makeRoutes } from "./router.ts";
import { type Finding, tracedSite } from "./tracedsite.ts";

export interface TraceQuestion {
  /** IPv4 or IPv6 text; "" is a local process. */
  readonly client: string;
  /** Without brackets; "" is the null sender. */
  readonly sender: string;
  readonly recipient: string;
  /** Argument of EHLO; "" takes the client's name. */
  readonly helo: string;
}

/** One question that was asked, what was found on the way, and its answer. */
export interface TraceStage {
  /** "client", "check_relay", "check_mail", "check_rcpt", "recipient", "route". */
  readonly stage: string;
  readonly findings: readonly Finding[];
  /** One line: "ok", a reply, "discard", "quarantine: reason". */
  readonly answer: string;
}

/** What would be sent to one host. */
export interface TraceHop extends Recorded {
  /** "when offered", "never (Try_TLS)", or "required: REPLY" when a TLS_Srv rule refuses plain text. */
  readonly tls: string;
  /** "no credentials", or "as USER by MECHANISMS, when offered". */
  readonly auth: string;
}

export interface TraceDelivery {
  readonly mailer: string;
  readonly host: string;
  readonly user: string;
  readonly address: string;
  readonly via: string;
  /** Envelope sender of this delivery before rewriting. */
  readonly sender: string;
  readonly findings: readonly Finding[];
  readonly hops: readonly TraceHop[];
  /** What a mailer that is no SMTP client would do; "" for SMTP and LMTP. */
  readonly action: string;
  /** From_ line's address and the header's fields as that mailer writes them; "" for SMTP and LMTP (see the hops). */
  readonly written: string;
  /** The outcome that the recipient would have if the next hop took everything. */
  readonly outcome: string;
}

export interface TraceReport {
  readonly question: TraceQuestion;
  readonly clientName: string;
  readonly stages: readonly TraceStage[];
  /** Would the recipient be accepted in a session? */
  readonly accepted: boolean;
  /** A refusal that may be another one later. */
  readonly temporary: boolean;
  readonly deliveries: readonly TraceDelivery[];
  /** Recipients that would bounce or wait, one line each. */
  readonly errors: readonly string[];
}

export interface TraceMeans {
  readonly site: Site;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly jail: string;
  readonly smrshDirectories: readonly string[];
}

/** Collects what happens between two answers. */
class Findings {
  #list: Finding[] = [];

  note = (finding: Finding): void => {
    const last = this.#list.at(-1);
    // Checks and routing ask the same table again: once is enough to read.
    const again = (f: Finding): boolean =>
      f.rule === finding.rule &&
      f.key === finding.key &&
      f.value === finding.value &&
      f.text === finding.text;
    if (last === undefined || !this.#list.some(again)) this.#list.push(finding);
  };

  take(): readonly Finding[] {
    const list = this.#list;
    this.#list = [];
    return list;
  }
}

function verdictText(verdict: Verdict): string {
  if (verdict.kind === "reject") return formatReply(verdict.reply).trimEnd().replaceAll("\r\n", " / ");
  return verdict.kind === "quarantine" ? `quarantine: ${verdict.reason}` : verdict.kind;
}

async function clientOf(site: Site, question: TraceQuestion): Promise<Client> {
  const address = plainAddress(question.client.replace(/^\[(?:IPv6:)?(.*)\]$/i, "$1").replace(/^IPv6:/i, ""));
  const peer =
    address === ""
      ? { name: "localhost", resolve: "ok" as const }
      : await identifyPeer(site.resolver, address);
  const daemon = site.config.daemons[0];
  return {
    address,
    name: peer.name,
    resolve: peer.resolve,
    helo: question.helo === "" ? peer.name : question.helo,
    daemon: daemon?.name ?? "MTA",
    modifiers: daemon?.modifiers ?? "",
    localAddress: "",
    localPort: daemon?.port ?? 25,
  };
}

/** The whole trace. Never throws for what tables or the DNS do. */
export async function traceDecision(means: TraceMeans, question: TraceQuestion): Promise<TraceReport> {
  const findings = new Findings();
  const site = tracedSite(means.site, findings.note);
  const stages: TraceStage[] = [];
  const done = (stage: string, answer: string): void => {
    stages.push({ stage, findings: findings.take(), answer });
  };
  const client = await clientOf(site, question);
  done("client", `${client.name} [${client.address}] ${client.resolve}`);
  const { accepted, temporary, dropped } = await session(means, site, client, question, done);
  const routed = await makeRouter(
    () => site,
    ({ rule, table, key, value, text }) => {
      // Tables tell for themselves; what is left are the rules without one.
      if (table === undefined)
        findings.note({ rule, key: key ?? "", value: value ?? "", place: "", text: text ?? "" });
    },
  ).expand({ address: question.recipient }, question.sender);
  const count = routed.deliveries.length;
  done("route", `${count} ${count === 1 ? "delivery" : "deliveries"}${dropped ? ", dropped: DISCARD" : ""}`);
  const deliveries: TraceDelivery[] = [];
  if (!dropped)
    for (const delivery of routed.deliveries)
      deliveries.push(await traceDelivery(means, site, findings, client, delivery));
  return {
    question,
    clientName: client.name,
    stages,
    accepted,
    temporary,
    deliveries,
    errors: routed.errors.map((e) => `${e.permanent ? "" : "(waits) "}${e.diagnostic}`),
  };
}

/** What smtpd/ asks, in its order; the first refusal ends it. */
async function session(
  means: TraceMeans,
  site: Site,
  client: Client,
  question: TraceQuestion,
  done: (stage: string, answer: string) => void,
): Promise<{ readonly accepted: boolean; readonly temporary: boolean; readonly dropped: boolean }> {
  const { sender, recipient } = question;
  const policy = makePolicy(site, makeRates(site, means.clock));
  let dropped = false;
  const questions: readonly (readonly [string, () => Promise<Verdict>])[] = [
    ["check_relay", () => policy.connect(client)],
    ["check_mail", () => policy.mail(client, sender, `<${sender}>`)],
    ["check_rcpt", () => policy.rcpt(client, sender, recipient, `<${recipient}>`)],
  ];
  for (const [stage, ask] of questions) {
    const verdict = await ask();
    done(stage, verdictText(verdict));
    if (verdict.kind === "discard") dropped = true;
    if (verdict.kind === "reject") return { accepted: false, temporary: verdict.reply.code < 500, dropped };
  }
  if (dropped) return { accepted: true, temporary: false, dropped };
  const route = await makeRoutes(() => site).check(recipient, `<${recipient}>`);
  if (route.kind === "refused") {
    done("recipient", formatReply(route.reply).trimEnd());
    return { accepted: false, temporary: route.reply.code < 500, dropped };
  }
  done("recipient", route.willQueue ? "ok (will queue)" : "ok");
  return { accepted: true, temporary: false, dropped };
}

async function traceDelivery(
  means: TraceMeans,
  site: Site,
  findings: Findings,
  client: Client,
  delivery: RoutedDelivery,
): Promise<TraceDelivery> {
  const hops: TraceHop[] = [];
  const actions: string[] = [];
  const needs = recordingNeeds(means, site, hops, actions);
  const spec = site.mailers.get(delivery.mailer);
  const networked = spec?.kind === "smtp" || spec?.kind === "lmtp" || spec?.kind === "prog";
  const attempt = attemptOf(means, client, delivery);
  if (spec === undefined || !networked || (spec.kind === "lmtp" && !spec.path.startsWith("["))) {
    const action = described(needs, spec?.kind ?? "", delivery);
    const written = spec === undefined ? "" : await writtenBy(needs, spec, attempt);
    return { ...delivery, findings: findings.take(), hops, action, written, outcome: "2.0.0 Sent" };
  }
  const mailer = makeMailers(site.config.mailers, needs).byName.get(delivery.mailer);
  if (mailer === undefined)
    return {
      ...delivery,
      findings: findings.take(),
      hops,
      action: "not in this build",
      written: "",
      outcome: "",
    };
  const [outcome] = await mailer.deliver(attempt);
  await mailer.close();
  return {
    ...delivery,
    findings: findings.take(),
    hops,
    action: actions.join("; "),
    written: "",
    outcome: outcome === undefined ? "" : `${outcome.status} ${outcome.text}`.trim(),
  };
}

/** Sender and header as a mailer that appends to files writes them. */
async function writtenBy(needs: MailerNeeds, spec: MailerSpec, attempt: Attempt): Promise<string> {
  const sender = await needs.senderFor(spec, attempt.sender);
  const header = await needs.header(spec, attempt.message.header, attempt.message.envelope);
  return `From ${sender === "" ? "MAILER-DAEMON" : sender}\r\n${header.toString("latin1")}`;
}

/** What mailers do that write files: they are not run, a trace leaves nothing behind. */
function described(needs: MailerNeeds, kind: string, delivery: RoutedDelivery): string {
  if (kind === "file") return `append to ${delivery.user}`;
  if (kind === "discard") return "dropped";
  if (kind === "error") return "refused";
  if (kind === "procmail" && delivery.mailer !== "local")
    return `run ${delivery.mailer} with ${delivery.host} for ${delivery.user}`;
  return `deliver into ${needs.mailbox(delivery.user.replaceAll("\\", ""))}`;
}

function attemptOf(means: TraceMeans, client: Client, delivery: RoutedDelivery): Attempt {
  const envelope: Envelope = {
    sender: delivery.sender,
    recipients: [{ address: delivery.address }],
    origin: {
      helo: client.helo,
      clientName: client.name,
      clientAddress: client.address,
      clientResolve: client.resolve,
      protocol: "ESMTP",
      daemon: client.daemon,
    },
    smtpUtf8: false,
    requireTls: false,
    hops: 0,
    precedence: 0,
    urgency: "normal",
  };
  const body = Buffer.from("trace\r\n");
  const message: StoredMessage = {
    id: "TRACE000000000",
    envelope,
    header: Buffer.from(`From: <${delivery.sender}>\r\nTo: <${delivery.address}>\r\n`, "latin1"),
    body: {
      size: body.length,
      pieces: [body],
      eightBit: false,
      lineMax: 0,
      async *chunks() {
        yield body;
      },
    },
    arrivedMs: means.clock.wallMs(),
  };
  return {
    message,
    mailer: delivery.mailer,
    host: delivery.host,
    sender: delivery.sender,
    recipients: [
      {
        index: 0,
        user: delivery.user,
        address: delivery.address,
        via: delivery.via,
        unsafe: delivery.unsafe,
      },
    ],
    signal: new AbortController().signal,
    interactive: false,
  };
}

/** The daemon's own needs with another transport, and with TLS and AUTH that are asked but not used. */
function recordingNeeds(means: TraceMeans, site: Site, hops: TraceHop[], actions: string[]): MailerNeeds {
  const base = makeMailerNeeds({
    site: () => site,
    clock: means.clock,
    entropy: means.entropy,
    log: silentLog,
    tls: null,
    alarm: SILENT_ALARM,
    jail: means.jail,
    smrshDirectories: means.smrshDirectories,
  });
  const dial: Dial = async (candidate, address, port) => {
    const recorded: Recorded = { host: candidate.shown, address, port, commands: [], data: "" };
    const tls = tlsChoice(site, candidate, address);
    const info = (await base.auth?.info(candidate.name, address)) ?? ABSENT;
    const login =
      info.kind === "absent"
        ? "no credentials"
        : info.kind === "tempfail"
          ? `waits: ${info.reason}`
          : `as ${info.value.authenticationId} by ${(info.value.mechanisms.length > 0 ? info.value.mechanisms : base.options.AuthMechanisms).join(" ")}, when offered`;
    // The recorder fills the same object while the mailer talks to it.
    hops.push(Object.assign(recorded, { tls, auth: login }));
    return ok(recordedConnection(recorded));
  };
  return {
    ...base,
    dial,
    auth: null,
    tls: {
      wanted: (name, address) => wantsTls(site, name, address),
      upgrade: async () => err("the recorder has no TLS"),
      // The rules were asked in dial(); a plain recorder must not stop the trace.
      checkServer: () => null,
      checkRecipient: () => null,
      recipientRules: false,
    },
    run: async (program) => {
      actions.push(`run ${[program.file, ...program.args].join(" ")}`);
      return { kind: "exited", status: 0, output: Buffer.alloc(0) };
    },
  };
}

function tlsChoice(site: Site, candidate: Candidate, address: string): string {
  if (address === "") return "never (Unix socket)";
  const wanted = wantsTls(site, candidate.name, address);
  if (wanted.kind === "tempfail") return `waits: ${wanted.reason}`;
  const used = wanted.kind === "found" && wanted.value;
  const plain = checkTlsServer(site, candidate.name, address, {
    ...NO_TLS,
    verify: used ? "NONE" : "CLEAR",
  });
  if (plain.kind === "refuse") return `required: without it ${formatReply(plain.reply).trimEnd()}`;
  return used ? "when offered" : "never (Try_TLS)";
}
