// Local delivery on a real file system: mailboxes, Maildirs, files of aliases, programs; and everything that must be refused.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { debianPackages } from "../../../scripts/debian.ts";
import type { MailerSpec } from "../../../src/config/configuration.ts";
import { Turns } from "../../../src/deliver/append.ts";
import { FileMailer } from "../../../src/deliver/file.ts";
import { LocalMailer } from "../../../src/deliver/local.ts";
import type { MailerNeeds } from "../../../src/deliver/needs.ts";
import { ProgramMailer } from "../../../src/deliver/procmail.ts";
import { ProgMailer } from "../../../src/deliver/prog.ts";
import { inspectProgram, runProgram } from "../../../src/sys/spawn.ts";
import { attempt, body, ESMTP, rig, streamed } from "./attempt.ts";

const jail = mkdtempSync(join(tmpdir(), "postern-local-"));
const smrsh = join(jail, "smrsh");
mkdirSync(smrsh);
mkdirSync(join(jail, "var/spool/mail"), { recursive: true });
after(() => rmSync(jail, { recursive: true, force: true }));

function needs(more: Partial<MailerNeeds> = {}): MailerNeeds {
  return {
    ...rig([]).needs,
    jail,
    mailbox: (user) => join(jail, "var/spool/mail", user),
    mailboxBytesMax: 0,
    smrshDirectories: [smrsh],
    run: runProgram,
    inspect: inspectProgram,
    ...more,
  };
}

const LOCAL: MailerSpec = {
  ...ESMTP,
  name: "local",
  kind: "local",
  flags: "lsDFMAw5:/|@qPrmn9",
  path: "/bin/mail",
  args: "mail -d $u",
  lineMax: 0,
};
const FILE: MailerSpec = {
  ...LOCAL,
  name: "*file*",
  kind: "file",
  flags: "lsDFMPEouq9",
  path: "[FILE]",
  args: "FILE $u",
};
const PROG: MailerSpec = {
  ...LOCAL,
  name: "prog",
  kind: "prog",
  flags: "lsDFMoqeu9",
  path: "/bin/sh",
  args: "sh -c $u",
};

function script(name: string, text: string, mode = 0o755): string {
  const path = join(smrsh, name);
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

const FROM =
  /^From sender@here\.example (Sun|Mon|Tue|Wed|Thu|Fri|Sat) [A-Z][a-z][a-z] [ \d]\d \d\d:\d\d:\d\d \d{4}$/;

test("a mailbox gets From_ line, Return-Path, quoted From, one blank line after each message", async () => {
  const mailer = new LocalMailer(needs(), LOCAL, new Turns());
  const text = body("From here\r\n..dot\r\nFrom there\r\nend\r\n");
  for (const made of [text, streamed(text)]) {
    const [outcome] = await mailer.deliver(attempt({ to: ["mick"], body: made }));
    assert.equal(outcome?.text, "Sent");
    assert.equal(outcome?.kind, "delivered");
  }
  const lines = readFileSync(join(jail, "var/spool/mail/mick"), "latin1").split("\n");
  const one = [
    "Return-Path: <sender@here.example>",
    "Subject: test",
    "",
    ">From here",
    ".dot",
    ">From there",
    "end",
    "",
  ];
  assert.match(lines[0] ?? "", FROM);
  assert.deepEqual(lines.slice(1, 9), one);
  assert.match(lines[9] ?? "", FROM);
  assert.deepEqual(lines.slice(10), [...one, ""]);
  assert.equal(statSync(join(jail, "var/spool/mail/mick")).mode & 0o7007, 0);
  assert.deepEqual(readdirSync(join(jail, "var/spool/mail")), ["mick"]);
});

test("fifty messages at once end in one mailbox, whole and apart", async () => {
  const mailer = new LocalMailer(needs(), LOCAL, new Turns());
  const outcomes = await Promise.all(
    Array.from({ length: 50 }, (_, i) =>
      mailer.deliver(
        attempt({ to: ["many"], body: streamed(body(`number ${i}\r\n`, "x\r\n".repeat(1000))) }),
      ),
    ),
  );
  assert.ok(outcomes.flat().every((o) => o.kind === "delivered"));
  const entries = readFileSync(join(jail, "var/spool/mail/many"), "latin1")
    .split(/^From /m)
    .slice(1);
  assert.equal(entries.length, 50);
  for (const entry of entries)
    assert.match(entry, /^sender@here[^\n]*\nReturn-Path[^\n]*\nSubject: test\n\nnumber \d+\n(x\n){1000}\n$/);
});

test("a bounce is from MAILER-DAEMON", async () => {
  const mailer = new LocalMailer(needs(), LOCAL, new Turns());
  await mailer.deliver(attempt({ to: ["bounced"], envelope: { sender: "" } }));
  assert.match(readFileSync(join(jail, "var/spool/mail/bounced"), "latin1"), /^From MAILER-DAEMON \w/);
});

test("a path that ends in / is a Maildir, synced into new", async () => {
  const mailer = new LocalMailer(
    needs({ mailbox: (user) => join(jail, "var/spool/mail", user, "/") }),
    LOCAL,
    new Turns(),
  );
  for (let i = 0; i < 3; i++) {
    const [outcome] = await mailer.deliver(attempt({ to: ["dir"], body: body("..a\r\nFrom b\r\n") }));
    assert.equal(outcome?.kind, "delivered");
  }
  const folder = join(jail, "var/spool/mail/dir");
  const names = readdirSync(join(folder, "new"));
  assert.equal(names.length, 3);
  assert.deepEqual(readdirSync(join(folder, "tmp")), []);
  assert.equal(
    readFileSync(join(folder, "new", names[0] ?? ""), "latin1"),
    "Return-Path: <sender@here.example>\nSubject: test\n\n.a\nFrom b\n",
  );
});

test("a held lock defers, a dead program's lock does not", async () => {
  const lock = join(jail, "var/spool/mail/locked.lock");
  writeFileSync(lock, "999999\n");
  const mailer = new LocalMailer(needs(), LOCAL, new Turns());
  const controller = new AbortController();
  controller.abort();
  const [held] = await mailer.deliver(attempt({ to: ["locked"], signal: controller.signal }));
  assert.equal(held?.kind, "deferred");
  assert.equal(existsSync(lock), true);
  execFileSync("touch", ["-d", "1 hour ago", lock]);
  const [taken] = await mailer.deliver(attempt({ to: ["locked"] }));
  assert.equal(taken?.kind, "delivered", JSON.stringify(taken));
  assert.equal(existsSync(lock), false);
});

test("a message over M= or into a full mailbox fails, and the mailbox stays as it was", async () => {
  const big = body("x".repeat(5000), "\r\n");
  const [large] = await new LocalMailer(needs(), { ...LOCAL, sizeMax: 4000 }, new Turns()).deliver(
    attempt({ to: ["big"], body: big }),
  );
  assert.deepEqual([large?.kind, large?.status], ["failed", "5.2.3"]);
  const mailer = new LocalMailer(needs({ mailboxBytesMax: 6000 }), LOCAL, new Turns());
  assert.equal((await mailer.deliver(attempt({ to: ["full"], body: big })))[0]?.kind, "delivered");
  const before = readFileSync(join(jail, "var/spool/mail/full"));
  const [full] = await mailer.deliver(attempt({ to: ["full"], body: big }));
  assert.deepEqual([full?.kind, full?.status], ["failed", "5.2.2"]);
  assert.deepEqual(readFileSync(join(jail, "var/spool/mail/full")), before);
});

test("a body that cannot be read to its end leaves nothing behind", async () => {
  const torn = {
    ...body("x"),
    pieces: null,
    async *chunks(): AsyncGenerator<Buffer> {
      yield Buffer.from("half\r\n");
      throw Object.assign(new Error("gone"), { code: "EIO" });
    },
  };
  const [mbox] = await new LocalMailer(needs(), LOCAL, new Turns()).deliver(
    attempt({ to: ["torn"], body: torn }),
  );
  assert.equal(mbox?.kind, "deferred");
  assert.equal(readFileSync(join(jail, "var/spool/mail/torn"), "latin1"), "");
  const dir = needs({ mailbox: (user) => join(jail, "var/spool/mail", user, "/") });
  const [maildir] = await new LocalMailer(dir, LOCAL, new Turns()).deliver(
    attempt({ to: ["torndir"], body: torn }),
  );
  assert.equal(maildir?.kind, "deferred");
  assert.deepEqual(readdirSync(join(jail, "var/spool/mail/torndir/new")), []);
});

for (const user of ["..", ".", "a/b", "../../etc/passwd", "a\0b", "a\nb", ""])
  test(`no mailbox has the name ${JSON.stringify(user)}`, async () => {
    const [outcome] = await new LocalMailer(needs(), LOCAL, new Turns()).deliver(attempt({ to: [user] }));
    assert.deepEqual([outcome?.kind, outcome?.text], ["failed", "User unknown"]);
  });

test("a mailbox that is a link, even to one's own file, is not written", async () => {
  const target = join(jail, "target");
  writeFileSync(target, "");
  symlinkSync(target, join(jail, "var/spool/mail/linked"));
  const [outcome] = await new LocalMailer(needs(), LOCAL, new Turns()).deliver(attempt({ to: ["linked"] }));
  assert.equal(outcome?.kind, "failed");
  assert.equal(readFileSync(target, "latin1"), "");
});

// ---- the mailer *file* ----

const files = join(jail, "files");
mkdirSync(files);

test("an alias to a file appends as to a mailbox; the jail's own name in front is stripped", async () => {
  const mailer = new FileMailer(needs(), FILE, new Turns());
  for (const user of ["/files/archive", join(jail, "files/archive")]) {
    const [outcome] = await mailer.deliver(attempt({ to: [{ user, via: "archive" }] }));
    assert.equal(outcome?.text, "Sent", JSON.stringify(outcome));
  }
  const text = readFileSync(join(files, "archive"), "latin1");
  assert.match(
    text,
    /^From sender@here[^\n]*\nReturn-Path: <sender@here.example>\nSubject: test\n\nhello\n\nFrom /,
  );
});

test("/dev/null takes everything", async () => {
  const [outcome] = await new FileMailer(needs(), FILE, new Turns()).deliver(attempt({ to: ["/dev/null"] }));
  assert.equal(outcome?.kind, "delivered");
});

const outside = mkdtempSync(join(tmpdir(), "postern-outside-"));
after(() => rmSync(outside, { recursive: true, force: true }));
writeFileSync(join(outside, "victim"), "");

const ATTACKS: { name: string; path: string; prepare?: () => void }[] = [
  { name: ".. out of the jail", path: `/../${outside}/victim` },
  { name: ".. deep out of the jail", path: `/files/../../../../../../..${outside}/victim` },
  {
    name: "a symbolic link to a file outside",
    path: "/files/out",
    prepare: () => symlinkSync(join(outside, "victim"), join(files, "out")),
  },
  {
    name: "a symbolic link to a file inside",
    path: "/files/in",
    prepare: () => symlinkSync(join(files, "archive"), join(files, "in")),
  },
  {
    name: "a directory that is a symbolic link",
    path: "/files/dirlink/victim",
    prepare: () => symlinkSync(outside, join(files, "dirlink")),
  },
  {
    name: "a dangling symbolic link",
    path: "/files/dangling",
    prepare: () => symlinkSync(join(outside, "new"), join(files, "dangling")),
  },
  {
    name: "a hard link",
    path: "/files/hard",
    prepare: () => {
      writeFileSync(join(files, "hard0"), "");
      linkSync(join(files, "hard0"), join(files, "hard"));
    },
  },
  { name: "a FIFO", path: "/files/fifo", prepare: () => execFileSync("mkfifo", [join(files, "fifo")]) },
  { name: "a directory", path: "/files/sub", prepare: () => mkdirSync(join(files, "sub")) },
  { name: "the jail itself", path: "/" },
  {
    name: "an executable file",
    path: "/files/exe",
    prepare: () => writeFileSync(join(files, "exe"), "", { mode: 0o755 }),
  },
  {
    name: "a set-user-id file",
    path: "/files/suid",
    prepare: () => {
      writeFileSync(join(files, "suid"), "");
      chmodSync(join(files, "suid"), 0o4600);
    },
  },
  { name: "a name with NUL", path: "/files/a\0b" },
  { name: "a directory that is not there", path: "/nowhere/file" },
  { name: "/proc tricks", path: `/proc/self/root${outside}/victim` },
  { name: "a path outside, as it stands", path: join(outside, "victim") },
];

for (const { name, path, prepare } of ATTACKS)
  test(`*file* refuses ${name} with "Can't create output"`, async () => {
    prepare?.();
    const [outcome] = await new FileMailer(needs(), FILE, new Turns()).deliver(attempt({ to: [path] }));
    assert.deepEqual(
      [outcome?.kind, outcome?.text],
      ["failed", "Can't create output"],
      JSON.stringify(outcome),
    );
    assert.deepEqual(readdirSync(outside), ["victim"]);
    assert.equal(readFileSync(join(outside, "victim"), "latin1"), "");
  });

test("a file that is swapped for a link and back all the time never leads outside", async () => {
  const path = join(files, "raced");
  const swapper = spawn(
    "sh",
    [
      "-c",
      `while :; do ln -sfn ${outside}/victim ${path}; rm -f ${path}; : > ${path}; chmod 600 ${path}; rm -f ${path}; done`,
    ],
    { stdio: "ignore" },
  );
  const ended = new Promise<void>((resolve) => swapper.on("exit", () => resolve()));
  try {
    const mailer = new FileMailer(needs(), FILE, new Turns());
    for (let i = 0; i < 300; i++) {
      const [outcome] = await mailer.deliver(attempt({ to: ["/files/raced"] }));
      assert.ok(
        outcome?.kind === "delivered" || outcome?.text === "Can't create output",
        JSON.stringify(outcome),
      );
    }
  } finally {
    swapper.kill("SIGKILL");
    await ended;
  }
  assert.deepEqual(readdirSync(outside), ["victim"]);
  assert.equal(readFileSync(join(outside, "victim"), "latin1"), "");
});

test("a device and somebody else's file are refused", { skip: process.getuid?.() !== 0 }, async () => {
  try {
    execFileSync("mknod", [join(files, "null"), "c", "1", "3"], { stdio: "ignore" });
  } catch {
    writeFileSync(join(files, "null"), "", { mode: 0o755 });
  }
  writeFileSync(join(files, "foreign"), "");
  execFileSync("chown", ["12345", join(files, "foreign")]);
  const outcomes = await new FileMailer(needs(), FILE, new Turns()).deliver(
    attempt({ to: ["/files/null", "/files/foreign"] }),
  );
  assert.deepEqual(
    outcomes.map((o) => o.text),
    ["Can't create output", "Can't create output"],
  );
});

test("files and programs of an unsafe :include: are refused in Sendmail's words", async () => {
  const to = [{ user: "/files/archive", via: ":include:/x", unsafe: true }];
  const [file] = await new FileMailer(needs(), FILE, new Turns()).deliver(attempt({ to }));
  assert.equal(file?.text, "Address :include:/x is unsafe for mailing to files");
  const [prog] = await new ProgMailer(needs(), PROG).deliver(
    attempt({ to: [{ user: "cat", via: ":include:/x", unsafe: true }] }),
  );
  assert.equal(prog?.text, "Address :include:/x is unsafe for mailing to programs");
});

// ---- the mailer prog ----

const got = join(jail, "got");
script("take", `#!/bin/sh\n{ echo "args: $*"; cat; env; } > '${got}'\n`);
script("fails", "#!/bin/sh\necho reason >&2\nexit $1\n");
script("deaf", "#!/bin/sh\nexit 0\n");
script("dies", "#!/bin/sh\nkill -9 $$\n");
script("hangs", "#!/bin/sh\nsleep 60\n");
script("leaves", "#!/bin/sh\nsleep 60 &\nexit 0\n");
script("floods", "#!/bin/sh\nyes 2>/dev/null | head -c 1000000\nexit 69\n");
script("plain", "#!/bin/sh\nexit 0\n", 0o644);

test("a program gets From_ line, header and text with LF, its words as arguments, and a clean environment", async () => {
  process.env.POSTERN_TEST_SECRET = "secret";
  const [outcome] = await new ProgMailer(needs(), PROG).deliver(
    attempt({ to: [{ user: "\"|/bin/take -x 'a b'\"" }], body: body("..a\r\nFrom b\r\n") }),
  );
  assert.equal(outcome?.text, "Sent", JSON.stringify(outcome));
  const text = readFileSync(got, "latin1");
  assert.match(text, /^args: -x a b\nFrom sender@here\.example [^\n]*\nSubject: test\n\n\.a\nFrom b\n/);
  assert.doesNotMatch(text, /secret/);
  assert.match(text, /AGENT=sendmail/);
});

const ENDS: { command: string; kind: string; text: string; status?: string; wait?: number }[] = [
  { command: "deaf", kind: "delivered", text: "Sent" },
  { command: "leaves", kind: "delivered", text: "Sent" },
  { command: "fails 67", kind: "failed", text: "User unknown", status: "5.1.1" },
  { command: "fails 69", kind: "failed", text: "Service unavailable", status: "5.0.0" },
  { command: "fails 73", kind: "failed", text: "Can't create output", status: "5.0.0" },
  { command: "fails 75", kind: "deferred", text: "Deferred", status: "4.0.0" },
  { command: "fails 77", kind: "failed", text: "Insufficient permission", status: "5.0.0" },
  { command: "fails 1", kind: "failed", text: "unknown mailer error 1", status: "5.3.0" },
  { command: "dies", kind: "deferred", text: "Deferred" },
  { command: "hangs", kind: "deferred", text: "Deferred: the program took too long", wait: 1 },
  { command: "floods", kind: "failed", text: "Service unavailable" },
  { command: "absent", kind: "failed", text: "Service unavailable" },
  { command: "plain", kind: "failed", text: "Service unavailable" },
  { command: "deaf > /etc/passwd", kind: "failed", text: "Service unavailable" },
  { command: "deaf && fails 70", kind: "failed", text: "Internal error" },
  { command: "fails 1 || deaf", kind: "delivered", text: "Sent" },
  { command: "fails 1 && deaf", kind: "failed", text: "unknown mailer error 1" },
  { command: "exit 75", kind: "deferred", text: "Deferred" },
  { command: "echo gone && exit 67", kind: "failed", text: "User unknown" },
];

for (const { command, kind, text, status, wait } of ENDS)
  test(`|${command}: ${kind}, ${text}`, async () => {
    const [outcome] = await new ProgMailer(needs(), { ...PROG, waitSeconds: wait ?? 0 }).deliver(
      attempt({ to: [command], body: body("x\r\n".repeat(100_000)) }),
    );
    assert.deepEqual([outcome?.kind, outcome?.text], [kind, text], JSON.stringify(outcome));
    if (status !== undefined) assert.equal(outcome?.status, status);
    if (command.startsWith("fails 6")) {
      assert.ok(outcome?.transcript.includes("reason"));
      assert.match(outcome?.diagnostic ?? "", /^6\d$/);
    }
    assert.ok((outcome?.transcript.join("").length ?? 0) < 40_000);
  });

test("a program never sees the end of a message that could not be read to its end", async () => {
  rmSync(got, { force: true });
  const torn = {
    ...body("x"),
    pieces: null,
    async *chunks(): AsyncGenerator<Buffer> {
      yield Buffer.from("half\r\n");
      throw new Error("disk");
    },
  };
  script("whole", `#!/bin/sh\ncat > /dev/null && touch '${got}'\n`);
  const [outcome] = await new ProgMailer(needs(), PROG).deliver(attempt({ to: ["whole"], body: torn }));
  assert.equal(outcome?.kind, "deferred", JSON.stringify(outcome));
  assert.equal(existsSync(got), false);
});

test("after || the second program gets the message that the first did not want", async () => {
  rmSync(got, { force: true });
  const [outcome] = await new ProgMailer(needs(), PROG).deliver(attempt({ to: ["fails 1 || take"] }));
  assert.equal(outcome?.kind, "delivered");
  assert.match(readFileSync(got, "latin1"), /\nhello\n/);
});

// ---- programs of the configuration ----

test("A= becomes argv word by word; an address is one argument and never an option", async () => {
  const path = script("mda", `#!/bin/sh\n{ for a in "$@"; do echo "<$a>"; done; cat; } > '${got}'\n`);
  const spec: MailerSpec = {
    ...LOCAL,
    name: "procmail",
    kind: "procmail",
    flags: "DFMSPhnu9",
    path,
    args: "procmail -Y -m $h $f $u",
  };
  const mailer = new ProgramMailer(needs(), spec);
  const [outcome] = await mailer.deliver(attempt({ host: "/etc/rc file", to: ["a b;$(id)@x"] }));
  assert.equal(outcome?.kind, "delivered");
  assert.equal(
    readFileSync(got, "latin1"),
    "<-Y>\n<-m>\n</etc/rc file>\n<sender@here.example>\n<a b;$(id)@x>\nReturn-Path: <sender@here.example>\nSubject: test\n\nhello\n",
  );
  const [option] = await mailer.deliver(attempt({ host: "/rc", to: ["-oQ/tmp"] }));
  assert.deepEqual([option?.kind, option?.text], ["failed", "User unknown"]);
});

test("F=f and F=r hand the sender over as an option", async () => {
  const path = script("opts", `#!/bin/sh\n{ for a in "$@"; do echo "<$a>"; done; } > '${got}'\n`);
  for (const [flags, option] of [
    ["lsSPfhn9", "-f"],
    ["lsPrmn9", "-r"],
  ] as const) {
    const mailer = new ProgramMailer(needs(), {
      ...LOCAL,
      kind: "procmail",
      flags,
      path,
      args: "mail -d $u",
    });
    await mailer.deliver(attempt({ to: ["mick"] }));
    assert.equal(readFileSync(got, "latin1"), `<${option}>\n<sender@here.example>\n<-d>\n<mick>\n`);
  }
});

test("procmail itself, as a user who is not root: the mailbox gets the message, +detail and all", async () => {
  const [unpacked] = await debianPackages(process.arch === "arm64" ? "arm64" : "amd64", ["procmail"], true);
  const spec: MailerSpec = {
    ...LOCAL,
    kind: "procmail",
    flags: "lsDFMAw5:/|@qSPfhn9",
    path: join(unpacked?.folder ?? "", "usr/bin/procmail"),
    args: "procmail -Y -a $h -d $u",
  };
  const mailer = new ProgramMailer(needs(), spec, 8);
  const [outcome] = await mailer.deliver(
    attempt({ to: ["larry"], host: "ext", body: body("From here\r\n..dot\r\n") }),
  );
  assert.equal(outcome?.kind, "delivered", JSON.stringify(outcome));
  const text = readFileSync(join(jail, "var/spool/mail/larry"), "latin1");
  assert.match(
    text,
    /^From sender@here\.example [^\n]*\nReturn-Path: <sender@here\.example>\nSubject: test\n\n>From here\n\.dot\n\n$/,
  );
});

test("procmail as a mailer runs the rc file that the host names", async () => {
  const [unpacked] = await debianPackages(process.arch === "arm64" ? "arm64" : "amd64", ["procmail"], true);
  const rc = join(jail, "rc");
  writeFileSync(
    rc,
    `DEFAULT=${jail}/rcbox\nFROM=$1\nTO=$2\n:0 w\n| cat > ${got}; echo "$FROM $TO" >> ${got}\n`,
    { mode: 0o600 },
  );
  const spec: MailerSpec = {
    ...LOCAL,
    name: "procmail",
    kind: "procmail",
    flags: "DFMSPhnu9",
    path: join(unpacked?.folder ?? "", "usr/bin/procmail"),
    args: "procmail -Y -m $h $f $u",
  };
  const [outcome] = await new ProgramMailer(needs(), spec).deliver(
    attempt({ to: ["u@prog.example"], host: rc }),
  );
  // procmail trusts rc files only in folders that nobody else can write; where it does not, it says so and the message bounces.
  if (outcome?.kind === "delivered")
    assert.match(readFileSync(got, "latin1"), /sender@here\.example u@prog\.example\n$/);
  else assert.equal(outcome?.text, "Can't create output", JSON.stringify(outcome));
});
