// What the init scripts do with what a configuration gives them: accounts, clock, names, time servers, leases. They run under
// BusyBox itself. The files are data: nothing in them may become a command.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { execa } from "execa";
import { ROOT } from "../../scripts/board.ts";
import { makeSandbox } from "./sandbox.ts";

test("every script passes shellcheck", async () => {
  const scripts = [
    ...readdirSync(join(ROOT, "rootfs/etc/init.d")).map((name) => `rootfs/etc/init.d/${name}`),
    ...readdirSync(join(ROOT, "rootfs/lib/postern")).map((name) => `rootfs/lib/postern/${name}`),
    "rootfs/usr/share/udhcpc/default.script",
  ];
  const dash = await execa("shellcheck", ["-x", "-P", ".", "-s", "dash", "-S", "warning", ...scripts], {
    cwd: ROOT,
    reject: false,
  });
  assert.equal(dash.stdout, "");
  const setup = await execa("shellcheck", ["-S", "warning", "scripts/setup.sh", "scripts/node", ".ci/run"], {
    cwd: ROOT,
    reject: false,
  });
  assert.equal(setup.stdout, "");
});

const SETTINGS: readonly { name: string; text: string; key: string; expected: string }[] = [
  { name: "a word with an equals sign", text: "QUEUE=30m\n", key: "QUEUE", expected: "30m" },
  {
    name: "a word with a blank",
    text: "  address 192.0.2.25/24\n",
    key: "address",
    expected: "192.0.2.25/24",
  },
  { name: "the last of several wins", text: "DAEMON=yes\nDAEMON=no\n", key: "DAEMON", expected: "no" },
  { name: "quotes are taken off", text: 'QUEUE="15m"\n', key: "QUEUE", expected: "15m" },
  { name: "a comment is no value", text: "# QUEUE=1m\n", key: "QUEUE", expected: "(none)" },
  { name: "a comment behind a value goes", text: "size 64 # kB\n", key: "size", expected: "64" },
  { name: "a longer key is another key", text: "address6 auto\n", key: "address", expected: "(none)" },
  {
    name: "a command stays text",
    text: "QUEUE=$(touch /tmp/bad)`touch /tmp/bad`\n",
    key: "QUEUE",
    expected: "$(touch /tmp/bad)`touch /tmp/bad`",
  },
  { name: "a missing file has no values", text: "", key: "QUEUE", expected: "(none)" },
];

test("setting reads one value of a file and runs nothing", async (t) => {
  using box = await makeSandbox();
  for (const { name, text, key, expected } of SETTINGS)
    await t.test(name, async () => {
      box.file("config/system/some", text);
      const { output } = await box.run(
        `. /lib/postern/functions; setting /config/system/some ${key} || echo "(none)"; ls /tmp`,
      );
      assert.equal(output, expected);
    });
});

const FLOORS: readonly { name: string; clock: string | null; spool: string | null; expected: string }[] = [
  { name: "the build's date when nothing else is known", clock: null, spool: null, expected: "1700000000" },
  { name: "the last clean stop when it is later", clock: "1800000000", spool: null, expected: "1800000000" },
  {
    name: "the newest file of the spool when that is later",
    clock: "1700000001",
    spool: "@1750000000",
    expected: "1750000000",
  },
  { name: "an earlier stop does not take it back", clock: "1600000000", spool: null, expected: "1700000000" },
  { name: "rubbish is no time", clock: "yesterday; reboot", spool: null, expected: "1700000000" },
  { name: "a time after 2100 is no time", clock: "99999999999", spool: null, expected: "1700000000" },
];

test("the clock's floor", async (t) => {
  for (const { name, clock, spool, expected } of FLOORS)
    await t.test(name, async () => {
      using box = await makeSandbox();
      if (clock !== null) box.file("var/flash/device/clock", `${clock}\n`);
      const touch =
        spool === null
          ? ""
          : `q=/var/flash/jail/var/spool/mqueue; mkdir -p $q; touch $q/seg; touch -d ${spool} $q/seg; touch -d @1000 $q;`;
      const { output } = await box.run(`${touch} /etc/init.d/S05clock floor`);
      assert.equal(output, expected);
    });
});

test("accounts come from system/passwd, hashes only into shadow", async () => {
  using box = await makeSandbox();
  box.file(
    "config/system/passwd",
    "root:$6$salt$hash:0:0:root:/root:/bin/sh\nmick:!:1000:100:Mick:/:/bin/nologin\nbad line\n../x::0:0:::\nshort:x:1\n",
  );
  const { output } = await box.run(
    "/etc/init.d/S03config start; cat /run/etc/passwd; echo --; cat /run/etc/shadow; stat -c %a /run/etc/shadow /run/etc/passwd",
  );
  const [, passwd = "", shadow = ""] = /^([\s\S]*)--\n([\s\S]*)$/.exec(output) ?? [];
  assert.match(passwd, /^root:x:0:0:root:\/root:\/bin\/sh$/m);
  assert.match(passwd, /^mick:x:1000:100:Mick:\/:\/bin\/nologin$/m);
  assert.match(passwd, /^mail:x:8:12:/m);
  assert.doesNotMatch(passwd, /salt|bad line|\.\.\/x|short/);
  assert.match(shadow, /^root:\$6\$salt\$hash:/m);
  assert.match(shadow, /^mail:\*:/m);
  assert.match(shadow, /600\n644$/);
});

test("without any accounts root may log in at the console, and the banner says so", async () => {
  using box = await makeSandbox();
  const { output } = await box.run(
    "/etc/init.d/S03config start; tail -n 1 /run/etc/shadow; cat /run/etc/issue /dev/console",
  );
  assert.match(output, /^root:::::::/m);
  assert.match(output, /there is no password/);
  assert.match(output, /neither slot holds a configuration image/);
});

test("accounts of the last good configuration are used when the image cannot be read", async () => {
  using box = await makeSandbox();
  box.file("var/flash/device/passwd", "root:$6$kept$hash:0:0:root:/root:/bin/sh\n", 0o600);
  const { output } = await box.run("/etc/init.d/S03config start; cat /run/etc/shadow /run/etc/issue");
  assert.match(output, /^root:\$6\$kept\$hash:/m);
  assert.doesNotMatch(output, /there is no password/);
});

test("only names and addresses become time servers", async () => {
  using box = await makeSandbox();
  box.file(
    "config/system/ntp",
    "# none\nntp.example.org\n192.0.2.1 # near\n2001:db8::1\nlisten on *\nx; constraint\n",
  );
  box.file("usr/sbin/ntpd", "#!/bin/sh\nexit 0\n", 0o755);
  const { output } = await box.run("/etc/init.d/S50ntp start; cat /run/openntpd/ntpd.conf");
  assert.equal(output, "servers ntp.example.org\nservers 192.0.2.1\nservers 2001:db8::1");
});

test("a lease gives address and name servers", async () => {
  using box = await makeSandbox();
  const { output } = await box.run(
    "interface=lo ip=192.0.2.9 mask=24 dns='192.0.2.53 192.0.2.54' domain=example.org /usr/share/udhcpc/default.script bound; cat /run/etc/resolv.conf; ip -4 addr show lo",
  );
  assert.match(output, /^search example\.org\nnameserver 192\.0\.2\.53\nnameserver 192\.0\.2\.54\n/);
  assert.match(output, /inet 192\.0\.2\.9\/24/);
});

test("name servers of the configuration win over those of a lease", async () => {
  using box = await makeSandbox();
  box.file("config/system/resolv.conf", "nameserver 127.0.0.1\n");
  const { output } = await box.run(
    "/etc/init.d/S03config start; interface=lo ip=192.0.2.9 dns=192.0.2.53 /usr/share/udhcpc/default.script bound; cat /run/etc/resolv.conf",
  );
  assert.equal(output, "nameserver 127.0.0.1");
});

test("every script says how it is called, with status 64", async (t) => {
  using box = await makeSandbox();
  for (const name of readdirSync(join(ROOT, "rootfs/etc/init.d")).filter((entry) => entry.startsWith("S")))
    await t.test(name, async () => {
      const { output, status } = await box.run(`/etc/init.d/${name} nonsense`);
      assert.match(output, /^usage: .*start.*stop/);
      assert.equal(status, 64);
      assert.match(readFileSync(join(ROOT, "rootfs/etc/init.d", name), "utf8"), /^#!\/bin\/sh\n# /);
    });
});
