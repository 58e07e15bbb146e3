// Certificates made by openssl(1) for the TLS tests: an authority, a server, clients good and bad. Each call in a fresh folder.
import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export function openssl(args: readonly string[], input?: string): string {
  return execFileSync("openssl", [...args], {
    encoding: "utf8",
    stdio: ["pipe", "pipe", "pipe"],
    timeout: 60_000,
    ...(input === undefined ? {} : { input }),
  });
}

export interface Pki {
  readonly dir: string;
  path(name: string): string;
  read(name: string): Buffer;
  /** Makes `name.crt` and `name.key`, signed by the authority. */
  issue(name: string, subject: string, extra?: readonly string[], alt?: string): void;
  /** Revokes `name` and writes crl.pem. */
  revoke(name: string): void;
  crl(): void;
  remove(): void;
}

export function makePki(): Pki {
  const dir = mkdtempSync(join(tmpdir(), "postern-tls-"));
  const path = (name: string): string => join(dir, name);
  writeFileSync(path("index.txt"), "");
  writeFileSync(path("serial"), "1000\n");
  writeFileSync(path("crlnumber"), "01\n");
  writeFileSync(
    path("ca.cnf"),
    `[ca]\ndefault_ca=d\n[d]\ndir=${dir}\ndatabase=${dir}/index.txt\nnew_certs_dir=${dir}\nserial=${dir}/serial\ncrlnumber=${dir}/crlnumber\ncertificate=${dir}/ca.crt\nprivate_key=${dir}/ca.key\ndefault_md=sha256\ndefault_days=30\ndefault_crl_days=30\npolicy=p\nunique_subject=no\ncopy_extensions=copy\n[p]\ncountryName=optional\nstateOrProvinceName=optional\norganizationName=optional\ncommonName=optional\n`,
  );
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  openssl([
    "req",
    "-x509",
    ...key,
    "-keyout",
    path("ca.key"),
    "-out",
    path("ca.crt"),
    "-days",
    "30",
    "-subj",
    "/C=US/O=polkatistas/CN=Test CA",
  ]);
  const crl = (): void => {
    openssl(["ca", "-config", path("ca.cnf"), "-gencrl", "-out", path("crl.pem")]);
  };
  return {
    dir,
    path,
    read: (name) => readFileSync(path(name)),
    issue(name, subject, extra = [], alt = "DNS:localhost,IP:127.0.0.1") {
      openssl([
        "req",
        "-new",
        ...key,
        "-keyout",
        path(`${name}.key`),
        "-out",
        path(`${name}.csr`),
        "-subj",
        subject,
        "-addext",
        `subjectAltName=${alt}`,
      ]);
      openssl([
        "ca",
        "-batch",
        "-notext",
        "-config",
        path("ca.cnf"),
        "-in",
        path(`${name}.csr`),
        "-out",
        path(`${name}.crt`),
        ...extra,
      ]);
      chmodSync(path(`${name}.key`), 0o600);
    },
    revoke(name) {
      openssl(["ca", "-config", path("ca.cnf"), "-revoke", path(`${name}.crt`)]);
      crl();
    },
    crl,
    remove: () => rmSync(dir, { recursive: true, force: true }),
  };
}
