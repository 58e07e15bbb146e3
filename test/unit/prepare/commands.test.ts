// The table commands as people call them: through the one program, by name and by link, with streams and exit status.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, test } from "node:test";

const MAIN = resolve(import.meta.dirname, "../../../src/main.ts");
const root = mkdtempSync(join(tmpdir(), "postern-commands-"));
after(() => rmSync(root, { recursive: true, force: true }));
chmodSync(root, 0o755);

interface Ran {
  readonly out: string;
  readonly err: string;
  readonly status: number | null;
}

function run(args: readonly string[], input = ""): Ran {
  const ran = spawnSync(process.execPath, [MAIN, ...args], { cwd: root, input, timeout: 60_000 });
  return { out: ran.stdout.toString(), err: ran.stderr.toString(), status: ran.status };
}

mkdirSync(join(root, "etc"));
writeFileSync(
  join(root, "etc/sendmail.mc"),
  `OSTYPE(\`linux')dnl
define(\`confDOMAIN_NAME', \`gw.example')dnl
define(\`ALIAS_FILE', \`/etc/mail/names')dnl
FEATURE(\`mailertable')dnl
FEATURE(\`virtusertable', \`hash -f /etc/mail/virt')dnl
MAILER(\`local')dnl
MAILER(\`smtp')dnl
`,
);

test("commands: makemap reads standard input, editmap asks, in UTF-8, without any configuration", () => {
  assert.deepEqual(run(["makemap", "-v", "hash", "t"], "Köln 1\nb é\nbad\n"), {
    out: "key=`köln', val=`1'\nkey=`b', val=`é'\n",
    err: "makemap: t: line 3: no RHS for LHS bad\n",
    status: 65,
  });
  assert.deepEqual(run(["makemap", "-u", "hash", "t"]), { out: "köln\t1\nb\té\n", err: "", status: 0 });
  assert.deepEqual(run(["editmap", "-q", "hash", "t", "KöLN"]), { out: "1\n", err: "", status: 0 });
  assert.equal(run(["editmap", "-q", "hash", "t", "nobody"]).status, 69);
});

test("commands: newaliases takes the files and names of the configuration and tells on standard output", () => {
  writeFileSync(join(root, "etc/names"), "root: mick\nx@gw.example: y\nx@other.example: y\n");
  const path = join(root, "etc/names");
  assert.deepEqual(run(["newaliases", "-C", join(root, "etc")]), {
    out: `${path}: line 3: x@other.example... cannot alias non-local names\n${path}: 2 aliases, longest 4 bytes, 10 bytes total\n`,
    err: "",
    status: 70,
  });
  assert.deepEqual(run(["praliases", "-C", join(root, "etc")]), {
    out: "@:@\nroot:mick\nx:y\n",
    err: "",
    status: 0,
  });
  assert.deepEqual(run(["praliases", "-f", path, "root", "q"]).out, "root:mick\nq: No such key\n");
  chmodSync(path, 0o664);
  assert.deepEqual(run(["newaliases", `-oA${path}`]), {
    out: `newaliases: cannot open ${path}: Group writable file\n`,
    err: "",
    status: 0,
  });
  chmodSync(path, 0o644);
});

test("commands: postern make builds the tables that the configuration names, with its flags", () => {
  writeFileSync(join(root, "etc/virt"), "Upper@X y\n");
  writeFileSync(join(root, "etc/mailertable"), "x smtp:y\n");
  assert.deepEqual(run(["make", "-C", "etc"]), {
    out: "mailertable.db: 1 entries\nvirt.db: 1 entries\n",
    err: "",
    status: 0,
  });
  assert.equal(run(["makemap", "-u", "hash", "etc/virt"]).out, "Upper@X\ty\n");
  assert.equal(run(["make", "-C", "etc"]).out, "everything is up to date\n");
  assert.equal(run(["make", "-C", "etc", "mailertable"]).out, "mailertable.db: 1 entries\n");
});

test("commands: postern make compiles sendmail.cf when it is named, then when its source was changed", () => {
  mkdirSync(join(root, "mc"));
  const mc = join(root, "mc/sendmail.mc");
  writeFileSync(mc, "OSTYPE(`linux')dnl\nMAILER(`smtp')dnl\n");
  assert.equal(run(["make", "-C", "mc"]).out, "everything is up to date\n");
  assert.equal(run(["make", "-C", "mc", "sendmail.cf"]).out, "sendmail.cf: compiled from sendmail.mc\n");
  assert.equal(run(["make", "-C", "mc"]).out, "everything is up to date\n");
  writeFileSync(mc, "OSTYPE(`linux')dnl\ndefine(`confMAX_HOP', `7')dnl\nMAILER(`smtp')dnl\n");
  assert.equal(run(["make", "-C", "mc"]).out, "sendmail.cf: compiled from sendmail.mc\n");
  const before = readFileSync(join(root, "mc/sendmail.cf"));
  writeFileSync(mc, "OSTYPE(`linux')dnl\nFEATURE(`nosuch')dnl\nMAILER(`smtp')dnl\n");
  const bad = run(["make", "-C", "mc"]);
  assert.equal(bad.status, 78);
  assert.match(bad.err, /mc\/sendmail\.mc:2:1: .*nosuch/);
  assert.ok(readFileSync(join(root, "mc/sendmail.cf")).equals(before));
});

test("commands: postern config makes keys, builds, verifies and shows, and says every error of a bad folder", (t) => {
  if (spawnSync("mksquashfs", ["-version"]).error !== undefined)
    return t.skip("squashfs-tools is not installed");
  writeFileSync(join(root, "etc/names"), "root: mick\nroot: larry\n");
  assert.equal(run(["config", "keys", "keys"]).status, 0);
  const built = run(["config", "build", "-k", "keys", "-g", "3", "etc", "image"]);
  assert.equal(built.status, 0, built.err);
  assert.match(built.err, /etc\/names:2:1: warning: root: duplicate alias name root/);
  assert.match(built.out, /^image: \d+ files, \d+ bytes, signed with [0-9a-f]{16}\n$/);
  assert.match(run(["config", "verify", "-k", "keys", "image"]).out, /: good, generation 3, signed with/);
  const shown = JSON.parse(run(["config", "show", "--json", "-k", "keys", "image"]).out);
  assert.equal(shown.manifest.generation, 3);
  const bytes = readFileSync(join(root, "image"));
  bytes[2000] = (bytes[2000] ?? 0) ^ 1;
  writeFileSync(join(root, "image"), bytes);
  const bad = run(["config", "verify", "-k", "keys", "image"]);
  assert.equal(bad.status, 65);
  assert.match(bad.err, /the signature is wrong: the image was changed/);
  writeFileSync(join(root, "etc/mailertable"), "x smtp:y\nalone\nx again\n");
  const refused = run(["config", "build", "-k", "keys", "etc", "image"]);
  assert.equal(refused.status, 78);
  const table = join(root, "etc/mailertable");
  assert.equal(refused.err, `${table}:2:1: no RHS for LHS alone\n${table}:3:1: key x: duplicate key\n`);
  assert.equal(run(["config"]).status, 64);
});
