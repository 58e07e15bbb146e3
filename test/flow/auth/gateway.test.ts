import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { connect as tlsConnect } from "node:tls";

// The whole gateway with the chapter's AUTH and TLS files, its own authority, and other people's clients (swaks, gsasl, openssl).
const MAIN = new URL("../../../src/main.ts", import.meta.url).pathname;
const dir = mkdtempSync(join(tmpdir(), "postern-auth-"));
const mail = join(dir, "mail");
const certs = join(mail, "certs");
let port = 0;
let daemon: ChildProcess | null = null;

const has = (program: string): boolean =>
  spawnSync("sh", ["-c", 'command -v "$1"', "sh", program]).status === 0;
const skip = has("swaks") && has("gsasl") ? false : "needs swaks and gsasl";

function run(program: string, args: readonly string[], input = ""): { status: number | null; out: string } {
  const done = spawnSync(program, [...args], { input, encoding: "utf8", timeout: 60_000 });
  return { status: done.status, out: done.stdout + done.stderr };
}
function postern(args: readonly string[], input = ""): void {
  const done = run(process.execPath, [MAIN, ...args], input);
  assert.equal(done.status, 0, done.out);
}
/** The last replies of a swaks session from an address that may not relay by itself. */
function swaks(...args: string[]): string {
  const to = ["--server", `127.0.0.1:${port}`, "--local-interface", "127.0.0.2", "--timeout", "20"];
  return run("swaks", [...to, "-f", "a@b.example", "-t", "c@d.example", "--quit-after", "RCPT", ...args]).out;
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port: free } = server.address() as AddressInfo;
      server.close(() => resolve(free));
    });
  });
}

before(async () => {
  if (skip !== false) return;
  port = await freePort();
  chmodSync(dir, 0o755);
  mkdirSync(mail);
  const all = "EXTERNAL SCRAM-SHA-256 SCRAM-SHA-1 DIGEST-MD5 CRAM-MD5 LOGIN PLAIN";
  writeFileSync(
    join(mail, "sendmail.mc"),
    `OSTYPE(\`linux')dnl
define(\`confDOMAIN_NAME', \`dmzmail.polkatistas.org')dnl
TRUST_AUTH_MECH(\`${all}')dnl
define(\`confAUTH_MECHANISMS', \`${all}')dnl
define(\`CERT_DIR', \`/etc/mail/certs')dnl
define(\`confCACERT_PATH', \`CERT_DIR')dnl
define(\`confCACERT', \`CERT_DIR/ca/cacert.pem')dnl
define(\`confCRL', \`CERT_DIR/ca/crl.pem')dnl
define(\`confSERVER_CERT', \`CERT_DIR/dmzmail.polkatistas.org.pem')dnl
define(\`confSERVER_KEY', \`CERT_DIR/dmzmail.polkatistas.org.key')dnl
FEATURE(\`access_db')dnl
FEATURE(\`accept_unresolvable_domains')dnl
FEATURE(\`nocanonify')dnl
FEATURE(\`no_default_msa')dnl
DAEMON_OPTIONS(\`Port=${port}, Addr=127.0.0.1, Name=MTA')dnl
MAILER(\`smtp')dnl
`,
  );
  writeFileSync(join(mail, "Sendmail.conf"), "pwcheck_method: sasldb\n");
  writeFileSync(join(mail, "access"), "CERTIssuer:/CN=Postern+20CA\tRELAY\n");
  postern(["makemap", "hash", join(mail, "access")], readFileSync(join(mail, "access"), "utf8"));
  const ca = ["--dir", join(certs, "ca"), "--out", certs];
  postern(["cert", "ca", "init", "--dir", join(certs, "ca")]);
  postern(["cert", "ca", "issue", "dmzmail.polkatistas.org", "--alt", "127.0.0.1", ...ca]);
  postern(["cert", "ca", "issue", "mick@example.org", ...ca]);
  postern(["saslpasswd", "-p", "-C", mail, "maildroid"], "Ch1mp? ,03fuzz fl0ppi\n");
  const spool = join(dir, "spool");
  mkdirSync(spool);
  if (process.getuid?.() === 0) chownSync(spool, 8, 12);
  const args = [
    "sendmail",
    "-bD",
    "-C",
    mail,
    `-OQueueDirectory=${spool}`,
    "-ODeliveryMode=queueonly",
    `-OControlSocketName=${join(dir, "run/control")}`,
    `-OPidFile=${join(dir, "run/pid")}`,
  ];
  daemon = spawn(process.execPath, [MAIN, ...args], { stdio: ["ignore", "ignore", "pipe"] });
  const child = daemon;
  let log = "";
  await new Promise<void>((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`the gateway does not start:\n${log}`)), 30_000);
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      log += text;
      if (!/listening on 127\.0\.0\.1/.test(log)) return;
      clearTimeout(late);
      resolve();
    });
    child.on("exit", () => {
      clearTimeout(late);
      reject(new Error(`the gateway ended:\n${log}`));
    });
  });
  child.removeAllListeners("exit");
});
after(async () => {
  if (daemon !== null && daemon.exitCode === null) {
    const ended = new Promise((resolve) => daemon?.on("exit", resolve));
    daemon.kill("SIGTERM");
    const late = setTimeout(() => daemon?.kill("SIGKILL"), 15_000);
    await ended;
    clearTimeout(late);
  }
  rmSync(dir, { recursive: true, force: true });
});

const AUTH = ["-au", "maildroid", "-ap", "Ch1mp? ,03fuzz fl0ppi"];

for (const mechanism of ["PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5"])
  test(`swaks: ${mechanism} under TLS relays; a wrong password is 535`, { skip }, () => {
    const good = swaks("-tls", "-a", mechanism, ...AUTH);
    assert.match(good, /235 2\.0\.0 OK Authenticated/);
    assert.match(good, /250 2\.1\.5/);
    assert.match(
      swaks("-tls", "-a", mechanism, "-au", "maildroid", "-ap", "wrong"),
      /535 5\.7\.0 authentication failed/,
    );
  });

for (const mechanism of ["PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"])
  test(`gsasl: ${mechanism} under TLS, certificate verified`, { skip }, () => {
    const done = run("gsasl", [
      "--smtp",
      "--connect",
      `127.0.0.1:${port}`,
      "-m",
      mechanism,
      "-a",
      "maildroid",
      "-z",
      "",
      "-p",
      "Ch1mp? ,03fuzz fl0ppi",
      "--no-cb",
      "--quality-of-protection=qop-auth",
      "--hostname=dmzmail.polkatistas.org",
      "-r",
      "dmzmail.polkatistas.org",
      `--x509-ca-file=${join(certs, "ca/cacert.pem")}`,
    ]);
    assert.match(done.out, /Client authentication finished \(server trusted\)/, done.out);
  });

test("without TLS nothing that shows the password is offered, and not taken either", { skip }, () => {
  const seen = swaks("-a", "PLAIN", ...AUTH);
  assert.match(seen, /AUTH SCRAM-SHA-256 SCRAM-SHA-1 DIGEST-MD5 CRAM-MD5\r?\n/);
  assert.doesNotMatch(seen, /235/);
  assert.match(swaks("-a", "CRAM-MD5", ...AUTH), /235 2\.0\.0/);
});

test("a stranger may not relay; a user made while the gateway runs may at once; a deleted one may not", {
  skip,
}, () => {
  assert.match(swaks("-tls"), /550 5\.7\.1/);
  const late = ["-tls", "-a", "DIGEST-MD5", "-au", "late", "-ap", "comer"];
  assert.match(swaks(...late), /535/);
  postern(["saslpasswd", "-p", "-C", mail, "late"], "comer\n");
  assert.match(swaks(...late), /235[\s\S]*250 2\.1\.5/);
  postern(["saslpasswd", "-d", "-C", mail, "late"]);
  assert.match(swaks(...late), /535/);
});

/** A session under TLS with a client certificate; `ask` sends a line and gives the last line of the reply. */
async function certified(name: string): Promise<{ ask(line: string): Promise<string>; end(): void }> {
  const plain = connect({ port, host: "127.0.0.1", localAddress: "127.0.0.2" });
  let socket: Socket = plain;
  const reply = (): Promise<string> =>
    new Promise((resolve, reject) => {
      let text = "";
      const take = (chunk: Buffer): void => {
        text += chunk.toString("latin1");
        const last = text.trimEnd().split("\r\n").at(-1) ?? "";
        if (!text.endsWith("\r\n") || !/^\d{3}( |$)/.test(last)) return;
        socket.off("data", take);
        resolve(last);
      };
      socket.on("data", take);
      socket.once("error", reject);
      socket.setTimeout(10_000, () => reject(new Error(`no reply: ${text}`)));
    });
  const ask = (line: string): Promise<string> => {
    const answer = reply();
    socket.write(`${line}\r\n`);
    return answer;
  };
  await reply();
  await ask("EHLO client.test");
  await ask("STARTTLS");
  plain.removeAllListeners("data");
  const key = readFileSync(join(certs, `${name}.key`));
  const cert = readFileSync(join(certs, `${name}.pem`));
  const secure = tlsConnect({ socket: plain, key, cert, rejectUnauthorized: false });
  await new Promise((resolve, reject) => secure.once("secureConnect", resolve).once("error", reject));
  socket = secure;
  await ask("EHLO client.test");
  return { ask, end: () => secure.destroy() };
}

test("a client certificate relays (CERTIssuer) until it is revoked, also in a session that is open", {
  skip,
}, async () => {
  const shown = [
    "-tls",
    "--tls-cert",
    join(certs, "mick@example.org.pem"),
    "--tls-key",
    join(certs, "mick@example.org.key"),
  ];
  const before = swaks(...shown);
  assert.match(before, /AUTH EXTERNAL/);
  assert.match(before, /250 2\.1\.5/);
  const open = await certified("mick@example.org");
  assert.match(await open.ask("AUTH EXTERNAL ="), /^235/);
  assert.match(await open.ask("MAIL FROM:<a@b.example>"), /^250/);
  assert.match(await open.ask("RCPT TO:<c@d.example>"), /^250/);
  postern(["cert", "ca", "revoke", "mick@example.org", "--dir", join(certs, "ca")]);
  assert.match(await open.ask("RCPT TO:<e@d.example>"), /^550 5\.7\.1/);
  open.end();
  const after = swaks(...shown);
  assert.doesNotMatch(after, /AUTH EXTERNAL/);
  assert.match(after, /550 5\.7\.1/);
});

test("openssl s_client verifies chain and name", { skip }, () => {
  const done = run(
    "openssl",
    [
      "s_client",
      "-connect",
      `127.0.0.1:${port}`,
      "-starttls",
      "smtp",
      "-CAfile",
      join(certs, "ca/cacert.pem"),
      "-verify_return_error",
      "-verify_hostname",
      "dmzmail.polkatistas.org",
      "-brief",
    ],
    "QUIT\r\n",
  );
  assert.match(done.out, /Verification: OK/);
});
