// One power cut of an appliance under load, and from its write log every cut that could have happened in its place: at each flush, and
// between flushes with any part of what was not flushed. Promise 2: nothing acknowledged is lost, duplicates only in the window.

import { copyFileSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type FileSystem, readBoard } from "../../scripts/board.ts";
import { configurationImage } from "../../scripts/configuration.ts";
import { makeImage, type Products } from "../../scripts/image.ts";
import { accelerationWorks, freePorts, type Machine, qemuCommand, startMachine } from "../../scripts/qemu.ts";
import { BOOT_MS, powerOn } from "../board/appliance.ts";
import { configurationFolder, testDisk } from "../board/content.ts";
import { greeting } from "../board/talk.ts";
import { BOARDS, type Medium, mediumOf, Unsound } from "./medium.ts";
import { recoverImage } from "./recovery.ts";
import { Clients, keyOf, NextHop, type Record } from "./traffic.ts";
import {
  type Cut,
  type Entry,
  extract,
  type Part,
  partition,
  Replay,
  random,
  restore,
  WriteLog,
} from "./writelog.ts";

const SESSIONS = 6;
const LOG_BYTES = 4 * 2 ** 30;
const MEMORY_MB = 256;
/** Longest age of a delivery whose mark may be missing: MARK_DELAY_MS and a sync, in software emulation on a busy machine. */
const WINDOW_MS = 3000;
const REBOOT_DELIVERY_MS = 120_000;
/** The queue is run this often in the appliance, so that retries and their marks are part of the load. */
const QUEUE = "QUEUE=4s";

/** Lines of sendmail.mc that make an appliance of one kind. */
export const MODES = new Map([
  ["background", "define(`confDELIVERY_MODE', `background')dnl\n"],
  [
    "interactive",
    "define(`confDELIVERY_MODE', `interactive')dnl\ndefine(`confSAFE_QUEUE', `interactive')dnl\n",
  ],
]);

/** What one cut has left. */
export interface Scene extends AsyncDisposable {
  readonly work: string;
  readonly board: string;
  readonly medium: Medium;
  readonly products: Products;
  /** The disk before the boot, and as the cut left it. */
  readonly before: string;
  readonly port: number;
  readonly log: WriteLog;
  readonly part: Part;
  readonly record: Record;
  /** Entries of the log when the first client came. */
  readonly start: number;
}

/** Results of many states. */
export interface Findings {
  states: number;
  /** Acknowledged messages, summed over the states. */
  promises: number;
  lost: number;
  duplicates: number;
  /** The oldest delivery whose mark was missing, in milliseconds before the cut. */
  oldestMs: number;
  torn: number;
  /** What was wrong with file systems that the appliance had to repair: it was booted from each, and delivered what it had promised. */
  readonly repaired: string[];
  readonly problems: string[];
}

function withWriteLog(command: readonly string[], disk: string, log: string): string[] {
  const words = [...command];
  const at = words.findIndex((word) => word.includes("id=disk,"));
  words.splice(
    at - 1,
    2,
    ...["-blockdev", `driver=file,node-name=file,filename=${disk}`],
    ...["-blockdev", `driver=file,node-name=log,filename=${log}`],
    "-blockdev",
    "driver=blklogwrites,node-name=disk,file=file,log=log,log-sector-size=512,log-super-update-interval=1",
  );
  // The guest must see a cache, or it sends no flush.
  return words.map((word) =>
    word.startsWith("virtio-blk-pci,drive=disk") ? `${word},write-cache=on` : word,
  );
}

async function configuration(work: string, mode: string, port: number): Promise<string> {
  const folder = configurationFolder(work, port);
  const mc = join(folder, "mail/sendmail.mc");
  writeFileSync(mc, readFileSync(mc, "utf8").replace("MAILER(", `${MODES.get(mode) ?? ""}MAILER(`));
  const queue = join(folder, "system/sendmail");
  writeFileSync(queue, readFileSync(queue, "utf8").replace(/QUEUE=.*/, QUEUE));
  const image = join(work, "config.image");
  await configurationImage(folder, image);
  return image;
}

/** Boots the appliance whose spool has this file system, sends for `seconds`, and cuts the power. */
export async function cutUnderLoad(
  work: string,
  fileSystem: FileSystem,
  mode: string,
  seed: number,
  seconds: number,
): Promise<Scene> {
  mkdirSync(work, { recursive: true });
  const name = BOARDS.get(fileSystem) ?? "";
  const products = await makeImage(name);
  const [port = 0, smtpPort = 0] = await freePorts(2);
  const disk = await testDisk(products, name, work, { configA: await configuration(work, mode, port) });
  const before = join(work, "before.img");
  copyFileSync(disk, before);
  const logFile = join(work, "writes.log");
  writeFileSync(logFile, "");
  truncateSync(logFile, LOG_BYTES);
  const board = readBoard(name);
  const command = await qemuCommand(board, "firmware", {
    disk,
    memoryMb: MEMORY_MB,
    forwards: new Map([[smtpPort, 25]]),
    restricted: false,
    accelerated: await accelerationWorks(board, products),
    words: [],
    serial: "stdio",
  });
  const record: Record = { acknowledged: [], taken: [], damaged: [], refused: [] };
  const log = new WriteLog(logFile);
  const hop = new NextHop(record, () => log.poll());
  await hop.listen(port);
  const machine: Machine = startMachine(withWriteLog(command, disk, logFile));
  const clients = new Clients(smtpPort, record, () => log.poll());
  let start = 0;
  const polling = setInterval(() => log.poll(), 10);
  try {
    await greeting(smtpPort, BOOT_MS);
    start = log.poll();
    const done = clients.run(SESSIONS, seed);
    await new Promise((wake) => setTimeout(wake, seconds * 1000));
    await machine.cut();
    clients.stop();
    await done;
  } finally {
    clearInterval(polling);
    await machine.cut();
    await hop.stop();
  }
  log.poll();
  const medium = mediumOf(name, products, work);
  return {
    work,
    board: name,
    medium,
    products,
    before,
    port,
    log,
    part: partition(before, "spool"),
    record,
    start,
    [Symbol.asyncDispose]: async () => {
      log[Symbol.dispose]();
      await medium[Symbol.asyncDispose]();
    },
  };
}

/** Bytes of writes to the spool since the load began, what the file system keeps for itself included. */
export function spoolBytes({ log, part, start }: Scene): number {
  const inside = ({ offset, discard }: Entry): boolean =>
    !discard && offset >= part.offset && offset < part.offset + part.length;
  return log.entries.slice(start).reduce((sum, entry) => sum + (inside(entry) ? entry.length : 0), 0);
}

/** The places behind each flush since the load began. */
export function boundaries(scene: Scene): number[] {
  const places: number[] = [];
  for (let n = scene.start; n < scene.log.entries.length; n++)
    if (scene.log.entries[n]?.flush === true) places.push(n + 1);
  return places;
}

/** Cuts at the end of flushes (`at`) or between each of them and the next one, in the order of time. */
export function cutsAt(scene: Scene, at: readonly number[], seed: number | null): Cut[] {
  const all = boundaries(scene);
  return at.map((durable) => {
    const following = all[all.indexOf(durable) + 1] ?? scene.log.entries.length;
    if (seed === null) return { durable, end: durable, seed };
    // Any number of the requests before the next flush had been sent when the power went.
    const next = random(seed + durable);
    return { durable, end: durable + Math.floor(next() * (following - durable + 1)), seed: seed + durable };
  });
}

/** `count` of `all`, evenly, always with the last; all of them when there are fewer. */
export function sample<T>(all: readonly T[], count: number): T[] {
  if (all.length <= count) return [...all];
  return Array.from(
    { length: count },
    (_, n) => all[Math.round((n * (all.length - 1)) / Math.max(1, count - 1))],
  ).filter((item) => item !== undefined);
}

function judge(scene: Scene, cut: Cut, queued: ReadonlySet<string>, findings: Findings): void {
  const { record, log } = scene;
  const taken = new Map<string, { place: number; atMs: number }>();
  for (const { key, place, atMs } of record.taken) if (!taken.has(key)) taken.set(key, { place, atMs });
  const cutMs = log.entries[cut.end - 1]?.seenMs ?? 0;
  // The last flush that was over when the 250 was read is the one behind which the message must be safe.
  const flushes = boundaries(scene);
  for (const { tag, id, users, place } of record.acknowledged) {
    const safe = flushes.findLast((at) => at <= place) ?? 0;
    if (safe > cut.durable || place > cut.end) continue;
    findings.promises++;
    for (const user of users) {
      const key = keyOf(tag, user);
      const delivery = taken.get(key);
      const delivered = delivery !== undefined && delivery.place <= cut.end;
      if (!delivered && !queued.has(key)) {
        findings.lost++;
        findings.problems.push(`lost: ${key} (${id}) at ${JSON.stringify(cut)}`);
      }
    }
  }
  for (const key of queued) {
    const delivery = taken.get(key);
    if (delivery === undefined || delivery.place > cut.end) continue;
    findings.duplicates++;
    const age = cutMs - delivery.atMs;
    findings.oldestMs = Math.max(findings.oldestMs, age);
    if (age > WINDOW_MS)
      findings.problems.push(`${key} was delivered ${Math.round(age)} ms before ${JSON.stringify(cut)}`);
  }
}

/**
 * Builds and recovers each state. Cuts must be in the order of time. With `lies` > 0 the disk has not done so many of the last
 * flushes before a cut, which must be noticed.
 */
export async function examine(scene: Scene, cuts: readonly Cut[], lies = 0): Promise<Findings> {
  const findings: Findings = {
    states: 0,
    promises: 0,
    lost: 0,
    duplicates: 0,
    oldestMs: 0,
    torn: 0,
    repaired: [],
    problems: scene.record.damaged.map((what) => `the next hop got a message that is not whole: ${what}`),
  };
  const image = join(scene.work, "replay.img");
  const target = join(scene.work, "state.img");
  await extract(scene.before, scene.part, image);
  const replay = new Replay(scene.log, scene.part, image);
  const flushes = boundaries(scene);
  for (const cut of cuts) {
    const really = flushes[Math.max(0, flushes.indexOf(cut.durable) - lies)] ?? cut.durable;
    await replay.make(lies === 0 ? cut : { durable: really, end: really, seed: null }, target);
    const found = await recoverImage(scene.medium, target);
    findings.states++;
    if (found instanceof Unsound) {
      findings.repaired.push(`${found.message} at ${JSON.stringify(cut)}`);
      // What a disk that lies has left says nothing about the appliance.
      const missing = lies === 0 ? await bootAgain(scene, cut) : [];
      findings.lost += missing.length;
      findings.problems.push(
        ...missing.map((key) => `lost: ${key} after a repair at ${JSON.stringify(cut)}`),
      );
      continue;
    }
    findings.torn += found.torn;
    findings.problems.push(...found.problems.map((problem) => `${problem} at ${JSON.stringify(cut)}`));
    judge(scene, cut, found.queued, findings);
  }
  rmSync(image);
  return findings;
}

/** Boots the appliance again from one state, with a next hop that takes everything: what is missing, which must be nothing. */
export async function bootAgain(scene: Scene, cut: Cut): Promise<string[]> {
  const image = join(scene.work, "again.part");
  await extract(scene.before, scene.part, image);
  const target = join(scene.work, "again.state");
  await new Replay(scene.log, scene.part, image).make(cut, target);
  const disk = join(scene.work, "again.img");
  await restore(scene.before, scene.part, target, disk);
  for (const used of [image, target]) rmSync(used);
  const record: Record = { acknowledged: [], taken: [], damaged: [], refused: [] };
  const hop = new NextHop(record, () => 0);
  hop.willing = true;
  await hop.listen(scene.port);
  try {
    await using box = await powerOn(scene.board, scene.products, disk);
    await greeting(box.smtpPort, BOOT_MS);
    const flushes = boundaries(scene);
    const missing = (): string[] => {
      const taken = new Set(record.taken.map(({ key }) => key));
      for (const { key, place } of scene.record.taken) if (place <= cut.end) taken.add(key);
      return scene.record.acknowledged
        .filter((a) => a.place <= cut.end && (flushes.findLast((at) => at <= a.place) ?? 0) <= cut.durable)
        .flatMap(({ tag, users }) => users.map((user) => keyOf(tag, user)))
        .filter((key) => !taken.has(key));
    };
    const end = performance.now() + REBOOT_DELIVERY_MS;
    while (missing().length > 0 && performance.now() < end)
      await new Promise((wake) => setTimeout(wake, 200));
    return [...missing(), ...record.damaged.map((what) => `not whole: ${what}`)];
  } finally {
    await hop.stop();
    rmSync(disk, { force: true });
  }
}
