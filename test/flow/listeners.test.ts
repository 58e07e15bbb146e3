// The gateway as the book's Sections on AUTH and STARTTLS make it, whole: listeners for 25, 587 (M=Ea) and 465 (M=s), certificates of
// `postern cert` that only root can read, users of saslpasswd, and rules of the access table. What strangers, users and holders of
// certificates may do, and what stays so over reloads and changed files.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { startPeer } from "./deliver/peer.ts";
import { delay, freePort, Gateway, Sink, until } from "./gateway.ts";
import { plain, Session } from "./session.ts";

const HOST = "mail.polkatistas.org";
const OTHER = "mail.tubascoundrels.net";
const SECRET = "Ch1mp? ,03fuzz fl0ppi";
const OUT = "bob@elsewhere.example";

const gateway = new Gateway("listeners");
const sink = new Sink();
// The authority has a folder that the daemon may look into: its list of revoked certificates counts at once.
const ca = join(gateway.config, "ca");
let submission = 0;
let implicit = 0;
let deadPort = 0;
let securePeer: Awaited<ReturnType<typeof startPeer>>;

const asRoot = process.getuid?.() === 0;

async function cert(...words: string[]): Promise<void> {
  const made = await gateway.run("cert", ["ca", ...words, "--dir", ca]);
  assert.equal(made.status, 0, made.err);
}

const file = (name: string): Buffer => readFileSync(join(gateway.config, "certs", name));

function mc(): string {
  return `OSTYPE(\`linux')dnl
define(\`confDOMAIN_NAME', \`${HOST}')dnl
TRUST_AUTH_MECH(\`CRAM-MD5 DIGEST-MD5 LOGIN PLAIN EXTERNAL')dnl
define(\`confAUTH_MECHANISMS', \`CRAM-MD5 DIGEST-MD5 LOGIN PLAIN EXTERNAL')dnl
define(\`CERT_DIR', \`/etc/mail/certs')dnl
define(\`confCACERT_PATH', \`CERT_DIR')dnl
define(\`confCACERT', \`/etc/mail/ca/cacert.pem')dnl
define(\`confCRL', \`/etc/mail/ca/crl.pem')dnl
define(\`confSERVER_CERT', \`CERT_DIR/${HOST}.pem,CERT_DIR/${OTHER}.pem')dnl
define(\`confSERVER_KEY', \`CERT_DIR/${HOST}.key,CERT_DIR/${OTHER}.key')dnl
define(\`confCLIENT_CERT', \`CERT_DIR/${HOST}.pem')dnl
define(\`confCLIENT_KEY', \`CERT_DIR/${HOST}.key')dnl
define(\`confPRIVACY_FLAGS', \`authwarnings')dnl
define(\`confTO_QUEUERETURN', \`1h')dnl
FEATURE(\`access_db')dnl
FEATURE(\`mailertable')dnl
FEATURE(\`nocanonify')dnl
FEATURE(\`accept_unresolvable_domains')dnl
FEATURE(\`no_default_msa')dnl
DAEMON_OPTIONS(\`Name=MTA, Addr=127.0.0.1, Port=${gateway.port}')dnl
DAEMON_OPTIONS(\`Name=MSA, Addr=127.0.0.1, Port=${submission}, M=Ea')dnl
DAEMON_OPTIONS(\`Name=TLSMTA, Addr=127.0.0.1, Port=${implicit}, M=s')dnl
MAILER(\`smtp')dnl
`;
}

const ACCESS = `CERTIssuer:/CN=Postern+20CA\tSUBJECT
CERTSubject:/CN=mick@example.org\tRELAY
TLS_Clt:127.0.0.7\tPERM+VERIFY
TLS_Clt:127.0.0.8\tTEMP+ENCR:112
TLS_Rcpt:verified.example\tPERM+VERIFY
`;

before(async () => {
  await sink.start();
  gateway.port = await freePort();
  submission = await freePort();
  implicit = await freePort();
  deadPort = await freePort();
  mkdirSync(join(gateway.config, "certs"), { mode: 0o700 });
  const issued = ["--out", join(gateway.config, "certs")];
  await cert("init");
  await cert("issue", HOST, ...issued);
  await cert("issue", OTHER, "--days", "10", ...issued);
  for (const client of ["mick@example.org", "keith@example.org"])
    await cert("issue", client, "--client", ...issued);
  securePeer = await startPeer({
    extensions: ["STARTTLS"],
    tls: { key: file(`${OTHER}.key`).toString(), cert: file(`${OTHER}.pem`).toString() },
  });
  gateway.write({
    "sendmail.mc": mc(),
    access: ACCESS,
    mailertable: `dead.example\tsmtp:[127.0.0.1]:${deadPort}\nsecure.example\tsmtp:[127.0.0.1]:${securePeer.port}\n.\tsmtp:[127.0.0.1]:${sink.port}\n`,
    "Sendmail.conf": "pwcheck_method: sasldb\n",
  });
  const made = await gateway.run("saslpasswd", ["-C", gateway.config, "maildroid"], `${SECRET}\n${SECRET}\n`);
  assert.equal(made.status, 0, made.err);
  await gateway.start();
});

after(async () => {
  await gateway.remove();
  await sink.stop();
  await securePeer.close();
});

/** MAIL, RCPT and, when taken, DATA; the last reply. */
async function transact(s: Session, subject: string, to = OUT, parameters = ""): Promise<string> {
  const mail = await s.say(`MAIL FROM:<joe@example.com>${parameters}`);
  if (!mail.startsWith("250")) return mail;
  const rcpt = await s.say(`RCPT TO:<${to}>`);
  if (!rcpt.startsWith("250")) return rcpt;
  await s.say("DATA");
  return s.say(`Subject: ${subject}\r\n\r\nhello\r\n.`);
}

async function arrived(subject: string): Promise<string> {
  const got = await until(`the message "${subject}"`, 20, () =>
    sink.received.find((r) => r.data.includes(`Subject: ${subject}\r\n`)),
  );
  return got.data.replaceAll(/\r\n[ \t]+/g, " ");
}

async function withSession<T>(port: number, use: (s: Session) => Promise<T>, from = "127.0.0.9"): Promise<T> {
  const s = Session.open({ port, from });
  try {
    return await use(s);
  } finally {
    s.close();
  }
}

describe("what each listener offers", () => {
  it("port 25 in the open: STARTTLS, no mechanism that shows the password, no SMTPUTF8, no REQUIRETLS", () =>
    withSession(gateway.port, async (s) => {
      await s.reply();
      const lines = (await s.say("EHLO client.test")).split("\n").map((line) => line.slice(4));
      assert.ok(lines.includes("STARTTLS") && lines.includes("ETRN") && lines.includes("DSN"));
      assert.ok(lines.includes("AUTH CRAM-MD5 DIGEST-MD5"), lines.join());
      for (const word of ["SMTPUTF8", "REQUIRETLS", "CHUNKING", "BINARYMIME"])
        assert.ok(!lines.includes(word), word);
      assert.match(
        await s.say("MAIL FROM:<joe@example.com> SMTPUTF8"),
        /^555 5\.5\.4 SMTPUTF8 parameter unrecognized/,
      );
      assert.match(
        await s.say("MAIL FROM:<joe@example.com> REQUIRETLS"),
        /^555 5\.5\.4 REQUIRETLS parameter unrecognized/,
      );
    }));

  it("port 25 under TLS: PLAIN and LOGIN too, no STARTTLS", () =>
    withSession(gateway.port, async (s) => {
      const lines = (await s.startTls()).split("\n").map((line) => line.slice(4));
      assert.ok(lines.includes("AUTH CRAM-MD5 DIGEST-MD5 LOGIN PLAIN"), lines.join());
      assert.ok(!lines.includes("STARTTLS"));
      assert.match(await s.say("STARTTLS"), /^454 4\.3\.3 TLS not available after start/);
    }));

  it("PLAIN and LOGIN are not taken in the open either, whatever the client says", () =>
    withSession(gateway.port, async (s) => {
      await s.reply();
      await s.say("EHLO client.test");
      for (const words of [`PLAIN ${plain("maildroid", SECRET)}`, "LOGIN"])
        assert.match(await s.say(`AUTH ${words}`), /^504 5\.3\.3 AUTH mechanism (PLAIN|LOGIN) not available/);
      assert.match(await transact(s, "never"), /^550 5\.7\.1/);
    }));

  it("port 587 (M=Ea): no ETRN, and no mail before AUTH", () =>
    withSession(submission, async (s) => {
      const lines = (await s.startTls()).split("\n").map((line) => line.slice(4));
      assert.ok(!lines.includes("ETRN"), lines.join());
      assert.match(await s.say("ETRN example.com"), /^50[02] 5\.[0-9]\.[0-9]/);
      assert.match(await s.say("MAIL FROM:<joe@example.com>"), /^530 5\.7\.0 Authentication required/);
      assert.match(await s.say(`AUTH PLAIN ${plain("maildroid", SECRET)}`), /^235 2\.0\.0 OK Authenticated/);
      assert.match(
        await s.say(`AUTH PLAIN ${plain("maildroid", SECRET)}`),
        /^503 5\.5\.0 Already Authenticated/,
      );
      assert.match(await transact(s, "from 587"), /^250 2\.0\.0/);
      const data = await arrived("from 587");
      assert.match(data, /with ESMTPSA id /);
      assert.match(data, /\(version=TLSv1\.3 cipher=\S+ bits=\d+ verify=NO\)/);
      assert.match(data, /\(authenticated bits=0\)/);
    }));

  it("port 465 (M=s): TLS before the greeting, no STARTTLS", () =>
    withSession(implicit, async (s) => {
      await s.secure();
      assert.match(await s.reply(), /^220 /);
      const lines = (await s.say("EHLO client.test")).split("\n").map((line) => line.slice(4));
      assert.ok(
        !lines.includes("STARTTLS") && lines.includes("AUTH CRAM-MD5 DIGEST-MD5 LOGIN PLAIN"),
        lines.join(),
      );
      assert.match(await s.say(`AUTH PLAIN ${plain("maildroid", SECRET)}`), /^235/);
      assert.match(await transact(s, "from 465"), /^250 2\.0\.0/);
      assert.match(await arrived("from 465"), /with ESMTPSA id /);
    }));

  it("a client that speaks plainly to 465 gets nothing readable and is gone", () =>
    withSession(implicit, async (s) => {
      s.raw("EHLO client.test\r\n");
      assert.equal(await s.reply(), "EOF");
    }));
});

describe("AUTH", () => {
  it("a wrong password is 535, the session lives, and a stranger is still one", () =>
    withSession(gateway.port, async (s) => {
      await s.startTls();
      assert.match(
        await s.say(`AUTH PLAIN ${plain("maildroid", "wrong")}`),
        /^535 5\.7\.0 authentication failed/,
      );
      assert.match(await transact(s, "never"), /^550 5\.7\.1 .*Relaying denied/);
    }));

  it("AUTH= on MAIL: xtext, <> and a mailbox are taken, anything else is refused", () =>
    withSession(gateway.port, async (s) => {
      await s.startTls();
      await s.say(`AUTH PLAIN ${plain("maildroid", SECRET)}`);
      for (const [value, code] of [
        ["<>", "250"],
        ["joe@example.com", "250"],
        ["e+3Dmc2@example.com", "250"],
        ["e+ZZmc2@example.com", "501"],
        ["", "501"],
      ] as const) {
        const said = await s.say(`MAIL FROM:<joe@example.com> AUTH=${value}`);
        assert.ok(said.startsWith(code), `${value}: ${said}`);
        await s.say("RSET");
      }
    }));

  it("authwarnings: who does not say HELO is marked", async () => {
    await withSession(
      gateway.port,
      async (s) => {
        await s.reply();
        await s.say("EHLO elsewhere.example");
        assert.match(await transact(s, "another name"), /^250/);
      },
      "127.0.0.1",
    );
    // Debian's Sendmail is built without its pickiness about names; the Received field says both names anyway.
    const named = await arrived("another name");
    assert.doesNotMatch(named, /X-Authentication-Warning/);
    assert.match(named, /from elsewhere\.example \(localhost \[127\.0\.0\.1\]\)/);
    await withSession(
      gateway.port,
      async (s) => {
        await s.reply();
        assert.match(await transact(s, "no hello"), /^250/);
      },
      "127.0.0.1",
    );
    assert.match(
      await arrived("no hello"),
      /X-Authentication-Warning: mail\.polkatistas\.org: \S+ \[127\.0\.0\.1\] didn't use HELO protocol/,
    );
  });
});

describe("client certificates", () => {
  const shown = (name: string) => ({ key: file(`${name}.key`), cert: file(`${name}.pem`) });

  it("CERTIssuer: SUBJECT and CERTSubject: RELAY: the named holder relays, another of the same issuer does not", async () => {
    await withSession(gateway.port, async (s) => {
      await s.startTls(shown("mick@example.org"));
      assert.match(await transact(s, "by certificate"), /^250 2\.0\.0/);
    });
    const data = await arrived("by certificate");
    assert.match(data, /with ESMTPS id /);
    assert.match(data, / verify=OK\)/);
    await withSession(gateway.port, async (s) => {
      await s.startTls(shown("keith@example.org"));
      assert.match(await transact(s, "never"), /^550 5\.7\.1/);
    });
  });

  it("EXTERNAL authenticates the holder, in the name that the certificate gives", () =>
    withSession(submission, async (s) => {
      assert.match(await s.startTls(shown("mick@example.org")), /AUTH .*EXTERNAL/);
      assert.match(await s.say("AUTH EXTERNAL ="), /^235/);
      assert.match(await transact(s, "external"), /^250/);
      assert.match(await arrived("external"), /\(authenticated bits=/);
    }));

  it("a revoked certificate relays no more, neither in open sessions nor in new ones", async () => {
    await withSession(gateway.port, async (open) => {
      await open.startTls(shown("mick@example.org"));
      assert.match(await open.say("MAIL FROM:<joe@example.com>"), /^250/);
      assert.match(await open.say(`RCPT TO:<${OUT}>`), /^250/);
      await cert("revoke", "mick@example.org");
      assert.match(await open.say("RCPT TO:<eve@elsewhere.example>"), /^550 5\.7\.1/);
    });
    await withSession(gateway.port, async (s) => {
      await s.startTls(shown("mick@example.org"));
      assert.match(await transact(s, "never"), /^(550 5\.7\.1|403 4\.7\.0|454 4\.7\.0)/);
    });
  });
});

describe("TLS rules of the access table", () => {
  it("TLS_Clt: PERM+VERIFY: in the open and without a certificate 503 5.7.0", async () => {
    await withSession(
      gateway.port,
      async (s) => {
        await s.reply();
        await s.say("EHLO client.test");
        assert.match(await transact(s, "never"), /^503 5\.7\.0 authentication required/);
      },
      "127.0.0.7",
    );
    await withSession(
      gateway.port,
      async (s) => {
        await s.startTls({ key: file("keith@example.org.key"), cert: file("keith@example.org.pem") });
        assert.match(await s.say("MAIL FROM:<joe@example.com>"), /^250/);
      },
      "127.0.0.7",
    );
  });

  it("TLS_Clt: TEMP+ENCR:112: 403 4.7.0 in the open, served under TLS", async () => {
    await withSession(
      gateway.port,
      async (s) => {
        await s.reply();
        await s.say("EHLO client.test");
        assert.match(await transact(s, "never"), /^403 4\.7\.0 encryption too weak 0 less than 112/);
      },
      "127.0.0.8",
    );
    await withSession(
      gateway.port,
      async (s) => {
        await s.startTls();
        assert.match(await s.say("MAIL FROM:<joe@example.com>"), /^250/);
      },
      "127.0.0.8",
    );
  });

  it("TLS_Rcpt: PERM+VERIFY: a next hop without TLS does not get the message, the sender hears why", async () => {
    await withSession(
      gateway.port,
      async (s) => {
        await s.reply();
        await s.say("EHLO client.test");
        assert.match(await transact(s, "unverified", "bob@verified.example"), /^250/);
      },
      "127.0.0.1",
    );
    await until("a bounce", 20, () =>
      sink.received.find((r) => /^MAIL FROM:<>/i.test(r.mail) && r.data.includes("bob@verified.example")),
    );
    assert.ok(!sink.received.some((r) => r.rcpt.some((to) => to.includes("bob@verified.example"))));
  });

  it("towards a next hop with TLS our certificate is shown and the log says what was proved", async () => {
    await withSession(
      gateway.port,
      async (s) => {
        await s.reply();
        await s.say("EHLO client.test");
        assert.match(await transact(s, "secured", "bob@secure.example"), /^250/);
      },
      "127.0.0.1",
    );
    await until("the message", 20, () => securePeer.seen.messages.length > 0);
    assert.match(gateway.output, /STARTTLS=client, relay=\S+ \S+, version=TLSv1\.3, verify=OK, cipher=/);
  });
});

function s_client(port: number, ...words: string[]): string {
  const done = spawnSync("openssl", ["s_client", "-connect", `127.0.0.1:${port}`, ...words], {
    input: "QUIT\r\n",
    encoding: "utf8",
    timeout: 20_000,
  });
  return done.stdout + done.stderr;
}

describe("TLS itself", () => {
  it("SNI chooses the certificate", () => {
    for (const name of [HOST, OTHER]) {
      const text = s_client(
        implicit,
        "-servername",
        name,
        "-CAfile",
        join(ca, "cacert.pem"),
        "-verify_hostname",
        name,
      );
      assert.match(text, /Verify return code: 0 \(ok\)/, text);
    }
  });

  it("ALPN: smtp is agreed on, something else alone ends the handshake", () => {
    assert.match(s_client(implicit, "-alpn", "smtp"), /ALPN protocol: smtp/);
    assert.match(s_client(implicit, "-alpn", "h2"), /no application protocol/i);
  });

  it("TLS-08: a session of one listener is resumed there and not at another", () => {
    const store = join(gateway.folder, "session.pem");
    for (const version of ["-tls1_2", "-tls1_3"]) {
      rmSync(store, { force: true });
      // With -starttls the client waits for the EHLO reply, by which time a ticket of TLS 1.3 has come.
      s_client(submission, "-starttls", "smtp", version, "-sess_out", store, "-ign_eof");
      assert.ok(existsSync(store), version);
      assert.match(
        s_client(submission, "-starttls", "smtp", version, "-sess_in", store),
        /^Reused, /m,
        version,
      );
      assert.match(
        s_client(gateway.port, "-starttls", "smtp", version, "-sess_in", store),
        /^New, /m,
        version,
      );
    }
  });

  it("TLS 1.1 and older are refused", () => {
    assert.match(
      s_client(implicit, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"),
      /alert protocol version|no protocols available/,
    );
  });

  it("a certificate that ends soon is said in the log", () => {
    assert.match(
      gateway.output,
      new RegExp(`STARTTLS=server: .*${OTHER.replaceAll(".", "\\.")}.*(ends|days)`),
    );
  });
});

describe("while it runs", () => {
  const serial = (): string =>
    execFileSync("openssl", ["x509", "-noout", "-serial"], {
      input: /-----BEGIN CERTIFICATE[\s\S]*?END CERTIFICATE-----/.exec(
        s_client(implicit, "-servername", HOST, "-showcerts"),
      )?.[0],
      encoding: "utf8",
    }).trim();

  it("a reload keeps certificates that only root could read", async () => {
    const before = serial();
    process.kill(gateway.pid, "SIGHUP");
    await until("the reload", 20, () => gateway.output.includes("the new configuration is active"));
    await withSession(gateway.port, async (s) => assert.match(await s.startTls(), /AUTH CRAM-MD5/));
    assert.equal(serial(), before);
  });

  it("a renewed certificate is shown without a restart, a broken one is not", async () => {
    const before = serial();
    await cert("renew", HOST, "--out", join(gateway.folder, "renewed"));
    const target = join(gateway.config, "certs", `${HOST}.pem`);
    const fresh = readFileSync(join(gateway.folder, "renewed", `${HOST}.pem`));
    // As the console's commit does it: a new file takes the old one's name.
    const put = (bytes: Buffer | string): void => {
      writeFileSync(`${target}.new`, bytes);
      chmodSync(`${target}.new`, 0o600);
      if (asRoot) {
        chownSync(`${target}.new`, 8, 12);
        chmodSync(join(gateway.config, "certs"), 0o755);
      }
      renameSync(`${target}.new`, target);
    };
    put(fresh);
    const now = serial();
    assert.notEqual(now, before);
    put("-----BEGIN CERTIFICATE-----\nrubbish\n-----END CERTIFICATE-----\n");
    assert.equal(serial(), now);
    await until("a word in the log", 10, () => gateway.output.includes("the files read before stay in use"));
    put(fresh);
  });

  it("DELIVERBY: what cannot be delivered in time comes back, what may be late is not", async () => {
    const bouncesOf = (name: string): number =>
      sink.received.filter((r) => /^MAIL FROM:<>/i.test(r.mail) && r.data.includes(`${name}@dead.example`))
        .length;
    await withSession(
      gateway.port,
      async (s) => {
        await s.reply();
        assert.match(await s.say("EHLO client.test"), /DELIVERBY/);
        assert.match(await transact(s, "in time", "soon@dead.example", " BY=2;R"), /^250/);
        assert.match(await transact(s, "some time", "later@dead.example", " BY=3000;R"), /^250/);
      },
      "127.0.0.1",
    );
    await delay(2500);
    const flushed = await gateway.run("sendmail", [...gateway.options(), "-q"]);
    assert.equal(flushed.status, 0, flushed.err);
    await until("a bounce of the one", 60, () => bouncesOf("soon") === 1);
    assert.equal(bouncesOf("later"), 0);
  });
});
