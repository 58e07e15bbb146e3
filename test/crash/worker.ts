// The program that the kernel tests kill: a real spool on a real disk. Modes:
//   feed FOLDER COUNT   accepts messages one after the other and delivers some; says "id TAG", "ack TAG" and "sent TAG" as it goes
//   large FOLDER COUNT  the same with large messages only, all accepted before the first is delivered: more files than are kept as spares
//   list FOLDER         recovers and says "queued ID" for each message, then "damaged N"
// Lines go to standard output before anything else happens, so that what was said survives the kill.

import { writeSync } from "node:fs";
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

const [mode = "", folder = "", count = "0"] = process.argv.slice(2);

function say(line: string): void {
  writeSync(1, `${line}\n`);
}

const gate = Promise.withResolvers<void>();
if (mode !== "large") gate.resolve();

const mailer: Mailer = {
  async deliver(attempt) {
    await gate.promise;
    const tag = /^X-Tag: (.*)\r\n/m.exec(attempt.message.header.toString("latin1"))?.[1];
    return attempt.recipients.map((r) => {
      if (r.user.endsWith("@down.example"))
        return outcome("deferred", "4.4.1", "Deferred: Connection refused by down.example.");
      say(`sent ${tag}`);
      return outcome("relayed", "2.0.0", "Sent");
    });
  },
  async close() {},
};

async function open(): Promise<Spool> {
  const made = await makeSpool({
    disk: systemDisk,
    clock: systemClock,
    entropy: systemEntropy,
    log: silentLog,
    folder,
    settings: settingsFrom(defaultOptions(), 1000),
    router: {
      async expand({ address }, sender) {
        const host = address.slice(address.indexOf("@") + 1);
        return {
          deliveries: [{ mailer: "esmtp", host, user: address, address, via: "", sender, unsafe: false }],
          errors: [],
        };
      },
    },
    mailers: new Map([["esmtp", mailer]]),
    names: { hostName: "gw.example", version: "1", mailerDaemon: "MAILER-DAEMON@gw.example" },
    clockFloorMs: 0,
    segmentBytes: 64 * 1024,
  });
  if (made.ok) return made.value;
  say(`closed ${made.error.operation}: ${made.error.code}`);
  process.exit(78);
}

async function feed(): Promise<void> {
  const spool = await open();
  spool.start(0);
  for (let i = 0; i < Number(count); i++) {
    const tag = `t${i}`;
    const draft = spool.open();
    say(`id ${tag} ${draft.id}`);
    const size = mode === "large" || i % 10 === 9 ? 200_000 : 1000;
    const wait = draft.write(Buffer.alloc(size, tag.charCodeAt(1)));
    if (wait !== undefined) await wait;
    const host = i % 3 === 0 ? "down.example" : "up.example";
    const verdict = await draft.commit(envelopeTo([`${tag}@${host}`]), Buffer.from(`X-Tag: ${tag}\r\n`));
    if (verdict.kind === "accepted") say(`ack ${tag}`);
    else say(`refused ${tag} ${verdict.reply.code}`);
  }
  gate.resolve();
  if (mode === "large") await spool.idle();
  await spool.close(1000);
  say("done");
}

async function list(): Promise<void> {
  const spool = await open();
  for (const entry of spool.list()) {
    const shown = await spool.show(entry.id);
    say(shown === null ? `unreadable ${entry.id}` : `queued ${entry.id}`);
  }
  say(`damaged ${(await spool.damaged()).filter((d) => !d.reason.includes("end of the log")).length}`);
  await spool.close(100);
}

await (mode === "list" ? list() : feed());
// Timers that only tidy up would keep it for seconds.
process.exit(0);
