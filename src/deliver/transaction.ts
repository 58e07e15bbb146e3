// One mail transaction on an open session: MAIL, RCPT, DATA, the message, and what each recipient's outcome is.
// Command lines are Sendmail's to the letter (semantics section 20); with PIPELINING the envelope and DATA are one write.
// 4xx to MAIL, RCPT or DATA is worth the next MX; after the final dot nothing is, because the message may have been taken.

import { err, ok, type Result } from "../base/result.ts";
import type { Envelope, NotifyWord } from "../mail/envelope.ts";
import { type Outcome, outcome } from "../mail/outcome.ts";
import { limitMs } from "./deadlines.ts";
import type { SmtpNeeds } from "./needs.ts";
import { type Payload, payloadSize, sendPayload, unreadable } from "./payload.ts";
import { type PeerReply, replyClass } from "./peerreply.ts";
import { wantsLogin } from "./refusals.ts";
import { ask, type Session, sceneOf, tlsRefused } from "./session.ts";
import { isMime, sevenBit } from "./sevenbit.ts";
import { type Answer, type Broken, isBroken } from "./wire.ts";
import { declined, lost, refused, type Scene, sent } from "./wording.ts";

/** A recipient as the next hop gets it. */
export interface Addressee {
  /** Address in RCPT, without brackets. */
  readonly wire: string;
  /** Address in our own messages. */
  readonly shown: string;
  readonly notify: readonly NotifyWord[] | undefined;
  readonly orcpt: string | undefined;
}

/** A message as one mailer sends it. */
export interface Letter {
  readonly envelope: Envelope;
  /** Rewritten envelope sender, "" for the null sender. */
  readonly sender: string;
  readonly payload: Payload;
  readonly lineMax: number;
  /** F=8: 8-bit bytes go out as they are, whatever the next hop offers. */
  readonly raw8Bit: boolean;
  /** Queue id, for the fields of a conversion. */
  readonly id: string;
  /** One reply per recipient after the final dot (RFC 2033). */
  readonly perRecipient: boolean;
  /** Milliseconds since acceptance, for BY=. */
  readonly ageMs: number;
}

/**
 * What became of all recipients. `stale`: a kept connection turned out to be dead before it answered anything. `confused`: the host
 * offers PIPELINING and cannot do it, its answers were out of step; without it there may be sense in them.
 */
export interface Transacted {
  readonly trials: readonly Trial[];
  readonly stale: boolean;
  readonly confused: boolean;
}

/** The outcome, and whether another host may do better in this attempt. */
export interface Trial {
  readonly outcome: Outcome;
  readonly again: boolean;
}

const KNOWN_USER_CODES = new Set([550, 551, 553]);

export async function transact(
  needs: SmtpNeeds,
  session: Session,
  letter: Letter,
  to: readonly Addressee[],
  signal: AbortSignal,
): Promise<Transacted> {
  const impossible = unsupported(session, letter);
  if (impossible !== null)
    return {
      trials: to.map((r) => ({ outcome: impossible(r.shown), again: false })),
      stale: false,
      confused: false,
    };
  const fitted = await fit(needs, session, letter);
  if (!fitted.ok) {
    const scene = sceneOf(session.candidate, session.relay, "");
    const { temporary, text } = fitted.error;
    const [kind, code, status] = temporary
      ? (["deferred", 451, "4.3.0"] as const)
      : (["failed", 554, "5.6.3"] as const);
    const outcomeFor = (r: Addressee) => declined(kind, code, status, text, r.shown, scene);
    return {
      trials: to.map((r) => ({ outcome: outcomeFor(r), again: false })),
      stale: false,
      confused: false,
    };
  }
  if (session.needsReset && !(await reset(needs, session)))
    return { trials: [], stale: true, confused: false };
  const abort = (): void => session.wire.destroy("given up");
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await new Transaction(needs, session, { ...letter, payload: fitted.value }, to).run(() =>
      signal.removeEventListener("abort", abort),
    );
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/**
 * The payload that this next hop can take: 8-bit bytes are converted when it has no 8BITMIME and the message says that they are
 * there (MIME, or BODY=8BITMIME) or EightBitMode asks for more. pass8 lets unlabelled bytes through, as Sendmail does.
 */
async function fit(
  needs: SmtpNeeds,
  session: Session,
  letter: Letter,
): Promise<Result<Payload, { readonly temporary: boolean; readonly text: string }>> {
  const { payload, envelope } = letter;
  if (!payload.body.eightBit || letter.raw8Bit || session.extensions.has("8BITMIME")) return ok(payload);
  const labelled = envelope.body === "8BITMIME" || isMime(payload.header);
  const { EightBitMode, DefaultCharSet } = needs.options;
  const no = (why: string) => err({ temporary: false, text: `Cannot convert to 7 bits: ${why}` });
  if (!labelled && EightBitMode === "pass8") return ok(payload);
  if (!labelled && EightBitMode === "strict") return no("8-bit bytes without a label");
  try {
    const by = `by ${needs.hostName} id ${letter.id}`;
    const made = await sevenBit(payload, { by, charset: DefaultCharSet });
    return made.ok ? made : no(made.error);
  } catch (e) {
    return err({ temporary: true, text: unreadable(e) });
  }
}

/** RSET after a transaction that was left open. False: the session is of no use any more. */
async function reset(needs: SmtpNeeds, session: Session): Promise<boolean> {
  const said = await ask(session.wire, "RSET", limitMs(needs.options["Timeout.rset"]));
  if (isBroken(said) || replyClass(said) !== 2) {
    session.wire.destroy("RSET refused");
    return false;
  }
  session.needsReset = false;
  return true;
}

/** What the next hop would have to support and does not. null: nothing. */
function unsupported(session: Session, letter: Letter): ((address: string) => Outcome) | null {
  const { extensions, facts } = session;
  const { envelope } = letter;
  const scene = sceneOf(session.candidate, session.relay, "");
  const no = (code: number, status: string, text: string) => (address: string) =>
    declined("failed", code, status, text, address, scene);
  const size = Number(/^\d{1,15}$/.exec(extensions.get("SIZE") ?? "")?.[0] ?? 0);
  if (size > 0 && payloadSize(letter.payload) > size)
    return no(552, "5.2.3", `Message is too large; ${size} bytes max`);
  if (envelope.smtpUtf8 && !extensions.has("SMTPUTF8"))
    return no(553, "5.6.7", "SMTPUTF8 is not supported by the next host");
  if (envelope.requireTls) {
    // RFC 8689 4.2.1: the host's name must come from us or from a secure lookup (we have none), its certificate must verify for it,
    // and it must promise the same.
    if (session.candidate.shown.endsWith("."))
      return no(550, "5.7.10", "REQUIRETLS: the next host is known from DNS only");
    if (facts.version === "") return no(550, "5.7.10", "REQUIRETLS: the next host has no TLS");
    if (facts.verify !== "OK" || facts.nameMatches !== true)
      return no(550, "5.7.10", "REQUIRETLS: the certificate of the next host does not verify");
    if (!extensions.has("REQUIRETLS"))
      return no(550, "5.7.30", "REQUIRETLS is not supported by the next host");
  }
  const by = envelope.deliverBy;
  if (by?.mode === "R" && !extensions.has("DELIVERBY"))
    return no(554, "5.3.3", "DELIVERBY is not supported by the next host");
  return null;
}

/** True when nothing in the address can end its angle brackets and begin parameters of its own: no blank, < or > unquoted. */
function contained(address: string): boolean {
  return !/[\s<>]/.test(address.replace(/"(?:[^"\\]|\\.)*"|\\./g, ""));
}

class Transaction {
  readonly #needs: SmtpNeeds;
  readonly #session: Session;
  readonly #letter: Letter;
  readonly #to: readonly Addressee[];
  readonly #results: (Trial | null)[];
  readonly #pipelined: boolean;
  #stale = false;
  #outOfStep = false;

  constructor(needs: SmtpNeeds, session: Session, letter: Letter, to: readonly Addressee[]) {
    this.#needs = needs;
    this.#session = session;
    this.#letter = letter;
    this.#to = to;
    this.#results = to.map(() => null);
    this.#pipelined = session.pipelining;
  }

  /** `committed` is called when the message is about to be sent: from then on its result counts whatever the caller wants. */
  async run(committed: () => void): Promise<Transacted> {
    const wire = this.#session.wire;
    const mail = this.#mailLine();
    const lines = await this.#recipientLines();
    const open = this.#open();
    if (open.length === 0) return this.#finished();
    this.#session.needsReset = true;
    const all = this.#pipelined;
    const sound = contained(this.#letter.sender);
    if (
      !sound ||
      !(all ? wire.command(mail, ...open.map((i) => lines[i] ?? ""), "DATA") : wire.command(mail))
    ) {
      this.#settleOpen((r) => declined("failed", 501, "5.1.7", "Syntax error in sender address", r), false);
      return this.#finished();
    }
    const started = await this.#envelope(mail, lines, open, all);
    if (started && this.#open().length > 0) await this.#message(committed);
    if (wire.broken === null && !this.#session.needsReset) this.#session.messages++;
    return this.#finished();
  }

  /** Reads the answers to MAIL, RCPT and DATA (sending what was not pipelined). True: 354, and somebody to send to. */
  async #envelope(
    mail: string,
    lines: readonly string[],
    open: readonly number[],
    pipelined: boolean,
  ): Promise<boolean> {
    const { wire } = this.#session;
    const options = this.#needs.options;
    const answer = await wire.read(limitMs(options["Timeout.mail"]));
    this.#stale = isBroken(answer) ? answer.broken === "closed" : answer.code === 421;
    if (isBroken(answer)) return this.#broke(answer, mail);
    if (this.#strange(answer)) return this.#confused(mail);
    const taken = replyClass(answer) === 2;
    if (!taken) {
      const waits = await this.#wantsLogin(mail, answer);
      const exit = answer.code === 501 || answer.code === 553 ? 65 : 69;
      this.#settleOpen(() => waits ?? refused(this.#scene(mail), answer, exit, ""), replyClass(answer) === 4);
      this.#session.needsReset = false;
      if (!pipelined) return this.#after(answer);
    }
    const timeoutMs = limitMs(options["Timeout.rcpt"]);
    for (const i of open) {
      const line = lines[i] ?? "";
      if (!pipelined) wire.command(line);
      const said = await wire.read(timeoutMs);
      if (isBroken(said)) return this.#broke(said, line);
      if (taken && this.#strange(said)) return this.#confused(line);
      if (taken) this.#recipientAnswer(i, line, said, await this.#wantsLogin(line, said));
    }
    if (!pipelined) {
      if (this.#open().length === 0) return false;
      wire.command("DATA");
    }
    const go = await wire.read(limitMs(options["Timeout.datainit"]));
    return this.#dataAnswer(go, taken);
  }

  /**
   * A refusal for want of authentication where we hold credentials is none of this message: it waits (refusals.ts). null: a refusal like
   * any other, or none.
   */
  async #wantsLogin(command: string, said: PeerReply): Promise<Outcome | null> {
    const { auth } = this.#needs;
    const { candidate, address, authenticated } = this.#session;
    if (auth === null || !wantsLogin(said, authenticated)) return null;
    const info = await auth.info(candidate.name, address);
    if (info.kind !== "found") return null;
    // Other credentials need another session.
    this.#session.spent = true;
    return auth.refusals.refused({ ...candidate, address }, info.value, this.#scene(command), said);
  }

  #recipientAnswer(index: number, line: string, said: PeerReply, waits: Outcome | null): void {
    const kind = replyClass(said);
    if (kind === 2) {
      // Also the end of a refusal of our credentials; MAIL alone is not, some say no only now.
      this.#needs.auth?.refusals.accepted(this.#session.candidate);
      return;
    }
    const shown = this.#to[index]?.shown ?? "";
    const exit = KNOWN_USER_CODES.has(said.code) ? 67 : 69;
    const result = waits ?? refused(this.#scene(line), said, exit, shown);
    this.#results[index] = { outcome: result, again: kind === 4 };
    this.#after(said);
  }

  #dataAnswer(go: Answer, taken: boolean): boolean {
    if (isBroken(go)) return this.#broke(go, "DATA");
    if (replyClass(go) === 2) return this.#confused("DATA");
    const wanted = this.#open().length > 0;
    if (go.code === 354) {
      if (wanted && taken) return true;
      // RFC 2920 would send a lone dot; a host that opens DATA for nobody might deliver the empty message. Closing cannot.
      this.#session.wire.destroy("354 without recipients");
      return false;
    }
    if (wanted) {
      this.#settleOpen(() => refused(this.#scene("DATA"), go, 69, ""), replyClass(go) === 4);
    }
    return this.#after(go);
  }

  /** The message and the answer, or answers, to its final dot. */
  async #message(committed: () => void): Promise<void> {
    const { wire, extensions } = this.#session;
    const options = this.#needs.options;
    const open = this.#open();
    const answers = this.#letter.perRecipient ? open.length : 1;
    committed();
    wire.expect(answers);
    const { body } = this.#letter.payload;
    body.leaving?.(true);
    const whole = await sendPayload(
      wire,
      this.#letter.payload,
      this.#letter.lineMax,
      limitMs(options["Timeout.datablock"]),
    );
    const kind = !this.#letter.perRecipient && extensions.has("DSN") ? "relayed" : "delivered";
    const timeoutMs = limitMs(options["Timeout.datafinal"]);
    for (let i = 0; i < answers; i++) {
      const said = await wire.read(timeoutMs);
      const settle = this.#letter.perRecipient ? [open[i] ?? 0] : open;
      for (const index of settle) this.#results[index] = this.#final(index, said, whole, kind);
      if (!isBroken(said)) this.#after(said);
    }
    if (!whole) return wire.destroy("answered before the end");
    this.#session.needsReset = false;
    if (wire.idle && wire.broken === null) body.leaving?.(false);
  }

  #final(index: number, said: Answer, whole: boolean, kind: "relayed" | "delivered"): Trial {
    // Sendmail's transcript shows DATA for what the final dot got.
    const scene = this.#scene("DATA");
    if (isBroken(said)) return { outcome: lost(scene, said), again: false };
    if (replyClass(said) === 2 && whole) return { outcome: sent(scene, said, kind), again: false };
    if (replyClass(said) < 4) {
      this.#session.wire.destroy("answers out of step");
      const why = whole ? "unexpected reply to the final dot" : "accepted before the end of the message";
      return { outcome: lost(scene, { broken: "garbage", why }), again: false };
    }
    const exit = Math.trunc(said.code / 10) % 10 === 5 ? 69 : 76;
    const shown = this.#letter.perRecipient ? (this.#to[index]?.shown ?? "") : "";
    const user = this.#letter.perRecipient && KNOWN_USER_CODES.has(said.code) ? 67 : exit;
    return { outcome: refused(scene, said, user, shown), again: false };
  }

  /** After 421 the host closes; so do we. Always false, for the caller's convenience. */
  #after(said: PeerReply): false {
    if (said.code === 421) this.#session.wire.destroy("421");
    return false;
  }

  /** 354 to MAIL or RCPT; with PIPELINING also "bad sequence" for what was sent in sequence. */
  #strange(said: PeerReply): boolean {
    return replyClass(said) === 3 || (this.#pipelined && said.code === 503);
  }

  /**
   * An answer that no command of ours can have: the peer left one out or said one too many, so none before it can be
   * trusted to belong to its command either. Everybody is deferred, the connection ends.
   */
  #confused(command: string): false {
    const broken: Broken = { broken: "garbage", why: "answers out of step" };
    this.#session.wire.destroy(broken.why);
    this.#outOfStep = true;
    this.#results.fill(null);
    return this.#broke(broken, command);
  }

  #broke(broken: Broken, command: string): false {
    this.#settleOpen(() => lost(this.#scene(command), broken), broken.broken !== "aborted");
    return false;
  }

  #settleOpen(what: (address: string) => Outcome, again: boolean): void {
    this.#to.forEach((r, i) => {
      if (this.#results[i] === null) this.#results[i] = { outcome: what(r.shown), again };
    });
  }

  /** Indexes of recipients without a result. */
  #open(): readonly number[] {
    return this.#results.flatMap((result, i) => (result === null ? [i] : []));
  }

  #finished(): Transacted {
    const scene = this.#scene("");
    const trials = this.#results.map(
      (result) =>
        result ?? {
          outcome: outcome("deferred", "4.4.2", `Deferred: Connection reset by ${scene.shown}`, {
            remote: scene.remote,
            relay: scene.relay,
          }),
          again: false,
        },
    );
    return { trials, stale: this.#stale, confused: this.#outOfStep && this.#pipelined };
  }

  #scene(command: string): Scene {
    return sceneOf(this.#session.candidate, this.#session.relay, command);
  }

  #mailLine(): string {
    const { extensions, authenticated } = this.#session;
    const { envelope, payload, sender, ageMs } = this.#letter;
    let line = `MAIL From:<${sender}>`;
    if (extensions.has("SIZE")) line += ` SIZE=${payloadSize(payload)}`;
    if (extensions.has("8BITMIME")) {
      // Unlabelled 8-bit bytes are not declared, unless EightBitMode says that they are MIME; a label without them is taken back.
      const mimify = payload.body.eightBit && this.#needs.options.EightBitMode.startsWith("mim");
      const declared = envelope.body === "8BITMIME" && !payload.body.eightBit ? "7BIT" : envelope.body;
      const body = declared ?? (mimify ? "8BITMIME" : undefined);
      if (body !== undefined) line += ` BODY=${body}`;
    }
    if (envelope.smtpUtf8) line += " SMTPUTF8";
    if (envelope.requireTls) line += " REQUIRETLS";
    if (extensions.has("DSN")) {
      if (envelope.envid !== undefined) line += ` ENVID=${envelope.envid}`;
      if (envelope.ret !== undefined) line += ` RET=${envelope.ret}`;
    }
    if (authenticated && envelope.authSender !== undefined) line += ` AUTH=${envelope.authSender}`;
    const by = envelope.deliverBy;
    if (by !== undefined && extensions.has("DELIVERBY")) {
      const left = Math.trunc(by.seconds - ageMs / 1000);
      line += ` BY=${left};${by.mode}${by.trace ? "T" : ""}`;
    }
    return line;
  }

  /** RCPT lines; a recipient that cannot be sent here (control bytes, TLS_Rcpt) has its result already. */
  async #recipientLines(): Promise<readonly string[]> {
    const dsn = this.#session.extensions.has("DSN");
    const tls = this.#needs.tls;
    const lines: string[] = [];
    for (const [i, r] of this.#to.entries()) {
      let line = `RCPT To:<${r.wire}>`;
      if (dsn && r.notify !== undefined) line += ` NOTIFY=${r.notify.join(",")}`;
      if (dsn && r.orcpt !== undefined) line += ` ORCPT=${r.orcpt}`;
      lines.push(line);
      const bad = this.#addressRefusal(r, line);
      if (bad !== null) {
        this.#results[i] = { outcome: bad, again: false };
        continue;
      }
      if (tls === null || !tls.recipientRules) continue;
      const refusal = await tls.checkRecipient(r.wire, this.#session.candidate.name, this.#session.facts);
      if (refusal === null) continue;
      this.#results[i] = {
        outcome: tlsRefused(refusal, r.shown, this.#scene("")),
        again: refusal.code < 500,
      };
    }
    return lines;
  }

  #addressRefusal(r: Addressee, line: string): Outcome | null {
    if (/[\x00-\x1f\x7f]/.test(line) || r.wire === "" || !contained(r.wire))
      return declined("failed", 501, "5.1.3", "Syntax error in recipient address", r.shown, this.#scene(""));
    if (/[^\x00-\x7f]/.test(r.wire) && !this.#session.extensions.has("SMTPUTF8"))
      return declined(
        "failed",
        553,
        "5.6.7",
        "SMTPUTF8 is not supported by the next host",
        r.shown,
        this.#scene(""),
      );
    return null;
  }
}
