// `make size`: bytes of a board's binary, root file system and image, what fills the bundle (by folder, by package, by flag)
// and the root file system, and the difference to the committed baseline in board/<name>/size.json (UPDATE=1 writes it); a map of
// the bundle in build/<name>/size.html. Fails when a product has outgrown its budget.

import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import type { Metafile } from "esbuild";
import { execa } from "execa";
import { makeBinary } from "./binary.ts";
import { outputOf, ROOT, say } from "./board.ts";
import { checkBudget, type Product, readSizes, sizeFile, writeBaseline } from "./budget.ts";
import { ENTRY } from "./bundle.ts";
import { ownedFiles } from "./features.ts";
import { makeImage } from "./image.ts";
import { type Group, treemap } from "./treemap.ts";

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

/** Bytes that go when a flag is off: its own files and what nothing else imports. */
function savedBy(flag: string, metafile: Metafile, bytes: Sizes): number {
  const owned = ownedFiles();
  const left = new Set([ENTRY]);
  // A set that grows while it is walked is walked to its end.
  for (const file of left)
    for (const { path, external } of metafile.inputs[file]?.imports ?? [])
      if (external !== true && owned.get(join(ROOT, path)) !== flag) left.add(path);
  let saved = 0;
  for (const [file, size] of bytes) if (!left.has(file)) saved += size;
  return saved;
}

function bundleSizes(metafile: Metafile): {
  readonly parts: Sizes;
  readonly flags: Sizes;
  readonly files: Sizes;
  readonly groups: readonly Group[];
} {
  const parts: Sizes = new Map();
  const flags: Sizes = new Map();
  const files: Sizes = new Map();
  const groups = new Map<string, Sizes>();
  const bytes: Sizes = new Map();
  for (const output of Object.values(metafile.outputs))
    for (const [file, { bytesInOutput }] of Object.entries(output.inputs)) {
      add(parts, part(file), bytesInOutput);
      const group = groups.get(part(file)) ?? new Map();
      groups.set(part(file), group.set(file, bytesInOutput));
      bytes.set(file, bytesInOutput);
      if (file.startsWith("src/")) add(files, file, bytesInOutput);
    }
  for (const flag of new Set(ownedFiles().values())) {
    const saved = savedBy(flag, metafile, bytes);
    if (saved > 0) flags.set(`CONFIG_${flag}`, saved);
  }
  return { parts, flags, files, groups: [...groups].map(([name, inside]) => ({ name, files: inside })) };
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

function table(title: string, sizes: ReadonlyMap<string, number>, before: Sizes): void {
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

/** What was built, in bytes; the host has no image. */
async function products(name: string): Promise<Map<Product | "kernel" | "initramfs", number>> {
  const output = outputOf(name);
  const sizes = new Map<Product | "kernel" | "initramfs", number>();
  if (name === "host") await makeBinary(name);
  else {
    const made = await makeImage(name);
    for (const part of ["image", "rootfs", "kernel", "initramfs"] as const)
      sizes.set(part, statSync(made[part]).size);
  }
  sizes.set("binary", statSync(join(output, "postern")).size);
  sizes.set("bundle", statSync(join(output, "bundle/main.cjs")).size);
  return sizes;
}

const name = process.argv[2] ?? "qemu-x86_64";
const total = await products(name);
const output = outputOf(name);
const metafile = JSON.parse(readFileSync(join(output, "bundle/metafile.json"), "utf8")) as Metafile;
const { parts, flags, files, groups } = bundleSizes(metafile);
const { budget, baseline } = readSizes(name);
const before: Sizes = new Map(Object.entries(baseline));
table(`${name}, bytes (and the difference to ${sizeFile(name)})`, total, before);
table("bundle by folder and package", parts, before);
table("bundle by flag: what turning it off takes away", flags, before);
table("bundle by file of ours", files, before);
if (name !== "host")
  table("root file system by file, before compression", await treeSizes(join(output, "rootfs")), new Map());
const page = join(output, "size.html");
writeFileSync(page, treemap(`${name}: the bundle`, groups));
say(`${relative(ROOT, page)}: the same as a map`);
if (process.env["UPDATE"] === "1") {
  const kept = [...total, ...parts, ...flags].sort(([one], [other]) => (one < other ? -1 : 1));
  writeBaseline(name, Object.fromEntries(kept));
  say(`wrote ${sizeFile(name)}`);
}
for (const product of ["bundle", "binary", "rootfs", "image"] as const) {
  const bytes = total.get(product);
  const most = budget[product];
  if (bytes === undefined || most === undefined) continue;
  say(`${product}: ${((100 * bytes) / most).toFixed(1)} % of its budget of ${most} bytes`);
  checkBudget(name, product, bytes);
}
