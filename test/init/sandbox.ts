// The appliance's scripts under the appliance's own BusyBox: a folder with rootfs/ and BusyBox in it becomes the root of a few
// processes with their own process, mount, network and IPC namespaces. Root may do that, and so may a user where user
// namespaces are allowed. Everything in it ends with the command.

import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { hostArchitecture, ROOT } from "../../scripts/board.ts";
import { debianPackages } from "../../scripts/debian.ts";

const LIMIT_MS = 60_000;

/** BusyBox as the boards have it, for this machine's processor. */
export async function busybox(): Promise<string> {
  const packages = await debianPackages(hostArchitecture() === "x64" ? "amd64" : "arm64", ["busybox-static"]);
  const folder = packages.find((unpacked) => unpacked.name === "busybox-static")?.folder ?? "";
  const found = ["bin/busybox", "usr/bin/busybox"]
    .map((path) => join(folder, path))
    .find((path) => existsSync(path));
  if (found === undefined) throw new Error("busybox-static has no busybox");
  return found;
}

/** A root folder that lasts as long as a test. */
export interface Sandbox extends Disposable {
  readonly folder: string;
  /** Writes a file below it. */
  file(path: string, text: string, mode?: number): void;
  /** Runs shell commands in it; what they printed. */
  run(commands: string): Promise<{ readonly output: string; readonly status: number }>;
}

const FOLDERS =
  "bin dev etc/postern proc root tmp run/etc config/system var/flash/device var/mailjail usr/sbin usr/bin mnt".split(
    " ",
  );

/** Makes one. */
export async function makeSandbox(): Promise<Sandbox> {
  const folder = mkdtempSync(join(tmpdir(), "postern-init-"));
  const program = await busybox();
  cpSync(join(ROOT, "rootfs"), folder, { recursive: true });
  for (const name of FOLDERS) mkdirSync(join(folder, name), { recursive: true });
  copyFileSync(program, join(folder, "bin/busybox"));
  const { stdout } = await execa(program, ["--list"]);
  for (const name of stdout.split("\n"))
    if (name !== "busybox" && name !== "") symlinkSync("busybox", join(folder, "bin", name));
  symlinkSync("bin", join(folder, "sbin"));
  for (const name of ["passwd", "shadow", "hosts"])
    symlinkSync(`/run/etc/${name}`, join(folder, "etc", name));
  for (const name of ["null", "zero", "urandom"]) writeFileSync(join(folder, "dev", name), "");
  writeFileSync(join(folder, "dev/console"), "");
  writeFileSync(join(folder, "etc/postern/build"), "BOARD=test\nVERSION=1\nDATE=1700000000\nHEAP_MB=64\n");
  return {
    folder,
    file(path, text, mode = 0o644) {
      const target = join(folder, path);
      mkdirSync(join(target, ".."), { recursive: true });
      writeFileSync(target, text);
      chmodSync(target, mode);
    },
    async run(commands) {
      const user = process.getuid?.() === 0 ? [] : ["-r"];
      const prepare = `for d in null zero urandom; do mount -o bind /dev/$d "$1/dev/$d"; done
        mount -t proc proc "$1/proc"; exec chroot "$1" /bin/sh -c "$2"`;
      const run = await execa(
        program,
        [
          "unshare",
          ...user,
          "-m",
          "-p",
          "-f",
          "-n",
          "-i",
          "-u",
          program,
          "sh",
          "-c",
          prepare,
          "sh",
          folder,
          commands,
        ],
        {
          all: true,
          reject: false,
          timeout: LIMIT_MS,
          stdin: "ignore",
          env: { PATH: "/sbin:/bin:/usr/sbin:/usr/bin" },
          extendEnv: false,
          forceKillAfterDelay: 500,
        },
      );
      return { output: run.all ?? "", status: run.exitCode ?? 255 };
    },
    [Symbol.dispose]() {
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
