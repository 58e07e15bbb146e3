// Interop (RFC 3207, 4954, 2920, 3461): other people's clients submit through the whole program, by each mechanism that they and we
// have, with and without TLS; scanners find nothing. What is not installed is skipped and says so. The matrix is printed at the end.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { createTransport } from "nodemailer";
import { freePort, Gateway, Sink, until } from "./gateway.ts";
import { makePki, type Pki } from "./tls/pki.ts";

const USER = "joe";
const SECRET = "s3cr+t/pass";
const HOST = "mail.polkatistas.org";
const RECIPIENT = "bob@elsewhere.example";
const CLIENT_MS_MAX = 40_000;

const sink = new Sink();
const gateway = new Gateway("clients");
let pki: Pki;
let implicitPort = 0;
const matrix: string[] = [];

function mc(port: number, implicit: number): string {
  const cert = (name: string): string => `/etc/mail/certs/${name}`;
  return `include(\`/usr/share/sendmail-cf/m4/cf.m4')
OSTYPE(\`linux')
define(\`confDOMAIN_NAME', \`${HOST}')dnl
define(\`confSERVER_CERT', \`${cert("server.crt")}')dnl
define(\`confSERVER_KEY', \`${cert("server.key")}')dnl
define(\`confCACERT', \`${cert("ca.crt")}')dnl
define(\`confAUTH_MECHANISMS', \`SCRAM-SHA-256 SCRAM-SHA-1 DIGEST-MD5 CRAM-MD5 PLAIN LOGIN EXTERNAL')dnl
TRUST_AUTH_MECH(\`SCRAM-SHA-256 SCRAM-SHA-1 DIGEST-MD5 CRAM-MD5 PLAIN LOGIN')dnl
FEATURE(\`mailertable',\`hash -o /etc/mail/mailertable.db')dnl
FEATURE(\`access_db',\`hash -o -T<TMPF> /etc/mail/access.db')dnl
FEATURE(\`nocanonify')dnl
FEATURE(\`accept_unresolvable_domains')dnl
FEATURE(\`no_default_msa')dnl
DAEMON_OPTIONS(\`Name=MTA, Family=inet, Addr=127.0.0.1, Port=${port}')dnl
DAEMON_OPTIONS(\`Name=TLS, Family=inet, Addr=127.0.0.1, Port=${implicit}, M=s')dnl
MAILER(smtp)dnl
`;
}

interface Ran {
  readonly status: number;
  readonly text: string;
}

function run(
  command: string,
  args: readonly string[],
  input = "",
  environment: NodeJS.ProcessEnv = {},
): Promise<Ran> {
  return new Promise((resolve) => {
    const child = execFile(
      command,
      [...args],
      { timeout: CLIENT_MS_MAX, env: { ...process.env, LC_ALL: "C", ...environment } },
      (error, out, err) =>
        resolve({
          status: error === null ? 0 : typeof error.code === "number" ? error.code : -1,
          text: out + err,
        }),
    );
    child.stdin?.on("error", () => child.stdin?.destroy());
    child.stdin?.end(input);
  });
}

function installed(program: string): boolean {
  return (process.env["PATH"] ?? "").split(":").some((folder) => existsSync(join(folder, program)));
}

const message = (subject: string): string =>
  `From: joe@${HOST}\r\nTo: ${RECIPIENT}\r\nSubject: ${subject}\r\n\r\nhello\r\n.dot\r\n`;

/** The message with this subject as the next hop got it. */
async function arrived(subject: string): Promise<string> {
  const got = await until(`the message "${subject}"`, 15, () =>
    sink.received.find((r) => r.data.includes(`Subject: ${subject}\r\n`)),
  );
  return got.data;
}

before(async () => {
  pki = makePki();
  pki.issue("server", `/CN=${HOST}`);
  await sink.start();
  gateway.port = await freePort();
  implicitPort = await freePort();
  gateway.write({
    "sendmail.mc": mc(gateway.port, implicitPort),
    mailertable: `.\tsmtp:[127.0.0.1]:${sink.port}\n`,
    access: "",
    "certs/ca.crt": readFileSync(pki.path("ca.crt"), "utf8"),
    "certs/server.crt": readFileSync(pki.path("server.crt"), "utf8"),
    "certs/server.key": "",
  });
  copyFileSync(pki.path("server.key"), join(gateway.config, "certs/server.key"));
  chmodSync(join(gateway.config, "certs/server.key"), 0o600);
  const made = await gateway.run(
    "saslpasswd2",
    ["-C", gateway.config, "-p", "-c", "-u", HOST, USER],
    `${SECRET}\n`,
  );
  assert.equal(made.status, 0, made.err);
  await gateway.start();
});

after(async () => {
  await gateway.remove();
  await sink.stop();
  pki.remove();
  process.stdout.write(`${matrix.join("\n")}\n`);
});

/** What the Received field must say of how a message came. */
function checkOrigin(data: string, protocol: string): void {
  assert.match(data, new RegExp(`with ${protocol} id `), data.slice(0, 400));
  if (protocol.endsWith("A")) assert.match(data, /\(authenticated bits=\d+\)/);
  assert.ok(data.endsWith("\r\n\r\nhello\r\n.dot\r\n"), JSON.stringify(data.slice(-60)));
}

interface Client {
  readonly program: string;
  readonly mechanisms: readonly string[];
  /** Arguments for a submission after STARTTLS with AUTH. */
  submit(mechanism: string, subject: string): { args: readonly string[]; input?: string };
}

const CLIENTS: readonly Client[] = [
  {
    program: "swaks",
    mechanisms: ["PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5"],
    submit: (mechanism, subject) => ({
      args: [
        ...["--server", `127.0.0.1:${gateway.port}`, "--tls", "--auth", mechanism, "--helo", "client.test"],
        ...["--auth-user", USER, "--auth-password", SECRET, "--from", `joe@${HOST}`, "--to", RECIPIENT],
        ...["--data", message(subject).trimEnd().replaceAll("\r\n", "\n")],
      ],
    }),
  },
  {
    program: "curl",
    mechanisms: ["PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"],
    submit: (mechanism, subject) => ({
      args: [
        ...[
          "-sS",
          "--ssl-reqd",
          "-k",
          `smtp://127.0.0.1:${gateway.port}/client.test`,
          "--user",
          `${USER}:${SECRET}`,
        ],
        ...["--login-options", `AUTH=${mechanism}`, "--mail-from", `joe@${HOST}`, "--mail-rcpt", RECIPIENT],
        ...["--upload-file", "-"],
      ],
      input: message(subject),
    }),
  },
  {
    program: "msmtp",
    mechanisms: ["PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"],
    submit: (mechanism, subject) => ({
      args: [
        ...[
          "--host=127.0.0.1",
          `--port=${gateway.port}`,
          "--tls=on",
          "--tls-starttls=on",
          "--tls-certcheck=off",
        ],
        ...[`--auth=${mechanism.toLowerCase()}`, `--user=${USER}`, `--passwordeval=printf '%s' '${SECRET}'`],
        ...["--domain=client.test", `--from=joe@${HOST}`, "--", RECIPIENT],
      ],
      input: message(subject).replaceAll("\r\n", "\n"),
    }),
  },
];

/** A client that lacks the mechanism itself says so; that is no failure of ours. */
const CLIENT_LACKS =
  /No SASL mechanism found|not supported by (?:this|the)|unsupported|requires? (?:the )?(?:Perl|Authen)|not available in this|No supported|not compiled|SASL library/i;

describe("other people's clients", () => {
  for (const client of CLIENTS)
    for (const mechanism of client.mechanisms)
      it(`${client.program} submits with ${mechanism} after STARTTLS`, async (t) => {
        if (!installed(client.program)) return t.skip(`${client.program} is not installed`);
        if (client.program === "curl" && mechanism.startsWith("SCRAM")) {
          // Debian's curl is built without gsasl.
          if (!/gsasl/i.test((await run("curl", ["-V"])).text)) {
            matrix.push(`curl ${mechanism}: the client lacks it`);
            return t.skip("curl without gsasl");
          }
        }
        const subject = `${client.program}-${mechanism}`;
        const { args, input } = client.submit(mechanism, subject);
        const ran = await run(client.program, args, input);
        if (ran.status !== 0 && CLIENT_LACKS.test(ran.text)) {
          matrix.push(`${client.program} ${mechanism}: the client lacks it`);
          return t.skip(ran.text.trim().split("\n").at(-1) ?? "");
        }
        assert.equal(ran.status, 0, ran.text);
        checkOrigin(await arrived(subject), "ESMTPSA");
        matrix.push(`${client.program} ${mechanism}: ok`);
        return undefined;
      });

  for (const mechanism of ["SCRAM-SHA-256", "SCRAM-SHA-1", "DIGEST-MD5", "CRAM-MD5", "PLAIN", "LOGIN"])
    it(`gsasl authenticates with ${mechanism}, and not with a wrong password`, async (t) => {
      if (!installed("gsasl")) return t.skip("gsasl is not installed");
      const args = (password: string): string[] => [
        ...["--smtp", `--connect=127.0.0.1:${gateway.port}`, `--mechanism=${mechanism}`, "--starttls"],
        ...[`--authentication-id=${USER}`, `--password=${password}`, "--no-cb", `--hostname=${HOST}`],
        ...[
          "--service=smtp",
          `--realm=${HOST}`,
          "--quiet",
          `--x509-ca-file=${pki.path("ca.crt")}`,
          "--priority=NORMAL",
        ],
      ];
      const right = await run("gsasl", args(SECRET), "\n");
      assert.equal(right.status, 0, right.text);
      const wrong = await run("gsasl", args("wrong"), "\n");
      assert.notEqual(wrong.status, 0, wrong.text);
      matrix.push(`gsasl ${mechanism}: ok`);
      return undefined;
    });

  for (const [name, secure] of [
    ["after STARTTLS", false],
    ["on the implicit port", true],
  ] as const)
    it(`nodemailer submits ${name}, pipelined messages on one connection, with DSN`, async () => {
      const transport = createTransport({
        host: "127.0.0.1",
        port: secure ? implicitPort : gateway.port,
        secure,
        requireTLS: !secure,
        pool: true,
        maxConnections: 1,
        name: "client.test",
        auth: { user: USER, pass: SECRET },
        tls: { rejectUnauthorized: false },
      });
      for (let i = 0; i < 3; i++) {
        const subject = `nodemailer-${secure}-${i}`;
        await transport.sendMail({
          envelope: { from: `joe@${HOST}`, to: [RECIPIENT] },
          raw: message(subject),
          dsn: { id: `id${i}`, return: "headers", notify: ["failure"], recipient: RECIPIENT },
        });
        checkOrigin(await arrived(subject), "ESMTPSA");
      }
      transport.close();
      matrix.push(`nodemailer ${name}: ok`);
    });

  it("swaks submits without TLS and AUTH, pipelined", async (t) => {
    if (!installed("swaks")) return t.skip("swaks is not installed");
    const ran = await run("swaks", [
      ...["--server", `127.0.0.1:${gateway.port}`, "--helo", "client.test", "--from", `joe@${HOST}`],
      ...[
        "--to",
        RECIPIENT,
        "--pipeline",
        "--data",
        message("swaks-plain").trimEnd().replaceAll("\r\n", "\n"),
      ],
    ]);
    assert.equal(ran.status, 0, ran.text);
    checkOrigin(await arrived("swaks-plain"), "ESMTP");
    matrix.push("swaks pipelining without TLS: ok");
    return undefined;
  });
});

describe("scanners", () => {
  it("nmap finds no open relay from an address that is not ours, and no user names", async (t) => {
    if (!installed("nmap")) return t.skip("nmap is not installed");
    const ran = await run("nmap", [
      ...["-Pn", "-sT", "-n", "-S", "127.0.0.9", "-e", "lo", "-p", String(gateway.port), "127.0.0.1"],
      ...[
        "--script",
        "+smtp-open-relay,+smtp-commands",
        "--script-args",
        "smtp-open-relay.domain=client.test",
      ],
    ]);
    assert.equal(ran.status, 0, ran.text);
    assert.match(ran.text, /Server doesn't seem to be an open relay, all tests failed/, ran.text);
    matrix.push("nmap smtp-open-relay: clean");
    return undefined;
  });

  it("sslscan finds TLS 1.2 and 1.3 only, no weak cipher, no renegotiation, no compression", async (t) => {
    if (!installed("sslscan")) return t.skip("sslscan is not installed");
    const ran = await run("sslscan", ["--no-colour", "--starttls-smtp", `127.0.0.1:${gateway.port}`]);
    assert.equal(ran.status, 0, ran.text);
    for (const old of ["SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1"])
      assert.match(ran.text, new RegExp(`${old.replace(".", "\\.")}\\s+disabled`), ran.text);
    assert.match(ran.text, /TLSv1\.2\s+enabled/);
    assert.match(ran.text, /TLSv1\.3\s+enabled/);
    assert.ok(!/Compression enabled|Insecure session renegotiation/i.test(ran.text), ran.text);
    assert.ok(!/\b(RC4|3DES|DES-CBC|NULL|EXP|MD5|anon|ADH|AECDH)\b/.test(ran.text), ran.text);
    assert.ok(
      !/heartbleed.*\bvulnerable to heartbleed/i.test(ran.text.replace(/not vulnerable to heartbleed/g, "")),
    );
    matrix.push("sslscan: clean");
    return undefined;
  });
});
