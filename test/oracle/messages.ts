// Driver of messages.jsonl: a submission through the SMTP server into a real queue folder, delivered by the real mailers to a sink that
// stands for all remote hosts. Local mailboxes are not listed in the records and are taken as delivered.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { found } from "../../src/base/result.ts";
import { makeMailerNeeds } from "../../src/daemon/mailerneeds.ts";
import { makeRouter } from "../../src/daemon/router.ts";
import { SILENT_ALARM } from "../../src/deliver/refusals.ts";
import { makeMailers } from "../../src/deliver/registry.ts";
import { outcome } from "../../src/mail/outcome.ts";
import { returnedOriginal } from "../../src/route/rewrite.ts";
import type { Mailer } from "../../src/spool/mailer.ts";
import { settingsFrom } from "../../src/spool/settings.ts";
import { makeSpool, type Spool } from "../../src/spool/spool.ts";
import { systemClock } from "../../src/sys/clock.ts";
import { systemDisk } from "../../src/sys/disk.ts";
import { systemEntropy } from "../../src/sys/entropy.ts";
import { silentLog } from "../../src/sys/log.ts";
import type { MessageCase } from "./cases.ts";
import { Talk, VERSION } from "./conversation.ts";
import { type Arrival, Sink } from "./sink.ts";
import type { Opened } from "./site.ts";

/** Deliveries, bounces of them included, have to be over within this time. */
const DELIVERY_MS_MAX = 20_000;

/** Mailboxes and programs: nothing of theirs is in the record. */
const swallow: Mailer = {
  deliver: async (attempt) => attempt.recipients.map(() => outcome("delivered", "2.0.0", "Sent")),
  close: async () => undefined,
};

/** The mailers of the configuration, all remote hosts at `port` on loopback. */
function mailersOf({ site, config }: Opened, port: number): ReadonlyMap<string, Mailer> {
  const needs = makeMailerNeeds({
    site: () => site,
    clock: systemClock,
    entropy: systemEntropy,
    log: silentLog,
    tls: null,
    alarm: SILENT_ALARM,
    jail: tmpdir(),
    smrshDirectories: [],
  });
  const { byName } = makeMailers(config.mailers, {
    ...needs,
    async hosts(host, mailer) {
      const answer = await needs.hosts(host, mailer);
      if (answer.kind !== "hosts") return answer;
      const here = (name: string) => (/^[0-9.]+$|:/.test(name) ? "127.0.0.1" : name);
      const candidates = answer.candidates.map(({ name, shown }) => ({ name: here(name), shown, port }));
      return { kind: "hosts", candidates };
    },
    addresses: () => found(["127.0.0.1"]),
  });
  for (const spec of config.mailers) if (spec.kind !== "smtp") byName.set(spec.name, swallow);
  return byName;
}

async function openQueue(opened: Opened, folder: string, port: number): Promise<Spool> {
  const { site, config } = opened;
  const masked = site.masquerade === "" ? site.j : site.masquerade;
  const spool = await makeSpool({
    disk: systemDisk,
    clock: systemClock,
    entropy: systemEntropy,
    log: silentLog,
    folder,
    settings: settingsFrom(config.options, DELIVERY_MS_MAX),
    router: makeRouter(() => site),
    mailers: mailersOf(opened, port),
    names: {
      hostName: site.j,
      version: VERSION,
      mailerDaemon: `MAILER-DAEMON@${masked}`,
      returned: (sender, header) => returnedOriginal(site, sender, header),
    },
    clockFloorMs: 0,
    segmentBytes: 1024 * 1024,
  });
  if (!spool.ok) throw new Error(`queue: ${JSON.stringify(spool.error)}`);
  spool.value.start(0);
  return spool.value;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

/** Waits until nothing is left in the queue, or nothing moves any more. */
async function drained(spool: Spool): Promise<void> {
  const deadline = Date.now() + DELIVERY_MS_MAX;
  for (let quiet = 0; quiet < 10 && Date.now() < deadline; ) {
    const { messages, running } = spool.figures();
    quiet = messages === 0 || running === 0 ? quiet + 1 : 0;
    await pause(messages === 0 ? 10 : 30);
  }
}

/** Replaces what differs at every run: queue ids, dates, times. */
function steady(text: string): string {
  const ids = new Set<string>();
  for (const pattern of [/ id (\S{14})(?=[;\s])/g, /<\d{12}\.(\S{14})@/g, /^250 2\.0\.0 (\S{14}) Message/g])
    for (const match of text.matchAll(pattern)) ids.add(match[1] as string);
  let out = text;
  for (const id of ids) out = out.replaceAll(id, "QUEUEID");
  return out
    .replace(/<\d{12}\.QUEUEID@/g, "<TIME.QUEUEID@")
    .replace(/QUEUEID\.\d{9,11}\//g, "QUEUEID.TIME/")
    .replace(/\w{3}, \d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d [^\n]*/g, "DATE");
}

async function submit(opened: Opened, spool: Spool, c: MessageCase): Promise<string[]> {
  const talk = new Talk(opened, spool, c.client);
  const replies: string[] = [];
  const say = async (line: string, keep: boolean): Promise<void> => {
    talk.send(`${line}\r\n`);
    const reply = await talk.reply();
    if (keep) replies.push(steady(reply.at(-1) ?? ""));
  };
  try {
    await talk.reply();
    await say("EHLO client.test", false);
    await say(`MAIL FROM:<${c.from}>${c.mailparams ?? ""}`, true);
    for (const to of c.to) await say(`RCPT TO:<${to}>${c.rcptparams ?? ""}`, true);
    await say("DATA", true);
    const lines = c.data.split("\n").map((line) => (line.startsWith(".") ? `.${line}` : line));
    if (replies.at(-1)?.startsWith("354")) await say(`${lines.join("\r\n")}.`, true);
    await say("QUIT", false);
  } finally {
    talk.close();
  }
  return replies;
}

function shown(arrival: Arrival): Arrival {
  return { ...arrival, data: steady(arrival.data) };
}

export async function message(opened: Opened, c: MessageCase): Promise<MessageCase["expect"]> {
  const folder = mkdtempSync(join(tmpdir(), "postern-oracle-"));
  const sink = new Sink();
  try {
    const spool = await openQueue(opened, folder, await sink.listen());
    const replies = await submit(opened, spool, c);
    await drained(spool);
    await spool.close(1000);
    return { replies, sent: sink.arrived.map(shown) };
  } finally {
    sink.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
