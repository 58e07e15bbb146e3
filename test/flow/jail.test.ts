// The whole gateway in its jail: aliases to files in, at and outside confSAFE_FILE_ENV, programs, :include: files that others may write;
// as root (who becomes 8:12) and as an ordinary user. And its self-test: a kernel that only pretends is found out at the start.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
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
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { freePort, Gateway, Sink, send, until } from "./gateway.ts";

const root = process.getuid?.() === 0;
const MAIN = join(import.meta.dirname, "../../src/main.ts");

/** May everybody get at the sources? Without that the gateway cannot be started as somebody else. */
function readable(path: string): boolean {
  if (path === "/") return true;
  return (statSync(path).mode & 0o001) !== 0 && readable(dirname(path));
}

interface User {
  readonly name: string;
  /** What the gateway is after its start. */
  readonly uid: number;
  readonly gid: number;
  /** Who starts it. */
  readonly starts: "root" | "itself";
}

const OWN: User = {
  name: "an ordinary user",
  uid: process.getuid?.() ?? 0,
  gid: process.getgid?.() ?? 0,
  starts: "itself",
};
const USERS: readonly User[] = root
  ? [
      { name: "root, who becomes 8:12", uid: 8, gid: 12, starts: "root" },
      ...(readable(dirname(MAIN)) ? [{ ...OWN, uid: 65534, gid: 65534 }] : []),
    ]
  : [OWN];

const INCLUDES = { own: 0o644, group: 0o664, world: 0o646 };

const outsides: string[] = [];
after(() => {
  for (const folder of outsides) rmSync(folder, { recursive: true, force: true });
});

async function prepared(user: User, sink: Sink): Promise<{ gateway: Gateway; outside: string }> {
  const gateway = new Gateway("jail");
  const port = await freePort();
  gateway.port = port;
  // Not in the gateway's folder: the one of the control socket is open to it.
  const outside = mkdtempSync(join(tmpdir(), "postern-outside-"));
  outsides.push(outside);
  const programs = join(gateway.folder, "programs");
  const { queue } = gateway;
  mkdirSync(programs);
  writeFileSync(join(outside, "victim"), "precious\n");
  writeFileSync(
    join(programs, "archive"),
    `#!/bin/sh\ncat > ${queue}/archived\necho x > ${outside}/program\nexit 0\n`,
    { mode: 0o755 },
  );
  symlinkSync(join(outside, "victim"), join(queue, "link"));
  symlinkSync(outside, join(queue, "dirlink"));
  if (root) for (const path of [queue, outside, join(outside, "victim")]) chownSync(path, user.uid, user.gid);
  if (root && user.starts === "itself") chownSync(gateway.folder, user.uid, user.gid);
  const lists = Object.keys(INCLUDES);
  gateway.write({
    "sendmail.mc": `OSTYPE(\`linux')dnl
define(\`confDOMAIN_NAME',\`gate.test')dnl
FEATURE(\`no_default_msa')dnl
FEATURE(\`smrsh',\`${programs}')dnl
DAEMON_OPTIONS(\`Port=${port},Addr=127.0.0.1,Name=MTA')dnl
FEATURE(\`accept_unresolvable_domains')dnl
define(\`SMART_HOST',\`relay:[127.0.0.1]')dnl
define(\`MAIL_HUB',\`relay:[127.0.0.1]')dnl
define(\`RELAY_MAILER_ARGS',\`TCP $h ${sink.port}')dnl
MAILER(\`local')dnl
MAILER(\`smtp')dnl
`,
    "local-host-names": "gate.test\n",
    aliases: `${[
      "postmaster: root",
      "inside: /kept",
      `named: ${queue}/named`,
      `out: ${outside}/victim`,
      `newout: ${outside}/new`,
      "passwd: /etc/passwd",
      `climb: ${queue}${"/..".repeat(10)}${outside}/victim`,
      "link: /link",
      "dirlink: /dirlink/new",
      "null: /dev/null",
      'program: "|archive"',
      'shell: "|/bin/sh -c id"',
      ...lists.map((name) => `${name}list: :include:${gateway.config}/${name}.list`),
    ].join("\n")}\n`,
  });
  for (const [name, mode] of Object.entries(INCLUDES)) {
    const list = join(gateway.config, `${name}.list`);
    writeFileSync(list, `/include-${name}\n"|archive"\nreader@elsewhere.test\n`);
    chmodSync(list, mode);
  }
  return { gateway, outside };
}

const BOUNCED: readonly (readonly [string, RegExp])[] = [
  ["out", /Can't create output/],
  ["newout", /Can't create output/],
  ["passwd", /Can't create output/],
  ["climb", /Can't create output/],
  ["link", /Can't create output/],
  ["dirlink", /Can't create output/],
  ["shell", /not available for sendmail programs/],
];

for (const user of USERS)
  test(`${user.name}: aliases to files and programs write beneath the jail and nowhere else`, async () => {
    const sink = new Sink();
    await sink.start();
    const { gateway, outside } = await prepared(user, sink);
    const { queue, port } = gateway;
    const passwd = readFileSync("/etc/passwd");
    const message = (to: string): string => `From: <a@sender.test>\r\nSubject: for ${to}\r\n\r\ntext\r\n`;
    try {
      gateway.user = user.starts === "itself" && root ? { uid: user.uid, gid: user.gid } : null;
      await gateway.start();
      assert.match(gateway.output, /jail: writes only beneath/);
      for (const to of ["inside", "named", "null", "program", ...BOUNCED.map(([name]) => name)])
        assert.match(await send(port, "a@sender.test", [`${to}@gate.test`], message(to)), /^250 /, to);
      await until("the good ones are there", 20, () =>
        ["kept", "named", "archived"].every(
          (name) => existsSync(join(queue, name)) && /text/.test(readFileSync(join(queue, name), "latin1")),
        ),
      );
      const bounces = (): string[] =>
        sink.received
          .filter((m) => m.mail.startsWith("MAIL FROM:<>") || m.mail.startsWith("MAIL From:<>"))
          .map((m) => m.data);
      for (const [to, words] of BOUNCED) {
        const bounce = await until(`the one for ${to} comes back`, 20, () =>
          bounces().find((data) => data.includes(`Subject: for ${to}\r\n`)),
        );
        assert.match(bounce, words, to);
      }
      assert.equal(bounces().length, BOUNCED.length);
      assert.deepEqual(readdirSync(outside), ["victim"]);
      assert.equal(readFileSync(join(outside, "victim"), "latin1"), "precious\n");
      assert.deepEqual(readFileSync("/etc/passwd"), passwd);
      const kept = lstatSync(join(queue, "kept"));
      assert.deepEqual([kept.uid, kept.gid, kept.mode & 0o777], [user.uid, user.gid, 0o600]);
      assert.equal(lstatSync(join(queue, "archived")).uid, user.uid);
    } finally {
      await gateway.remove();
      await sink.stop();
    }
  });

test("an :include: that others may write is not read, one of the administrator's is", async () => {
  const sink = new Sink();
  await sink.start();
  const [user] = USERS;
  assert.ok(user !== undefined);
  const { gateway } = await prepared(user, sink);
  const { queue, port } = gateway;
  try {
    await gateway.start();
    for (const name of Object.keys(INCLUDES))
      await send(port, "a@sender.test", [`${name}list@gate.test`], `Subject: ${name}\r\n\r\ntext\r\n`);
    const mail = await until("the good list's reader has it", 20, () =>
      sink.received.find((m) => m.rcpt.some((line) => line.includes("reader@elsewhere.test"))),
    );
    assert.match(mail.data, /Subject: own/);
    await until("its file and program too", 20, () =>
      ["include-own", "archived"].every((name) => existsSync(join(queue, name))),
    );
    await until("the others are refused", 20, () =>
      ["group", "world"].every((name) =>
        new RegExp(`${name}\\.list.*${name} writable file`, "i").test(gateway.output),
      ),
    );
    assert.deepEqual(
      ["include-group", "include-world"].filter((name) => existsSync(join(queue, name))),
      [],
    );
    const readers = sink.received.filter((m) => m.rcpt.some((line) => line.includes("reader@")));
    assert.equal(readers.length, 1);
  } finally {
    await gateway.remove();
    await sink.stop();
  }
});

const SOURCES = ["-bD", "-q15m"];

test("a kernel that only pretends to confine is found out: the daemon does not run", async () => {
  const sink = new Sink();
  const [user] = USERS;
  assert.ok(user !== undefined);
  const { gateway } = await prepared(user, sink);
  try {
    const inject = ["-e", "trace=landlock_restrict_self", "-e", "inject=landlock_restrict_self:retval=0"];
    const words = ["-f", "-qq", "--seccomp-bpf", "-o", "/dev/null", ...inject, process.execPath, MAIN];
    const run = spawnSync("strace", [...words, "sendmail", ...gateway.options(), ...SOURCES], {
      encoding: "utf8",
      timeout: 30_000,
    });
    assert.equal(run.status, 70, run.stderr);
    assert.match(run.stderr, /the jail does not hold: .* could be created/);
  } finally {
    await gateway.remove();
  }
});
