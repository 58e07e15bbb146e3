import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

const MAIN = new URL("../../../src/main.ts", import.meta.url).pathname;
const dir = mkdtempSync(join(tmpdir(), "postern-check-"));
after(() => rmSync(dir, { recursive: true, force: true }));

function postern(...args: string[]): { status: number | null; out: string } {
  const done = spawnSync(process.execPath, [MAIN, ...args], { encoding: "utf8", timeout: 60_000 });
  return { status: done.status, out: done.stdout + done.stderr };
}

const CASES: readonly { name: string; mc: string; conf: string; status: number; says: RegExp | null }[] = [
  {
    name: "pwcheck_method kerberos_v4 is an error with its line",
    mc: "",
    conf: "# x\npwcheck_method: kerberos_v4\n",
    status: 78,
    says: /Sendmail\.conf:2:1: pwcheck_method kerberos_v4: Kerberos is not part of Postern/,
  },
  {
    name: "LDAP is refused by name",
    mc: "",
    conf: "auxprop_plugin: ldapdb\n",
    status: 78,
    says: /Sendmail\.conf:1:1: .*LDAP/,
  },
  {
    name: "GSSAPI in a list is a warning",
    mc: "define(`confAUTH_MECHANISMS', `GSSAPI KERBEROS_V4 CRAM-MD5')dnl\n",
    conf: "",
    status: 0,
    says: /warning: confAUTH_MECHANISMS: GSSAPI .*left out/,
  },
  {
    name: "a misspelt mechanism is a warning",
    mc: "TRUST_AUTH_MECH(`CRAMMD5')dnl\n",
    conf: "",
    status: 0,
    says: /warning: TRUST_AUTH_MECH: CRAMMD5 .*left out/,
  },
  {
    name: "a key that others can read is a warning in Sendmail's words",
    mc: "define(`confSERVER_CERT', `/etc/mail/certs/h.pem')dnl\ndefine(`confSERVER_KEY', `/etc/mail/certs/h.key')dnl\n",
    conf: "",
    status: 0,
    says: /warning: STARTTLS=server: file \S+\/certs\/h\.key unsafe: Group readable file/,
  },
  {
    name: "the chapter's files are fine",
    mc: "TRUST_AUTH_MECH(`CRAM-MD5 DIGEST-MD5 LOGIN PLAIN')dnl\ndefine(`confAUTH_MECHANISMS', `CRAM-MD5 DIGEST-MD5 LOGIN PLAIN')dnl\n",
    conf: "pwcheck_method: pam\n",
    status: 0,
    says: null,
  },
];
for (const [i, c] of CASES.entries())
  test(`check: ${c.name}`, () => {
    const mail = join(dir, String(i));
    mkdirSync(mail);
    if (c.mc.includes("certs")) {
      const certs = join(mail, "certs");
      postern("cert", "ca", "init", "--dir", join(certs, "ca"));
      postern("cert", "ca", "issue", "h", "--dir", join(certs, "ca"), "--out", certs);
      chmodSync(join(certs, "h.key"), 0o640);
    }
    writeFileSync(join(mail, "sendmail.mc"), `OSTYPE(\`linux')dnl\n${c.mc}MAILER(\`smtp')dnl\n`);
    if (c.conf !== "") writeFileSync(join(mail, "Sendmail.conf"), c.conf);
    const done = postern("check", mail);
    assert.equal(done.status, c.status, done.out);
    if (c.says === null) assert.doesNotMatch(done.out, /AUTH|STARTTLS|Sendmail\.conf/);
    else assert.match(done.out, c.says);
  });
