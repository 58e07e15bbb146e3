// TLS_Clt, TLS_Srv, TLS_Rcpt, Try_TLS, Srv_Features, AuthInfo (semantics section 22): texts and codes.

import assert from "node:assert/strict";
import { test } from "node:test";
import { found } from "../../../src/base/result.ts";
import type { Decision } from "../../../src/policy/decision.ts";
import {
  authInfo,
  checkTlsClient,
  checkTlsRecipient,
  checkTlsServer,
  type PeerTls,
  serverFeatures,
  wantsTls,
} from "../../../src/policy/tlsrules.ts";
import { siteOf } from "./site.ts";

const site = siteOf(
  "",
  `TLS_Clt:verify.example	VERIFY
TLS_Clt:temp.example	TEMP+VERIFY:256
TLS_Clt:perm.example	PERM+ENCR:256
TLS_Clt:cn.example	VERIFY:128+CN:good.example
TLS_Clt:own.example	VERIFY+CN
TLS_Clt:odd.example	whatever
TLS_Srv:hub.example	ENCR:112
TLS_Rcpt:boss@example.com	VERIFY
TLS_Rcpt:secret.example	ENCR:256
Try_TLS:old.example	NO
Srv_Features:10.1	S A
AuthInfo:hub.example	"U:joe" "P:x"
AuthInfo:	"U:all" "P:y"
`,
);

const PLAIN: PeerTls = { verify: "", bits: 0, cnSubject: "", certSubject: "", certIssuer: "" };
const WEAK: PeerTls = { ...PLAIN, verify: "NO", bits: 128 };
const GOOD: PeerTls = { ...PLAIN, verify: "OK", bits: 256, cnSubject: "good.example" };

function shown(decision: Decision): string {
  return decision.kind === "refuse"
    ? `${decision.reply.code} ${decision.reply.enhanced} ${decision.reply.lines.join(" ")}`
    : decision.kind;
}

const CLIENTS = [
  { name: "nothing asked", host: "free.example", peer: PLAIN, expected: "pass" },
  { name: "no TLS", host: "verify.example", peer: PLAIN, expected: "454 4.7.0 authentication required" },
  { name: "not verified", host: "verify.example", peer: WEAK, expected: "454 4.7.0 not authenticated" },
  { name: "verified", host: "verify.example", peer: GOOD, expected: "pass" },
  { name: "TEMP", host: "temp.example", peer: WEAK, expected: "403 4.7.0 not authenticated" },
  {
    name: "PERM and bits",
    host: "perm.example",
    peer: WEAK,
    expected: "503 5.7.0 encryption too weak 128 less than 256",
  },
  {
    name: "below the name",
    host: "a.verify.example",
    peer: PLAIN,
    expected: "454 4.7.0 authentication required",
  },
  { name: "the right CN", host: "cn.example", peer: GOOD, expected: "pass" },
  {
    name: "another CN",
    host: "own.example",
    peer: GOOD,
    expected: "454 4.7.0 CN good.example does not match own.example",
  },
  { name: "another value asks for nothing", host: "odd.example", peer: PLAIN, expected: "pass" },
  {
    name: "a failed handshake",
    host: "free.example",
    peer: { ...PLAIN, verify: "SOFTWARE" },
    expected: "454 4.7.0 TLS handshake failed.",
  },
];

for (const { name, host, peer, expected } of CLIENTS)
  test(`TLS_Clt: ${name}`, () => {
    assert.equal(shown(checkTlsClient(site, host, "192.0.2.1", peer)), expected);
  });

test("TLS_Srv asks the server", () => {
  assert.equal(
    shown(checkTlsServer(site, "hub.example", "192.0.2.1", PLAIN)),
    "454 4.7.0 encryption too weak 0 less than 112",
  );
  assert.equal(shown(checkTlsServer(site, "hub.example", "192.0.2.1", WEAK)), "pass");
});

test("TLS_Rcpt asks by address, then by domain", async () => {
  assert.equal(
    shown(await checkTlsRecipient(site, "boss@example.com", "hub", WEAK)),
    "454 4.7.0 not authenticated",
  );
  assert.equal(shown(await checkTlsRecipient(site, "joe@example.com", "hub", WEAK)), "pass");
  assert.equal(
    shown(await checkTlsRecipient(site, "joe@secret.example", "hub", WEAK)),
    "454 4.7.0 encryption too weak 128 less than 256",
  );
});

test("Try_TLS, Srv_Features and AuthInfo are looked up by name, address, default", () => {
  assert.deepEqual(wantsTls(site, "old.example", "192.0.2.1"), found(false));
  assert.deepEqual(wantsTls(site, "new.example", "192.0.2.1"), found(true));
  assert.equal(serverFeatures(site, "[10.1.2.3]", "10.1.2.3"), "S A");
  assert.equal(serverFeatures(site, "[10.2.2.3]", "10.2.2.3"), "");
  assert.deepEqual(authInfo(site, "hub.example", "192.0.2.1"), found('"U:joe" "P:x"'));
  assert.deepEqual(authInfo(site, "other.example", "192.0.2.1"), found('"U:all" "P:y"'));
});
