// The payloads of the log's records: envelopes and delivery states as short JSON, the rest as bytes. Decoding believes nothing:
// what does not fit is a reason for quarantine, never an exception.

import { err, ok, type Result } from "../base/result.ts";
import type { Envelope, NotifyWord, Origin, Recipient } from "../mail/envelope.ts";
import type { Delivery, DeliveryState, Placement } from "./entry.ts";
import { ID_BYTES, isQueueId } from "./identity.ts";

/** Bytes of the fixed part of an accept record. */
export const ACCEPT_FIXED_BYTES = 64;
const IN_FILE = 1;
const EIGHT_BIT = 2;
const TRUSTED = 4;
const COPY = 8;

export interface AcceptFacts {
  readonly id: string;
  readonly arrivedSpoolMs: number;
  readonly arrivedWallMs: number;
  readonly trusted: boolean;
  /** A copy that moves the message; what is known of its progress stays. */
  readonly copy: boolean;
  readonly place: Omit<Placement, "location">;
}

export function encodeAccept(facts: AcceptFacts): Buffer {
  const { place } = facts;
  const fixed = Buffer.alloc(ACCEPT_FIXED_BYTES);
  fixed.write(facts.id, 0, ID_BYTES, "latin1");
  fixed[14] =
    (place.inFile ? IN_FILE : 0) |
    (place.eightBit ? EIGHT_BIT : 0) |
    (facts.trusted ? TRUSTED : 0) |
    (facts.copy ? COPY : 0);
  fixed.writeDoubleLE(facts.arrivedSpoolMs, 16);
  fixed.writeDoubleLE(facts.arrivedWallMs, 24);
  fixed.writeUInt32LE(place.envelopeBytes, 32);
  fixed.writeUInt32LE(place.headerBytes, 36);
  fixed.writeDoubleLE(place.bodyBytes, 40);
  fixed.writeUInt32LE(place.bodySum, 48);
  fixed.writeUInt32LE(place.restSum, 52);
  fixed.writeUInt32LE(place.slot, 56);
  // Zero in records of earlier versions: nobody has proved it.
  fixed.writeUInt32LE(place.lineMax, 60);
  return fixed;
}

/** The id that a payload begins with, or null. */
export function idOf(payload: Buffer): string | null {
  if (payload.length < ID_BYTES) return null;
  const id = payload.toString("latin1", 0, ID_BYTES);
  return isQueueId(id) ? id : null;
}

export function decodeAccept(payload: Buffer): Result<AcceptFacts> {
  const id = idOf(payload);
  if (id === null || payload.length < ACCEPT_FIXED_BYTES) return err("an accept record without an id");
  const flags = payload.readUInt8(14);
  const inFile = (flags & IN_FILE) !== 0;
  const place = {
    envelopeBytes: payload.readUInt32LE(32),
    headerBytes: payload.readUInt32LE(36),
    bodyBytes: payload.readDoubleLE(40),
    bodySum: payload.readUInt32LE(48),
    restSum: payload.readUInt32LE(52),
    inFile,
    slot: payload.readUInt32LE(56),
    eightBit: (flags & EIGHT_BIT) !== 0,
    lineMax: payload.readUInt32LE(60),
  };
  const inline = inFile ? 0 : place.envelopeBytes + place.headerBytes + place.bodyBytes;
  if (!Number.isSafeInteger(place.bodyBytes) || place.bodyBytes < 0)
    return err("an accept record with no sane size");
  if (payload.length !== ACCEPT_FIXED_BYTES + inline)
    return err("an accept record whose parts do not add up to its length");
  return ok({
    id,
    arrivedSpoolMs: payload.readDoubleLE(16),
    arrivedWallMs: payload.readDoubleLE(24),
    trusted: (flags & TRUSTED) !== 0,
    copy: (flags & COPY) !== 0,
    place,
  });
}

/** JSON without the members that have their usual value. */
export function encodeEnvelope(envelope: Envelope): Buffer {
  const { origin: o } = envelope;
  return Buffer.from(
    JSON.stringify({
      s: envelope.sender,
      r: envelope.recipients.map((r) =>
        r.notify === undefined && r.orcpt === undefined ? r.address : [r.address, r.notify ?? null, r.orcpt],
      ),
      o: [o.helo, o.clientName, o.clientAddress, o.clientResolve, o.protocol, o.daemon],
      a: o.auth === undefined ? undefined : [o.auth.identity, o.auth.mechanism],
      t: o.tls === undefined ? undefined : [o.tls.version, o.tls.cipher, o.tls.bits, o.tls.verify],
      l: o.localUser,
      b: envelope.body,
      u: envelope.smtpUtf8 || undefined,
      q: envelope.requireTls || undefined,
      e: envelope.ret,
      i: envelope.envid,
      p: envelope.authSender,
      d:
        envelope.deliverBy === undefined
          ? undefined
          : [envelope.deliverBy.seconds, envelope.deliverBy.mode, envelope.deliverBy.trace],
      z: envelope.quarantine,
      h: envelope.hops,
      c: envelope.precedence || undefined,
      y: envelope.urgency === "normal" ? undefined : envelope.urgency,
    }),
  );
}

type Json = Readonly<Record<string, unknown>>;

function parseObject(bytes: Buffer): Json | null {
  try {
    const value: unknown = JSON.parse(bytes.toString("utf8"));
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : null;
  } catch (e) {
    if (e instanceof SyntaxError) return null;
    throw e;
  }
}

const text = (value: unknown): string => (typeof value === "string" ? value : "");
const number = (value: unknown): number => (typeof value === "number" && Number.isFinite(value) ? value : 0);
const optional = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);
const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

const NOTIFY_WORDS: readonly NotifyWord[] = ["NEVER", "SUCCESS", "FAILURE", "DELAY"];

function notifyOf(value: unknown): readonly NotifyWord[] | undefined {
  if (!Array.isArray(value)) return undefined;
  return NOTIFY_WORDS.filter((word) => value.includes(word));
}

function recipientOf(value: unknown): Recipient | null {
  if (typeof value === "string") return { address: value };
  const [address, notify, orcpt] = list(value);
  if (typeof address !== "string") return null;
  const words = notifyOf(notify);
  return {
    address,
    ...(words === undefined ? {} : { notify: words }),
    ...(typeof orcpt === "string" ? { orcpt } : {}),
  };
}

const RESOLVES: readonly Origin["clientResolve"][] = ["ok", "fail", "forged", "temp"];

function originOf(json: Json): Origin {
  const [helo, clientName, clientAddress, clientResolve, protocol, daemon] = list(json["o"]).map(text);
  const auth = list(json["a"]);
  const tls = list(json["t"]);
  const localUser = optional(json["l"]);
  return {
    helo: helo ?? "",
    clientName: clientName ?? "",
    clientAddress: clientAddress ?? "",
    clientResolve: RESOLVES.find((r) => r === clientResolve) ?? "fail",
    protocol: protocol ?? "",
    daemon: daemon ?? "",
    ...(auth.length === 2 ? { auth: { identity: text(auth[0]), mechanism: text(auth[1]) } } : {}),
    ...(tls.length === 4
      ? {
          tls: {
            version: text(tls[0]),
            cipher: text(tls[1]),
            bits: number(tls[2]),
            verify: text(tls[3]),
          },
        }
      : {}),
    ...(localUser === undefined ? {} : { localUser }),
  };
}

export function decodeEnvelope(bytes: Buffer): Result<Envelope> {
  const json = parseObject(bytes);
  if (json === null || typeof json["s"] !== "string" || !Array.isArray(json["r"]))
    return err("an envelope that cannot be read");
  const recipients: Recipient[] = [];
  for (const value of json["r"]) {
    const recipient = recipientOf(value);
    if (recipient === null) return err("an envelope with an unreadable recipient");
    recipients.push(recipient);
  }
  const body = json["b"];
  const ret = json["e"];
  const envid = optional(json["i"]);
  const authSender = optional(json["p"]);
  const quarantine = optional(json["z"]);
  const by = list(json["d"]);
  const urgency = json["y"];
  return ok({
    sender: json["s"],
    recipients,
    origin: originOf(json),
    ...(body === "7BIT" || body === "8BITMIME" ? { body } : {}),
    smtpUtf8: json["u"] === true,
    requireTls: json["q"] === true,
    ...(ret === "FULL" || ret === "HDRS" ? { ret } : {}),
    ...(envid === undefined ? {} : { envid }),
    ...(authSender === undefined ? {} : { authSender }),
    ...(by.length === 3
      ? { deliverBy: { seconds: number(by[0]), mode: by[1] === "R" ? "R" : "N", trace: by[2] === true } }
      : {}),
    ...(quarantine === undefined ? {} : { quarantine }),
    hops: number(json["h"]),
    precedence: number(json["c"]),
    urgency: urgency === "urgent" || urgency === "non-urgent" || urgency === "dsn" ? urgency : "normal",
  });
}

/** The state of a message apart from its deliveries; absolute values, so that a record may be read twice. */
export interface MessageState {
  readonly tries: number;
  readonly lastTryMs: number;
  readonly warned: boolean;
  readonly hold: string;
  readonly text: string;
  readonly inHand: number;
}

const STATES: readonly DeliveryState[] = ["waiting", "done", "failed"];

function stateJson(state: MessageState): Record<string, unknown> {
  return {
    n: state.tries,
    l: state.lastTryMs,
    w: state.warned || undefined,
    h: state.hold || undefined,
    m: state.text || undefined,
    i: state.inHand || undefined,
  };
}

function stateOf(json: Json): MessageState {
  return {
    tries: number(json["n"]),
    lastTryMs: number(json["l"]),
    warned: json["w"] === true,
    hold: text(json["h"]),
    text: text(json["m"]),
    inHand: number(json["i"]),
  };
}

/** Everything known of a message's progress: `[id][JSON]`. */
export function encodeProgress(
  id: string,
  state: MessageState,
  deliveries: readonly Delivery[] | null,
): Buffer {
  const rows = deliveries?.map((d) => [
    d.original,
    d.mailer,
    d.host,
    d.user,
    d.address,
    d.via,
    d.sender,
    d.unsafe ? 1 : 0,
    d.notify ?? null,
    d.orcpt ?? null,
    STATES.indexOf(d.state),
    d.status,
    d.text,
  ]);
  return Buffer.from(id + JSON.stringify({ ...stateJson(state), d: rows }));
}

function deliveryOf(index: number, value: unknown): Delivery | null {
  const row = list(value);
  const state = STATES[number(row[10])];
  if (row.length !== 13 || state === undefined) return null;
  const notify = notifyOf(row[8]);
  const orcpt = optional(row[9]);
  return {
    index,
    original: text(row[0]),
    mailer: text(row[1]),
    host: text(row[2]),
    user: text(row[3]),
    address: text(row[4]),
    via: text(row[5]),
    sender: text(row[6]),
    unsafe: row[7] === 1,
    ...(notify === undefined ? {} : { notify }),
    ...(orcpt === undefined ? {} : { orcpt }),
    state,
    status: text(row[11]),
    text: text(row[12]),
  };
}

export function decodeProgress(
  payload: Buffer,
): Result<{ readonly state: MessageState; readonly deliveries: Delivery[] | null }> {
  const json = parseObject(payload.subarray(ID_BYTES));
  if (json === null) return err("a progress record that cannot be read");
  if (json["d"] === undefined) return ok({ state: stateOf(json), deliveries: null });
  const deliveries: Delivery[] = [];
  for (const [index, value] of list(json["d"]).entries()) {
    const delivery = deliveryOf(index, value);
    if (delivery === null) return err("a progress record with an unreadable delivery");
    deliveries.push(delivery);
  }
  return ok({ state: stateOf(json), deliveries });
}

/** The changes of some deliveries. */
export function encodeOutcome(id: string, state: MessageState, changed: readonly Delivery[]): Buffer {
  const rows = changed.map((d) => [d.index, STATES.indexOf(d.state), d.status, d.text]);
  return Buffer.from(id + JSON.stringify({ ...stateJson(state), x: rows }));
}

export interface DeliveryChange {
  readonly index: number;
  readonly state: DeliveryState;
  readonly status: string;
  readonly text: string;
}

export function decodeOutcome(
  payload: Buffer,
): Result<{ readonly state: MessageState; readonly changes: readonly DeliveryChange[] }> {
  const json = parseObject(payload.subarray(ID_BYTES));
  if (json === null) return err("an outcome record that cannot be read");
  const changes: DeliveryChange[] = [];
  for (const value of list(json["x"])) {
    const row = list(value);
    const state = STATES[number(row[1])];
    if (row.length !== 4 || state === undefined) return err("an outcome record with an unreadable change");
    changes.push({ index: number(row[0]), state, status: text(row[2]), text: text(row[3]) });
  }
  return ok({ state: stateOf(json), changes });
}

/** The spool's own state, first record of every segment. */
export interface GlobalState {
  readonly boot: number;
  readonly spoolMs: number;
  readonly wallMs: number;
  readonly trusted: boolean;
  /** The program ended as it should. */
  readonly clean: boolean;
  /** Parts that the administrator has suspended: "delivery", "listener". */
  readonly suspended: readonly string[];
}

export function encodeGlobal(state: GlobalState): Buffer {
  return Buffer.from(JSON.stringify(state));
}

export function decodeGlobal(payload: Buffer): GlobalState | null {
  const json = parseObject(payload);
  if (json === null) return null;
  return {
    boot: number(json["boot"]),
    spoolMs: number(json["spoolMs"]),
    wallMs: number(json["wallMs"]),
    trusted: json["trusted"] === true,
    clean: json["clean"] === true,
    suspended: list(json["suspended"]).map(text),
  };
}
