// SCRAM verifiers from a password, computed with node:crypto straight from RFC 5802 section 3.

import { createHash, createHmac, pbkdf2Sync } from "node:crypto";
import type { ScramVerifier } from "../../../src/sasl/mechanism.ts";

export function makeVerifier(password: string, hash: "sha1" | "sha256"): ScramVerifier {
  const salt = Buffer.from("0123456789abcdef");
  const iterations = 4096;
  const length = hash === "sha1" ? 20 : 32;
  const salted = pbkdf2Sync(password, salt, iterations, length, hash);
  const clientKey = createHmac(hash, salted).update("Client Key").digest();
  return {
    salt,
    iterations,
    storedKey: createHash(hash).update(clientKey).digest(),
    serverKey: createHmac(hash, salted).update("Server Key").digest(),
  };
}
