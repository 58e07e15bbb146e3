// The commands m4 and postern check, run as main.ts runs them, on folders of their own: exit statuses, streams, JSON.
// Contract section 2: 78 for a bad configuration, compiled form on standard output, both forms of a folder.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { Applet, Io } from "../../../src/applets/applet.ts";
import { check } from "../../../src/applets/check.ts";
import { m4 } from "../../../src/applets/m4.ts";
import { isStale, parseCompiled } from "../../../src/config/compiled.ts";
import { folderReader } from "../../../src/config/folder.ts";
import { readFileLookup } from "../../../src/sys/files.ts";

const folder = mkdtempSync(join(tmpdir(), "postern-commands-"));
after(() => rmSync(folder, { recursive: true, force: true }));

async function* nothing(text: string): AsyncIterable<Buffer> {
  yield Buffer.from(text);
}

async function run(applet: Applet, args: readonly string[], stdin = "") {
  const said = { out: "", err: "" };
  const io: Io = {
    stdin: nothing(stdin),
    stdinIsTerminal: false,
    stdoutIsTerminal: false,
    outBytes: () => undefined,
    out: (text) => {
      said.out += text;
    },
    err: (text) => {
      said.err += text;
    },
    askSecret: () => Promise.resolve(null),
    environment: new Map(),
    cwd: folder,
  };
  const status = await applet.run(args, io, applet.names[0] ?? "");
  return { status, out: said.out.replaceAll(folder, "DIR"), err: said.err.replaceAll(folder, "DIR") };
}

function write(path: string, text: string): void {
  mkdirSync(join(folder, path, ".."), { recursive: true });
  writeFileSync(join(folder, path), text);
}

const GOOD =
  "OSTYPE(`linux')dnl\nFEATURE(`mailertable', `hash -o /etc/mail/mailertable')dnl\nMAILER(`smtp')dnl\n";
const BAD = "OSTYPE(`linux')dnl\nFEATURE(`mailertabel')dnl\nstray\nMAILER(`smtp')dnl\n";

test("m4 writes the compiled form, fresh for its folder wherever that is put", async () => {
  write("one/sendmail.mc", GOOD);
  const { status, out, err } = await run(m4, ["one/sendmail.mc"]);
  assert.equal(status, 0);
  assert.equal(err, "");
  const parsed = parseCompiled(out);
  assert.ok(parsed.ok);
  write("elsewhere/sendmail.mc", GOOD);
  assert.equal(isStale(parsed.value, folderReader(join(folder, "elsewhere"), readFileLookup)), null);
  write("elsewhere/sendmail.mc", `${GOOD}dnl changed\n`);
  assert.equal(
    isStale(parsed.value, folderReader(join(folder, "elsewhere"), readFileLookup)),
    "/etc/mail/sendmail.mc",
  );
});

test("m4 says all errors, writes nothing, and ends with 78", async () => {
  write("bad/sendmail.mc", BAD);
  const { status, out, err } = await run(m4, ["bad/sendmail.mc"]);
  assert.equal(status, 78);
  assert.equal(out, "");
  assert.deepEqual(err.trimEnd().split("\n"), [
    "DIR/bad/sendmail.mc:2:1: FEATURE(mailertabel) is unknown: cannot open 'feature/mailertabel.m4': No such file or directory; did you mean mailertable?",
    'DIR/bad/sendmail.mc:3:1: stray text "stray"',
  ]);
});

test("m4 takes what makefiles give it: -D, -I, cf.m4 first, standard input", async () => {
  write("make/freebsd.mc", "define(`confMAX_HOP', HOPS)dnl\nOSTYPE(`linux')dnl\nMAILER(`smtp')dnl\n");
  const made = await run(m4, [
    "-D_CF_DIR_=/usr/share/",
    "-D",
    "HOPS=17",
    "-I/x",
    "../m4/cf.m4",
    "make/freebsd.mc",
  ]);
  assert.equal(made.status, 0, made.err);
  const parsed = parseCompiled(made.out);
  assert.equal(parsed.ok && parsed.value.options.MaxHopCount, 17);
  assert.equal((await run(m4, ["-"], GOOD)).status, 0);
  assert.equal((await run(m4, [])).status, 64);
  assert.equal((await run(m4, ["-Z", "x"])).status, 64);
  assert.equal((await run(m4, ["none.mc"])).status, 78);
});

test("check takes both forms of a folder, and a file", async () => {
  write("c/mail/sendmail.mc", GOOD);
  write("c/mail/aliases", "postmaster: admin@example.com\n");
  write("d/sendmail.mc", GOOD);
  write("d/aliases", "postmaster: root\n");
  assert.deepEqual(await run(check, ["c"]), { status: 0, out: "c: no errors\n", err: "" });
  assert.deepEqual(await run(check, ["d"]), { status: 0, out: "d: no errors\n", err: "" });
  assert.deepEqual(await run(check, ["d/sendmail.mc"]), {
    status: 0,
    out: "d/sendmail.mc: no errors\n",
    err: "",
  });
});

test("check says errors and warnings with their places and ends with 78", async () => {
  write("e/mail/sendmail.mc", BAD);
  const { status, out } = await run(check, ["e"]);
  assert.equal(status, 78);
  assert.match(out, /^DIR\/e\/mail\/sendmail\.mc:2:1: FEATURE\(mailertabel\) is unknown/);
  const json = await run(check, ["--json", "e"]);
  const report: unknown = JSON.parse(json.out);
  assert.ok(
    typeof report === "object" && report !== null && "errors" in report && Array.isArray(report.errors),
  );
  assert.equal(report.errors.length, 2);
});

test("check warns of a mailbox that nobody on an appliance reads, and not on a host", async () => {
  write("f/mail/sendmail.mc", GOOD);
  write("f/mail/aliases", "postmaster: root\n");
  const appliance = await run(check, ["f"]);
  assert.equal(appliance.status, 0);
  assert.match(
    appliance.out,
    /f\/mail\/aliases:1:1: warning: mail for postmaster ends in the mailbox of root/,
  );
});

test("check refuses a sendmail.cf of Sendmail with advice", async () => {
  write("g/sendmail.cf", "#\n# Copyright\nV10/Berkeley\nCwlocalhost\n");
  const { status, out } = await run(check, ["g"]);
  assert.equal(status, 78);
  assert.match(out, /^DIR\/g\/sendmail\.cf:1:1: this is a sendmail\.cf of Sendmail.*postern m4 sendmail\.mc/);
});

test("check of nothing says so", async () => {
  const { status, out } = await run(check, ["nowhere"]);
  assert.equal(status, 78);
  assert.equal(out, "DIR/nowhere:1:1: cannot open: No such file or directory\n");
});
