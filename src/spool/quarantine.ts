// The folder of damaged records: each file is one line of JSON (name, reason, number of the large message's file) and then the bytes as they were found.
// The same damage has the same name at every start, so recovering twice leaves one file. What has a name ending in .new
// was being written when the power failed, and is written again. A name ending in .done is an empty file: somebody has dealt with
// that damage, which the log still holds until its segment is used again.

import { QUARANTINE_FILES_MAX } from "../base/limits.ts";
import { ok, type Result } from "../base/result.ts";
import type { Disk, DiskError } from "../sys/disk.ts";
import type { Damage } from "./recovery.ts";
import { slotIn } from "./salvage.ts";

export interface DamagedItem {
  readonly name: string;
  readonly reason: string;
  readonly bytes: number;
}

export class Quarantine {
  readonly #disk: Disk;
  readonly #folder: string;
  /** Names with the file that each keeps from being used again, 0: none. */
  readonly #names: Map<string, number>;
  readonly #done: Set<string>;

  constructor(
    disk: Disk,
    folder: string,
    names: ReadonlyMap<string, number> = new Map(),
    done: readonly string[] = [],
  ) {
    this.#disk = disk;
    this.#folder = folder;
    this.#names = new Map(names);
    this.#done = new Set(done);
  }

  get count(): number {
    return this.#names.size;
  }

  /** Files of large messages that damaged records point to. */
  get slots(): readonly number[] {
    return [...this.#names.values()].filter((slot) => slot > 0);
  }

  /** The file that this damaged record points to, 0 for none. */
  slotOf(name: string): number {
    return this.#names.get(name) ?? 0;
  }

  /** Somebody has dealt with it. */
  isDone(name: string): boolean {
    return this.#done.has(name);
  }

  /** Keeps the bytes; "known" when they are kept already, "full" when there are too many. */
  async keep(damage: Damage): Promise<Result<"kept" | "known" | "full", DiskError>> {
    if (this.#names.has(damage.name) || this.#done.has(damage.name)) return ok("known");
    if (this.#names.size >= QUARANTINE_FILES_MAX) return ok("full");
    const path = `${this.#folder}/${damage.name}`;
    const opened = await this.#disk.open(`${path}.new`, "create");
    if (!opened.ok) return opened;
    const slot = keptSlot(damage);
    const { name, reason } = damage;
    const head = Buffer.from(`${JSON.stringify({ name, reason, ...(slot === 0 ? {} : { slot }) })}\n`);
    let done = await opened.value.write([head, damage.bytes], 0);
    if (done.ok) done = await opened.value.sync("quarantined bytes before their name");
    await opened.value.close();
    if (done.ok) done = await this.#disk.rename(`${path}.new`, path);
    if (done.ok) done = await this.#disk.syncFolder(this.#folder, "the name of quarantined bytes");
    if (!done.ok) {
      await this.#disk.unlink(`${path}.new`);
      return done;
    }
    this.#names.set(damage.name, slot);
    return ok("kept");
  }

  async read(name: string): Promise<{ readonly reason: string; readonly bytes: Buffer } | null> {
    if (!this.#names.has(name)) return null;
    const opened = await this.#disk.open(`${this.#folder}/${name}`, "read");
    if (!opened.ok) return null;
    const size = await opened.value.size();
    const content = size.ok ? await opened.value.read(0, size.value) : size;
    await opened.value.close();
    if (!content.ok) return null;
    const end = content.value.indexOf(10);
    return { ...headOf(content.value.subarray(0, end)), bytes: content.value.subarray(end + 1) };
  }

  async list(): Promise<readonly DamagedItem[]> {
    const items: DamagedItem[] = [];
    for (const name of this.#names.keys()) {
      const item = await this.read(name);
      if (item !== null) items.push({ name, reason: item.reason, bytes: item.bytes.length });
    }
    return items;
  }

  /** Forgets a damaged record for good, also over the next start. */
  async remove(name: string): Promise<boolean> {
    if (!this.#names.has(name)) return false;
    const mark = await this.#disk.open(`${this.#folder}/${name}.done`, "create");
    if (!mark.ok) return false;
    await mark.value.close();
    const marked = await this.#disk.syncFolder(this.#folder, "the mark that damage was dealt with");
    const gone = marked.ok ? await this.#disk.unlink(`${this.#folder}/${name}`) : marked;
    if (!gone.ok) return false;
    this.#names.delete(name);
    this.#done.add(name);
    return true;
  }

  /** Removes the marks of damage whose segments are not needed any more (epochs below `tail`). */
  async forgetBelow(tail: number): Promise<void> {
    for (const name of [...this.#done]) {
      if (Number.parseInt(name, 10) >= tail) continue;
      await this.#disk.unlink(`${this.#folder}/${name}.done`);
      this.#done.delete(name);
    }
  }
}

/** What was cut off by a power failure was never promised: its file is not kept. */
export function keptSlot(damage: Damage): number {
  return damage.last ? 0 : slotIn(damage.bytes);
}

function headOf(line: Buffer): { readonly reason: string; readonly slot: number } {
  try {
    const json: unknown = JSON.parse(line.toString("utf8"));
    if (typeof json === "object" && json !== null && "reason" in json) {
      const slot = "slot" in json && Number.isSafeInteger(json.slot) ? Number(json.slot) : 0;
      return { reason: String(json.reason), slot };
    }
  } catch (e) {
    if (!(e instanceof SyntaxError)) throw e;
  }
  return { reason: "unknown", slot: 0 };
}

/** The first line of a file in quarantine is never longer. */
const HEAD_BYTES_MAX = 1024;

async function slotOnDisk(disk: Disk, path: string): Promise<number> {
  const opened = await disk.open(path, "read");
  if (!opened.ok) return 0;
  const start = await opened.value.read(0, HEAD_BYTES_MAX);
  await opened.value.close();
  return start.ok ? headOf(start.value.subarray(0, Math.max(0, start.value.indexOf(10)))).slot : 0;
}

/** Opens the folder and removes what was half written. */
export async function openQuarantine(disk: Disk, folder: string): Promise<Result<Quarantine, DiskError>> {
  const listed = await disk.list(folder);
  if (!listed.ok) return listed;
  if (listed.value.length > 0) {
    const named = await disk.syncFolder(folder, "names of quarantined bytes found by recovery");
    if (!named.ok) return named;
  }
  const all = new Set(listed.value);
  const names = new Map<string, number>();
  const done: string[] = [];
  for (const name of listed.value) {
    if (name.endsWith(".done")) done.push(name.slice(0, -".done".length));
    // Half written, or dealt with and not yet gone.
    else if (name.endsWith(".new") || all.has(`${name}.done`)) await disk.unlink(`${folder}/${name}`);
    else names.set(name, await slotOnDisk(disk, `${folder}/${name}`));
  }
  return ok(new Quarantine(disk, folder, names, done));
}
