// Opening a session with one next hop: connection, greeting, EHLO or HELO or LHLO, STARTTLS, AUTH, the TLS rules.
// Promises: STARTTLS is used whenever it is offered and wanted; a failed handshake defers and never falls back to plaintext
// (Sendmail: 403 4.7.0 TLS handshake failed); what was said before TLS is forgotten; credentials go only where AuthInfo says.

import { err, ok, type Result } from "../base/result.ts";
import type { Outcome } from "../mail/outcome.ts";
import type { Duplex, NetFailure } from "../sys/net.ts";
import type { DeadlineOptions } from "./deadlines.ts";
import { limitMs } from "./deadlines.ts";
import { logIn } from "./login.ts";
import type { Candidate, SmtpNeeds, TlsFacts, TlsRefusal } from "./needs.ts";
import { type PeerReply, replyClass, replyLine } from "./peerreply.ts";
import type { Watch } from "./watch.ts";
import { type Answer, isBroken, Wire } from "./wire.ts";
import { declined, lost, refused, type Scene, unreachable } from "./wording.ts";

/** How to begin: the words of the mailer's protocol. */
export interface Manner {
  readonly hello: "EHLO" | "LHLO";
  /** F=a: EHLO at once; without it only when the greeting says ESMTP. */
  readonly extended: boolean;
}

/** An open, usable session. */
export interface Session {
  readonly wire: Wire;
  readonly candidate: Candidate;
  /** "" for a Unix socket. */
  readonly address: string;
  /** `name [address]` */
  readonly relay: string;
  /** Upper-case keyword to parameters, as EHLO or LHLO listed them. */
  readonly extensions: ReadonlyMap<string, string>;
  readonly facts: TlsFacts;
  /** The envelope may go out in one write (RFC 2920): offered, and not found wanting before. */
  pipelining: boolean;
  readonly authenticated: boolean;
  /** Transactions completed so far. */
  messages: number;
  /** Of no use for another message, though it works. */
  spent: boolean;
  /** A transaction was left open: RSET before the next. */
  needsReset: boolean;
}

/** A session, or the outcome that the recipients have because of this host. */
export type Opened = Result<Session, Outcome>;

export const NO_TLS: TlsFacts = {
  version: "",
  cipher: "",
  bits: 0,
  verify: "NONE",
  certIssuer: "",
  certSubject: "",
  cnIssuer: "",
  cnSubject: "",
};

/** What is being opened, step by step. */
interface Opening {
  readonly needs: SmtpNeeds;
  readonly times: DeadlineOptions;
  readonly manner: Manner;
  readonly candidate: Candidate;
  readonly address: string;
  readonly relay: string;
  readonly wire: Wire;
  extensions: ReadonlyMap<string, string>;
  facts: TlsFacts;
}

export function sceneOf(candidate: Candidate, relay: string, command: string): Scene {
  return { remote: candidate.shown.replace(/\.$/, ""), shown: candidate.shown, relay, command };
}

/** Talks to a host that `connecting` reaches, up to the point where MAIL can be sent. */
export async function openSession(
  needs: SmtpNeeds,
  watch: Watch,
  manner: Manner,
  candidate: Candidate,
  address: string,
  connecting: Promise<Result<Duplex, NetFailure>>,
): Promise<Opened> {
  const relay = address === "" ? candidate.shown : `${candidate.shown} [${address}]`;
  const connected = await connecting;
  if (!connected.ok) return err(unreachable(sceneOf(candidate, relay, ""), connected.error.code));
  const wire = new Wire(connected.value, watch);
  const o: Opening = {
    needs,
    times: needs.options,
    manner,
    candidate,
    address,
    relay,
    wire,
    extensions: new Map(),
    facts: NO_TLS,
  };
  const failed = (await greet(o)) ?? (await secure(o)) ?? (await checkServer(o));
  const login = failed === null ? await logIn(needs, o) : { kind: "none" as const };
  const failure = failed ?? (login.kind === "failed" ? login.outcome : null);
  if (failure !== null) {
    farewell(wire);
    return err(failure);
  }
  return ok({
    wire,
    candidate,
    address,
    relay,
    extensions: o.extensions,
    facts: o.facts,
    pipelining: o.extensions.has("PIPELINING"),
    authenticated: login.kind === "authenticated",
    messages: 0,
    spent: false,
    needsReset: false,
  });
}

/** QUIT without waiting for the answer: it can change nothing. */
export function farewell(wire: Wire): void {
  if (wire.broken === null) wire.command("QUIT");
  wire.finish();
}

function at(o: Opening, command: string): Scene {
  return sceneOf(o.candidate, o.relay, command);
}

/** The greeting and the first hello. null: go on. */
async function greet(o: Opening): Promise<Outcome | null> {
  o.wire.expect(1);
  const greeting = await o.wire.read(limitMs(o.times["Timeout.initial"]));
  if (isBroken(greeting)) return lost(at(o, ""), greeting);
  if (replyClass(greeting) !== 2) return refused(at(o, ""), greeting, 69, "");
  const extended = o.manner.extended || /\besmtp\b/i.test(greeting.lines[0] ?? "");
  return o.manner.hello === "LHLO" || extended ? extendedHello(o) : plainHello(o);
}

async function extendedHello(o: Opening): Promise<Outcome | null> {
  const line = `${o.manner.hello} ${ourName(o)}`;
  const option = o.manner.hello === "LHLO" ? "Timeout.lhlo" : "Timeout.helo";
  o.wire.command(line);
  const answer = await o.wire.read(limitMs(o.times[option]));
  if (isBroken(answer)) return lost(at(o, line), answer);
  const kind = replyClass(answer);
  if (kind === 2) {
    o.extensions = extensionsOf(answer);
    return null;
  }
  // Only a host that does not know EHLO gets HELO; inside TLS that would lose what TLS was for.
  if (kind === 5 && o.manner.hello === "EHLO" && o.facts.version === "") return plainHello(o);
  return unwelcome(o, line, answer);
}

/** HeloName, or $j. */
function ourName(o: Opening): string {
  return o.needs.options.HeloName === "" ? o.needs.hostName : o.needs.options.HeloName;
}

async function plainHello(o: Opening): Promise<Outcome | null> {
  const line = `HELO ${ourName(o)}`;
  o.wire.command(line);
  const answer = await o.wire.read(limitMs(o.times["Timeout.helo"]));
  if (isBroken(answer)) return lost(at(o, line), answer);
  o.extensions = new Map();
  return replyClass(answer) === 2 ? null : unwelcome(o, line, answer);
}

/** No 2xx to a hello: what is neither yes nor no may be better at another time (Sendmail's smtpinit). */
function unwelcome(o: Opening, line: string, answer: PeerReply): Outcome {
  const scene = at(o, line);
  if (replyClass(answer) !== 3) return refused(scene, answer, 69, "");
  return lost(scene, { broken: "garbage", why: `${replyLine(answer)} is no answer to ${line}` });
}

function extensionsOf(reply: PeerReply): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const line of reply.lines.slice(1)) {
    // "AUTH=LOGIN" is how old servers wrote it.
    const split = /^([A-Za-z0-9-]+)(?:[ =](.*))?$/.exec(line.trim());
    if (split === null) continue;
    const keyword = (split[1] ?? "").toUpperCase();
    if (!found.has(keyword)) found.set(keyword, split[2] ?? "");
  }
  return found;
}

/** STARTTLS where it is offered and wanted, then EHLO again. */
async function secure(o: Opening): Promise<Outcome | null> {
  const { needs, candidate, address, wire } = o;
  const tls = needs.tls;
  // A Unix socket has no wire to protect.
  if (tls === null || address === "" || !o.extensions.has("STARTTLS")) return null;
  const wanted = await tls.wanted(candidate.name, address);
  if (wanted.kind === "tempfail")
    return declined(
      "deferred",
      451,
      "4.3.0",
      "Temporary system failure. Please try again later.",
      "",
      at(o, ""),
    );
  if (wanted.kind === "found" && !wanted.value) {
    o.facts = { ...NO_TLS, verify: "CLEAR" };
    return null;
  }
  wire.command("STARTTLS");
  const answer = await wire.read(limitMs(o.times["Timeout.starttls"]));
  if (isBroken(answer)) return lost(at(o, "STARTTLS"), answer);
  if (answer.code === 421) return refused(at(o, "STARTTLS"), answer, 69, "");
  if (answer.code !== 220) return unencrypted(o, answer);
  const bare = wire.detach();
  if (bare === null) return handshakeFailed(o, "plaintext data after STARTTLS");
  const upgraded = await tls.upgrade(bare, candidate.name, limitMs(o.times["Timeout.starttls"]));
  if (!upgraded.ok) {
    bare.destroy();
    return handshakeFailed(o, upgraded.error);
  }
  wire.attach(upgraded.value.socket);
  o.facts = upgraded.value.facts;
  o.extensions = new Map();
  const { version, verify, cipher, bits } = o.facts;
  needs.log.line(
    9,
    `STARTTLS=client, relay=${o.relay}, version=${version}, verify=${verify}, cipher=${cipher}, bits=${bits}/${bits}`,
  );
  return extendedHello(o);
}

/** The host offered STARTTLS and then refused it: as Sendmail we go on in the open unless a rule says no, but never silently. */
function unencrypted(o: Opening, answer: PeerReply): Outcome | null {
  const verify = replyClass(answer) === 4 ? "TEMP" : replyClass(answer) === 5 ? "NONE" : "PROTOCOL";
  o.facts = { ...NO_TLS, verify };
  o.needs.log.line(
    5,
    `STARTTLS=client, relay=${o.relay}, verify=${verify}, refused by the server: ${replyLine(answer)}`,
  );
  return null;
}

function handshakeFailed(o: Opening, why: string): Outcome {
  o.needs.log.line(5, `STARTTLS=client, error: connect failed=-1, relay=${o.relay}, reason=${why}`);
  return declined("deferred", 403, "4.7.0", "TLS handshake failed.", "", at(o, "STARTTLS"));
}

/** TLS_Srv: what this host must show. */
async function checkServer(o: Opening): Promise<Outcome | null> {
  const refusal = await o.needs.tls?.checkServer(o.candidate.name, o.address, o.facts);
  if (refusal === undefined || refusal === null) return null;
  return tlsRefused(refusal, "", at(o, ""));
}

/** The outcome of a TLS rule's refusal. */
export function tlsRefused(refusal: TlsRefusal, address: string, scene: Scene): Outcome {
  const kind = refusal.code < 500 ? "deferred" : "failed";
  return declined(kind, refusal.code, refusal.status, refusal.text, address, scene);
}

/** The answer to `line`, for the steps that need no more than that. */
export function ask(wire: Wire, line: string, timeoutMs: number): Answer | Promise<Answer> {
  wire.command(line);
  return wire.read(timeoutMs);
}
