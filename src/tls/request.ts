// Certificate requests from outside (PKCS#10, RFC 2986): taken apart with our own DER reader, signature verified by OpenSSL.
// Of what a request asks for we take the common name and DNS, IP and email alternative names; everything else the authority decides.

import {
  CERTIFICATE_FILE_BYTES_MAX,
  COMMON_NAME_BYTES_MAX,
  ISSUED_ALTERNATIVES_MAX,
} from "../base/limits.ts";
import { err, ok, type Result } from "../base/result.ts";
import { readPublicKey, verifies } from "../sys/crypto.ts";
import { children, DER, type Element, elementAt, oidText } from "./der.ts";
import type { AlternativeName } from "./issuer.ts";

export interface ParsedRequest {
  readonly commonName: string;
  readonly alternatives: readonly AlternativeName[];
  /** PEM. */
  readonly publicKey: string;
}

const SIGNATURES = new Map<string, "sha256" | "sha384" | "sha512">([
  ["1.2.840.113549.1.1.11", "sha256"],
  ["1.2.840.113549.1.1.12", "sha384"],
  ["1.2.840.113549.1.1.13", "sha512"],
]);
const EXTENSION_REQUEST = "1.2.840.113549.1.9.14";
const SUBJECT_ALT_NAME = "2.5.29.17";
const COMMON_NAME = "2.5.4.3";
const RSA_BITS_MIN = 2048;
const PARTS_MAX = 100;

/** Elements inside, empty when they cannot be read. */
function inside(bytes: Buffer, element: Element | undefined): readonly Element[] {
  return element === undefined ? [] : (children(bytes, element, PARTS_MAX) ?? []);
}

function text(bytes: Buffer, element: Element): string {
  return bytes.toString("utf8", element.start, element.end);
}

function commonNameIn(bytes: Buffer, name: Element | undefined): string {
  for (const relative of inside(bytes, name))
    for (const pair of inside(bytes, relative)) {
      const [type, value] = inside(bytes, pair);
      if (type !== undefined && value !== undefined && oidText(bytes, type) === COMMON_NAME)
        return text(bytes, value);
    }
  return "";
}

/** GeneralNames of the kinds we issue; others are null. */
function generalName(bytes: Buffer, element: Element): AlternativeName | null {
  const value = bytes.subarray(element.start, element.end);
  switch (element.tag) {
    case 0x81:
      return `email:${value.toString("latin1")}`;
    case 0x82:
      return `DNS:${value.toString("latin1")}`;
    case 0x87:
      if (value.length === 4) return `IP:${[...value].join(".")}`;
      if (value.length === 16) return `IP:${(value.toString("hex").match(/.{4}/g) ?? []).join(":")}`;
      return null;
    default:
      return null;
  }
}

function alternativesIn(bytes: Buffer, attributes: Element | undefined): AlternativeName[] {
  const names: AlternativeName[] = [];
  for (const attribute of inside(bytes, attributes)) {
    const [type, values] = inside(bytes, attribute);
    if (type === undefined || oidText(bytes, type) !== EXTENSION_REQUEST) continue;
    for (const extension of inside(bytes, inside(bytes, values)[0])) {
      const parts = inside(bytes, extension);
      const value = parts.at(-1);
      if (parts[0] === undefined || value === undefined || oidText(bytes, parts[0]) !== SUBJECT_ALT_NAME)
        continue;
      const list = elementAt(bytes, value.start, value.end);
      for (const name of inside(bytes, list ?? undefined)) {
        const known = generalName(bytes, name);
        if (known !== null) names.push(known);
      }
    }
  }
  return names.slice(0, ISSUED_ALTERNATIVES_MAX);
}

/** Reads a request in PEM and checks that its sender has the key. */
export function parseRequest(pem: string): Result<ParsedRequest> {
  const m = /-----BEGIN (?:NEW )?CERTIFICATE REQUEST-----([A-Za-z0-9+/=\s]+)-----END/.exec(
    pem.slice(0, CERTIFICATE_FILE_BYTES_MAX),
  );
  if (m === null) return err("no certificate request in PEM form");
  const bytes = Buffer.from(m[1] ?? "", "base64");
  const outer = elementAt(bytes, 0, bytes.length);
  const [info, algorithm, signature] = inside(bytes, outer ?? undefined);
  const [, subject, key, attributes] = inside(bytes, info);
  const [id] = inside(bytes, algorithm);
  if (info === undefined || key === undefined || id === undefined || signature?.tag !== DER.bits)
    return err("the certificate request is malformed");
  const name = SIGNATURES.get(oidText(bytes, id));
  if (name === undefined)
    return err("the request is not signed with RSA and SHA-256, SHA-384 or SHA-512 (RSA keys only)");
  const publicKey = readPublicKey(bytes.subarray(key.begin, key.end));
  if (!publicKey.ok) return err(`the key in the request cannot be read: ${publicKey.error}`);
  const bits = publicKey.value.asymmetricKeyDetails?.modulusLength ?? 0;
  if (publicKey.value.asymmetricKeyType !== "rsa" || bits < RSA_BITS_MIN)
    return err(`the key in the request is not RSA of ${RSA_BITS_MIN} bits or more`);
  const signed = bytes.subarray(info.begin, info.end);
  if (!verifies(name, publicKey.value, signed, bytes.subarray(signature.start + 1, signature.end)))
    return err("the signature of the request is wrong: its sender does not have the key");
  const commonName = commonNameIn(bytes, subject);
  if (commonName === "" || Buffer.byteLength(commonName) > COMMON_NAME_BYTES_MAX)
    return err("the request has no usable common name");
  return ok({
    commonName,
    alternatives: alternativesIn(bytes, attributes),
    publicKey: publicKey.value.export({ type: "spki", format: "pem" }).toString(),
  });
}
