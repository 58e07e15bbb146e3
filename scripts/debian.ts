// Packages of Debian for the guest, and programs for tests, without touching this machine's own packages:
// a private state of apt for each architecture, fed from the mirrors that this machine's own apt uses (and their keys),
// downloads with their dependencies, each unpacked into a folder of its own below build/cache/debian/<architecture>.
// What is unpacked stays: REFRESH=1 fetches newer versions.

import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { CACHE, type DebianArchitecture, fail, say } from "./board.ts";

const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** An unpacked package: its files are below `folder`. */
export interface Unpacked {
  readonly name: string;
  readonly version: string;
  readonly folder: string;
}

function home(architecture: DebianArchitecture): string {
  return join(CACHE, "debian", architecture);
}

/** Images are made of this release, whatever Debian builds them: the same sources give the same image everywhere. */
export const RELEASE = "bookworm";

export interface Archive {
  readonly uri: string;
  /** The suite as this machine names it: "bookworm", "trixie-security". */
  readonly suite: string;
}

/** Debian's own archives among those that this machine's apt has lists of. */
async function archives(): Promise<Archive[]> {
  const format = "$(CREATED_BY)|$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)";
  const { stdout } = await execa("apt-get", ["indextargets", "--format", format]);
  const found: Archive[] = [];
  for (const line of stdout.split("\n")) {
    const [kind, origin, uri = "", suite = "", component] = line.split("|");
    if (kind === "Packages" && origin === "Debian" && component === "main") found.push({ uri, suite });
  }
  return found;
}

const isSecurity = ({ suite }: Archive): boolean =>
  /[-/](security|updates)$/.test(suite) && !suite.endsWith("-updates");

/**
 * The lines of a sources.list: RELEASE with its updates and its security suite, from the mirrors that are known; the text of what is
 * missing when there is no image to be made of them. Without the security suite there is none, unless `insecure` says that this is meant.
 */
export function sourcesList(
  known: readonly Archive[],
  insecure: boolean,
): { readonly list: string } | string {
  const plain = known.filter(
    (a) => !isSecurity(a) && !/-(updates|backports|proposed-updates)$/.test(a.suite),
  );
  const secure = known.filter(isSecurity);
  if (plain.length === 0) return "apt knows no Debian archive here: run `apt-get update` first";
  if (secure.length === 0 && !insecure)
    return "apt has no list of Debian's security suite here, and an image without it would have known holes: add the suite to apt's sources and run `apt-get update`, or set INSECURE=1 if this is meant";
  const lines = new Set<string>();
  const add = (archive: Archive, suite: string): void =>
    void lines.add(`deb [signed-by=${KEYRING}] ${archive.uri} ${suite} main`);
  for (const archive of plain) {
    add(archive, RELEASE);
    add(archive, `${RELEASE}-updates`);
  }
  for (const archive of secure) add(archive, `${RELEASE}-security`);
  return { list: `${[...lines].sort().join("\n")}\n` };
}

/** apt names only what it has fetched, so it is told to fetch what is configured when the security suite is not among it. */
async function sources(): Promise<string> {
  let known = await archives();
  if (!known.some(isSecurity) && process.getuid?.() === 0) {
    await execa("apt-get", ["update", "-q"], { stdout: "ignore" });
    known = await archives();
  }
  const made = sourcesList(known, process.env["INSECURE"] === "1");
  return typeof made === "string" ? fail(made) : made.list;
}

const SUITES_KEY = "suites";

/** The sources.list that what is unpacked was chosen from, "" when that is not known. */
function suitesOf(architecture: DebianArchitecture): string {
  return recorded(join(home(architecture), "closures.json")).get(SUITES_KEY)?.[0] ?? "";
}

/** A build that knew no security suite, or was made of another release, has left packages that are not to be used. */
function isStale(architecture: DebianArchitecture): boolean {
  const insecure = process.env["INSECURE"] === "1";
  return !suitesOf(architecture).includes(` ${RELEASE}${insecure ? " " : "-security "}`);
}

/** What was chosen from other suites is chosen again. */
function forgetOtherSuites(architecture: DebianArchitecture, list: string): void {
  if (suitesOf(architecture) === list) return;
  const file = join(home(architecture), "closures.json");
  rmSync(join(home(architecture), "unpacked"), { recursive: true, force: true });
  writeFileSync(file, `${JSON.stringify({ [SUITES_KEY]: [list] }, null, 1)}\n`);
}

function options(architecture: DebianArchitecture): string[] {
  const state = join(home(architecture), "apt");
  const words = [
    `APT::Architecture=${architecture}`,
    `APT::Architectures=${architecture}`,
    `Dir::Etc::SourceList=${state}/sources.list`,
    "Dir::Etc::SourceParts=/dev/null",
    `Dir::State::Lists=${state}/lists`,
    `Dir::State::status=${state}/status`,
    `Dir::Cache=${state}/cache`,
    `Dir::Cache::pkgcache=${state}/cache/pkgcache.bin`,
    `Dir::Cache::srcpkgcache=${state}/cache/srcpkgcache.bin`,
    "APT::Sandbox::User=",
    "APT::Install-Recommends=false",
    "Acquire::Languages=none",
    "Acquire::Retries=3",
  ];
  return words.flatMap((word) => ["-o", word]);
}

const updated = new Set<DebianArchitecture>();

async function update(architecture: DebianArchitecture): Promise<void> {
  if (updated.has(architecture)) return;
  const state = join(home(architecture), "apt");
  mkdirSync(join(state, "lists/partial"), { recursive: true });
  mkdirSync(join(state, "cache/archives/partial"), { recursive: true });
  writeFileSync(join(state, "status"), "");
  const list = await sources();
  forgetOtherSuites(architecture, list);
  writeFileSync(join(state, "sources.list"), list);
  say(`Debian's package lists for ${architecture}`);
  await execa("apt-get", ["-q", ...options(architecture), "update"], { stdout: "ignore" });
  updated.add(architecture);
}

/** The package itself and all that it depends on, as apt would install them on an empty machine. */
async function closure(architecture: DebianArchitecture, names: readonly string[]): Promise<string[]> {
  const { stdout } = await execa("apt-get", [
    "-qq",
    ...options(architecture),
    "install",
    "--print-uris",
    ...names,
  ]);
  const found = [...stdout.matchAll(/^'[^']+' ([^_\s]+)_/gm)].map((match) => match[1] ?? "");
  if (found.length === 0) fail(`apt finds no way to install ${names.join(" ")}`);
  return found;
}

function unpackedNow(architecture: DebianArchitecture): Map<string, Unpacked> {
  const folder = join(home(architecture), "unpacked");
  const found = new Map<string, Unpacked>();
  if (!existsSync(folder)) return found;
  for (const entry of readdirSync(folder)) {
    const at = entry.indexOf("_");
    if (at < 0 || entry.endsWith(".part")) continue;
    found.set(entry.slice(0, at), {
      name: entry.slice(0, at),
      version: entry.slice(at + 1),
      folder: join(folder, entry),
    });
  }
  return found;
}

async function download(architecture: DebianArchitecture, names: readonly string[]): Promise<void> {
  const base = home(architecture);
  const debs = join(base, "debs");
  const unpacked = join(base, "unpacked");
  rmSync(debs, { recursive: true, force: true });
  mkdirSync(debs, { recursive: true });
  mkdirSync(unpacked, { recursive: true });
  say(`fetching ${names.length} packages of Debian for ${architecture}`);
  await execa("apt-get", ["-q", ...options(architecture), "download", ...names], {
    cwd: debs,
    stdout: "ignore",
  });
  for (const file of readdirSync(debs)) {
    const path = join(debs, file);
    const { stdout } = await execa("dpkg-deb", ["-f", path, "Package", "Version"]);
    const field = (key: string) => new RegExp(`^${key}: (.*)$`, "m").exec(stdout)?.[1] ?? "";
    const name = field("Package");
    const target = join(unpacked, `${name}_${field("Version").replaceAll(/[:/]/g, "%")}`);
    for (const old of readdirSync(unpacked))
      if (old.startsWith(`${name}_`)) rmSync(join(unpacked, old), { recursive: true, force: true });
    await execa("dpkg-deb", ["-x", path, `${target}.part`]);
    renameSync(`${target}.part`, target);
    rmSync(path);
  }
}

function recorded(file: string): Map<string, string[]> {
  if (!existsSync(file)) return new Map();
  return new Map(Object.entries(JSON.parse(readFileSync(file, "utf8")) as Record<string, string[]>));
}

/**
 * Packages and what they depend on, unpacked. `alone`: without dependencies (a kernel wants a whole system).
 * Ends the program when apt cannot give them.
 */
export async function debianPackages(
  architecture: DebianArchitecture,
  names: readonly string[],
  alone = false,
): Promise<Unpacked[]> {
  const file = join(home(architecture), "closures.json");
  const key = `${alone ? "alone " : ""}${[...names].sort().join(" ")}`;
  if (isStale(architecture)) await update(architecture);
  const closures = recorded(file);
  let wanted = process.env["REFRESH"] === "1" && !updated.has(architecture) ? undefined : closures.get(key);
  if (wanted === undefined) {
    await update(architecture);
    wanted = alone ? [...names] : await closure(architecture, names);
  }
  let have = unpackedNow(architecture);
  const missing =
    updated.has(architecture) && process.env["REFRESH"] === "1" ? wanted : wanted.filter((n) => !have.has(n));
  if (missing.length > 0) {
    await update(architecture);
    await download(architecture, missing);
    have = unpackedNow(architecture);
  }
  closures.set(key, wanted);
  writeFileSync(file, `${JSON.stringify(Object.fromEntries(closures), null, 1)}\n`);
  return wanted.map((name) => have.get(name) ?? fail(`${name} was not unpacked`));
}

/** The kernel that a meta package (linux-image-amd64) stands for now. */
export async function debianKernel(architecture: DebianArchitecture, meta: string): Promise<Unpacked> {
  const file = join(home(architecture), "closures.json");
  if (isStale(architecture)) await update(architecture);
  const known = recorded(file).get(`kernel ${meta}`)?.[0];
  let name = process.env["REFRESH"] === "1" ? undefined : known;
  if (name === undefined) {
    await update(architecture);
    const { stdout } = await execa("apt-cache", [...options(architecture), "depends", "--important", meta]);
    name = /Depends: (linux-image-\d\S*)/.exec(stdout)?.[1] ?? fail(`${meta} names no kernel`);
    const closures = recorded(file).set(`kernel ${meta}`, [name]);
    writeFileSync(file, `${JSON.stringify(Object.fromEntries(closures), null, 1)}\n`);
  }
  const [kernel] = await debianPackages(architecture, [name], true);
  return kernel ?? fail(`no kernel of ${meta}`);
}
