// Files that name recipients and that others own: a user's list gives nothing that he could not read himself, whatever way it takes to it,
// and what he puts in its place while it is opened hangs nobody. Needs root, to give files to somebody else.

import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  lchownSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { makeRecipientFiles } from "../../../src/daemon/recipientfiles.ts";
import { reply } from "../../../src/mail/reply.ts";
import type { Account, Controller, RecipientFile } from "../../../src/route/account.ts";
import { discreet } from "../../../src/route/answerline.ts";
import { PasswdFile } from "../../../src/sys/identity.ts";

const JOE = 61001;
const AMY = 61002;
const root = mkdtempSync(join(tmpdir(), "postern-lists-"));
after(() => rmSync(root, { recursive: true, force: true }));
chmodSync(root, 0o755);

const passwd = join(root, "passwd");
writeFileSync(
  passwd,
  `joe:x:${JOE}:${JOE}:Joe:${root}/joe:/bin/sh\namy:x:${AMY}:${AMY}:Amy:${root}/amy:/bin/false\n`,
);
const accounts = new PasswdFile(passwd);
const files = makeRecipientFiles([], (path) => path, accounts);

function account(uid: number): Account {
  const found = accounts.byUid(uid);
  if (found.kind !== "found") throw new Error(`no account ${uid}`);
  return found.value;
}

/** A file (or folder, when it has no text) of `uid`. */
function put(path: string, uid: number, mode: number, text?: string): string {
  const place = join(root, path);
  if (text === undefined) mkdirSync(place);
  else writeFileSync(place, text);
  chownSync(place, uid, uid);
  chmodSync(place, mode);
  return place;
}

const isRoot = process.getuid?.() === 0;

if (isRoot) {
  put("joe", JOE, 0o755);
  put("amy", AMY, 0o755);
  put("amy/closed", AMY, 0o700);
  put("private", 0, 0o700);
  put("secret", 0, 0o600, "s3cret\n");
  put("group", 0, 0o640, "s3cret\n");
  put("private/open", 0, 0o644, "s3cret\n");
  put("amy/own", AMY, 0o600, "s3cret\n");
  put("amy/closed/open", AMY, 0o644, "s3cret\n");
  put("public", 0, 0o644, "a@b.test\n");
  put("joe/list", JOE, 0o600, "a@b.test\n");
  put("joe/none", JOE, 0o000, "a@b.test\n");
  put("amy/list", AMY, 0o644, "a@b.test\n");
  put("rooted", 0, 0o755);
  put("rooted/list", 0, 0o600, "a@b.test\n");
  const link = (target: string, name: string): void => {
    symlinkSync(target, join(root, name));
    lchownSync(join(root, name), JOE, JOE);
  };
  link(join(root, "secret"), "joe/link");
  link(join(root, "private/open"), "joe/deep");
  link(root, "joe/folder");
  link("/proc/self", "joe/self");
  link(join(root, "public"), "joe/fine");
  linkSync(join(root, "secret"), join(root, "joe/hard"));
}

interface Row {
  readonly name: string;
  readonly path: string;
  /** Who names the file; null: an alias. */
  readonly by: number | null;
  /** Why not; "": it is read. */
  readonly why: string;
  readonly controller?: string | null;
}

const DENIED = "Permission denied";
const ROWS: readonly Row[] = [
  { name: "a file that only the gateway reads", path: "secret", by: JOE, why: DENIED },
  { name: "a file for a group that he is not in", path: "group", by: JOE, why: DENIED },
  { name: "an open file in a folder that is closed to him", path: "private/open", by: JOE, why: DENIED },
  { name: "another user's file", path: "amy/own", by: JOE, why: DENIED },
  { name: "an open file in another user's closed folder", path: "amy/closed/open", by: JOE, why: DENIED },
  { name: "a link of his to a secret", path: "joe/link", by: JOE, why: DENIED },
  { name: "a link of his into a closed folder", path: "joe/deep", by: JOE, why: DENIED },
  { name: "a secret through his linked folder", path: "joe/folder/secret", by: JOE, why: DENIED },
  { name: "a secret spelled with dots", path: "joe/../private/../secret", by: JOE, why: DENIED },
  { name: "a hard link to a secret", path: "joe/hard", by: JOE, why: DENIED },
  { name: "the gateway's memory map", path: "/proc/self/maps", by: JOE, why: DENIED },
  { name: "the gateway's environment", path: "/proc/self/environ", by: JOE, why: DENIED },
  { name: "the memory map through his link", path: "joe/self/maps", by: JOE, why: DENIED },
  { name: "his own file that he has closed", path: "joe/none", by: JOE, why: DENIED },
  { name: "a folder", path: "joe", by: JOE, why: "Regular files only" },
  { name: "a device", path: "/dev/zero", by: JOE, why: "Regular files only" },
  { name: "a file that is not there", path: "joe/missing", by: JOE, why: "No such file or directory" },
  { name: "his own file", path: "joe/list", by: JOE, why: "", controller: "joe" },
  { name: "a public file, which stays his word", path: "public", by: JOE, why: "", controller: "joe" },
  {
    name: "another user's open file, which stays his word",
    path: "amy/list",
    by: JOE,
    why: "",
    controller: "joe",
  },
  { name: "an alias's file of the gateway", path: "rooted/list", by: null, why: "", controller: null },
  { name: "an alias's file of a user", path: "joe/list", by: null, why: "", controller: "joe" },
  {
    name: "an alias's file of a user without a shell",
    path: "amy/list",
    by: null,
    why: "",
    controller: "amy",
  },
  { name: "an alias's list that a user made a link to a secret", path: "joe/link", by: null, why: DENIED },
  {
    name: "an alias's list that a user made a hard link to a secret",
    path: "joe/hard",
    by: null,
    why: DENIED,
  },
  {
    name: "an alias's list in a folder that a user made a link",
    path: "joe/folder/secret",
    by: null,
    why: DENIED,
  },
  {
    name: "an alias's list that a user made a link to the memory map",
    path: "joe/self/maps",
    by: null,
    why: DENIED,
  },
  {
    name: "an alias's list that a user made a link to a public file",
    path: "joe/fine",
    by: null,
    why: "",
    controller: "joe",
  },
];

function shown(file: RecipientFile): string {
  return file.kind === "found" ? "" : file.reason;
}

describe("a list that a user owns or names", {
  skip: isRoot ? false : "needs root, to give files away",
}, () => {
  for (const { name, path, by, why, controller } of ROWS)
    it(`${by === null ? "" : "by a user: "}${name}: ${why === "" ? `read, ${controller ?? "nobody"} answers for it` : why}`, () => {
      const who: Controller | null = by === null ? null : account(by);
      const file = files.include(path.startsWith("/") ? path : join(root, path), who);
      assert.equal(shown(file), why);
      if (file.kind === "found") assert.equal(file.controller?.name ?? null, controller);
    });

  for (const [name, target] of [
    ["a link to a secret", "secret"],
    ["a link to the memory map", "/proc/self/maps"],
  ] as const)
    it(`.forward that is ${name} is not followed`, () => {
      const path = join(root, "joe", `.forward-${target.replaceAll("/", "")}`);
      symlinkSync(target.startsWith("/") ? target : join(root, target), path);
      assert.equal(shown(files.forward(path, account(JOE))), "Symbolic links not allowed");
    });
});

/** Reads `path` for two seconds in a process of its own; its status, null when it hung. */
function readFor(code: string): Promise<number | null> {
  const child = spawn(process.execPath, ["--input-type=module", "-e", code], { stdio: "ignore" });
  return new Promise((resolve) => {
    const timer = setTimeout(() => child.kill("SIGKILL"), 12_000);
    child.on("exit", (status) => {
      clearTimeout(timer);
      resolve(status);
    });
  });
}

const SOURCES = join(import.meta.dirname, "../../../src");
const READERS: readonly (readonly [string, string])[] = [
  [
    ".forward and :include:",
    `import { readTrusted } from "${SOURCES}/safefile/check.ts"; const read = (p) => readTrusted(p, "include", { dontBlame: [] }, 1e6);`,
  ],
  [
    "class files",
    `import { readClassFile } from "${SOURCES}/map/classfile.ts"; const read = (p) => readClassFile(p, true);`,
  ],
  [
    "shells, and texts of tables and aliases",
    `import { readBoundedFile } from "${SOURCES}/sys/files.ts"; const read = (p) => readBoundedFile(p, 1e6);`,
  ],
];

describe("a file that becomes a FIFO between check and open", () => {
  for (const [what, code] of READERS)
    it(`hangs no reader of ${what}`, async () => {
      const folder = mkdtempSync(join(root, "race-"));
      const path = join(folder, "list");
      const fifo = join(folder, "fifo");
      assert.equal(spawnSync("mkfifo", [fifo]).status, 0);
      writeFileSync(path, "a@b.test\n");
      const swap = `
        import { linkSync, renameSync, writeFileSync } from "node:fs";
        const [path, fifo] = ${JSON.stringify([path, fifo])};
        for (;;) {
          writeFileSync(path + ".f", "a@b.test\\n"); renameSync(path + ".f", path);
          linkSync(fifo, path + ".p"); renameSync(path + ".p", path);
        }`;
      const swapper: ChildProcess = spawn(process.execPath, ["--input-type=module", "-e", swap], {
        stdio: "ignore",
      });
      try {
        const status = await readFor(
          `${code} const end = performance.now() + 1500; while (performance.now() < end) for (let n = 0; n < 50; n++) read(${JSON.stringify(path)});`,
        );
        assert.equal(status, 0, status === null ? "the reader hung" : "the reader failed");
      } finally {
        swapper.kill("SIGKILL");
      }
    });
});

describe("what a stranger hears of an error in a list", () => {
  const where = "/home/joe/list: line 3: ";
  const rows: readonly (readonly [string, string, boolean])[] = [
    ["an unknown user", "nosuch", true],
    ["an address", "<nosuch@gw.test>", true],
    ["a program", '"|/usr/bin/vacation joe"', true],
    ["a file", "/var/archive", true],
    ["another list", ":include:/x", true],
    ["a member of a JSON text", '{"user":"joe","password":"hunter2"}', false],
    ["a quoted password", '"password":"hunter2"', false],
    ["words", "the root password is hunter2", false],
    ["a line of a memory map", "55d0c0000000-55d0c0021000 r--p 00000000 fe:00 12 /usr/bin/node", false],
    ["bytes", "\x7fELF\x02\x01\x00", false],
    ["8-bit text", "M\xfcller", false],
    ["something endless", "a".repeat(5000), false],
  ];
  for (const [name, address, visible] of rows)
    it(`${name} is ${visible ? "named" : "not shown"}`, () => {
      const error = {
        address,
        via: "list@gw.test",
        where,
        reply: reply(550, "5.1.1", "User unknown"),
        exit: 67,
      };
      assert.equal(discreet(error).address, visible ? address : "list@gw.test");
      assert.equal(discreet({ ...error, where: "" }).address, address);
    });
});
