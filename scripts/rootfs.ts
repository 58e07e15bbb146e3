// The root file system of a board as a tree below build/<board>/rootfs: rootfs/ as it lies here, BusyBox and its names, the
// binary and the names that its applets are called by, Debian's programs of board/<name>/packages with just the libraries that
// they and Node need, kernel modules. Nothing is installed and no maintainer script runs.

import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { execa } from "execa";
import packageJson from "../package.json" with { type: "json" };
import { type Board, fail, hostArchitecture, outputOf, ROOT, say } from "./board.ts";
import { keys } from "./configuration.ts";
import { debianPackages, type Unpacked } from "./debian.ts";
import { boardConfig } from "./kconfig.ts";
import { copyModules, type Kernel } from "./kernel.ts";
import { nodeLicence } from "./runtime.ts";

/** Libraries of Node, the shell and its tables: on every board. */
const BASE = ["busybox-static", "libc6", "libstdc++6", "libgcc-s1", "libatomic1", "netbase"];

/** Names of Sendmail's commands that become links to the binary when the board has the applet. */
const LINKS = new Map<string, string>([
  ["sendmail", "usr/sbin"],
  ["makemap", "usr/sbin"],
  ["editmap", "usr/sbin"],
  ["praliases", "usr/sbin"],
  ["mailstats", "usr/sbin"],
  ["smrsh", "usr/sbin"],
  ["saslpasswd", "usr/sbin"],
  ["saslpasswd2", "usr/sbin"],
  ["sasldblistusers", "usr/sbin"],
  ["sasldblistusers2", "usr/sbin"],
  ["sysupgrade", "usr/sbin"],
  ["mailq", "usr/bin"],
  ["newaliases", "usr/bin"],
  ["hoststat", "usr/bin"],
  ["purgestat", "usr/bin"],
  ["m4", "usr/bin"],
  ["mail.local", "usr/libexec"],
]);

/** BusyBox names that have no place here: servers without a password, and package managers. */
const UNWANTED = new Set(["httpd", "telnetd", "dpkg", "dpkg-deb", "rpm", "rpm2cpio", "linuxrc", "busybox"]);

const FOLDERS = [
  "bin",
  "etc/postern",
  "root",
  "lib",
  "usr/bin",
  "usr/sbin",
  "usr/lib",
  "usr/libexec/smrsh",
  "proc",
  "sys",
  "dev",
  "run",
  "tmp",
  "config",
  "mnt",
  "var/flash",
  "var/mailjail",
  "var/lib",
];

/** Links of the read-only root into what is made at boot. */
const INTO_RUN: readonly (readonly [string, string])[] = [
  ["sbin", "bin"],
  ["lib64", "lib"],
  ["etc/mail", "/config/mail"],
  ["etc/passwd", "/run/etc/passwd"],
  ["etc/shadow", "/run/etc/shadow"],
  ["etc/hosts", "/run/etc/hosts"],
  ["etc/hostname", "/run/etc/hostname"],
  ["etc/resolv.conf", "/run/etc/resolv.conf"],
  ["etc/issue", "/run/etc/issue"],
  ["etc/mtab", "/proc/self/mounts"],
  ["etc/init.d/sendmail", "S80postern"],
  ["etc/init.d/postern", "S80postern"],
  ["var/run", "/run"],
  ["var/tmp", "/tmp"],
  ["var/log", "/tmp"],
  ["var/spool", "mailjail/var/spool"],
  ["var/lib/openntpd", "/run/openntpd"],
  ["usr/lib/sendmail", "../sbin/sendmail"],
];

/** Applets of the board's binary: those of src/applets/registry.ts whose flag is not off. */
async function appletNames(board: string): Promise<string[]> {
  const config = await boardConfig(board);
  const names: string[] = [];
  for (const line of readFileSync(join(ROOT, "src/applets/registry.ts"), "utf8").split("\n")) {
    const flag = /\/\/\s*CONFIG_([A-Z0-9_]+)\s*$/.exec(line)?.[1];
    if (flag !== undefined && !config.on.has(flag)) continue;
    const words = /^\s*entry\("([^"]+)"/.exec(line)?.[1];
    if (words !== undefined) names.push(...words.split(" "));
  }
  return names;
}

async function needed(
  file: string,
): Promise<{ readonly libraries: string[]; readonly loader: string | null }> {
  const { stdout } = await execa("readelf", ["-W", "-d", "-l", file], { stderr: "ignore" });
  return {
    libraries: [...stdout.matchAll(/\(NEEDED\).*\[(.+)\]/g)].map((match) => match[1] ?? ""),
    loader: /interpreter: (\S+?)\]/.exec(stdout)?.[1] ?? null,
  };
}

/** Where Debian's packages keep a library, links followed to the real file. */
function findLibrary(packages: readonly Unpacked[], name: string): string {
  for (const { folder } of packages)
    for (const place of ["lib", "usr/lib"]) {
      const base = join(folder, place);
      if (!existsSync(base)) continue;
      for (const triplet of ["", ...readdirSync(base).filter((entry) => entry.endsWith("-linux-gnu"))]) {
        const path = join(base, triplet, name);
        if (existsSync(path)) return realpathSync(path);
      }
    }
  return fail(`no package of the board has the library ${name}`);
}

/** Copies what the programs need, and what that needs. */
export async function copyLibraries(
  root: string,
  programs: readonly string[],
  packages: readonly Unpacked[],
): Promise<void> {
  const done = new Set<string>();
  const queue = [...programs];
  for (let file = queue.pop(); file !== undefined; file = queue.pop()) {
    const { libraries, loader } = await needed(file);
    for (const name of [...libraries, ...(loader === null ? [] : [basename(loader)])]) {
      if (done.has(name)) continue;
      done.add(name);
      const target = join(root, "lib", name);
      copyFileSync(findLibrary(packages, name), target);
      chmodSync(target, 0o755);
      queue.push(target);
    }
  }
}

interface Extra {
  readonly name: string;
  readonly files: readonly string[];
}

function extras(board: Board): Extra[] {
  return readFileSync(join(board.folder, "packages"), "utf8")
    .split("\n")
    .map((line) => line.replace(/#.*/, "").trim())
    .filter((line) => line !== "")
    .map((line) => {
      const [name = "", ...files] = line.split(/\s+/);
      return { name, files };
    });
}

async function busyboxNames(): Promise<string[]> {
  // The same version on every architecture, so this machine's tells the names for all.
  const own = await debianPackages(hostArchitecture() === "x64" ? "amd64" : "arm64", ["busybox-static"]);
  const folder = own.find((unpacked) => unpacked.name === "busybox-static")?.folder ?? "";
  const program = ["bin/busybox", "usr/bin/busybox"]
    .map((path) => join(folder, path))
    .find((path) => existsSync(path));
  const { stdout } = await execa(program ?? fail("busybox-static has no busybox"), ["--list"]);
  return stdout.split("\n").filter((name) => name !== "" && !UNWANTED.has(name));
}

/** Seconds since 1970 that files and the clock's floor carry: of the last commit, so a build can be repeated. */
export async function buildTime(): Promise<number> {
  const given = process.env["SOURCE_DATE_EPOCH"];
  if (given !== undefined && /^\d+$/.test(given)) return Number(given);
  const { stdout, exitCode } = await execa("git", ["log", "-1", "--format=%ct"], {
    cwd: ROOT,
    reject: false,
  });
  return exitCode === 0 ? Number(stdout) : 1_767_225_600;
}

function link(root: string, path: string, to: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  rmSync(join(root, path), { force: true });
  symlinkSync(to, join(root, path));
}

async function describe(root: string, board: Board): Promise<void> {
  const config = await boardConfig(board.name);
  const lines = [
    `BOARD=${board.name}`,
    `VERSION=${packageJson.version}`,
    `DATE=${await buildTime()}`,
    `FILESYSTEM=${board.fileSystem}`,
    `LOADER=${board.loader.name}`,
    `HEAP_MB=${config.limits.get("HEAP_MB") ?? ""}`,
    `KEYS=${keys().development ? "development" : "release"}`,
  ];
  writeFileSync(join(root, "etc/postern/build"), `${lines.join("\n")}\n`);
  mkdirSync(join(root, "etc/postern/keys"), { recursive: true });
  copyFileSync(join(keys().folder, "config.pub"), join(root, "etc/postern/keys/config.pub"));
  mkdirSync(join(root, "etc/postern/keys/update"));
  for (const name of ["update", "spare"])
    if (existsSync(join(keys().folder, `${name}.pub`)))
      copyFileSync(join(keys().folder, `${name}.pub`), join(root, `etc/postern/keys/update/${name}.pub`));
  const inittab = join(root, "etc/inittab");
  writeFileSync(inittab, readFileSync(inittab, "utf8").replaceAll(/\bCONSOLE\b(?! stands)/g, board.console));
}

function licences(root: string, packages: readonly Unpacked[], bundle: string): void {
  const folder = join(root, "usr/share/doc");
  mkdirSync(join(folder, "postern"), { recursive: true });
  writeFileSync(join(folder, "postern/node-licence"), nodeLicence());
  if (existsSync(`${bundle}.LEGAL.txt`))
    copyFileSync(`${bundle}.LEGAL.txt`, join(folder, "postern/packages-licences"));
  for (const unpacked of packages) {
    const copyright = join(unpacked.folder, "usr/share/doc", unpacked.name, "copyright");
    if (existsSync(copyright)) {
      mkdirSync(join(folder, unpacked.name), { recursive: true });
      copyFileSync(realpathSync(copyright), join(folder, unpacked.name, "copyright"));
    }
  }
}

/** Builds the tree; returns its folder. */
export async function makeRootfs(board: Board, binary: string, kernel: Kernel): Promise<string> {
  const root = join(outputOf(board.name), "rootfs");
  const wanted = extras(board);
  const base = await debianPackages(board.debian, BASE);
  const more = await debianPackages(
    board.debian,
    wanted.map(({ name }) => name),
  );
  const packages = [...new Map([...base, ...more].map((unpacked) => [unpacked.name, unpacked])).values()];
  const find = (name: string) =>
    packages.find((unpacked) => unpacked.name === name)?.folder ?? fail(`no ${name}`);
  say(`root file system of ${board.name}`);
  rmSync(root, { recursive: true, force: true });
  for (const folder of FOLDERS) mkdirSync(join(root, folder), { recursive: true });
  cpSync(join(ROOT, "rootfs"), root, { recursive: true });
  for (const [path, to] of INTO_RUN) link(root, path, to);
  const busybox = ["bin/busybox", "usr/bin/busybox"].map((path) => join(find("busybox-static"), path));
  copyFileSync(busybox.find((path) => existsSync(path)) ?? fail("no busybox"), join(root, "bin/busybox"));
  for (const name of await busyboxNames()) link(root, `bin/${name}`, "busybox");
  link(root, "bin/init", "busybox");
  copyFileSync(binary, join(root, "usr/bin/postern"));
  for (const name of await appletNames(board.name)) {
    const folder = LINKS.get(name);
    if (folder !== undefined) link(root, `${folder}/${name}`, "/usr/bin/postern");
  }
  const programs = [join(root, "usr/bin/postern")];
  for (const { name, files } of wanted)
    for (const file of files) {
      const target = join(root, file.startsWith("sbin/") ? `usr/${file}` : file);
      rmSync(target, { force: true });
      copyFileSync(realpathSync(join(find(name), file)), target);
      chmodSync(target, 0o755);
      programs.push(target);
    }
  for (const name of ["services", "protocols"])
    copyFileSync(join(find("netbase"), "etc", name), join(root, "etc", name));
  await copyLibraries(root, programs, packages);
  await copyModules(kernel, board.rootModules, root);
  writeFileSync(join(root, "etc/modules"), `${board.rootModules.join("\n")}\n`);
  await describe(root, board);
  // BusyBox stays free software on a device of its owner: its licence and those of the libraries lie beside it.
  licences(
    root,
    packages.filter(({ name }) =>
      /^(busybox|lib|gcc|netbase|squashfs|e2fs|f2fs|openntpd|signify|zlib)/.test(name),
    ),
    join(outputOf(board.name), "bundle/main.cjs"),
  );
  chmodSync(join(root, "root"), 0o700);
  return root;
}
