// Every SASL mechanism of this build, one marked line each (scripts/features.ts drops lines), strongest first.
// Which of them a server offers on a connection, and in which order a client tries those that a server offers.

import { cramMd5 } from "./crammd5.ts"; // CONFIG_SASL_CRAM_MD5
import { digestMd5 } from "./digestmd5.ts"; // CONFIG_SASL_DIGEST_MD5
import { external } from "./external.ts"; // CONFIG_SASL_EXTERNAL
import { login } from "./login.ts"; // CONFIG_SASL_LOGIN
import type { Mechanism } from "./mechanism.ts";
import { plain } from "./plain.ts"; // CONFIG_SASL_PLAIN
import { scramSha1 } from "./scramsha1.ts"; // CONFIG_SASL_SCRAM_SHA_1
import { scramSha256 } from "./scramsha256.ts"; // CONFIG_SASL_SCRAM_SHA_256

// biome-ignore format: one line each, the mark at the end
export const MECHANISMS: readonly Mechanism[] = [
  external, // CONFIG_SASL_EXTERNAL
  scramSha256, // CONFIG_SASL_SCRAM_SHA_256
  scramSha1, // CONFIG_SASL_SCRAM_SHA_1
  digestMd5, // CONFIG_SASL_DIGEST_MD5
  cramMd5, // CONFIG_SASL_CRAM_MD5
  plain, // CONFIG_SASL_PLAIN
  login, // CONFIG_SASL_LOGIN
];

/** The mechanism of that name in any case, undefined when this build has none. */
export function mechanismNamed(name: string): Mechanism | undefined {
  const upper = name.replace(/[a-z]/g, (c) => c.toUpperCase());
  return MECHANISMS.find((m) => m.name === upper);
}

/** What is known of the connection that mechanisms are to be used on. */
export interface Surroundings {
  /** The connection is encrypted. */
  readonly tls: boolean;
  /** Mechanisms that show the password may be used without TLS. */
  readonly plaintextWithoutTls: boolean;
  /** EXTERNAL: TLS proved an identity (server), or we show a certificate (client). */
  readonly external: boolean;
}

function usable(mechanism: Mechanism, where: Surroundings): boolean {
  if (mechanism.name === "EXTERNAL") return where.tls && where.external;
  return where.tls || where.plaintextWithoutTls || !mechanism.plaintext;
}

function named(names: readonly string[]): Mechanism[] {
  const found = names.map(mechanismNamed).filter((m) => m !== undefined);
  return [...new Set(found)];
}

/** What a server offers on a connection: the configured names that this build has, in the configured order. */
export function serverMechanisms(names: readonly string[], where: Surroundings): readonly Mechanism[] {
  return named(names).filter((m) => usable(m, where));
}

/** What a client tries, in the order of our list (contract section 8), among what the server offers. */
export function clientMechanisms(
  ours: readonly string[],
  offered: readonly string[],
  where: Surroundings,
): readonly Mechanism[] {
  const theirs = new Set(named(offered));
  return named(ours).filter((m) => theirs.has(m) && usable(m, where));
}
