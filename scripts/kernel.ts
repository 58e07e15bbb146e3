// Debian's kernel for a board: its image, and modules with all that they depend on, for the initramfs and for the root file
// system. Modules stay uncompressed: squashfs and zstd do that better over all of them.

import { copyFileSync, existsSync, mkdirSync, readdirSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { execa } from "execa";
import { type Board, fail } from "./board.ts";
import { debianKernel } from "./debian.ts";

/** An unpacked kernel with its index of modules. */
export interface Kernel {
  /** "6.1.0-56-cloud-amd64". */
  readonly version: string;
  /** The bootable file. */
  readonly image: string;
  /** The folder that holds lib/modules/<version>. */
  readonly folder: string;
}

/** The board's kernel, fetched when it is not there yet. */
export async function boardKernel(board: Board): Promise<Kernel> {
  const { folder } = await debianKernel(board.debian, board.kernel);
  const place = existsSync(join(folder, "lib/modules")) ? "lib/modules" : "usr/lib/modules";
  const version = readdirSync(join(folder, place))[0] ?? fail(`${folder} has no modules`);
  if (!existsSync(join(folder, place, version, "modules.dep")))
    await execa("depmod", ["-b", folder, version]);
  return { version, image: join(folder, "boot", `vmlinuz-${version}`), folder };
}

/** Files of modules in the order of loading, each after what it needs. Built-in ones need no file; unknown names end it. */
export async function moduleFiles(kernel: Kernel, names: readonly string[]): Promise<string[]> {
  const files: string[] = [];
  for (const name of names) {
    const run = await execa("modprobe", ["-d", kernel.folder, "-S", kernel.version, "-D", name], {
      reject: false,
    });
    if (run.exitCode !== 0) fail(`the kernel ${kernel.version} has no module ${name}: ${run.stderr}`);
    for (const line of run.stdout.split("\n")) {
      const [word, file] = line.split(/\s+/);
      if (word === "insmod" && file !== undefined && !files.includes(file)) files.push(file);
    }
  }
  return files;
}

/** Copies modules into a root file system, with the index that modprobe reads. */
export async function copyModules(kernel: Kernel, names: readonly string[], root: string): Promise<void> {
  for (const file of await moduleFiles(kernel, names)) {
    const target = join(root, "lib/modules", kernel.version, relative(modulesFolder(kernel), file));
    mkdirSync(dirname(target), { recursive: true });
    copyFileSync(file, target);
  }
  for (const name of ["modules.builtin", "modules.builtin.modinfo", "modules.order"])
    copyFileSync(join(modulesFolder(kernel), name), join(root, "lib/modules", kernel.version, name));
  await execa("depmod", ["-b", root, kernel.version]);
}

function modulesFolder(kernel: Kernel): string {
  const old = join(kernel.folder, "lib/modules", kernel.version);
  return existsSync(old) ? old : join(kernel.folder, "usr/lib/modules", kernel.version);
}

/** Copies modules flat into an initramfs folder; returns their names in the order of loading. */
export async function flatModules(
  kernel: Kernel,
  names: readonly string[],
  folder: string,
): Promise<string[]> {
  mkdirSync(folder, { recursive: true });
  const files = await moduleFiles(kernel, names);
  for (const file of files) copyFileSync(file, join(folder, basename(file)));
  return files.map((file) => basename(file));
}
