// Revocation lists (RFC 5280 section 5): written with forge's ASN.1, signed by OpenSSL, version 2 with number and authority key.
// The issuer's name is copied byte for byte from its certificate.

import forge from "node-forge";
import { type KeyObject, signSha256 } from "../sys/crypto.ts";
import { children, DER, elementAt } from "./der.ts";

/** RFC 5280 5.3.1. */
const REASONS = new Map([
  ["unspecified", 0],
  ["keyCompromise", 1],
  ["affiliationChanged", 3],
  ["superseded", 4],
  ["cessationOfOperation", 5],
  ["privilegeWithdrawn", 9],
]);

export function isReason(word: string): boolean {
  return REASONS.has(word);
}
export const REASON_WORDS: readonly string[] = [...REASONS.keys()];

export interface Revoked {
  /** Hex. */
  readonly serial: string;
  readonly atMs: number;
  readonly reason: string;
}

const { Class, Type } = forge.asn1;
type Asn1 = forge.asn1.Asn1;
const RSA_SHA256 = "1.2.840.113549.1.1.11";
const CRL_NUMBER = "2.5.29.20";
const REASON_CODE = "2.5.29.21";
const AUTHORITY_KEY = "2.5.29.35";
const GENERALIZED_FROM_MS = Date.UTC(2050, 0, 1);

function universal(type: forge.asn1.Type, value: string | Asn1[]): Asn1 {
  return forge.asn1.create(Class.UNIVERSAL, type, Array.isArray(value), value);
}
function sequence(...parts: Asn1[]): Asn1 {
  return universal(Type.SEQUENCE, parts);
}
function oid(text: string): Asn1 {
  return universal(Type.OID, forge.asn1.oidToDer(text).getBytes());
}
/** A positive INTEGER from hex. */
function integer(hex: string): Asn1 {
  const even = hex.length % 2 === 0 ? hex : `0${hex}`;
  const bytes = Buffer.from(/^[89a-f]/i.test(even) ? `00${even}` : even, "hex");
  return universal(Type.INTEGER, bytes.toString("binary"));
}
function time(ms: number): Asn1 {
  const date = new Date(ms);
  return ms < GENERALIZED_FROM_MS
    ? universal(Type.UTCTIME, forge.asn1.dateToUtcTime(date))
    : universal(Type.GENERALIZEDTIME, forge.asn1.dateToGeneralizedTime(date));
}
function extension(id: string, value: Asn1): Asn1 {
  return sequence(oid(id), universal(Type.OCTETSTRING, forge.asn1.toDer(value).getBytes()));
}

/** The subject of a certificate, as its bytes are. */
function subjectBytes(der: Buffer): string {
  const outer = elementAt(der, 0, der.length);
  const body = outer === null ? null : elementAt(der, outer.start, outer.end);
  const fields = body === null ? null : children(der, body, 16);
  const subject = fields?.[(fields[0]?.tag === DER.context0 ? 1 : 0) + 4];
  return subject === undefined ? "" : der.toString("binary", subject.begin, subject.end);
}

export interface RevocationPlan {
  /** The authority's certificate: DER, and PEM for its key identifier. */
  readonly authority: { readonly der: Buffer; readonly pem: string };
  readonly key: KeyObject;
  /** Grows with each list. */
  readonly number: number;
  readonly thisUpdateMs: number;
  readonly nextUpdateMs: number;
  readonly revoked: readonly Revoked[];
}

/** The list, PEM. */
export function makeRevocationList(plan: RevocationPlan): string {
  const algorithm = sequence(oid(RSA_SHA256), universal(Type.NULL, ""));
  const entries = plan.revoked.map((r) =>
    sequence(
      integer(r.serial),
      time(r.atMs),
      ...((REASONS.get(r.reason) ?? 0)
        ? [
            sequence(
              extension(
                REASON_CODE,
                universal(Type.ENUMERATED, String.fromCharCode(REASONS.get(r.reason) ?? 0)),
              ),
            ),
          ]
        : []),
    ),
  );
  const keyId = forge.pki.certificateFromPem(plan.authority.pem).generateSubjectKeyIdentifier().getBytes();
  const extensions = sequence(
    extension(AUTHORITY_KEY, sequence(forge.asn1.create(Class.CONTEXT_SPECIFIC, 0, false, keyId))),
    extension(CRL_NUMBER, integer(plan.number.toString(16))),
  );
  const list = sequence(
    integer("01"),
    algorithm,
    forge.asn1.fromDer(subjectBytes(plan.authority.der)),
    time(plan.thisUpdateMs),
    time(plan.nextUpdateMs),
    ...(entries.length === 0 ? [] : [sequence(...entries)]),
    forge.asn1.create(Class.CONTEXT_SPECIFIC, 0, true, [extensions]),
  );
  const signed = Buffer.from(forge.asn1.toDer(list).getBytes(), "binary");
  const signature = signSha256(plan.key, signed);
  const whole = sequence(list, algorithm, universal(Type.BITSTRING, `\0${signature.toString("binary")}`));
  const base64 = Buffer.from(forge.asn1.toDer(whole).getBytes(), "binary").toString("base64");
  return `-----BEGIN X509 CRL-----\n${base64.replace(/.{64}(?=.)/g, "$&\n")}\n-----END X509 CRL-----\n`;
}
