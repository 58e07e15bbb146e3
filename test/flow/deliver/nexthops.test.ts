// Other people's mail servers as the next hop: Postfix, Sendmail, Exim and OpenSMTPD take our messages (small, large, long lines,
// dots, 8-bit, several recipients, a kept connection) and hand them to a sink of ours, where the text must be what we were given.
// They are installed into overlays of the root file system (test/bench/contender.ts), which needs root.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { contender } from "../../bench/contender.ts";
import { attempt, body, host, rig, streamed } from "./attempt.ts";
import { startPeer } from "./peer.ts";

const WORK = resolve(import.meta.dirname, "../../../build/nexthops");

function freePort(): Promise<number> {
  return new Promise((done) => {
    const server = createServer();
    server.listen(0, "127.0.0.1", () => {
      const at = server.address();
      server.close(() => done(typeof at === "object" && at !== null ? at.port : 0));
    });
  });
}

function answers(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(port, "127.0.0.1");
    socket.on("data", () => {
      socket.end("QUIT\r\n");
      done(true);
    });
    socket.on("error", () => done(false));
  });
}

async function until(seconds: number, what: () => boolean | Promise<boolean>): Promise<boolean> {
  for (let i = 0; i < seconds * 20; i++) {
    if (await what()) return true;
    await new Promise((done) => setTimeout(done, 50));
  }
  return false;
}

const LINE = `${"x".repeat(70)}\r\n`;
const MIME =
  "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n";
const TEXTS: { name: string; text: string; header?: string; large?: boolean }[] = [
  { name: "small", text: "hello\r\n" },
  { name: "dots", text: "..\r\n..a\r\n...\r\nb.\r\n" },
  { name: "empty lines", text: "\r\n\r\na\r\n\r\n" },
  { name: "long line", text: `${"y".repeat(980)}\r\n` },
  { name: "8-bit", text: "caf\xe9\r\n", header: MIME },
  { name: "large", text: LINE.repeat(15_000), large: true },
];

for (const name of ["postfix", "sendmail", "exim", "opensmtpd"])
  test(`${name} as next hop takes every message, and the text stays what it was`, {
    timeout: 240_000,
  }, async (t) => {
    if (process.getuid?.() !== 0) {
      t.skip("needs root for overlays");
      return;
    }
    const peer = contender(name);
    mkdirSync(WORK, { recursive: true });
    try {
      peer.fetch(WORK);
    } catch (e) {
      t.skip(`cannot be installed here: ${e instanceof Error ? e.message.slice(0, 200) : ""}`);
      return;
    }
    const spool = mkdtempSync(join(tmpdir(), `postern-${name}-`));
    const sink = await startPeer({ extensions: ["PIPELINING", "8BITMIME", "SIZE 50000000"] });
    const port = await freePort();
    const [file = "", ...args] = peer.start({ work: WORK, spool, port, sink: sink.port });
    const child: ChildProcess = spawn(file, args, { stdio: "ignore", detached: true });
    const ended = new Promise<void>((done) => child.on("exit", () => done()));
    try {
      assert.ok(await until(30, () => answers(port)), "it listens");
      const mailer = rig([host(port)]).mailer();
      for (const { name: what, text, header, large } of TEXTS) {
        const made = body(text);
        const [one, two] = await mailer.deliver(
          attempt({
            to: ["a@x.example", "b@x.example"],
            header: `Subject: ${what}\r\n${header ?? ""}`,
            body: large === true ? streamed(made) : made,
          }),
        );
        assert.ok(one?.text.startsWith("Sent") && two?.text.startsWith("Sent"), JSON.stringify([one, two]));
      }
      await mailer.close();
      const arrived = (what: string): string | undefined =>
        sink.seen.messages
          .map((m) => m.toString("latin1"))
          .find((m) => m.includes(`\r\nSubject: ${what}\r\n`));
      assert.ok(
        await until(60, () => TEXTS.every(({ name: what }) => arrived(what) !== undefined)),
        "all arrive",
      );
      for (const { name: what, text } of TEXTS) {
        const message = arrived(what) ?? "";
        assert.ok(message.slice(message.indexOf("\r\n\r\n") + 4) === text, `${what} is unchanged`);
      }
    } finally {
      try {
        process.kill(-(child.pid ?? 0), "SIGTERM");
      } catch {
        child.kill("SIGTERM");
      }
      const killer = setTimeout(() => child.kill("SIGKILL"), 5000);
      await ended;
      clearTimeout(killer);
      await sink.close();
      peer.clean?.(WORK);
      rmSync(spool, { recursive: true, force: true });
    }
  });
