import assert from "node:assert/strict";
import { test } from "node:test";
import { ABSENT, found, tempfail } from "../../../src/base/result.ts";
import type { ServerContext, ServerStep } from "../../../src/sasl/mechanism.ts";
import { scram } from "../../../src/sasl/scram.ts";
import { makeVerifier } from "../../../src/sasl/scramkeys.ts";

// RFC 5802 section 5 and RFC 7677 section 3: user "user", password "pencil".
const VECTORS = [
  {
    name: "RFC 5802 section 5, SCRAM-SHA-1",
    algorithm: "sha1",
    salt: "QSXCR+Q6sek8bf92",
    clientNonce: "fyko+d2lbbFgONRv9qkxdawL",
    serverNonce: "3rfcNHYJY1ZVvWVs7j",
    clientFinal: "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
    serverFinal: "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
  },
  {
    name: "RFC 7677 section 3, SCRAM-SHA-256",
    algorithm: "sha256",
    salt: "W22ZaJ0SNY7soEsUEjb6gQ==",
    clientNonce: "rOprNGfwEbeRWgbNEkqO",
    serverNonce: "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
    clientFinal:
      "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    serverFinal: "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
  },
] as const;

type Algorithm = "sha1" | "sha256";

async function contextFor(algorithm: Algorithm, salt: string, secret = "pencil"): Promise<ServerContext> {
  const verifier = await makeVerifier(algorithm, secret, Buffer.from(salt, "base64"), 4096);
  assert.ok(verifier);
  return {
    host: "mail.example.org",
    realm: "mail.example.org",
    service: "smtp",
    find: async (user, realm) => {
      if (user === "broken") return tempfail("the store is on fire");
      if (user !== "user") return ABSENT;
      return found({ user, realm, [algorithm === "sha1" ? "scramSha1" : "scramSha256"]: verifier });
    },
    checkPassword: async () => ABSENT,
    externalIdentity: "",
    nonce: (n) => Buffer.alloc(n, 7),
  };
}

const text = (step: ServerStep): string => (step.kind === "challenge" ? step.data.toString() : step.kind);

for (const v of VECTORS) {
  test(`server: ${v.name}`, async () => {
    const mechanism = scram("SCRAM", v.algorithm, () => v.serverNonce);
    const exchange = mechanism.server(await contextFor(v.algorithm, v.salt));
    const first = await exchange.step(Buffer.from(`n,,n=user,r=${v.clientNonce}`));
    assert.equal(text(first), `r=${v.clientNonce}${v.serverNonce},s=${v.salt},i=4096`);
    assert.equal(text(await exchange.step(Buffer.from(v.clientFinal))), v.serverFinal);
    assert.deepEqual(await exchange.step(Buffer.alloc(0)), { kind: "success", identity: "user" });
  });

  test(`client: ${v.name}`, () => {
    const mechanism = scram("SCRAM", v.algorithm, () => v.clientNonce);
    const exchange = mechanism.client({
      host: "mail.example.org",
      service: "smtp",
      authorizationId: "user",
      authenticationId: "user",
      secret: "pencil",
      realm: "",
      nonce: (n) => Buffer.alloc(n),
    });
    assert.equal(exchange.initial()?.toString(), `n,,n=user,r=${v.clientNonce}`);
    const second = exchange.step(Buffer.from(`r=${v.clientNonce}${v.serverNonce},s=${v.salt},i=4096`));
    assert.deepEqual(second, { kind: "response", data: Buffer.from(v.clientFinal) });
    assert.equal(exchange.finished(), false);
    assert.deepEqual(exchange.step(Buffer.from(v.serverFinal)), { kind: "response", data: Buffer.alloc(0) });
    assert.equal(exchange.finished(), true);
  });
}

const REFUSED_FIRST = [
  {
    name: "channel binding that was not offered",
    input: "p=tls-unique,,n=user,r=abc",
    reason: /channel binding/,
  },
  { name: "no gs2 header", input: "n=user,r=abc", reason: /gs2|authorization/ },
  {
    name: "authorization identity with a bare equals sign",
    input: "n,a=x=y,n=user,r=abc",
    reason: /authorization/,
  },
  { name: "mandatory extension (RFC 5802 5.1)", input: "n,,m=1,n=user,r=abc", reason: /mandatory/ },
  {
    name: "name with an equals sign that is neither 2C nor 3D",
    input: "n,,n=us=er,r=abc",
    reason: /user name/,
  },
  { name: "name with a line feed", input: "n,,n=us\ner,r=abc", reason: /user name/ },
  { name: "NUL", input: "n,,n=user\0,r=abc", reason: /UTF-8/ },
  { name: "empty nonce", input: "n,,n=user,r=", reason: /nonce/ },
  { name: "nonce with a control byte", input: "n,,n=user,r=a\x01", reason: /nonce/ },
  { name: "too long", input: `n,,n=user,r=${"a".repeat(5000)}`, reason: /long/ },
];
for (const c of REFUSED_FIRST)
  test(`server refuses the first message: ${c.name}`, async () => {
    const exchange = scram("SCRAM", "sha256").server(await contextFor("sha256", "AAAA"));
    const step = await exchange.step(Buffer.from(c.input));
    assert.equal(step.kind, "failure");
    assert.equal(step.kind === "failure" && step.temporary, false);
    assert.match(step.kind === "failure" ? step.reason : "", c.reason);
  });

test("server: bytes that are not UTF-8 are refused", async () => {
  const exchange = scram("SCRAM", "sha256").server(await contextFor("sha256", "AAAA"));
  assert.equal(
    (await exchange.step(Buffer.from([0x6e, 0x2c, 0x2c, 0x6e, 0x3d, 0xff, 0x2c]))).kind,
    "failure",
  );
});

const V1 = VECTORS[0];
const CHANGED_FINAL = [
  { name: "another channel binding", from: "c=biws", to: "c=eSws" },
  { name: "another nonce", from: "3rfcNHYJY1ZVvWVs7j,", to: "3rfcNHYJY1ZVvWVs7k," },
  { name: "another proof", from: "p=v0X8", to: "p=w0X8" },
  { name: "no proof", from: ",p=", to: ",q=" },
  { name: "a short proof", from: "p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", to: "p=v0X8" },
  { name: "a proof that is not base64", from: "HI4Ts=", to: "HI4T!=" },
];
for (const c of CHANGED_FINAL)
  test(`server refuses the final message: ${c.name}`, async () => {
    const exchange = scram("SCRAM", "sha1", () => V1.serverNonce).server(await contextFor("sha1", V1.salt));
    await exchange.step(Buffer.from(`n,,n=user,r=${V1.clientNonce}`));
    const changed = V1.clientFinal.replace(c.from, c.to);
    assert.notEqual(changed, V1.clientFinal);
    assert.equal((await exchange.step(Buffer.from(changed))).kind, "failure");
    // And the right one afterwards does not count any more.
    assert.equal((await exchange.step(Buffer.from(V1.clientFinal))).kind, "failure");
  });

test("server: an unknown user gets the same kind of challenge, the same salt each time, and fails at the end", async () => {
  const context = { ...(await contextFor("sha256", "AAAA")), decoyKey: Buffer.from("k") };
  const ask = async (user: string) => {
    const exchange = scram("SCRAM", "sha256").server(context);
    const step = text(await exchange.step(Buffer.from(`n,,n=${user},r=abc`)));
    const nonce = /^r=([^,]*),/.exec(step)?.[1] ?? "";
    const end = await exchange.step(
      Buffer.from(`c=biws,r=${nonce},p=${Buffer.alloc(32).toString("base64")}`),
    );
    assert.equal(end.kind, "failure");
    return /s=([^,]*),i=(\d+)$/.exec(step)?.slice(1);
  };
  assert.deepEqual(await ask("nobody"), await ask("nobody"));
  assert.notDeepEqual(await ask("nobody"), await ask("somebody"));
  assert.equal(Buffer.from((await ask("__proto__"))?.[0] ?? "", "base64").length, 16);
});

test("server: a store that cannot answer is a temporary failure", async () => {
  const exchange = scram("SCRAM", "sha1").server(await contextFor("sha1", "AAAA"));
  const step = await exchange.step(Buffer.from("n,,n=broken,r=abc"));
  assert.deepEqual(step, { kind: "failure", temporary: true, reason: "the store is on fire" });
});

test("server: nobody acts for another user", async () => {
  const client = scram("S", "sha1").client({
    host: "h",
    service: "smtp",
    authorizationId: "boss",
    authenticationId: "user",
    secret: "pencil",
    realm: "",
    nonce: (n) => Buffer.alloc(n, 3),
  });
  const exchange = scram("S", "sha1").server(await contextFor("sha1", V1.salt));
  const first = await exchange.step(client.initial());
  assert.equal(first.kind, "challenge");
  const second = client.step(first.kind === "challenge" ? first.data : Buffer.alloc(0));
  const end = await exchange.step(second.kind === "response" ? second.data : null);
  assert.deepEqual(end, { kind: "failure", temporary: false, reason: "may not act for another user" });
});

const HOSTILE_SERVERS = [
  { name: "nonce that does not begin with ours", message: `r=zzz,s=${V1.salt},i=4096` },
  { name: "nonce that adds nothing", message: `r=${V1.clientNonce},s=${V1.salt},i=4096` },
  { name: "one iteration", message: `r=${V1.clientNonce}x,s=${V1.salt},i=1` },
  { name: "a billion iterations", message: `r=${V1.clientNonce}x,s=${V1.salt},i=1000000000` },
  { name: "iterations in scientific notation", message: `r=${V1.clientNonce}x,s=${V1.salt},i=4e3` },
  { name: "salt that is not base64", message: `r=${V1.clientNonce}x,s=%%%%,i=4096` },
  { name: "no salt", message: `r=${V1.clientNonce}x,s=,i=4096` },
  { name: "an error instead", message: "e=other-error" },
];
for (const c of HOSTILE_SERVERS)
  test(`client gives up: ${c.name}`, () => {
    const exchange = scram("S", "sha1", () => V1.clientNonce).client({
      host: "h",
      service: "smtp",
      authorizationId: "",
      authenticationId: "user",
      secret: "pencil",
      realm: "",
      nonce: (n) => Buffer.alloc(n),
    });
    exchange.initial();
    assert.equal(exchange.step(Buffer.from(c.message)).kind, "abort");
    assert.equal(exchange.finished(), false);
  });

test("client gives up when the server's signature is wrong, and is not finished", () => {
  const exchange = scram("S", "sha1", () => V1.clientNonce).client({
    host: "h",
    service: "smtp",
    authorizationId: "",
    authenticationId: "user",
    secret: "pencil",
    realm: "",
    nonce: (n) => Buffer.alloc(n),
  });
  exchange.initial();
  exchange.step(Buffer.from(`r=${V1.clientNonce}${V1.serverNonce},s=${V1.salt},i=4096`));
  assert.equal(exchange.step(Buffer.from("v=rmF9pqV8S7suAoZWja4dJRkFsKR=")).kind, "abort");
  assert.equal(exchange.finished(), false);
});
