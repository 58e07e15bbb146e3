// What other people's clients do besides AUTH (clients.test.ts, mtaclients.test.ts, sendmailauth.test.ts): TLS from the first byte, client
// certificates (relaying and EXTERNAL), DSN, SMTPUTF8, pipelining; with certificates of `postern cert`. The matrix is printed at the
// end, and rootfs/usr/share/doc/postern/interop.md must say the same.

import assert from "node:assert/strict";
import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it, type TestContext } from "node:test";
import { createTransport } from "nodemailer";
import { Overlay, postfixMain } from "../bench/contender.ts";
import { startPeer } from "./deliver/peer.ts";
import { freePort, Gateway, until } from "./gateway.ts";

const HOST = "mail.polkatistas.org";
const HOLDER = "mick@example.org";
const USER = "maildroid";
const SECRET = "Ch1mp? ,03fuzz fl0ppi";
const TO = "bob@elsewhere.example";
const CLIENT_MS_MAX = 40_000;
const DOCUMENT = join(import.meta.dirname, "../../rootfs/usr/share/doc/postern/interop.md");
const COLUMNS = ["TLS at once", "certificate", "EXTERNAL", "DSN", "SMTPUTF8", "PIPELINING"] as const;
type Column = (typeof COLUMNS)[number];

const gateway = new Gateway("interop");
const certs = join(gateway.config, "certs");
const ca = join(gateway.config, "ca");
const shown = {
  cert: join(gateway.folder, "holder", `${HOLDER}.pem`),
  key: join(gateway.folder, "holder", `${HOLDER}.key`),
};
const proved = new Map<string, Set<Column>>();
let implicit = 0;
let hop: Awaited<ReturnType<typeof startPeer>>;

function prove(client: string, column: Column): void {
  proved.set(client, (proved.get(client) ?? new Set()).add(column));
}

async function postern(applet: string, args: readonly string[], input = ""): Promise<void> {
  const done = await gateway.run(applet, args, input);
  assert.equal(done.status, 0, done.err);
}

before(async () => {
  hop = await startPeer({ extensions: ["PIPELINING", "8BITMIME", "SMTPUTF8", "DSN", "SIZE 50000000"] });
  gateway.port = await freePort();
  implicit = await freePort();
  await postern("cert", ["ca", "init", "--dir", ca]);
  await postern("cert", ["ca", "issue", HOST, "--alt", "IP:127.0.0.1", "--dir", ca, "--out", certs]);
  await postern("cert", [
    "ca",
    "issue",
    HOLDER,
    "--client",
    "--dir",
    ca,
    "--out",
    join(gateway.folder, "holder"),
  ]);
  gateway.write({
    "sendmail.mc": `OSTYPE(\`linux')dnl
define(\`confDOMAIN_NAME', \`${HOST}')dnl
define(\`confAUTH_MECHANISMS', \`CRAM-MD5 DIGEST-MD5 LOGIN PLAIN EXTERNAL')dnl
TRUST_AUTH_MECH(\`CRAM-MD5 DIGEST-MD5 LOGIN PLAIN EXTERNAL')dnl
define(\`CERT_DIR', \`/etc/mail/certs')dnl
define(\`confCACERT', \`/etc/mail/ca/cacert.pem')dnl
define(\`confSERVER_CERT', \`CERT_DIR/${HOST}.pem')dnl
define(\`confSERVER_KEY', \`CERT_DIR/${HOST}.key')dnl
define(\`confSMTPUTF8', \`True')dnl
FEATURE(\`access_db')dnl
FEATURE(\`mailertable')dnl
FEATURE(\`nocanonify')dnl
FEATURE(\`accept_unresolvable_domains')dnl
FEATURE(\`no_default_msa')dnl
DAEMON_OPTIONS(\`Name=MTA, Addr=127.0.0.1, Port=${gateway.port}')dnl
DAEMON_OPTIONS(\`Name=TLSMTA, Addr=127.0.0.1, Port=${implicit}, M=s')dnl
MAILER(\`smtp')dnl
`,
    mailertable: `.\tsmtp:[127.0.0.1]:${hop.port}\n`,
    access: "CERTSubject:/CN=mick@example.org\tRELAY\nCERTIssuer:/CN=Postern+20CA\tSUBJECT\n",
  });
  await postern("saslpasswd", ["-C", gateway.config, "-p", USER], `${SECRET}\n`);
  await gateway.start();
});

after(async () => {
  await gateway.remove();
  await hop.close();
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const rows = [...proved].map(([client, have]) =>
    line([client, ...COLUMNS.map((c) => (have.has(c) ? "yes" : ""))]),
  );
  process.stdout.write(`${[line(["client", ...COLUMNS]), ...rows].join("\n")}\n`);
});

function run(
  command: string,
  args: readonly string[],
  input = "",
): Promise<{ status: number; text: string }> {
  return new Promise((resolve) => {
    const child = execFile(
      command,
      [...args],
      { timeout: CLIENT_MS_MAX, env: { ...process.env, LC_ALL: "C.UTF-8" } },
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

const installed = (program: string): boolean =>
  (process.env["PATH"] ?? "").split(":").some((folder) => existsSync(join(folder, program)));

const message = (subject: string): string =>
  `From: joe@${HOST}\nTo: ${TO}\nSubject: ${subject}\n\nhello\n.dot\n`;

/** The message with this subject at the next hop, and the envelope lines that came with it. */
async function arrived(subject: string): Promise<{ data: string; envelope: string }> {
  const at = await until(`the message "${subject}"`, 20, () => {
    const found = hop.seen.messages.findIndex((m) => m.includes(`\r\nSubject: ${subject}\r\n`));
    return found < 0 ? null : { found };
  }).catch((e) => {
    throw new Error(`${String(e)}\n${gateway.output.slice(-2500)}`);
  });
  const starts = hop.seen.commands.flatMap((line, i) => (/^MAIL /i.test(line) ? [i] : []));
  const from = starts[at.found] ?? 0;
  return {
    data: (hop.seen.messages[at.found] ?? Buffer.alloc(0)).toString("utf8"),
    envelope: hop.seen.commands.slice(from, starts[at.found + 1]).join("\n"),
  };
}

interface Submission {
  readonly client: string;
  readonly column: Column;
  readonly args: (subject: string) => readonly string[];
  /** What the client says while it works. */
  readonly says?: RegExp;
  /** MAIL and RCPT lines at the next hop. */
  readonly envelope?: RegExp;
  /** Our Received field. */
  readonly received: RegExp;
  /** The message without a body on standard input; null: in the arguments. */
  readonly input?: (subject: string) => string;
}

const swaks =
  (more: readonly string[], port = () => gateway.port) =>
  (subject: string): readonly string[] => [
    ...["--server", `127.0.0.1:${port()}`, "--local-interface", "127.0.0.9", "--helo", "client.test"],
    ...["--from", `joe@${HOST}`, "--to", TO, "--data", message(subject).trimEnd(), ...more],
  ];
const login = ["--auth", "PLAIN", "--auth-user", USER, "--auth-password", SECRET];
const msmtp =
  (more: readonly string[], port = () => gateway.port) =>
  (): readonly string[] => [
    ...["--host=127.0.0.1", `--port=${port()}`, "--source-ip=127.0.0.9", "--tls=on", "--domain=client.test"],
    ...[`--tls-trust-file=${join(ca, "cacert.pem")}`, `--from=joe@${HOST}`, ...more, "--", TO],
  ];
const password = [`--user=${USER}`, `--passwordeval=printf '%s' '${SECRET}'`, "--auth=plain"];
const certificate = [`--tls-cert-file=${shown.cert}`, `--tls-key-file=${shown.key}`];
const curl = (url: () => string, more: readonly string[]) => (): readonly string[] => [
  ...["-sSv", "--interface", "127.0.0.9", "--cacert", join(ca, "cacert.pem"), url(), "--upload-file", "-"],
  ...["--ssl-reqd", "--mail-from", `joe@${HOST}`, "--mail-rcpt", TO, ...more],
];
const starttls = (): string => `smtp://127.0.0.1:${gateway.port}/client.test`;
const wire = (subject: string): string => message(subject).replaceAll("\n", "\r\n");

const SUBMISSIONS: readonly Submission[] = [
  {
    client: "swaks",
    column: "TLS at once",
    args: swaks(["--tls-on-connect", ...login], () => implicit),
    received: /with ESMTPSA id /,
  },
  {
    client: "swaks",
    column: "certificate",
    args: swaks(["--tls", "--tls-cert", shown.cert, "--tls-key", shown.key]),
    received: /with ESMTPS id .* verify=OK\)/,
  },
  {
    client: "swaks",
    column: "PIPELINING",
    args: swaks(["--tls", "--pipeline", ...login]),
    says: / ~> MAIL FROM:.*\r?\n *>? *.*~> RCPT TO:|>> MAIL|MAIL FROM:<.*>\r?\n *~> RCPT TO/,
    received: /with ESMTPSA id /,
  },
  {
    client: "msmtp",
    column: "TLS at once",
    args: msmtp(["--tls-starttls=off", ...password], () => implicit),
    input: message,
    received: /with ESMTPSA id /,
  },
  {
    client: "msmtp",
    column: "certificate",
    args: msmtp(certificate),
    input: message,
    received: /with ESMTPS id .* verify=OK\)/,
  },
  {
    client: "msmtp",
    column: "EXTERNAL",
    args: msmtp([...certificate, "--auth=external", `--user=${HOLDER}`]),
    input: message,
    received: /with ESMTPSA id .* verify=OK\)/,
  },
  {
    client: "msmtp",
    column: "DSN",
    args: msmtp([...password, "--dsn-notify=failure,delay", "--dsn-return=headers"]),
    input: message,
    envelope: /^MAIL From:<.*> .*RET=HDRS[\s\S]*RCPT To:<.*> NOTIFY=FAILURE,DELAY/m,
    received: /with ESMTPSA id /,
  },
  {
    client: "curl",
    column: "TLS at once",
    args: curl(() => `smtps://127.0.0.1:${implicit}/client.test`, ["--user", `${USER}:${SECRET}`]),
    input: wire,
    received: /with ESMTPSA id /,
  },
  {
    client: "curl",
    column: "certificate",
    args: curl(starttls, ["--cert", shown.cert, "--key", shown.key]),
    input: wire,
    received: /with ESMTPS id .* verify=OK\)/,
  },
  {
    client: "curl",
    column: "EXTERNAL",
    args: curl(starttls, [
      ...[
        "--cert",
        shown.cert,
        "--key",
        shown.key,
        "--user",
        `${HOLDER}:`,
        "--login-options",
        "AUTH=EXTERNAL",
      ],
    ]),
    input: wire,
    received: /with ESMTPSA id .* verify=OK\)/,
  },
  {
    client: "curl",
    column: "SMTPUTF8",
    args: curl(starttls, ["--user", `${USER}:${SECRET}`, "--mail-rcpt", "jörg@elsewhere.example"]),
    input: wire,
    envelope: /^MAIL From:<.*> .*SMTPUTF8[\s\S]*RCPT To:<jörg@elsewhere\.example>/m,
    received: /with UTF8SMTPSA id /,
  },
];

describe("clients of people and programs", () => {
  for (const s of SUBMISSIONS)
    it(`${s.client}: ${s.column}`, async (t: TestContext) => {
      if (!installed(s.client)) return t.skip(`${s.client} is not installed`);
      const subject = `${s.client} ${s.column}`;
      const ran = await run(s.client, s.args(subject), s.input?.(subject) ?? "");
      assert.equal(ran.status, 0, `${ran.text}\n${gateway.output.slice(-800)}`);
      const { data, envelope } = await arrived(subject);
      assert.match(data.replaceAll(/\r\n[ \t]+/g, " "), s.received);
      if (s.envelope !== undefined)
        assert.match(Buffer.from(envelope, "latin1").toString("utf8"), s.envelope);
      if (s.says !== undefined) assert.match(ran.text, s.says);
      assert.match(data, /\r\n\r\nhello\r\n\.{1,2}dot\r\n$/);
      prove(s.client, s.column);
      return undefined;
    });

  for (const [column, dsn] of [
    ["DSN", { id: "some id", return: "full", notify: ["success", "failure"], recipient: TO }],
    ["SMTPUTF8", null],
  ] as [Column, { id: string; return: "full"; notify: string[]; recipient: string } | null][])
    it(`nodemailer: ${column}`, async () => {
      const transport = createTransport({
        host: "127.0.0.1",
        port: gateway.port,
        requireTLS: true,
        name: "client.test",
        localAddress: "127.0.0.9",
        authMethod: column === "DSN" ? "CRAM-MD5" : "LOGIN",
        auth: { user: USER, pass: SECRET },
        tls: { ca: readFileSync(join(ca, "cacert.pem")), servername: HOST },
      });
      const subject = `nodemailer ${column}`;
      const to = column === "SMTPUTF8" ? "jörg@elsewhere.example" : TO;
      await transport.sendMail({
        envelope: { from: `joe@${HOST}`, to: [to] },
        raw: wire(subject),
        ...(dsn === null ? {} : { dsn }),
      });
      transport.close();
      const { envelope } = await arrived(subject);
      assert.match(
        Buffer.from(envelope, "latin1").toString("utf8"),
        column === "DSN"
          ? /^MAIL From:<.*> .*ENVID=some\+20id RET=FULL[\s\S]*RCPT To:<.*> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bob@elsewhere\.example/m
          : /^MAIL From:<.*> .*SMTPUTF8[\s\S]*RCPT To:<jörg@elsewhere\.example>/m,
      );
      prove("nodemailer", column);
    });
});

describe("Postfix as client", () => {
  const overlay = new Overlay(join(import.meta.dirname, "../../build/cache/flow-postfix"), "postfix");
  let why = process.getuid?.() === 0 ? "" : "needs root";
  let port = 0;
  let spool = "";
  let master: ChildProcess | null = null;

  const inside = (...argv: string[]): string => {
    const [command = "", ...args] = overlay.inside(...argv);
    return execFileSync(command, args, {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
      timeout: 60_000,
    });
  };

  before(async () => {
    if (why !== "") return;
    try {
      mkdirSync(overlay.folder, { recursive: true });
      overlay.install("postfix", "libsasl2-modules");
    } catch (e) {
      why = `no Postfix here: ${String(e).split("\n")[0]}`;
      return;
    }
    port = await freePort();
    spool = mkdtempSync(join(tmpdir(), "postern-postfix-"));
    chmodSync(spool, 0o755);
    overlay.bind(spool, "/spool");
    for (const folder of ["queue", "data"]) mkdirSync(join(spool, folder));
    overlay.write("interop/ca.pem", readFileSync(join(ca, "cacert.pem"), "utf8"));
    overlay.write(
      "interop/holder.pem",
      `${readFileSync(shown.key, "utf8")}${readFileSync(shown.cert, "utf8")}`,
    );
    overlay.write(
      "interop/passwords",
      `[127.0.0.1]:${gateway.port} ${USER}:${SECRET}\n[127.0.0.1]:${implicit} ${USER}:${SECRET}\n`,
    );
    overlay.write(
      "interop/transport",
      `starttls.example starttls:[127.0.0.1]:${gateway.port}\nimplicit.example implicit:[127.0.0.1]:${implicit}\ncertificate.example certificate:[127.0.0.1]:${gateway.port}\n`,
    );
    overlay.write(
      "interop/main.cf",
      `${postfixMain("client.test")}smtp_bind_address = 127.0.0.9
transport_maps = texthash:/interop/transport
smtp_sasl_password_maps = texthash:/interop/passwords
smtp_sasl_security_options = noanonymous
smtp_tls_CAfile = /interop/ca.pem
smtp_tls_security_level = secure
smtp_tls_secure_cert_match = ${HOST}
`,
    );
    const dist = readFileSync(join(overlay.root, "usr/share/postfix/master.cf.dist"), "utf8");
    overlay.write(
      "interop/master.cf",
      `${dist.replace(/^smtp {2,}inet/m, `127.0.0.1:${port} inet`)}
starttls unix - - n - - smtp -o smtp_sasl_auth_enable=yes
implicit unix - - n - - smtp -o smtp_sasl_auth_enable=yes -o smtp_tls_wrappermode=yes
certificate unix - - n - - smtp -o smtp_tls_chain_files=/interop/holder.pem
`,
    );
    inside("postconf", "-c", "/interop", "-F", "*/*/chroot=n");
    inside("chown", "postfix:postfix", "/spool/data");
    inside("postfix", "-c", "/interop", "check");
    const [command = "", ...args] = overlay.inside("/usr/lib/postfix/sbin/master", "-c", "/interop", "-d");
    master = spawn(command, args, { stdio: "ignore" });
    await until("Postfix listens", 30, () => answers(port));
  });

  after(async () => {
    const child = master;
    if (child !== null) {
      child.kill("SIGTERM");
      await until("Postfix ends", 20, () => child.exitCode !== null || child.signalCode !== null);
    }
    if (process.getuid?.() === 0) overlay.clean();
    if (spool !== "") rmSync(spool, { recursive: true, force: true });
  });

  const CASES = [
    { column: "TLS at once", to: "bob@implicit.example", received: /with ESMTPSA id / },
    { column: "certificate", to: "bob@certificate.example", received: /with ESMTPS id .* verify=OK\)/ },
    {
      column: "DSN",
      to: "bob@starttls.example",
      mail: " RET=HDRS ENVID=some+20id",
      rcpt: " NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;ann@elsewhere.example",
      envelope:
        /^MAIL From:<.*> .*ENVID=some\+20id RET=HDRS[\s\S]*NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;ann@elsewhere\.example/m,
      received: /with ESMTPSA id /,
    },
    {
      column: "SMTPUTF8",
      to: "jörg@starttls.example",
      mail: " SMTPUTF8",
      envelope: /^MAIL From:<.*> .*SMTPUTF8[\s\S]*RCPT To:<jörg@starttls\.example>/m,
      received: /with UTF8SMTPSA id /,
    },
    // Postfix pipelines wherever the server says that it may: two recipients and DATA in one write.
    {
      column: "PIPELINING",
      to: "bob@starttls.example",
      also: "ann@starttls.example",
      received: /with ESMTPSA id /,
    },
  ] as const;

  for (const c of CASES)
    it(c.column, async (t: TestContext) => {
      if (why !== "") return t.skip(why);
      const subject = `Postfix ${c.column}`;
      const rcpt = "rcpt" in c ? c.rcpt : "";
      const script = [
        "EHLO here.test",
        `MAIL FROM:<joe@client.test>${"mail" in c ? c.mail : ""}`,
        `RCPT TO:<${c.to}>${rcpt}`,
        ...("also" in c ? [`RCPT TO:<${c.also}>`] : []),
        "DATA",
      ];
      await converse(port, script, `${wire(subject).replace("\r\n.dot", "\r\n..dot")}.\r\n`);
      const { data, envelope } = await arrived(subject);
      assert.match(data.replaceAll(/\r\n[ \t]+/g, " "), c.received);
      if ("envelope" in c) assert.match(Buffer.from(envelope, "latin1").toString("utf8"), c.envelope);
      if ("also" in c) assert.equal(envelope.match(/^RCPT /gim)?.length, 2);
      prove("Postfix", c.column);
      return undefined;
    });
});

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" });
    socket.once("data", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

/** Says the lines, each after the reply to the one before, in UTF-8; then the message. All must be taken. */
async function converse(port: number, lines: readonly string[], data: string): Promise<void> {
  const socket = connect({ port, host: "127.0.0.1" });
  let text = "";
  socket.on("data", (chunk) => {
    text += chunk.toString("utf8");
  });
  socket.on("error", () => socket.destroy());
  const reply = async (): Promise<string> => {
    const found = await until("a reply", 20, () => /^(?:\d{3}-[^\n]*\n)*\d{3} [^\n]*\n/.exec(text));
    text = text.slice(found[0].length);
    return found[0];
  };
  try {
    assert.match(await reply(), /^220/);
    for (const line of lines) {
      socket.write(`${line}\r\n`);
      assert.match(await reply(), /^[23]/, line);
    }
    socket.write(data);
    assert.match(await reply(), /^250/);
  } finally {
    socket.destroy();
  }
}

describe("the documentation", () => {
  it("says what was proved here", (t: TestContext) => {
    if (proved.size === 0) return t.skip("nothing was proved");
    const rows = readFileSync(DOCUMENT, "utf8")
      .split("\n")
      .filter((line) => line.startsWith("|"));
    const header = rows.find((line) => line.includes("TLS at once")) ?? "";
    const cells = (line: string): string[] =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim());
    const names = cells(header);
    for (const [client, have] of proved) {
      const row = cells(rows.find((line) => line.startsWith(`| ${client} `)) ?? "");
      for (const column of have) assert.equal(row[names.indexOf(column)], "yes", `${client}: ${column}`);
    }
    return undefined;
  });
});
