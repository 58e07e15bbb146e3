// AUTH (RFC 4954) with Sendmail's texts (semantics section 22): base64 lines around a SASL exchange. The exchange itself is sasl/'s;
// here are the 334s, the bounds, the abort, and what a wrong guess costs.

import { AUTH_FAILURES_MAX, AUTH_STEPS_MAX } from "../base/limits.ts";
import type { Mechanism, ServerContext, ServerExchange, ServerStep } from "../sasl/mechanism.ts";
import type { Session } from "./session.ts";
import { shortened } from "./wording.ts";

const NOTHING = Buffer.alloc(0);
const MECHANISM_SHOWN_MAX = 32;
/** Sendmail shows as much of a name. */
const USER_SHOWN_MAX = 64;

/** Mechanisms of this connection now; empty when AUTH is off (modifier A, Srv_Features A, nothing configured). */
export function authMechanisms(session: Session): readonly Mechanism[] {
  const { auth, policy } = session.service;
  if (auth === null || session.daemon.modifiers.includes("A")) return [];
  if (policy.serverFeatures(session.client).includes("A")) return [];
  return auth.offered(session.client, session.encrypted);
}

/** Strict base64 (RFC 4648 section 4); "=" alone is the empty initial response. */
function decode(text: string): Buffer | null {
  if (text === "=") return NOTHING;
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return null;
  return Buffer.from(text, "base64");
}

export function authVerb(session: Session, argument: string): Promise<void> | undefined {
  const mechanisms = authMechanisms(session);
  const { auth } = session.service;
  if (auth === null || mechanisms.length === 0) {
    session.answer(503, "5.3.3", "AUTH not available");
    return undefined;
  }
  if (session.client.auth !== undefined) {
    session.answer(503, "5.5.0", "Already Authenticated");
    return undefined;
  }
  if (session.transaction !== null) {
    session.answer(503, "5.5.0", "AUTH not permitted during a mail transaction");
    return undefined;
  }
  const [name = "", initial] = words(argument);
  if (name === "") {
    session.answer(501, "5.5.2", "AUTH mechanism must be specified");
    return undefined;
  }
  const mechanism = mechanisms.find((m) => m.name === name.toUpperCase());
  if (mechanism === undefined) {
    session.answer(504, "5.3.3", `AUTH mechanism ${name.slice(0, MECHANISM_SHOWN_MAX)} not available`);
    return undefined;
  }
  const response = initial === undefined ? null : decode(initial);
  if (initial !== undefined && response === null) {
    session.answer(501, "5.5.4", `cannot BASE64 decode '${shortened(initial)}'`);
    return undefined;
  }
  const asked = new Asked();
  const context = asked.watching(auth.context(session.client));
  const exchange = new AuthExchange(session, mechanism, mechanism.server(context), asked);
  session.auth = exchange;
  return exchange.step(response);
}

/** Mechanism and initial response; blanks inside the response stay, so that it is no base64. */
function words(argument: string): readonly [string?, string?] {
  const at = argument.search(/[ \t]/);
  if (at < 0) return [argument];
  const rest = argument.slice(at).trim();
  return rest === "" ? [argument.slice(0, at)] : [argument.slice(0, at), rest];
}

/** One AUTH command until its 235, 4xx or 5xx. While it is there, lines of the client are its own. */
export class AuthExchange {
  readonly #session: Session;
  readonly #mechanism: Mechanism;
  readonly #exchange: ServerExchange;
  readonly #asked: Asked;
  #steps = 0;
  /** Set when only the client's acknowledgement of the server's last message is missing. */
  #won: string | null = null;

  constructor(session: Session, mechanism: Mechanism, exchange: ServerExchange, asked: Asked) {
    this.#asked = asked;
    this.#session = session;
    this.#mechanism = mechanism;
    this.#exchange = exchange;
  }

  /** A line of the client. */
  async respond(line: string): Promise<void> {
    if (line === "*") {
      this.#session.auth = null;
      this.#session.answer(501, "5.0.0", "AUTH aborted");
      return;
    }
    const response = decode(line.trimEnd());
    if (response === null) {
      this.#session.auth = null;
      this.#session.answer(501, "5.5.4", `cannot decode AUTH parameter ${shortened(line)}`);
      return;
    }
    if (this.#won === null) await this.step(response);
    else if (response.length === 0) this.#succeed(this.#won);
    else await this.#fail("data after the last server message");
  }

  async step(response: Buffer | null): Promise<void> {
    if (++this.#steps > AUTH_STEPS_MAX) {
      await this.#fail("too many steps");
      return;
    }
    const result = await this.#exchange.step(response);
    if (this.#session.closed) return;
    await this.#take(result);
  }

  async #take(result: ServerStep): Promise<void> {
    switch (result.kind) {
      case "challenge":
        this.#challenge(result.data);
        return;
      case "success":
        if (result.data === undefined || result.data.length === 0) this.#succeed(result.identity);
        else {
          // The server's own proof goes out before the 235 (SCRAM, DIGEST-MD5).
          this.#won = result.identity;
          this.#challenge(result.data);
        }
        return;
      case "failure":
        if (result.temporary) {
          this.#session.auth = null;
          const reason = this.#asked.loggable(`temporary failure: ${result.reason}`);
          this.#session.note(
            1,
            `AUTH failure (${this.#mechanism.name}): ${reason}, relay=${this.#session.who}`,
            "warning",
          );
          this.#session.answer(454, "4.7.0", "Temporary authentication failure");
        } else await this.#fail(result.reason);
    }
  }

  #challenge(data: Buffer): void {
    this.#session.answer(334, "", data.toString("base64"));
    this.#session.expectAuth();
  }

  #succeed(identity: string): void {
    const session = this.#session;
    session.auth = null;
    session.authFailures = 0;
    session.guesses.succeeded(session.client.address);
    session.client = { ...session.client, auth: { identity, mechanism: this.#mechanism.name } };
    session.log(
      9,
      `AUTH=server, relay=${session.who}, authid=${identity}, mech=${this.#mechanism.name}, bits=0`,
    );
    session.answer(235, "2.0.0", "OK Authenticated");
  }

  /** A wrong guess: each one waits longer, the last one allowed ends the connection. */
  async #fail(reason: string): Promise<void> {
    const session = this.#session;
    session.auth = null;
    const failures = ++session.authFailures;
    const waitMs = session.guesses.failed(session.client.address);
    this.#log(reason);
    await session.pay(waitMs);
    if (session.closed) return;
    session.answer(535, "5.7.0", "authentication failed");
    if (failures >= AUTH_FAILURES_MAX) session.tooManyBad();
  }

  /** In the words of Cyrus SASL, which watchers of logs (fail2ban) look for: the client's address is the last on the line. */
  #log(reason: string): void {
    const session = this.#session;
    const [what, code] = this.#asked.unknown ? ["user not found", -20] : ["authentication failure", -13];
    const detail = `SASL(-13): ${what}: ${this.#asked.loggable(reason)}`;
    const user = this.#asked.user === "" ? "" : `, user=${this.#asked.loggable(this.#asked.user)}`;
    session.note(
      1,
      `AUTH failure (${this.#mechanism.name}): ${what} (${code}) ${detail}${user}, relay=${session.who}`,
      "warning",
    );
  }
}

/** Whom an exchange has asked the store for, for the log. */
class Asked {
  user = "";
  unknown = false;

  watching(context: ServerContext): ServerContext {
    return {
      ...context,
      find: async (user, realm) => {
        this.user = user;
        const found = await context.find(user, realm);
        this.unknown = found.kind === "absent";
        return found;
      },
      checkPassword: (user, realm, password) => {
        this.user = user;
        return context.checkPassword(user, realm, password);
      },
    };
  }

  /** A client chooses its name: one that looks like fields of the line must not make others' addresses out of it. */
  loggable(text: string): string {
    return text.replace(/[^!-~ ]|[,=[\]()<>"]/g, "?").slice(0, USER_SHOWN_MAX);
  }
}
