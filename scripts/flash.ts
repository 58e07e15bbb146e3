// `make flash BOARD=b DEVICE=/dev/sdX`: writes the disk image of a board to a card or disk, reads it back and compares.
// It shows what the device is and asks first. A device in use is refused; so is one that cannot be taken out, unless FORCE=1.

import { closeSync, constants, fstatSync, fsyncSync, openSync, readSync, statSync, writeSync } from "node:fs";
import { createInterface } from "node:readline/promises";
import { execa } from "execa";
import { fail, say } from "./board.ts";
import { makeImage } from "./image.ts";

const CHUNK_BYTES = 4 << 20;

interface Device {
  readonly path: string;
  readonly size: number;
  readonly model: string | null;
  readonly type: string;
  readonly rm: boolean;
  readonly hotplug: boolean;
  readonly mountpoints: readonly (string | null)[];
  readonly children?: readonly Device[];
}

function mounts(device: Device): string[] {
  const own = device.mountpoints.filter((point): point is string => point !== null);
  return [...own, ...(device.children ?? []).flatMap((child) => mounts(child))];
}

async function examine(path: string): Promise<Device> {
  const fields = "PATH,SIZE,MODEL,TYPE,RM,HOTPLUG,MOUNTPOINTS";
  const run = await execa("lsblk", ["-J", "-b", "-o", fields, path], { reject: false });
  if (run.exitCode !== 0) fail(`${path} is no block device`);
  const [device] = (JSON.parse(run.stdout) as { readonly blockdevices: readonly Device[] }).blockdevices;
  return device ?? fail(`${path} is no block device`);
}

/** Why this device is not written to; null when it may be. */
export function refusal(device: Device, imageBytes: number, force: boolean): string | null {
  const mounted = mounts(device);
  if (mounted.length > 0) return `${device.path} is in use: ${mounted.join(", ")}`;
  if (device.type !== "disk" && device.type !== "loop")
    return `${device.path} is a ${device.type}, not a whole disk`;
  if (device.size < imageBytes) return `${device.path} has ${device.size} bytes, the image ${imageBytes}`;
  if (!device.rm && !device.hotplug && !force)
    return `${device.path} (${device.model ?? "no model"}) is not removable; FORCE=1 writes to it all the same`;
  return null;
}

async function agreed(device: Device): Promise<boolean> {
  say(
    `${device.path}: ${device.model?.trim() ?? "no model"}, ${(device.size / 1e9).toFixed(1)} GB. All on it will be lost.`,
  );
  const ask = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await ask.question(`Type ${device.path} to go on: `);
  ask.close();
  return answer.trim() === device.path;
}

function copy(from: number, to: number, bytes: number): void {
  const chunk = Buffer.alloc(CHUNK_BYTES);
  for (let at = 0; at < bytes; ) {
    const got = readSync(from, chunk, 0, CHUNK_BYTES, at);
    if (got === 0) fail("the image ends early");
    writeSync(to, chunk, 0, got, at);
    at += got;
  }
  fsyncSync(to);
}

function same(one: number, other: number, bytes: number): boolean {
  const left = Buffer.alloc(CHUNK_BYTES);
  const right = Buffer.alloc(CHUNK_BYTES);
  for (let at = 0; at < bytes; at += CHUNK_BYTES) {
    const want = Math.min(CHUNK_BYTES, bytes - at);
    readSync(one, left, 0, want, at);
    readSync(other, right, 0, want, at);
    if (!left.subarray(0, want).equals(right.subarray(0, want))) return false;
  }
  return true;
}

async function flash(board: string, path: string): Promise<void> {
  if (!/^\/dev\/\S+$/.test(path)) fail("usage: make flash BOARD=b DEVICE=/dev/sdX");
  const { image } = await makeImage(board);
  const device = await examine(path);
  const reason = refusal(device, statSync(image).size, process.env["FORCE"] === "1");
  if (reason !== null) fail(reason);
  if (!(await agreed(device))) fail("nothing was written");
  const from = openSync(image, "r");
  // Exclusive: the kernel refuses a device that something mounted meanwhile.
  const to = openSync(path, constants.O_RDWR | constants.O_EXCL | constants.O_SYNC);
  const bytes = fstatSync(from).size;
  copy(from, to, bytes);
  await execa("blockdev", ["--flushbufs", path], {
    reject: false,
    env: { PATH: "/usr/sbin:/sbin:/usr/bin:/bin" },
  });
  if (!same(from, to, bytes)) fail(`${path} does not hold what was written to it`);
  closeSync(to);
  say(`${path} holds ${board}; read back and compared`);
}

if (import.meta.main) await flash(process.argv[2] ?? "", process.argv[3] ?? "");
