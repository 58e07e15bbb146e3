// Certificates, requests and PKCS#12 files made with node-forge, RSA only. Forge only ever issues here: keys come from OpenSSL, and
// everything made is read and verified by OpenSSL. What comes from outside (a request) is taken apart by request.ts, not by forge.

import forge from "node-forge";
import { err, ok, type Result } from "../base/result.ts";

/** Who a certificate is for or from. */
export interface Subject {
  readonly commonName: string;
  readonly organization: string;
  /** Two letters, or "". */
  readonly country: string;
}

/** "DNS:mail.example.org", "IP:192.0.2.1", "email:mick@example.org" */
export type AlternativeName = string;

export type CertificateKind = "ca" | "server" | "client";

export interface CertificatePlan {
  readonly kind: CertificateKind;
  readonly subject: Subject;
  readonly issuer: Subject;
  /** SubjectPublicKeyInfo, PEM. */
  readonly publicKey: string;
  /** PKCS#8, PEM: the issuer's. */
  readonly signingKey: string;
  /** The issuer's certificate, PEM; "" when it signs itself. */
  readonly issuerCertificate: string;
  /** Hex, positive. */
  readonly serial: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly alternatives: readonly AlternativeName[];
}

function attributes(subject: Subject): forge.pki.CertificateField[] {
  const utf8 = forge.asn1.Type.UTF8 as unknown as forge.asn1.Class;
  const printable = forge.asn1.Type.PRINTABLESTRING as unknown as forge.asn1.Class;
  return [
    ...(subject.country === ""
      ? []
      : [{ name: "countryName", value: subject.country, valueTagClass: printable }]),
    ...(subject.organization === ""
      ? []
      : [{ name: "organizationName", value: subject.organization, valueTagClass: utf8 }]),
    { name: "commonName", value: subject.commonName, valueTagClass: utf8 },
  ];
}

/** forge's GeneralName types: 1 rfc822Name, 2 dNSName, 7 iPAddress. */
function alternative(name: AlternativeName): { type: number; value?: string; ip?: string } {
  const value = name.slice(name.indexOf(":") + 1);
  if (name.startsWith("IP:")) return { type: 7, ip: value };
  return { type: name.startsWith("email:") ? 1 : 2, value };
}

function extensions(plan: CertificatePlan, issuerKeyId: string): object[] {
  const own = { name: "subjectKeyIdentifier" };
  if (plan.kind === "ca")
    return [
      { name: "basicConstraints", cA: true, pathLenConstraint: 0, critical: true },
      { name: "keyUsage", keyCertSign: true, cRLSign: true, critical: true },
      own,
    ];
  return [
    { name: "basicConstraints", cA: false, critical: true },
    { name: "keyUsage", digitalSignature: true, keyEncipherment: true, critical: true },
    // A gateway shows the same certificate to clients and to next hops.
    { name: "extKeyUsage", serverAuth: plan.kind === "server", clientAuth: true },
    own,
    { name: "authorityKeyIdentifier", keyIdentifier: issuerKeyId },
    ...(plan.alternatives.length === 0
      ? []
      : [{ name: "subjectAltName", altNames: plan.alternatives.map(alternative) }]),
  ];
}

/** The certificate, PEM. */
export function makeCertificate(plan: CertificatePlan): string {
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.publicKeyFromPem(plan.publicKey);
  certificate.serialNumber = plan.serial;
  certificate.validity.notBefore = new Date(plan.notBeforeMs);
  certificate.validity.notAfter = new Date(plan.notAfterMs);
  certificate.setSubject(attributes(plan.subject));
  certificate.setIssuer(attributes(plan.issuer));
  const issuerKeyId =
    plan.issuerCertificate === ""
      ? ""
      : forge.pki.certificateFromPem(plan.issuerCertificate).generateSubjectKeyIdentifier().getBytes();
  certificate.setExtensions(extensions(plan, issuerKeyId));
  certificate.sign(forge.pki.privateKeyFromPem(plan.signingKey), forge.md.sha256.create());
  return forge.pki.certificateToPem(certificate).replaceAll("\r\n", "\n");
}

/** A certificate request (PKCS#10), PEM, signed with `privateKey` (PKCS#8, PEM). */
export function makeRequest(
  subject: Subject,
  alternatives: readonly AlternativeName[],
  keys: { readonly privateKey: string; readonly publicKey: string },
): string {
  const request = forge.pki.createCertificationRequest();
  request.publicKey = forge.pki.publicKeyFromPem(keys.publicKey);
  request.setSubject(attributes(subject));
  if (alternatives.length > 0)
    request.setAttributes([
      {
        name: "extensionRequest",
        extensions: [{ name: "subjectAltName", altNames: alternatives.map(alternative) }],
      },
    ]);
  request.sign(forge.pki.privateKeyFromPem(keys.privateKey), forge.md.sha256.create());
  return forge.pki.certificationRequestToPem(request).replaceAll("\r\n", "\n");
}

/**
 * Key and certificates as PKCS#12 for a mail client. `legacy`: triple DES, for programs that know nothing newer; else AES-256.
 * The files are our own; the error is forge's when they are not.
 */
export function makePkcs12(
  parts: { readonly privateKey: string; readonly certificates: readonly string[]; readonly name: string },
  password: string,
  legacy: boolean,
): Result<Buffer> {
  try {
    const file = forge.pkcs12.toPkcs12Asn1(
      forge.pki.privateKeyFromPem(parts.privateKey),
      parts.certificates.map((pem) => forge.pki.certificateFromPem(pem)),
      password,
      { algorithm: legacy ? "3des" : "aes256", friendlyName: parts.name, count: 20_000 },
    );
    return ok(Buffer.from(forge.asn1.toDer(file).getBytes(), "binary"));
  } catch (e) {
    return err(e instanceof Error ? e.message : String(e));
  }
}
