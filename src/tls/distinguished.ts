// Distinguished names as Sendmail's macros and the access table write them: "/C=US/O=x/CN=Mick+20Bauer".
// The form of X509_NAME_oneline, then the characters that a table key cannot hold as +XX; a common name that holds NUL or is too long
// is replaced by a word that no rule matches (Sendmail's BadCertificate words), so nothing of it reaches a header or a log line.

import { CERTIFICATE_NAME_BYTES_MAX, COMMON_NAME_BYTES_MAX } from "../base/limits.ts";
import { children, DER, type Element, elementAt, oidText } from "./der.ts";

/** RFC 4519 and friends, with OpenSSL's short names. */
const SHORT_NAMES = new Map([
  ["2.5.4.3", "CN"],
  ["2.5.4.4", "SN"],
  ["2.5.4.5", "serialNumber"],
  ["2.5.4.6", "C"],
  ["2.5.4.7", "L"],
  ["2.5.4.8", "ST"],
  ["2.5.4.9", "street"],
  ["2.5.4.10", "O"],
  ["2.5.4.11", "OU"],
  ["2.5.4.12", "title"],
  ["2.5.4.13", "description"],
  ["2.5.4.15", "businessCategory"],
  ["2.5.4.17", "postalCode"],
  ["2.5.4.41", "name"],
  ["2.5.4.42", "GN"],
  ["2.5.4.43", "initials"],
  ["2.5.4.46", "dnQualifier"],
  ["2.5.4.65", "pseudonym"],
  ["2.5.4.97", "organizationIdentifier"],
  ["1.2.840.113549.1.9.1", "emailAddress"],
  ["0.9.2342.19200300.100.1.1", "UID"],
  ["0.9.2342.19200300.100.1.25", "DC"],
]);

const TOO_LONG = "BadCertificateTooLong";
const HAS_NUL = "BadCertificateContainsNUL";
const UNKNOWN = "BadCertificateUnknown";
const PARTS_MAX = 64;

export interface DistinguishedName {
  /** "/C=US/CN=Mick+20Bauer" */
  readonly line: string;
  /** The first common name, encoded the same way; "" when there is none. */
  readonly commonName: string;
}

const BAD: DistinguishedName = { line: UNKNOWN, commonName: UNKNOWN };

/** Blank, control bytes, bytes above 0x7e and `<>()"+\` as +XX (Sendmail's xtextify with its taboo characters). */
export function encodeForTable(text: string): string {
  return text.replace(
    /[^!-~]|[<>()"+\\]/g,
    (c) => `+${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`,
  );
}

/** A value as X509_NAME_oneline shows it: bytes that are not printable ASCII as \xHH. */
function oneline(value: Buffer): string {
  let text = "";
  for (const byte of value)
    text +=
      byte < 0x20 || byte > 0x7e
        ? `\\x${byte.toString(16).toUpperCase().padStart(2, "0")}`
        : String.fromCharCode(byte);
  return text;
}

function commonNameOf(value: Buffer): string {
  if (value.length > COMMON_NAME_BYTES_MAX) return TOO_LONG;
  if (value.includes(0)) return HAS_NUL;
  return encodeForTable(value.toString("latin1"));
}

/** A Name (RFC 5280 4.1.2.4) inside `bytes`. */
export function readName(bytes: Buffer, name: Element): DistinguishedName {
  if (name.tag !== DER.sequence) return BAD;
  let line = "";
  let commonName: string | null = null;
  for (const relative of children(bytes, name, PARTS_MAX) ?? [name]) {
    for (const pair of relative.tag === DER.set
      ? (children(bytes, relative, PARTS_MAX) ?? [relative])
      : [relative]) {
      const [type, value, extra] = pair.tag === DER.sequence ? (children(bytes, pair, 3) ?? []) : [];
      if (type?.tag !== DER.oid || value === undefined || extra !== undefined) return BAD;
      const oid = oidText(bytes, type);
      const content = bytes.subarray(value.start, value.end);
      line += `/${SHORT_NAMES.get(oid) ?? oid}=${oneline(content)}`;
      if (line.length > CERTIFICATE_NAME_BYTES_MAX) return { line: TOO_LONG, commonName: TOO_LONG };
      if (oid === "2.5.4.3") commonName ??= commonNameOf(content);
    }
  }
  return { line: encodeForTable(line), commonName: commonName ?? "" };
}

/** Subject and issuer of a certificate in DER. */
export function certificateNames(der: Buffer): {
  readonly subject: DistinguishedName;
  readonly issuer: DistinguishedName;
} {
  const bad = { subject: BAD, issuer: BAD };
  const outer = elementAt(der, 0, der.length);
  const body = outer === null ? null : elementAt(der, outer.start, outer.end);
  const fields = body === null ? null : children(der, body, 16);
  if (fields === null) return bad;
  // version [0] is left out of version 1 certificates.
  const skip = fields[0]?.tag === DER.context0 ? 1 : 0;
  const issuer = fields[skip + 2];
  const subject = fields[skip + 4];
  if (issuer === undefined || subject === undefined) return bad;
  return { subject: readName(der, subject), issuer: readName(der, issuer) };
}
