// Sendmail 8.17 (Debian's package with its SASL library, in an overlay of the root file system) and Postern authenticate to each
// other, both ways, with CRAM-MD5 and DIGEST-MD5 and the files of the book's Examples 9-10 to 9-17. Needs root and overlayfs.

import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { chownSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { compileMc, inside, overlay, type Release, sendmailMc, takeSendmail } from "./debiansendmail.ts";
import { freePort, Gateway, Sink, until } from "./gateway.ts";

const USER = "maildroid";
const SECRET = "iaintgottapanic";
const HOST = "mail.polkatistas.org";
const PEER = "hub.polkatistas.org";
const NAME = "flow";
const MECHANISMS = ["CRAM-MD5", "DIGEST-MD5"] as const;
const MESSAGE = (subject: string): string =>
  `From: joe@${HOST}\r\nTo: bob@elsewhere.example\r\nSubject: ${subject}\r\n\r\nhello\r\n`;

const root = process.getuid?.() === 0;
const sink = new Sink();
const gateway = new Gateway("sendmail");
let why = root ? "" : "needs root";
let release: Release | null = null;
let peerPort = 0;
let daemon: ChildProcess | null = null;

/** `more`: what the two configurations of Sendmail do not have in common. */
function compile(name: string, more: string): string {
  const common = `define(\`confDONT_BLAME_SENDMAIL', \`GroupWritableDirPathSafe,GroupReadableKeyFile,GroupReadableSASLDBFile')dnl
define(\`confAUTH_MECHANISMS', \`CRAM-MD5 DIGEST-MD5')dnl
`;
  return compileMc(NAME, name, sendmailMc(NAME, PEER, common + more));
}

function posternMc(port: number, mechanisms: string): string {
  return `include(\`/usr/share/sendmail-cf/m4/cf.m4')
OSTYPE(\`linux')
define(\`confDOMAIN_NAME', \`${HOST}')dnl
define(\`confAUTH_MECHANISMS', \`${mechanisms}')dnl
TRUST_AUTH_MECH(\`${mechanisms}')dnl
define(\`ESMTP_MAILER_ARGS', \`TCP $h ${peerPort}')dnl
FEATURE(\`access_db',\`hash -T<TMPF> -o /etc/mail/access.db')dnl
FEATURE(\`mailertable',\`hash -o /etc/mail/mailertable.db')dnl
FEATURE(\`nocanonify')dnl
FEATURE(\`accept_unresolvable_domains')dnl
FEATURE(\`no_default_msa')dnl
DAEMON_OPTIONS(\`Name=MTA, Family=inet, Addr=127.0.0.1, Port=${port}, M=')dnl
MAILER(smtp)dnl
`;
}

/** Credentials for the host on 127.0.0.1, one mechanism. */
function authInfo(realm: string, mechanism: string): string {
  return `AuthInfo:127.0.0.1\t"U:${USER}" "I:${USER}" "P:${SECRET}" "R:${realm}" "M:${mechanism}"\n`;
}

/** Somebody answers on this port. */
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
    return await until(`the message "${subject}"`, 15, found);
  } catch (e) {
    throw new Error(`${String(e)}\n${gateway.output}`);
  }
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
  peerPort = await freePort();
  // Example 9-10: Sendmail.conf; Example 9-11: saslpasswd.
  for (const folder of ["etc/sasl2", "usr/lib/sasl2", "etc/mail/sasl"])
    overlay.write(
      `${folder}/Sendmail.conf`,
      "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: CRAM-MD5 DIGEST-MD5\n",
    );
  rmSync(join(overlay.root, "etc/sasldb2"), { force: true });
  inside(["saslpasswd2", "-p", "-c", "-u", PEER, "-a", "Sendmail", USER], SECRET);
  execFileSync("chmod", ["600", join(overlay.root, "etc/sasldb2")]);
  execFileSync("chown", ["root:root", join(overlay.root, "etc/sasldb2")]);
  const server = compile(
    "server",
    `define(\`SMART_HOST', \`relay:[127.0.0.1]')dnl
define(\`RELAY_MAILER_ARGS', \`TCP $h ${sink.port}')dnl
TRUST_AUTH_MECH(\`CRAM-MD5 DIGEST-MD5')dnl
DAEMON_OPTIONS(\`Name=MTA, Family=inet, Addr=127.0.0.1, Port=${peerPort}, M=a')dnl
`,
  );
  const [command = "", ...args] = overlay.inside("/usr/sbin/sendmail-mta", `-C${server}`, "-bD");
  daemon = spawn(command, args, { stdio: "ignore" });
  await until("Sendmail listens", 30, () => answers(peerPort));
  gateway.write({
    "sendmail.mc": posternMc(gateway.port, "CRAM-MD5 DIGEST-MD5"),
    mailertable: `elsewhere.example\tesmtp:[127.0.0.1]\nsink.example\tsmtp:[127.0.0.1]:${sink.port}\n`,
    access: "",
  });
  const made = await gateway.run(
    "saslpasswd2",
    ["-C", gateway.config, "-p", "-c", "-u", HOST, USER],
    `${SECRET}\n`,
  );
  assert.equal(made.status, 0, made.err);
});

afterEach(async () => {
  await gateway.stop();
});

after(async () => {
  await gateway.remove();
  if (daemon !== null) {
    daemon.kill("SIGTERM");
    await until("Sendmail ends", 15, () => daemon?.exitCode !== null || daemon.signalCode !== null);
  }
  if (root && why === "") {
    await sink.stop();
    release?.();
  }
});

describe("Sendmail 8.17 and Postern", () => {
  for (const mechanism of MECHANISMS)
    it(`Postern authenticates to Sendmail with ${mechanism}`, async (t) => {
      if (why !== "") return t.skip(why);
      // Example 9-16: the credentials for the hub.
      gateway.write(
        {
          access: authInfo(PEER, mechanism),
        },
        ["access"],
      );
      // Secrets are 0600 and belong to the daemon's user.
      chownSync(join(gateway.config, "access"), 8, 12);
      await gateway.start();
      const subject = `to-sendmail-${mechanism}`;
      const ran = await gateway.run(
        "sendmail",
        [...gateway.options(), "-f", `joe@${HOST}`, "bob@elsewhere.example"],
        MESSAGE(subject).replaceAll("\r\n", "\n"),
      );
      assert.equal(ran.status, 0, ran.err);
      const data = await arrived(subject);
      assert.match(data, new RegExp(`by ${PEER.replaceAll(".", "\\.")} [^]*with ESMTPA id`), data);
      assert.match(data, /\(authenticated bits=0\)/);
      return undefined;
    });

  for (const mechanism of MECHANISMS)
    it(`Sendmail authenticates to Postern with ${mechanism}`, async (t) => {
      if (why !== "") return t.skip(why);
      gateway.write({
        "sendmail.mc": posternMc(gateway.port, "CRAM-MD5 DIGEST-MD5"),
        mailertable: `.\tsmtp:[127.0.0.1]:${sink.port}\n`,
        access: "",
      });
      await gateway.start();
      const client = compile(
        `client-${mechanism}`,
        `define(\`SMART_HOST', \`relay:[127.0.0.1]')dnl
define(\`RELAY_MAILER_ARGS', \`TCP $h ${gateway.port}')dnl
FEATURE(\`authinfo', \`hash /flow/authinfo')dnl
`,
      );
      inside(
        ["/usr/libexec/sendmail/makemap", "-C", client, "hash", "/flow/authinfo"],
        authInfo(HOST, mechanism),
      );
      execFileSync("chmod", ["600", join(overlay.root, "flow/authinfo.db")]);
      const subject = `from-sendmail-${mechanism}`;
      inside(
        ["/usr/sbin/sendmail-mta", `-C${client}`, "-odi", "-f", `joe@${PEER}`, "bob@elsewhere.example"],
        MESSAGE(subject).replaceAll("\r\n", "\n"),
      );
      const data = await arrived(subject);
      assert.match(data, new RegExp(`by ${HOST.replaceAll(".", "\\.")} [^]*with ESMTPA id`), data);
      assert.match(
        gateway.output,
        new RegExp(`AUTH=server, relay=\\S+ \\S+, authid=${USER}\\S*, mech=${mechanism}`),
      );
      return undefined;
    });
});
