// A log that cannot be written never ends the gateway and never keeps it from starting: mail flows, what is lost is counted and said
// once when lines can be written again.

import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { Client, freePort, Gateway, relayMc, Sink, send, until } from "./gateway.ts";

const MAIN = join(import.meta.dirname, "../../src/main.ts");
const MESSAGE = "Subject: x\r\n\r\nx\r\n";
/** Lines of a full pipe, of what waits behind it, and more. */
const NOISY_MESSAGES = 60;
const sink = new Sink();
const gateway = new Gateway("unwritable");
const started: ChildProcess[] = [];
const file = (name: string): string => join(gateway.folder, name);

/** Answers on the gateway's port. */
async function answers(): Promise<boolean> {
  return /^\d/.test(await send(gateway.port, "a@b.example", [], MESSAGE).catch(() => ""));
}

/** Our daemon with its standard error where `stderr` says; ended by the caller. */
async function daemon(stderr: number | "pipe", environment: NodeJS.ProcessEnv = {}): Promise<ChildProcess> {
  const child = spawn(process.execPath, [MAIN, "sendmail", ...gateway.options(), "-bD", "-q1h"], {
    stdio: ["ignore", "ignore", stderr],
    env: { ...process.env, ...environment },
  });
  started.push(child);
  await until("the gateway answers", 20, async () => {
    assert.equal(child.exitCode, null, "the gateway ended");
    return await answers();
  });
  return child;
}

async function stop(child: ChildProcess): Promise<void> {
  child.kill("SIGTERM");
  await until("the gateway ends", 20, () => child.exitCode !== null || child.signalCode !== null);
  assert.equal(child.exitCode, 0);
}

async function mailFlows(count = 3): Promise<void> {
  const before = sink.received.length;
  for (let i = 0; i < count; i++)
    assert.match(await send(gateway.port, "a@b.example", ["c@d.example"], MESSAGE), /^250 2\.0\.0/);
  await until("the mail arrives", 20, () => sink.received.length >= before + count);
}

/** More lines than a pipe and the gateway's own room take: each refused recipient is one, with a long name. */
async function noise(): Promise<void> {
  const local = "n".repeat(200);
  for (let i = 0; i < NOISY_MESSAGES; i++) {
    const to = Array.from({ length: 40 }, (_, n) => `${local}.${i}.${n}@mail.polkatistas.org`);
    const client = new Client(gateway.port);
    await client.reply();
    client.raw(`MAIL FROM:<a@b.example>\r\n${to.map((r) => `RCPT TO:<${r}>\r\n`).join("")}QUIT\r\n`);
    for (let n = 0; n < to.length + 2; n++) await client.reply();
    client.close();
  }
}

before(async () => {
  await sink.start();
  gateway.port = await freePort();
  gateway.write({
    "sendmail.mc": relayMc(gateway.port, "define(`confBAD_RCPT_THROTTLE', `0')dnl\n"),
    mailertable: `.\tsmtp:[127.0.0.1]:${sink.port}\n`,
    access: "Connect:127.0.0.1\tRELAY\n",
  });
});
after(async () => {
  for (const child of started) child.kill("SIGKILL");
  await gateway.remove();
  await sink.stop();
});

describe("a log that cannot be written", () => {
  it("on a full device does not keep the gateway from starting or relaying", async () => {
    const full = openSync("/dev/full", "w");
    const child = await daemon(full);
    closeSync(full);
    await mailFlows();
    await stop(child);
  });

  it("closed from the start, or whose reader goes away, changes nothing", async () => {
    const child = await daemon("pipe");
    await mailFlows();
    child.stderr?.destroy();
    await mailFlows(5);
    await stop(child);
  });

  it("whose reader stands still keeps nobody waiting; it then hears what was lost, once", async () => {
    const child = await daemon("pipe");
    let text = "";
    await noise();
    const began = performance.now();
    await mailFlows();
    assert.ok(performance.now() - began < 5000);
    child.stderr?.setEncoding("latin1").on("data", (d: string) => {
      text += d;
    });
    const told = await until("the loss is told", 10, () =>
      /could not be written \(EAGAIN\): (\d+) lines are lost/.exec(text),
    );
    await mailFlows(1);
    await until("lines come again", 10, () => text.slice(told.index).includes("stat=Sent"));
    assert.equal(text.match(/lines are lost/g)?.length, 1);
    const seen = text.match(/n{200}/g)?.length ?? 0;
    // Other lines were lost too, so the sum is at least that of the noise.
    assert.ok(seen + Number(told[1]) >= NOISY_MESSAGES * 40, `${seen} seen, ${told[1]} lost`);
    assert.ok(text.split("\n").every((line) => line === "" || !/n{200}.*n{200}.*RCPT/.test(line)));
    await stop(child);
  });

  it("in a FIFO is read on by its next reader", async () => {
    const fifo = file("fifo");
    execFileSync("mkfifo", [fifo]);
    const first = spawn("cat", [fifo], { stdio: ["ignore", "pipe", "ignore"] });
    first.stdout.resume();
    const writing = openSync(fifo, "w");
    const child = await daemon(writing);
    closeSync(writing);
    first.kill("SIGKILL");
    await until("the reader is gone", 5, () => first.signalCode !== null);
    await mailFlows(5);
    const second = spawn("cat", [fifo], { stdio: ["ignore", "pipe", "ignore"] });
    let text = "";
    second.stdout.setEncoding("latin1").on("data", (d: string) => {
      text += d;
    });
    await mailFlows(1);
    await until("the next reader reads", 10, () => text.includes("stat=Sent"));
    await stop(child);
    await until("the reader has read all", 5, () => second.exitCode !== null);
    assert.match(text, /stopping daemon/);
  });

  it("on a full file system loses lines, not mail, and goes on when there is room", {
    skip: process.getuid?.() === 0 ? false : "needs root",
  }, async () => {
    const disk = file("disk");
    mkdirSync(disk);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", disk]);
    try {
      writeFileSync(join(disk, "full"), Buffer.alloc(60 * 1024));
      const log = openSync(join(disk, "log"), "a");
      const child = await daemon(log);
      closeSync(log);
      await noise();
      await mailFlows();
      execFileSync("mount", ["-o", "remount,size=16m", disk]);
      const text = await until("the loss is told", 10, () => {
        const written = readFileSync(join(disk, "log"), "latin1");
        return written.includes("lines are lost") ? written : null;
      });
      assert.match(text, /the log could not be written \(ENOSPC\): \d+ lines are lost\n/);
      await mailFlows(1);
      await until("lines come again", 10, () =>
        /lines are lost\n[\s\S]*stat=Sent/.test(readFileSync(join(disk, "log"), "latin1")),
      );
      assert.doesNotMatch(readFileSync(join(disk, "log"), "latin1"), /[^\n]started as/);
      await stop(child);
    } finally {
      execFileSync("umount", ["-l", disk]);
    }
  });
});

/** What syslogd does: takes datagrams at a socket and prints them. */
const SYSLOGD = `use IO::Socket::UNIX; $| = 1; unlink $ARGV[0];
my $s = IO::Socket::UNIX->new(Type => Socket::SOCK_DGRAM(), Local => $ARGV[0]) or die; chmod 0666, $ARGV[0];
print "ready\\n"; while (1) { recv($s, my $m, 65536, 0); print "$m\\n"; }`;

class Syslogd {
  text = "";
  readonly #process: ChildProcess;

  constructor(path: string) {
    this.#process = spawn("perl", ["-e", SYSLOGD, path], { stdio: ["ignore", "pipe", "inherit"] });
    started.push(this.#process);
    this.#process.stdout?.setEncoding("latin1").on("data", (d: string) => {
      this.text += d;
    });
  }

  signal(name: NodeJS.Signals): void {
    this.#process.kill(name);
  }

  async ready(): Promise<this> {
    await until("syslogd", 10, () => this.text.startsWith("ready\n"));
    return this;
  }
}

describe("the log in syslog", () => {
  it("has facility, time, tag, pid and a priority for each line, and survives a restart of syslogd and one that stands still", async () => {
    const path = file("dev-log");
    let syslogd = await new Syslogd(path).ready();
    const child = await daemon("pipe", { POSTERN_SYSLOG: path });
    child.stderr?.on("data", (d: Buffer) => assert.fail(`on standard error: ${d}`));
    await mailFlows();
    const sent = await until("the line", 10, () => /^<22>.*stat=Sent.*$/m.exec(syslogd.text));
    assert.match(
      sent[0],
      new RegExp(
        `^<22>[A-Z][a-z]{2} [ \\d]\\d \\d\\d:\\d\\d:\\d\\d sendmail\\[${child.pid}\\]: \\w{14}: to=<`,
      ),
    );
    for (const line of syslogd.text.split("\n").slice(1, -1)) assert.match(line, /^<1[6-9]>|^<2[0-3]>/);
    // A reload keeps it.
    child.kill("SIGHUP");
    await until("the reload", 10, () => syslogd.text.includes("the new configuration is active"));

    syslogd.signal("SIGKILL");
    rmSync(path, { force: true });
    await mailFlows();
    syslogd = await new Syslogd(path).ready();
    await mailFlows(1);
    await until("lines come again", 10, () => syslogd.text.includes("stat=Sent"));
    assert.equal(syslogd.text.match(/stat=Sent/g)?.length, 4, "what waited came too");

    syslogd.signal("SIGSTOP");
    await noise();
    await mailFlows();
    syslogd.signal("SIGCONT");
    await until("the loss is told", 10, () => /^<20>.*\]: the log could not be written/m.test(syslogd.text));
    await stop(child);
    await until("the last line", 10, () => syslogd.text.includes("stopping daemon"));
    syslogd.signal("SIGKILL");
  });

  it("goes to standard error where there is none", async () => {
    const child = await daemon("pipe", { POSTERN_SYSLOG: file("nowhere") });
    let text = "";
    child.stderr?.setEncoding("latin1").on("data", (d: string) => {
      text += d;
    });
    await until("lines", 10, () => text.includes("started as"));
    await stop(child);
  });
});
