// Installs an update into the slot that is not running. The order is what makes a power cut harmless: the other slot is marked bad before its
// first byte changes, written, synced, read back from the medium, and only then put on trial; the running slot and its mark are never touched.
// The boot loader counts the starts of a trial and goes back; /lib/postern/confirm ends it well (RAUC's rules for slots).

import { PIECE_BYTES } from "../base/limits.ts";
import { err, ok, type Result } from "../base/result.ts";
import { openMedium, pieces, runningDigest } from "../sys/medium.ts";
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

/** SHA-256 of a stretch of a file. Error: it cannot be read, or ends early. */
async function sumOf(path: string, from: number, bytes: number): Promise<Result<string>> {
  const sum = runningDigest();
  let got = 0;
  try {
    for await (const piece of pieces(path, from, from + bytes, PIECE_BYTES)) {
      sum.add(piece);
      got += piece.length;
    }
  } catch (e) {
    return err(`cannot read ${path}: ${e instanceof Error ? e.message : String(e)}`);
  }
  return got === bytes ? ok(sum.end()) : err(`${path} ends early`);
}

/** Compares the images with the signed list, without writing anything. */
export async function testPayloads(file: string, update: Update): Promise<Result<true>> {
  for (const { name, offset, bytes, sha256 } of update.payloads) {
    const sum = await sumOf(file, offset, bytes);
    if (!sum.ok) return sum;
    if (sum.value !== sha256) return err(`${name}.img is not what was signed: the file is damaged`);
  }
  return ok(true);
}

async function copy(file: string, payload: Payload, target: string): Promise<Result<true>> {
  const medium = openMedium(target);
  if (!medium.ok) return medium;
  const sum = runningDigest();
  let at = 0;
  try {
    for await (const piece of pieces(file, payload.offset, payload.offset + payload.bytes, PIECE_BYTES)) {
      const written = medium.value.writeAt(piece, at);
      if (!written.ok) return written;
      sum.add(piece);
      at += piece.length;
    }
    if (at !== payload.bytes || sum.end() !== payload.sha256)
      return err(`${payload.name}.img is not what was signed: the file is damaged`);
    return medium.value.sync();
  } catch (e) {
    return err(`cannot read ${file}: ${e instanceof Error ? e.message : String(e)}`);
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
    const copied = await copy(file, payload, path);
    if (!copied.ok) return copied;
  }
  for (const { payload, path } of targets) {
    progress(`reading ${payload.name} back`);
    await system.forget(path);
    const sum = await sumOf(path, 0, payload.bytes);
    if (!sum.ok) return sum;
    if (sum.value !== payload.sha256) return err(`${path} does not hold what was written to it`);
  }
  const trial = await system.set([`bad_${other}=`, `try=${other}`, `tries=${TRIES}`]);
  return trial.ok ? ok(other) : trial;
}
