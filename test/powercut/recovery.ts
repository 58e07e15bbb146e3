// What the queue makes of one state of the medium: the file system is mounted (medium.ts), the queue in it recovered by the program's own
// code, twice, and then delivered to a mailer that notes what it gets.

import { defaultOptions } from "../../src/config/options.ts";
import { outcome } from "../../src/mail/outcome.ts";
import type { Mailer } from "../../src/spool/mailer.ts";
import { settingsFrom } from "../../src/spool/settings.ts";
import { makeSpool, type Spool } from "../../src/spool/spool.ts";
import { systemClock } from "../../src/sys/clock.ts";
import { systemDisk } from "../../src/sys/disk.ts";
import { systemEntropy } from "../../src/sys/entropy.ts";
import { silentLog } from "../../src/sys/log.ts";
import { type Medium, Unsound } from "./medium.ts";
import { inspect, keyOf } from "./traffic.ts";

/** What was found. */
export interface Recovered {
  /** `tag user` of each recipient that is still to be delivered. */
  readonly queued: ReadonlySet<string>;
  /** What cannot be explained: a body that is not whole, a damaged record, two recoveries that differ. */
  readonly problems: readonly string[];
  /** Records set aside at the torn end of the log, as they must be. */
  readonly torn: number;
}

async function open(folder: string, mailer: Mailer): Promise<Spool> {
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
    // Whatever mailer a message was resolved to before the cut.
    mailers: new Map(["smtp", "esmtp", "smtp8", "dsmtp", "relay", "local", "prog"].map((n) => [n, mailer])),
    names: { hostName: "gw.example", version: "1", mailerDaemon: "MAILER-DAEMON@gw.example" },
    clockFloorMs: 0,
  });
  if (!made.ok) throw new Error(`the queue does not open: ${made.error.operation}: ${made.error.code}`);
  return made.value;
}

const listed = (spool: Spool): string =>
  spool
    .list()
    .map((entry) => `${entry.id} ${entry.recipients.map((r) => r.address).join()}`)
    .sort()
    .join("\n");

async function recover(folder: string): Promise<Recovered> {
  const queued = new Set<string>();
  const problems: string[] = [];
  const mailer: Mailer = {
    async deliver({ message, recipients }) {
      const pieces: Buffer[] = [];
      for await (const piece of message.body.chunks()) pieces.push(piece);
      // Bodies lie in the queue as they go over the wire.
      const body = Buffer.concat(pieces).toString("latin1").replace(/^\.\./gm, ".");
      const text = `${message.header.toString("latin1")}\r\n${body}`;
      const { tag, whole } = inspect(text);
      if (!whole) problems.push(`${message.id} (${tag}) is not what was sent: ${text.slice(0, 200)}`);
      for (const { user } of recipients) {
        const key = keyOf(tag, user.slice(0, user.includes("@") ? user.indexOf("@") : user.length));
        if (queued.has(key)) problems.push(`${key} is queued twice`);
        queued.add(key);
      }
      return recipients.map(() => outcome("relayed", "2.0.0", "Sent"));
    },
    async close() {},
  };
  const first = await open(folder, mailer);
  const before = listed(first);
  await first.close(0);
  const spool = await open(folder, mailer);
  if (listed(spool) !== before) problems.push("the second recovery finds another queue than the first");
  const damaged = await spool.damaged();
  const torn = damaged.filter(({ reason }) => reason.includes("end of the log"));
  for (const item of damaged)
    if (!torn.includes(item)) problems.push(`damaged: ${item.name}: ${item.reason}`);
  const count = spool.list().length;
  spool.start(0);
  await spool.flush();
  await spool.idle();
  if (spool.list().length > 0)
    problems.push(`${spool.list().length} of ${count} messages cannot be delivered`);
  await spool.close(100);
  return { queued, problems, torn: torn.length };
}

/** Recovers the queue of the file system in `image`, which is changed by that. What is wrong with it, when it is unsound. */
export async function recoverImage(medium: Medium, image: string): Promise<Recovered | Unsound> {
  try {
    return await medium.open(image, recover);
  } catch (e) {
    return e instanceof Unsound ? e : { queued: new Set(), problems: [String(e)], torn: 0 };
  }
}
