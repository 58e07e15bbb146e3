// The credentials file (sasldb.json): SCRAM verifiers of every user, the secret itself only where CRAM-MD5 or DIGEST-MD5 need it.
// Promises that a file which others can read or write is refused, that a change is the old file or the new one, never half,
// and that a running daemon sees a change at its next question (it looks at the file's date, not at a signal).

import { SASLDB_BYTES_MAX, SCRAM_ITERATIONS_MADE } from "../base/limits.ts";
import { ABSENT, err, found, type Lookup, ok, type Result, tempfail } from "../base/result.ts";
import type { Entropy } from "../sys/entropy.ts";
import { lockFile } from "../sys/filelock.ts";
import { beginReplacement, type FileFacts, readBoundedFile, statPath } from "../sys/files.ts";
import type { Credential, ScramVerifier } from "./mechanism.ts";
import { foldRealm, prepareName } from "./names.ts";
import { fromBase64, makeVerifier } from "./scramkeys.ts";

const FORMAT = "postern-sasldb";
/** Milliseconds to wait for another saslpasswd. */
const LOCK_WAIT_MS = 10_000;

/** A place to ask for credentials. */
export interface CredentialStore {
  /** tempfail when the file cannot be trusted or read; its absence is an empty store. */
  find(user: string, realm: string): Lookup<Credential>;
  all(): Lookup<readonly Credential[]>;
}

export interface StoreRules {
  /** DontBlameSendmail has GroupReadableSASLDBFile. */
  readonly groupReadable: boolean;
  /** saslpasswd repairs a file that others could read; one that others could write it does not trust either. */
  readonly repairing?: boolean;
}

function wrongMode(path: string, facts: FileFacts, rules: StoreRules): string | null {
  if (facts.type !== "file") return `${path} unsafe: Regular files only`;
  if ((facts.mode & 0o020) !== 0) return `${path} unsafe: Group writable file`;
  if ((facts.mode & 0o002) !== 0) return `${path} unsafe: World writable file`;
  if (rules.repairing === true) return null;
  if ((facts.mode & 0o040) !== 0 && !rules.groupReadable) return `${path} unsafe: Group readable file`;
  if ((facts.mode & 0o004) !== 0) return `${path} unsafe: World readable file`;
  return null;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function bytesOf(value: unknown): Buffer | null {
  return typeof value === "string" ? fromBase64(value) : null;
}

function verifierFrom(value: unknown, size: number): ScramVerifier | null {
  if (!isRecord(value)) return null;
  const salt = bytesOf(value["salt"]);
  const storedKey = bytesOf(value["storedKey"]);
  const serverKey = bytesOf(value["serverKey"]);
  const iterations = value["iterations"];
  if (salt === null || salt.length === 0 || storedKey?.length !== size || serverKey?.length !== size)
    return null;
  if (typeof iterations !== "number" || !Number.isSafeInteger(iterations) || iterations < 1) return null;
  return { salt, iterations, storedKey, serverKey };
}

function credentialFrom(value: unknown): Credential | null {
  if (!isRecord(value)) return null;
  const { user, realm, secret } = value;
  if (typeof user !== "string" || prepareName(user) !== user || typeof realm !== "string") return null;
  if (secret !== undefined && typeof secret !== "string") return null;
  const sha1 = value["scramSha1"] === undefined ? undefined : verifierFrom(value["scramSha1"], 20);
  const sha256 = value["scramSha256"] === undefined ? undefined : verifierFrom(value["scramSha256"], 32);
  if (sha1 === null || sha256 === null) return null;
  return {
    user,
    realm: foldRealm(realm),
    ...(secret === undefined ? {} : { secret }),
    ...(sha1 === undefined ? {} : { scramSha1: sha1 }),
    ...(sha256 === undefined ? {} : { scramSha256: sha256 }),
  };
}

/** The users of a file's text; the reason when it is not such a file. One bad entry makes the whole file bad. */
export function parseStore(text: string): Result<readonly Credential[]> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (e) {
    return err(e instanceof Error ? e.message : String(e));
  }
  if (!isRecord(value) || value["format"] !== FORMAT) return err("not a credentials file of saslpasswd");
  if (value["version"] !== 1) return err(`version ${String(value["version"])} is not known`);
  const users = value["users"];
  if (!Array.isArray(users)) return err("no list of users");
  const read: Credential[] = [];
  for (const [i, entry] of users.entries()) {
    const credential = credentialFrom(entry);
    if (credential === null) return err(`user ${i + 1} is malformed`);
    read.push(credential);
  }
  return ok(read);
}

function verifierToJson(v: ScramVerifier): Readonly<Record<string, unknown>> {
  return {
    salt: v.salt.toString("base64"),
    iterations: v.iterations,
    storedKey: v.storedKey.toString("base64"),
    serverKey: v.serverKey.toString("base64"),
  };
}

/** The file's text, users in order of realm and name. */
export function formatStore(users: readonly Credential[]): string {
  const key = (c: Credential): string => `${c.realm}\0${c.user}`;
  const sorted = [...users].sort((a, b) => (key(a) < key(b) ? -1 : 1));
  const entries = sorted.map((c) => ({
    user: c.user,
    realm: c.realm,
    ...(c.secret === undefined ? {} : { secret: c.secret }),
    ...(c.scramSha1 === undefined ? {} : { scramSha1: verifierToJson(c.scramSha1) }),
    ...(c.scramSha256 === undefined ? {} : { scramSha256: verifierToJson(c.scramSha256) }),
  }));
  return `${JSON.stringify({ format: FORMAT, version: 1, users: entries }, null, 1)}\n`;
}

function mapKey(user: string, realm: string): string {
  return `${foldRealm(realm)}\0${user}`;
}

/** The store in `path`, read again when the file changes. */
export function openStore(path: string, rules: StoreRules): CredentialStore {
  let stamp = "";
  let users: Lookup<ReadonlyMap<string, Credential>> = ABSENT;

  function read(): Lookup<ReadonlyMap<string, Credential>> {
    const facts = statPath(path);
    if (facts.kind !== "found") {
      stamp = "";
      return facts;
    }
    const f = facts.value;
    const now = `${f.identity} ${f.size} ${f.modifiedNs} ${f.mode} ${f.uid}`;
    if (now === stamp) return users;
    const wrong = wrongMode(path, f, rules);
    const bytes = wrong === null ? readBoundedFile(path, SASLDB_BYTES_MAX) : tempfail(wrong);
    if (bytes.kind !== "found") return bytes;
    const parsed = parseStore(bytes.value.toString("utf8"));
    users = parsed.ok
      ? found(new Map(parsed.value.map((c) => [mapKey(c.user, c.realm), c])))
      : tempfail(`${path}: ${parsed.error}`);
    stamp = now;
    return users;
  }

  return {
    find(user, realm) {
      const known = read();
      if (known.kind !== "found") return known;
      const credential = known.value.get(mapKey(user, realm));
      return credential === undefined ? ABSENT : found(credential);
    },
    all() {
      const known = read();
      return known.kind === "found" ? found([...known.value.values()]) : known;
    },
  };
}

/** What is kept of a secret. `keepSecret`: CRAM-MD5 or DIGEST-MD5 are enabled. null: not a password. */
export async function makeCredential(
  user: string,
  realm: string,
  secret: string,
  keepSecret: boolean,
  entropy: Entropy,
): Promise<Credential | null> {
  const salt = entropy.bytes(16);
  const sha1 = await makeVerifier("sha1", secret, salt, SCRAM_ITERATIONS_MADE);
  const sha256 = await makeVerifier("sha256", secret, entropy.bytes(16), SCRAM_ITERATIONS_MADE);
  if (sha1 === null || sha256 === null) return null;
  return {
    user,
    realm: foldRealm(realm),
    ...(keepSecret ? { secret } : {}),
    scramSha1: sha1,
    scramSha256: sha256,
  };
}

/**
 * Changes the file under its lock: `change` gets the users and returns those to write, or null to leave the file alone.
 * A new file is 0600 and belongs to `owner`; an existing one keeps its owner. `create` false: a missing file is an error.
 */
export async function changeStore(
  path: string,
  options: { readonly create: boolean; readonly owner?: { readonly uid: number; readonly gid: number } },
  change: (users: readonly Credential[]) => readonly Credential[] | null,
): Promise<Result<true>> {
  const lock = await lockFile(path, LOCK_WAIT_MS);
  if (!lock.ok) return lock;
  try {
    const facts = statPath(path);
    if (facts.kind === "tempfail") return err(facts.reason);
    if (facts.kind === "absent" && !options.create) return err(`${path}: No such file or directory`);
    // Content that cannot be read is not thrown away.
    const users = openStore(path, { groupReadable: true, repairing: true }).all();
    if (users.kind === "tempfail") return err(users.reason);
    const next = change(users.kind === "found" ? users.value : []);
    if (next === null) return ok(true);
    const owner = facts.kind === "found" ? { uid: facts.value.uid, gid: facts.value.gid } : options.owner;
    const begun = beginReplacement(path, { mode: 0o600, ...(owner === undefined ? {} : { owner }) });
    if (!begun.ok) return begun;
    const written = begun.value.append(Buffer.from(formatStore(next)));
    if (!written.ok) {
      begun.value.abandon();
      return written;
    }
    return begun.value.commit();
  } finally {
    lock.value.release();
  }
}
