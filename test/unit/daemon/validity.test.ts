// Certificates that end are said every day while the gateway runs, however it was started: with a clock that is set, without one,
// and when the files are root's alone by then. Days pass on a simulated clock.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, unlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { defaultOptions } from "../../../src/config/options.ts";
import { watchValidity } from "../../../src/daemon/validity.ts";
import { loadServerTls } from "../../../src/tls/server.ts";
import { SimClock } from "../../sim/clock.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const folder = mkdtempSync(join(tmpdir(), "postern-validity-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const path = (name: string): string => join(folder, name);

function issue(name: string): void {
  const words =
    "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 40 -subj /CN=mail.example.org";
  execFileSync(
    "openssl",
    [...words.split(" "), "-keyout", path(`${name}.key`), "-out", path(`${name}.crt`)],
    {
      stdio: "ignore",
    },
  );
}

/** A gateway's TLS started at `startMs`, and what it says. */
function start(clock: SimClock, trustedFrom: number): { lines: string[]; stop: () => void } {
  const lines: string[] = [];
  const log = { line: (_level: number, text: string) => void lines.push(text) };
  const clockTrusted = (): boolean => clock.wallMs() >= trustedFrom;
  const tls = loadServerTls(
    { ...defaultOptions(), ServerCertFile: path("a.crt"), ServerKeyFile: path("a.key") },
    { log, clockTrusted, owners: [process.getuid?.() ?? 0], nowMs: () => clock.wallMs() },
  );
  assert.ok(tls !== null && tls.context("MTA") !== null, lines.join("\n"));
  const side = { side: "server" as const, refresh: tls.refresh, warnings: tls.warnings };
  return { lines, stop: watchValidity(clock, log, clockTrusted, () => [side]) };
}

test("from thirty days before the end a certificate is said at start and once a day, then that it has expired", async () => {
  issue("a");
  const clock = new SimClock(Date.now() + 5 * DAY);
  const { lines, stop } = start(clock, 0);
  assert.deepEqual(lines, []);
  // 35 days are left: nothing to say yet.
  await clock.pass(4 * DAY);
  assert.deepEqual(lines, []);
  await clock.pass(3 * DAY);
  const soon = lines.filter((line) =>
    /^STARTTLS=server: certificate \S+a\.crt expires on \S+, in 2[789] days$/.test(line),
  );
  assert.ok(soon.length >= 2 && soon.length <= 3 && lines.length === soon.length, lines.join("\n"));
  await clock.pass(30 * DAY);
  const before = lines.length;
  await clock.pass(2 * DAY);
  assert.equal(lines.length, before + 2);
  assert.match(lines.at(-1) ?? "", /expired on/);
  stop();
  await clock.pass(3 * DAY);
  assert.equal(lines.length, before + 2);
  assert.equal(clock.pending, 0);
});

test("at start it is said once, and again after a day", async () => {
  const clock = new SimClock(Date.now() + 20 * DAY);
  const { lines, stop } = start(clock, 0);
  assert.equal(lines.length, 1);
  await clock.pass(23 * HOUR);
  assert.equal(lines.length, 1);
  await clock.pass(2 * HOUR);
  assert.equal(lines.length, 2);
  stop();
});

test("a clock that is set after the start brings the warning within an hour", async () => {
  const clock = new SimClock(0);
  const floor = Date.now() - DAY;
  const { lines, stop } = start(clock, floor);
  await clock.pass(3 * DAY);
  assert.deepEqual(lines, []);
  clock.setWall(Date.now() + 20 * DAY);
  await clock.pass(HOUR);
  assert.equal(lines.length, 1);
  await clock.pass(DAY);
  assert.equal(lines.length, 2);
  stop();
});

test("a certificate whose file cannot be looked at any more is still said", async () => {
  const clock = new SimClock(Date.now() + 20 * DAY);
  const { lines, stop } = start(clock, 0);
  lines.length = 0;
  unlinkSync(path("a.crt"));
  await clock.pass(25 * HOUR);
  assert.match(lines.at(-1) ?? "", /certificate \S+a\.crt expires on/);
  stop();
});
