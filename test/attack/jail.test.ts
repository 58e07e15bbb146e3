// The jail (confSAFE_FILE_ENV) under attack: hostile addresses of files, mailboxes and programs, delivered by a process that has confined
// itself and given root up as the daemon does, with a folder beside the jail that it could write if nothing but its owner counted.
// Each also without Landlock, and without openat2, as on older kernels: there the rules of sys/mailfile.ts stand alone.

import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  chownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { Orders, Report, Way } from "./jailworker.ts";

const root = process.getuid?.() === 0;
const me = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
const USERS = root
  ? [
      { name: "8:12", uid: 8, gid: 12 },
      { name: "an ordinary user", uid: 65534, gid: 65534 },
    ]
  : [{ name: "this user", ...me }];

const traced = (calls: string, ...inject: string[]): string[] => [
  "strace",
  ...["-f", "-qq", "--seccomp-bpf", "-o", "/dev/null", "-e", `trace=${calls}`],
  ...inject.flatMap((what) => ["-e", `inject=${what}:error=ENOSYS`]),
];
const KERNELS = [
  { name: "the kernel's jail", wrap: [], landlock: true },
  {
    name: "no Landlock",
    wrap: traced("landlock_create_ruleset", "landlock_create_ruleset"),
    landlock: false,
  },
  {
    name: "neither Landlock nor openat2",
    wrap: traced("landlock_create_ruleset,openat2", "landlock_create_ruleset", "openat2"),
    landlock: false,
  },
];

const REFUSED = "Can't create output";
const base: string[] = [];
const servers: Server[] = [];
after(() => {
  for (const server of servers) server.close();
  for (const folder of base) rmSync(folder, { recursive: true, force: true });
});

interface Ground {
  readonly folder: string;
  readonly jail: string;
  readonly outside: string;
  readonly programs: string;
}

/** A jail, a folder beside it, both the user's own, and programs that are not. */
function ground(user: { readonly uid: number; readonly gid: number }): Ground {
  const folder = mkdtempSync(join(tmpdir(), "postern-jail-"));
  base.push(folder);
  chmodSync(folder, 0o755);
  const [jail, outside, programs] = [join(folder, "jail"), join(folder, "outside"), join(folder, "programs")];
  for (const path of [
    jail,
    join(jail, "mail"),
    join(jail, "sub"),
    outside,
    join(outside, "folder"),
    join(outside, "empty"),
  ]) {
    mkdirSync(path);
    if (root) chownSync(path, user.uid, user.gid);
  }
  mkdirSync(programs);
  const mine = (path: string, text = "", mode = 0o600): void => {
    writeFileSync(path, text);
    if (root) chownSync(path, user.uid, user.gid);
    chmodSync(path, mode);
  };
  mine(join(outside, "victim"), "precious\n");
  mine(join(outside, "folder/deep"), "precious\n");
  mine(join(jail, "plain"));
  mine(join(jail, "executable"), "", 0o700);
  mine(join(jail, "setuid"), "", 0o4600);
  mine(join(jail, "setgid"), "", 0o2600);
  mine(join(jail, "sticky"), "", 0o1600);
  mine(join(jail, "twice"));
  linkSync(join(jail, "twice"), join(jail, "again"));
  linkSync(join(outside, "victim"), join(jail, "hard"));
  symlinkSync(join(outside, "victim"), join(jail, "link"));
  symlinkSync(join(outside, "new"), join(jail, "dangling"));
  symlinkSync(join(jail, "plain"), join(jail, "inward"));
  symlinkSync(outside, join(jail, "dirlink"));
  symlinkSync("..", join(jail, "uplink"));
  symlinkSync("/proc/self/cwd", join(jail, "cwd"));
  symlinkSync("/proc/self/root", join(jail, "root"));
  symlinkSync(outside, join(jail, "mail/boxlink"));
  symlinkSync(join(outside, "victim"), join(jail, "mail/victimlink"));
  symlinkSync(join(outside, "new"), join(jail, "mail/locked.lock"));
  assert.equal(spawnSync("mkfifo", [join(jail, "fifo")]).status, 0);
  const server = createServer();
  server.listen(join(jail, "socket"));
  servers.push(server);
  if (root) {
    assert.equal(spawnSync("mknod", ["-m", "666", join(jail, "null"), "c", "1", "3"]).status, 0);
    assert.equal(spawnSync("mknod", ["-m", "666", join(jail, "disk"), "b", "7", "250"]).status, 0);
    writeFileSync(join(jail, "foreign"), "");
    chmodSync(join(jail, "foreign"), 0o666);
  }
  return { folder, jail, outside, programs };
}

/** Everything below `folder` but the jail: names, owners, modes, contents. */
function state(folder: string): string[] {
  const lines: string[] = [];
  const visit = (path: string): void => {
    const s = lstatSync(path);
    const text = s.isFile() ? createHash("sha256").update(readFileSync(path)).digest("hex") : "";
    lines.push(
      `${path} ${s.mode.toString(8)} ${s.uid} ${s.gid} ${s.isDirectory() ? "" : `${s.nlink} ${s.mtimeMs}`} ${text}`,
    );
    if (s.isDirectory()) for (const name of readdirSync(path).sort()) visit(join(path, name));
  };
  for (const name of readdirSync(folder).sort()) if (name !== "jail") visit(join(folder, name));
  return lines;
}

const WORKER = join(import.meta.dirname, "jailworker.ts");
const NOTHING = { addresses: [], times: 1, names: 0, calls: 0 } as const;

async function work(orders: Orders, wrap: readonly string[]): Promise<Report> {
  const [file = "", ...args] = [...wrap, process.execPath, WORKER];
  const child = spawn(file, args, { stdio: ["pipe", "pipe", "pipe"], cwd: "/" });
  let out = "";
  let err = "";
  child.stdout.on("data", (d: Buffer) => (out += d.toString()));
  child.stderr.on("data", (d: Buffer) => (err += d.toString()));
  child.stdin.end(JSON.stringify(orders));
  const timer = setTimeout(() => child.kill("SIGKILL"), 60_000);
  const status = await new Promise((resolve) => child.on("close", resolve));
  clearTimeout(timer);
  assert.equal(status, 0, err);
  return JSON.parse(out) as Report;
}

interface Case {
  readonly name: string;
  readonly way: Way;
  readonly user: (g: Ground) => string;
  /** What became of it; undefined: refused, in whatever words. */
  readonly expected?: string;
  readonly rootOnly?: true;
}

const file = (name: string, user: string | ((g: Ground) => string), expected = REFUSED): Case => ({
  name,
  way: "file",
  user: typeof user === "string" ? () => user : user,
  expected,
});

const CASES: readonly Case[] = [
  // What SafeFileEnvironment promises.
  file("a file of the jail by its name inside", "/plain", "delivered"),
  file("a file of the jail by its whole name", (g) => `${g.jail}/plain`, "delivered"),
  file("a new file", "/sub/new", "delivered"),
  file("a name that begins with a dash", "/-rf", "delivered"),
  file("a name with a newline", "/a\nb", "delivered"),
  file("/dev/null", "/dev/null", "delivered"),
  // The way out.
  file("/etc/passwd", "/etc/passwd"),
  file("a path outside", (g) => `${g.outside}/victim`),
  file("a new file outside", (g) => `${g.outside}/new`),
  file("..", "/../outside/victim"),
  file("the jail's name and ..", (g) => `${g.jail}/../outside/victim`),
  file(".. behind a folder", "/sub/../../outside/victim"),
  file("many ..", (g) => `${"/..".repeat(40)}${g.outside}/victim`),
  file("a name that only begins like the jail's", (g) => `${g.jail}beside/victim`),
  file("a symbolic link out", "/link"),
  file("a dangling symbolic link out", "/dangling"),
  file("a symbolic link inward", "/inward"),
  file("a folder that is a link", "/dirlink/victim"),
  file("a new file behind a folder that is a link", "/dirlink/new"),
  file("a link to ..", "/uplink/outside/victim"),
  file("/proc/self/cwd", (g) => `/cwd${g.outside}/victim`),
  file("/proc/self/root", (g) => `/root${g.outside}/victim`),
  file("/proc by its own name", (g) => `/proc/self/root${g.outside}/victim`),
  file("a hard link to a file outside", "/hard"),
  // What is no plain file of our own.
  file("a file with two names", "/twice"),
  file("a FIFO", "/fifo"),
  file("a socket", "/socket"),
  file("a directory", "/sub"),
  file("the jail", "/"),
  file("a name that ends in a slash", "/plain/"),
  file("an executable file", "/executable"),
  file("a set-user-id file", "/setuid"),
  file("a set-group-id file", "/setgid"),
  file("a sticky file", "/sticky"),
  file("NUL in the name", "/plain\0/../outside/victim"),
  file("a name that is too long", `/${"x".repeat(300)}`),
  { ...file("a character device", "/null"), rootOnly: true },
  { ...file("a block device", "/disk"), rootOnly: true },
  { ...file("somebody else's file that all may write", "/foreign"), rootOnly: true },
  // Names of users.
  { name: "a mailbox", way: "mailbox", user: () => "mick", expected: "delivered" },
  { name: "a Maildir", way: "maildir", user: () => "keith", expected: "delivered" },
  { name: "a user with +detail and dots", way: "mailbox", user: () => "mick+..", expected: "delivered" },
  { name: "a user named ../x", way: "mailbox", user: () => "../../outside/victim" },
  { name: "a user named ..", way: "maildir", user: () => ".." },
  { name: "a user with an absolute name", way: "mailbox", user: (g) => `${g.outside}/victim` },
  { name: "a user with a detail that climbs", way: "maildir", user: () => "mick+/../../../outside" },
  { name: "a user with NUL", way: "mailbox", user: () => "mick\0x" },
  { name: "a mailbox that is a link", way: "mailbox", user: () => "victimlink" },
  { name: "a Maildir that is a link", way: "maildir", user: () => "boxlink" },
  { name: "a mailbox whose lock is a link", way: "mailbox", user: () => "locked" },
];

function prepared(user: (typeof USERS)[number]): { g: Ground; orders: Orders; before: string[] } {
  const g = ground(user);
  const orders = {
    ...NOTHING,
    jail: g.jail,
    outside: g.outside,
    programs: g.programs,
    uid: user.uid,
    gid: user.gid,
  };
  return { g, orders, before: state(g.folder) };
}

for (const [i, user] of USERS.entries())
  for (const kernel of KERNELS) {
    // Who the daemon is makes no difference to the rules that are ours; the kernel's are tried as both.
    if (i > 0 && !kernel.landlock) continue;
    const where = `${user.name}, ${kernel.name}`;

    test(`${where}: no address of the table leads outside`, async () => {
      const { g, orders, before } = prepared(user);
      const cases = CASES.filter((c) => root || c.rootOnly !== true);
      const passwd = readFileSync("/etc/passwd");
      const addresses = cases.map((c) => ({ way: c.way, user: c.user(g) }));
      const report = await work({ ...orders, addresses }, kernel.wrap);
      assert.match(
        report.log.join("\n"),
        kernel.landlock ? /jail: writes only beneath/ : /WARNING: no jail by the kernel/,
      );
      for (const [i, c] of cases.entries()) {
        const [said = ""] = report.outcomes[i] ?? [];
        if (c.expected === undefined) assert.notEqual(said, "delivered", c.name);
        else assert.equal(said, c.expected, c.name);
      }
      assert.deepEqual(state(g.folder), before);
      assert.deepEqual(readFileSync("/etc/passwd"), passwd);
      assert.match(readFileSync(join(g.jail, "plain"), "latin1"), /^From sender@here\.example /);
      assert.equal(lstatSync(join(g.jail, "sub/new")).uid, user.uid);
      assert.equal(readdirSync(join(g.jail, "mail/keith/new")).length, 1);
    });

    test(`${where}: arbitrary names write nothing outside and break nothing`, async () => {
      const { g, orders, before } = prepared(user);
      const report = await work({ ...orders, names: kernel.landlock ? 500 : 150 }, kernel.wrap);
      assert.deepEqual(report.thrown, []);
      assert.deepEqual(state(g.folder), before);
    });

    test(`${where}: what is swapped for links all the time never leads outside`, async () => {
      const { g, orders, before } = prepared(user);
      const swapper = swap(g, user);
      try {
        const addresses = [
          { way: "file" as const, user: "/raced" },
          { way: "file" as const, user: "/folder/raced" },
          { way: "mailbox" as const, user: "raced" },
          { way: "maildir" as const, user: "box" },
        ];
        const report = await work({ ...orders, addresses, times: 60 }, kernel.wrap);
        assert.equal(report.outcomes.length, addresses.length);
      } finally {
        await ended(swapper);
      }
      assert.deepEqual(state(g.folder), before);
    });
  }

/** A second process of the same user that keeps changing what lies under the names. */
function swap(g: Ground, user: { readonly uid: number; readonly gid: number }): ChildProcess {
  const loop = `cd ${g.jail} || exit 1
    mkdir -p mail/box/tmp mail/box/new mail/box/cur
    while :; do
      : > raced; rm -f raced; ln -s ../outside/victim raced; rm -f raced
      ln -s ../../outside/victim mail/raced; rm -f mail/raced; : > mail/raced; rm -f mail/raced
      mkdir folder; rm -rf folder; ln -s ../outside folder; rm -f folder
      mv mail/box/new mail/box/old; ln -s ../../../outside mail/box/new; rm -f mail/box/new; mv mail/box/old mail/box/new
      ln -s ../../outside/lock mail/raced.lock; rm -f mail/raced.lock
    done`;
  return spawn("sh", ["-c", loop], { stdio: "ignore", ...(root ? { uid: user.uid, gid: user.gid } : {}) });
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.on("close", () => resolve());
    child.kill("SIGKILL");
  });
}

test("without the kernel's jail those calls would go through, so the ground is a fair one", async () => {
  const [user] = USERS;
  assert.ok(user !== undefined);
  const { orders } = prepared(user);
  const report = await work({ ...orders, calls: 400 }, KERNELS[1]?.wrap ?? []);
  const calls = new Set(report.succeeded.map((said) => said.slice(0, said.lastIndexOf(" "))));
  // Which of them depends on what an earlier one left behind.
  assert.ok(calls.size >= 8, [...calls].join(", "));
});

for (const user of USERS) {
  test(`${user.name}: whatever the daemon's own user calls outside the jail is refused by the kernel`, async () => {
    const { g, orders, before } = prepared(user);
    const report = await work({ ...orders, calls: 400 }, []);
    assert.deepEqual(report.succeeded, []);
    assert.deepEqual(state(g.folder), before);
  });

  test(`${user.name}: a program of an alias writes inside the jail and nowhere else`, async () => {
    const { g, orders, before } = prepared(user);
    const tries = [
      `echo x > ${g.outside}/victim`,
      `echo x >> ${g.outside}/new`,
      `rm -rf ${g.outside}/folder`,
      `mv ${g.outside}/victim ${g.jail}/stolen`,
      `ln ${g.jail}/plain ${g.outside}/linked`,
      `ln -s /etc ${g.outside}/etc`,
      `cd ${g.jail}; ln -s ${g.outside} out; echo x > out/new`,
      `setsid sh -c "echo x > ${g.outside}/later"`,
      `cat > ${g.jail}/received`,
    ];
    writeFileSync(join(g.programs, "hostile"), `#!/bin/sh\n(${tries.join(")\n(")})\nexit 0\n`, {
      mode: 0o755,
    });
    const program = state(g.folder);
    const report = await work({ ...orders, addresses: [{ way: "program", user: "|hostile" }] }, []);
    assert.deepEqual(report.outcomes, [["delivered"]]);
    assert.match(readFileSync(join(g.jail, "received"), "latin1"), /Subject: test/);
    assert.deepEqual(state(g.folder), program);
    assert.equal(before.length + 1, program.length);
  });

  test(`${user.name}: other mounts in the jail are outside`, {
    skip: root ? false : "needs root",
  }, async () => {
    for (const kernel of KERNELS) {
      const { g, orders, before } = prepared(user);
      mkdirSync(join(g.jail, "bound"));
      mkdirSync(join(g.jail, "memory"));
      writeFileSync(join(g.jail, "covered"), "");
      const mounts = [
        `mount --bind ${g.outside} ${g.jail}/bound`,
        `mount --bind ${g.outside}/victim ${g.jail}/covered`,
        `mount -t tmpfs -o mode=777 none ${g.jail}/memory`,
        'exec "$@"',
      ].join(" && ");
      const wrap = ["unshare", "-m", "--propagation", "private", "sh", "-c", mounts, "sh", ...kernel.wrap];
      const addresses = ["/bound/victim", "/bound/new", "/covered", "/memory/new"].map((name) => ({
        way: "file" as const,
        user: name,
      }));
      const report = await work({ ...orders, addresses }, wrap);
      assert.deepEqual(
        report.outcomes,
        addresses.map(() => [REFUSED]),
        kernel.name,
      );
      assert.deepEqual(state(g.folder), before, kernel.name);
    }
  });
}
