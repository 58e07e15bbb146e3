import assert from "node:assert/strict";
import { chmodSync, copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { after, before, test } from "node:test";
import * as tls from "node:tls";
import { defaultOptions, type Options } from "../../../src/config/options.ts";
import { loadClientTls } from "../../../src/tls/client.ts";
import type { ServerTls, Upgraded } from "../../../src/tls/context.ts";
import { loadServerTls } from "../../../src/tls/server.ts";
import { makePki, openssl, type Pki } from "./pki.ts";

let pki: Pki;
const lines: string[] = [];
const log = { line: (_level: number, text: string) => lines.push(text) };
let clockTrusted = true;
let nowMs = Date.now();
const around = {
  log,
  clockTrusted: () => clockTrusted,
  owners: [process.getuid?.() ?? 0],
  nowMs: () => nowMs,
};

function options(changes: Partial<Options> = {}): Options {
  return {
    ...defaultOptions(),
    ServerCertFile: pki.path("server.crt"),
    ServerKeyFile: pki.path("server.key"),
    CACertFile: pki.path("ca.crt"),
    ...changes,
  };
}

before(() => {
  pki = makePki();
  pki.issue("server", "/C=US/O=polkatistas/CN=localhost");
  pki.issue("other", "/CN=other", [], "DNS:other.example");
  pki.issue("mick", "/C=US/ST=New York/O=polkatistas/CN=Mick (Bauer) <x>\\+y", [], "email:mick@example.org");
  pki.issue("late", "/CN=localhost", ["-startdate", "20200101000000Z", "-enddate", "20200201000000Z"]);
  pki.issue("early", "/CN=localhost", ["-startdate", "20400101000000Z", "-enddate", "20410101000000Z"]);
  pki.crl();
});
after(() => pki.remove());

function certificateSerial(name: string): string {
  return openssl(["x509", "-in", pki.path(name), "-noout", "-serial"])
    .trim()
    .replace("serial=", "");
}

interface Listening {
  readonly port: number;
  /** Results of the server's side, in order. */
  next(): Promise<Upgraded | { readonly failure: string }>;
  close(): void;
}

async function listen(
  server: ServerTls,
  plan: { requestCert?: boolean; listener?: string; timeoutMs?: number } = {},
): Promise<Listening> {
  const done: (Upgraded | { readonly failure: string })[] = [];
  const waiting: ((u: Upgraded | { readonly failure: string }) => void)[] = [];
  const sockets = new Set<Socket>();
  const net: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    void server
      .upgrade(socket, {
        requestCert: plan.requestCert ?? true,
        listener: plan.listener ?? "MTA",
        timeoutMs: plan.timeoutMs ?? 5000,
      })
      .then((result) => {
        if ("socket" in result) result.socket.on("data", (d: Buffer) => result.socket.write(d));
        const taker = waiting.shift();
        if (taker) taker(result);
        else done.push(result);
      });
  });
  await new Promise<void>((resolve) => net.listen(0, "127.0.0.1", resolve));
  return {
    port: (net.address() as AddressInfo).port,
    next: () => {
      const ready = done.shift();
      return ready ? Promise.resolve(ready) : new Promise((resolve) => waiting.push(resolve));
    },
    close: () => {
      for (const socket of sockets) socket.destroy();
      net.close();
    },
  };
}

/** A Node client; resolves at its end with what it saw. `talk`: echo a line first, so that tickets arrive. */
function client(
  port: number,
  o: tls.ConnectionOptions = {},
): Promise<{ error: string; alpn: string | false | null; reused: boolean; session: Buffer | undefined }> {
  return new Promise((resolve) => {
    let session: Buffer | undefined;
    const socket = tls.connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ...o });
    const end = (error: string): void => {
      resolve({ error, alpn: socket.alpnProtocol, reused: socket.isSessionReused(), session });
      socket.destroy();
    };
    socket.on("session", (s) => {
      session = s;
    });
    socket.on("secureConnect", () => socket.write("x"));
    socket.on("data", () => setTimeout(() => end(""), 30));
    socket.on("error", (e: NodeJS.ErrnoException) => end(e.code ?? e.message));
    socket.setTimeout(5000, () => end("timeout"));
  });
}

function server(changes: Partial<Options> = {}): ServerTls {
  const loaded = loadServerTls(options(changes), around);
  assert.ok(loaded);
  return loaded;
}

function facts(result: Upgraded | { readonly failure: string }): Upgraded["facts"] {
  if ("failure" in result) throw new Error(result.failure);
  return result.facts;
}

test("verify is NO without a client certificate, NOT when none was asked for, OK and FAIL with one", async () => {
  const s = server();
  const l = await listen(s);
  try {
    const none = l.next();
    await client(l.port);
    assert.equal(facts(await none).verify, "NO");
    const good = l.next();
    await client(l.port, { cert: pki.read("mick.crt"), key: pki.read("mick.key") });
    const got = facts(await good);
    assert.equal(got.verify, "OK");
    // openssl's one-line form, then blanks and specials as +XX.
    const name = openssl(["x509", "-in", pki.path("mick.crt"), "-noout", "-subject", "-nameopt", "compat"]);
    assert.match(name, /\/C=US\/ST=New York\/O=polkatistas\/CN=Mick \(Bauer\) <x>\\?\+y/);
    assert.equal(got.certSubject, "/C=US/ST=New+20York/O=polkatistas/CN=Mick+20+28Bauer+29+20+3Cx+3E+2By");
    assert.equal(got.cnSubject, "Mick+20+28Bauer+29+20+3Cx+3E+2By");
    assert.equal(got.certIssuer, "/C=US/O=polkatistas/CN=Test+20CA");
    assert.equal(got.cnIssuer, "Test+20CA");
    assert.equal(got.version, "TLSv1.3");
    assert.equal(got.bits, 128);
    const late = l.next();
    await client(l.port, { cert: pki.read("late.crt"), key: pki.read("late.key") });
    const expired = facts(await late);
    assert.deepEqual([expired.verify, expired.verifyError], ["FAIL", "CERT_HAS_EXPIRED"]);
  } finally {
    l.close();
  }
  const q = await listen(server({ TLSSrvOptions: "V" }));
  try {
    const not = q.next();
    await client(q.port, { cert: pki.read("mick.crt"), key: pki.read("mick.key") });
    assert.equal(facts(await not).verify, "NOT");
  } finally {
    q.close();
  }
});

test("a certificate of nobody we trust is FAIL; without any authority everything is", async () => {
  openssl([
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
    "-nodes",
    "-keyout",
    pki.path("self.key"),
    "-out",
    pki.path("self.crt"),
    "-days",
    "3",
    "-subj",
    "/CN=self",
  ]);
  for (const [changes, name] of [
    [{}, "self"],
    [{ CACertFile: "" }, "mick"],
  ] as const) {
    const l = await listen(server(changes));
    const got = l.next();
    await client(l.port, { cert: pki.read(`${name}.crt`), key: pki.read(`${name}.key`) });
    assert.equal(facts(await got).verify, "FAIL");
    l.close();
  }
});

test("an untrusted clock defers: not yet valid is TEMP, with a log line of its own", async () => {
  const l = await listen(server());
  clockTrusted = false;
  try {
    lines.length = 0;
    const got = l.next();
    await client(l.port, { cert: pki.read("early.crt"), key: pki.read("early.key") });
    assert.equal(facts(await got).verify, "TEMP");
    assert.match(lines.join("\n"), /the clock is not set \(CERT_NOT_YET_VALID\)/);
  } finally {
    clockTrusted = true;
    l.close();
  }
});

test("a revoked client certificate fails at the next handshake after the list was replaced, tickets included", async () => {
  pki.issue("gone", "/CN=gone");
  pki.crl();
  const s = server({ CRLFile: pki.path("crl.pem") });
  const l = await listen(s);
  const who = { cert: pki.read("gone.crt"), key: pki.read("gone.key") };
  try {
    const before = l.next();
    const seen = await client(l.port, who);
    assert.equal(facts(await before).verify, "OK");
    const again = l.next();
    const resumed = await client(l.port, { ...who, ...(seen.session && { session: seen.session }) });
    assert.equal(resumed.reused, true, "resumption works as long as nothing changed");
    assert.equal(facts(await again).verify, "OK");
    const held = { certIssuer: "/C=US/O=polkatistas/CN=Test+20CA", serial: certificateSerial("gone.crt") };
    assert.equal(s.isRevoked(held), false);
    pki.revoke("gone");
    assert.equal(s.isRevoked(held), true, "an open session is seen as revoked too");
    assert.equal(s.isRevoked({ ...held, serial: certificateSerial("mick.crt") }), false);
    assert.equal(s.isRevoked({ ...held, certIssuer: "/CN=another" }), false);
    const after = l.next();
    const refused = await client(l.port, { ...who, ...(seen.session && { session: seen.session }) });
    assert.equal(refused.reused, false);
    const got = facts(await after);
    assert.deepEqual([got.verify, got.verifyError], ["FAIL", "CERT_REVOKED"]);
  } finally {
    l.close();
  }
});

test("TLS-08: a session of one listener is not resumed at another", async () => {
  const s = server();
  const a = await listen(s, { listener: "MTA" });
  const b = await listen(s, { listener: "MSA" });
  try {
    for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
      const first = await client(a.port, { maxVersion });
      assert.ok(first.session);
      assert.equal((await client(a.port, { maxVersion, session: first.session })).reused, true);
      const other = await client(b.port, { maxVersion, session: first.session });
      assert.deepEqual([other.error, other.reused], ["", false]);
    }
  } finally {
    a.close();
    b.close();
  }
});

test("TLS-06: ALPN smtp is taken, anything else alone is refused by alert, none is fine", async () => {
  const l = await listen(server());
  try {
    assert.equal((await client(l.port, { ALPNProtocols: ["smtp"] })).alpn, "smtp");
    assert.equal((await client(l.port, { ALPNProtocols: ["h2", "smtp"] })).alpn, "smtp");
    assert.match((await client(l.port, { ALPNProtocols: ["http/1.1"] })).error, /NO_APPLICATION_PROTOCOL/);
    assert.equal((await client(l.port)).error, "");
  } finally {
    l.close();
  }
});

test("TLS-10: TLS 1.1 is refused; a stalled handshake ends in time; garbage is a failure, not a crash", async () => {
  const l = await listen(server(), { timeoutMs: 400 });
  try {
    const old = await client(l.port, {
      minVersion: "TLSv1.1",
      maxVersion: "TLSv1.1",
      ciphers: "DEFAULT@SECLEVEL=0",
    });
    assert.notEqual(old.error, "");
    assert.ok("failure" in (await l.next()));
    for (const [bytes, failure] of [
      ["", /timed out/],
      ["EHLO injected\r\n", /./],
      ["\x16\x03\x01\x02\x00", /timed out/],
    ] as const) {
      const socket = connect(l.port, "127.0.0.1");
      socket.on("error", () => socket.destroy());
      if (bytes !== "") socket.write(Buffer.from(bytes, "latin1"));
      const result = await l.next();
      assert.ok("failure" in result);
      assert.match(result.failure, failure);
      socket.destroy();
    }
  } finally {
    l.close();
  }
});

test("TLS-01: bytes already read in front of the handshake end the connection", async () => {
  const s = server();
  const results: Promise<Upgraded | { readonly failure: string }>[] = [];
  const net = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    socket.once("readable", () => {
      socket.read(10);
      results.push(s.upgrade(socket, { requestCert: false, listener: "MTA", timeoutMs: 2000 }));
    });
  });
  await new Promise<void>((resolve) => net.listen(0, "127.0.0.1", resolve));
  const socket = connect((net.address() as AddressInfo).port, "127.0.0.1");
  socket.on("error", () => socket.destroy());
  socket.write("STARTTLS\r\nEHLO injected\r\n");
  await new Promise((resolve) => socket.on("close", resolve));
  assert.deepEqual(await results[0], { failure: "plaintext in front of the handshake" });
  net.close();
});

test("SNI: of several certificates the one that fits the name is shown, the first otherwise", async () => {
  const l = await listen(
    server({
      ServerCertFile: `${pki.path("server.crt")},${pki.path("other.crt")}`,
      ServerKeyFile: `${pki.path("server.key")},${pki.path("other.key")}`,
    }),
  );
  const shown = (servername: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const c = tls.connect(
        { port: l.port, host: "127.0.0.1", rejectUnauthorized: false, servername },
        () => {
          resolve(String(c.getPeerCertificate().subject.CN));
          c.destroy();
        },
      );
      c.on("error", reject);
    });
  try {
    assert.equal(await shown("other.example"), "other");
    assert.equal(await shown("localhost"), "localhost");
  } finally {
    l.close();
  }
});

test("certificates are replaced while running; a bad replacement leaves the old ones in use and says so", async () => {
  for (const kind of ["crt", "key"]) copyFileSync(pki.path(`server.${kind}`), pki.path(`live.${kind}`));
  const s = server({ ServerCertFile: pki.path("live.crt"), ServerKeyFile: pki.path("live.key") });
  const name = (): string => s.leaves()[0]?.subject ?? "";
  assert.match(name(), /localhost/);
  lines.length = 0;
  copyFileSync(pki.path("other.crt"), pki.path("live.crt"));
  assert.equal(s.refresh(), true);
  assert.match(name(), /localhost/);
  assert.match(lines.join("\n"), /live\.key is not the key of .*live\.crt\n.*stay in use/);
  copyFileSync(pki.path("other.key"), pki.path("live.key"));
  assert.equal(s.refresh(), true);
  assert.match(name(), /other/);
  rmSync(pki.path("live.crt"));
  assert.equal(s.refresh(), true);
  assert.equal(s.reason(), "");
});

const REFUSED: readonly {
  name: string;
  prepare: () => Partial<Options>;
  log: RegExp | null;
}[] = [
  {
    name: "group-readable key",
    prepare: () => {
      chmodSync(pki.path("bad.key"), 0o640);
      return {};
    },
    log: /^STARTTLS=server: file \S+bad\.key unsafe: Group readable file$/,
  },
  {
    name: "world-readable key",
    prepare: () => {
      chmodSync(pki.path("bad.key"), 0o644);
      return {};
    },
    log: /^STARTTLS=server: file \S+bad\.key unsafe: Group readable file$/,
  },
  {
    name: "group-readable key with GroupReadableKeyFile",
    prepare: () => {
      chmodSync(pki.path("bad.key"), 0o640);
      return { DontBlameSendmail: ["GroupReadableKeyFile"] };
    },
    log: null,
  },
  {
    name: "world-readable key with GroupReadableKeyFile",
    prepare: () => {
      chmodSync(pki.path("bad.key"), 0o604);
      return { DontBlameSendmail: ["GroupReadableKeyFile"] };
    },
    log: /World readable file$/,
  },
  {
    name: "certificate readable by all",
    prepare: () => {
      chmodSync(pki.path("bad.crt"), 0o644);
      return {};
    },
    log: null,
  },
  {
    name: "group-writable certificate",
    prepare: () => {
      chmodSync(pki.path("bad.crt"), 0o664);
      return {};
    },
    log: /^STARTTLS=server: file \S+bad\.crt unsafe: Group writable file$/,
  },
  {
    name: "world-writable authority file",
    prepare: () => {
      copyFileSync(pki.path("ca.crt"), pki.path("ca2.crt"));
      chmodSync(pki.path("ca2.crt"), 0o646);
      return { CACertFile: pki.path("ca2.crt") };
    },
    log: /ca2\.crt unsafe: World writable file$/,
  },
  {
    name: "missing certificate",
    prepare: () => ({ ServerCertFile: pki.path("nothing.crt") }),
    log: /nothing\.crt unsafe: No such file or directory$/,
  },
  { name: "no key configured", prepare: () => ({ ServerKeyFile: "" }), log: /ServerKeyFile missing$/ },
  {
    name: "another certificate's key",
    prepare: () => ({ ServerKeyFile: pki.path("other.key") }),
    log: /other\.key is not the key of /,
  },
  {
    name: "encrypted key",
    prepare: () => {
      openssl([
        "pkcs8",
        "-topk8",
        "-in",
        pki.path("server.key"),
        "-out",
        pki.path("locked.key"),
        "-passout",
        "pass:x",
      ]);
      chmodSync(pki.path("locked.key"), 0o600);
      return { ServerKeyFile: pki.path("locked.key") };
    },
    log: /locked\.key is encrypted/,
  },
  {
    name: "a certificate file that is none",
    prepare: () => {
      writeFileSync(pki.path("junk.crt"), "junk\n", { mode: 0o600 });
      return { ServerCertFile: pki.path("junk.crt") };
    },
    log: /no certificate in /,
  },
  {
    name: "a cipher list that is none",
    prepare: () => ({ CipherList: "NOSUCHCIPHER" }),
    log: /STARTTLS=server, error: /,
  },
  {
    name: "a folder as key",
    prepare: () => ({ ServerKeyFile: pki.dir }),
    log: /unsafe: Regular files only$/,
  },
];
for (const c of REFUSED)
  test(`files: ${c.name} ${c.log === null ? "is accepted" : "switches STARTTLS off and says why"}`, () => {
    for (const kind of ["crt", "key"]) {
      copyFileSync(pki.path(`server.${kind}`), pki.path(`bad.${kind}`));
      chmodSync(pki.path(`bad.${kind}`), 0o600);
    }
    lines.length = 0;
    const s = server({
      ServerCertFile: pki.path("bad.crt"),
      ServerKeyFile: pki.path("bad.key"),
      ...c.prepare(),
    });
    assert.equal(s.context("MTA") !== null, c.log === null, lines.join("\n"));
    if (c.log === null) assert.equal(s.reason(), "");
    else {
      assert.match(s.reason(), c.log);
      assert.match(lines[0] ?? "", c.log);
    }
  });

test("without ServerCertFile and ServerKeyFile there is no server side and no log line", () => {
  lines.length = 0;
  assert.equal(loadServerTls(defaultOptions(), around), null);
  assert.deepEqual(lines, []);
});

test("CACertPath: authorities of the folder verify clients; a leaf that lies there vouches for nobody", async () => {
  mkdirSync(pki.path("leaves"));
  copyFileSync(pki.path("mick.crt"), pki.path("leaves/mick.crt"));
  for (const [folder, verify] of [
    [pki.dir, "OK"],
    [pki.path("leaves"), "FAIL"],
  ] as const) {
    const l = await listen(server({ CACertFile: "", CACertPath: folder }));
    const got = l.next();
    await client(l.port, { cert: pki.read("mick.crt"), key: pki.read("mick.key") });
    assert.equal(facts(await got).verify, verify);
    l.close();
  }
});

test("client: facts about the server, its own certificate shown, name compared", async () => {
  const s = server();
  const l = await listen(s);
  try {
    const c = loadClientTls(
      options({ ClientCertFile: pki.path("mick.crt"), ClientKeyFile: pki.path("mick.key") }),
      around,
    );
    for (const [name, matches] of [
      ["localhost", true],
      ["127.0.0.1", true],
      ["evil.example", false],
    ] as const) {
      const socket = connect(l.port, "127.0.0.1");
      await new Promise((resolve) => socket.on("connect", resolve));
      const done = await c.upgrade(socket, name, 3000);
      assert.ok(done.ok);
      assert.deepEqual([done.value.facts.verify, done.value.facts.nameMatches], ["OK", matches]);
      const other = facts(await l.next());
      assert.deepEqual([other.verify, other.cnSubject.slice(0, 4)], ["OK", "Mick"]);
      done.value.socket.destroy();
    }
  } finally {
    l.close();
  }
});

test("client: a bad certificate of ours is said aloud and not shown; encryption goes on", async () => {
  lines.length = 0;
  const c = loadClientTls(
    options({ ClientCertFile: pki.path("nothing.crt"), ClientKeyFile: pki.path("mick.key") }),
    around,
  );
  assert.match(lines.join("\n"), /^STARTTLS=client: file \S+nothing\.crt unsafe: No such file or directory$/);
  const l = await listen(server());
  try {
    const socket = connect(l.port, "127.0.0.1");
    await new Promise((resolve) => socket.on("connect", resolve));
    const done = await c.upgrade(socket, "localhost", 3000);
    assert.ok(done.ok);
    assert.equal(done.value.facts.verify, "FAIL");
    assert.equal(facts(await l.next()).verify, "NO");
    done.value.socket.destroy();
  } finally {
    l.close();
  }
});

test("client: a server that answers with plaintext, closes or stalls is an error in time", async () => {
  const c = loadClientTls(defaultOptions(), around);
  for (const [answer, expected] of [
    ["250 injected\r\n", /./],
    [null, /closed|ECONNRESET|socket/i],
    ["", /timed out/],
  ] as const) {
    const net = createServer((socket) => {
      socket.on("error", () => socket.destroy());
      if (answer === null) socket.destroy();
      else if (answer !== "") socket.write(answer);
    });
    await new Promise<void>((resolve) => net.listen(0, "127.0.0.1", resolve));
    const socket = connect((net.address() as AddressInfo).port, "127.0.0.1");
    await new Promise((resolve) => socket.on("connect", resolve));
    const done = await c.upgrade(socket, "localhost", 300);
    assert.equal(done.ok, false);
    assert.match(done.ok ? "" : done.error, expected);
    socket.destroy();
    net.close();
  }
});

test("certificates that end soon are said at load and on request, not on an untrusted clock", () => {
  const real = nowMs;
  try {
    lines.length = 0;
    assert.deepEqual(server().warnings().length, 2, "30 days of life are few: certificate and authority");
    assert.match(lines.join("\n"), /^STARTTLS=server: certificate \S+server\.crt expires on /m);
    nowMs = real + 31 * 86_400_000;
    assert.match(server().warnings()[0] ?? "", /expired on/);
    clockTrusted = false;
    assert.deepEqual(server().warnings(), []);
  } finally {
    nowMs = real;
    clockTrusted = true;
  }
});

test("files that only root could read at the start: a new list counts all the same, the rest stays", {
  skip: process.getuid?.() === 0 ? false : "needs root",
}, () => {
  const folder = pki.path("closed");
  mkdirSync(folder, { mode: 0o711 });
  for (const name of ["server.crt", "server.key", "ca.crt", "crl.pem"]) {
    copyFileSync(pki.path(name), `${folder}/${name}`);
    chmodSync(`${folder}/${name}`, name === "server.key" ? 0o600 : 0o644);
  }
  chmodSync(pki.dir, 0o711);
  const named = (name: string): string => `${folder}/${name}`;
  const s = server({
    ServerCertFile: named("server.crt"),
    ServerKeyFile: named("server.key"),
    CACertFile: named("ca.crt"),
    CRLFile: named("crl.pem"),
  });
  lines.length = 0;
  const before = s.context("MTA");
  process.seteuid?.(65534);
  try {
    assert.equal(s.context("MTA"), before);
    process.seteuid?.(0);
    pki.revoke("other");
    copyFileSync(pki.path("crl.pem"), named("crl.pem"));
    process.seteuid?.(65534);
    assert.notEqual(s.context("MTA"), before);
    assert.match(lines.join("\n"), /were read again/);
    assert.doesNotMatch(lines.join("\n"), /unsafe/);
    process.seteuid?.(0);
    chmodSync(folder, 0o700);
    process.seteuid?.(65534);
    lines.length = 0;
    assert.ok(s.context("MTA"));
    assert.doesNotMatch(lines.join("\n"), /unsafe/);
  } finally {
    process.seteuid?.(0);
  }
});
