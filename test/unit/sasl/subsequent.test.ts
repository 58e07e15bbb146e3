// What clients that keep their SASL state say (RFC 2831 section 2.2, Cyrus SASL's fast reauthentication), and the names by which the
// holder of a certificate may ask for EXTERNAL (RFC 4422 appendix A).

import assert from "node:assert/strict";
import { test } from "node:test";
import { ABSENT } from "../../../src/base/result.ts";
import { digestMd5 } from "../../../src/sasl/digestmd5.ts";
import { external } from "../../../src/sasl/external.ts";
import type { ServerContext } from "../../../src/sasl/mechanism.ts";

const DN = "/O=Polkatistas/CN=mick@example.org";

const context = (changes: Partial<ServerContext> = {}): ServerContext => ({
  host: "dmzmail.polkatistas.org",
  realm: "dmzmail.polkatistas.org",
  service: "smtp",
  find: async () => ABSENT,
  checkPassword: async () => ABSENT,
  externalIdentity: DN,
  externalName: "mick@example.org",
  nonce: (bytes) => Buffer.alloc(bytes, 7),
  ...changes,
});

test("DIGEST-MD5: a remembered nonce is answered by a new challenge, which admits nobody by itself", async () => {
  const server = digestMd5.server(context());
  const again =
    'username="maildroid",realm="dmzmail.polkatistas.org",nonce="b2xk",cnonce="YQ==",nc=00000002,qop=auth,digest-uri="smtp/dmzmail.polkatistas.org",response=00000000000000000000000000000000';
  const step = await server.step(Buffer.from(again));
  assert.equal(step.kind, "challenge");
  assert.match(step.kind === "challenge" ? step.data.toString() : "", /^nonce="BwcH/);
  // The same words again answer the new challenge no better.
  assert.equal((await server.step(Buffer.from(again))).kind, "failure");
});

for (const { name, asked, changes, expected } of [
  { name: "no name", asked: "", changes: {}, expected: "success" },
  { name: "the subject", asked: DN, changes: {}, expected: "success" },
  { name: "the common name", asked: "mick@example.org", changes: {}, expected: "success" },
  { name: "another's name", asked: "keith@example.org", changes: {}, expected: "failure" },
  { name: "a part of the subject", asked: "/O=Polkatistas", changes: {}, expected: "failure" },
  {
    name: "a common name when no certificate verified",
    asked: "mick@example.org",
    changes: { externalIdentity: "" },
    expected: "failure",
  },
  {
    name: "nothing when no certificate verified",
    asked: "",
    changes: { externalIdentity: "", externalName: "" },
    expected: "failure",
  },
  {
    name: "a word when the certificate has no common name",
    asked: "x",
    changes: { externalName: "" },
    expected: "failure",
  },
] as const)
  test(`EXTERNAL: ${name} is ${expected}`, async () => {
    const step = await external.server(context(changes)).step(Buffer.from(asked));
    assert.equal(step.kind, expected);
    if (step.kind === "success") assert.equal(step.identity, DN);
  });
