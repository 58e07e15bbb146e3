// sha256crypt and sha512crypt ($5$, $6$; U. Drepper, "Unix crypt using SHA-256 and SHA-512"): passwords of system/passwd and shadow.
// Other schemes are answered with null: the caller then cannot judge and says so, it never guesses.

import { SHACRYPT_ROUNDS_MAX } from "../base/limits.ts";
import { digest, sameBytes } from "../sys/crypto.ts";
import type { Entropy } from "../sys/entropy.ts";

const ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const ROUNDS_DEFAULT = 5000;
const ROUNDS_MIN = 1000;
const SALT_MAX = 16;
const SCHEME = /^\$([56])\$(?:rounds=(\d{1,9})\$)?([^$]*)(?:\$|$)/;

interface Scheme {
  readonly algorithm: "sha256" | "sha512";
  readonly size: number;
}
const SHA256: Scheme = { algorithm: "sha256", size: 32 };
const SHA512: Scheme = { algorithm: "sha512", size: 64 };

/** `count` bytes of `block`, repeated. */
function stretch(block: Buffer, count: number): Buffer {
  const out = Buffer.alloc(count);
  for (let at = 0; at < count; at += block.length) block.copy(out, at, 0, Math.min(block.length, count - at));
  return out;
}

function rawCrypt(scheme: Scheme, key: Buffer, salt: Buffer, rounds: number): Buffer {
  const hash = (...pieces: readonly Buffer[]): Buffer => digest(scheme.algorithm, ...pieces);
  const b = hash(key, salt, key);
  const a: Buffer[] = [key, salt, stretch(b, key.length)];
  for (let bits = key.length; bits > 0; bits >>= 1) a.push((bits & 1) === 1 ? b : key);
  let current = hash(...a);
  const p = stretch(hash(...Array.from({ length: key.length }, () => key)), key.length);
  const repeats = 16 + (current[0] ?? 0);
  const s = stretch(hash(...Array.from({ length: repeats }, () => salt)), salt.length);
  for (let i = 0; i < rounds; i++) {
    const pieces: Buffer[] = [i % 2 === 1 ? p : current];
    if (i % 3 !== 0) pieces.push(s);
    if (i % 7 !== 0) pieces.push(p);
    pieces.push(i % 2 === 1 ? current : p);
    current = hash(...pieces);
  }
  return current;
}

/** The order in which crypt's base64 takes the bytes. */
function permutation(size: number): readonly number[] {
  const third = Math.floor(size / 3);
  const order: number[] = [];
  for (let i = 0; i < third; i++) {
    const offsets = [i, i + third, i + 2 * third];
    // Each group of three starts one offset further back (32 bytes) or on (64 bytes) than the one before.
    const start = size === 32 ? (3 - (i % 3)) % 3 : i % 3;
    for (let k = 0; k < 3; k++) order.push(offsets[(start + k) % 3] ?? 0);
  }
  return order;
}

function encode(raw: Buffer): string {
  const order = permutation(raw.length);
  let text = "";
  const put = (value: number, characters: number): void => {
    for (let k = 0; k < characters; k++) text += ALPHABET[(value >> (6 * k)) & 0x3f];
  };
  for (let i = 0; i < order.length; i += 3)
    put(
      ((raw[order[i] ?? 0] ?? 0) << 16) |
        ((raw[order[i + 1] ?? 0] ?? 0) << 8) |
        (raw[order[i + 2] ?? 0] ?? 0),
      4,
    );
  if (raw.length === 32) put(((raw[31] ?? 0) << 8) | (raw[30] ?? 0), 3);
  else put(raw[63] ?? 0, 2);
  return text;
}

/** crypt(3) for the setting `$5$salt` or `$6$rounds=N$salt$...`; null for other schemes and for rounds beyond our bound. */
export function shaCrypt(password: string, setting: string): string | null {
  const m = SCHEME.exec(setting);
  if (m === null) return null;
  const scheme = m[1] === "5" ? SHA256 : SHA512;
  const asked = m[2] === undefined ? ROUNDS_DEFAULT : Math.max(Number(m[2]), ROUNDS_MIN);
  if (asked > SHACRYPT_ROUNDS_MAX) return null;
  const salt = Buffer.from(m[3] ?? "").subarray(0, SALT_MAX);
  const raw = rawCrypt(scheme, Buffer.from(password), salt, asked);
  const rounds = m[2] === undefined ? "" : `rounds=${asked}$`;
  return `$${m[1]}$${rounds}${salt.toString()}$${encode(raw)}`;
}

/** Does `password` give `hash`? null when the scheme is not ours. */
export function checkShaCrypt(password: string, hash: string): boolean | null {
  const made = shaCrypt(password, hash);
  return made === null ? null : sameBytes(Buffer.from(made), Buffer.from(hash));
}

/** A sha512crypt hash for a new password. */
export function makeShaCrypt(password: string, entropy: Entropy): string {
  let salt = "";
  for (let i = 0; i < SALT_MAX; i++) salt += ALPHABET[entropy.below(64)];
  return shaCrypt(password, `$6$${salt}`) ?? "*";
}
