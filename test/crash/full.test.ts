// FULL-01, FULL-02: a real file system of 4 MB fills up, by blocks and by inodes. Mail is refused with 452 before it is lost, what is
// queued can still leave, and the spool recovers without a restart. Needs root for the mount.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { defaultOptions } from "../../src/config/options.ts";
import { outcome } from "../../src/mail/outcome.ts";
import type { Mailer } from "../../src/spool/mailer.ts";
import { settingsFrom } from "../../src/spool/settings.ts";
import { makeSpool, type Spool } from "../../src/spool/spool.ts";
import { systemClock } from "../../src/sys/clock.ts";
import { systemDisk } from "../../src/sys/disk.ts";
import { systemEntropy } from "../../src/sys/entropy.ts";
import { silentLog } from "../../src/sys/log.ts";
import { envelopeTo } from "./life.ts";

function mounted(options: string): string | null {
  const folder = mkdtempSync(join(tmpdir(), "postern-full-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", options, "postern-test", folder], { stdio: "ignore" });
    return folder;
  } catch (e) {
    rmdirSync(folder);
    if (e instanceof Error) return null;
    throw e;
  }
}

class Hop implements Mailer {
  down = true;
  readonly sent = new Map<string, number>();

  async deliver(attempt: Parameters<Mailer["deliver"]>[0]): ReturnType<Mailer["deliver"]> {
    return attempt.recipients.map((r) => {
      if (this.down) return outcome("deferred", "4.3.2", "Deferred: 451 later", { diagnostic: "451 later" });
      this.sent.set(r.user, (this.sent.get(r.user) ?? 0) + 1);
      return outcome("relayed", "2.0.0", "Sent");
    });
  }

  async close(): Promise<void> {}
}

async function openSpool(folder: string, hop: Hop): Promise<Spool> {
  const made = await makeSpool({
    disk: systemDisk,
    clock: systemClock,
    entropy: systemEntropy,
    log: silentLog,
    folder,
    settings: settingsFrom(defaultOptions(), 1000),
    router: {
      expand: async ({ address }, sender) => ({
        deliveries: [{ mailer: "esmtp", host: "h", user: address, address, via: "", sender, unsafe: false }],
        errors: [],
      }),
    },
    mailers: new Map([["esmtp", hop]]),
    names: { hostName: "gw.example", version: "1", mailerDaemon: "MAILER-DAEMON@gw.example" },
    clockFloorMs: 0,
  });
  assert.ok(made.ok, "the spool opens");
  made.value.start(0);
  return made.value;
}

async function send(spool: Spool, user: string, bytes: number): Promise<number> {
  const refusal = spool.admit(bytes);
  if (refusal !== null) return refusal.code;
  const draft = spool.open();
  const wait = draft.write(Buffer.alloc(bytes, "x"));
  if (wait !== undefined) await wait;
  const verdict = await draft.commit(envelopeTo([user]), Buffer.from("Subject: x\r\n"));
  return verdict.kind === "accepted" ? 250 : verdict.reply.code;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const CASES = [
  { name: "small messages fill the blocks", options: "size=4m", bytes: 2000 },
  { name: "large messages fill the blocks", options: "size=4m", bytes: 200_000 },
  { name: "large messages fill the inodes", options: "size=64m,nr_inodes=64", bytes: 300_000 },
];

for (const { name, options, bytes } of CASES) {
  test(`a full spool (${name}): 452, draining, recovery, nothing lost`, { timeout: 120_000 }, async (t) => {
    const folder = mounted(options);
    if (folder === null) {
      t.skip("mounting a file system needs root");
      return;
    }
    try {
      const hop = new Hop();
      const spool = await openSpool(folder, hop);
      const accepted: string[] = [];
      let refusals = 0;
      for (let i = 0; refusals < 5 && i < 5000; i++) {
        const code = await send(spool, `u${i}@h`, bytes);
        if (code === 250) {
          accepted.push(`u${i}@h`);
          continue;
        }
        assert.equal(code, 452);
        refusals++;
        await pause(300);
      }
      assert.equal(refusals, 5, "it fills up");
      assert.ok(accepted.length > 5);
      await spool.settled();
      hop.down = false;
      await spool.flush();
      await spool.settled();
      assert.deepEqual([...hop.sent.keys()].sort(), [...accepted].sort(), "all that was accepted left");
      await pause(1200);
      spool.admit(0);
      await pause(100);
      assert.equal(await send(spool, "after@h", bytes), 250, "it takes mail again");
      await pause(300);
      t.diagnostic(`${accepted.length} accepted, ${JSON.stringify(spool.figures().log)}`);
      await spool.close(100);
      const again = await openSpool(folder, hop);
      assert.equal(again.list().length, 0);
      await again.close(100);
      assert.ok([...hop.sent.values()].every((n) => n === 1));
    } finally {
      execFileSync("umount", ["-l", folder]);
      rmdirSync(folder);
    }
  });
}
