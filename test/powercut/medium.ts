// Where a state of the medium is mounted: ext4 by this machine's kernel, f2fs by the board's own kernel in a guest (this machine's may lack
// it), which hands the queue out as an archive on a second disk. One guest serves all states; it holds nothing between two of them.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { type Board, type FileSystem, readBoard } from "../../scripts/board.ts";
import type { Products } from "../../scripts/image.ts";
import { accelerationWorks, type Machine, qemuCommand, startMachine } from "../../scripts/qemu.ts";
import { BOOT_MS } from "../board/appliance.ts";

const SPOOL = "jail/var/spool";
const QUEUE = "mqueue";
const MEMORY_MB = 256;
const STATE_MS = 60_000;
/** Larger than any spool of the tests. */
const ARCHIVE_BYTES = 2 ** 30;

/** A file system that cannot be mounted or read, or that the appliance would check at its start. */
export class Unsound extends Error {}

/** A place where file systems are mounted. */
export interface Medium extends AsyncDisposable {
  /** Gives the queue of the file system in `image`, which mounting may change, to `use`. Rejects with Unsound. */
  open<T>(image: string, use: (queue: string) => Promise<T>): Promise<T>;
}

/** This machine's kernel, below `work`. Needs root. */
function mountedHere(work: string): Medium {
  const folder = join(work, "mounted");
  mkdirSync(folder, { recursive: true });
  return {
    async open(image, use) {
      const mounted = await execa("mount", ["-o", "loop,noatime", image, folder], { reject: false });
      if (mounted.failed) throw new Unsound(mounted.stderr);
      try {
        return await use(join(folder, SPOOL, QUEUE));
      } finally {
        await execa("umount", [folder]);
      }
    },
    async [Symbol.asyncDispose]() {},
  };
}

/**
 * First program of the guest, in place of the initramfs's own. For each line on its console it mounts the first disk as the appliance does,
 * writes the queue to the second one, and says what the kernel had to say and how it ended.
 */
const EXAMINER = `#!/bin/busybox sh
export PATH=/bin
/bin/busybox mkdir -p /proc /sys /dev /mnt
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sysfs /sys
while read -r module; do insmod "/lib/modules/$module"; done </lib/modules/order
set -o pipefail
stty -echo
echo "examiner: ready"
while read -r number; do
  blockdev --flushbufs /dev/vda
  dmesg -c >/dev/null
  status="cannot be mounted"
  if mount -t f2fs -o nosuid,nodev,noexec,noatime,fsync_mode=strict /dev/vda /mnt 2>/dev/null; then
    status="cannot be read"
    { tar cf - -C /mnt/${SPOOL} ${QUEUE} 2>/tar.log | dd of=/dev/vdb bs=64k conv=fsync 2>/dev/null; } && status=good || cat /tar.log
    flags=$(cat /sys/fs/f2fs/vda/stat/sb_status) && [ $((0x$flags & 4)) -eq 0 ] || status="marked for a check"
    umount /mnt || status="cannot be unmounted"
  fi
  [ "$status" = good ] || dmesg | grep F2FS
  echo "state-$number $status"
done
`;

/** The board's initramfs with the examiner behind it: Linux unpacks one archive after the other. */
async function examinerInitramfs(products: Products, work: string): Promise<string> {
  const tree = mkdtempSync(join(work, "examiner-"));
  writeFileSync(join(tree, "examiner"), EXAMINER, { mode: 0o755 });
  const { stdout } = await execa("cpio", ["-o", "-H", "newc", "--quiet"], {
    cwd: tree,
    input: "examiner\n",
    encoding: "buffer",
  });
  const first = readFileSync(products.initramfs);
  const target = join(work, "examiner.initramfs");
  writeFileSync(target, Buffer.concat([first, Buffer.alloc(-first.length & 3), stdout]));
  rmSync(tree, { recursive: true });
  return target;
}

async function startExaminer(
  board: Board,
  products: Products,
  image: string,
  archive: string,
): Promise<Machine> {
  const command = await qemuCommand(
    board,
    { kernel: products.kernel, initramfs: await examinerInitramfs(products, dirname(image)) },
    {
      disk: image,
      memoryMb: MEMORY_MB,
      forwards: new Map(),
      restricted: true,
      accelerated: await accelerationWorks(board, products),
      words: ["rdinit=/examiner"],
      serial: "stdio",
    },
  );
  const machine = startMachine([
    ...command,
    ...["-drive", `if=none,id=archive,format=raw,file=${archive}`, "-device", "virtio-blk-pci,drive=archive"],
  ]);
  await machine.expect(/examiner: ready/, BOOT_MS);
  return machine;
}

/** The kernel of a board in a guest. Images must always be the same file, which exists when the first is opened. */
function mountedInGuest(board: Board, products: Products, work: string): Medium {
  const archive = join(work, "archive.tar");
  let machine: Machine | undefined;
  let at = 0;
  let count = 0;
  return {
    async open(image, use) {
      if (machine === undefined) {
        writeFileSync(archive, "");
        truncateSync(archive, ARCHIVE_BYTES);
        machine = await startExaminer(board, products, image, archive);
      }
      const from = at;
      count += 1;
      machine.type(`${count}\n`);
      at = await machine.expect(new RegExp(`state-${count} .*\r?\n`), STATE_MS, at);
      const said = machine.console().slice(from, at).replaceAll("\r", "");
      if (!said.endsWith(`state-${count} good\n`)) throw new Unsound(said.trim());
      const folder = mkdtempSync(join(tmpdir(), "postern-queue-"));
      try {
        await execa("tar", ["-xf", archive, "-C", folder]);
        return await use(join(folder, QUEUE));
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
    async [Symbol.asyncDispose]() {
      await machine?.cut();
      rmSync(archive, { force: true });
    },
  };
}

/** The medium for the file system of a board. */
export function mediumOf(name: string, products: Products, work: string): Medium {
  const board = readBoard(name);
  return board.fileSystem === "ext4" ? mountedHere(work) : mountedInGuest(board, products, work);
}

/** The board whose spool has this file system. */
export const BOARDS: ReadonlyMap<FileSystem, string> = new Map([
  ["ext4", "qemu-x86_64"],
  ["f2fs", "qemu-x86_64-f2fs"],
]);
