// A disk in memory that can lose its power after any operation. It keeps apart what is durable and what was only written: unsynced
// writes and directory changes may each be lost or present after the cut, writes also torn at 512-byte borders. It can fail the
// Nth operation with an errno, once or for ever, and can leave out one kind of sync to see whether a test suite notices.
// As f2fs it can forget at a cut what files have grown by, synced or not, since the last sync of a folder (its checkpoint).
// A file that is never synced on purpose (the queue's catalogue) is written back in its own time: each state has some of its last writes,
// and operations on it are no moments of their own for a cut.

import { err, ok, type Result } from "../../src/base/result.ts";
import type { Disk, DiskError, DiskFile, Space } from "../../src/sys/disk.ts";
import { SimEntropy } from "./entropy.ts";

const SECTOR = 512;
const NEVER_SYNCED = /\/catalogue$/;
/** Writes of such a file that the kernel still holds back. */
const HELD_BACK_MAX = 4;

/** A write that is not synced yet. */
interface PendingWrite {
  readonly offset: number;
  readonly data: Buffer;
}

class Inode {
  durable: Buffer = Buffer.alloc(0);
  /** Bytes whose place on the disk is safe whatever happens to later syncs. */
  checkpointed = 0;
  content: Buffer = Buffer.alloc(0);
  pending: PendingWrite[] = [];
  neverSynced = false;

  write(offset: number, data: Buffer): void {
    this.content = patched(this.content, offset, data);
    this.pending.push({ offset, data });
    if (!this.neverSynced || this.pending.length <= HELD_BACK_MAX) return;
    const oldest = this.pending.shift();
    if (oldest !== undefined) this.durable = patched(this.durable, oldest.offset, oldest.data);
  }

  sync(): void {
    this.durable = this.content;
    this.pending = [];
  }
}

function patched(base: Buffer, offset: number, data: Buffer): Buffer {
  const out = Buffer.alloc(Math.max(base.length, offset + data.length));
  base.copy(out, 0);
  data.copy(out, offset);
  return out;
}

/** A change of names that is not synced yet; replayed in order for those that survive. */
type NameChange =
  | { readonly kind: "folder"; readonly path: string }
  | { readonly kind: "link"; readonly path: string; readonly inode: Inode }
  | { readonly kind: "unlink"; readonly path: string }
  | { readonly kind: "rename"; readonly from: string; readonly to: string };

/** What is on the platter: names and contents. Input and output of a power cut. */
export type Image = ReadonlyMap<string, Buffer>;

export interface Faults {
  /** Power is lost after this many operations (counting from 1); nothing answers any more. */
  readonly cutAfter?: number;
  /** The operation with this number fails... */
  readonly failAt?: number;
  /** ...with this errno... */
  readonly code?: string;
  /** ...and all later ones too. */
  readonly forEver?: boolean;
  /** Syncs with this reason do nothing. */
  readonly without?: string;
  /** A cut may take back all growth since the last sync of a folder: torn in its last sync, f2fs drops all since its checkpoint. */
  readonly forgetsGrowth?: boolean;
  /** Only operations that begin with one of these words count for failAt ("sync", "write", "open", ...). */
  readonly only?: readonly string[];
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}

export class SimDisk implements Disk {
  readonly #faults: Faults;
  #operations = 0;
  #counted = 0;
  #dead = false;
  #failing = false;
  /** Durable names, and the names as the program sees them. */
  #durable = new Map<string, Inode>();
  #names = new Map<string, Inode>();
  #folders = new Set<string>();
  #durableFolders = new Set<string>();
  #changes: NameChange[] = [];
  #openFiles = 0;
  freeBytes = 64 * 1024 * 1024;
  totalBytes = 64 * 1024 * 1024;
  freeInodes = 10_000;
  /** Reason of each sync that was made, in order. */
  readonly syncs: string[] = [];
  readonly trace: string[] = [];
  /** The most bytes that one sync with this reason had to write. */
  readonly flushedMost = new Map<string, number>();

  constructor(image: Image = new Map(), faults: Faults = {}) {
    this.#faults = faults;
    for (const [path, content] of image) {
      const inode = new Inode();
      inode.neverSynced = NEVER_SYNCED.test(path);
      inode.content = Buffer.from(content);
      inode.durable = inode.content;
      inode.checkpointed = inode.durable.length;
      this.#durable.set(path, inode);
      this.#names.set(path, inode);
      this.#folders.add(folderOf(path));
      this.#durableFolders.add(folderOf(path));
    }
  }

  get operations(): number {
    return this.#operations;
  }

  get dead(): boolean {
    return this.#dead;
  }

  /** File descriptors that were not closed. */
  get openFiles(): number {
    return this.#openFiles;
  }

  #broken: string | null = null;

  /** From now on everything that changes the disk fails with this errno; null repairs it. */
  break(code: string | null): void {
    this.#broken = code;
  }

  /** Power off now. */
  cut(): void {
    this.#dead = true;
  }

  /** Called after each operation's effect and before its result: the moment of a power cut. */
  onStep: ((disk: SimDisk) => Promise<void>) | null = null;
  #gate: Promise<void> = Promise.resolve();
  #leave: () => void = () => undefined;

  /** Counts an operation; the error it must fail with, or null. After the cut nothing returns. One operation at a time. */
  async #step(operation: string): Promise<DiskError | null> {
    const before = this.#gate;
    let leave: () => void = () => undefined;
    this.#gate = new Promise((resolve) => {
      leave = resolve;
    });
    await before;
    if (this.#dead) await new Promise(() => undefined);
    this.#leave = leave;
    const failed = this.#count(operation);
    if (failed !== null) leave();
    return failed;
  }

  #count(operation: string): DiskError | null {
    this.#operations++;
    this.trace.push(operation);
    if (this.#broken !== null && /^(write|sync|rename|unlink|mkdir|open create)/.test(operation))
      return { code: this.#broken, operation };
    const { failAt, code, forEver, only } = this.#faults;
    if (failAt !== undefined && (only === undefined || only.some((word) => operation.startsWith(word)))) {
      this.#counted++;
      if (this.#counted === failAt || (forEver === true && this.#failing)) {
        this.#failing = true;
        return { code: code ?? "EIO", operation };
      }
    }
    return null;
  }

  /** The end of an operation: the power may go here, after its effect and before its result. */
  async #done(moment = true): Promise<void> {
    if (moment && this.onStep !== null) await this.onStep(this);
    if (this.#faults.cutAfter !== undefined && this.#operations >= this.#faults.cutAfter) {
      this.#dead = true;
      await new Promise(() => undefined);
    }
    this.#leave();
    // Results come in a later turn, as a real disk's do.
    await null;
  }

  #fail(code: string, operation: string): { readonly ok: false; readonly error: DiskError } {
    this.#leave();
    return err({ code, operation });
  }

  async open(path: string, how: "read" | "write" | "create"): Promise<Result<DiskFile, DiskError>> {
    const failed = await this.#step(`open ${how} ${path}`);
    if (failed !== null) return err(failed);
    let inode = this.#names.get(path);
    if (how === "create") {
      if (inode !== undefined) return this.#fail("EEXIST", `open ${path}`);
      if (this.freeInodes <= 0) return this.#fail("ENOSPC", `open ${path}`);
      inode = new Inode();
      inode.neverSynced = NEVER_SYNCED.test(path);
      this.#names.set(path, inode);
      this.#changes.push({ kind: "link", path, inode });
    }
    if (inode === undefined) return this.#fail("ENOENT", `open ${path}`);
    await this.#done();
    this.#openFiles++;
    return ok(this.#file(path, inode, how !== "read"));
  }

  #file(path: string, inode: Inode, writable: boolean): DiskFile {
    let closed = false;
    return {
      write: async (pieces, offset) => {
        const failed = await this.#step(`write ${path}`);
        if (failed !== null) return err(failed);
        if (!writable || closed) throw new Error(`write to a closed file ${path}`);
        const data = Buffer.concat(pieces);
        const grows = Math.max(0, offset + data.length - inode.content.length);
        if (grows > this.freeBytes) {
          inode.write(offset, data.subarray(0, Math.max(0, data.length - grows + this.freeBytes)));
          this.freeBytes = 0;
          return this.#fail("ENOSPC", `write ${path}`);
        }
        this.freeBytes -= grows;
        inode.write(offset, data);
        await this.#done(!inode.neverSynced);
        return ok(true);
      },
      read: async (offset, length) => {
        const failed = await this.#step(`read ${path}`);
        if (failed !== null) return err(failed);
        const found = Buffer.from(inode.content.subarray(offset, offset + length));
        await this.#done();
        return ok(found);
      },
      sync: async (why) => {
        const failed = await this.#step(`sync ${path}: ${why}`);
        if (failed !== null) {
          // Linux marks the pages clean: they may never reach the disk, and a second fsync succeeds.
          this.#orphan(inode);
          return err(failed);
        }
        this.syncs.push(why);
        const flushed = inode.pending.reduce((n, w) => n + w.data.length, 0);
        this.flushedMost.set(why, Math.max(this.flushedMost.get(why) ?? 0, flushed));
        if (this.#faults.without !== why) inode.sync();
        await this.#done();
        return ok(true);
      },
      size: async () => {
        const failed = await this.#step(`size ${path}`);
        if (failed !== null) return err(failed);
        await this.#done();
        return ok(inode.content.length);
      },
      close: async () => {
        if (this.#dead) await new Promise(() => undefined);
        if (!closed) this.#openFiles--;
        closed = true;
      },
    };
  }

  /** Writes that a failed sync has dropped: visible to reads, never durable unless written again. */
  #orphan(inode: Inode): void {
    this.#lost.set(inode, [...(this.#lost.get(inode) ?? []), ...inode.pending]);
    inode.pending = [];
    const synced = inode.sync.bind(inode);
    inode.sync = () => {
      // Only what was written since becomes durable.
      let durable = inode.durable;
      for (const write of inode.pending) durable = patched(durable, write.offset, write.data);
      synced();
      inode.durable = durable;
    };
  }

  readonly #lost = new Map<Inode, PendingWrite[]>();

  async makeFolder(path: string): Promise<Result<true, DiskError>> {
    const failed = await this.#step(`mkdir ${path}`);
    if (failed !== null) return err(failed);
    if (!this.#folders.has(path)) {
      this.#folders.add(path);
      this.#changes.push({ kind: "folder", path });
    }
    await this.#done();
    return ok(true);
  }

  async list(path: string): Promise<Result<readonly string[], DiskError>> {
    const failed = await this.#step(`list ${path}`);
    if (failed !== null) return err(failed);
    const names = [...this.#names.keys()]
      .filter((name) => folderOf(name) === path)
      .map((name) => name.slice(path.length + 1));
    await this.#done();
    return ok(names.sort());
  }

  async rename(from: string, to: string): Promise<Result<true, DiskError>> {
    const failed = await this.#step(`rename ${from} ${to}`);
    if (failed !== null) return err(failed);
    const inode = this.#names.get(from);
    if (inode === undefined) return this.#fail("ENOENT", `rename ${from}`);
    this.#names.delete(from);
    this.#names.set(to, inode);
    this.#changes.push({ kind: "rename", from, to });
    await this.#done();
    return ok(true);
  }

  async unlink(path: string): Promise<Result<true, DiskError>> {
    const failed = await this.#step(`unlink ${path}`);
    if (failed !== null) return err(failed);
    const inode = this.#names.get(path);
    if (inode === undefined) return this.#fail("ENOENT", `unlink ${path}`);
    this.#names.delete(path);
    this.#changes.push({ kind: "unlink", path });
    this.freeBytes += inode.content.length;
    await this.#done();
    return ok(true);
  }

  async syncFolder(path: string, why: string): Promise<Result<true, DiskError>> {
    const failed = await this.#step(`syncfolder ${path}: ${why}`);
    if (failed !== null) return err(failed);
    this.syncs.push(why);
    if (this.#faults.without !== why) {
      const rest: NameChange[] = [];
      for (const change of this.#changes) {
        const where = folderOf(change.kind === "rename" ? change.to : change.path);
        if (where === path) applyChange(this.#durable, this.#durableFolders, change);
        else rest.push(change);
      }
      this.#changes = rest;
      for (const inode of this.#inodes()) inode.checkpointed = inode.durable.length;
    }
    await this.#done();
    return ok(true);
  }

  async space(_path: string): Promise<Result<Space, DiskError>> {
    const failed = await this.#step("space");
    if (failed !== null) return err(failed);
    await this.#done();
    return ok({
      freeBytes: this.freeBytes,
      totalBytes: this.totalBytes,
      freeBlocks: Math.floor(this.freeBytes / 1024),
      blockBytes: 1024,
      freeInodes: this.freeInodes,
      totalInodes: 20_000,
    });
  }

  /** What the running program sees; the state after a killed process. */
  live(): Image {
    return new Map([...this.#names].map(([path, inode]) => [path, inode.content]));
  }

  /** Everything lost that was not synced. */
  strict(): Image {
    return new Map(
      [...this.#durable]
        .filter(([path]) => this.#durableFolders.has(folderOf(path)))
        .map(([path, inode]) => [path, inode.durable]),
    );
  }

  /**
   * Legal states after a power cut now: every choice for every unsynced write and name change when there are at most `max` of
   * them, else the corners and seeded samples. Each state comes once per choice, not deduplicated.
   */
  *states(max: number, seed: number): Generator<Image> {
    const writes: { inode: Inode; write: PendingWrite }[] = [];
    const late: { inode: Inode; write: PendingWrite }[] = [];
    for (const inode of this.#inodes()) {
      for (const write of inode.pending) (inode.neverSynced ? late : writes).push({ inode, write });
      for (const write of this.#lost.get(inode) ?? []) writes.push({ inode, write });
    }
    const names = this.#changes.length;
    const choices = writes.map(({ write }) => 2 + waysToTear(write));
    const total = choices.reduce((n, c) => n * c, 1) * 2 ** names;
    const lateness = new SimEntropy(seed + 1);
    const all = [...writes, ...late];
    /** With some of the late writes, the last of them perhaps torn. */
    const withLate = (choice: { writes: readonly number[]; names: readonly boolean[] }): typeof choice => {
      const kept = lateness.below(late.length + 1);
      const some = late.map(({ write }, i) => {
        if (i !== kept - 1) return i < kept ? 1 : 0;
        return 1 + lateness.below(1 + waysToTear(write));
      });
      return { writes: [...choice.writes, ...some], names: choice.names };
    };
    if (total <= max) {
      for (let index = 0; index < total; index++)
        yield this.#state(all, withLate(decode(index, choices, names)));
      return;
    }
    const entropy = new SimEntropy(seed);
    const none = { writes: writes.map(() => 0), names: new Array<boolean>(names).fill(false) };
    yield this.#state(all, withLate(none));
    const every = { writes: writes.map(() => 1), names: new Array<boolean>(names).fill(true) };
    yield this.#state(all, withLate(every));
    for (let i = 2; i < max; i++) {
      const choice = {
        writes: choices.map((c) => entropy.below(c)),
        names: Array.from({ length: names }, () => entropy.below(2) === 1),
      };
      yield this.#state(all, withLate(choice));
    }
  }

  /** All that are durable, named, or on the way to a name. */
  #inodes(): Set<Inode> {
    const inodes = new Set<Inode>([...this.#durable.values(), ...this.#names.values()]);
    for (const change of this.#changes) if (change.kind === "link") inodes.add(change.inode);
    return inodes;
  }

  #state(
    writes: readonly { inode: Inode; write: PendingWrite }[],
    choice: { readonly writes: readonly number[]; readonly names: readonly boolean[] },
  ): Image {
    const contents = new Map<Inode, Buffer>();
    const entropy = new SimEntropy(choice.writes.reduce((a, b) => a * 31 + b, 7));
    for (const [i, { inode, write }] of writes.entries()) {
      const how = choice.writes[i] ?? 0;
      if (how === 0) continue;
      const base = contents.get(inode) ?? inode.durable;
      contents.set(
        inode,
        how === 1 ? patched(base, write.offset, write.data) : torn(base, write, how - 2, entropy),
      );
    }
    const names = new Map(this.#durable);
    const folders = new Set(this.#durableFolders);
    for (const [i, change] of this.#changes.entries())
      if (choice.names[i] === true) applyChange(names, folders, change);
    return new Map(
      [...names]
        .filter(([path]) => folders.has(folderOf(path)))
        .map(([path, inode]) => [path, this.#left(inode, contents.get(inode) ?? inode.durable)]),
    );
  }

  #left(inode: Inode, content: Buffer): Buffer {
    return this.#faults.forgetsGrowth === true ? content.subarray(0, inode.checkpointed) : content;
  }
}

/** A program that uses the disk and can be killed: nothing answers it any more, and what it wrote stays in the page cache. */
export class SimProcess implements Disk {
  readonly #disk: Disk;
  #alive = true;
  /** Kills the program after the first operation for which this says true. */
  killAfter: ((operation: string) => boolean) | null = null;

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  get alive(): boolean {
    return this.#alive;
  }

  kill(): void {
    this.#alive = false;
  }

  async #run<T>(operation: string, work: () => Promise<T>): Promise<T> {
    if (!this.#alive) await new Promise(() => undefined);
    const result = await work();
    if (this.killAfter?.(operation) === true) this.#alive = false;
    if (!this.#alive) await new Promise(() => undefined);
    return result;
  }

  async open(path: string, how: "read" | "write" | "create"): Promise<Result<DiskFile, DiskError>> {
    const opened = await this.#run(`open ${path}`, () => this.#disk.open(path, how));
    if (!opened.ok) return opened;
    const file = opened.value;
    return ok({
      write: (pieces, offset) => this.#run(`write ${path}`, () => file.write(pieces, offset)),
      read: (offset, length) => this.#run(`read ${path}`, () => file.read(offset, length)),
      sync: (why) => this.#run(`sync ${why}`, () => file.sync(why)),
      size: () => this.#run(`size ${path}`, () => file.size()),
      close: () => this.#run(`close ${path}`, () => file.close()),
    });
  }

  makeFolder(path: string): Promise<Result<true, DiskError>> {
    return this.#run(`mkdir ${path}`, () => this.#disk.makeFolder(path));
  }
  list(path: string): Promise<Result<readonly string[], DiskError>> {
    return this.#run(`list ${path}`, () => this.#disk.list(path));
  }
  rename(from: string, to: string): Promise<Result<true, DiskError>> {
    return this.#run(`rename ${from}`, () => this.#disk.rename(from, to));
  }
  unlink(path: string): Promise<Result<true, DiskError>> {
    return this.#run(`unlink ${path}`, () => this.#disk.unlink(path));
  }
  syncFolder(path: string, why: string): Promise<Result<true, DiskError>> {
    return this.#run(`syncfolder ${path}`, () => this.#disk.syncFolder(path, why));
  }
  space(path: string): Promise<Result<Space, DiskError>> {
    return this.#run(`space ${path}`, () => this.#disk.space(path));
  }
}

function applyChange(names: Map<string, Inode>, folders: Set<string>, change: NameChange): void {
  if (change.kind === "folder") {
    folders.add(change.path);
  } else if (change.kind === "link") {
    names.set(change.path, change.inode);
  } else if (change.kind === "unlink") {
    names.delete(change.path);
  } else {
    const inode = names.get(change.from);
    if (inode === undefined) return;
    names.delete(change.from);
    names.set(change.to, inode);
  }
}

/** Sector borders inside a write. */
function tears(write: PendingWrite): number {
  const first = Math.floor(write.offset / SECTOR) + 1;
  const last = Math.floor((write.offset + write.data.length - 1) / SECTOR);
  return Math.max(0, last - first + 1);
}

/** Ways that torn() knows for a write: prefixes, suffixes, one sector missing, one sector alone, random subsets. */
function waysToTear(write: PendingWrite): number {
  const borders = tears(write);
  return borders === 0 ? 0 : Math.min(4 * borders + 8, 60);
}

/** Some sectors of the write, by the number of the way. */
function torn(base: Buffer, write: PendingWrite, way: number, entropy: SimEntropy): Buffer {
  const count = tears(write) + 1;
  const at = 1 + (Math.floor(way / 4) % (count - 1));
  const keep = (sector: number): boolean => {
    if (way >= 4 * (count - 1)) return entropy.below(2) === 1;
    if (way % 4 === 0) return sector < at;
    if (way % 4 === 1) return sector >= at;
    if (way % 4 === 2) return sector !== at;
    return sector === at;
  };
  let out = base;
  const start = Math.floor(write.offset / SECTOR) * SECTOR;
  for (let sector = 0; sector < count; sector++) {
    if (!keep(sector)) continue;
    const from = Math.max(write.offset, start + sector * SECTOR);
    const to = Math.min(write.offset + write.data.length, start + (sector + 1) * SECTOR);
    out = patched(out, from, write.data.subarray(from - write.offset, to - write.offset));
  }
  return out;
}

function decode(
  index: number,
  choices: readonly number[],
  names: number,
): { readonly writes: number[]; readonly names: boolean[] } {
  let rest = index;
  const writes = choices.map((c) => {
    const pick = rest % c;
    rest = Math.floor(rest / c);
    return pick;
  });
  return { writes, names: Array.from({ length: names }, (_, i) => ((rest >> i) & 1) === 1) };
}
