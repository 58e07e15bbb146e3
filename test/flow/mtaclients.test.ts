// Interop with other mail servers as clients (Debian's packages in overlays of the root file system): Postfix relays through Postern
// with TLS and AUTH by each mechanism it has, OpenSMTPD's smtp(1) submits. Needs root and overlayfs.

import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { Overlay, postfixMain } from "../bench/contender.ts";
import { freePort, Gateway, Sink, send, until } from "./gateway.ts";
import { makePki, type Pki } from "./tls/pki.ts";

const HOST = "mail.polkatistas.org";
const USER = "maildroid";
const SECRET = "iaintgottapanic";
const MECHANISMS = ["CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "PLAIN", "LOGIN"] as const;

const root = process.getuid?.() === 0;
const cache = join(import.meta.dirname, "../../build/cache");
const postfix = new Overlay(join(cache, "flow-postfix"), "postfix");
const opensmtpd = new Overlay(join(cache, "flow-opensmtpd"), "opensmtpd");
const sink = new Sink();
const gateway = new Gateway("mtaclients");
let pki: Pki | null = null;
let why = root ? "" : "needs root";
let postfixPort = 0;
let master: ChildProcess | null = null;
let spool = "";

function inside(overlay: Overlay, argv: readonly string[], input = ""): string {
  const [command = "", ...args] = overlay.inside(...argv);
  return execFileSync(command, args, {
    input,
    encoding: "utf8",
    stdio: ["pipe", "pipe", "pipe"],
    timeout: 60_000,
  });
}

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

async function arrived(subject: string): Promise<string> {
  const found = (): string | undefined =>
    sink.received.find((r) => r.data.includes(`Subject: ${subject}\r\n`))?.data;
  try {
    return await until(`the message "${subject}"`, 20, found);
  } catch (e) {
    throw new Error(`${String(e)}\n${gateway.output}`);
  }
}

async function startGateway(made: Pki): Promise<void> {
  gateway.port = await freePort();
  gateway.write({
    "sendmail.mc": `include(\`/usr/share/sendmail-cf/m4/cf.m4')
OSTYPE(\`linux')
define(\`confDOMAIN_NAME', \`${HOST}')dnl
define(\`confSERVER_CERT', \`/etc/mail/certs/server.crt')dnl
define(\`confSERVER_KEY', \`/etc/mail/certs/server.key')dnl
define(\`confCACERT', \`/etc/mail/certs/ca.crt')dnl
define(\`confAUTH_MECHANISMS', \`${MECHANISMS.join(" ")}')dnl
TRUST_AUTH_MECH(\`${MECHANISMS.join(" ")}')dnl
FEATURE(\`mailertable',\`hash -o /etc/mail/mailertable.db')dnl
FEATURE(\`nocanonify')dnl
FEATURE(\`accept_unresolvable_domains')dnl
FEATURE(\`no_default_msa')dnl
DAEMON_OPTIONS(\`Name=MTA, Family=inet, Addr=127.0.0.1, Port=${gateway.port}')dnl
MAILER(smtp)dnl
`,
    mailertable: `.\tsmtp:[127.0.0.1]:${sink.port}\n`,
    "certs/ca.crt": readFileSync(made.path("ca.crt"), "utf8"),
    "certs/server.crt": readFileSync(made.path("server.crt"), "utf8"),
  });
  copyFileSync(made.path("server.key"), join(gateway.config, "certs/server.key"));
  chmodSync(join(gateway.config, "certs/server.key"), 0o600);
  const user = await gateway.run(
    "saslpasswd2",
    ["-C", gateway.config, "-p", "-c", "-u", HOST, USER],
    `${SECRET}\n`,
  );
  assert.equal(user.status, 0, user.err);
  await gateway.start();
}

/** One transport for each mechanism, chosen by the recipient's domain. */
async function startPostfix(): Promise<void> {
  postfixPort = await freePort();
  spool = mkdtempSync(join(tmpdir(), "postern-postfix-"));
  chmodSync(spool, 0o755);
  postfix.bind(spool, "/spool");
  for (const folder of ["queue", "data"]) mkdirSync(join(postfix.root, "spool", folder), { recursive: true });
  postfix.write(
    "flow/main.cf",
    `${postfixMain("client.test")}transport_maps = texthash:/flow/transport
smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = texthash:/flow/passwords
smtp_sasl_security_options = noanonymous
smtp_tls_security_level = encrypt
`,
  );
  postfix.write("flow/passwords", `[127.0.0.1]:${gateway.port} ${USER}:${SECRET}\n`);
  const lower = MECHANISMS.map((m) => m.toLowerCase());
  postfix.write(
    "flow/transport",
    lower.map((m) => `${m}.example via-${m}:[127.0.0.1]:${gateway.port}\n`).join(""),
  );
  const dist = readFileSync(join(postfix.root, "usr/share/postfix/master.cf.dist"), "utf8");
  const services = lower
    .map((m) => `via-${m} unix - - n - - smtp -o smtp_sasl_mechanism_filter=${m}\n`)
    .join("");
  postfix.write(
    "flow/master.cf",
    `${dist.replace(/^smtp {2,}inet/m, `127.0.0.1:${postfixPort} inet`)}\n${services}`,
  );
  inside(postfix, ["postconf", "-c", "/flow", "-F", "*/*/chroot=n"]);
  inside(postfix, ["chown", "postfix:postfix", "/spool/data"]);
  inside(postfix, ["postfix", "-c", "/flow", "check"]);
  const [command = "", ...args] = postfix.inside("/usr/lib/postfix/sbin/master", "-c", "/flow", "-d");
  master = spawn(command, args, { stdio: "ignore" });
  await until("Postfix listens", 30, () => answers(postfixPort));
}

before(async () => {
  if (!root) return;
  try {
    for (const o of [postfix, opensmtpd]) mkdirSync(o.folder, { recursive: true });
    postfix.install("postfix", "libsasl2-modules");
    opensmtpd.install("opensmtpd");
  } catch (e) {
    why = `no packages here: ${String(e).split("\n")[0]}`;
    return;
  }
  pki = makePki();
  pki.issue("server", `/CN=${HOST}`);
  await sink.start();
  await startGateway(pki);
  await startPostfix();
});

after(async () => {
  await gateway.remove();
  if (master !== null) {
    master.kill("SIGTERM");
    await until("Postfix ends", 20, () => master?.exitCode !== null || master.signalCode !== null);
  }
  if (root && why === "") await sink.stop();
  pki?.remove();
  if (root) for (const o of [postfix, opensmtpd]) o.clean();
  if (spool !== "") rmSync(spool, { recursive: true, force: true });
});

describe("mail servers as clients", () => {
  for (const mechanism of MECHANISMS)
    it(`Postfix relays through us with TLS and ${mechanism}`, async (t) => {
      if (why !== "") return t.skip(why);
      const subject = `postfix-${mechanism}`;
      const data = `From: joe@client.test\r\nTo: bob@x.example\r\nSubject: ${subject}\r\n\r\nhello\r\n..dot\r\n`;
      const to = `bob@${mechanism.toLowerCase()}.example`;
      assert.match(await send(postfixPort, "joe@client.test", [to], data), /^250 /);
      const got = await arrived(subject);
      assert.match(got, new RegExp(`by ${HOST.replaceAll(".", "\\.")} [^]*with ESMTPSA id`));
      assert.ok(got.endsWith("\r\n\r\nhello\r\n.dot\r\n"), got);
      assert.match(gateway.output, new RegExp(`AUTH=server, relay=.*, mech=${mechanism}, `));
      return undefined;
    });

  for (const [name, scheme] of [
    ["in plain text", "smtp+notls"],
    ["with STARTTLS", "smtp+tls"],
  ] as const)
    it(`OpenSMTPD's smtp(1) submits ${name}`, async (t) => {
      if (why !== "") return t.skip(why);
      const subject = `opensmtpd-${scheme}`;
      const login = scheme === "smtp+notls" ? "" : `${USER}:${SECRET}@`;
      inside(
        opensmtpd,
        [
          ...["/usr/bin/smtp", "-C", "-H", "client.test", "-F", "joe@client.test"],
          ...["-s", `${scheme}://${login}127.0.0.1:${gateway.port}`, "bob@x.example"],
        ],
        `From: joe@client.test\nTo: bob@x.example\nSubject: ${subject}\n\nhello\n.dot\n`,
      );
      const got = await arrived(subject);
      assert.match(got, new RegExp(`with ${scheme === "smtp+notls" ? "ESMTP" : "ESMTPSA"} id`));
      assert.ok(got.endsWith("\r\n\r\nhello\r\n.dot\r\n"), got);
      return undefined;
    });
});
