// TLS and AUTH towards next hops: never less protection than was asked for, never a silent step down (reliability TLS-11, TLS-12),
// credentials only where they belong, every mechanism in the order of our list.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { ABSENT, found, tempfail } from "../../../src/base/result.ts";
import { parseAuthFile, parseAuthInfo, readAuthFile } from "../../../src/deliver/credentials.ts";
import type { AuthInfo, SmtpNeeds, TlsNeeds } from "../../../src/deliver/needs.ts";
import { Refusals, SILENT_ALARM } from "../../../src/deliver/refusals.ts";
import type { ServerExchange } from "../../../src/sasl/mechanism.ts";
import { clientMechanisms, MECHANISMS } from "../../../src/sasl/registry.ts";
import { systemClock } from "../../../src/sys/clock.ts";
import { silentLog } from "../../../src/sys/log.ts";
import { loadClientTls } from "../../../src/tls/client.ts";
import { attempt, host, options, rig } from "./attempt.ts";
import { startDialog } from "./dialog.ts";
import { type Script, startPeer } from "./peer.ts";
import { makeVerifier } from "./verifier.ts";

const folder = mkdtempSync(join(tmpdir(), "postern-secure-"));
after(() => rmSync(folder, { recursive: true, force: true }));
execFileSync(
  "openssl",
  [
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-nodes",
    "-days",
    "2",
    "-subj",
    "/CN=peer.example",
    "-addext",
    "subjectAltName=DNS:peer.example",
    "-keyout",
    join(folder, "key.pem"),
    "-out",
    join(folder, "cert.pem"),
  ],
  { stdio: "ignore" },
);
const PAIR = {
  key: readFileSync(join(folder, "key.pem"), "utf8"),
  cert: readFileSync(join(folder, "cert.pem"), "utf8"),
};
const QUICK = options({
  "Timeout.starttls": 1000,
  "Timeout.helo": 500,
  "Timeout.auth": 500,
  "Timeout.initial": 500,
});

function tls(more: Partial<TlsNeeds> = {}): TlsNeeds {
  const client = loadClientTls(options(), {
    log: { line: () => undefined },
    clockTrusted: () => true,
    owners: [0],
  });
  return {
    wanted: () => found(true),
    upgrade: (socket, name, ms) => client.upgrade(socket, name, ms),
    checkServer: () => null,
    checkRecipient: () => null,
    recipientRules: false,
    ...more,
  };
}

async function run(script: Script, more: Partial<SmtpNeeds>, messages = 1) {
  const peer = await startPeer(script);
  try {
    const r = rig([host(peer.port)], { options: QUICK, ...more });
    const mailer = r.mailer();
    const outcomes = [];
    for (let i = 0; i < messages; i++) outcomes.push(...(await mailer.deliver(attempt())));
    await mailer.close();
    return { outcomes, seen: peer.seen, log: r.log };
  } finally {
    await peer.close();
  }
}

const OFFER = { extensions: ["PIPELINING", "STARTTLS"], tls: PAIR };

test("STARTTLS is used when it is offered, EHLO said again, the result logged as Sendmail does", async () => {
  const { outcomes, seen, log } = await run(OFFER, { tls: tls() });
  assert.equal(outcomes[0]?.kind, "delivered", JSON.stringify(outcomes));
  assert.deepEqual(seen.commands.slice(0, 4), [
    "EHLO here.example",
    "STARTTLS",
    "EHLO here.example",
    "MAIL From:<sender@here.example>",
  ]);
  assert.match(
    log.join("\n"),
    /^STARTTLS=client, relay=peer\.example\. \[127\.0\.0\.1\], version=TLSv1\.3, verify=\w+, cipher=\w+, bits=\d+\/\d+$/m,
  );
});

test("Try_TLS NO leaves the offer alone; a lookup that fails defers", async () => {
  const no = await run(OFFER, { tls: tls({ wanted: () => found(false) }) });
  assert.equal(no.outcomes[0]?.kind, "delivered");
  assert.equal(no.seen.commands.includes("STARTTLS"), false);
  const unknown = await run(OFFER, { tls: tls({ wanted: () => tempfail("broken") }) });
  assert.equal(unknown.outcomes[0]?.kind, "deferred");
  assert.equal(unknown.seen.messages.length, 0);
});

const VERIFIED: Partial<TlsNeeds> = {
  checkServer: (_name, _address, facts) =>
    facts.verify === "OK" ? null : { code: 454, status: "4.7.0", text: "authentication required" },
};

for (const { name, script } of [
  { name: "the host does not offer STARTTLS", script: { extensions: ["PIPELINING"] } },
  {
    name: "the host answers 454",
    script: { ...OFFER, answer: (s: string) => (s === "STARTTLS" ? { say: "454 4.7.0 no" } : undefined) },
  },
  { name: "the certificate is self-signed", script: OFFER },
])
  test(`a rule that wants VERIFY defers and sends nothing: ${name}`, async () => {
    const { outcomes, seen } = await run(script, { tls: tls(VERIFIED) });
    assert.equal(outcomes[0]?.kind, "deferred");
    assert.match(outcomes[0]?.text ?? "", /454 4\.7\.0 authentication required/);
    assert.equal(
      seen.commands.some((c) => c.startsWith("MAIL")),
      false,
    );
  });

test("STARTTLS answered with 454 and no rule: mail goes on in the open, and the log says so", async () => {
  const { outcomes, log } = await run(
    { ...OFFER, answer: (s) => (s === "STARTTLS" ? { say: "454 4.7.0 TLS not available" } : undefined) },
    { tls: tls() },
  );
  assert.equal(outcomes[0]?.kind, "delivered");
  assert.match(log.join("\n"), /STARTTLS=client, relay=.*verify=TEMP, refused by the server: 454/);
});

for (const { name, say } of [
  { name: "a reply injected behind the 220", say: "220 ready\r\n250 injected" },
  { name: "half a reply injected behind the 220", say: "220 ready\r\n25" },
  { name: "a handshake that is none", say: "220 ready" },
])
  test(`a handshake that cannot be trusted defers and never falls back: ${name}`, async () => {
    const { outcomes, seen } = await run(
      { ...OFFER, answer: (s) => (s === "STARTTLS" ? { say } : undefined) },
      { tls: tls() },
    );
    assert.equal(outcomes[0]?.kind, "deferred");
    assert.match(outcomes[0]?.text ?? "", /403 4\.7\.0 TLS handshake failed\./);
    assert.equal(
      seen.commands.some((c) => c.startsWith("MAIL")),
      false,
    );
    assert.equal(seen.messages.length, 0);
  });

test("a kept TLS connection that was closed is opened again with STARTTLS", async () => {
  const { outcomes, seen } = await run(
    {
      ...OFFER,
      answer: (s, _l, nth) => (s === "MAIL" && nth === 2 ? { say: "421 bye", close: true } : undefined),
    },
    { tls: tls() },
    2,
  );
  assert.deepEqual(
    outcomes.map((o) => o.kind),
    ["delivered", "delivered"],
  );
  assert.equal(seen.connections, 2);
  assert.equal(seen.commands.filter((c) => c === "STARTTLS").length, 2);
});

test("TLS_Rcpt refuses one recipient and lets the other through", async () => {
  const peer = await startPeer(OFFER);
  try {
    const rules = tls({
      recipientRules: true,
      checkRecipient: (r) =>
        r.startsWith("secret")
          ? { code: 503, status: "5.7.0", text: "encryption too weak 0 less than 112" }
          : null,
    });
    const r = rig([host(peer.port)], { tls: rules });
    const mailer = r.mailer();
    const outcomes = await mailer.deliver(attempt({ to: ["secret@x.example", "open@x.example"] }));
    assert.deepEqual(
      outcomes.map((o) => [o.kind, o.status]),
      [
        ["failed", "5.7.0"],
        ["delivered", "2.0.0"],
      ],
    );
    await mailer.close();
  } finally {
    await peer.close();
  }
});

test("the second connection to a host resumes the TLS session, and says the same of its certificate", async () => {
  const seen: unknown[] = [];
  const inner = tls();
  const upgrade: TlsNeeds["upgrade"] = async (socket, name, ms) => {
    const done = await inner.upgrade(socket, name, ms);
    if (done.ok) seen.push(done.value.facts);
    return done;
  };
  // TLS 1.3 gives its tickets after the handshake: a round of commands on the first connection brings them.
  const { outcomes } = await run(
    { ...OFFER, sharedTls: true },
    { tls: { ...inner, upgrade }, options: { ...QUICK, ConnectionCacheSize: 0 } },
    3,
  );
  assert.deepEqual(
    outcomes.map((o) => o.kind),
    ["delivered", "delivered", "delivered"],
  );
  const facts = seen as { resumed: boolean; verify: string; fingerprint: string }[];
  assert.deepEqual(
    facts.map((f) => f.resumed),
    [false, true, true],
  );
  assert.equal(new Set(facts.map((f) => `${f.verify} ${f.fingerprint}`)).size, 1);
});

// ---- AUTH ----

const JOE: AuthInfo = {
  authorizationId: "joe",
  authenticationId: "joe",
  secret: "secret",
  realm: "peer.example",
  mechanisms: [],
};

function auth(info: AuthInfo | null = JOE): NonNullable<SmtpNeeds["auth"]> {
  return {
    info: () => (info === null ? ABSENT : found(info)),
    refusals: new Refusals({
      clock: systemClock,
      log: silentLog,
      alarm: SILENT_ALARM,
      info: () => (info === null ? ABSENT : found(info)),
    }),
    mechanisms: (ours, offered) =>
      clientMechanisms(ours, offered, { tls: true, plaintextWithoutTls: true, external: true }),
  };
}

const AUTH_OPTIONS = { ...QUICK, AuthMechanisms: ["LOGIN", "PLAIN"] };

test("the first mechanism of our list that the server has is used, with the initial response", async () => {
  const { outcomes, seen } = await run(
    {
      extensions: ["AUTH PLAIN LOGIN CRAM-MD5"],
      answer(step, line) {
        if (step === "AUTH") return { say: line.startsWith("AUTH LOGIN") ? "334 VXNlcm5hbWU6" : "504 no" };
        if (line === Buffer.from("joe").toString("base64")) return { say: "334 UGFzc3dvcmQ6" };
        if (line === Buffer.from("secret").toString("base64")) return { say: "235 2.0.0 ok" };
        return undefined;
      },
    },
    { options: AUTH_OPTIONS, auth: auth() },
  );
  assert.equal(outcomes[0]?.kind, "delivered", JSON.stringify(outcomes));
  assert.equal(seen.commands[1]?.split(" ")[1], "LOGIN");
});

test("a refused mechanism is followed by the next; after the last mail waits, and the message is not shown to the host", async () => {
  const { outcomes, seen } = await run(
    {
      extensions: ["AUTH PLAIN LOGIN"],
      answer: (step) => (step === "AUTH" ? { say: "535 5.7.8 no" } : undefined),
    },
    { options: AUTH_OPTIONS, auth: auth() },
  );
  assert.equal(outcomes[0]?.kind, "deferred");
  assert.equal(outcomes[0]?.diagnostic, "535 5.7.8 no");
  assert.deepEqual(
    seen.commands.filter((c) => c.startsWith("AUTH")).map((c) => c.split(" ")[1]),
    ["LOGIN", "PLAIN"],
  );
  assert.ok(!seen.commands.some((c) => c.startsWith("MAIL")));
});

test("a temporary failure of AUTH defers", async () => {
  const { outcomes, seen } = await run(
    {
      extensions: ["AUTH PLAIN"],
      answer: (step) => (step === "AUTH" ? { say: "454 4.7.0 later" } : undefined),
    },
    { options: AUTH_OPTIONS, auth: auth() },
  );
  assert.equal(outcomes[0]?.kind, "deferred");
  assert.equal(seen.messages.length, 0);
});

test("AuthOptions p keeps the password off the open wire; no credentials, no AUTH", async () => {
  const open = await run(
    { extensions: ["AUTH PLAIN LOGIN"] },
    { options: { ...AUTH_OPTIONS, AuthOptions: "p" }, auth: auth() },
  );
  assert.equal(
    open.seen.commands.some((c) => c.startsWith("AUTH")),
    false,
  );
  const none = await run({ extensions: ["AUTH PLAIN LOGIN"] }, { options: AUTH_OPTIONS, auth: auth(null) });
  assert.equal(
    none.seen.commands.some((c) => c.startsWith("AUTH")),
    false,
  );
});

for (const { name, say } of [
  { name: "a challenge that is no base64", say: "334 !!!" },
  { name: "challenges for ever", say: "334 AAAA" },
])
  test(`a hostile AUTH exchange ends and sends no mail in its place: ${name}`, async () => {
    const { seen } = await run(
      {
        extensions: ["AUTH CRAM-MD5"],
        answer: (step, line) =>
          step === "AUTH" || !/^(EHLO|MAIL|RCPT|DATA|QUIT|Subject|RSET|\*)/.test(line)
            ? step === "connect"
              ? undefined
              : { say }
            : line === "*"
              ? { say: "501 ok" }
              : undefined,
      },
      { options: { ...AUTH_OPTIONS, AuthMechanisms: ["CRAM-MD5"] }, auth: auth() },
    );
    assert.ok(seen.commands.length < 30);
  });

test("every mechanism's client satisfies its own server side over SMTP", async () => {
  const scramVerifiers = {
    scramSha1: makeVerifier("secret", "sha1"),
    scramSha256: makeVerifier("secret", "sha256"),
  };
  for (const name of ["PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"]) {
    const mechanism = MECHANISMS.find((m) => m.name === name);
    assert.ok(mechanism, name);
    let exchange: ServerExchange | null = null;
    let last = "";
    const steps = async (line: Buffer | null): Promise<string> => {
      exchange ??= mechanism.server({
        host: "peer.example",
        realm: "peer.example",
        service: "smtp",
        find: () =>
          Promise.resolve(found({ user: "joe", realm: "peer.example", secret: "secret", ...scramVerifiers })),
        checkPassword: (user, _realm, password) =>
          Promise.resolve(user === "joe" && password === "secret" ? found(true as const) : ABSENT),
        externalIdentity: "",
        nonce: (n) => Buffer.alloc(n, 7),
      });
      const step = await exchange.step(line);
      if (step.kind === "challenge") return `334 ${step.data.toString("base64")}`;
      if (step.kind === "failure") return "535 5.7.0 authentication failed";
      if (step.data !== undefined && last === "") {
        last = "proof";
        return `334 ${step.data.toString("base64")}`;
      }
      return "235 2.0.0 OK Authenticated";
    };
    const outcome = await authConversation(name, steps, () => last === "proof");
    assert.equal(outcome, "delivered", name);
  }
});

async function authConversation(
  name: string,
  step: (line: Buffer | null) => Promise<string>,
  proved: () => boolean,
): Promise<string> {
  const peer = await startDialog(async (line, state) => {
    if (line === null) return "220 peer.example ESMTP";
    if (line.startsWith("EHLO")) return `250-peer.example\r\n250 AUTH ${name}`;
    if (line.startsWith("AUTH")) {
      state.inAuth = true;
      const initial = line.split(" ")[2];
      const said = await step(
        initial === undefined ? null : initial === "=" ? Buffer.alloc(0) : Buffer.from(initial, "base64"),
      );
      if (!said.startsWith("334")) state.inAuth = false;
      return said;
    }
    if (state.inAuth) {
      if (proved()) {
        state.inAuth = false;
        return "235 2.0.0 OK Authenticated";
      }
      const said = await step(Buffer.from(line, "base64"));
      if (!said.startsWith("334")) state.inAuth = false;
      if (said.startsWith("235")) state.authenticated = true;
      return said;
    }
    return undefined;
  });
  try {
    const r = rig([host(peer.port)], { options: { ...QUICK, AuthMechanisms: [name] }, auth: auth() });
    const mailer = r.mailer();
    const [outcome] = await mailer.deliver(attempt());
    await mailer.close();
    assert.match(r.log.join("\n"), new RegExp(`AUTH=client, .*mech=${name}, bits=0`), name);
    return outcome?.kind ?? "";
  } finally {
    await peer.close();
  }
}

// ---- where credentials come from ----

const ENTRIES: { value: string; expected: Partial<AuthInfo> | null }[] = [
  {
    value: '"U:joe" "I:joe2" "P:pass word" "R:realm.example" "M:CRAM-MD5 PLAIN"',
    expected: {
      authorizationId: "joe",
      authenticationId: "joe2",
      secret: "pass word",
      realm: "realm.example",
      mechanisms: ["CRAM-MD5", "PLAIN"],
    },
  },
  {
    value: '"U:joe" "P:x"',
    expected: { authorizationId: "joe", authenticationId: "joe", secret: "x", realm: "", mechanisms: [] },
  },
  { value: '"I:joe" "P=c2VjcmV0"', expected: { authenticationId: "joe", secret: "secret" } },
  { value: "U:joe P:x", expected: { authorizationId: "joe", secret: "x" } },
  { value: '"I:joe" "P=***"', expected: null },
  { value: '"P:x"', expected: null },
  { value: "nonsense", expected: null },
];
for (const { value, expected } of ENTRIES)
  test(`AuthInfo ${value}`, () => {
    const info = parseAuthInfo(value);
    if (expected === null) assert.equal(info, null);
    else assert.deepEqual({ ...info, ...expected }, info);
  });

test("default-auth-info has the chapter's four lines, perhaps a fifth, and must be 0600", () => {
  const path = join(folder, "default-auth-info");
  writeFileSync(path, "mick\nmick2\ns3cret \ndmzmail.polkatistas.org\n");
  chmodSync(path, 0o600);
  const read = readAuthFile(path);
  assert.deepEqual(
    read,
    found({
      authorizationId: "mick",
      authenticationId: "mick2",
      secret: "s3cret ",
      realm: "dmzmail.polkatistas.org",
      mechanisms: [],
    }),
  );
  for (const mode of [0o640, 0o604, 0o660, 0o644]) {
    chmodSync(path, mode);
    assert.equal(readAuthFile(path).kind, "tempfail", mode.toString(8));
  }
  assert.equal(readAuthFile(join(folder, "none")).kind, "absent");
  assert.deepEqual(parseAuthFile("a\n\nb\nr\nPLAIN, LOGIN\n")?.mechanisms, ["PLAIN", "LOGIN"]);
});
