// The commands of `postern cert ca`: words in, files and a report out. Keys are made here (RSA, by OpenSSL) and written 0600;
// certificates land beside the configuration's others, where sendmail.mc names them.

import { CERTIFICATE_FILE_BYTES_MAX } from "../base/limits.ts";
import { err, ok, type Result } from "../base/result.ts";
import { generateRsa, readCertificate } from "../sys/crypto.ts";
import { beginReplacement, makeDirectory, readBoundedFile, replaceFile, statPath } from "../sys/files.ts";
import {
  alternativeOf,
  checkDays,
  checkName,
  findIssued,
  type Issued,
  initAuthority,
  issueCertificate,
  issuedPem,
  listIssued,
  renewRevocations,
  revokeCertificate,
  type Surroundings,
} from "./authority.ts";
import { type AlternativeName, makePkcs12, makeRequest } from "./issuer.ts";
import { parseRequest } from "./request.ts";
import { isReason, REASON_WORDS } from "./revocation.ts";

/** Days of what we issue: what mail clients still take from a private authority. */
const DAYS = 825;
const AUTHORITY_DAYS = 3650;
const KEY_BITS = 2048;
const CLOCK_FLOOR_MS = Date.UTC(2025, 0, 1);
const KEY_BITS_ALLOWED: readonly number[] = [2048, 3072, 4096];

export interface CertWords {
  readonly command: string;
  readonly names: readonly string[];
  readonly flags: ReadonlySet<string>;
  readonly values: ReadonlyMap<string, string>;
  readonly alternatives: readonly string[];
}

const FLAGS = new Set(["server", "client", "json", "legacy"]);
const VALUES = new Set(["dir", "out", "days", "bits", "name", "org", "country", "reason", "alt", "key"]);

/** Splits `ca COMMAND [NAME] [--word [value]]...`. The error is one line. */
export function parseCertWords(args: readonly string[]): Result<CertWords> {
  const names: string[] = [];
  const flags = new Set<string>();
  const values = new Map<string, string>();
  const alternatives: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const m = /^--([a-z0-9]+)(?:=(.*))?$/s.exec(args[i] ?? "");
    if (m === null) {
      names.push(args[i] ?? "");
      continue;
    }
    const word = m[1] ?? "";
    if (FLAGS.has(word)) flags.add(word);
    else if (!VALUES.has(word)) return err(`unknown option --${word}`);
    else {
      const value = m[2] ?? args[++i];
      if (value === undefined) return err(`--${word} requires a value`);
      if (word === "alt") alternatives.push(value);
      else values.set(word, value);
    }
  }
  const [ca, command, ...rest] = names;
  if (ca !== "ca" || command === undefined) return err("cert ca COMMAND ...");
  return ok({ command, names: rest, flags, values, alternatives });
}

export interface Desk extends Surroundings {
  /** The authority's folder when --dir is not given, and where certificates go when --out is not. */
  readonly folder: string;
  readonly out: string;
  ask(prompt: string): Promise<string | null>;
}

interface Job {
  readonly words: CertWords;
  readonly desk: Desk;
  readonly folder: string;
  readonly out: string;
}

type Report = Result<string>;

function number(job: Job, word: string, otherwise: number): number {
  const value = job.words.values.get(word);
  return value === undefined ? otherwise : /^\d{1,6}$/.test(value) ? Number(value) : Number.NaN;
}

function bitsOf(job: Job): Result<number> {
  const bits = number(job, "bits", KEY_BITS);
  return KEY_BITS_ALLOWED.includes(bits) ? ok(bits) : err(`--bits is one of ${KEY_BITS_ALLOWED.join(", ")}`);
}

function alternativesOf(words: readonly string[]): Result<readonly AlternativeName[]> {
  const names: AlternativeName[] = [];
  for (const word of words) {
    const name = alternativeOf(word);
    if (name === null) return err(`not a DNS name, address or email address: ${word}`);
    if (!names.includes(name)) names.push(name);
  }
  return ok(names);
}

/** --server or --client; without either a name with @ is a client's. */
function kindOf(words: CertWords, name: string): "server" | "client" {
  if (words.flags.has("client")) return "client";
  return words.flags.has("server") || !name.includes("@") ? "server" : "client";
}

/** The alternative names: those given, and the name itself where it is a host name or mail address. */
function wantedNames(
  words: CertWords,
  name: string,
  kind: "server" | "client",
): Result<readonly AlternativeName[]> {
  const itself = alternativeOf(name);
  const fits =
    itself !== null && (kind === "server" ? !itself.startsWith("email:") : itself.startsWith("email:"));
  return alternativesOf([...(fits ? [itself] : []), ...words.alternatives]);
}

/** A new private key; an existing file is never overwritten. */
function writeNewKey(file: string, pem: string): Result<true> {
  if (statPath(file).kind !== "absent") return err(`${file} is there: a key is never overwritten`);
  const begun = beginReplacement(file, { mode: 0o600 });
  if (!begun.ok) return begun;
  const written = begun.value.append(Buffer.from(pem));
  return written.ok ? begun.value.commit() : written;
}

async function init(job: Job): Promise<Report> {
  const bits = bitsOf(job);
  if (!bits.ok) return bits;
  const { values } = job.words;
  const subject = {
    commonName: values.get("name") ?? "Postern CA",
    organization: values.get("org") ?? "",
    country: values.get("country") ?? "",
  };
  const wrong = subject.organization === "" ? null : checkName(subject.organization);
  if (wrong !== null) return err(wrong);
  const days = number(job, "days", AUTHORITY_DAYS);
  const done = await initAuthority(job.folder, subject, { days, bits: bits.value }, job.desk);
  if (!done.ok) return done;
  return ok(
    `authority made in ${job.folder}\n  confCACERT  ${job.folder}/cacert.pem\n  confCRL     ${job.folder}/crl.pem\n`,
  );
}

async function issue(job: Job): Promise<Report> {
  const [name = ""] = job.words.names;
  const wrong = checkName(name) ?? checkDays(number(job, "days", DAYS));
  if (wrong !== null) return err(wrong);
  const kind = kindOf(job.words, name);
  const alternatives = wantedNames(job.words, name, kind);
  const bits = bitsOf(job);
  if (!alternatives.ok) return alternatives;
  if (!bits.ok) return bits;
  const listed = listIssued(job.folder);
  if (!listed.ok) return listed;
  const made = makeDirectory(job.out, 0o755);
  if (!made.ok) return made;
  const keyFile = `${job.out}/${name}.key`;
  const certificateFile = `${job.out}/${name}.pem`;
  if (statPath(certificateFile).kind !== "absent")
    return err(`${certificateFile} is there: use renew, or --out`);
  const keys = generateRsa(bits.value);
  const key = writeNewKey(keyFile, keys.privateKey);
  if (!key.ok) return key;
  const plan = {
    name,
    kind,
    alternatives: alternatives.value,
    days: number(job, "days", DAYS),
    publicKey: keys.publicKey,
  };
  const done = await issueCertificate(job.folder, plan, job.desk);
  if (!done.ok) return done;
  const written = replaceFile(certificateFile, done.value.certificate, 0o644);
  return written.ok
    ? ok(
        `certificate ${certificateFile}\nkey         ${keyFile}\nserial      ${done.value.issued.serial}\nvalid until ${done.value.issued.notAfter}\n`,
      )
    : written;
}

async function csr(job: Job): Promise<Report> {
  const [name = ""] = job.words.names;
  const wrong = checkName(name);
  if (wrong !== null) return err(wrong);
  const alternatives = wantedNames(job.words, name, kindOf(job.words, name));
  const bits = bitsOf(job);
  if (!alternatives.ok) return alternatives;
  if (!bits.ok) return bits;
  const { values } = job.words;
  const subject = {
    commonName: name,
    organization: values.get("org") ?? "",
    country: values.get("country") ?? "",
  };
  const made = makeDirectory(job.out, 0o755);
  if (!made.ok) return made;
  const keys = generateRsa(bits.value);
  const key = writeNewKey(`${job.out}/${name}.key`, keys.privateKey);
  if (!key.ok) return key;
  const written = replaceFile(
    `${job.out}/${name}.csr`,
    makeRequest(subject, alternatives.value, keys),
    0o644,
  );
  return written.ok ? ok(`request ${job.out}/${name}.csr\nkey     ${job.out}/${name}.key\n`) : written;
}

async function sign(job: Job): Promise<Report> {
  const [file = ""] = job.words.names;
  const text = readBoundedFile(file, CERTIFICATE_FILE_BYTES_MAX);
  if (text.kind !== "found")
    return err(text.kind === "absent" ? `${file}: No such file or directory` : text.reason);
  const request = parseRequest(text.value.toString("latin1"));
  if (!request.ok) return err(`${file}: ${request.error}`);
  const { commonName: name, publicKey } = request.value;
  const wrong = checkName(name);
  if (wrong !== null) return err(`${file}: ${wrong}`);
  const alternatives = alternativesOf([...request.value.alternatives, ...job.words.alternatives]);
  if (!alternatives.ok) return err(`${file}: ${alternatives.error}`);
  const kind = kindOf(job.words, name);
  const plan = { name, kind, alternatives: alternatives.value, days: number(job, "days", DAYS), publicKey };
  const done = await issueCertificate(job.folder, plan, job.desk);
  if (!done.ok) return done;
  const target = job.words.values.get("out") ?? `${file.replace(/\.(csr|req|pem)$/, "")}.crt`;
  const written = replaceFile(target, done.value.certificate, 0o644);
  return written.ok ? ok(`certificate ${target}\nserial      ${done.value.issued.serial}\n`) : written;
}

async function renew(job: Job): Promise<Report> {
  const [which = ""] = job.words.names;
  const list = listIssued(job.folder);
  if (!list.ok) return list;
  const old = findIssued(list.value, which);
  if (old === undefined) return err(`no valid certificate of ${which}`);
  const made = makeDirectory(job.out, 0o755);
  if (!made.ok) return made;
  const pem = issuedPem(job.folder, old);
  const read = pem.ok ? readCertificate(pem.value) : pem;
  if (!read.ok) return read;
  const publicKey = read.value.publicKey.export({ type: "spki", format: "pem" }).toString();
  const { name, kind, alternatives } = old;
  const plan = { name, kind, alternatives, days: number(job, "days", DAYS), publicKey };
  const done = await issueCertificate(job.folder, plan, job.desk);
  if (!done.ok) return done;
  const target = `${job.out}/${name}.pem`;
  const written = replaceFile(target, done.value.certificate, 0o644);
  return written.ok
    ? ok(
        `certificate ${target}\nserial      ${done.value.issued.serial}\nvalid until ${done.value.issued.notAfter}\n`,
      )
    : written;
}

async function revoke(job: Job): Promise<Report> {
  const [which = ""] = job.words.names;
  const reason = job.words.values.get("reason") ?? "unspecified";
  if (!isReason(reason)) return err(`--reason is one of ${REASON_WORDS.join(", ")}`);
  const done = await revokeCertificate(job.folder, which, reason, job.desk);
  if (!done.ok) return done;
  return ok(
    `${done.value.map((i) => `revoked ${i.name} ${i.serial}\n`).join("")}list    ${job.folder}/crl.pem\n`,
  );
}

async function crl(job: Job): Promise<Report> {
  const days = number(job, "days", 0);
  if (days !== 0 && checkDays(days) !== null) return err(checkDays(days) ?? "");
  const done = await renewRevocations(job.folder, job.desk, days);
  return done.ok ? ok(`list ${job.folder}/crl.pem\n`) : done;
}

/** "valid", "revoked DATE (reason)", "expired". */
function standing(issued: Issued, nowMs: number): string {
  if (issued.revoked !== undefined)
    return `revoked ${issued.revoked.slice(0, 10)} (${issued.reason ?? "unspecified"})`;
  return Date.parse(issued.notAfter) < nowMs ? "expired" : "valid";
}

async function show(job: Job): Promise<Report> {
  const [which] = job.words.names;
  const list = listIssued(job.folder);
  if (!list.ok) return list;
  const shown = list.value.filter(
    (i) => which === undefined || i.name === which || i.serial === which.toLowerCase(),
  );
  if (which !== undefined && shown.length === 0) return err(`nothing was issued for ${which}`);
  const withState = shown.map((i) => ({ ...i, state: standing(i, job.desk.nowMs) }));
  if (job.words.flags.has("json")) return ok(`${JSON.stringify(withState, null, 1)}\n`);
  const lines = withState.map(
    (i) =>
      `${i.serial}  ${i.kind}  until ${i.notAfter.slice(0, 10)}  ${i.state}  ${i.name}${which === undefined ? "" : `\n  ${i.alternatives.join(" ")}`}\n`,
  );
  return ok(lines.join(""));
}

async function exportFile(job: Job): Promise<Report> {
  const [which = ""] = job.words.names;
  const list = listIssued(job.folder);
  const issued = list.ok ? findIssued(list.value, which) : undefined;
  if (!list.ok) return list;
  if (issued === undefined) return err(`no valid certificate of ${which}`);
  const pem = issuedPem(job.folder, issued);
  if (!pem.ok) return pem;
  const keyFile = job.words.values.get("key") ?? `${job.desk.out}/${issued.name}.key`;
  const key = readBoundedFile(keyFile, CERTIFICATE_FILE_BYTES_MAX);
  const authority = readBoundedFile(`${job.folder}/cacert.pem`, CERTIFICATE_FILE_BYTES_MAX);
  if (key.kind !== "found") return err(`the key is needed in ${keyFile}`);
  if (authority.kind !== "found") return err(`${job.folder}/cacert.pem cannot be read`);
  const password = await job.desk.ask("Password of the file: ");
  if (password === null || password === "") return err("a password is needed");
  if ((await job.desk.ask("Again (for verification): ")) !== password)
    return err("passwords don't match; aborting");
  const parts = {
    privateKey: key.value.toString("latin1"),
    certificates: [pem.value, authority.value.toString("latin1")],
    name: issued.name,
  };
  const made = makePkcs12(parts, password, job.words.flags.has("legacy"));
  if (!made.ok) return made;
  const target = job.words.values.get("out") ?? `${job.desk.out}/${issued.name}.p12`;
  const written = replaceFile(target, made.value, 0o600);
  return written.ok ? ok(`exported ${target}\n`) : written;
}

const COMMANDS = new Map<string, { readonly run: (job: Job) => Promise<Report>; readonly names: number }>([
  ["init", { run: init, names: 0 }],
  ["issue", { run: issue, names: 1 }],
  ["csr", { run: csr, names: 1 }],
  ["sign", { run: sign, names: 1 }],
  ["renew", { run: renew, names: 1 }],
  ["revoke", { run: revoke, names: 1 }],
  ["crl", { run: crl, names: 0 }],
  ["show", { run: show, names: 0 }],
  ["export", { run: exportFile, names: 1 }],
]);

export type CertFailure = { readonly usage: boolean; readonly text: string };

/** Does one command. The text of success is for standard output. */
export async function runCert(words: CertWords, desk: Desk): Promise<Result<string, CertFailure>> {
  const command = COMMANDS.get(words.command);
  if (command === undefined) return err({ usage: true, text: `no command ${words.command}` });
  const optional = words.command === "show" ? 1 : 0;
  if (words.names.length < command.names || words.names.length > command.names + optional)
    return err({
      usage: true,
      text: `ca ${words.command} takes ${command.names === 0 ? "no name" : "one name"}`,
    });
  // A certificate that begins in 1970 has ended before anybody sees it.
  if (desk.nowMs < CLOCK_FLOOR_MS && words.command !== "show")
    return err({ usage: false, text: `the clock is not set (${new Date(desk.nowMs).toISOString()})` });
  const folder = words.values.get("dir") ?? desk.folder;
  const job: Job = { words, desk, folder, out: words.values.get("out") ?? desk.out };
  const done = await command.run(job);
  return done.ok ? done : err({ usage: false, text: done.error });
}
