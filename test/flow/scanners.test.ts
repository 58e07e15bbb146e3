// What scanners see of the whole program with the book's configuration: testssl.sh on STARTTLS, nmap's SMTP and TLS scripts on each
// listener, and sequences of smtpsmug's kind (every ending that some server takes for the end of DATA) through to a next hop.
// Programs that are not installed are skipped by name. Each scan is bounded in time.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it, type TestContext } from "node:test";
import { startPeer } from "./deliver/peer.ts";
import { freePort, Gateway, until } from "./gateway.ts";
import { Session } from "./session.ts";

const HOST = "mail.polkatistas.org";
const SCAN_MS_MAX = 120_000;

const gateway = new Gateway("scanners");
let submission = 0;
let implicit = 0;
let hop: Awaited<ReturnType<typeof startPeer>>;

function run(command: string, args: readonly string[]): Promise<{ status: number; text: string }> {
  return new Promise((resolve) => {
    execFile(
      command,
      [...args],
      {
        timeout: SCAN_MS_MAX,
        cwd: gateway.folder,
        env: { ...process.env, LC_ALL: "C" },
        maxBuffer: 16_000_000,
      },
      (error, out, err) =>
        resolve({
          status: error === null ? 0 : typeof error.code === "number" ? error.code : -1,
          text: out + err,
        }),
    );
  });
}

const installed = (program: string): boolean =>
  (process.env["PATH"] ?? "").split(":").some((folder) => existsSync(join(folder, program)));

before(async () => {
  hop = await startPeer({ extensions: ["PIPELINING", "8BITMIME"] });
  gateway.port = await freePort();
  submission = await freePort();
  implicit = await freePort();
  const certs = join(gateway.config, "certs");
  mkdirSync(certs);
  for (const words of [["init"], ["issue", HOST, "--out", certs]]) {
    const made = await gateway.run("cert", ["ca", ...words, "--dir", join(certs, "ca")]);
    assert.equal(made.status, 0, made.err);
  }
  gateway.write({
    "sendmail.mc": `OSTYPE(\`linux')dnl
define(\`confDOMAIN_NAME', \`${HOST}')dnl
define(\`confPRIVACY_FLAGS', \`goaway')dnl
define(\`confAUTH_MECHANISMS', \`CRAM-MD5 DIGEST-MD5 LOGIN PLAIN')dnl
TRUST_AUTH_MECH(\`CRAM-MD5 DIGEST-MD5 LOGIN PLAIN')dnl
define(\`CERT_DIR', \`/etc/mail/certs')dnl
define(\`confCACERT', \`CERT_DIR/ca/cacert.pem')dnl
define(\`confSERVER_CERT', \`CERT_DIR/${HOST}.pem')dnl
define(\`confSERVER_KEY', \`CERT_DIR/${HOST}.key')dnl
FEATURE(\`access_db')dnl
FEATURE(\`mailertable')dnl
FEATURE(\`nocanonify')dnl
FEATURE(\`accept_unresolvable_domains')dnl
FEATURE(\`no_default_msa')dnl
DAEMON_OPTIONS(\`Name=MTA, Addr=127.0.0.1, Port=${gateway.port}')dnl
DAEMON_OPTIONS(\`Name=MSA, Addr=127.0.0.1, Port=${submission}, M=Ea')dnl
DAEMON_OPTIONS(\`Name=TLSMTA, Addr=127.0.0.1, Port=${implicit}, M=s')dnl
MAILER(\`smtp')dnl
`,
    mailertable: `.\tsmtp:[127.0.0.1]:${hop.port}\n`,
    access: "To:friend.example\tRELAY\n",
  });
  await gateway.start();
});

after(async () => {
  await gateway.remove();
  await hop.close();
});

interface Finding {
  readonly id: string;
  readonly severity: string;
  readonly finding: string;
}

describe("scanners", () => {
  it("testssl.sh: TLS 1.2 and 1.3 alone, no known vulnerability", async (t: TestContext) => {
    if (!installed("testssl")) return t.skip("testssl.sh is not installed");
    const file = join(gateway.folder, "testssl.json");
    const ran = await run("testssl", [
      ...["--quiet", "--color", "0", "--warnings", "off", "--nodns", "none", "--ip", "127.0.0.1"],
      ...["--jsonfile", file, "--openssl-timeout", "10", "--connect-timeout", "10", "-t", "smtp"],
      // Protocols; Heartbleed, CCS, Ticketbleed, renegotiation, CRIME, SWEET32, FREAK, Logjam. Ciphers are sslscan's and nmap's work.
      ...["-p", "-H", "-I", "-T", "-R", "-C", "-W", "-F", "-J"],
      `${HOST}:${gateway.port}`,
    ]);
    assert.ok(existsSync(file), ran.text);
    const findings = JSON.parse(readFileSync(file, "utf8")) as Finding[];
    const of = (id: string): string => findings.find((f) => f.id === id)?.finding ?? "";
    for (const old of ["SSLv2", "SSLv3", "TLS1", "TLS1_1"])
      assert.match(of(old), /not offered/, `${old}: ${of(old)}`);
    for (const now of ["TLS1_2", "TLS1_3"]) assert.match(of(now), /^offered/, `${now}: ${of(now)}`);
    assert.match(of("heartbleed"), /not vulnerable/);
    const bad = findings.filter((f) => ["LOW", "MEDIUM", "HIGH", "CRITICAL", "FATAL"].includes(f.severity));
    // CBC suites of TLS 1.2 without AEAD are what old peers have; they are of low severity and stay below AEAD in our order.
    assert.deepEqual(
      bad.filter((f) => !(f.severity === "LOW" && /^(cipherlist_OBSOLETED|LUCKY13|BREACH)/.test(f.id))),
      [],
    );
    return undefined;
  });

  const nmap = (
    port: number,
    scripts: string,
    ...more: string[]
  ): Promise<{ status: number; text: string }> =>
    run("nmap", [
      ...[
        "-Pn",
        "-sT",
        "-n",
        "-S",
        "127.0.0.9",
        "-e",
        "lo",
        "--host-timeout",
        "90s",
        "-p",
        String(port),
        "127.0.0.1",
      ],
      ...["--script", scripts, ...more],
    ]);

  for (const [name, port] of [
    ["25", () => gateway.port],
    ["587", () => submission],
  ] as const)
    it(`nmap on port ${name}: no open relay, no user names, none of its SMTP vulnerabilities`, async (t: TestContext) => {
      if (!installed("nmap")) return t.skip("nmap is not installed");
      const ran = await nmap(
        port(),
        "+smtp-open-relay,+smtp-enum-users,+smtp-vuln-cve2010-4344,+smtp-vuln-cve2011-1720,+smtp-vuln-cve2011-1764",
        ...["--script-args", "smtp-open-relay.domain=client.test,smtp.domain=client.test"],
      );
      assert.equal(ran.status, 0, ran.text);
      assert.match(
        ran.text,
        /open relay, all tests failed|smtp-open-relay: .*(authentication|5\d\d)/i,
        ran.text,
      );
      assert.doesNotMatch(ran.text, /State: VULNERABLE|Server is an open relay|LIKELY VULNERABLE/);
      assert.match(
        ran.text,
        /smtp-enum-users: *\n\|_ {2}Couldn't (find any accounts|perform user enumeration)/,
      );
      return undefined;
    });

  it("nmap on port 465: no weak TLS", async (t: TestContext) => {
    if (!installed("nmap")) return t.skip("nmap is not installed");
    const ran = await nmap(
      implicit,
      "+ssl-enum-ciphers,+ssl-heartbleed,+ssl-poodle,+ssl-ccs-injection,+ssl-dh-params,+sslv2-drown",
    );
    assert.equal(ran.status, 0, ran.text);
    assert.match(ran.text, /least strength: A/, ran.text);
    assert.doesNotMatch(ran.text, /VULNERABLE|SSLv3|TLSv1\.0|TLSv1\.1/);
    return undefined;
  });
});

/** Endings that some server has taken for the end of DATA; none of them is. */
const ENDINGS = [
  ...[
    "\n.\n",
    "\n.\r\n",
    "\r.\r",
    "\r.\r\n",
    "\r.\n",
    "\n.\r",
    "\r\n.\n",
    "\r\n.\r",
    "\r\n.\r\r\n",
    "\n\n.\r\n",
  ],
  ...[
    "\r\r\n.\r\r\n",
    "\r\n\0.\r\n",
    "\r\n.\0\r\n",
    "\r\n.\r\0\n",
    "\0\r\n.\n",
    "\x85.\x85",
    "\r\n.\x0b\r\n",
    "\n.\r\r\n",
  ],
] as const;

describe("smuggling, through to the next hop", () => {
  for (const secure of [false, true])
    it(`no ending but CRLF.CRLF begins a second message ${secure ? "under TLS" : "in the open"}`, async () => {
      for (const [i, ending] of ENDINGS.entries()) {
        const name = `${secure ? "t" : "p"}${i}`;
        const s = Session.open({ port: gateway.port });
        try {
          if (secure) await s.startTls();
          else {
            await s.reply();
            await s.say("EHLO client.test");
          }
          assert.match(await s.say(`MAIL FROM:<outer-${name}@example.com>`), /^250/);
          assert.match(await s.say("RCPT TO:<bob@friend.example>"), /^250/);
          assert.match(await s.say("DATA"), /^354/);
          s.raw(
            `Subject: outer ${name}\r\n\r\nfirst${ending}MAIL FROM:<smuggled-${name}@${HOST}>\r\nRCPT TO:<ann@friend.example>\r\nDATA\r\nSubject: smuggled\r\n\r\nsecond\r\n.\r\n`,
          );
          const said = await s.reply();
          // Refused (8.18's manners), or one message whose text the ending is.
          assert.match(said, /^(421|554|250|501|5\d\d) /, JSON.stringify(ending));
          // One reply to one message, then at most the end of the connection.
          s.raw("QUIT\r\n");
          assert.match(await s.reply(), /^(221 |EOF)/, JSON.stringify(ending));
        } finally {
          s.close();
        }
      }
      const s = Session.open({ port: gateway.port });
      await s.reply();
      for (const line of [
        "EHLO client.test",
        "MAIL FROM:<last@example.com>",
        "RCPT TO:<bob@friend.example>",
        "DATA",
      ])
        await s.say(line);
      assert.match(await s.say("Subject: last\r\n\r\nx\r\n."), /^250/);
      s.close();
      await until("the last message", 20, () =>
        hop.seen.commands.some((line) => line.includes("last@example.com")),
      );
      assert.ok(!hop.seen.commands.some((line) => line.includes("smuggled")), "nothing smuggled");
      for (const text of hop.seen.messages)
        assert.doesNotMatch(
          text.toString("latin1"),
          /(?<!\r)\n|\r(?!\n)|\0/,
          "no bare CR, LF or NUL goes on",
        );
    });
});
