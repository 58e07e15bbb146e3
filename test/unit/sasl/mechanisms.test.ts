import assert from "node:assert/strict";
import { test } from "node:test";
import { ABSENT, found, tempfail } from "../../../src/base/result.ts";
import { cramMd5 } from "../../../src/sasl/crammd5.ts";
import { digestMd5, digestResponse } from "../../../src/sasl/digestmd5.ts";
import { external } from "../../../src/sasl/external.ts";
import { login } from "../../../src/sasl/login.ts";
import type { ClientContext, Mechanism, ServerContext, ServerStep } from "../../../src/sasl/mechanism.ts";
import { plain } from "../../../src/sasl/plain.ts";
import { clientMechanisms, MECHANISMS, serverMechanisms } from "../../../src/sasl/registry.ts";
import { makeVerifier } from "../../../src/sasl/scramkeys.ts";

const SECRET = "Ch1mp? ,03fuzz fl0ppi";

function server(changes: Partial<ServerContext> = {}): ServerContext {
  const users = new Map([
    ["maildroid", SECRET],
    ["josé", "pässwörd"],
    ["日本", "パスワード"],
    ["two words", "x"],
  ]);
  return {
    host: "dmzmail.polkatistas.org",
    realm: "dmzmail.polkatistas.org",
    service: "smtp",
    async find(user, realm) {
      if (user === "broken") return tempfail("disk");
      const secret = realm === "dmzmail.polkatistas.org" ? users.get(user) : undefined;
      if (secret === undefined) return ABSENT;
      const salt = Buffer.from("salt salt");
      const scramSha1 = (await makeVerifier("sha1", secret, salt, 4096)) ?? undefined;
      const scramSha256 = (await makeVerifier("sha256", secret, salt, 4096)) ?? undefined;
      return found({
        user,
        realm,
        secret,
        ...(scramSha1 && { scramSha1 }),
        ...(scramSha256 && { scramSha256 }),
      });
    },
    async checkPassword(user, realm, password) {
      if (user === "broken") return tempfail("disk");
      return realm === "dmzmail.polkatistas.org" && users.get(user) === password ? found(true) : ABSENT;
    },
    externalIdentity: "",
    nonce: (n) => Buffer.from(Array.from({ length: n }, (_, i) => (i * 37 + 11) & 0xff)),
    ...changes,
  };
}

function client(changes: Partial<ClientContext> = {}): ClientContext {
  return {
    host: "dmzmail.polkatistas.org",
    service: "smtp",
    authorizationId: "maildroid",
    authenticationId: "maildroid",
    secret: SECRET,
    realm: "dmzmail.polkatistas.org",
    nonce: (n) => Buffer.alloc(n, 5),
    ...changes,
  };
}

/** Runs both sides against each other, as AUTH does; the last server step, and whether the client is content. */
async function converse(
  mechanism: Mechanism,
  c: ClientContext,
  s: ServerContext,
  withInitial = true,
): Promise<{ end: ServerStep; finished: boolean; abort: string }> {
  const clientSide = mechanism.client(c);
  const serverSide = mechanism.server(s);
  let step = await serverSide.step(withInitial ? clientSide.initial() : null);
  for (let i = 0; i < 6 && step.kind === "challenge"; i++) {
    const answer = clientSide.step(step.data);
    if (answer.kind === "abort") return { end: step, finished: clientSide.finished(), abort: answer.reason };
    step = await serverSide.step(answer.data);
  }
  return { end: step, finished: clientSide.finished(), abort: "" };
}

const SUCCESS: ServerStep = { kind: "success", identity: "maildroid" };

for (const mechanism of MECHANISMS) {
  const s = mechanism.name === "EXTERNAL" ? server({ externalIdentity: "maildroid" }) : server();
  for (const withInitial of [true, false])
    test(`${mechanism.name}: both sides agree ${withInitial ? "with" : "without"} initial response`, async () => {
      assert.deepEqual(await converse(mechanism, client(), s, withInitial), {
        end: SUCCESS,
        finished: true,
        abort: "",
      });
    });
  if (mechanism.name === "EXTERNAL") continue;
  test(`${mechanism.name}: a wrong password, an unknown user and __proto__ are refused alike`, async () => {
    for (const wrong of [
      { secret: "wrong" },
      { authenticationId: "nobody", authorizationId: "nobody" },
      { authenticationId: "__proto__", authorizationId: "" },
      { authenticationId: "constructor", authorizationId: "" },
    ]) {
      const { end } = await converse(mechanism, client(wrong), server());
      assert.equal(end.kind, "failure");
      assert.equal(end.kind === "failure" && end.temporary, false);
    }
  });
  test(`${mechanism.name}: a store that cannot answer is a temporary failure`, async () => {
    const { end } = await converse(
      mechanism,
      client({ authenticationId: "broken", authorizationId: "" }),
      server(),
    );
    assert.deepEqual(end, { kind: "failure", temporary: true, reason: "disk" });
  });
  test(`${mechanism.name}: names with line feed, NUL or nothing in them are refused`, async () => {
    for (const name of [
      "x\ny",
      "x\0y",
      "x\ry",
      "\u2028x",
      "a".repeat(256),
      "@",
      "x@",
      "@dmzmail.polkatistas.org",
    ]) {
      const { end } = await converse(
        mechanism,
        client({ authenticationId: name, authorizationId: "" }),
        server(),
      );
      assert.equal(end.kind, "failure", JSON.stringify(name));
    }
  });
  test(`${mechanism.name}: user@realm is the user of that realm`, async () => {
    const name = "maildroid@DMZmail.polkatistas.org";
    const good = await converse(mechanism, client({ authenticationId: name, authorizationId: "" }), server());
    assert.deepEqual(good.end, SUCCESS);
    const other = await converse(
      mechanism,
      client({ authenticationId: "maildroid@elsewhere.example", authorizationId: "" }),
      server(),
    );
    assert.equal(other.end.kind, "failure");
  });
  test(`${mechanism.name}: names and passwords beyond ASCII and with blanks`, async () => {
    for (const [user, secret] of [
      ["josé", "pässwörd"],
      ["日本", "パスワード"],
      ["two words", "x"],
    ]) {
      const c = client({ authenticationId: user ?? "", authorizationId: "", secret: secret ?? "" });
      assert.deepEqual((await converse(mechanism, c, server())).end, { kind: "success", identity: user });
    }
  });
}

test("PLAIN: RFC 4616 section 4 examples as messages", async () => {
  const context = server({
    checkPassword: async (user, _realm, password) =>
      (user === "tim" && password === "tanstaaftanstaaf") || (user === "Kurt" && password === "xipj3plmq")
        ? found(true)
        : ABSENT,
  });
  const run = (message: string) => plain.server(context).step(Buffer.from(message));
  assert.deepEqual(await run("\0tim\0tanstaaftanstaaf"), { kind: "success", identity: "tim" });
  // The RFC's Kurt acts for Ursel; Sendmail's policy lets nobody.
  assert.equal((await run("Ursel\0Kurt\0xipj3plmq")).kind, "failure");
  for (const bad of [
    "",
    "tim",
    "\0tim",
    "\0tim\0",
    "\0\0tanstaaftanstaaf",
    "\0tim\0tanstaaftanstaaf\0",
    "\0\0\0",
  ])
    assert.equal((await run(bad)).kind, "failure", JSON.stringify(bad));
  assert.equal((await plain.server(context).step(Buffer.from([0, 0xff, 0, 0x61]))).kind, "failure");
});

test("LOGIN: the prompts are Sendmail's", async () => {
  const exchange = login.server(server());
  const prompts: string[] = [];
  for (const answer of [null, Buffer.from("maildroid")]) {
    const step = await exchange.step(answer);
    if (step.kind === "challenge") prompts.push(step.data.toString("base64"));
  }
  assert.deepEqual(prompts, ["VXNlcm5hbWU6", "UGFzc3dvcmQ6"]);
});

test("CRAM-MD5: RFC 2195 section 2, client", () => {
  const exchange = cramMd5.client(client({ authenticationId: "tim", secret: "tanstaaftanstaaf" }));
  assert.equal(exchange.initial(), null);
  assert.deepEqual(exchange.step(Buffer.from("<1896.697170952@postoffice.reston.mci.net>")), {
    kind: "response",
    data: Buffer.from("tim b913a602c7eda7a495b4e6e7334d3890"),
  });
});

test("CRAM-MD5: the challenge is <number.number@host>, an initial response is refused", async () => {
  const step = await cramMd5.server(server()).step(null);
  assert.match(
    step.kind === "challenge" ? step.data.toString() : "",
    /^<\d+\.\d+@dmzmail\.polkatistas\.org>$/,
  );
  assert.equal((await cramMd5.server(server()).step(Buffer.from("maildroid 00"))).kind, "failure");
});

test("DIGEST-MD5: RFC 2831 section 4, both examples, both directions", () => {
  const table = [
    {
      uri: "imap/elwood.innosoft.com",
      nonce: "OA6MG9tEQGm2hh",
      cnonce: "OA6MHXh6VqTrRk",
      response: "d388dad90d4bbd760a152321f2143af7",
      rspauth: "ea40f60335c427b5527b84dbabcdfffd",
    },
    {
      uri: "acap/elwood.innosoft.com",
      nonce: "OA9BSXrbuRhWay",
      cnonce: "OA9BSuZWMSpW8m",
      response: "6084c6db3fede7352c551284490fd0fc",
      rspauth: "2f0b3d7c3c2e486600ef710726aa2eae",
    },
  ];
  for (const { uri, nonce, cnonce, response, rspauth } of table) {
    const parts = {
      username: "chris",
      realm: "elwood.innosoft.com",
      secret: "secret",
      nonce,
      cnonce,
      uri,
      authorizationId: "",
    };
    assert.equal(digestResponse(parts, "client"), response);
    assert.equal(digestResponse(parts, "server"), rspauth);
  }
});

/** A right response to `challenge`, with some fields replaced. */
function digestAnswer(challenge: string, changes: ReadonlyMap<string, string>): Buffer {
  const nonce = /nonce="([^"]*)"/.exec(challenge)?.[1] ?? "";
  const uri = changes.get("digest-uri") ?? "smtp/dmzmail.polkatistas.org";
  const realm = "dmzmail.polkatistas.org";
  const parts = {
    username: "maildroid",
    realm,
    secret: SECRET,
    nonce,
    cnonce: "abc",
    uri,
    authorizationId: "",
  };
  const fields = new Map([
    ["charset", "utf-8"],
    ["username", '"maildroid"'],
    ["realm", `"${realm}"`],
    ["nonce", `"${nonce}"`],
    ["nc", "00000001"],
    ["cnonce", '"abc"'],
    ["digest-uri", `"${uri}"`],
    ["response", digestResponse(parts, "client")],
    ["qop", "auth"],
  ]);
  for (const [name, value] of changes) if (name !== "digest-uri" && name !== "extra") fields.set(name, value);
  const list = [...fields].filter(([, value]) => value !== "").map(([name, value]) => `${name}=${value}`);
  return Buffer.from([...list, ...(changes.has("extra") ? [changes.get("extra")] : [])].join(","), "latin1");
}

async function judgeDigest(
  changes: readonly (readonly [string, string])[],
  context = server(),
): Promise<string> {
  const exchange = digestMd5.server(context);
  const first = await exchange.step(null);
  assert.equal(first.kind, "challenge");
  const challenge = first.kind === "challenge" ? first.data.toString() : "";
  const step = await exchange.step(digestAnswer(challenge, new Map(changes)));
  return step.kind === "failure" ? step.reason : step.kind;
}

const DIGEST_CASES: readonly {
  name: string;
  changes: readonly (readonly [string, string])[];
  expected: RegExp;
}[] = [
  { name: "nothing changed", changes: [], expected: /^challenge$/ },
  { name: "qop left out means auth", changes: [["qop", ""]], expected: /^challenge$/ },
  { name: "charset left out means ISO 8859-1", changes: [["charset", ""]], expected: /^challenge$/ },
  { name: "maxbuf is ignored", changes: [["extra", "maxbuf=65536"]], expected: /^challenge$/ },
  { name: "unknown directives are ignored", changes: [["extra", "x=y"]], expected: /^challenge$/ },
  {
    name: "digest-uri in capitals",
    changes: [["digest-uri", "SMTP/DMZMAIL.polkatistas.org"]],
    expected: /^challenge$/,
  },
  {
    name: "digest-uri with our name as service name",
    changes: [["digest-uri", "smtp/dmzmail.polkatistas.org/dmzmail.polkatistas.org"]],
    expected: /^challenge$/,
  },
  {
    name: "digest-uri for another service",
    changes: [["digest-uri", "imap/dmzmail.polkatistas.org"]],
    expected: /digest-uri/,
  },
  {
    name: "digest-uri for another host",
    changes: [["digest-uri", "smtp/evil.example"]],
    expected: /digest-uri/,
  },
  { name: "digest-uri of one word", changes: [["digest-uri", "smtp"]], expected: /digest-uri/ },
  { name: "nonce count 2 (replay)", changes: [["nc", "00000002"]], expected: /nonce count/ },
  { name: "no nonce count", changes: [["nc", ""]], expected: /nonce count/ },
  { name: "another nonce", changes: [["nonce", '"xyz"']], expected: /nonce is not ours/ },
  { name: "another realm", changes: [["realm", '"evil.example"']], expected: /realm/ },
  { name: "qop=auth-int", changes: [["qop", "auth-int"]], expected: /qop/ },
  {
    name: "qop=auth-conf with cipher",
    changes: [
      ["qop", "auth-conf"],
      ["extra", "cipher=rc4"],
    ],
    expected: /qop/,
  },
  { name: "another charset", changes: [["charset", "utf-7"]], expected: /charset/ },
  { name: "no cnonce", changes: [["cnonce", ""]], expected: /cnonce/ },
  { name: "username twice", changes: [["extra", 'username="root"']], expected: /repeats/ },
  { name: "nonce twice, other case", changes: [["extra", 'NONCE="x"']], expected: /repeats/ },
  { name: "charset twice", changes: [["extra", "charset=utf-8"]], expected: /repeats/ },
  { name: "quote left open", changes: [["extra", 'x="y']], expected: /malformed/ },
  { name: "control byte in quotes", changes: [["username", '"a\x01b"']], expected: /malformed/ },
  { name: "junk after a value", changes: [["extra", 'x="y"z']], expected: /malformed/ },
  { name: "response of 31 digits", changes: [["response", "0".repeat(31)]], expected: /hex/ },
  { name: "response all zero", changes: [["response", "0".repeat(32)]], expected: /wrong/ },
  { name: "no response", changes: [["response", ""]], expected: /hex/ },
  { name: "authzid that was not hashed", changes: [["extra", 'authzid="maildroid"']], expected: /wrong/ },
  { name: "too long", changes: [["extra", `x="${"y".repeat(4096)}"`]], expected: /long/ },
];
for (const c of DIGEST_CASES)
  test(`DIGEST-MD5 server: ${c.name}`, async () => {
    assert.match(await judgeDigest(c.changes), c.expected);
  });

test("DIGEST-MD5 server: any of our names will do in digest-uri", async () => {
  const context = server({ ownName: (n) => n === "[192.0.2.1]" || n === "mail" });
  assert.equal(await judgeDigest([["digest-uri", "smtp/mail"]], context), "challenge");
  assert.match(await judgeDigest([["digest-uri", "smtp/mail2"]], context), /digest-uri/);
});

test("DIGEST-MD5 server: acting for another is refused even with a right digest", async () => {
  const { end } = await converse(digestMd5, client({ authorizationId: "boss" }), server());
  assert.deepEqual(end, { kind: "failure", temporary: false, reason: "may not act for another user" });
});

const BAD_CHALLENGES = [
  { name: "no nonce", message: 'realm="r",qop="auth",algorithm=md5-sess' },
  { name: "two nonces", message: 'nonce="a",nonce="b",algorithm=md5-sess' },
  { name: "no algorithm", message: 'nonce="a"' },
  { name: "algorithm twice", message: 'nonce="a",algorithm=md5-sess,algorithm=md5-sess' },
  { name: "only confidentiality", message: 'nonce="a",algorithm=md5-sess,qop="auth-conf"' },
  { name: "another charset", message: 'nonce="a",algorithm=md5-sess,charset=latin1' },
  { name: "longer than 2048", message: `nonce="${"a".repeat(2048)}",algorithm=md5-sess` },
  { name: "not a list", message: "<1896.697170952@postoffice>" },
];
for (const c of BAD_CHALLENGES)
  test(`DIGEST-MD5 client gives up: ${c.name}`, () => {
    assert.equal(digestMd5.client(client()).step(Buffer.from(c.message)).kind, "abort");
  });

test("DIGEST-MD5 client gives up when the server's proof is wrong or missing, and is not finished", () => {
  for (const proof of [`rspauth=${"0".repeat(32)}`, "", "x=y"]) {
    const exchange = digestMd5.client(client());
    assert.equal(exchange.step(Buffer.from('nonce="a",algorithm=md5-sess')).kind, "response");
    assert.equal(exchange.step(Buffer.from(proof)).kind, "abort");
    assert.equal(exchange.finished(), false);
  }
});

test("DIGEST-MD5 client takes its own realm among several, quotes what needs it", () => {
  const exchange = digestMd5.client(client({ realm: "b.example", authenticationId: 'a"\\b' }));
  const step = exchange.step(
    Buffer.from('realm="a.example",realm="b.example",nonce="n",algorithm=md5-sess,qop="auth,auth-int"'),
  );
  const sent = step.kind === "response" ? step.data.toString() : "";
  assert.match(sent, /realm="b\.example"/);
  assert.match(sent, /username="a\\"\\\\b"/);
  assert.match(sent, /digest-uri="smtp\/dmzmail\.polkatistas\.org"/);
});

test("EXTERNAL: only the certificate's identity", async () => {
  const dn = "/C=US/O=polkatistas/CN=Mick+20Bauer";
  const context = server({ externalIdentity: dn });
  const run = (message: string, s = context) => external.server(s).step(Buffer.from(message));
  assert.deepEqual(await run(""), { kind: "success", identity: dn });
  assert.deepEqual(await run(dn), { kind: "success", identity: dn });
  assert.equal((await run("root")).kind, "failure");
  assert.equal((await run("", server())).kind, "failure");
});

const OFFERS: readonly { name: string; got: readonly Mechanism[]; expected: string }[] = [
  {
    name: "the chapter's Example 9-17 without TLS: nothing that shows the password",
    got: serverMechanisms("CRAM-MD5 DIGEST-MD5 LOGIN PLAIN".split(" "), {
      tls: false,
      plaintextWithoutTls: false,
      external: false,
    }),
    expected: "CRAM-MD5 DIGEST-MD5",
  },
  {
    name: "the same under TLS",
    got: serverMechanisms("CRAM-MD5 DIGEST-MD5 LOGIN PLAIN".split(" "), {
      tls: true,
      plaintextWithoutTls: false,
      external: false,
    }),
    expected: "CRAM-MD5 DIGEST-MD5 LOGIN PLAIN",
  },
  {
    name: "the same without TLS when the configuration allows it",
    got: serverMechanisms(["PLAIN", "plain"], { tls: false, plaintextWithoutTls: true, external: false }),
    expected: "PLAIN",
  },
  {
    name: "EXTERNAL only with a proven identity under TLS; GSSAPI never",
    got: serverMechanisms(["EXTERNAL", "GSSAPI", "KERBEROS_V4", "CRAM-MD5"], {
      tls: true,
      plaintextWithoutTls: false,
      external: false,
    }),
    expected: "CRAM-MD5",
  },
  {
    name: "EXTERNAL with a proven identity",
    got: serverMechanisms(["EXTERNAL"], { tls: true, plaintextWithoutTls: false, external: true }),
    expected: "EXTERNAL",
  },
  {
    name: "a client tries them in the order of our list, not the server's",
    got: clientMechanisms(
      "CRAM-MD5 DIGEST-MD5 LOGIN PLAIN".split(" "),
      ["PLAIN", "DIGEST-MD5", "cram-md5", "__proto__"],
      { tls: true, plaintextWithoutTls: false, external: false },
    ),
    expected: "CRAM-MD5 DIGEST-MD5 PLAIN",
  },
];
for (const o of OFFERS)
  test(`offers: ${o.name}`, () => assert.equal(o.got.map((m) => m.name).join(" "), o.expected));
