// Installs an update into the slot that is not running. The order is what makes a power cut harmless: the other slot is marked bad before its
// first byte changes, written, synced, read back from the medium, and only then put on trial; the running slot and its mark are never touched.
// The boot loader counts the starts of a trial and goes back; /lib/postern/confirm ends it well (RAUC's rules for slots).

import { PIECE_BYTES } from "../base/limits.ts";
import { err, ok, type Result } from "../base/result.ts";
import { openForReading } from "../sys/files.ts";
import { openMedium, runningDigest } from "../sys/medium.ts";
import type { ImageName, Payload, Release, Update } from "./update.ts";

export type SlotName = "a" | "b";
export const TRIES = 3;

/** The running system, as far as an update concerns it. */
export interface System {
  readonly release: Pick<Release, "compatible" | "version" | "date">;
  /** The slot that runs. */
  readonly slot: SlotName;
  /** The slot on trial, "" when there is none. */
  readonly trial: string;
  partition(image: ImageName, slot: SlotName): Result<{ readonly path: string; readonly bytes: number }>;
  /** Sets words of the boot state ("try=b"), synced. */
  set(words: readonly string[]): Promise<Result<true>>;
  /** What memory holds of a partition is dropped, so that it is read from the medium. */
  forget(path: string): Promise<void>;
}

/** Why this release must not be installed here; null when it may. `downgrade` allows one that is older than the running one. */
export function refusal(release: Release, system: System, downgrade: boolean): string | null {
  const { compatible, version, date } = system.release;
  if (release.compatible !== compatible)
    return `the update is for ${release.compatible}, this is ${compatible}`;
  if (release.date < date && !downgrade)
    return `the update (${release.version}) is older than what runs (${version}); --downgrade installs it all the same`;
  return null;
}

/**
 * SHA-256 of a stretch of a file, each piece of it given to `use` first. One buffer for all of it: pieces that wait for the garbage collector
 * are more than a machine of 128 MB has. Error: it cannot be read, ends early, or `use` says why not.
 */
function sumOf(
  path: string,
  from: number,
  bytes: number,
  use: (piece: Buffer, at: number) => Result<true> = () => ok(true),
): Result<string> {
  const opened = openForReading(path, "or block device");
  if (opened.kind !== "found") return err(opened.kind === "absent" ? `there is no ${path}` : opened.reason);
  const sum = runningDigest();
  const buffer = Buffer.alloc(PIECE_BYTES);
  try {
    for (let at = 0; at < bytes; ) {
      const piece = buffer.subarray(0, Math.min(PIECE_BYTES, bytes - at));
      const got = opened.value.readAt(piece, from + at);
      if (!got.ok) return got;
      if (got.value < piece.length) return err(`${path} ends early`);
      const used = use(piece, at);
      if (!used.ok) return used;
      sum.add(piece);
      at += piece.length;
    }
    return ok(sum.end());
  } finally {
    opened.value.close();
  }
}

/** Compares the images with the signed list, without writing anything. */
export function testPayloads(file: string, update: Update): Result<true> {
  for (const { name, offset, bytes, sha256 } of update.payloads) {
    const sum = sumOf(file, offset, bytes);
    if (!sum.ok) return sum;
    if (sum.value !== sha256) return err(`${name}.img is not what was signed: the file is damaged`);
  }
  return ok(true);
}

/** What is written is synced in steps, so that a small memory never fills with what the medium has yet to take. */
const SYNC_BYTES = 4 * 1024 * 1024;

function copy(file: string, payload: Payload, target: string): Result<true> {
  const medium = openMedium(target);
  if (!medium.ok) return medium;
  try {
    const sum = sumOf(file, payload.offset, payload.bytes, (piece, at) => {
      const written = medium.value.writeAt(piece, at);
      return written.ok && at % SYNC_BYTES === 0 ? medium.value.sync() : written;
    });
    if (!sum.ok) return sum;
    if (sum.value !== payload.sha256)
      return err(`${payload.name}.img is not what was signed: the file is damaged`);
    return medium.value.sync();
  } finally {
    medium.value.close();
  }
}

/**
 * Writes the update to the other slot and puts that on trial; the slot. On an error before `try` is set the other slot stays
 * marked bad, and the running one stays what starts.
 */
export async function install(
  file: string,
  update: Update,
  system: System,
  progress: (text: string) => void,
): Promise<Result<SlotName>> {
  if (system.trial === system.slot)
    return err(
      "the running system is itself on trial: wait until it is confirmed (postern upgrade --status)",
    );
  const other: SlotName = system.slot === "a" ? "b" : "a";
  const targets: { readonly payload: Payload; readonly path: string }[] = [];
  for (const payload of update.payloads) {
    const target = system.partition(payload.name, other);
    if (!target.ok) return target;
    if (payload.bytes > target.value.bytes)
      return err(`${payload.name}.img has ${payload.bytes} bytes, its partition ${target.value.bytes}`);
    targets.push({ payload, path: target.value.path });
  }
  const marked = await system.set([`bad_${other}=writing`, "try=", "tries="]);
  if (!marked.ok) return marked;
  for (const { payload, path } of targets) {
    progress(`writing ${payload.name} of slot ${other} (${(payload.bytes / 1e6).toFixed(1)} MB)`);
    const copied = copy(file, payload, path);
    if (!copied.ok) return copied;
  }
  for (const { payload, path } of targets) {
    progress(`reading ${payload.name} back`);
    await system.forget(path);
    const sum = sumOf(path, 0, payload.bytes);
    if (!sum.ok) return sum;
    if (sum.value !== payload.sha256) return err(`${path} does not hold what was written to it`);
  }
  const trial = await system.set([`bad_${other}=`, `try=${other}`, `tries=${TRIES}`]);
  return trial.ok ? ok(other) : trial;
}
