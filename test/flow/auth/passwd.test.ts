import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

const MAIN = new URL("../../../src/main.ts", import.meta.url).pathname;
const dir = mkdtempSync(join(tmpdir(), "postern-passwd-"));
after(() => rmSync(dir, { recursive: true, force: true }));

function postern(args: readonly string[], input = ""): { status: number | null; out: string; err: string } {
  const done = spawnSync(process.execPath, [MAIN, ...args], { input, encoding: "utf8", timeout: 60_000 });
  return { status: done.status, out: done.stdout, err: done.stderr };
}

// The chapter's Examples 9-11 and 9-12.
test("saslpasswd creates user and file, asks twice, and sasldblistusers prints the chapter's three lines", () => {
  const conf = join(dir, "mail");
  mkdirSync(conf);
  writeFileSync(
    join(conf, "sendmail.mc"),
    "OSTYPE(`linux')dnl\ndefine(`confDOMAIN_NAME', `dmzmail.polkatistas.org')dnl\ndefine(`confAUTH_MECHANISMS', `CRAM-MD5 DIGEST-MD5')dnl\nMAILER(`smtp')dnl\n",
  );
  const secret = "Ch1mp? ,03fuzz fl0ppi\n";
  const made = postern(["saslpasswd", "-C", conf, "maildroid"], secret + secret);
  assert.deepEqual([made.status, made.out], [0, ""]);
  assert.match(made.err, /^Password: \nAgain \(for verification\): \n$/);
  const path = join(conf, "sasldb.json");
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.deepEqual(postern(["sasldblistusers", "-C", conf]), {
    status: 0,
    out: "user: maildroid realm: dmzmail.polkatistas.org mech: PLAIN\nuser: maildroid realm: dmzmail.polkatistas.org mech: CRAM-MD5\nuser: maildroid realm: dmzmail.polkatistas.org mech: DIGEST-MD5\n",
    err: "",
  });
  assert.equal(
    postern(["sasldblistusers2", "-C", conf]).out,
    "maildroid@dmzmail.polkatistas.org: userPassword\n",
  );
  assert.match(readFileSync(path, "utf8"), /Ch1mp\? ,03fuzz fl0ppi/);
  const gone = postern(["saslpasswd", "-C", conf, "-d", "maildroid"]);
  assert.equal(gone.status, 0);
  assert.equal(postern(["sasldblistusers", "-C", conf]).out, "");
});

const file = join(dir, "db.json");
const RUNS: readonly { name: string; args: string[]; input: string; status: number; err: RegExp }[] = [
  {
    name: "saslpasswd2 without -c does not create",
    args: ["saslpasswd2", "-p", "joe"],
    input: "x\n",
    status: 67,
    err: /user not found/,
  },
  {
    name: "saslpasswd2 -c creates",
    args: ["saslpasswd2", "-c", "-p", "-u", "example.org", "joe"],
    input: "sesame\n",
    status: 0,
    err: /^$/,
  },
  {
    name: "saslpasswd2 changes without -c",
    args: ["saslpasswd2", "-p", "joe@example.org"],
    input: "other",
    status: 0,
    err: /^$/,
  },
  {
    name: "the two answers differ",
    args: ["saslpasswd", "ann"],
    input: "a\nb\n",
    status: 65,
    err: /passwords don't match; aborting/,
  },
  { name: "an empty password", args: ["saslpasswd", "-p", "ann"], input: "\n", status: 65, err: /empty/ },
  { name: "no input", args: ["saslpasswd", "ann"], input: "", status: 65, err: /no password/ },
  {
    name: "a control character",
    args: ["saslpasswd", "-p", "ann"],
    input: "a\x01b\n",
    status: 65,
    err: /control/,
  },
  {
    name: "a name with a line feed",
    args: ["saslpasswd", "-p", "a\nb"],
    input: "x\n",
    status: 64,
    err: /not a user name/,
  },
  { name: "no name", args: ["saslpasswd"], input: "", status: 64, err: /usage/ },
  {
    name: "a flag nobody knows",
    args: ["saslpasswd", "-z", "x"],
    input: "",
    status: 64,
    err: /invalid option/,
  },
  {
    name: "-n keeps verifiers only",
    args: ["saslpasswd2", "-cnp", "-u", "r", "ver"],
    input: "hidden-word\n",
    status: 0,
    err: /^$/,
  },
  {
    name: "-d of a user that is not there",
    args: ["saslpasswd2", "-d", "nobody"],
    input: "",
    status: 67,
    err: /user not found/,
  },
];
for (const r of RUNS)
  test(`saslpasswd: ${r.name}`, () => {
    const [name = "", ...rest] = r.args;
    const done = postern([name, "-f", file, ...rest], r.input);
    assert.equal(done.status, r.status, done.err);
    assert.match(done.err, r.err);
  });

test("what the runs above left: the changed password of joe, no word of ver's, no other user", () => {
  const text = readFileSync(file, "utf8");
  assert.match(text, /"secret": "other"/);
  assert.ok(!text.includes("hidden-word"));
  assert.equal(
    postern(["sasldblistusers2", file]).out,
    "joe@example.org: userPassword\nver@r: authPassword\n",
  );
  assert.equal(postern(["sasldblistusers", join(dir, "none")]).status, 66);
});
