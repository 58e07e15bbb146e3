import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { expiryWarnings } from "../../../src/tls/expiry.ts";

// Everything our authority makes is judged by openssl(1).
const MAIN = new URL("../../../src/main.ts", import.meta.url).pathname;
const dir = mkdtempSync(join(tmpdir(), "postern-ca-"));
const ca = join(dir, "ca");
const out = join(dir, "certs");
const file = (name: string): string => join(out, name);
after(() => rmSync(dir, { recursive: true, force: true }));

interface Done {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}
function run(program: string, args: readonly string[], input = ""): Done {
  const done = spawnSync(program, [...args], { input, encoding: "utf8", timeout: 60_000 });
  return { status: done.status, out: done.stdout, err: done.stderr };
}
/** postern cert ca ...; --out only where the command writes beside the configuration. */
function cert(args: readonly string[], input = ""): Done {
  const beside = ["issue", "csr", "renew"].includes(args[0] ?? "") ? ["--out", out] : [];
  return run(process.execPath, [MAIN, "cert", "ca", ...args, "--dir", ca, ...beside], input);
}
const openssl = (...args: string[]): Done => run("openssl", args);
function good(done: Done): string {
  assert.equal(done.status, 0, done.err + done.out);
  return done.out;
}

before(() => {
  good(cert(["init", "--name", "Käserei CA", "--org", "Polkatistas GmbH", "--country", "DE"]));
  good(cert(["issue", "mail.example.org", "--alt", "IP:127.0.0.1", "--alt", "IP:::1", "--alt", "localhost"]));
  good(cert(["issue", "mick@example.org"]));
});

test("openssl verify accepts server and client certificates, for their purposes only", () => {
  const verify = (name: string, purpose: string): number | null =>
    openssl("verify", "-x509_strict", "-CAfile", join(ca, "cacert.pem"), "-purpose", purpose, file(name))
      .status;
  assert.equal(verify("mail.example.org.pem", "sslserver"), 0);
  assert.equal(verify("mail.example.org.pem", "sslclient"), 0);
  assert.equal(verify("mick@example.org.pem", "sslclient"), 0);
  assert.notEqual(verify("mick@example.org.pem", "sslserver"), 0);
  assert.equal(
    openssl("verify", "-x509_strict", "-CAfile", join(ca, "cacert.pem"), join(ca, "cacert.pem")).status,
    0,
  );
});

test("names are where programs look for them", () => {
  const text = good(
    openssl(
      "x509",
      "-in",
      file("mail.example.org.pem"),
      "-noout",
      "-ext",
      "subjectAltName",
      "-subject",
      "-issuer",
    ),
  );
  assert.match(
    text,
    /DNS:mail\.example\.org, IP Address:127\.0\.0\.1, IP Address:0:0:0:0:0:0:0:1, DNS:localhost/,
  );
  assert.match(text, /issuer=C = DE, O = Polkatistas GmbH, CN = K\\C3\\A4serei CA/);
  assert.match(
    good(openssl("x509", "-in", file("mick@example.org.pem"), "-noout", "-ext", "subjectAltName")),
    /email:mick@example\.org/,
  );
  assert.match(
    good(openssl("x509", "-in", file("mail.example.org.pem"), "-noout", "-checkhost", "mail.example.org")),
    /does match/,
  );
});

test("keys are 0600 and fit their certificates", () => {
  assert.equal(statSync(join(ca, "cakey.pem")).mode & 0o777, 0o600);
  assert.equal(statSync(file("mail.example.org.key")).mode & 0o777, 0o600);
  assert.equal(
    good(openssl("pkey", "-in", file("mail.example.org.key"), "-pubout")),
    good(openssl("x509", "-in", file("mail.example.org.pem"), "-noout", "-pubkey")),
  );
});

test("nothing is overwritten: authority, key, certificate", () => {
  const before = readFileSync(join(ca, "cakey.pem"), "utf8");
  assert.match(cert(["init"]).err, /never overwritten/);
  assert.equal(readFileSync(join(ca, "cakey.pem"), "utf8"), before);
  assert.match(cert(["issue", "mail.example.org"]).err, /is there/);
});

test("a request of openssl is signed; only its key, common name and alternative names are taken", () => {
  good(
    openssl(
      "req",
      "-new",
      "-newkey",
      "rsa:2048",
      "-nodes",
      "-keyout",
      join(dir, "r.key"),
      "-out",
      join(dir, "r.csr"),
      "-subj",
      "/O=Evil/OU=x/CN=relay.example.org",
      "-addext",
      "subjectAltName=DNS:relay.example.org,DNS:www.example.org,IP:192.0.2.7",
      "-addext",
      "basicConstraints=critical,CA:TRUE",
      "-addext",
      "keyUsage=keyCertSign",
    ),
  );
  good(cert(["sign", join(dir, "r.csr")]));
  const made = join(dir, "r.crt");
  good(openssl("verify", "-CAfile", join(ca, "cacert.pem"), made));
  const text = good(openssl("x509", "-in", made, "-noout", "-text"));
  assert.match(text, /Subject: C = DE, O = Polkatistas GmbH, CN = relay\.example\.org/);
  assert.match(text, /DNS:relay\.example\.org, DNS:www\.example\.org, IP Address:192\.0\.2\.7/);
  assert.match(text, /CA:FALSE/);
  assert.doesNotMatch(text, /Certificate Sign|Evil/);
});

test("our own request is one for openssl", () => {
  good(cert(["csr", "other.example.org", "--org", "Örg", "--alt", "DNS:alias.example.org"]));
  const text = good(openssl("req", "-in", file("other.example.org.csr"), "-noout", "-verify", "-text"));
  assert.match(text, /CN = other\.example\.org/);
  assert.match(text, /DNS:other\.example\.org, DNS:alias\.example\.org/);
  good(cert(["sign", file("other.example.org.csr")]));
});

const BAD_REQUESTS: readonly { name: string; make: () => string; err: RegExp }[] = [
  {
    name: "an EC key",
    make: () =>
      good(
        openssl(
          "req",
          "-new",
          "-newkey",
          "ec",
          "-pkeyopt",
          "ec_paramgen_curve:prime256v1",
          "-nodes",
          "-keyout",
          join(dir, "x.key"),
          "-subj",
          "/CN=ec.example.org",
        ),
      ),
    err: /RSA/,
  },
  {
    name: "an RSA key of 1024 bits",
    make: () =>
      good(
        openssl(
          "req",
          "-new",
          "-newkey",
          "rsa:1024",
          "-nodes",
          "-keyout",
          join(dir, "x.key"),
          "-subj",
          "/CN=weak.example.org",
        ),
      ),
    err: /2048/,
  },
  {
    name: "a changed request",
    make: () => {
      const pem = readFileSync(join(dir, "r.csr"), "utf8");
      const der = Buffer.from(pem.replace(/-----[^-]+-----/g, ""), "base64");
      const at = der.indexOf("relay.example.org");
      der.write("evil!", at, "latin1");
      return `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString("base64")}\n-----END CERTIFICATE REQUEST-----\n`;
    },
    err: /signature of the request is wrong/,
  },
  {
    name: "a request cut short",
    make: () => "-----BEGIN CERTIFICATE REQUEST-----\nMIIC\n-----END CERTIFICATE REQUEST-----\n",
    err: /malformed/,
  },
  { name: "no request", make: () => "hello", err: /no certificate request/ },
  {
    name: "a common name that climbs out of the folder",
    make: () =>
      good(
        openssl(
          "req",
          "-new",
          "-newkey",
          "rsa:2048",
          "-nodes",
          "-keyout",
          join(dir, "x.key"),
          "-subj",
          "/CN=..\\/..\\/etc\\/x",
        ),
      ),
    err: /no slash/,
  },
];
for (const bad of BAD_REQUESTS)
  test(`sign refuses ${bad.name}`, () => {
    writeFileSync(join(dir, "bad.csr"), bad.make());
    const done = cert(["sign", join(dir, "bad.csr")]);
    assert.equal(done.status, 70);
    assert.match(done.err, bad.err);
    assert.equal(existsSync(join(dir, "bad.crt")), false);
  });

test("revoke: openssl then refuses with the list, and says why; others stay good", () => {
  good(cert(["issue", "lost.example.org"]));
  const verify = (name: string): Done =>
    openssl(
      "verify",
      "-crl_check",
      "-CAfile",
      join(ca, "cacert.pem"),
      "-CRLfile",
      join(ca, "crl.pem"),
      file(name),
    );
  good(verify("lost.example.org.pem"));
  good(cert(["revoke", "lost.example.org", "--reason", "keyCompromise"]));
  const refused = verify("lost.example.org.pem");
  assert.notEqual(refused.status, 0);
  assert.match(refused.err, /certificate revoked/);
  good(verify("mail.example.org.pem"));
  const text = good(openssl("crl", "-in", join(ca, "crl.pem"), "-noout", "-text"));
  assert.match(text, /Version 2/);
  assert.match(text, /Key Compromise/);
  assert.match(text, /X509v3 CRL Number:\s+2\b/);
  assert.match(
    openssl("crl", "-in", join(ca, "crl.pem"), "-CAfile", join(ca, "cacert.pem"), "-noout").err,
    /verify OK/,
  );
  assert.match(cert(["revoke", "lost.example.org"]).err, /no valid certificate/);
  assert.equal(cert(["revoke", "mail.example.org", "--reason", "whim"]).status, 70);
  good(cert(["crl", "--days", "7"]));
  assert.match(good(openssl("crl", "-in", join(ca, "crl.pem"), "-noout", "-crlnumber")), /0x0?3/);
});

test("renew keeps key and names, and has a serial number of its own", () => {
  const before = good(
    openssl("x509", "-in", file("mail.example.org.pem"), "-noout", "-pubkey", "-ext", "subjectAltName"),
  );
  const serial = good(openssl("x509", "-in", file("mail.example.org.pem"), "-noout", "-serial"));
  good(cert(["renew", "mail.example.org", "--days", "100"]));
  assert.equal(
    good(openssl("x509", "-in", file("mail.example.org.pem"), "-noout", "-pubkey", "-ext", "subjectAltName")),
    before,
  );
  assert.notEqual(good(openssl("x509", "-in", file("mail.example.org.pem"), "-noout", "-serial")), serial);
  good(openssl("verify", "-CAfile", join(ca, "cacert.pem"), file("mail.example.org.pem")));
});

for (const legacy of [false, true])
  test(`export${legacy ? " --legacy" : ""} makes a PKCS#12 file that openssl opens with the password only`, () => {
    const target = join(dir, legacy ? "old.p12" : "new.p12");
    good(
      cert(
        [
          "export",
          "mick@example.org",
          "--out",
          target,
          "--key",
          file("mick@example.org.key"),
          ...(legacy ? ["--legacy"] : []),
        ],
        "geheim\ngeheim\n",
      ),
    );
    const made = openssl("pkcs12", "-in", target, "-passin", "pass:geheim", "-nodes");
    assert.equal((good(made).match(/BEGIN CERTIFICATE/g) ?? []).length, 2);
    assert.match(made.out, /BEGIN PRIVATE KEY/);
    assert.notEqual(openssl("pkcs12", "-in", target, "-passin", "pass:falsch", "-nodes").status, 0);
    assert.equal(statSync(target).mode & 0o777, 0o600);
  });

test("show lists what was issued, also as JSON", () => {
  const text = good(cert(["show"]));
  assert.match(text, /server {2}until \d{4}-\d\d-\d\d {2}valid {2}mail\.example\.org/);
  assert.match(text, /revoked \d{4}-\d\d-\d\d \(keyCompromise\) {2}lost\.example\.org/);
  const json: unknown = JSON.parse(good(cert(["show", "--json"])));
  assert.ok(Array.isArray(json) && json.length >= 5);
});

test("an authority whose key others can read issues nothing", () => {
  chmodSync(join(ca, "cakey.pem"), 0o640);
  const done = cert(["issue", "later.example.org"]);
  chmodSync(join(ca, "cakey.pem"), 0o600);
  assert.equal(done.status, 70);
  assert.match(done.err, /cakey\.pem unsafe: Group readable file/);
});

for (const [args, expected] of [
  [["issue", "../x"], /no slash/],
  [["issue", "a\nb"], /control/],
  [["issue", "x".repeat(65)], /64/],
  [["issue", "ok.example.org", "--alt", "DNS:a b"], /not a DNS name/],
  [["issue", "ok.example.org", "--alt", "IP:1.2.3"], /not a DNS name/],
  [["issue", "ok.example.org", "--days", "0"], /days/],
  [["issue", "ok.example.org", "--bits", "512"], /bits/],
  [["frobnicate"], /no command/],
  [["issue"], /takes one name/],
  [["issue", "x", "--what"], /unknown option/],
] as const)
  test(`refused: ${JSON.stringify(args).slice(0, 50)}`, () => {
    const done = cert([...args]);
    assert.ok(done.status === 70 || done.status === 64);
    assert.match(done.err, expected);
  });

test("warnings: soon, ended, not yet, none on an untrusted clock", () => {
  const path = file("mail.example.org.pem");
  const day = 86_400_000;
  const now = Date.now();
  const say = (ms: number, trusted = true): string =>
    expiryWarnings([path, path, ""], { ms, trusted }).join("|");
  assert.equal(say(now), "");
  assert.match(say(now + 80 * day), /expires on \d{4}-\d\d-\d\d, in 1[89] days$/);
  assert.match(say(now + 101 * day), /expired on/);
  assert.match(say(0), /is not valid before/);
  assert.equal(say(0, false), "");
});
