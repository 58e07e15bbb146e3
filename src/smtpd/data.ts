// DATA: opens a draft, lets the data gate fill it, answers the final dot. 250 only when the intake has kept the promise that it
// stands for (house promise 1). Whatever the answer, the transaction is gone afterwards.

import { completeHeader, lacksSender } from "../mail/complete.ts";
import type { Envelope, Origin } from "../mail/envelope.ts";
import { reply } from "../mail/reply.ts";
import type { Draft } from "../spool/intake.ts";
import { DataGate, type GateLimits } from "./datagate.ts";
import type { Session } from "./session.ts";
import type { Transaction } from "./transaction.ts";

const NUL_REFUSED = reply(554, "5.6.1", "NUL byte not allowed");
const EIGHT_BIT_REFUSED = reply(554, "5.6.1", "Eight bit data not allowed");
const GO_AHEAD = reply(354, "", "End data with <CR><LF>.<CR><LF>");

export function dataVerb(session: Session): Promise<void> | undefined {
  const transaction = session.transaction;
  if (transaction === null) {
    session.answer(503, "5.0.0", "Need MAIL command");
    return undefined;
  }
  if (transaction.recipients.length === 0) {
    session.answer(503, "5.0.0", "Need RCPT (recipient)");
    return undefined;
  }
  if (tooEarly(session)) return undefined;
  return open(session, transaction);
}

/** A client that sends its message before 354 is not a mail client (reliability SMUG-17). */
function tooEarly(session: Session): boolean {
  if (!session.inputWaiting) return false;
  session.protocolError("DATA");
  session.close();
  return true;
}

async function open(session: Session, transaction: Transaction): Promise<void> {
  const verdict = await session.service.policy.data(session.client, transaction.sender);
  if (session.closed || tooEarly(session)) return;
  if (verdict.kind === "reject") {
    session.say(verdict.reply);
    if (verdict.close) session.close();
    return;
  }
  if (verdict.kind === "discard") transaction.fate.discard = true;
  if (verdict.kind === "quarantine") transaction.fate.quarantine ||= verdict.reason;
  transaction.draft = session.service.intake.open(session.queueId);
  const id = transaction.draft.id;
  transaction.gate = new DataGate(gateLimits(session), (chunk) => transaction.draft?.write(chunk));
  transaction.received = (gate) => finish(session, transaction, gate, id);
  session.say(GO_AHEAD);
  session.expectData();
}

function gateLimits(session: Session): GateLimits {
  const { sizeMax, headerMax, strictEightBit, sevenBit } = session.settings;
  return { sizeMax, headerMax, watchEightBit: strictEightBit, sevenBit };
}

/** The gate has closed: answers, and drops the transaction. */
function finish(
  session: Session,
  transaction: Transaction,
  gate: DataGate,
  id: string,
): Promise<void> | undefined {
  transaction.gate = null;
  if (gate.state !== "end") {
    const what = gate.state === "bare-lf" ? "linefeed (LF)" : "carriage return (CR)";
    session.log(1, `${id}: collect: bare ${what} from ${session.who}`);
    session.reset();
    session.answer(421, "4.5.0", `Bare ${what} not allowed`);
    session.close();
    return undefined;
  }
  const problem = refusal(session, transaction, gate, id);
  if (problem === null && transaction.draft !== null)
    return commit(session, transaction, transaction.draft, gate);
  session.reset();
  if (problem !== null) session.say(problem);
  return undefined;
}

function refusal(session: Session, transaction: Transaction, gate: DataGate, id: string) {
  const { sizeMax, headerMax, hopsMax } = session.settings;
  if (gate.tooLarge) {
    session.log(7, `${id}: message size (${gate.size}) exceeds maximum (${sizeMax})`);
    return reply(552, "5.2.3", `Message exceeds maximum fixed size (${sizeMax})`);
  }
  if (gate.headerTooLarge) {
    session.log(6, `${id}: headers too large (${headerMax} max) from ${session.who} during message collect`);
    return reply(552, "5.6.0", `Headers too large (${headerMax} max)`);
  }
  if (gate.hasNul) return NUL_REFUSED;
  if (gate.hasEightBit && transaction.parameters.body !== "8BITMIME") return EIGHT_BIT_REFUSED;
  // Our own Received field counts (contract section 8).
  if (gate.hops + 1 > hopsMax) {
    const to = transaction.recipients[0]?.address ?? "";
    const text =
      `Too many hops ${gate.hops + 1} (${hopsMax} max): ` +
      `from <${transaction.sender}> via ${session.client.name}, to <${to}>`;
    session.log(1, `${id}: SYSERR(root): ${text}`, "crit");
    return reply(554, "5.4.6", text);
  }
  return null;
}

async function commit(
  session: Session,
  transaction: Transaction,
  draft: Draft,
  gate: DataGate,
): Promise<void> {
  // From here on the draft is the intake's: a client that leaves now may find its message delivered.
  transaction.draft = null;
  transaction.offered = true;
  const origin = originOf(session, transaction);
  const raw = gate.header();
  const { service } = session;
  const named = transaction.sender !== "" && lacksSender(raw);
  const fullName = named ? await service.routes.fullName?.(transaction.sender) : "";
  const made = completeHeader(warned(session, raw), {
    id: draft.id,
    hostName: session.hostName,
    version: service.version,
    cfVersion: service.config.texts.cfVersion || service.version,
    origin,
    sender: asBytes(transaction.sender),
    fullName: fullName ?? "",
    alone: transaction.unknownRecipients === 0,
    recipients: transaction.recipients.map((recipient) => asBytes(recipient.address)),
    wallMs: service.clock.wallMs(),
    fromLine: gate.fromLine,
    noRecipientAction: service.config.options.NoRecipientAction,
    fromInBrackets: service.config.texts.fromHeader === "<$g>",
  });
  const envelope = envelopeOf(session, transaction, origin, gate, made);
  const verdict = await draft.commit(envelope, made.header, gate.lineMax);
  if (session.transaction === transaction) session.reset();
  if (verdict.kind === "accepted")
    session.answer(250, "2.0.0", `${verdict.id} Message accepted for delivery`);
  else {
    session.say(verdict.reply);
    if (verdict.reply.code === 421) session.close();
  }
}

/** Headers are built of one character per byte: an address of RFC 6531 goes in as its UTF-8 bytes. */
function asBytes(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}

/** authwarnings: what is doubtful about the client goes on top of its header (semantics section 17). */
function warned(session: Session, header: Buffer): Buffer {
  if (session.protocol !== "" || session.local || !session.settings.privacy.has("authwarnings"))
    return header;
  const line = `X-Authentication-Warning: ${session.hostName}: ${session.who} didn't use HELO protocol\r\n`;
  return Buffer.concat([Buffer.from(line, "latin1"), header]);
}

/** "ESMTP" with S for TLS and A for AUTH (RFC 3848), "UTF8SMTP" likewise (RFC 6531 4.3). */
function protocolOf(session: Session, transaction: Transaction): string {
  if (session.protocol !== "ESMTP") return "SMTP";
  const base = transaction.parameters.smtpUtf8 ? "UTF8SMTP" : "ESMTP";
  return `${base}${session.encrypted ? "S" : ""}${session.client.auth === undefined ? "" : "A"}`;
}

function originOf(session: Session, transaction: Transaction): Origin {
  const { client } = session;
  return {
    helo: client.helo === "" ? client.name : client.helo,
    clientName: client.name,
    clientAddress: client.address,
    clientResolve: client.resolve,
    protocol: protocolOf(session, transaction),
    daemon: session.daemon.name,
    ...(client.auth === undefined ? {} : { auth: client.auth }),
    ...(client.tls === undefined
      ? {}
      : {
          tls: {
            version: client.tls.version,
            cipher: client.tls.cipher,
            bits: client.tls.bits,
            verify: client.tls.verify,
          },
        }),
  };
}

function envelopeOf(
  session: Session,
  transaction: Transaction,
  origin: Origin,
  gate: DataGate,
  made: Pick<Envelope, "precedence" | "urgency">,
): Envelope {
  const { parameters, fate } = transaction;
  return {
    sender: transaction.sender,
    recipients: transaction.recipients,
    origin,
    ...(parameters.body === undefined ? {} : { body: parameters.body }),
    receivedBytes: gate.size,
    smtpUtf8: parameters.smtpUtf8,
    requireTls: parameters.requireTls,
    ...(parameters.ret === undefined ? {} : { ret: parameters.ret }),
    ...(parameters.envid === undefined ? {} : { envid: parameters.envid }),
    // RFC 4954 section 5: a claim of somebody who did not authenticate counts as none.
    ...(parameters.authSender === undefined
      ? {}
      : { authSender: session.client.auth === undefined ? "<>" : parameters.authSender }),
    ...(parameters.deliverBy === undefined ? {} : { deliverBy: parameters.deliverBy }),
    ...(fate.quarantine === "" ? {} : { quarantine: fate.quarantine }),
    ...(fate.discard ? { discard: true } : {}),
    hops: gate.hops,
    precedence: made.precedence,
    urgency: made.urgency,
  };
}
