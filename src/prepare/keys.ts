// Ed25519 keys that sign configuration images and updates: a key folder holds config.key (PKCS#8 PEM, 0600) and config.pub, and update.*
// and spare.* likewise; trusted keys are all *.pub files of a folder (on a board /etc/postern/keys, and update in it for updates).
// A key is named by the SHA-256 of its public half.

import { KEY_FILE_BYTES_MAX, TRUSTED_KEYS_MAX } from "../base/limits.ts";
import { err, ok, type Result } from "../base/result.ts";
import { checkFile } from "../safefile/check.ts";
import { digest, generateEd25519, type KeyObject, readPrivateKey, readPublicKey } from "../sys/crypto.ts";
import { listDirectory, makeDirectory, readBoundedFile, replaceFile, statPath } from "../sys/files.ts";
import { joinPath } from "../sys/path.ts";

/** What a key is for: configurations, systems, and systems when the one before is lost. */
export type KeyName = "config" | "update" | "spare";

/** A public key and its name: SHA-256 of its SubjectPublicKeyInfo. */
export interface TrustedKey {
  readonly id: Buffer;
  /** The file that it came from. */
  readonly file: string;
  readonly key: KeyObject;
}

export interface SigningKey {
  readonly id: Buffer;
  readonly key: KeyObject;
}

/** Makes a key pair in `folder` (made when missing). Keys that are there are never replaced: that is an error. */
export function makeKeys(folder: string, use: KeyName = "config"): Result<TrustedKey> {
  const [privateName, publicName] = [`${use}.key`, `${use}.pub`];
  const made = makeDirectory(folder, 0o700);
  if (!made.ok) return made;
  for (const name of [privateName, publicName])
    if (statPath(joinPath(folder, name)).kind !== "absent")
      return err(`${joinPath(folder, name)} is there already; keys are not replaced`);
  const pair = generateEd25519();
  const written = replaceFile(joinPath(folder, privateName), pair.privateKey, 0o600);
  if (!written.ok) return written;
  const published = replaceFile(joinPath(folder, publicName), pair.publicKey, 0o644);
  if (!published.ok) return published;
  return readTrustedKey(joinPath(folder, publicName));
}

/** The key that signs. Error: there is none, others may read it, or it is not an Ed25519 key. */
export function loadSigningKey(folder: string, use: KeyName = "config"): Result<SigningKey> {
  const path = joinPath(folder, `${use}.key`);
  const trusted = checkFile(path, "key");
  if (!trusted.ok) return err(`cannot use signing key ${path}: ${trusted.error}`);
  const pem = readBoundedFile(path, KEY_FILE_BYTES_MAX);
  if (pem.kind !== "found") return err(`cannot read signing key ${path}`);
  const key = readPrivateKey(pem.value);
  if (!key.ok) return err(`${path}: ${key.error}`);
  if (key.value.asymmetricKeyType !== "ed25519") return err(`${path} is not an Ed25519 key`);
  const pub = readTrustedKey(joinPath(folder, `${use}.pub`));
  if (!pub.ok) return pub;
  return ok({ id: pub.value.id, key: key.value });
}

/** Every public key of a folder; one that cannot be read is an error, so that a typo does not take a key away in silence. */
export function loadTrustedKeys(folder: string): Result<readonly TrustedKey[]> {
  const names = listDirectory(folder);
  if (names.kind !== "found") return err(`there is no key folder ${folder}`);
  const keys: TrustedKey[] = [];
  for (const name of names.value) {
    if (!name.endsWith(".pub")) continue;
    if (keys.length === TRUSTED_KEYS_MAX) return err(`${folder} holds more than ${TRUSTED_KEYS_MAX} keys`);
    const key = readTrustedKey(joinPath(folder, name));
    if (!key.ok) return key;
    keys.push(key.value);
  }
  return keys.length === 0 ? err(`${folder} holds no key (*.pub)`) : ok(keys);
}

/** One public key. */
export function readTrustedKey(path: string): Result<TrustedKey> {
  const pem = readBoundedFile(path, KEY_FILE_BYTES_MAX);
  if (pem.kind !== "found") return err(pem.kind === "absent" ? `there is no key ${path}` : pem.reason);
  const key = readPublicKey(pem.value);
  if (!key.ok) return err(`${path}: ${key.error}`);
  if (key.value.asymmetricKeyType !== "ed25519") return err(`${path} is not an Ed25519 key`);
  const der = key.value.export({ type: "spki", format: "der" });
  return ok({ id: digest("sha256", der), file: path, key: key.value });
}
