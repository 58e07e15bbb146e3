// Update files (postern-BOARD.update): a tar (POSIX ustar) of SHA256.sig, release.json, boot.img, rootfs.img, in this order. SHA256.sig is
// a list of SHA-256 with its Ed25519 signature in front, as signify(1) makes it with -S -e, so `signify -C -p update.signify -x SHA256.sig`
// says on any host what the device will say. What is signed is the list, never the payload: that can be read in a stream.

import { RELEASE_BYTES_MAX, UPDATE_LIST_BYTES_MAX } from "../base/limits.ts";
import { err, ok, type Result } from "../base/result.ts";
import { digest, signEd25519, verifies } from "../sys/crypto.ts";
import { openForReading, type ReadFile } from "../sys/files.ts";
import type { SigningKey, TrustedKey } from "./keys.ts";

const BLOCK_BYTES = 512;
const LIST_NAME = "SHA256.sig";
const RELEASE_NAME = "release.json";
/** The images of a slot, and the partitions that they go to. */
export const IMAGES = ["boot", "rootfs"] as const;
export type ImageName = (typeof IMAGES)[number];
/** "Ed", the number of the key (always zero: keys go by trying those that are trusted), the signature. */
const SIGNATURE_HEAD = Buffer.from("Ed\0\0\0\0\0\0\0\0", "latin1");
const SIGNATURE_BYTES = 64;
const FORMAT = 1;

/** What an update says of itself. */
export interface Release {
  readonly format: number;
  /** The board that it is for. */
  readonly compatible: string;
  readonly version: string;
  /** Seconds since 1970; a release is newer than another when this is greater. */
  readonly date: number;
}

/** An image in an update file. */
export interface Payload {
  readonly name: ImageName;
  readonly sha256: string;
  readonly offset: number;
  readonly bytes: number;
}

export interface Update {
  readonly release: Release;
  readonly payloads: readonly Payload[];
  /** The key whose signature is good. */
  readonly key: TrustedKey;
}

/** The list with its signature. */
export function signList(list: string, key: SigningKey): string {
  const signature = Buffer.concat([SIGNATURE_HEAD, signEd25519(key.key, Buffer.from(list))]);
  return `untrusted comment: verify with update.signify\n${signature.toString("base64")}\n${list}`;
}

/** A public key as signify(1) reads it. */
export function signifyKey(key: TrustedKey): string {
  const raw = key.key.export({ type: "spki", format: "der" }).subarray(-32);
  return `untrusted comment: Postern update key\n${Buffer.concat([SIGNATURE_HEAD, raw]).toString("base64")}\n`;
}

export function listLine(name: string, sha256: string): string {
  return `SHA256 (${name}) = ${sha256}\n`;
}

interface Member {
  readonly name: string;
  readonly offset: number;
  readonly bytes: number;
}

/** The member whose header is at `at`. */
function memberAt(file: ReadFile, at: number): Result<Member> {
  const header = Buffer.alloc(BLOCK_BYTES);
  const got = file.readAt(header, at);
  if (!got.ok) return got;
  if (got.value < BLOCK_BYTES) return err("the file is cut off");
  const text = (from: number, to: number) => header.toString("latin1", from, to).replace(/[\0 ].*$/s, "");
  if (header.toString("latin1", 257, 262) !== "ustar") return err("this is not an update file");
  const size = text(124, 136);
  if (!/^[0-7]+$/.test(size)) return err("this is not an update file");
  const bytes = Number.parseInt(size, 8);
  if (at + BLOCK_BYTES + bytes > file.facts.size) return err("the file is cut off");
  return ok({ name: text(0, 100), offset: at + BLOCK_BYTES, bytes });
}

function members(file: ReadFile, names: readonly string[]): Result<ReadonlyMap<string, Member>> {
  const found = new Map<string, Member>();
  let at = 0;
  for (const name of names) {
    const member = memberAt(file, at);
    if (!member.ok) return member;
    if (member.value.name !== name)
      return err(`this is not an update file: ${name} is not where it should be`);
    found.set(name, member.value);
    at = member.value.offset + Math.ceil(member.value.bytes / BLOCK_BYTES) * BLOCK_BYTES;
  }
  return ok(found);
}

function read(file: ReadFile, member: Member | undefined, bytesMax: number): Result<Buffer> {
  if (member === undefined || member.bytes > bytesMax) return err("this is not an update file");
  const bytes = Buffer.alloc(member.bytes);
  const got = file.readAt(bytes, member.offset);
  if (!got.ok) return got;
  return got.value === bytes.length ? ok(bytes) : err("the file is cut off");
}

/** Checks the signature of the list; the sums by name, and whose key it was. */
function trustedSums(
  text: Buffer,
  trusted: readonly TrustedKey[],
): Result<{ readonly sums: ReadonlyMap<string, string>; readonly key: TrustedKey }> {
  const first = text.indexOf("\n");
  const second = text.indexOf("\n", first + 1);
  if (first < 0 || second < 0) return err("the list of the update has no signature");
  const signature = Buffer.from(text.toString("latin1", first + 1, second), "base64");
  if (
    signature.length !== SIGNATURE_HEAD.length + SIGNATURE_BYTES ||
    !signature.subarray(0, SIGNATURE_HEAD.length).equals(SIGNATURE_HEAD)
  )
    return err("the list of the update has no signature");
  const list = text.subarray(second + 1);
  const key = trusted.find((one) => verifies(null, one.key, list, signature.subarray(SIGNATURE_HEAD.length)));
  if (key === undefined)
    return err(
      "the update is not signed with a key that this system trusts (postern upgrade --key says another one)",
    );
  const sums = new Map<string, string>();
  for (const line of list.toString("latin1").split("\n")) {
    const [, name, sum] = /^SHA256 \(([a-z0-9.]+)\) = ([0-9a-f]{64})$/.exec(line) ?? [];
    if (name !== undefined && sum !== undefined) sums.set(name, sum);
  }
  return ok({ sums, key });
}

function parseRelease(bytes: Buffer): Result<Release> {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString("utf8"));
  } catch {
    return err("release.json of the update cannot be read");
  }
  if (typeof value !== "object" || value === null) return err("release.json of the update cannot be read");
  const { format, compatible, version, date } = value as Readonly<Record<string, unknown>>;
  if (format !== FORMAT)
    return err(
      `the update has format ${String(format)}, this system reads ${FORMAT}: install a version between them first`,
    );
  if (typeof compatible !== "string" || typeof version !== "string" || !Number.isSafeInteger(date))
    return err("release.json of the update lacks compatible, version or date");
  return ok({ format, compatible, version, date: Number(date) });
}

/** Opens an update whose list is signed by one of `trusted`. The images are not read: their sums are in the answer. */
export function openUpdate(path: string, trusted: readonly TrustedKey[]): Result<Update> {
  const opened = openForReading(path);
  if (opened.kind !== "found") return err(opened.kind === "absent" ? `there is no ${path}` : opened.reason);
  const file = opened.value;
  try {
    const names = [LIST_NAME, RELEASE_NAME, ...IMAGES.map((name) => `${name}.img`)];
    const found = members(file, names);
    if (!found.ok) return found;
    const list = read(file, found.value.get(LIST_NAME), UPDATE_LIST_BYTES_MAX);
    if (!list.ok) return list;
    const checked = trustedSums(list.value, trusted);
    if (!checked.ok) return checked;
    const text = read(file, found.value.get(RELEASE_NAME), RELEASE_BYTES_MAX);
    if (!text.ok) return text;
    if (digest("sha256", text.value).toString("hex") !== checked.value.sums.get(RELEASE_NAME))
      return err("release.json is not what was signed");
    const release = parseRelease(text.value);
    if (!release.ok) return release;
    const payloads: Payload[] = [];
    for (const name of IMAGES) {
      const member = found.value.get(`${name}.img`);
      const sha256 = checked.value.sums.get(`${name}.img`);
      if (member === undefined || sha256 === undefined)
        return err(`the signed list does not name ${name}.img`);
      payloads.push({ name, sha256, offset: member.offset, bytes: member.bytes });
    }
    return ok({ release: release.value, payloads, key: checked.value.key });
  } finally {
    file.close();
  }
}

/** The text of release.json. */
export function formatRelease(release: Omit<Release, "format">): string {
  return `${JSON.stringify({ format: FORMAT, ...release }, null, 1)}\n`;
}
