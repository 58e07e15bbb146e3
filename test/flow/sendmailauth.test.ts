// The book's files, whole and unchanged, between Postern and Sendmail 8.17 (Debian's package with Cyrus SASL and OpenSSL in an overlay
// of the root file system): Sendmail.conf, saslpasswd, TRUST_AUTH_MECH, confAUTH_MECHANISMS, the four lines of default-auth-info
// (Examples 9-10 to 9-17), LOGIN and PLAIN only under TLS, certificates of `postern cert`. Needs root and overlayfs.

import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { after, afterEach, before, describe, it, type TestContext } from "node:test";
import { compileMc, inside, overlay, type Release, sendmailMc, takeSendmail } from "./debiansendmail.ts";
import { freePort, Gateway, Sink, until } from "./gateway.ts";
import { plain, Session } from "./session.ts";

const HUB = "dmzmail.polkatistas.org";
const RELAY = "mail.polkatistas.org";
const SECRET = "Ch1mp? ,03fuzz fl0ppi";
const NAME = "flow";
/** Example 9-16, line by line. */
const DEFAULT_AUTH_INFO = `maildroid\nmaildroid\n${SECRET}\n${HUB}\n`;

const root = process.getuid?.() === 0;
const sink = new Sink();
const gateway = new Gateway("sendmailauth");
let why = root ? "" : "needs root";
let release: Release | null = null;
let sendmailPort = 0;
let daemon: ChildProcess | null = null;

/** Files of Sendmail's that hold secrets: root's alone. */
function secret(path: string, text: string): void {
  overlay.write(path, text);
  execFileSync("chmod", ["600", join(overlay.root, path)]);
}

const CERTIFICATES = `define(\`CERT_DIR', \`/etc/mail/certs')dnl
define(\`confCACERT_PATH', \`CERT_DIR')dnl
define(\`confCACERT', \`CERT_DIR/cacert.pem')dnl
define(\`confSERVER_CERT', \`CERT_DIR/newcert_signed.pem')dnl
define(\`confSERVER_KEY', \`CERT_DIR/newcert_key.pem')dnl
define(\`confCLIENT_CERT', \`CERT_DIR/newcert_signed.pem')dnl
define(\`confCLIENT_KEY', \`CERT_DIR/newcert_key.pem')dnl
`;

/** Compiles a configuration of Sendmail's; `more` is what the book prints. */
function compile(name: string, host: string, more: string): string {
  const safe = "define(`confDONT_BLAME_SENDMAIL', `GroupWritableDirPathSafe')dnl\n";
  // Sendmail since 8.12 asks its ruleset authinfo first and reads default-auth-info only when there is none; its m4 always writes one.
  return compileMc(NAME, name, sendmailMc(NAME, host, safe + more), (cf) => cf.replace(/^Sauthinfo\n/m, ""));
}

function posternMc(host: string, more: string): string {
  return `OSTYPE(\`linux')dnl
define(\`confDOMAIN_NAME', \`${host}')dnl
FEATURE(\`access_db')dnl
FEATURE(\`mailertable')dnl
FEATURE(\`nocanonify')dnl
FEATURE(\`accept_unresolvable_domains')dnl
FEATURE(\`no_default_msa')dnl
DAEMON_OPTIONS(\`Name=MTA, Family=inet, Addr=127.0.0.1, Port=${gateway.port}')dnl
${more}MAILER(\`smtp')dnl
`;
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
  try {
    return await until(
      `the message "${subject}"`,
      15,
      () => sink.received.find((r) => r.data.includes(`Subject: ${subject}\r\n`))?.data,
    );
  } catch (e) {
    throw new Error(`${String(e)}\n${gateway.output}`);
  }
}

const message = (subject: string): string =>
  `From: joe@${RELAY}\nTo: bob@elsewhere.example\nSubject: ${subject}\n\nhello\n`;

/** The protocol that the server's Received field names, and what stands in the comment behind its own. */
function received(data: string, by: string): { protocol: string; field: string } {
  const field =
    data
      .replaceAll(/\r\n[ \t]+/g, " ")
      .split("\r\n")
      .find((line) => line.startsWith("Received:") && line.includes(` by ${by} `)) ?? "";
  return { protocol: /\bwith (\S+) id /.exec(field)?.[1] ?? "", field };
}

async function startSendmail(cf: string): Promise<void> {
  const [command = "", ...args] = overlay.inside("/usr/sbin/sendmail-mta", `-C${cf}`, "-bD");
  daemon = spawn(command, args, { stdio: "ignore" });
  await until("Sendmail listens", 30, () => answers(sendmailPort));
}

async function stopSendmail(): Promise<void> {
  const child = daemon;
  daemon = null;
  if (child === null) return;
  child.kill("SIGTERM");
  await until("Sendmail ends", 15, () => child.exitCode !== null || child.signalCode !== null);
}

before(async () => {
  if (!root) return;
  try {
    const taken = await takeSendmail(NAME, true);
    if (typeof taken === "string") why = taken;
    else release = taken;
  } catch (e) {
    why = `no Sendmail here: ${String(e).split("\n")[0]}`;
    return;
  }
  await sink.start();
  gateway.port = await freePort();
  sendmailPort = await freePort();
  // One authority, a certificate for each side.
  const ca = join(gateway.folder, "ca");
  const cert = async (...words: string[]): Promise<void> => {
    const made = await gateway.run("cert", ["ca", ...words, "--dir", ca]);
    assert.equal(made.status, 0, made.err);
  };
  await cert("init");
  for (const name of [HUB, RELAY]) await cert("issue", name, "--out", join(gateway.folder, "issued"));
  const file = (name: string): string => readFileSync(join(gateway.folder, name), "utf8");
  const certs = join(overlay.root, "etc/mail/certs");
  rmSync(certs, { recursive: true, force: true });
  mkdirSync(certs, { mode: 0o700, recursive: true });
  secret("etc/mail/certs/cacert.pem", file("ca/cacert.pem"));
  gateway.write({ "certs/cacert.pem": file("ca/cacert.pem") });
});

/** The certificate of this host, at Sendmail and at Postern. */
function installCertificates(sendmail: string, postern: string): void {
  const file = (name: string): string => readFileSync(join(gateway.folder, "issued", name), "utf8");
  secret("etc/mail/certs/newcert_signed.pem", file(`${sendmail}.pem`));
  secret("etc/mail/certs/newcert_key.pem", file(`${sendmail}.key`));
  const mine = ["certs/newcert_signed.pem", "certs/newcert_key.pem", "certs/cacert.pem"];
  gateway.write(
    { "certs/newcert_signed.pem": file(`${postern}.pem`), "certs/newcert_key.pem": file(`${postern}.key`) },
    mine,
  );
  for (const name of mine) chmodSync(join(gateway.config, name), 0o600);
}

afterEach(async () => {
  await gateway.stop();
  await stopSendmail();
});

after(async () => {
  await gateway.remove();
  await stopSendmail();
  if (root && why === "") {
    await sink.stop();
    release?.();
  }
});

interface Case {
  readonly name: string;
  /** confAUTH_MECHANISMS of the server, and its TRUST_AUTH_MECH. */
  readonly server: string;
  readonly tls: boolean;
  /** What Postern takes: the first of its own list (Example 9-15). */
  readonly mechanism: string;
  /** What Sendmail takes, when another: its SASL library chooses what it holds for the strongest. */
  readonly cyrus?: string;
}

const CASES: readonly Case[] = [
  {
    name: "Example 9-14: the first of the list that both have, in the open",
    server: "CRAM-MD5 DIGEST-MD5",
    tls: false,
    mechanism: "CRAM-MD5",
    cyrus: "DIGEST-MD5",
  },
  { name: "CRAM-MD5 alone", server: "CRAM-MD5", tls: false, mechanism: "CRAM-MD5" },
  { name: "DIGEST-MD5 in the open", server: "DIGEST-MD5", tls: false, mechanism: "DIGEST-MD5" },
  {
    name: "Example 9-17: all four under TLS, the first is taken",
    server: "CRAM-MD5 DIGEST-MD5 LOGIN PLAIN",
    tls: true,
    mechanism: "CRAM-MD5",
    cyrus: "DIGEST-MD5",
  },
  { name: "DIGEST-MD5 under TLS", server: "DIGEST-MD5", tls: true, mechanism: "DIGEST-MD5" },
  { name: "LOGIN under TLS", server: "LOGIN", tls: true, mechanism: "LOGIN" },
  { name: "PLAIN under TLS", server: "PLAIN", tls: true, mechanism: "PLAIN" },
];

/** Example 9-15, and Example 9-19 where there is TLS. */
const clientSide = (
  tls: boolean,
): string => `define(\`confAUTH_MECHANISMS', \`CRAM-MD5 DIGEST-MD5 LOGIN PLAIN')dnl
define(\`confDEF_AUTH_INFO', \`/etc/mail/default-auth-info')dnl
${tls ? CERTIFICATES : ""}`;

const serverSide = (c: Case): string => `TRUST_AUTH_MECH(\`${c.server}')dnl
define(\`confAUTH_MECHANISMS', \`${c.server}')dnl
${c.tls ? CERTIFICATES : ""}`;

describe("Postern relays through Sendmail as the book says", () => {
  before(() => {
    if (why !== "") return;
    // Examples 9-10 and 9-11 in the words of today's Cyrus SASL; Debian's file is in one of these folders.
    for (const folder of ["etc/sasl2", "usr/lib/sasl2", "etc/mail/sasl"])
      overlay.write(`${folder}/Sendmail.conf`, "pwcheck_method: auxprop\nauxprop_plugin: sasldb\n");
    rmSync(join(overlay.root, "etc/sasldb2"), { force: true });
    inside(["saslpasswd2", "-p", "-c", "-u", HUB, "-a", "Sendmail", "maildroid"], SECRET);
    execFileSync("chmod", ["600", join(overlay.root, "etc/sasldb2")]);
    execFileSync("chown", ["root:root", join(overlay.root, "etc/sasldb2")]);
    installCertificates(HUB, RELAY);
  });

  for (const c of CASES)
    it(c.name, async (t: TestContext) => {
      if (why !== "") return t.skip(why);
      const cf = compile(
        "hub",
        HUB,
        `${serverSide(c)}define(\`SMART_HOST', \`relay:[127.0.0.1]')dnl
define(\`RELAY_MAILER_ARGS', \`TCP $h ${sink.port}')dnl
DAEMON_OPTIONS(\`Name=MTA, Family=inet, Addr=127.0.0.1, Port=${sendmailPort}, M=a')dnl
`,
      );
      await startSendmail(cf);
      gateway.write(
        {
          "sendmail.mc": posternMc(RELAY, clientSide(c.tls)),
          mailertable: `elsewhere.example\tesmtp:[127.0.0.1]:${sendmailPort}\n`,
          access: "",
          "default-auth-info": DEFAULT_AUTH_INFO,
        },
        ["default-auth-info"],
      );
      await gateway.start();
      const subject = `to-hub-${c.server.replaceAll(" ", "-")}-${c.tls}`;
      const ran = await gateway.run(
        "sendmail",
        [...gateway.options(), "-f", `joe@${RELAY}`, "bob@elsewhere.example"],
        message(subject),
      );
      assert.equal(ran.status, 0, ran.err);
      const { protocol, field } = received(await arrived(subject), HUB);
      assert.equal(protocol, c.tls ? "ESMTPSA" : "ESMTPA", field);
      assert.match(gateway.output, new RegExp(`AUTH=client, relay=\\S+ \\S+, mech=${c.mechanism}, `));
      // The server's certificate has been checked; ours has been by it.
      if (c.tls) assert.match(field, / verify=OK\)/);
      assert.match(field, /\(authenticated bits=0\)/);
      return undefined;
    });

  it("LOGIN and PLAIN stay at home when the hub has no TLS and AuthOptions has p", async (t: TestContext) => {
    if (why !== "") return t.skip(why);
    const cf = compile(
      "hub",
      HUB,
      `TRUST_AUTH_MECH(\`LOGIN PLAIN')dnl
define(\`confAUTH_MECHANISMS', \`LOGIN PLAIN')dnl
DAEMON_OPTIONS(\`Name=MTA, Family=inet, Addr=127.0.0.1, Port=${sendmailPort}, M=a')dnl
`,
    );
    await startSendmail(cf);
    gateway.write(
      {
        "sendmail.mc": posternMc(RELAY, `${clientSide(false)}define(\`confAUTH_OPTIONS', \`p')dnl\n`),
        mailertable: `elsewhere.example\tesmtp:[127.0.0.1]:${sendmailPort}\n`,
        "default-auth-info": DEFAULT_AUTH_INFO,
      },
      ["default-auth-info"],
    );
    await gateway.start();
    await gateway.run(
      "sendmail",
      [...gateway.options(), "-f", `joe@${RELAY}`, "bob@elsewhere.example"],
      message("at home"),
    );
    await until("a word in the log", 15, () =>
      gateway.output.includes("available mechanisms do not fulfill requirements"),
    );
    assert.doesNotMatch(gateway.output, /mech=(LOGIN|PLAIN)/);
    return undefined;
  });
});

describe("Sendmail relays through Postern as the book says", () => {
  before(async () => {
    if (why !== "") return;
    installCertificates(RELAY, HUB);
    secret("etc/mail/default-auth-info", DEFAULT_AUTH_INFO);
    gateway.write({
      "sendmail.mc": posternMc(HUB, ""),
      mailertable: `.\tsmtp:[127.0.0.1]:${sink.port}\n`,
      access: "",
      // Example 9-10.
      "Sendmail.conf": "pwcheck_method: sasldb\n",
    });
    // Example 9-11: the password, and again.
    const made = await gateway.run(
      "saslpasswd",
      ["-C", gateway.config, "maildroid"],
      `${SECRET}\n${SECRET}\n`,
    );
    assert.equal(made.status, 0, made.err);
    // Example 9-12.
    const listed = await gateway.run("sasldblistusers", ["-C", gateway.config]);
    for (const mechanism of ["PLAIN", "CRAM-MD5", "DIGEST-MD5"])
      assert.match(listed.out, new RegExp(`user: maildroid realm: ${HUB} mech: ${mechanism}\n`));
  });

  for (const c of CASES)
    it(c.name, async (t: TestContext) => {
      if (why !== "") return t.skip(why);
      gateway.write({
        "sendmail.mc": posternMc(HUB, serverSide(c)),
        access: "GreetPause:127.0.0.1\t0\nConnect:127.0.0.1\tOK\n",
        mailertable: `.\tsmtp:[127.0.0.1]:${sink.port}\n`,
      });
      await gateway.start();
      const cf = compile(
        "relay",
        RELAY,
        `${clientSide(c.tls)}define(\`SMART_HOST', \`relay:[127.0.0.1]')dnl
define(\`RELAY_MAILER_ARGS', \`TCP $h ${gateway.port}')dnl
CLIENT_OPTIONS(\`Family=inet, Addr=127.0.0.9')dnl
`,
      );
      const subject = `from-relay-${c.server.replaceAll(" ", "-")}-${c.tls}`;
      try {
        inside(
          ["/usr/sbin/sendmail-mta", `-C${cf}`, "-v", "-odi", "-f", `joe@${RELAY}`, "bob@elsewhere.example"],
          message(subject),
        );
      } catch (e) {
        const said = e instanceof Error && "stdout" in e ? String(e.stdout) : "";
        throw new Error(`${String(e)}\n${said}\n${gateway.output}`);
      }
      const { protocol, field } = received(await arrived(subject), HUB);
      assert.equal(protocol, c.tls ? "ESMTPSA" : "ESMTPA", field);
      if (c.tls) assert.match(field, / verify=OK\)/);
      assert.match(field, /\(authenticated bits=0\)/);
      assert.match(
        gateway.output,
        new RegExp(`AUTH=server, relay=.*, authid=maildroid, mech=${c.cyrus ?? c.mechanism}, bits=`),
      );
      return undefined;
    });
});

describe("users of PAM relay through Postern as the book says", () => {
  let saslauthd: ChildProcess | null = null;
  const password = "r0ad warr1or";

  before(async () => {
    if (why !== "") return;
    try {
      inside(["id", "roadwarrior"]);
    } catch {
      inside(["useradd", "-M", "roadwarrior"]);
    }
    inside(["chpasswd"], `roadwarrior:${password}\n`);
    const folder = join(overlay.root, "flow/mux");
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    const [command = "", ...args] = overlay.inside(
      "/usr/sbin/saslauthd",
      "-d",
      "-a",
      "pam",
      "-n",
      "0",
      "-m",
      "/flow/mux",
    );
    // A group of its own: when it ends it tells its whole process group to.
    saslauthd = spawn(command, args, { stdio: "ignore", detached: true });
    await until("saslauthd listens", 20, () => existsSync(join(folder, "mux")));
    installCertificates(RELAY, HUB);
    // The book: "there's no need to create /etc/sasldb".
    rmSync(join(gateway.config, "sasldb.json"), { force: true });
    gateway.write({
      "sendmail.mc": posternMc(
        HUB,
        // Example 9-17.
        `TRUST_AUTH_MECH(\`CRAM-MD5 DIGEST-MD5 LOGIN PLAIN')dnl
define(\`confAUTH_MECHANISMS', \`CRAM-MD5 DIGEST-MD5 LOGIN PLAIN')dnl
${CERTIFICATES}`,
      ),
      access: "",
      mailertable: `.\tsmtp:[127.0.0.1]:${sink.port}\n`,
      // Example 9-13; the second line only because this saslauthd lives in an overlay.
      "Sendmail.conf": `pwcheck_method: pam\nsaslauthd_path: ${folder}/mux\n`,
    });
  });

  after(async () => {
    const child = saslauthd;
    if (child === null) return;
    child.kill("SIGTERM");
    await until("saslauthd ends", 15, () => child.exitCode !== null || child.signalCode !== null);
  });

  it("Examples 9-13 and 9-17: with the password of their account, under TLS, and not with another", async (t: TestContext) => {
    if (why !== "") return t.skip(why);
    await gateway.start();
    for (const [secret, taken] of [
      [password, true],
      ["wrong", false],
    ] as const) {
      const s = Session.open({ port: gateway.port });
      try {
        await s.reply();
        // Neither is a digest of a password that only PAM knows possible, nor may the password itself go over the open wire.
        assert.doesNotMatch(await s.say("EHLO laptop.test"), /AUTH/);
        assert.match(await s.say("STARTTLS"), /^220/);
        await s.secure();
        assert.match(await s.say("EHLO laptop.test"), /^250-AUTH LOGIN PLAIN$/m);
        assert.match(
          await s.say(`AUTH PLAIN ${plain("roadwarrior", secret)}`),
          taken ? /^235 / : /^535 5\.7\.0/,
        );
        assert.match(await s.say("MAIL FROM:<roadwarrior@example.com>"), /^250/);
        assert.match(await s.say("RCPT TO:<bob@elsewhere.example>"), taken ? /^250/ : /^550 5\.7\.1/);
      } finally {
        s.close();
      }
    }
    return undefined;
  });
});
