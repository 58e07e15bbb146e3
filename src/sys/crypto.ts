// The one door to node:crypto: digests, HMAC, PBKDF2, comparison in constant time, keys, signatures, certificates read by OpenSSL.
// Promises that nothing here verifies anything in JavaScript: parsing and verification are OpenSSL's.

import {
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  sign as cryptoSign,
  verify as cryptoVerify,
  generateKeyPairSync,
  type KeyObject,
  pbkdf2,
  pbkdf2Sync,
  timingSafeEqual,
  X509Certificate,
} from "node:crypto";
import { isIP } from "node:net";
import { err, ok, type Result } from "../base/result.ts";

export type { KeyObject } from "node:crypto";
export { X509Certificate } from "node:crypto";

export type DigestName = "md5" | "sha1" | "sha256" | "sha512";

function text(e: unknown): string {
  return e instanceof Error ? e.message : String(e);
}

/** The digest of the pieces in order. */
export function digest(algorithm: DigestName, ...pieces: readonly Buffer[]): Buffer {
  const hash = createHash(algorithm);
  for (const piece of pieces) hash.update(piece);
  return hash.digest();
}

export function hmac(algorithm: DigestName, key: Buffer, data: Buffer): Buffer {
  return createHmac(algorithm, key).update(data).digest();
}

/** PBKDF2 (RFC 8018) off the main thread. */
export function deriveKey(
  algorithm: DigestName,
  secret: Buffer,
  salt: Buffer,
  iterations: number,
  length: number,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    pbkdf2(secret, salt, iterations, length, algorithm, (e, key) => (e ? reject(e) : resolve(key)));
  });
}

/** PBKDF2 at once; the caller bounds `iterations`. */
export function deriveKeyNow(
  algorithm: DigestName,
  secret: Buffer,
  salt: Buffer,
  iterations: number,
  length: number,
): Buffer {
  return pbkdf2Sync(secret, salt, iterations, length, algorithm);
}

/** Are both the same bytes? The time taken tells nothing of where they differ (their lengths are no secret). */
export function sameBytes(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

/** A private key from PEM; the reason when it is none, or is encrypted. */
export function readPrivateKey(pem: Buffer | string): Result<KeyObject> {
  try {
    return ok(createPrivateKey(pem));
  } catch (e) {
    return err(text(e));
  }
}

/** A public key from PEM, or from DER SubjectPublicKeyInfo when it is a Buffer that does not begin with "-". */
export function readPublicKey(key: Buffer | string): Result<KeyObject> {
  try {
    if (typeof key === "string" || key[0] === 0x2d) return ok(createPublicKey(key));
    return ok(createPublicKey({ key, format: "der", type: "spki" }));
  } catch (e) {
    return err(text(e));
  }
}

export interface KeyPairPem {
  /** PKCS#8. */
  readonly privateKey: string;
  /** SubjectPublicKeyInfo. */
  readonly publicKey: string;
}

export function generateRsa(bits: number): KeyPairPem {
  return generateKeyPairSync("rsa", {
    modulusLength: bits,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  });
}

export function generateEd25519(): KeyPairPem {
  return generateKeyPairSync("ed25519", {
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  });
}

/** Signs with SHA-256 (RSA: PKCS#1 v1.5; EC: DER). For Ed25519 keys use signEd25519. */
export function signSha256(key: KeyObject, data: Buffer): Buffer {
  return cryptoSign("sha256", data, key);
}

/** `algorithm` is null for Ed25519. False also when the signature or key cannot be read. */
export function verifies(
  algorithm: "sha256" | "sha384" | "sha512" | null,
  key: KeyObject,
  data: Buffer,
  signature: Buffer,
): boolean {
  try {
    return cryptoVerify(algorithm, data, key, signature);
  } catch {
    // A signature that OpenSSL cannot even parse is not a good one.
    return false;
  }
}

export function signEd25519(key: KeyObject, data: Buffer): Buffer {
  return cryptoSign(null, data, key);
}

/** A certificate from PEM (the first in it) or DER. */
export function readCertificate(bytes: Buffer | string): Result<X509Certificate> {
  try {
    return ok(new X509Certificate(bytes));
  } catch (e) {
    return err(text(e));
  }
}

/** Does the certificate name `host`, a name or an address? False also for text that can be neither (it may come from a peer). */
export function namesHost(certificate: X509Certificate, host: string): boolean {
  try {
    return (isIP(host) === 0 ? certificate.checkHost(host) : certificate.checkIP(host)) !== undefined;
  } catch {
    // "Invalid name": not a host at all.
    return false;
  }
}
