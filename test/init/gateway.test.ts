// The keeper of the gateway and its init script, with programs of the test in the gateway's place: what is started again and
// when, what exit 78 does, that stop returns when the process has ended, and what the gateway is given.

import assert from "node:assert/strict";
import { test } from "node:test";
import { makeSandbox, type Sandbox } from "./sandbox.ts";

const START = `/etc/init.d/S20syslog start; /lib/postern/gateway & keeper=$!; /etc/init.d/S80postern start`;

/** Waits in the sandbox until a command succeeds, at most 20 s. */
const until = (condition: string) =>
  `n=0; until ${condition}; do n=$((n+1)); [ $n -lt 200 ] || { echo "never: ${condition.replaceAll('"', "")}"; break; }; sleep 0.1; done`;

function program(box: Sandbox, text: string): void {
  box.file("usr/sbin/sendmail", `#!/bin/sh\n${text}\n`, 0o755);
}

test("it is started with the configured words and an environment of its own", async () => {
  using box = await makeSandbox();
  program(box, 'echo "$@" >/tmp/words; env | sort >/tmp/environment; exec sleep 100');
  box.file("config/system/sendmail", "DAEMON=yes\nQUEUE=30m\n");
  box.file("config/system/timezone", "Europe/Berlin\n");
  const { output } = await box.run(
    `export SECRET=1; ${START}; ${until("[ -s /tmp/environment ]")}; cat /tmp/words; cat /tmp/environment; /etc/init.d/S80postern status`,
  );
  const [words, ...rest] = output.split("\n");
  assert.equal(words, "-bD -q30m");
  const status = rest.pop();
  assert.match(status ?? "", /^running \(process \d+\)$/);
  const names = rest.filter((line) => !/^(PWD|SHLVL|OLDPWD|_)=/.test(line));
  assert.deepEqual(names, [
    "HOME=/",
    "LANG=C",
    "MALLOC_ARENA_MAX=1",
    "NODE_OPTIONS=--max-old-space-size=64",
    "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
    "POSTERN_NATIVE_PATH=/run/postern-native",
    "POSTERN_SYSLOG=/dev/log",
    "TZ=Europe/Berlin",
  ]);
});

test("a gateway that ends is started again after 1 s, then 2 s", async () => {
  using box = await makeSandbox();
  program(box, "cut -d. -f1 /proc/uptime >>/tmp/starts; exit 1");
  const { output } = await box.run(
    `${START}; ${until("[ -e /tmp/starts -a $(cat /tmp/starts | wc -l) -ge 3 ]")}; cat /tmp/starts; grep ended /dev/console`,
  );
  const lines = output.split("\n");
  const [first = 0, second = 0, third = 0] = lines
    .slice(-6)
    .filter((line) => /^\d+$/.test(line))
    .map(Number);
  assert.ok(second - first >= 1 && second - first <= 3, output);
  assert.ok(third - second >= 2 && third - second <= 4, output);
  assert.match(output, /status 1\) after [01] s; starting it again in 1 s/);
  assert.match(output, /starting it again in 2 s/);
});

for (const [how, tells] of [
  ["kill -ABRT $$", true],
  ["kill -SEGV $$", true],
  ["kill -BUS $$", true],
  ["kill -KILL $$", false],
  ["kill -TERM $$", false],
  ["exit 70", false],
  ["exit 0", false],
] as const)
  test(`after "${how}" the next start ${tells ? "is" : "is not"} told that the program ended by itself`, async () => {
    using box = await makeSandbox();
    program(
      box,
      `[ -e /tmp/first ] || { : >/tmp/first; ${how}; }\necho "told \${POSTERN_CRASHED:-nothing}" >/tmp/told; exec sleep 100`,
    );
    const { output } = await box.run(`${START}; ${until("[ -s /tmp/told ]")}; cat /tmp/told`);
    assert.match(output, tells ? /^told 1$/m : /^told nothing$/m);
  });

test("exit 78 is not tried again, and its reason is on the console", async () => {
  using box = await makeSandbox();
  program(
    box,
    "echo start >>/tmp/starts; echo '/etc/mail/sendmail.mc:7:1: unknown FEATURE(nosuch)' >&2; exit 78",
  );
  const { output, status } = await box.run(
    `${START}; ${until("[ -e /run/gateway/refused ]")}; sleep 2; wc -l </tmp/starts; cat /dev/console; /etc/init.d/S80postern status`,
  );
  assert.match(output, /^1$/m);
  assert.match(
    output,
    /the gateway refuses its configuration:\n {2}\/etc\/mail\/sendmail\.mc:7:1: unknown FEATURE\(nosuch\)\n/,
  );
  assert.match(output, /not running: it refuses its configuration/);
  assert.equal(status, 3);
});

test("after a refusal start tries again", async () => {
  using box = await makeSandbox();
  program(box, "[ -e /tmp/good ] && exec sleep 100; exit 78");
  const { output } = await box.run(
    `${START}; ${until("[ -e /run/gateway/refused ]")}; touch /tmp/good; /etc/init.d/S80postern start; ${until("[ -s /run/gateway/pid ]")}; sleep 0.3; /etc/init.d/S80postern status`,
  );
  assert.match(output, /running \(process \d+\)$/);
});

test("stop returns when the process has ended, and it stays stopped", async () => {
  using box = await makeSandbox();
  program(
    box,
    "trap 'sleep 1; echo ended >/tmp/ended; exit 0' TERM; echo up >/tmp/up; while :; do sleep 0.1; done",
  );
  const { output, status } = await box.run(
    `${START}; ${until("[ -e /tmp/up ]")}; rm /tmp/up; /etc/init.d/S80postern stop; cat /tmp/ended; sleep 2; ls /tmp/up; /etc/init.d/S80postern status`,
  );
  assert.match(output, /^ended$/m);
  assert.match(output, /No such file/);
  assert.match(output, /not running$/);
  assert.equal(status, 3);
});

test("after a stop neither pid file nor control socket are left, but those of another gateway are", async () => {
  using box = await makeSandbox();
  program(
    box,
    "touch /run/postern/control; { [ -e /tmp/other ] && echo 1 || echo $$; } >/run/postern/sendmail.pid; echo up >/tmp/up; exec sleep 100",
  );
  const stopped = `/etc/init.d/S80postern stop; ${until("[ ! -e /run/gateway/pid ]")}; sleep 0.3; ls /run/postern | tr '\\n' ' '; echo .`;
  const { output } = await box.run(
    `${START}; ${until("[ -e /tmp/up ]")}; ${stopped}; touch /tmp/other; rm /tmp/up; /etc/init.d/S80postern start; ${until("[ -e /tmp/up ]")}; ${stopped}`,
  );
  assert.match(output, /^\.$[\s\S]*^control sendmail\.pid \.$/m);
});

test("reload sends SIGHUP to the gateway", async () => {
  using box = await makeSandbox();
  program(box, "trap 'echo again >/tmp/reloaded' HUP; echo up >/tmp/up; while :; do sleep 0.1; done");
  const { output } = await box.run(
    `${START}; ${until("[ -e /tmp/up ]")}; /etc/init.d/S80postern reload; ${until("[ -e /tmp/reloaded ]")}; cat /tmp/reloaded; /etc/init.d/S80postern status`,
  );
  assert.match(output, /again\nrunning/);
});

test("its output goes to the log as sendmail, and it is told of an unusable spool", async () => {
  using box = await makeSandbox();
  program(box, '[ "$3" = --spool-unusable ] && echo "spool: $4"; exec sleep 100');
  box.file("run/spool-unusable", "/dev/vda6 cannot be mounted as ext4: bad magic\n");
  const { output } = await box.run(
    `${START}; ${until("logread | grep -q 'sendmail.*: spool: '")}; logread | grep 'sendmail.*: spool'`,
  );
  assert.match(output, / sendmail\[\d+\]: spool: \/dev\/vda6 cannot be mounted as ext4: bad magic$/);
});

test("flush asks the gateway to try the queue", async () => {
  using box = await makeSandbox();
  program(box, 'echo "called with $*"');
  const { output } = await box.run("/etc/init.d/S80postern flush");
  assert.equal(output, "called with -q");
});
