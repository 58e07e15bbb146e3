// The one door to node:tls: contexts made of files already read, and handshakes on a connected socket, both sides.
// Promises TLS 1.2 or newer, no renegotiation, one answer within the time given, no plaintext taken over into the encrypted stream,
// ALPN "smtp" or none, and never Node's own list of authorities.

import { constants } from "node:crypto";
import { isIP } from "node:net";
import type { Duplex } from "node:stream";
import {
  connect,
  createSecureContext,
  type SecureContext,
  type SecureContextOptions,
  TLSSocket,
} from "node:tls";
import { err, ok, type Result } from "../base/result.ts";

export type { Duplex } from "node:stream";
export type { SecureContext, TLSSocket } from "node:tls";

/** What a context is made of; PEM throughout. */
export interface ContextParts {
  /** Certificates with their keys; none for a client that shows no certificate. */
  readonly pairs: readonly { readonly certificate: Buffer; readonly key: Buffer }[];
  /** Trusted authorities; empty means that nothing verifies. */
  readonly authorities: readonly Buffer[];
  /** Revocation lists; any makes OpenSSL demand one for each authority in a chain. */
  readonly revocations: readonly Buffer[];
  /** OpenSSL cipher list for TLS 1.2; "" for the built-in one. */
  readonly ciphers: string;
  /** DH parameters as PEM, "" for automatic. */
  readonly dhParameters: string;
  /** Bits of SSL_OP_* to add. */
  readonly options: number;
  /** Tickets of one purpose are worth nothing in another: the listener's name. */
  readonly purpose: string;
  readonly side: "server" | "client";
}

/** Forward secrecy and authenticated encryption only, first what small processors do fast. */
const SERVER_CIPHERS = [
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
  "DHE-RSA-AES128-GCM-SHA256",
  "DHE-RSA-AES256-GCM-SHA384",
].join(":");

/** A next hop may be old: what is refused here would otherwise travel in the clear. */
const CLIENT_CIPHERS = "HIGH:MEDIUM:!aNULL:!eNULL:!MD5:!RC4:!3DES:!DES:!PSK:!SRP:!EXPORT@SECLEVEL=1";
const SUITES = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

function reasonOf(e: unknown): string {
  if (!(e instanceof Error)) return String(e);
  const code = "code" in e ? String(e.code) : "";
  return code !== "" && !e.message.includes(code) ? `${e.message} (${code})` : e.message;
}

/** A context, or OpenSSL's reason why these parts make none (key and certificate differ, unknown cipher, ...). */
export function makeContext(parts: ContextParts): Result<SecureContext> {
  const always = constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_COMPRESSION;
  const options: SecureContextOptions = {
    minVersion: "TLSv1.2",
    maxVersion: "TLSv1.3",
    ca: [...parts.authorities],
    ciphers: `${SUITES}:${parts.ciphers === "" ? (parts.side === "server" ? SERVER_CIPHERS : CLIENT_CIPHERS) : parts.ciphers}`,
    honorCipherOrder: parts.side === "server",
    secureOptions: always | parts.options,
    ...(parts.pairs.length === 0
      ? {}
      : { cert: parts.pairs.map((p) => p.certificate), key: parts.pairs.map((p) => p.key) }),
    ...(parts.revocations.length === 0 ? {} : { crl: [...parts.revocations] }),
    ...(parts.side === "server" ? { dhparam: parts.dhParameters === "" ? "auto" : parts.dhParameters } : {}),
    ...(parts.side === "server" ? { sessionIdContext: parts.purpose.slice(0, 32) } : {}),
  };
  try {
    return ok(createSecureContext(options));
  } catch (e) {
    return err(reasonOf(e));
  }
}

/** The bits of OpenSSL option words; `-WORD` takes bits away again. Unknown words are returned for the log. */
export function optionBits(words: readonly string[]): {
  readonly bits: number;
  readonly unknown: readonly string[];
} {
  const known = new Map<string, number>();
  for (const [name, value] of Object.entries(constants))
    if (name.startsWith("SSL_OP_") && typeof value === "number") known.set(name, value);
  const unknown: string[] = [];
  let bits = 0;
  for (const word of words) {
    const name = word.replace(/^[-+]/, "");
    const value = known.get(name) ?? (/^(0x[0-9a-f]{1,8}|\d{1,10})$/i.test(name) ? Number(name) : undefined);
    if (value === undefined) unknown.push(word);
    else bits = word.startsWith("-") ? bits & ~value : bits | value;
  }
  return { bits: bits >>> 0, unknown };
}

export interface AcceptPlan {
  readonly context: SecureContext;
  /** Another context for a server name, or null for the one above. */
  contextFor(servername: string): SecureContext | null;
  /** Ask for a client certificate. */
  readonly requestCertificate: boolean;
  readonly timeoutMs: number;
}

export interface ConnectPlan {
  readonly context: SecureContext;
  /** Name to ask for (SNI); not sent when it is an address or "". */
  readonly servername: string;
  readonly timeoutMs: number;
  /** A session of an earlier connection to the same host with the same context, to resume. */
  readonly session?: Buffer | undefined;
  /** Told each session that the host gives, for the next time. */
  readonly onSession?: (session: Buffer) => void;
}

/** The server's side of a handshake on `socket`, whose listeners the caller has removed. */
export function acceptTls(socket: Duplex, plan: AcceptPlan): Promise<Result<TLSSocket>> {
  return handshake(socket, "secure", plan.timeoutMs, () => {
    return new TLSSocket(socket, {
      isServer: true,
      secureContext: plan.context,
      requestCert: plan.requestCertificate,
      rejectUnauthorized: false,
      SNICallback: (servername, done) => done(null, plan.contextFor(servername) ?? undefined),
      // Not called when the client names no protocol; no answer is the alert no_application_protocol (RFC 7301).
      ALPNCallback: ({ protocols }) => (protocols.includes("smtp") ? "smtp" : undefined),
    });
  });
}

/** The client's side. The certificate is judged by the caller (peerVerifyError), never by dropping the connection. */
export function startTls(socket: Duplex, plan: ConnectPlan): Promise<Result<TLSSocket>> {
  return handshake(socket, "secureConnect", plan.timeoutMs, () => {
    const tls = connect({
      socket,
      secureContext: plan.context,
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
      ...(plan.session === undefined ? {} : { session: plan.session }),
      ...(plan.servername === "" || isIP(plan.servername) !== 0 ? {} : { servername: plan.servername }),
    });
    if (plan.onSession !== undefined) tls.on("session", plan.onSession);
    return tls;
  });
}

function handshake(
  socket: Duplex,
  event: "secure" | "secureConnect",
  timeoutMs: number,
  wrap: () => TLSSocket,
): Promise<Result<TLSSocket>> {
  return new Promise((resolve) => {
    if (socket.destroyed) {
      resolve(err("connection closed"));
      return;
    }
    if (socket.readableLength > 0) {
      socket.destroy();
      resolve(err("plaintext in front of the handshake"));
      return;
    }
    const tls = wrap();
    const finish = (answer: Result<TLSSocket>): void => {
      clearTimeout(timer);
      tls.off(event, secured);
      tls.off("error", failed);
      tls.off("close", closed);
      // Whoever takes the stream over adds its own; until then an error must not end the process.
      tls.on("error", () => tls.destroy());
      if (!answer.ok) {
        tls.destroy();
        socket.destroy();
      }
      resolve(answer);
    };
    const secured = (): void => finish(ok(tls));
    const failed = (e: unknown): void => finish(err(reasonOf(e)));
    const closed = (): void => finish(err("connection closed during the handshake"));
    const timer = setTimeout(
      () => finish(err("handshake timed out")),
      Math.min(Math.max(timeoutMs, 1), 0x7fffffff),
    );
    socket.on("error", () => tls.destroy());
    tls.on(event, secured);
    tls.on("error", failed);
    tls.on("close", closed);
  });
}

/** OpenSSL's verdict on the peer's certificate: "" when it verifies, else a code as "CERT_HAS_EXPIRED". */
export function peerVerifyError(socket: TLSSocket): string {
  // A TLSSocket made for a server by hand does not set `authorized`: the handle knows. Node's version is pinned, a test watches this.
  const handle: unknown = "_handle" in socket ? socket._handle : null;
  if (typeof handle !== "object" || handle === null || !("verifyError" in handle)) return "UNKNOWN";
  const ask = handle.verifyError;
  if (typeof ask !== "function") return "UNKNOWN";
  const answer: unknown = ask.call(handle);
  if (answer === null || answer === undefined) return "";
  return answer instanceof Error && "code" in answer ? String(answer.code) : "UNKNOWN";
}
