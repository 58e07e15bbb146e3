// Boot loaders: what a slot's boot partition holds for one, the partitions that it wants on the disk besides, and what is done to the
// finished disk. How each chooses a slot is in scripts/loader/. A loader is one entry of LOADERS; board.json names it.

import { createHash } from "node:crypto";
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { execa } from "execa";
import { type Board, fail, ROOT } from "./board.ts";
import { debianPackages } from "./debian.ts";
import { type FatFile, FIXED, makeFat } from "./fat.ts";

/** A partition that stands before the slots. */
export interface LoaderPartition {
  readonly label: string;
  readonly image: string;
  readonly mebibytes: number;
  /** GPT type: a UUID, or genimage's letter. */
  readonly type: string;
}

interface Loader {
  /** Files of the boot partition of a slot. `work` is a folder for what has to be made. */
  slot(board: Board, kernel: string, initramfs: string, work: string): Promise<FatFile[]>;
  /** Its own partitions, in their order; the images are made in `work`. */
  partitions(board: Board, work: string): Promise<LoaderPartition[]>;
  /** What is done to the disk that was made with them; `work` is the same folder. */
  finish(disk: string, work: string): Promise<void>;
}

const MEBIBYTE = 2 ** 20;
const ESP = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B";
const BIOS_BOOT = "21686148-6449-6E6F-744E-656564454649";

const sha256 = (file: string) => createHash("sha256").update(readFileSync(file)).digest("hex");

/** Eight hexadecimal digits that are always the same for a board and a name. */
export function volumeId(board: Board, name: string): string {
  return createHash("sha256").update(`postern ${board.name} ${name}`).digest("hex").slice(0, 8);
}

/** Our script with its tokens (@NAME@) filled in. */
function script(name: string, tokens: ReadonlyMap<string, string>): string {
  return readFileSync(join(ROOT, "scripts/loader", name), "utf8").replaceAll(
    /@([A-Z_]+)@/g,
    (_, token: string) => tokens.get(token) ?? fail(`scripts/loader/${name}: unknown @${token}@`),
  );
}

/** Number of the first slot partition and of the state behind GRUB's own partitions. */
const GRUB_PLACES = new Map([
  ["STATE", "3"],
  ["BOOT_A", "4"],
  ["BOOT_B", "6"],
]);
const GRUB_MODULES =
  "part_gpt fat normal echo boot linux loadenv test regexp search search_fs_uuid serial terminal configfile sleep memdisk tar true hashsum gcry_sha256 reboot minicmd ls cat".split(
    " ",
  );
/** Where bootstate expects the two files in the partition. */
const GRUB_STATE_AT = [8192, 12288];
const GRUB_BLOCK_BYTES = 1024;

/** A state that starts with slot a, as bootstate writes it. */
function grubState(): string {
  const lines = [
    "# GRUB Environment Block",
    "canary=postern",
    "slot=a",
    "try=",
    "tries=",
    "bad_a=",
    "bad_b=",
    "sealed=postern",
    "",
  ];
  return lines.join("\n").padEnd(GRUB_BLOCK_BYTES, "#");
}

/** GRUB's modules for one kind of firmware, out of Debian's package. */
async function grubModules(kind: "i386-pc" | "x86_64-efi"): Promise<string> {
  const name = kind === "i386-pc" ? "grub-pc-bin" : "grub-efi-amd64-bin";
  const [unpacked] = await debianPackages("amd64", [name], true);
  return join(unpacked?.folder ?? fail(`no ${name}`), "usr/lib/grub", kind);
}

async function grubImage(kind: "i386-pc" | "x86_64-efi", work: string, target: string): Promise<void> {
  const more = kind === "i386-pc" ? ["biosdisk"] : ["efi_gop", "all_video"];
  const words = ["-d", await grubModules(kind), "-O", kind, "-o", target, "-m", join(work, "memdisk.tar")];
  await execa("grub-mkimage", [...words, "-p", "(memdisk)/grub", ...GRUB_MODULES, ...more], {
    all: true,
    env: FIXED,
  });
}

/** Puts GRUB's first sector in front of the disk and tells it, and the second, where the rest lies (GRUB's boot.S and diskboot.S). */
async function embed(disk: string, work: string): Promise<void> {
  const sectors = Math.ceil(statSync(join(work, "core.img")).size / 512);
  const boot = readFileSync(join(await grubModules("i386-pc"), "boot.img"));
  const file = openSync(disk, "r+");
  const entry = Buffer.alloc(128);
  readSync(file, entry, 0, entry.length, 1024);
  const first = entry.readBigUInt64LE(32);
  const core = Buffer.alloc(512);
  readSync(file, core, 0, core.length, Number(first) * 512);
  const mbr = Buffer.alloc(512);
  readSync(file, mbr, 0, mbr.length, 0);
  boot.copy(mbr, 0, 0, 0x1b8);
  mbr.writeBigUInt64LE(first, 0x5c);
  mbr[0x64] = 0xff;
  mbr.fill(0x90, 0x66, 0x68);
  writeSync(file, mbr, 0, mbr.length, 0);
  core.writeBigUInt64LE(first + 1n, 0x1f4);
  core.writeUInt16LE(sectors - 1, 0x1fc);
  core.writeUInt16LE(0x820, 0x1fe);
  writeSync(file, core, 0, core.length, Number(first) * 512);
  closeSync(file);
}

const grub: Loader = {
  async slot(board, kernel, initramfs, work) {
    const words = join(work, "slot.cfg");
    writeFileSync(words, `set words="${board.cmdline}"\n`);
    const files = [
      { path: "kernel", from: kernel },
      { path: "initramfs", from: initramfs },
      { path: "slot.cfg", from: words },
    ];
    const sums = join(work, "sums256");
    writeFileSync(sums, files.map(({ path, from }) => `${sha256(from)}  ${path}\n`).join(""));
    return [...files, { path: "sums256", from: sums }];
  },
  async partitions(board, work) {
    mkdirSync(join(work, "memdisk/grub"), { recursive: true });
    const id = volumeId(board, "state").toUpperCase();
    const tokens = new Map([...GRUB_PLACES, ["STATE_ID", `${id.slice(0, 4)}-${id.slice(4)}`]]);
    writeFileSync(join(work, "memdisk/grub/grub.cfg"), script("grub.cfg", tokens));
    await execa(
      "tar",
      [
        "--format=ustar",
        "--sort=name",
        "--owner=0",
        "--group=0",
        "--mtime=@0",
        "-cf",
        join(work, "memdisk.tar"),
        "-C",
        join(work, "memdisk"),
        "grub",
      ],
      { all: true },
    );
    const at = (name: string) => join(work, name);
    await grubImage("i386-pc", work, at("core.img"));
    await grubImage("x86_64-efi", work, at("bootx64.efi"));
    await makeFat(at("esp.vfat"), { bytes: 8 * MEBIBYTE, label: "ESP", id: volumeId(board, "esp") }, [
      { path: "EFI/BOOT/BOOTX64.EFI", from: at("bootx64.efi") },
    ]);
    writeFileSync(at("environment"), grubState());
    const shape = ["-a", "-F", "12", "-f", "1", "-s", "8", "-R", "8", "-r", "112"];
    await makeFat(
      at("state.vfat"),
      { bytes: MEBIBYTE, label: "STATE", id: volumeId(board, "state"), words: shape },
      [
        { path: "e1", from: at("environment") },
        { path: "e2", from: at("environment") },
      ],
    );
    const made = readFileSync(at("state.vfat"));
    for (const offset of GRUB_STATE_AT)
      if (made.toString("latin1", offset, offset + GRUB_BLOCK_BYTES) !== grubState())
        fail(`the boot state does not lie at ${offset} of its partition, as bootstate expects it`);
    return [
      { label: "biosboot", image: at("core.img"), mebibytes: 1, type: BIOS_BOOT },
      { label: "esp", image: at("esp.vfat"), mebibytes: 8, type: ESP },
      { label: "state", image: at("state.vfat"), mebibytes: 1, type: "L" },
    ];
  },
  finish: embed,
};

const UBOOT_BLOCK_BYTES = 4096;

function ubootState(): Buffer {
  const body = Buffer.alloc(UBOOT_BLOCK_BYTES - 4);
  body.write("slot=a\0", "latin1");
  const sum = Buffer.alloc(4);
  sum.writeUInt32LE(crc32(body), 0);
  const copy = Buffer.concat([sum, body]);
  return Buffer.concat([copy, copy]);
}

/** The source of a FIT (doc/uImage.FIT of U-Boot): kernel, initramfs and the kernel's words, each with its SHA-256. */
function fitSource(board: Board, kernel: string, initramfs: string, words: string): string {
  const { kernelAddress } = board.loader;
  const part = (name: string, file: string, type: string, more: string) => `    ${name} {
      data = /incbin/("${file}");
      type = "${type}";
      arch = "arm64";
      os = "linux";
      compression = "none";
${more}      hash { algo = "sha256"; };
    };
`;
  return `/dts-v1/;
/ {
  description = "Postern";
  #address-cells = <1>;
  images {
${part("kernel", kernel, "kernel", `      load = <${kernelAddress}>;\n      entry = <${kernelAddress}>;\n`)}${part("initramfs", initramfs, "ramdisk", "")}${part("words", words, "script", "")}  };
};
`;
}

const uboot: Loader = {
  async slot(board, kernel, initramfs, work) {
    const words = join(work, "words");
    writeFileSync(words, `setenv words "${board.cmdline}"\n`);
    writeFileSync(join(work, "slot.its"), fitSource(board, kernel, initramfs, words));
    await execa("mkimage", ["-f", join(work, "slot.its"), join(work, "slot.fit")], { all: true, env: FIXED });
    return [{ path: "slot.fit", from: join(work, "slot.fit") }];
  },
  async partitions(board, work) {
    const at = (name: string) => join(work, name);
    writeFileSync(at("boot.cmd"), script("boot.cmd", new Map([["FIT", board.loader.fitAddress]])));
    const words = ["-A", "arm64", "-T", "script", "-C", "none", "-d", at("boot.cmd"), at("boot.scr")];
    await execa("mkimage", words, { all: true, env: FIXED });
    await makeFat(at("loader.vfat"), { bytes: MEBIBYTE, label: "LOADER", id: volumeId(board, "loader") }, [
      { path: "boot.scr", from: at("boot.scr") },
    ]);
    writeFileSync(at("state.raw"), ubootState());
    return [
      { label: "loader", image: at("loader.vfat"), mebibytes: 1, type: ESP },
      { label: "state", image: at("state.raw"), mebibytes: 1, type: "L" },
    ];
  },
  finish: () => Promise.resolve(),
};

const LOADERS = new Map<string, Loader>([
  ["grub", grub],
  ["u-boot", uboot],
]);

/** The loader that board.json names. */
export function loaderOf(board: Board): Loader {
  const { name } = board.loader;
  return (
    LOADERS.get(name) ??
    fail(`${board.folder}/board.json: no loader '${name}'; there are: ${[...LOADERS.keys()].join(" ")}`)
  );
}

/** Makes the boot partition of a slot, no larger than it must be. */
export async function makeBoot(
  board: Board,
  kernel: string,
  initramfs: string,
  target: string,
): Promise<void> {
  const work = `${target}.work`;
  mkdirSync(work, { recursive: true });
  const files = await loaderOf(board).slot(board, kernel, initramfs, work);
  const bytes = files.reduce((sum, { from }) => sum + statSync(from).size, 0);
  const whole = Math.ceil((bytes * 1.02) / MEBIBYTE + 1) * MEBIBYTE;
  if (whole > board.sizes.boot * MEBIBYTE)
    fail(
      `kernel and initramfs need ${whole / MEBIBYTE} MiB, sizes.boot of ${board.name} is ${board.sizes.boot}`,
    );
  await makeFat(target, { bytes: whole, label: "BOOT", id: volumeId(board, "boot") }, files);
}
