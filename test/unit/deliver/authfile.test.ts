// The file of confDEF_AUTH_INFO: the book's four lines (Example 9-16), comments as Sendmail skips them, who may own and read it.

import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { parseAuthFile, readAuthFile } from "../../../src/deliver/credentials.ts";

const folder = mkdtempSync(join(tmpdir(), "postern-authfile-"));
after(() => rmSync(folder, { recursive: true, force: true }));
chmodSync(folder, 0o755);
const file = join(folder, "default-auth-info");
const BOOK = "maildroid\nmaildroid\nCh1mp? ,03fuzz fl0ppi\ndmzmail.polkatistas.org\n";
const INFO = {
  authorizationId: "maildroid",
  authenticationId: "maildroid",
  secret: "Ch1mp? ,03fuzz fl0ppi",
  realm: "dmzmail.polkatistas.org",
  mechanisms: [],
};

for (const { name, text, expected } of [
  { name: "the book's four lines", text: BOOK, expected: INFO },
  {
    name: "a fifth line: mechanisms",
    text: `${BOOK}DIGEST-MD5 CRAM-MD5\n`,
    expected: { ...INFO, mechanisms: ["DIGEST-MD5", "CRAM-MD5"] },
  },
  {
    name: "comments anywhere",
    text: `# for the hub\n${BOOK.replace("\nCh", "\n# its secret\nCh")}`,
    expected: INFO,
  },
  { name: "no identity", text: "\n\nsecret\n", expected: null },
  { name: "comments alone", text: "# nothing\n# here\n", expected: null },
])
  test(`default-auth-info: ${name}`, () => assert.deepEqual(parseAuthFile(text), expected));

test("root's file, read while we were root, counts afterwards until it changes", {
  skip: process.getuid?.() === 0 ? false : "needs root",
}, () => {
  writeFileSync(file, BOOK, { mode: 0o600 });
  assert.deepEqual(readAuthFile(file), { kind: "found", value: INFO });
  process.seteuid?.(65534);
  try {
    assert.deepEqual(readAuthFile(file), { kind: "found", value: INFO });
    process.seteuid?.(0);
    writeFileSync(file, BOOK.replace("fuzz", "buzz"), { mode: 0o600 });
    process.seteuid?.(65534);
    assert.equal(readAuthFile(file).kind, "tempfail");
  } finally {
    process.seteuid?.(0);
  }
});

test("a file that others can read is not used, not even after it was", () => {
  writeFileSync(file, BOOK, { mode: 0o600 });
  chmodSync(file, 0o600);
  assert.equal(readAuthFile(file).kind, "found");
  chmodSync(file, 0o640);
  assert.equal(readAuthFile(file).kind, "tempfail");
});
