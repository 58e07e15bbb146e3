// BOMB-02 (reliability 3.5): Debian's postal, which nobody here wrote, sends random messages over 20 sessions as fast as they are
// taken. What it was told is accepted has arrived, each once, and every body byte by byte. POSTAL_MINUTES=10 is what the row asks for
// (FLOOD in flood.test.ts is its other half).

import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { debianPackages } from "../../scripts/debian.ts";
import { delay, until } from "../flow/gateway.ts";
import { besieged, type Recorder, type Siege } from "./siege.ts";

const MINUTES = Number(process.env["POSTAL_MINUTES"] ?? 0.1);
const SESSIONS = 20;

/** How often a message was sent or has arrived, by its id and a hash of its body, dots as on the wire: postal uses an id twice at times. */
type Counts = Map<string, number>;

function put(counts: Counts, message: Buffer): void {
  const end = message.indexOf("\r\n\r\n");
  const id = /^Message-Id: <([^>]*)>/im.exec(message.toString("latin1", 0, end))?.[1];
  // Those of the siege itself have an id of the gateway's.
  if (id === undefined || id.endsWith("@gw.test")) return;
  const key = `${id} ${createHash("sha256").update(message.subarray(end)).digest("base64")}`;
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

const total = (counts: Counts): number => [...counts.values()].reduce((sum, n) => sum + n, 0);

/** Empties the recorder, whose memory is not for hundreds of thousands of messages. */
function note(arrived: Counts, hop: Recorder): void {
  hop.heard.length = 0;
  for (const { wire } of hop.taken.splice(0)) put(arrived, wire);
}

/** The files in which postal keeps every byte that went either way, one for each of its sessions. */
function sessions(folder: string): readonly string[] {
  return readdirSync(folder)
    .filter((name) => name.startsWith("session:"))
    .map((name) => join(folder, name));
}

/** What postal saw accepted. */
function acknowledged(folder: string): Counts {
  const counts: Counts = new Map();
  for (const file of sessions(folder)) {
    const bytes = readFileSync(file);
    for (let at = bytes.indexOf("\r\n354 "); at >= 0; at = bytes.indexOf("\r\n354 ", at)) {
      const from = bytes.indexOf("\r\n", at + 2) + 2;
      const to = bytes.indexOf("\r\n.\r\n", from);
      if (to < 0) break;
      at = to + 3;
      if (bytes.toString("latin1", to + 5, to + 15) === "250 2.0.0 ")
        put(counts, bytes.subarray(from, to + 2));
    }
  }
  return counts;
}

function begin(program: string, siege: Siege, folder: string): ChildProcess {
  const names = (letter: string, host: string): string =>
    Array.from({ length: 50 }, (_, n) => `${letter}${n}@${host}\n`).join("");
  writeFileSync(join(folder, "to"), names("u", "gw2.test"));
  writeFileSync(join(folder, "from"), names("s", "c.test"));
  const words = [
    // 1 to 10 kB each: behind a body of one character it forgets the line end before the dot, and then waits for a minute.
    ...["-t", String(SESSIONS), "-c", "3", "-M", "1", "-m", "10", "-r", "1000000"],
    ...["-z", join(folder, "session"), "-f", join(folder, "from")],
    ...[`[127.0.0.1]${siege.gateway.port}`, join(folder, "to")],
  ];
  // It leaves a log where it stands.
  return spawn(program, words, { cwd: folder, stdio: "ignore" });
}

/** Bytes that have gone over all sessions so far. */
function traffic(folder: string): number {
  return sessions(folder).reduce((sum, file) => sum + statSync(file).size, 0);
}

/** Debian's postal, unpacked; a reason when there is none. */
async function fetched(): Promise<{ readonly program: string; readonly why: string }> {
  try {
    const [unpacked] = await debianPackages(process.arch === "arm64" ? "arm64" : "amd64", ["postal"], true);
    const program = join(unpacked?.folder ?? "", "usr/sbin/postal");
    const ran = spawnSync(program, [], { encoding: "utf8" });
    return {
      program,
      why: /usage/i.test(ran.stdout + ran.stderr) ? "" : `it does not run here: ${ran.stderr}`,
    };
  } catch (e) {
    return { program: "", why: `no postal here: ${String(e).split("\n")[0]}` };
  }
}

describe("BOMB-02", () => {
  it(`postal for ${MINUTES} minutes: what it was told is accepted has arrived, each once and whole`, {
    timeout: (MINUTES + 2) * 60_000,
  }, async (t) => {
    const { program, why } = await fetched();
    if (why !== "") return t.skip(why);
    await besieged("postal", { growth: 40e6 }, async (siege) => {
      const folder = join(siege.gateway.folder, "postal");
      mkdirSync(folder);
      const arrived: Counts = new Map();
      const before = siege.figures().memory;
      let most = before;
      const postal = begin(program, siege, folder);
      try {
        const end = performance.now() + MINUTES * 60_000;
        while (performance.now() < end) {
          await delay(50);
          note(arrived, siege.hop);
          most = Math.max(most, siege.figures().memory);
          assert.equal(postal.exitCode, null, "postal has ended");
        }
        postal.kill("SIGINT");
        let seen = -1;
        await until("its sessions are over", 20, async () => {
          const last = seen;
          seen = traffic(folder);
          await delay(300);
          return seen === last;
        });
      } finally {
        // Told to end, it sleeps for ever when it is done.
        postal.kill("SIGKILL");
      }
      await siege.drained();
      note(arrived, siege.hop);
      const sent = acknowledged(folder);
      const accepted = total(sent);
      t.diagnostic(
        `${accepted} messages accepted, ${Math.round(accepted / MINUTES / 60)}/s; private dirty memory at most ${(most / 1e6).toFixed(1)} MB`,
      );
      const lost = [...sent].filter(([key, n]) => (arrived.get(key) ?? 0) < n).map(([key]) => key);
      assert.deepEqual(lost, []);
      // A session that was cut off may not have seen its 250; everything else came once.
      assert.ok(total(arrived) - accepted <= SESSIONS, `${total(arrived)} arrived, ${accepted} accepted`);
      const twice = [...arrived].filter(([key, n]) => n > (sent.get(key) ?? 1)).map(([key]) => key);
      assert.deepEqual(twice, []);
      assert.ok(accepted > MINUTES * 60 * SESSIONS, `only ${accepted}`);
      assert.ok(most - before < 60e6, `${Math.round((most - before) / 1e6)} MB`);
    });
    return undefined;
  });
});
