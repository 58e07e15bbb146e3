// SCRAM's keys (RFC 5802 section 3): what is kept of a password, and what a proof is made of.
// Apart from the exchange because the credentials store needs them also where the mechanisms are not built in.

import { deriveKey, digest, hmac, sameBytes } from "../sys/crypto.ts";
import type { Credential, ScramVerifier } from "./mechanism.ts";
import { prepareSecret } from "./names.ts";

/** The digests SCRAM is used with. */
export type ScramDigest = "sha1" | "sha256";
/** Bytes of each key. */
export const SCRAM_KEY_BYTES = { sha1: 20, sha256: 32 } as const;

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Strict base64: null for anything else than RFC 4648 section 4 says, bits behind the end included. */
export function fromBase64(text: string): Buffer | null {
  if (!BASE64.test(text)) return null;
  const bytes = Buffer.from(text, "base64");
  return bytes.toString("base64") === text ? bytes : null;
}

/** Keys from the salted password (RFC 5802 section 3). */
export function keysOf(
  algorithm: ScramDigest,
  salted: Buffer,
): { client: Buffer; stored: Buffer; server: Buffer } {
  const client = hmac(algorithm, salted, Buffer.from("Client Key"));
  const server = hmac(algorithm, salted, Buffer.from("Server Key"));
  return { client, stored: digest(algorithm, client), server };
}

/** The verifier of a secret; null when SASLprep refuses the secret. */
export async function makeVerifier(
  algorithm: ScramDigest,
  secret: string,
  salt: Buffer,
  iterations: number,
): Promise<ScramVerifier | null> {
  const prepared = prepareSecret(secret);
  if (prepared === null) return null;
  const size = SCRAM_KEY_BYTES[algorithm];
  const salted = await deriveKey(algorithm, Buffer.from(prepared), salt, iterations, size);
  const keys = keysOf(algorithm, salted);
  return { salt, iterations, storedKey: keys.stored, serverKey: keys.server };
}

/** Is `secret` the one that `verifier` was made of? */
export async function checkVerifier(
  algorithm: ScramDigest,
  secret: string,
  verifier: ScramVerifier,
): Promise<boolean> {
  const made = await makeVerifier(algorithm, secret, verifier.salt, verifier.iterations);
  return made !== null && sameBytes(made.storedKey, verifier.storedKey);
}

/** Two buffers of one length, XORed. */
export function xor(a: Buffer, b: Buffer): Buffer {
  return Buffer.from(a.map((byte, i) => byte ^ (b[i] ?? 0)));
}

/** The verifier that a credential holds for `algorithm`. */
export function verifierOf(credential: Credential, algorithm: ScramDigest): ScramVerifier | undefined {
  return algorithm === "sha1" ? credential.scramSha1 : credential.scramSha256;
}
