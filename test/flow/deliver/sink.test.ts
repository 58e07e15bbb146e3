// The same table against somebody else's server: Postfix's smtp-sink failing each command in each way (reliability section 7).
// The sink is unpacked from Debian's package, not installed.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { createServer, connect as netConnect } from "node:net";
import { join } from "node:path";
import { before, test } from "node:test";
import { debianPackages } from "../../../scripts/debian.ts";
import { attempt, body, host, options, rig, streamed } from "./attempt.ts";

let folder = "";
before(async () => {
  const unpacked = await debianPackages(process.arch === "arm64" ? "arm64" : "amd64", ["postfix"], true);
  folder = unpacked[0]?.folder ?? "";
});

const QUICK = options({
  "Timeout.initial": 700,
  "Timeout.helo": 700,
  "Timeout.mail": 700,
  "Timeout.rcpt": 700,
  "Timeout.datainit": 700,
  "Timeout.datafinal": 700,
});

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, "127.0.0.1", () => {
      const at = server.address();
      server.close(() => resolve(typeof at === "object" && at !== null ? at.port : 0));
    });
  });
}

async function withSink<T>(flags: readonly string[], fn: (port: number) => Promise<T>): Promise<T> {
  const port = await freePort();
  const user = process.getuid?.() === 0 ? ["-u", "nobody"] : [];
  const child: ChildProcess = spawn(
    join(folder, "usr/sbin/smtp-sink"),
    [...user, ...flags, `127.0.0.1:${port}`, "64"],
    {
      env: { LD_LIBRARY_PATH: join(folder, "usr/lib/postfix"), PATH: "/usr/bin:/bin" },
      stdio: "ignore",
    },
  );
  const ended = new Promise<void>((resolve) => {
    child.on("exit", () => resolve());
  });
  try {
    for (let tries = 0; tries < 100; tries++) {
      const up = await new Promise<boolean>((resolve) => {
        const socket = netConnect(port, "127.0.0.1", () => {
          socket.destroy();
          resolve(true);
        });
        socket.on("error", () => resolve(false));
      });
      if (up) break;
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    return await fn(port);
  } finally {
    child.kill("SIGKILL");
    await ended;
  }
}

type Fate = "sent" | "deferred" | "failed";
const FLAGS: [string, (step: string) => string[]][] = [
  ["5xx", (step) => ["-f", step]],
  ["4xx", (step) => ["-r", step]],
  ["close", (step) => ["-q", step]],
  ["421 and close", (step) => ["-Q", step]],
  ["silence", (step) => ["-W", `${step}:5`]],
];
// In the order of FLAGS. A refused EHLO is followed by HELO; what QUIT gets changes nothing.
const TABLE: [string, Fate[]][] = [
  ["CONNECT", ["failed", "deferred", "deferred", "deferred", "deferred"]],
  ["EHLO", ["sent", "deferred", "deferred", "deferred", "deferred"]],
  ["MAIL", ["failed", "deferred", "deferred", "deferred", "deferred"]],
  ["RCPT", ["failed", "deferred", "deferred", "deferred", "deferred"]],
  ["DATA", ["failed", "deferred", "deferred", "deferred", "deferred"]],
  [".", ["failed", "deferred", "deferred", "deferred", "deferred"]],
  ["QUIT", ["sent", "sent", "sent", "sent", "sent"]],
];

for (const [step, fates] of TABLE)
  for (const [i, [what, flags]] of FLAGS.entries())
    test(`smtp-sink answers ${step} with ${what}: ${fates[i]}`, async () => {
      await withSink(flags(step), async (port) => {
        const mailer = rig([host(port)], { options: QUICK }).mailer();
        const outcomes = await mailer.deliver(attempt({ to: ["a@x.example", "b@x.example"] }));
        await mailer.close();
        const kinds = outcomes.map((o) => (o.text.startsWith("Sent") ? "sent" : o.kind));
        assert.deepEqual(kinds, [fates[i], fates[i]], JSON.stringify(outcomes));
      });
    });

for (const { name, flags } of [
  { name: "without EHLO", flags: ["-e"] },
  { name: "without PIPELINING", flags: ["-p"] },
  { name: "without 8BITMIME", flags: ["-8"] },
  { name: "with a slow answer to DATA", flags: ["-w", "1"] },
  { name: "with a small window", flags: ["-T", "1024"] },
])
  test(`smtp-sink ${name} takes small and large messages`, async () => {
    await withSink(flags, async (port) => {
      const mailer = rig([host(port)]).mailer();
      const line = `${"x".repeat(70)}\r\n`;
      const eight = body("caf\xe9\r\n");
      const large = streamed(body(line.repeat(20_000)));
      for (const made of [body("hello\r\n"), eight, large]) {
        const header = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-8859-1\r\n";
        const [outcome] = await mailer.deliver(attempt({ body: made, header }));
        assert.ok(outcome?.text.startsWith("Sent"), JSON.stringify(outcome));
      }
      await mailer.close();
    });
  });

test("a sink that aborts in the middle of DATA: deferred, and the next connection works", async () => {
  await withSink(["-A", "0"], async (port) => {
    const mailer = rig([host(port)], { options: QUICK }).mailer();
    const large = streamed(body("x\r\n".repeat(200_000)));
    const [outcome] = await mailer.deliver(attempt({ body: large }));
    assert.equal(outcome?.kind, "deferred", JSON.stringify(outcome));
    await mailer.close();
  });
});
