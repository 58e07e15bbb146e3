// Which certificate files are trusted for what, and which stay known when they cannot be read any more.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { defaultOptions } from "../../../src/config/options.ts";
import type { KnownFiles } from "../../../src/tls/material.ts";
import { loadServerTls } from "../../../src/tls/server.ts";

const folder = mkdtempSync(join(tmpdir(), "postern-files-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const path = (name: string): string => join(folder, name);
const words =
  "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=mail.example.org";
execFileSync("openssl", [...words.split(" "), "-keyout", path("key"), "-out", path("cert")], {
  stdio: "ignore",
});
const lines: string[] = [];

function load(cert: string, key: string, known?: KnownFiles) {
  lines.length = 0;
  return loadServerTls(
    { ...defaultOptions(), ServerCertFile: cert, ServerKeyFile: key },
    {
      log: { line: (_level: number, text: string) => void lines.push(text) },
      clockTrusted: () => true,
      owners: [],
      ...(known === undefined ? {} : { known }),
    },
  );
}

test("one file that is certificate and key must be as closed as a key", () => {
  const both = path("both.pem");
  writeFileSync(both, readFileSync(path("key"), "utf8") + readFileSync(path("cert"), "utf8"));
  chmodSync(both, 0o644);
  assert.equal(load(both, both)?.context("MTA"), null);
  assert.match(lines.join("\n"), /both\.pem unsafe: (Group|World) readable file/);
  chmodSync(both, 0o600);
  assert.ok(load(both, both)?.context("MTA"), lines.join("\n"));
});

test("what root read stays known over a reload without root; a key that was opened to others since is refused", {
  skip: process.getuid?.() === 0 ? false : "needs root",
}, () => {
  const known: KnownFiles = new Map();
  chmodSync(folder, 0o755);
  chmodSync(path("key"), 0o600);
  mkdirSync(path("closed"), { mode: 0o755 });
  for (const name of ["key", "cert"]) {
    writeFileSync(path(`closed/${name}`), readFileSync(path(name)), { mode: 0o600 });
    chownSync(path(`closed/${name}`), 0, 0);
  }
  assert.ok(load(path("closed/cert"), path("closed/key"), known)?.context("MTA"), lines.join("\n"));
  process.seteuid?.(65534);
  try {
    assert.equal(
      load(path("closed/cert"), path("closed/key"))?.context("MTA"),
      null,
      "without memory there is nothing",
    );
    assert.ok(load(path("closed/cert"), path("closed/key"), known)?.context("MTA"), lines.join("\n"));
    process.seteuid?.(0);
    chmodSync(path("closed"), 0o700);
    process.seteuid?.(65534);
    assert.ok(load(path("closed/cert"), path("closed/key"), known)?.context("MTA"), lines.join("\n"));
    process.seteuid?.(0);
    chmodSync(path("closed"), 0o755);
    chmodSync(path("closed/key"), 0o644);
    process.seteuid?.(65534);
    assert.equal(load(path("closed/cert"), path("closed/key"), known)?.context("MTA"), null);
    assert.match(lines.join("\n"), /key unsafe: (Group|World) readable file/);
  } finally {
    process.seteuid?.(0);
  }
});
