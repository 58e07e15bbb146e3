// What is to be known of a machine before its image is built: board/<name>/board.json, and where its files go.
// "host" is the machine that builds: it has a binary but no image.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

/** The repository. */
export const ROOT = resolve(import.meta.dirname, "..");

/** What all builds share and `make clean` keeps: downloads and what was unpacked of them. */
export const CACHE = join(ROOT, "build/cache");

/** Node's name of a processor. */
export type Architecture = "x64" | "arm64";

/** Debian's name of the same. */
export type DebianArchitecture = "amd64" | "arm64";

const DEBIAN = new Map<Architecture, DebianArchitecture>([
  ["x64", "amd64"],
  ["arm64", "arm64"],
]);

/** What the writable partition is formatted as. */
export type FileSystem = "ext4" | "f2fs";

const FILE_SYSTEMS: readonly string[] = ["ext4", "f2fs"] satisfies FileSystem[];

/** What starts the kernel (scripts/loader.ts); the addresses are U-Boot's, of the slot's FIT file and of the kernel. */
export interface LoaderChoice {
  readonly name: string;
  readonly fitAddress: string;
  readonly kernelAddress: string;
}

/** How QEMU plays this machine; `args` are whole arguments. */
export interface Emulation {
  readonly program: string;
  readonly args: readonly string[];
  /** Debian's package of the firmware and the file in it; without one QEMU's own is used (BIOS). */
  readonly firmware?: readonly [string, string];
  /** QEMU's devices of disk and network card, where they are not virtio's. */
  readonly disk?: string;
  readonly network?: string;
  /** Arguments that take the place of `-accel tcg -cpu CPU` when hardware acceleration was seen to work. */
  readonly cpu: string;
}

/** board/<name>/board.json. */
export interface Board {
  readonly name: string;
  readonly folder: string;
  readonly architecture: Architecture;
  readonly debian: DebianArchitecture;
  /** A line for people. */
  readonly title: string;
  /** Debian's meta package of the kernel. */
  readonly kernel: string;
  /** What starts it; board.json may leave it out: GRUB on a PC. */
  readonly loader: LoaderChoice;
  /** Modules of the initramfs, in the order of need; their dependencies are found. */
  readonly modules: readonly string[];
  /** Modules of the root file system, loaded at boot by /etc/init.d/rcS when the hardware asks or by name. */
  readonly rootModules: readonly string[];
  /** Words of the kernel's command line. */
  readonly cmdline: string;
  /** The console of the login, a device below /dev. */
  readonly console: string;
  /** Of the partition "spool"; board.json may leave it out: ext4. Its module is among `modules` where the kernel needs one. */
  readonly fileSystem: FileSystem;
  /** Sizes of partitions in MiB. */
  readonly sizes: {
    readonly boot: number;
    readonly rootfs: number;
    readonly config: number;
    readonly spool: number;
  };
  readonly emulation: Emulation;
}

/** Names that BOARD may have, for messages. */
export function boardNames(): string[] {
  return readdirSync(join(ROOT, "board"), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(join(ROOT, "board", entry.name, "board.json")))
    .map((entry) => entry.name)
    .sort();
}

/** The board of a name; an unknown name ends the program with the list of names. */
export function readBoard(name: string): Board {
  const folder = join(ROOT, "board", name);
  if (!/^[a-z0-9_-]+$/.test(name) || !existsSync(join(folder, "board.json")))
    fail(`no board '${name}'; there are: ${boardNames().join(" ")}`);
  const read = JSON.parse(readFileSync(join(folder, "board.json"), "utf8")) as Omit<
    Board,
    "name" | "folder" | "debian" | "fileSystem" | "loader"
  > & { readonly fileSystem?: FileSystem; readonly loader?: LoaderChoice };
  const debian = DEBIAN.get(read.architecture);
  if (debian === undefined) fail(`${folder}/board.json: unknown architecture '${read.architecture}'`);
  const fileSystem = read.fileSystem ?? "ext4";
  if (!FILE_SYSTEMS.includes(fileSystem))
    fail(`${folder}/board.json: unknown file system '${fileSystem}'; there are: ${FILE_SYSTEMS.join(" ")}`);
  const loader = read.loader ?? { name: "grub", fitAddress: "", kernelAddress: "" };
  return { ...read, name, folder, debian, fileSystem, loader };
}

/** The processor of the machine that builds. */
export function hostArchitecture(): Architecture {
  return process.arch === "arm64" ? "arm64" : "x64";
}

/** The processor of a board, or of this machine for "host". */
export function architectureOf(name: string): Architecture {
  return name === "host" ? hostArchitecture() : readBoard(name).architecture;
}

/** The folder of a board's products. */
export function outputOf(name: string): string {
  return join(ROOT, "build", name);
}

/** Says why and ends the program. */
export function fail(reason: string): never {
  // Node's test runner says this: there a failure is the test's, and the other tests go on.
  if (process.env["NODE_TEST_CONTEXT"] !== undefined) throw new Error(reason);
  process.stderr.write(`${reason}\n`);
  process.exit(1);
}

/** One line about what is done now. */
export function say(text: string): void {
  process.stdout.write(`-- ${text}\n`);
}
