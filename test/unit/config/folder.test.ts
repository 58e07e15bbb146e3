// Finding a configuration, its paths, what is missing in it, and who would read the mail: contract sections 2 and 4.
// All files are in memory.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Lookup } from "../../../src/base/result.ts";
import { compileFound } from "../../../src/config/compile.ts";
import { formatCompiled } from "../../../src/config/compiled.ts";
import { defaultConfiguration } from "../../../src/config/defaults.ts";
import { findConfiguration, folderReader, realPathOf } from "../../../src/config/folder.ts";
import { inspectFiles, inspectMailboxes } from "../../../src/config/inspect.ts";
import { editDistance, nearestName } from "../../../src/config/nearest.ts";
import { compileText, usual } from "./sources.ts";

function reader(files: Readonly<Record<string, string>>) {
  const all = new Map(Object.entries(files));
  return (path: string): Lookup<Buffer> => {
    const text = all.get(path);
    if (text !== undefined) return { kind: "found", value: Buffer.from(text) };
    const folder = [...all.keys()].some((name) => name.startsWith(`${path}/`));
    return folder ? { kind: "tempfail", reason: `cannot read ${path}: EISDIR` } : { kind: "absent" };
  };
}

for (const { name, files, path, expected } of [
  {
    name: "a configuration folder",
    files: { "/c/mail/sendmail.mc": "", "/c/system/hostname": "" },
    path: "/c",
    expected: { mail: "/c/mail", root: "/c", mc: "/c/mail/sendmail.mc", compiled: null },
  },
  {
    name: "a folder with both forms",
    files: { "/m/sendmail.mc": "", "/m/sendmail.cf": "{" },
    path: "/m",
    expected: { mail: "/m", root: null, mc: "/m/sendmail.mc", compiled: "/m/sendmail.cf" },
  },
  {
    name: "a .mc of another name",
    files: { "/m/linux.mc": "dnl\n" },
    path: "/m/linux.mc",
    expected: { mail: "/m", root: null, mc: "/m/linux.mc", compiled: null },
  },
  {
    name: "a compiled file",
    files: { "/m/sendmail.cf": formatCompiled(defaultConfiguration()) },
    path: "/m/sendmail.cf",
    expected: { mail: "/m", root: null, mc: null, compiled: "/m/sendmail.cf" },
  },
  { name: "nothing", files: {}, path: "/none", expected: "cannot open: No such file or directory" },
  { name: "an empty folder", files: { "/e/x": "" }, path: "/e", expected: "no sendmail.mc in this folder" },
])
  test(`finding ${name}`, () => {
    const found = findConfiguration(path, reader(files));
    assert.deepEqual(found.ok ? found.value : found.error, expected);
  });

test("/etc/mail means the folder, and messages name real paths", () => {
  const files = {
    "/c/mail/sendmail.mc": usual("include(`/etc/mail/extra.m4')dnl"),
    "/c/mail/extra.m4": "define(`confMAX_HOP', `x')\n",
  };
  const found = findConfiguration("/c", reader(files));
  assert.ok(found.ok);
  const { mc } = found.value;
  assert.ok(mc !== null);
  const result = compileFound({ ...found.value, mc }, reader(files));
  assert.deepEqual(
    result.errors.map((e) => e.place),
    [{ file: "/c/mail/extra.m4", line: 1, column: 1 }],
  );
  assert.equal(realPathOf("/c/mail", "/etc/mail"), "/c/mail");
  assert.equal(realPathOf("/c/mail", "/etc/mailx/y"), "/etc/mailx/y");
  assert.equal(folderReader("/c/mail", reader(files))("/etc/mail/extra.m4").kind, "found");
});

test("files that are wanted and missing are named", () => {
  const { configuration } = compileText(
    usual(
      "FEATURE(`use_cw_file')dnl\nFEATURE(`mailertable')dnl\nFEATURE(`virtusertable', `hash -o /etc/mail/v.db')dnl\ndefine(`confSERVER_CERT', `/etc/mail/c.pem')dnl\ndefine(`confSERVER_KEY', `/etc/mail/k.pem')dnl",
    ),
  );
  assert.ok(configuration !== null);
  assert.deepEqual(inspectFiles(configuration, reader({ "/etc/mail/k.pem": "" })), [
    {
      fatal: true,
      file: "/etc/mail/local-host-names",
      message: "cannot open: No such file or directory (members of class w)",
    },
    {
      fatal: true,
      file: "/etc/mail/mailertable",
      message:
        "cannot open: No such file or directory (FEATURE(`mailertable') wants it; write -o for an optional table)",
    },
    {
      fatal: false,
      file: "/etc/mail/c.pem",
      message: "cannot open: No such file or directory (confSERVER_CERT): STARTTLS is not offered",
    },
    {
      fatal: false,
      file: "/etc/mail/aliases",
      message:
        "cannot open: No such file or directory (ALIAS_FILE): there are no aliases, not even postmaster",
    },
  ]);
});

test("a mailbox that nobody on the box reads is warned of", () => {
  const aliases = new Map([
    ["postmaster", "root"],
    ["root", "mick, ops@example.com"],
    ["self", "\\self"],
    ["prog", '"|/bin/x a, b"'],
    ["list", ":include:/etc/mail/list"],
  ]);
  const said = inspectMailboxes(defaultConfiguration(), "/etc/mail/aliases", aliases).map((f) => f.message);
  assert.equal(said.length, 2);
  assert.match(said[0] ?? "", /^mail for root ends in the mailbox of mick, which nobody on this box reads/);
  assert.match(said[1] ?? "", /^mail for self ends in the mailbox of self/);
  const hub = { ...defaultConfiguration(), mailHub: { mailer: "relay", host: "h" } };
  assert.deepEqual(inspectMailboxes(hub, "/etc/mail/aliases", aliases), []);
});

test("edit distance counts inserts, deletes, replacements and swaps", () => {
  for (const [a, b, expected] of [
    ["", "", 0],
    ["abc", "abc", 0],
    ["abc", "acb", 1],
    ["abc", "ab", 1],
    ["abc", "xbc", 1],
    ["kitten", "sitting", 3],
  ] as const)
    assert.equal(editDistance(a, b), expected, `${a} ${b}`);
  assert.equal(nearestName("mailertabel", ["virtusertable", "mailertable"]), "mailertable");
  assert.equal(nearestName("zzzz", ["mailertable"]), null);
});
