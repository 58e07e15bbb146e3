// `make size`: bytes of a board's binary, root file system and image, what fills the bundle (by folder, by package, by flag)
// and the root file system, and the difference to the committed baseline board/<name>/size.json (UPDATE=1 writes it).

import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import type { Metafile } from "esbuild";
import { execa } from "execa";
import { outputOf, ROOT, readBoard, say } from "./board.ts";
import { ownedFiles } from "./features.ts";
import { makeImage } from "./image.ts";

const ROWS_MAX = 25;

type Sizes = Map<string, number>;

function add(sizes: Sizes, key: string, bytes: number): void {
  sizes.set(key, (sizes.get(key) ?? 0) + bytes);
}

/** `src/smtpd`, `smtp-server`, and so on: the part of the bundle that a source file belongs to. */
function part(file: string): string {
  const packages = [...file.matchAll(/node_modules\/((?:@[^/]+\/)?[^/]+)/g)];
  return packages.at(-1)?.[1] ?? file.split("/").slice(0, 2).join("/");
}

function bundleSizes(metafile: Metafile): {
  readonly parts: Sizes;
  readonly flags: Sizes;
  readonly files: Sizes;
} {
  const parts: Sizes = new Map();
  const flags: Sizes = new Map();
  const files: Sizes = new Map();
  const owned = ownedFiles();
  for (const output of Object.values(metafile.outputs))
    for (const [file, { bytesInOutput }] of Object.entries(output.inputs)) {
      add(parts, part(file), bytesInOutput);
      const flag = owned.get(join(ROOT, file));
      if (flag !== undefined) add(flags, `CONFIG_${flag}`, bytesInOutput);
      if (file.startsWith("src/")) add(files, file, bytesInOutput);
    }
  return { parts, flags, files };
}

async function treeSizes(tree: string): Promise<Sizes> {
  const sizes: Sizes = new Map();
  // find, because it does not follow the links of the tree into this machine.
  const { stdout } = await execa("find", [tree, "-type", "f", "-printf", "%s %P\\n"]);
  for (const line of stdout.split("\n")) {
    const at = line.indexOf(" ");
    add(sizes, line.slice(at + 1), Number(line.slice(0, at)));
  }
  return sizes;
}

function table(title: string, sizes: Sizes, before: Sizes): void {
  process.stdout.write(`\n${title}\n`);
  const names = [...sizes].sort(([, one], [, other]) => other - one);
  for (const [name, bytes] of names.slice(0, ROWS_MAX)) {
    const old = before.get(name);
    const change = old === undefined || old === bytes ? "" : `  ${bytes > old ? "+" : ""}${bytes - old}`;
    process.stdout.write(`${String(bytes).padStart(12)}  ${name}${change}\n`);
  }
  const rest = names.slice(ROWS_MAX).reduce((sum, [, bytes]) => sum + bytes, 0);
  if (rest > 0) process.stdout.write(`${String(rest).padStart(12)}  (${names.length - ROWS_MAX} more)\n`);
}

const name = process.argv[2] ?? "qemu-x86_64";
const board = readBoard(name);
const products = await makeImage(name);
const output = outputOf(name);
const metafile = JSON.parse(readFileSync(join(output, "bundle/metafile.json"), "utf8")) as Metafile;
const { parts, flags, files } = bundleSizes(metafile);
const total: Sizes = new Map([
  ["image", statSync(products.image).size],
  ["rootfs", statSync(products.rootfs).size],
  ["binary", statSync(join(output, "postern")).size],
  ["bundle", statSync(join(output, "bundle/main.cjs")).size],
  ["kernel", statSync(products.kernel).size],
  ["initramfs", statSync(products.initramfs).size],
]);
const baseline = join(board.folder, "size.json");
const read = existsSync(baseline)
  ? (JSON.parse(readFileSync(baseline, "utf8")) as Record<string, number>)
  : {};
const before: Sizes = new Map(Object.entries(read));
table(`${name}, bytes (and the difference to ${relative(ROOT, baseline)})`, total, before);
table("bundle by folder and package", parts, before);
table("bundle by flag", flags, before);
table("bundle by file of ours", files, before);
table("root file system by file, before compression", await treeSizes(join(output, "rootfs")), new Map());
if (process.env["UPDATE"] === "1") {
  const kept = [...total, ...parts, ...flags].sort(([one], [other]) => (one < other ? -1 : 1));
  writeFileSync(baseline, `${JSON.stringify(Object.fromEntries(kept), null, 1)}\n`);
  say(`wrote ${relative(ROOT, baseline)}`);
}
