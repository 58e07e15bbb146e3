// REQUIRETLS (RFC 8689): offered under TLS when it is configured, kept only by a next hop whose name we were given, whose certificate
// verifies for that name and that promises the same; otherwise the message comes back and was never shown to anybody.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type Peer, startPeer } from "./deliver/peer.ts";
import { freePort, Gateway, Sink, until } from "./gateway.ts";
import { Session } from "./session.ts";

const HOST = "mail.polkatistas.org";
const gateway = new Gateway("requiretls");
const sink = new Sink();
const hops = new Map<string, Peer>();
const certs = join(gateway.config, "certs");

async function issue(folder: string, ...words: string[]): Promise<void> {
  const made = await gateway.run("cert", ["ca", ...words, "--dir", join(gateway.folder, folder)]);
  assert.equal(made.status, 0, made.err);
}

const pair = (folder: string): { key: string; cert: string } => ({
  key: readFileSync(join(folder, `${HOST}.key`), "utf8"),
  cert: readFileSync(join(folder, `${HOST}.pem`), "utf8"),
});

before(async () => {
  await sink.start();
  mkdirSync(certs);
  const other = join(gateway.folder, "other");
  const elsewhere = join(gateway.folder, "elsewhere");
  await issue("ca", "init");
  await issue("ca", "issue", HOST, "--alt", "IP:127.0.0.1", "--out", certs);
  await issue("ca", "issue", HOST, "--out", elsewhere);
  await issue("otherca", "init", "--name", "Nobody");
  await issue("otherca", "issue", HOST, "--alt", "IP:127.0.0.1", "--out", other);
  const promise = ["STARTTLS", "REQUIRETLS", "8BITMIME"];
  hops.set("good", await startPeer({ extensions: promise, tls: pair(certs) }));
  hops.set("silent", await startPeer({ extensions: ["STARTTLS", "8BITMIME"], tls: pair(certs) }));
  hops.set("plain", await startPeer({ extensions: ["REQUIRETLS", "8BITMIME"] }));
  hops.set("unknown", await startPeer({ extensions: promise, tls: pair(other) }));
  hops.set("misnamed", await startPeer({ extensions: promise, tls: pair(elsewhere) }));
  gateway.port = await freePort();
  gateway.write({
    "sendmail.mc": `OSTYPE(\`linux')dnl
define(\`confDOMAIN_NAME', \`${HOST}')dnl
define(\`confREQUIRETLS', \`True')dnl
define(\`CERT_DIR', \`/etc/mail/certs')dnl
define(\`confCACERT', \`CERT_DIR/cacert.pem')dnl
define(\`confSERVER_CERT', \`CERT_DIR/${HOST}.pem')dnl
define(\`confSERVER_KEY', \`CERT_DIR/${HOST}.key')dnl
define(\`confCLIENT_CERT', \`CERT_DIR/${HOST}.pem')dnl
define(\`confCLIENT_KEY', \`CERT_DIR/${HOST}.key')dnl
FEATURE(\`mailertable')dnl
FEATURE(\`nocanonify')dnl
FEATURE(\`accept_unresolvable_domains')dnl
FEATURE(\`no_default_msa')dnl
DAEMON_OPTIONS(\`Name=MTA, Addr=127.0.0.1, Port=${gateway.port}')dnl
MAILER(\`smtp')dnl
`,
    mailertable: `${[...hops].map(([name, hop]) => `${name}.example\tesmtp:[127.0.0.1]:${hop.port}\n`).join("")}.\tsmtp:[127.0.0.1]:${sink.port}\n`,
    "certs/cacert.pem": readFileSync(join(gateway.folder, "ca/cacert.pem"), "utf8"),
  });
  await gateway.start();
});

after(async () => {
  await gateway.remove();
  await sink.stop();
  for (const hop of hops.values()) await hop.close();
});

async function submit(domain: string, parameter: string): Promise<void> {
  const s = Session.open({ port: gateway.port, from: "127.0.0.1" });
  try {
    assert.match(await s.startTls(), /^250[- ]REQUIRETLS$/m);
    for (const line of [`MAIL FROM:<joe@example.com>${parameter}`, `RCPT TO:<bob@${domain}.example>`])
      assert.match(await s.say(line), /^250/, line);
    await s.say("DATA");
    assert.match(await s.say(`Subject: ${domain}\r\n\r\nhello\r\n.`), /^250/);
  } finally {
    s.close();
  }
}

const BOUNCED = [
  { domain: "silent", status: "5.7.30" },
  { domain: "plain", status: "5.7.10" },
  { domain: "unknown", status: "5.7.10" },
  { domain: "misnamed", status: "5.7.10" },
] as const;

describe("REQUIRETLS", () => {
  it("is not offered in the open, and not taken there", async () => {
    const s = Session.open({ port: gateway.port, from: "127.0.0.1" });
    await s.reply();
    assert.doesNotMatch(await s.say("EHLO client.test"), /REQUIRETLS/);
    assert.match(await s.say("MAIL FROM:<joe@example.com> REQUIRETLS"), /^555 5\.5\.4/);
    s.close();
  });

  it("goes on to a next hop that verifies and promises it", async () => {
    await submit("good", " REQUIRETLS");
    const good = hops.get("good");
    await until("the message", 20, () => good?.seen.messages.length === 1);
    assert.ok(good?.seen.commands.some((line) => /^MAIL From:<.*> .*REQUIRETLS/.test(line)));
  });

  for (const { domain, status } of BOUNCED)
    it(`comes back with ${status} from the hop that is ${domain}`, async () => {
      await submit(domain, " REQUIRETLS");
      const bounce = await until("the bounce", 20, () =>
        sink.received.find((r) => r.data.includes(`bob@${domain}.example`)),
      );
      assert.match(bounce.mail, /^MAIL From:<>/i);
      assert.match(bounce.data, new RegExp(`Status: ${status.replaceAll(".", "\\.")}`), bounce.data);
      assert.equal(hops.get(domain)?.seen.messages.length, 0);
      assert.ok(!hops.get(domain)?.seen.commands.some((line) => line.startsWith("MAIL")));
    });

  it("without it the same hops get their mail", async () => {
    for (const { domain } of BOUNCED) {
      await submit(domain, "");
      await until("the message", 20, () => hops.get(domain)?.seen.messages.length === 1);
    }
  });
});
