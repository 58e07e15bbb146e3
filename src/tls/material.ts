// The files of one side (server or client) of TLS: which options name them, what was read, and whether any has changed since.
// A file that fails its rules switches this side off with Sendmail's log text; the gateway runs on without it.

import {
  CERTIFICATE_FILE_BYTES_MAX,
  CERTIFICATE_FOLDER_FILES_MAX,
  KNOWN_CERTIFICATE_FILES_MAX,
} from "../base/limits.ts";
import { err, ok, type Result } from "../base/result.ts";
import type { Options } from "../config/options.ts";
import { readCertificate, readPrivateKey, type X509Certificate } from "../sys/crypto.ts";
import { errorText, listDirectory, readBoundedFile, statPath } from "../sys/files.ts";
import { type TlsPurpose, type TrustRules, untrusted } from "./trust.ts";

export type Side = "server" | "client";

/** What the options say; "" where they say nothing. */
export interface TlsFiles {
  readonly side: Side;
  /** Certificate files and, in the same order, their keys (Sendmail takes two of each, with a comma between). */
  readonly certificates: readonly string[];
  readonly keys: readonly string[];
  readonly authorityFile: string;
  readonly authorityFolder: string;
  readonly revocationFile: string;
  readonly revocationFolder: string;
  readonly dhParameters: string;
  readonly ciphers: string;
  readonly optionWords: readonly string[];
}

function list(value: string): readonly string[] {
  return value
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

/** The TLS files that a configuration names for one side. */
export function filesOf(options: Options, side: Side): TlsFiles {
  const server = side === "server";
  return {
    side,
    certificates: list(server ? options.ServerCertFile : options.ClientCertFile),
    keys: list(server ? options.ServerKeyFile : options.ClientKeyFile),
    authorityFile: options.CACertFile,
    authorityFolder: options.CACertPath,
    revocationFile: options.CRLFile,
    revocationFolder: options.CRLPath,
    // Digits ask for parameters that Sendmail has built in; ours are automatic.
    dhParameters: /^(\d+|none|auto)?$/i.test(options.DHParameters) ? "" : options.DHParameters,
    ciphers: options.CipherList,
    optionWords: server ? options.ServerSSLOptions : options.ClientSSLOptions,
  };
}

export interface Pair {
  readonly certificate: Buffer;
  readonly key: Buffer;
  /** The leaf, as OpenSSL reads it. */
  readonly leaf: X509Certificate;
}

export interface Material {
  readonly files: TlsFiles;
  readonly pairs: readonly Pair[];
  readonly authorities: readonly Buffer[];
  /** The first certificate of the authority file; null without one. */
  readonly authority: X509Certificate | null;
  readonly revocations: readonly Buffer[];
  readonly dhParameters: string;
  /** What the files looked like when they were read. */
  readonly stamp: string;
  /** Log lines about what was left out. */
  readonly notes: readonly string[];
}

/**
 * File contents that were read and found trustworthy, by purpose, rule and path, with what the file looked like then; and lists of
 * folders. Kept over reloads, because what only root may read is not read again once root was given up.
 */
export type KnownFiles = Map<string, { readonly stamp: string; readonly bytes: Buffer }>;

/** A reload may name other files; the oldest go first. */
function remember(known: KnownFiles, key: string, stamp: string, bytes: Buffer): void {
  known.delete(key);
  known.set(key, { stamp, bytes });
  const oldest = known.keys().next();
  if (known.size > KNOWN_CERTIFICATE_FILES_MAX && oldest.done !== true) known.delete(oldest.value);
}

/** What a file looks like; null when it may not even be looked at (its folder was closed to us with root's rights). */
function fileStamp(path: string): string | null {
  const facts = statPath(path);
  if (facts.kind === "tempfail") return null;
  if (facts.kind === "absent") return "absent";
  const f = facts.value;
  return `${f.identity} ${f.size} ${f.modifiedNs} ${f.mode} ${f.uid}`;
}

/** A word that changes whenever one of the named files or folders does; what cannot be looked at does not change. */
export function stampOf(files: TlsFiles): string {
  const named = [
    ...files.certificates,
    ...files.keys,
    files.authorityFile,
    files.authorityFolder,
    files.revocationFile,
    files.revocationFolder,
    files.dhParameters,
  ].filter((path) => path !== "");
  return named.map((path) => `${path} ${fileStamp(path) ?? "?"}`).join("\n");
}

/** One file by its rules. A file that did not change is not read again: after the start only root could read some. */
function readTrusted(
  side: Side,
  path: string,
  purpose: TlsPurpose,
  rules: TrustRules,
  known: KnownFiles,
): Result<Buffer> {
  const stamp = fileStamp(path);
  // One file may be certificate and key: what is open enough for the one is not for the other.
  const key = `${purpose} ${rules.groupReadableKey} ${path}`;
  const before = known.get(key);
  if (before !== undefined && (stamp === null || stamp === before.stamp)) return ok(before.bytes);
  const wrong = untrusted(path, purpose, rules);
  if (wrong !== null) return err(`STARTTLS=${side}: file ${path} unsafe: ${wrong}`);
  const bytes = readBoundedFile(path, CERTIFICATE_FILE_BYTES_MAX);
  if (bytes.kind === "found") {
    remember(known, key, stamp ?? "", bytes.value);
    return ok(bytes.value);
  }
  const why =
    bytes.kind === "absent" ? "No such file or directory" : errorText(bytes.reason.replace(/^.*: /, ""));
  return err(`STARTTLS=${side}: file ${path} unsafe: ${why}`);
}

const PEM_BLOCK =
  /-----BEGIN (TRUSTED CERTIFICATE|X509 CERTIFICATE|CERTIFICATE|X509 CRL)-----[A-Za-z0-9+/=\s]+-----END \1-----/g;

/** The PEM blocks of one kind in a file (text around them is ignored, as OpenSSL does). */
function blocks(bytes: Buffer, kind: "CERTIFICATE" | "X509 CRL"): Buffer[] {
  return [...bytes.toString("latin1").matchAll(PEM_BLOCK)]
    .filter((m) => (m[1] === "X509 CRL") === (kind === "X509 CRL"))
    .map((m) => Buffer.from(m[0]));
}

function readPair(
  side: Side,
  certificatePath: string,
  keyPath: string,
  rules: TrustRules,
  known: KnownFiles,
): Result<Pair> {
  const certificate = readTrusted(side, certificatePath, "certificate", rules, known);
  if (!certificate.ok) return certificate;
  const key = readTrusted(side, keyPath, "key", rules, known);
  if (!key.ok) return key;
  const leaf = readCertificate(certificate.value);
  if (!leaf.ok) return err(`STARTTLS=${side}, error: no certificate in ${certificatePath}: ${leaf.error}`);
  if (/ENCRYPTED/.test(key.value.toString("latin1")))
    return err(
      `STARTTLS=${side}, error: ${keyPath} is encrypted: a gateway that starts alone cannot ask for a passphrase`,
    );
  const parsed = readPrivateKey(key.value);
  if (!parsed.ok) return err(`STARTTLS=${side}, error: no private key in ${keyPath}: ${parsed.error}`);
  if (!leaf.value.checkPrivateKey(parsed.value))
    return err(`STARTTLS=${side}, error: ${keyPath} is not the key of ${certificatePath}`);
  return ok({ certificate: certificate.value, key: key.value, leaf: leaf.value });
}

/** A client without any file: it encrypts, shows nothing and verifies nothing. */
export function bareMaterial(files: TlsFiles): Material {
  return {
    files,
    pairs: [],
    authorities: [],
    authority: null,
    revocations: [],
    dhParameters: "",
    stamp: stampOf(files),
    notes: [],
  };
}

/** Files of a folder that hold `kind`: OpenSSL's hash names (1a2b3c4d.0, .r0) and *.pem, *.crt, *.crl. */
function folderBlocks(
  side: Side,
  folder: string,
  kind: "CERTIFICATE" | "X509 CRL",
  rules: TrustRules,
  known: KnownFiles,
  notes: string[],
): Buffer[] {
  const names = listDirectory(folder);
  const key = `folder ${folder}`;
  const before = known.get(key);
  if (names.kind === "found") remember(known, key, "", Buffer.from(names.value.join("\n")));
  if (names.kind === "absent" || (names.kind === "tempfail" && before === undefined)) {
    notes.push(
      `STARTTLS=${side}: folder ${folder} unsafe: ${names.kind === "absent" ? "No such file or directory" : names.reason}`,
    );
    return [];
  }
  const found: Buffer[] = [];
  const wanted = (names.kind === "found" ? [...names.value] : (before?.bytes.toString().split("\n") ?? []))
    .sort()
    .filter((name) => /^[0-9a-f]{8}\.r?\d+$|\.(pem|crt|cer|crl)$/.test(name));
  for (const name of wanted.slice(0, CERTIFICATE_FOLDER_FILES_MAX)) {
    const bytes = readTrusted(side, `${folder}/${name}`, "certificate", rules, known);
    if (bytes.ok) found.push(...blocks(bytes.value, kind));
    else notes.push(bytes.error);
  }
  return found;
}

/** Authorities only: a server's own certificate may lie in the same folder and is nobody's authority. */
function isAuthority(pem: Buffer): boolean {
  const certificate = readCertificate(pem);
  return certificate.ok && certificate.value.ca;
}

function readMany(
  files: TlsFiles,
  kind: "CERTIFICATE" | "X509 CRL",
  rules: TrustRules,
  known: KnownFiles,
  notes: string[],
): Result<Buffer[]> {
  const file = kind === "CERTIFICATE" ? files.authorityFile : files.revocationFile;
  const folder = kind === "CERTIFICATE" ? files.authorityFolder : files.revocationFolder;
  const found: Buffer[] = [];
  if (file !== "") {
    const bytes = readTrusted(files.side, file, "certificate", rules, known);
    if (!bytes.ok) return bytes;
    const some = blocks(bytes.value, kind);
    if (some.length === 0) return err(`STARTTLS=${files.side}, error: no ${kind} in ${file}`);
    found.push(...some);
  }
  if (folder !== "") found.push(...folderBlocks(files.side, folder, kind, rules, known, notes));
  const distinct = [...new Map(found.map((pem) => [pem.toString("latin1"), pem])).values()];
  return ok(kind === "CERTIFICATE" && folder !== "" ? distinct.filter(isAuthority) : distinct);
}

/** What the authority file begins with. */
function firstOf(files: TlsFiles, rules: TrustRules, known: KnownFiles): X509Certificate | null {
  if (files.authorityFile === "") return null;
  const bytes = readTrusted(files.side, files.authorityFile, "certificate", rules, known);
  const certificate = bytes.ok ? readCertificate(bytes.value) : null;
  return certificate?.ok === true ? certificate.value : null;
}

/**
 * Reads everything that `files` names. The error is the log line that says why this side has no TLS.
 * A client needs no certificate of its own; a server does. `known` is filled, and spares reading what did not change.
 */
export function readMaterial(files: TlsFiles, rules: TrustRules, known: KnownFiles): Result<Material> {
  const { side } = files;
  const stamp = stampOf(files);
  const name = side === "server" ? "Server" : "Client";
  if (side === "server" || files.certificates.length + files.keys.length > 0) {
    if (files.certificates.length === 0) return err(`STARTTLS=${side}, error: ${name}CertFile missing`);
    if (files.keys.length === 0) return err(`STARTTLS=${side}, error: ${name}KeyFile missing`);
    if (files.keys.length !== files.certificates.length)
      return err(
        `STARTTLS=${side}, error: ${name}CertFile and ${name}KeyFile name different numbers of files`,
      );
  }
  const pairs: Pair[] = [];
  for (const [i, certificate] of files.certificates.entries()) {
    const pair = readPair(side, certificate, files.keys[i] ?? "", rules, known);
    if (!pair.ok) return pair;
    pairs.push(pair.value);
  }
  const notes: string[] = [];
  const authorities = readMany(files, "CERTIFICATE", rules, known, notes);
  if (!authorities.ok) return authorities;
  const revocations = readMany(files, "X509 CRL", rules, known, notes);
  if (!revocations.ok) return revocations;
  let dhParameters = "";
  if (files.dhParameters !== "") {
    const dh = readTrusted(side, files.dhParameters, "certificate", rules, known);
    if (!dh.ok) return dh;
    dhParameters = dh.value.toString("latin1");
  }
  return ok({
    files,
    pairs,
    authorities: authorities.value,
    authority: firstOf(files, rules, known),
    revocations: revocations.value,
    dhParameters,
    stamp,
    notes,
  });
}
