// Node without the languages of the world: the npm package carries all of ICU's data, 33 MB, of which a mail gateway needs none but
// the properties and normal forms of characters, time zones, and English. icupkg, ICU's own tool, takes the rest out, as Node's
// "small-icu" builds do; what is left goes to the same place in the binary and zeros follow it, which a compressed root file
// system does not feel. It is a quarter of the image and of what a boot has to read.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { fail } from "./board.ts";

/** Where ICU's data lies in a file. */
interface Place {
  /** "icudt78l": ICU finds its data by this name. */
  readonly name: string;
  readonly offset: number;
  readonly bytes: number;
}

/** A name in ICU's data that goes: character sets, dictionaries, spelled-out numbers, transliteration, other languages. */
const REMOVED = [
  /\.cnv$/,
  /\.dict$/,
  /^unames\.icu$/,
  /^translit\//,
  // xx.res, xxx_Yyyy_ZZ.res; those of the root, of English and of no language at all have other or longer names.
  /^(?:[a-z]+\/)?(?!en[._]|res_index\.)[a-z]{2,3}(?:_[A-Za-z0-9_]*)?\.res$/,
];

/** Where the data lies: from the symbol of a binary that still has its symbols. */
async function placeOf(
  binary: string,
): Promise<{ readonly symbol: string; readonly address: number; readonly bytes: number }> {
  const { stdout } = await execa("readelf", ["-sW", binary], { maxBuffer: 1 << 30 });
  const found = /^\s*\d+: ([0-9a-f]+)\s+(0x[0-9a-f]+|\d+) OBJECT\s+GLOBAL.* (icudt\d+)_dat$/m.exec(stdout);
  if (found === null) fail(`${binary} has no ICU data where it is looked for`);
  const [, address = "", bytes = "", symbol = ""] = found;
  return { symbol, address: Number.parseInt(address, 16), bytes: Number(bytes) };
}

/** The same in the file, by the section that holds the address. */
async function inFile(binary: string): Promise<Place> {
  const { symbol, address, bytes } = await placeOf(binary);
  const { stdout } = await execa("readelf", ["-SW", binary]);
  for (const line of stdout.matchAll(/\] \.\S+\s+PROGBITS\s+([0-9a-f]+) ([0-9a-f]+) ([0-9a-f]+)/g)) {
    const [start = 0, offset = 0, size = 0] = line.slice(1).map((word) => Number.parseInt(word, 16));
    if (address >= start && address + bytes <= start + size)
      return { name: `${symbol}l`, offset: offset + (address - start), bytes };
  }
  return fail(`${binary}: no section holds ICU's data`);
}

/** Takes the languages out of `binary`, which still has its symbols, and writes it anew. */
export async function withoutLanguages(binary: string): Promise<void> {
  const place = await inFile(binary);
  const whole = readFileSync(binary);
  const folder = mkdtempSync(join(tmpdir(), "postern-icu-"));
  try {
    const data = join(folder, `${place.name}.dat`);
    // Its name is written into it.
    const kept = join(folder, "kept", `${place.name}.dat`);
    mkdirSync(dirname(kept));
    const list = join(folder, "list.txt");
    writeFileSync(data, whole.subarray(place.offset, place.offset + place.bytes));
    // Debian has it where only root's PATH looks.
    const icupkg = (...words: string[]) =>
      execa("icupkg", words, { env: { PATH: `${process.env["PATH"] ?? ""}:/usr/sbin` } });
    const { stdout } = await icupkg("-l", data);
    const removed = stdout.split("\n").filter((name) => REMOVED.some((pattern) => pattern.test(name)));
    writeFileSync(list, `${removed.join("\n")}\n`);
    // The rules for breaking words name dictionaries of languages that are written without blanks; nothing here breaks words.
    await icupkg("--ignore-deps", "-r", list, data, kept);
    const small = readFileSync(kept);
    if (removed.length === 0 || small.length >= place.bytes)
      fail(`${binary}: nothing of ICU's data went away`);
    small.copy(whole, place.offset);
    whole.fill(0, place.offset + small.length, place.offset + place.bytes);
    writeFileSync(binary, whole);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
