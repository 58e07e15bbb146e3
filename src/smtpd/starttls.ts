// STARTTLS (RFC 3207) with Sendmail's texts: nothing that came in plain text survives the handshake, neither bytes nor state
// (reliability TLS-01..04). TLS_Clt rules are asked right after it.

import type { TlsFacts } from "./service.ts";
import type { Session } from "./session.ts";

/** Is STARTTLS in the EHLO answer? */
function starttlsOffered(session: Session): boolean {
  return session.service.tls !== null && !session.encrypted && allowed(session);
}

/** DaemonPortOptions modifier S and Srv_Features S take it away. */
function allowed(session: Session): boolean {
  return (
    !session.local &&
    !session.daemon.modifiers.includes("S") &&
    !session.service.policy.serverFeatures(session.client).includes("S")
  );
}

function starttlsVerb(session: Session, argument: string): Promise<void> | undefined {
  if (argument !== "") {
    session.answer(501, "5.5.2", "Syntax error (no parameters allowed)");
    return undefined;
  }
  if (!allowed(session)) {
    session.answer(503, "5.5.0", "TLS not available");
    return undefined;
  }
  if (session.service.tls === null || session.encrypted) {
    session.answer(454, "4.3.3", "TLS not available after start");
    return undefined;
  }
  if (session.client.auth !== undefined) {
    session.answer(503, "5.5.0", "STARTTLS not permitted after AUTH");
    return undefined;
  }
  if (session.inputWaiting) {
    // Whoever put commands behind STARTTLS wants them run inside TLS.
    session.protocolError("STARTTLS");
    session.close();
    return undefined;
  }
  session.answer(220, "2.0.0", "Ready to start TLS");
  session.flush();
  return upgrade(session);
}

async function upgrade(session: Session): Promise<void> {
  const result = await session.wire.startTls();
  if ("failure" in result) {
    session.log(1, `STARTTLS=server, error: accept failed=${result.failure.trim()}, relay=${session.who}`);
    session.dropped();
    return;
  }
  if (session.closed) return;
  session.restart();
  encrypted(session, result.facts);
}

/** The session is under TLS from here on: STARTTLS, or a listener with modifier s. */
function encrypted(session: Session, facts: TlsFacts): void {
  session.encrypted = true;
  const { auth: _forgotten, ...client } = session.client;
  session.client = { ...client, tls: facts };
  session.log(
    9,
    `STARTTLS=server, relay=${session.who}, version=${facts.version}, verify=${facts.verify}, cipher=${facts.cipher}, bits=${facts.bits}/${facts.bits}`,
  );
  const verdict = session.service.policy.tlsClient(session.client);
  if (verdict.kind === "reject") session.refusal = verdict.reply;
}

/** What the registry lists. */
export const starttls = { offered: starttlsOffered, verb: starttlsVerb, encrypted };
