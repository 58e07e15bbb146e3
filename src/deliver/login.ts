// AUTH as a client (RFC 4954): which credentials, which mechanism, the exchange. Mechanisms in the order of our list; a temporary failure
// ends the session, a refusal tries the next mechanism. When the last one has refused the credentials mail waits (refusals.ts); when none
// could be used at all mail goes on without AUTH, as with Sendmail, and the next hop says whether it minds. Plaintext mechanisms stay
// unused without TLS when AuthOptions has p.

import { AUTH_LINE_BYTES_MAX } from "../base/limits.ts";
import type { Outcome } from "../mail/outcome.ts";
import type { ClientExchange, Mechanism } from "../sasl/mechanism.ts";
import { type DeadlineOptions, limitMs } from "./deadlines.ts";
import type { AuthInfo, Candidate, SmtpNeeds, TlsFacts } from "./needs.ts";
import { type PeerReply, replyClass } from "./peerreply.ts";
import { refusesLogin } from "./refusals.ts";
import { type Answer, isBroken, type Wire } from "./wire.ts";
import { declined, type Scene } from "./wording.ts";

/** Rounds of one exchange: no mechanism needs more than four. */
const EXCHANGE_ROUNDS_MAX = 8;

interface Context {
  readonly times: DeadlineOptions;
  readonly candidate: Candidate;
  readonly address: string;
  readonly relay: string;
  readonly wire: Wire;
  readonly extensions: ReadonlyMap<string, string>;
  readonly facts: TlsFacts;
}

export type Login =
  | { readonly kind: "none" }
  | { readonly kind: "authenticated" }
  | { readonly kind: "failed"; readonly outcome: Outcome };

/** `refused`: what the host said; null when the exchange did not get to an answer about the credentials. */
type Attempted = "yes" | { readonly refused: PeerReply | null } | { readonly temporary: string };

/** Authenticates when the host offers AUTH and we have credentials for it. */
export async function logIn(needs: SmtpNeeds, c: Context): Promise<Login> {
  const offered = c.extensions.get("AUTH");
  if (needs.auth === null || offered === undefined) return { kind: "none" };
  const info = await needs.auth.info(c.candidate.name, c.address);
  if (info.kind === "absent") return { kind: "none" };
  if (info.kind === "tempfail") return failed(c, `Temporary system failure: ${info.reason}`);
  const ours =
    info.value.mechanisms.length > 0
      ? info.value.mechanisms
      : (needs.options.AuthMechanisms as readonly string[]);
  const open = needs.options.AuthOptions.includes("p") && c.facts.version === "";
  const usable = needs.auth
    .mechanisms(ours, offered.toUpperCase().split(/\s+/))
    .filter((m) => !(open && m.plaintext) && !(m.name === "EXTERNAL" && c.facts.version === ""));
  let last: { readonly mechanism: string; readonly reply: PeerReply } | null = null;
  for (const mechanism of usable) {
    const attempted = await attempt(needs, c, mechanism, info.value);
    if (attempted === "yes") {
      needs.log.line(9, `AUTH=client, relay=${c.relay}, mech=${mechanism.name}, bits=0`);
      return { kind: "authenticated" };
    }
    if ("temporary" in attempted) return failed(c, attempted.temporary);
    const { refused } = attempted;
    if (refused !== null && refusesLogin(refused)) {
      last = { mechanism: mechanism.name, reply: refused };
      // A host that cannot say now may count the next mechanism as another guess.
      if (replyClass(refused) === 4) break;
    }
    needs.log.line(9, `AUTH=client, relay=${c.relay}, mech=${mechanism.name}, refused`);
  }
  if (last !== null) {
    const scene = sceneAt(c, `AUTH ${last.mechanism}`);
    const outcome = needs.auth.refusals.refused(
      { ...c.candidate, address: c.address },
      info.value,
      scene,
      last.reply,
    );
    return { kind: "failed", outcome };
  }
  if (usable.length === 0)
    needs.log.line(5, `AUTH=client, relay=${c.relay}, available mechanisms do not fulfill requirements`);
  return { kind: "none" };
}

function sceneAt(c: Context, command: string): Scene {
  return { remote: c.candidate.name, shown: c.candidate.shown, relay: c.relay, command };
}

function failed(c: Context, text: string): Login {
  return { kind: "failed", outcome: declined("deferred", 454, "4.3.0", text, "", sceneAt(c, "AUTH")) };
}

async function attempt(
  needs: SmtpNeeds,
  c: Context,
  mechanism: Mechanism,
  info: AuthInfo,
): Promise<Attempted> {
  const exchange = mechanism.client({
    host: c.candidate.name,
    service: "smtp",
    authorizationId: info.authorizationId,
    authenticationId: info.authenticationId,
    secret: info.secret,
    realm: info.realm,
    nonce: (bytes) => needs.entropy.bytes(bytes),
  });
  const initial = exchange.initial();
  // RFC 4954 section 4: an empty initial response is written "=".
  const argument = initial === null ? "" : initial.length === 0 ? " =" : ` ${initial.toString("base64")}`;
  c.wire.command(`AUTH ${mechanism.name}${argument}`);
  const timeoutMs = limitMs(c.times["Timeout.auth"]);
  for (let round = 0; round < EXCHANGE_ROUNDS_MAX; round++) {
    const answer = await c.wire.read(timeoutMs);
    const ended = verdict(answer, exchange);
    if (ended !== null) return ended;
    respond(c.wire, exchange, answer as PeerReply);
  }
  c.wire.destroy("AUTH exchange without end");
  return { temporary: "AUTH exchange without end" };
}

/** null: the server goes on asking (334). */
function verdict(answer: Answer, exchange: ClientExchange): Attempted | null {
  if (isBroken(answer)) return { temporary: `connection lost during AUTH: ${answer.why}` };
  if (answer.code === 334) return null;
  if (answer.code === 235) {
    // A server that says 235 without its own proof may be somebody else.
    return exchange.finished() ? "yes" : { temporary: "server did not prove itself" };
  }
  if (refusesLogin(answer)) return { refused: answer };
  return replyClass(answer) === 4 ? { temporary: "temporary failure, connection abort" } : { refused: null };
}

function respond(wire: Wire, exchange: ClientExchange, challenge: PeerReply): void {
  const text = challenge.lines[0] ?? "";
  const step =
    text.length > AUTH_LINE_BYTES_MAX || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)
      ? { kind: "abort" as const, reason: "challenge is not base64" }
      : exchange.step(Buffer.from(text, "base64"));
  wire.command(step.kind === "response" ? step.data.toString("base64") : "*");
}
