// A small certificate authority in a folder: cacert.pem, cakey.pem (0600), ca.json (what was issued), crl.pem, issued/SERIAL.pem.
// Promises that nothing is overwritten by init, that state changes are whole or not at all, under a lock, and that the key is only read
// from a file that nobody else can read. Validity begins a day early: the clock of whoever checks may be behind ours.

import { ISSUED_ALTERNATIVES_MAX, ISSUED_DAYS_MAX, ISSUED_NAME_CHARS_MAX } from "../base/limits.ts";
import { err, ok, type Result } from "../base/result.ts";
import { generateRsa, readCertificate, readPrivateKey } from "../sys/crypto.ts";
import type { Entropy } from "../sys/entropy.ts";
import { lockFile } from "../sys/filelock.ts";
import { makeDirectory, readBoundedFile, replaceFile, statPath } from "../sys/files.ts";
import { addressFamily } from "../sys/net.ts";
import { currentUser } from "../sys/process.ts";
import { type AlternativeName, type CertificateKind, makeCertificate, type Subject } from "./issuer.ts";
import { makeRevocationList, type Revoked } from "./revocation.ts";
import { untrusted } from "./trust.ts";

const DAY_MS = 86_400_000;
const LOCK_WAIT_MS = 10_000;
const STATE_BYTES_MAX = 16 * 1024 * 1024;

export interface Issued {
  /** Hex. */
  readonly serial: string;
  readonly name: string;
  readonly kind: "server" | "client";
  readonly alternatives: readonly AlternativeName[];
  /** ISO 8601. */
  readonly notBefore: string;
  readonly notAfter: string;
  /** When it was revoked, ISO 8601, and why. */
  readonly revoked?: string;
  readonly reason?: string;
}

interface State {
  readonly format: "postern-ca";
  readonly version: 1;
  readonly subject: Subject;
  readonly crlNumber: number;
  readonly issued: readonly Issued[];
}

export interface Surroundings {
  /** Wall clock, milliseconds. */
  readonly nowMs: number;
  readonly entropy: Entropy;
}

function path(folder: string, name: string): string {
  return `${folder}/${name}`;
}

/** A name that can stand in a certificate, a file name and a log line. */
export function checkName(name: string): string | null {
  if (name === "" || name.length > ISSUED_NAME_CHARS_MAX)
    return `a name has 1 to ${ISSUED_NAME_CHARS_MAX} characters`;
  if (/[\p{Cc}\p{Zl}\p{Zp}/\\]/u.test(name) || name.startsWith(".") || name.startsWith("-"))
    return "a name holds no control character and no slash, and does not begin with a dot or dash";
  return null;
}

/** "DNS:x", "IP:1.2.3.4", "email:a@b"; a bare word is taken for what it looks like. null: none of them. */
export function alternativeOf(word: string): AlternativeName | null {
  const m = /^(DNS|IP|email):(.*)$/i.exec(word);
  const value = m === null ? word : (m[2] ?? "");
  const type = (
    m?.[1] ?? (addressFamily(value) > 0 ? "IP" : value.includes("@") ? "email" : "DNS")
  ).toLowerCase();
  if (type === "ip") return addressFamily(value) === 0 ? null : `IP:${value}`;
  if (type === "email") return /^[!-~]+@[A-Za-z0-9.-]+$/.test(value) ? `email:${value}` : null;
  return /^(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/.test(value) ? `DNS:${value}` : null;
}

function newSerial(entropy: Entropy): string {
  const bytes = entropy.bytes(16);
  // Positive, and never with a zero in front: the text form is the number's.
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString("hex");
}

/** Why a file cannot be written or a folder made, put together with the rest. */
function all(...results: readonly Result<true>[]): Result<true> {
  return results.find((r) => !r.ok) ?? ok(true);
}

function isState(value: unknown): value is State {
  return (
    typeof value === "object" &&
    value !== null &&
    "format" in value &&
    value.format === "postern-ca" &&
    "version" in value &&
    value.version === 1 &&
    "issued" in value &&
    Array.isArray(value.issued)
  );
}

function readText(file: string): Result<string> {
  const bytes = readBoundedFile(file, STATE_BYTES_MAX);
  if (bytes.kind === "found") return ok(bytes.value.toString("utf8"));
  return err(
    bytes.kind === "absent"
      ? `${file}: No such file or directory (postern cert ca init makes an authority)`
      : bytes.reason,
  );
}

function readState(folder: string): Result<State> {
  const text = readText(path(folder, "ca.json"));
  if (!text.ok) return text;
  try {
    const value: unknown = JSON.parse(text.value);
    return isState(value) ? ok(value) : err(`${folder}/ca.json is not the state of an authority`);
  } catch (e) {
    return err(`${folder}/ca.json: ${e instanceof Error ? e.message : String(e)}`);
  }
}

function writeState(folder: string, state: State): Result<true> {
  return replaceFile(path(folder, "ca.json"), `${JSON.stringify(state, null, 1)}\n`, 0o600);
}

interface Opened {
  readonly state: State;
  readonly certificate: string;
  readonly key: string;
  readonly notAfterMs: number;
}

function openAuthority(folder: string): Result<Opened> {
  const state = readState(folder);
  if (!state.ok) return state;
  const wrong = untrusted(path(folder, "cakey.pem"), "key", {
    groupReadableKey: false,
    owners: [currentUser().uid],
  });
  if (wrong !== null) return err(`${folder}/cakey.pem unsafe: ${wrong}`);
  const certificate = readText(path(folder, "cacert.pem"));
  if (!certificate.ok) return certificate;
  const key = readText(path(folder, "cakey.pem"));
  if (!key.ok) return key;
  const read = readCertificate(certificate.value);
  if (!read.ok) return err(`${folder}/cacert.pem: ${read.error}`);
  return ok({
    state: state.value,
    certificate: certificate.value,
    key: key.value,
    notAfterMs: read.value.validToDate.getTime(),
  });
}

/** Runs `work` with the authority's folder locked. */
async function locked<T>(folder: string, work: () => Result<T>): Promise<Result<T>> {
  const lock = await lockFile(path(folder, "ca.json"), LOCK_WAIT_MS);
  if (!lock.ok) return lock;
  try {
    return work();
  } finally {
    lock.value.release();
  }
}

/** Days as given, or `otherwise`; an error when they make no sense. */
export function checkDays(days: number): string | null {
  return Number.isSafeInteger(days) && days >= 1 && days <= ISSUED_DAYS_MAX
    ? null
    : `days must be 1 to ${ISSUED_DAYS_MAX}`;
}

/** Makes an authority in `folder`, which must not hold one. */
export async function initAuthority(
  folder: string,
  subject: Subject,
  options: { readonly days: number; readonly bits: number },
  around: Surroundings,
): Promise<Result<true>> {
  const wrong = checkName(subject.commonName) ?? checkDays(options.days);
  if (wrong !== null) return err(wrong);
  if (subject.country !== "" && !/^[A-Z]{2}$/.test(subject.country))
    return err("a country is two capital letters");
  // The list of revocations is read by the gateway after it gave up root: the way to it is open, the files are not.
  const made = makeDirectory(path(folder, "issued"), 0o711);
  if (!made.ok) return made;
  return locked(folder, () => {
    for (const name of ["ca.json", "cacert.pem", "cakey.pem"])
      if (statPath(path(folder, name)).kind !== "absent")
        return err(`${folder}/${name} is there: an authority is never overwritten`);
    const keys = generateRsa(options.bits);
    const notBeforeMs = around.nowMs - DAY_MS;
    const certificate = makeCertificate({
      kind: "ca",
      subject,
      issuer: subject,
      publicKey: keys.publicKey,
      signingKey: keys.privateKey,
      issuerCertificate: "",
      serial: newSerial(around.entropy),
      notBeforeMs,
      notAfterMs: notBeforeMs + options.days * DAY_MS,
      alternatives: [],
    });
    const state: State = { format: "postern-ca", version: 1, subject, crlNumber: 0, issued: [] };
    const written = all(
      replaceFile(path(folder, "cakey.pem"), keys.privateKey, 0o600),
      replaceFile(path(folder, "cacert.pem"), certificate, 0o644),
      writeState(folder, state),
    );
    return written.ok ? writeRevocations(folder, around, 0) : written;
  });
}

export interface IssuePlan {
  readonly name: string;
  readonly kind: "server" | "client";
  readonly alternatives: readonly AlternativeName[];
  readonly days: number;
  /** PEM. */
  readonly publicKey: string;
}

/** Issues a certificate for a public key; the result is its PEM and what was noted. */
export async function issueCertificate(
  folder: string,
  plan: IssuePlan,
  around: Surroundings,
): Promise<Result<{ readonly certificate: string; readonly issued: Issued }>> {
  const wrong = checkName(plan.name) ?? checkDays(plan.days);
  if (wrong !== null) return err(wrong);
  if (plan.alternatives.length > ISSUED_ALTERNATIVES_MAX) return err("too many alternative names");
  return locked(folder, () => {
    const opened = openAuthority(folder);
    if (!opened.ok) return opened;
    const authority = opened.value;
    const notBeforeMs = around.nowMs - DAY_MS;
    const notAfterMs = Math.min(notBeforeMs + plan.days * DAY_MS, authority.notAfterMs);
    if (notAfterMs <= around.nowMs) return err("the authority itself has expired");
    const serial = newSerial(around.entropy);
    const kind: CertificateKind = plan.kind;
    const certificate = makeCertificate({
      kind,
      subject: { ...authority.state.subject, commonName: plan.name },
      issuer: authority.state.subject,
      publicKey: plan.publicKey,
      signingKey: authority.key,
      issuerCertificate: authority.certificate,
      serial,
      notBeforeMs,
      notAfterMs,
      alternatives: plan.alternatives,
    });
    const issued: Issued = {
      serial,
      name: plan.name,
      kind: plan.kind,
      alternatives: plan.alternatives,
      notBefore: new Date(notBeforeMs).toISOString(),
      notAfter: new Date(notAfterMs).toISOString(),
    };
    const state = { ...authority.state, issued: [...authority.state.issued, issued] };
    const written = all(
      replaceFile(path(folder, `issued/${serial}.pem`), certificate, 0o644),
      writeState(folder, state),
    );
    return written.ok ? ok({ certificate, issued }) : written;
  });
}

/** The certificates issued, oldest first. */
export function listIssued(folder: string): Result<readonly Issued[]> {
  const state = readState(folder);
  return state.ok ? ok(state.value.issued) : state;
}

/** The newest certificate of that name or serial number that is not revoked. */
export function findIssued(list: readonly Issued[], which: string): Issued | undefined {
  return list.findLast(
    (i) => (i.name === which || i.serial === which.toLowerCase()) && i.revoked === undefined,
  );
}

/** The PEM of an issued certificate. */
export function issuedPem(folder: string, issued: Issued): Result<string> {
  return readText(path(folder, `issued/${issued.serial}.pem`));
}

/** Revokes every valid certificate of that name, or the one with that serial number, and writes a new list. */
export async function revokeCertificate(
  folder: string,
  which: string,
  reason: string,
  around: Surroundings,
): Promise<Result<readonly Issued[]>> {
  return locked(folder, () => {
    const state = readState(folder);
    if (!state.ok) return state;
    const hit = (i: Issued): boolean =>
      i.revoked === undefined && (i.name === which || i.serial === which.toLowerCase());
    const revoked = state.value.issued.filter(hit);
    if (revoked.length === 0) return err(`no valid certificate of ${which}`);
    const now = new Date(around.nowMs).toISOString();
    const issued = state.value.issued.map((i) => (hit(i) ? { ...i, revoked: now, reason } : i));
    const written = writeState(folder, { ...state.value, issued });
    if (!written.ok) return written;
    const list = writeRevocations(folder, around, 0);
    return list.ok ? ok(revoked) : list;
  });
}

/** Writes crl.pem anew. `days` 0: valid as long as the authority (the list is read from this folder, not fetched). */
export function renewRevocations(folder: string, around: Surroundings, days: number): Promise<Result<true>> {
  return locked(folder, () => writeRevocations(folder, around, days));
}

function writeRevocations(folder: string, around: Surroundings, days: number): Result<true> {
  const opened = openAuthority(folder);
  if (!opened.ok) return opened;
  const { state, certificate, key, notAfterMs } = opened.value;
  const read = readCertificate(certificate);
  const signing = readPrivateKey(key);
  if (!read.ok) return read;
  if (!signing.ok) return signing;
  const revoked: Revoked[] = state.issued
    .filter((i) => i.revoked !== undefined)
    .map((i) => ({ serial: i.serial, atMs: Date.parse(i.revoked ?? ""), reason: i.reason ?? "unspecified" }));
  const list = makeRevocationList({
    authority: { der: read.value.raw, pem: certificate },
    key: signing.value,
    number: state.crlNumber + 1,
    thisUpdateMs: around.nowMs - DAY_MS,
    nextUpdateMs: days === 0 ? notAfterMs : around.nowMs + days * DAY_MS,
    revoked,
  });
  return all(
    replaceFile(path(folder, "crl.pem"), list, 0o644),
    writeState(folder, { ...state, crlNumber: state.crlNumber + 1 }),
  );
}
