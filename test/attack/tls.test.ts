// TLS-01..08 (reliability 3.2: CVE-2011-0411, CVE-2021-38371, ALPACA, NO STARTTLS) and ST-07 (AUTH) against listeners on loopback:
// nothing that came in plain text survives the handshake, no mechanism shows a password without it, guesses are slowed and counted.

import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import { connect as connectTcp, type Socket } from "node:net";
import { join } from "node:path";
import { duplexPair } from "node:stream";
import { after, before, describe, it } from "node:test";
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from "node:tls";
import type { DaemonSpec } from "../../src/config/configuration.ts";
import { defaultOptions, type Options } from "../../src/config/options.ts";
import { DEFAULT_CONF } from "../../src/sasl/sendmailconf.ts";
import { makeSaslServer } from "../../src/sasl/service.ts";
import { formatStore, makeCredential } from "../../src/sasl/store.ts";
import { NO_DAEMON } from "../../src/smtpd/service.ts";
import { systemClock } from "../../src/sys/clock.ts";
import { systemEntropy } from "../../src/sys/entropy.ts";
import { makeCertificate } from "../../src/tls/issuer.ts";
import { loadServerTls } from "../../src/tls/server.ts";
import { makeStage, resolverOf, type Stage, Talk } from "../dialog/stage.ts";
import { makePki, type Pki } from "../flow/tls/pki.ts";

let pki: Pki;
const stages: Stage[] = [];
/** What the TLS side of a stage logged. */
const heardBy = new Map<Stage, readonly string[]>();

before(async () => {
  pki = makePki();
  pki.issue("server", "/CN=localhost");
  const made = await makeCredential("joe", "mail.gw.test", "secret", true, systemEntropy);
  assert.ok(made);
  writeFileSync(join(pki.dir, "sasldb.json"), formatStore([made]), { mode: 0o600 });
});

after(async () => {
  for (const stage of stages) await stage.smtpd.close(false);
  pki.remove();
});

/** A stage with certificate, credentials and no patience lost on waits. */
function secureStage(over: Partial<Options> = {}): Stage {
  const options = {
    ...defaultOptions(),
    ServerCertFile: pki.path("server.crt"),
    ServerKeyFile: pki.path("server.key"),
    AuthMechanisms: ["SCRAM-SHA-256", "CRAM-MD5", "PLAIN", "LOGIN"],
    ...over,
  };
  const log: string[] = [];
  const quick = {
    ...systemClock,
    after: (ms: number, fn: () => void) => systemClock.after(Math.min(ms, 1000) / 20, fn),
  };
  const stage = makeStage({
    options,
    clock: quick,
    service: {
      resolver: resolverOf(new Map([["127.0.0.1", "localhost"]])),
      tls: loadServerTls(options, {
        log: { line: (_level, text) => void log.push(text) },
        clockTrusted: () => true,
        owners: [process.getuid?.() ?? 0],
      }),
      auth: makeSaslServer({
        options,
        conf: DEFAULT_CONF,
        host: "mail.gw.test",
        storePath: join(pki.dir, "sasldb.json"),
        accounts: null,
        ownName: () => false,
        entropy: systemEntropy,
      }),
    },
  });
  stages.push(stage);
  heardBy.set(stage, log);
  return stage;
}

async function listen(stage: Stage, daemon: Partial<DaemonSpec> = {}): Promise<number> {
  const bound = await stage.smtpd.listen({ ...NO_DAEMON, name: "MTA", address: "127.0.0.1", ...daemon });
  assert.ok(bound.ok);
  return bound.value.port;
}

function dial(port: number): Talk {
  const socket: Socket = connectTcp({ port, host: "127.0.0.1", noDelay: true });
  return new Talk(socket, new Promise((resolve) => socket.once("close", () => resolve())));
}

/** The TLS side of a stream: a talk, or the error code of the handshake. */
function secure(talk: Talk, options: ConnectionOptions = {}): Promise<Talk | string> {
  return new Promise((resolve) => {
    const socket: TLSSocket = connectTls({
      socket: talk.release(),
      rejectUnauthorized: false,
      ...options,
    });
    socket.once("error", (e: NodeJS.ErrnoException) => resolve(e.code ?? e.message));
    socket.once("secureConnect", () =>
      resolve(new Talk(socket, new Promise((over) => socket.once("close", () => over())))),
    );
    socket.once("close", () => resolve("closed"));
  });
}

async function startTls(port: number, options: ConnectionOptions = {}): Promise<Talk> {
  const talk = dial(port);
  await talk.reply();
  await talk.say("EHLO c.test");
  assert.deepEqual(await talk.say("STARTTLS"), ["220 2.0.0 Ready to start TLS"]);
  const inside = await secure(talk, options);
  assert.ok(typeof inside !== "string", String(inside));
  return inside;
}

function base64(text: string): string {
  return Buffer.from(text, "latin1").toString("base64");
}

/** Common names that a certificate may have and a header or a log line must not. */
const EVIL_NAMES = [
  ["a NUL in it", "good.test\0.evil.test"],
  ["a line of a header in it", "good.test\r\nX-Evil: yes"],
  ["10 kB", "x".repeat(10_000)],
] as const;

describe("STARTTLS", () => {
  it("TLS-01: commands behind STARTTLS end the connection and never run inside TLS", async () => {
    const stage = secureStage();
    const talk = dial(await listen(stage));
    await talk.reply();
    await talk.say("EHLO c.test");
    talk.send("STARTTLS\r\nEHLO injected\r\n");
    assert.equal(await talk.rest(), "554 5.5.0 SMTP protocol error\r\n");
  });

  it("TLS-01: bytes that come between 220 and the handshake are no commands", async () => {
    const stage = secureStage();
    const talk = dial(await listen(stage));
    await talk.reply();
    await talk.say("EHLO c.test");
    await talk.say("STARTTLS");
    talk.send("EHLO injected\r\n");
    const inside = await secure(talk);
    // A handshake that begins with plain text cannot succeed; had it, nothing would have been answered.
    if (typeof inside !== "string") assert.equal(inside.heard, "");
  });

  it("TLS-02: half a handshake behind STARTTLS is never read as commands", async () => {
    const stage = secureStage();
    const talk = dial(await listen(stage));
    await talk.reply();
    await talk.say("EHLO c.test");
    talk.send(Buffer.concat([Buffer.from("STARTTLS\r\n"), Buffer.from("16030100c8010000c40303", "hex")]));
    assert.match(await talk.rest(), /^(220 [^\r]*|554 5\.5\.0 SMTP protocol error)\r\n$/);
  });

  it("TLS-03: the state from before is forgotten: sender, name, authentication", async () => {
    const stage = secureStage();
    const talk = dial(await listen(stage));
    await talk.reply();
    await talk.say("EHLO c.test");
    assert.match((await talk.say("MAIL FROM:<a@c.test>"))[0] ?? "", /^250/);
    await talk.say("STARTTLS");
    const inside = await secure(talk);
    assert.ok(typeof inside !== "string");
    assert.deepEqual(await inside.say("RCPT TO:<b@g.test>"), ["503 5.0.0 Need MAIL before RCPT"]);
    const hello = await inside.say("EHLO c.test");
    assert.ok(!hello.some((line) => line.includes("STARTTLS")));
    assert.deepEqual(await inside.say("STARTTLS"), ["454 4.3.3 TLS not available after start"]);
    await inside.say("QUIT");
  });

  it("TLS-04: STARTTLS takes no parameter", async () => {
    const stage = secureStage();
    const port = await listen(stage);
    const talk = dial(port);
    await talk.reply();
    await talk.say("EHLO c.test");
    assert.deepEqual(await talk.say("STARTTLS foo"), ["501 5.5.2 Syntax error (no parameters allowed)"]);
    await talk.say("QUIT");
  });

  it("TLS-05: mechanisms that show the password appear with TLS only, and no password is logged", async () => {
    const stage = secureStage();
    const port = await listen(stage);
    const talk = dial(port);
    await talk.reply();
    const plain = (await talk.say("EHLO c.test")).find((line) => line.includes("AUTH"));
    assert.equal(plain, "250-AUTH SCRAM-SHA-256 CRAM-MD5");
    assert.deepEqual(await talk.say(`AUTH PLAIN ${base64("\0joe\0secret")}`), [
      "504 5.3.3 AUTH mechanism PLAIN not available",
    ]);
    await talk.say("QUIT");
    const inside = await startTls(port);
    const offered = (await inside.say("EHLO c.test")).find((line) => line.includes("AUTH"));
    assert.equal(offered, "250-AUTH SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN");
    assert.deepEqual(await inside.say(`AUTH PLAIN ${base64("\0joe\0secret")}`), [
      "235 2.0.0 OK Authenticated",
    ]);
    assert.deepEqual(await inside.say(`AUTH PLAIN ${base64("\0joe\0secret")}`), [
      "503 5.5.0 Already Authenticated",
    ]);
    for (const command of ["MAIL FROM:<a@c.test>", "RCPT TO:<b@g.test>", "DATA"]) await inside.say(command);
    inside.send("A: b\r\n\r\n.\r\n");
    await inside.reply();
    await inside.say("QUIT");
    const origin = stage.intake.kept[0]?.envelope.origin;
    assert.equal(origin?.protocol, "ESMTPSA");
    assert.deepEqual(origin?.auth, { identity: "joe", mechanism: "PLAIN" });
    assert.match(stage.intake.kept[0]?.header ?? "", /\(version=TLSv1\.3 cipher=\S+ bits=\d+ verify=NO\)/);
    assert.ok(!stage.log.some((line) => line.includes("secret") || line.includes(base64("\0joe\0secret"))));
  });

  for (const [AuthOptions, answer] of [
    ["p", "504 5.3.3 AUTH mechanism PLAIN not available"],
    ["A p", "504 5.3.3 AUTH mechanism PLAIN not available"],
    ["A", "235 2.0.0 OK Authenticated"],
  ] as const)
    it(`TLS-05: confAUTH_OPTIONS ${AuthOptions}: AUTH PLAIN without TLS gets ${answer.slice(0, 3)}`, async () => {
      const stage = secureStage({ AuthOptions: AuthOptions.replace(" ", "") });
      const talk = dial(await listen(stage));
      await talk.reply();
      const offered = (await talk.say("EHLO c.test")).find((line) => line.includes("AUTH")) ?? "";
      assert.equal(/ PLAIN/.test(offered), answer.startsWith("235"), offered);
      assert.deepEqual(await talk.say(`AUTH PLAIN ${base64("\0joe\0secret")}`), [answer]);
      await talk.say("QUIT");
      assert.ok(!stage.log.some((line) => line.includes("secret") || line.includes(base64("\0joe\0secret"))));
    });

  for (const implicit of [false, true])
    it(`TLS-06: ALPN ${implicit ? "on an implicit port" : "after STARTTLS"}: smtp or nothing, http/1.1 is refused`, async () => {
      const stage = secureStage();
      const port = await listen(stage, implicit ? { modifiers: "s" } : {});
      for (const [protocols, wanted] of [
        [undefined, true],
        [["smtp"], true],
        [["http/1.1"], false],
      ] as const) {
        const talk = dial(port);
        if (!implicit) {
          await talk.reply();
          await talk.say("EHLO c.test");
          await talk.say("STARTTLS");
        }
        const inside = await secure(talk, protocols === undefined ? {} : { ALPNProtocols: [...protocols] });
        assert.equal(typeof inside !== "string", wanted, `${protocols}: ${String(inside)}`);
        if (typeof inside === "string") {
          talk.stream.destroy();
          continue;
        }
        if (implicit) assert.match((await inside.reply())[0] ?? "", /^220 mail\.gw\.test ESMTP /);
        assert.match((await inside.say("EHLO c.test"))[0] ?? "", /^250/);
        await inside.say("QUIT");
      }
    });

  for (const line of ["GET / HTTP/1.1", "POST / HTTP/1.0", "CONNECT a:25 HTTP/1.0", "USER joe"])
    it(`TLS-07: ${line} as the first line inside TLS ends the connection too`, async () => {
      const inside = await startTls(await listen(secureStage()));
      inside.send(`${line}\r\nHost: x\r\n\r\n`);
      assert.match(await inside.rest(), /^421 4\.7\.0 mail\.gw\.test Rejecting open proxy [^\r]*\r\n$/);
    });

  it("TLS-04, ST-07: STARTTLS after AUTH is refused", async () => {
    const stage = secureStage({ AuthOptions: "A" });
    const talk = dial(await listen(stage));
    await talk.reply();
    await talk.say("EHLO c.test");
    assert.deepEqual(await talk.say(`AUTH PLAIN ${base64("\0joe\0secret")}`), ["235 2.0.0 OK Authenticated"]);
    assert.deepEqual(await talk.say("STARTTLS"), ["503 5.5.0 STARTTLS not permitted after AUTH"]);
    await talk.say("QUIT");
  });

  it("TLS-01: commands behind STARTTLS in pieces of every size never run inside TLS", async () => {
    const stage = secureStage();
    const port = await listen(stage);
    const bytes = "STARTTLS\r\nMAIL FROM:<evil@c.test>\r\n";
    for (let cut = 1; cut <= bytes.length; cut++) {
      const talk = dial(port);
      await talk.reply();
      await talk.say("EHLO c.test");
      talk.send(bytes.slice(0, cut));
      await new Promise((resolve) => setTimeout(resolve, 3));
      talk.send(bytes.slice(cut));
      // Refused at once, or taken for a handshake, which it is not.
      assert.match(
        await talk.rest(),
        /^(?:554 5\.5\.0 SMTP protocol error|220 2\.0\.0 Ready to start TLS)\r\n$/,
      );
    }
    assert.equal(stage.intake.opened, 0);
  });

  it("TLS-10: a handshake in segments of one byte works", async () => {
    const port = await listen(secureStage());
    const talk = dial(port);
    await talk.reply();
    await talk.say("EHLO c.test");
    await talk.say("STARTTLS");
    const plain = talk.release();
    const [ours, theirs] = duplexPair();
    theirs.on("data", (chunk: Buffer) => {
      for (const byte of chunk) plain.write(Buffer.of(byte));
    });
    plain.on("data", (chunk: Buffer) => theirs.write(chunk));
    plain.on("close", () => theirs.destroy());
    const socket = connectTls({ socket: ours, rejectUnauthorized: false });
    await new Promise((resolve, reject) => {
      socket.once("secureConnect", resolve);
      socket.once("error", reject);
    });
    const inside = new Talk(socket, Promise.resolve());
    assert.match((await inside.say("EHLO c.test"))[0] ?? "", /^250/);
    plain.destroy();
  });

  for (const [name, commonName] of EVIL_NAMES)
    it(`TLS-09: a trusted client certificate whose name has ${name}`, async () => {
      const keys = generateKeyPairSync("rsa", {
        modulusLength: 2048,
        publicKeyEncoding: { type: "spki", format: "pem" },
        privateKeyEncoding: { type: "pkcs8", format: "pem" },
      });
      const certificate = (kind: "ca" | "client", subject: string, issuerCertificate: string): string =>
        makeCertificate({
          kind,
          subject: { commonName: subject, organization: "", country: "" },
          issuer: { commonName: "CA", organization: "", country: "" },
          publicKey: keys.publicKey,
          signingKey: keys.privateKey,
          issuerCertificate,
          serial: kind === "ca" ? "41" : "42",
          notBeforeMs: Date.now() - 86_400_000,
          notAfterMs: Date.now() + 86_400_000,
          alternatives: [],
        });
      const ca = certificate("ca", "CA", "");
      writeFileSync(pki.path("evil-ca.crt"), ca);
      const stage = secureStage({ CACertFile: pki.path("evil-ca.crt") });
      const heard = heardBy.get(stage) ?? [];
      const port = await listen(stage);
      const inside = await startTls(port, {
        key: keys.privateKey,
        cert: certificate("client", commonName, ca),
      });
      for (const line of ["EHLO c.test", "MAIL FROM:<a@c.test>", "RCPT TO:<b@gw.test>", "DATA"])
        assert.match((await inside.say(line)).at(-1) ?? "", /^(250|354)/);
      assert.match((await inside.say("Subject: x\r\n\r\nx\r\n.")).at(-1) ?? "", /^250/);
      inside.stream.destroy();
      const [kept] = stage.intake.kept;
      assert.equal(kept?.envelope.origin.tls?.verify, "OK");
      const told = [JSON.stringify(kept?.envelope), kept?.header, kept?.body, ...stage.log, ...heard].join(
        "\n",
      );
      assert.doesNotMatch(told, /\n ?X-Evil|\\[rn]X-Evil|\0|\\u0000|x{1000}/);
    });

  it("TLS-10: a client that asks for renegotiation is cut off or refused, and the gateway lives", async () => {
    const stage = secureStage();
    const port = await listen(stage);
    const inside = await startTls(port, { maxVersion: "TLSv1.2" });
    await inside.say("EHLO c.test");
    const socket = inside.stream as TLSSocket;
    const refused = await new Promise<boolean>((resolve) => {
      socket.once("error", () => resolve(true));
      socket.once("close", () => resolve(true));
      if (!socket.renegotiate({}, (e) => resolve(e !== null))) resolve(true);
    });
    assert.ok(refused, "renegotiated");
    socket.destroy();
    const again = await startTls(port);
    assert.match((await again.say("EHLO c.test"))[0] ?? "", /^250/);
    again.stream.destroy();
  });

  it("TLS-08: a session of one listener is not resumed at another", async () => {
    const stage = secureStage();
    const first = await listen(stage, { name: "MTA" });
    const second = await listen(stage, { name: "MSA" });
    const talk = dial(first);
    await talk.reply();
    await talk.say("EHLO c.test");
    await talk.say("STARTTLS");
    let ticket: Buffer | undefined;
    const inside = await secure(talk);
    assert.ok(typeof inside !== "string");
    (inside.stream as TLSSocket).on("session", (session: Buffer) => {
      ticket = session;
    });
    await inside.say("EHLO c.test");
    await inside.say("QUIT");
    assert.ok(ticket !== undefined);
    const again = await startTls(second, { session: ticket });
    assert.equal((again.stream as TLSSocket).isSessionReused(), false);
    await again.say("QUIT");
    const same = await startTls(first, { session: ticket });
    assert.equal((same.stream as TLSSocket).isSessionReused(), true);
    await same.say("QUIT");
  });

  it("modifiers: S takes STARTTLS away, A takes AUTH away, a demands it, E takes ETRN away", async () => {
    const stage = secureStage();
    for (const [modifiers, absent] of [
      ["S", "STARTTLS"],
      ["A", "AUTH"],
      ["E", "ETRN"],
    ] as const) {
      const talk = dial(await listen(stage, { modifiers }));
      await talk.reply();
      const hello = await talk.say("EHLO c.test");
      assert.ok(!hello.some((line) => line.slice(4).startsWith(absent)), modifiers);
      await talk.say("QUIT");
    }
    const talk = dial(await listen(stage, { modifiers: "a" }));
    await talk.reply();
    await talk.say("EHLO c.test");
    assert.deepEqual(await talk.say("MAIL FROM:<a@c.test>"), ["530 5.7.0 Authentication required"]);
    await talk.say("QUIT");
  });
});

describe("AUTH", () => {
  const REPLIES: { name: string; lines: readonly string[]; answer: string | RegExp }[] = [
    { name: "no mechanism", lines: ["AUTH"], answer: "501 5.5.2 AUTH mechanism must be specified" },
    {
      name: "an unknown mechanism",
      lines: ["AUTH FOO"],
      answer: "504 5.3.3 AUTH mechanism FOO not available",
    },
    { name: "ST-07: abort", lines: ["AUTH LOGIN", "*"], answer: "501 5.0.0 AUTH aborted" },
    {
      name: "ST-07: base64 with blanks",
      lines: ["AUTH LOGIN", "am9 l"],
      answer: "501 5.5.4 cannot decode AUTH parameter am9 l",
    },
    {
      name: "ST-07: * is no initial response",
      lines: ["AUTH LOGIN *"],
      answer: /^501 5\.5\.4 cannot BASE64 decode/,
    },
    {
      name: "an abort with blanks is no abort",
      lines: ["AUTH LOGIN", " *"],
      answer: /^501 5\.5\.4 cannot decode/,
    },
    { name: "an 8-bit response", lines: ["AUTH LOGIN", "\xff\xfe"], answer: /^501 5\.5\.4 cannot decode/ },
    { name: "a NUL in a response", lines: ["AUTH LOGIN", "am9s\0AAAA"], answer: /^(?:334|501) / },
    {
      name: "a command instead of a response",
      lines: ["AUTH LOGIN", "MAIL FROM:<a@c.test>"],
      answer: /^501 5\.5\.4/,
    },
    {
      name: "a mechanism of 500 characters",
      lines: [`AUTH ${"X".repeat(500)}`],
      answer: /^504 5\.3\.3 AUTH mechanism X{32} not/,
    },
    { name: "padding in the middle", lines: ["AUTH PLAIN AA==AAAA"], answer: /^501 5\.5\.4/ },
    {
      name: "12 kB of base64 as an initial response",
      lines: [`AUTH PLAIN ${base64("a".repeat(9000))}`],
      answer: "535 5.7.0 authentication failed",
    },
    { name: "the LOGIN prompts", lines: ["AUTH LOGIN"], answer: "334 VXNlcm5hbWU6" },
    { name: "the second LOGIN prompt", lines: ["AUTH LOGIN", "am9l"], answer: "334 UGFzc3dvcmQ6" },
    {
      name: "LOGIN",
      lines: ["AUTH LOGIN", "am9l", base64("secret")],
      answer: "235 2.0.0 OK Authenticated",
    },
    {
      name: "a wrong password",
      lines: ["AUTH LOGIN", "am9l", base64("wrong")],
      answer: "535 5.7.0 authentication failed",
    },
    {
      name: "ST-07: NUL in the authorization identity",
      lines: [`AUTH PLAIN ${base64("x\0y\0joe\0secret")}`],
      answer: "535 5.7.0 authentication failed",
    },
    ...["x\ny", "x\0y", "__proto__"].map((user) => ({
      name: `INJ-08: user ${JSON.stringify(user)}`,
      lines: [`AUTH PLAIN ${base64(`\0${user}\0secret`)}`],
      answer: "535 5.7.0 authentication failed",
    })),
    { name: "a CRAM-MD5 challenge", lines: ["AUTH CRAM-MD5"], answer: /^334 [A-Za-z0-9+/=]+$/ },
    {
      name: "ST-07: a response line of 12288 characters is read",
      lines: ["AUTH LOGIN", "A".repeat(12288)],
      answer: /^(334|5)/,
    },
    {
      name: "ST-07: one of 12289 is not",
      lines: ["AUTH LOGIN", "A".repeat(12289)],
      answer: /^421 4\.7\.0 mail\.gw\.test Command too long/,
    },
  ];
  for (const { name, lines, answer } of REPLIES)
    it(`${name} is answered as it should be`, async () => {
      const inside = await startTls(await listen(secureStage()));
      await inside.say("EHLO c.test");
      let last: string[] = [];
      for (const line of lines) last = await inside.say(line);
      if (typeof answer === "string") assert.deepEqual(last, [answer]);
      else assert.match(last[0] ?? "", answer);
      inside.stream.destroy();
    });

  it("ST-07: AUTH inside a transaction is refused", async () => {
    const inside = await startTls(await listen(secureStage()));
    await inside.say("EHLO c.test");
    await inside.say("MAIL FROM:<a@c.test>");
    assert.deepEqual(await inside.say("AUTH LOGIN"), [
      "503 5.5.0 AUTH not permitted during a mail transaction",
    ]);
    await inside.say("QUIT");
  });

  it("ST-07: the third wrong guess ends the connection, each one is logged without the secret", async () => {
    const stage = secureStage();
    const inside = await startTls(await listen(stage));
    await inside.say("EHLO c.test");
    for (let i = 0; i < 2; i++)
      assert.deepEqual(await inside.say(`AUTH PLAIN ${base64("\0joe\0guess")}`), [
        "535 5.7.0 authentication failed",
      ]);
    inside.send(`AUTH PLAIN ${base64("\0joe\0guess")}\r\n`);
    assert.equal(
      await inside.rest(),
      "535 5.7.0 authentication failed\r\n421 4.7.0 mail.gw.test Too many bad commands; closing connection\r\n",
    );
    assert.equal(stage.log.filter((line) => line.includes("AUTH failure (PLAIN)")).length, 3);
    assert.ok(!stage.log.some((line) => line.includes("guess")));
  });
});
