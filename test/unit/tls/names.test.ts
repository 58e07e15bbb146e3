import assert from "node:assert/strict";
import { constants, generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { readCertificate } from "../../../src/sys/crypto.ts";
import { optionBits } from "../../../src/sys/tls.ts";
import { children, elementAt, oidText } from "../../../src/tls/der.ts";
import { certificateNames, encodeForTable, readName } from "../../../src/tls/distinguished.ts";
import { cipherBits } from "../../../src/tls/facts.ts";
import { makeCertificate } from "../../../src/tls/issuer.ts";
import { parseRequest } from "../../../src/tls/request.ts";

const keys = generateKeyPairSync("rsa", {
  modulusLength: 2048,
  publicKeyEncoding: { type: "spki", format: "pem" },
  privateKeyEncoding: { type: "pkcs8", format: "pem" },
});
const DAY = 86_400_000;
const now = Date.now();

/** A real certificate with this common name. */
function certificateOf(commonName: string): Buffer {
  const subject = { commonName, organization: "", country: "" };
  const pem = makeCertificate({
    kind: "client",
    subject,
    issuer: { commonName: "CA", organization: "", country: "" },
    publicKey: keys.publicKey,
    signingKey: keys.privateKey,
    issuerCertificate: makeCertificate({
      kind: "ca",
      subject: { commonName: "CA", organization: "", country: "" },
      issuer: { commonName: "CA", organization: "", country: "" },
      publicKey: keys.publicKey,
      signingKey: keys.privateKey,
      issuerCertificate: "",
      serial: "41",
      notBeforeMs: now - DAY,
      notAfterMs: now + DAY,
      alternatives: [],
    }),
    serial: "42",
    notBeforeMs: now - DAY,
    notAfterMs: now + DAY,
    alternatives: [],
  });
  const read = readCertificate(pem);
  assert.ok(read.ok);
  return read.value.raw;
}

// Reliability TLS-09 (CVE-2009-4565); the words are Sendmail's.
const COMMON_NAMES: readonly { name: string; input: string; cn: string; line: string | RegExp }[] = [
  { name: "plain", input: "mail.example.org", cn: "mail.example.org", line: "/CN=mail.example.org" },
  {
    name: "blank and specials",
    input: 'Darth Mail (Cert) <"+\\>',
    cn: "Darth+20Mail+20+28Cert+29+20+3C+22+2B+5C+3E",
    line: /^\/CN=Darth\+20Mail/,
  },
  {
    name: "NUL",
    input: "good.test\0.evil.test",
    cn: "BadCertificateContainsNUL",
    line: /good\.test\+5Cx00\.evil\.test/,
  },
  {
    name: "line feed",
    input: "a\r\nX-Evil: y",
    cn: "a+0D+0AX-Evil:+20y",
    line: /\/CN=a\+5Cx0D\+5Cx0AX-Evil:\+20y/,
  },
  {
    name: "ten kilobytes",
    input: "x".repeat(10_000),
    cn: "BadCertificateTooLong",
    line: "BadCertificateTooLong",
  },
  { name: "beyond ASCII", input: "é", cn: "+C3+A9", line: "/CN=+5CxC3+5CxA9" },
];
for (const c of COMMON_NAMES)
  test(`a peer's common name: ${c.name}`, () => {
    const { subject, issuer } = certificateNames(certificateOf(c.input));
    assert.equal(subject.commonName, c.cn);
    if (typeof c.line === "string") assert.equal(subject.line, c.line);
    else assert.match(subject.line, c.line);
    assert.equal(issuer.line, "/CN=CA");
  });

test("names never hold a control byte, a blank or a character above ~, whatever the bytes", () => {
  const good = certificateOf("mail.example.org");
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.nat(255), (at, byte) => {
      const bytes = Buffer.from(good);
      bytes[at] = byte;
      const { subject, issuer } = certificateNames(bytes);
      for (const text of [subject.line, subject.commonName, issuer.line, issuer.commonName])
        assert.match(text, /^[!-~]*$/);
    }),
    { numRuns: 2000 },
  );
});

test("any bytes at all: the DER reader stays inside and never throws", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (array) => {
      const bytes = Buffer.from(array);
      certificateNames(bytes);
      const e = elementAt(bytes, 0, bytes.length);
      if (e === null) return;
      assert.ok(e.end <= bytes.length && e.start <= e.end);
      readName(bytes, e);
      oidText(bytes, e);
      for (const child of children(bytes, e, 10) ?? []) assert.ok(child.end <= e.end);
    }),
    { numRuns: 3000 },
  );
});

test("any request text: an error or a request, never an exception", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (array) => {
      const pem = `-----BEGIN CERTIFICATE REQUEST-----\n${Buffer.from(array).toString("base64")}\n-----END CERTIFICATE REQUEST-----\n`;
      assert.equal(parseRequest(pem).ok, false);
    }),
    { numRuns: 1000 },
  );
});

test("lengths: indefinite, longer than the bytes and of five bytes are refused", () => {
  for (const bytes of [
    [0x30, 0x80, 0, 0],
    [0x30, 5, 1],
    [0x30, 0x85, 0, 0, 0, 0, 1, 0],
    [0x30],
    [],
    [0x3f, 0x81, 0],
  ])
    assert.equal(elementAt(Buffer.from(bytes), 0, bytes.length), null);
});

test("table form: what Sendmail's xtext leaves alone and what not", () => {
  assert.equal(encodeForTable("/C=US/O=a-b_c.d,e:f;g@h"), "/C=US/O=a-b_c.d,e:f;g@h");
  assert.equal(encodeForTable('a b+c<d>e(f)g"h'), "a+20b+2Bc+3Cd+3Ee+28f+29g+22h");
});

test("bits of a cipher", () => {
  for (const [name, bits] of [
    ["TLS_AES_256_GCM_SHA384", 256],
    ["TLS_AES_128_GCM_SHA256", 128],
    ["TLS_CHACHA20_POLY1305_SHA256", 256],
    ["ECDHE-RSA-AES128-GCM-SHA256", 128],
    ["ECDHE-ECDSA-AES256-SHA384", 256],
    ["DES-CBC3-SHA", 112],
    ["NULL-SHA", 0],
  ] as const)
    assert.equal(cipherBits(name), bits, name);
});

test("option words are OpenSSL's; unknown ones are named", () => {
  const got = optionBits(["SSL_OP_NO_TLSv1_2", "+SSL_OP_NO_TICKET", "-SSL_OP_NO_TLSv1_2", "SSL_OP_MAGIC"]);
  assert.deepEqual(got, { bits: constants.SSL_OP_NO_TICKET, unknown: ["SSL_OP_MAGIC"] });
});
