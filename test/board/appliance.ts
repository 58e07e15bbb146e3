// A booted appliance for the board tests: a QEMU machine, its console with a login, and what is typed there with its answer.
// Every wait is bounded; ports are free ones; the machine ends with the test.

import { constants, copyFileSync } from "node:fs";
import { join } from "node:path";
import { readBoard } from "../../scripts/board.ts";
import type { Content } from "../../scripts/disk.ts";
import { accelerationWorks, freePorts, type Machine, qemuCommand, startMachine } from "../../scripts/qemu.ts";

/** Time for a boot in software emulation on a busy machine. */
export const BOOT_MS = 150_000;
const COMMAND_MS = 60_000;

/** One power-on. */
export interface Appliance extends AsyncDisposable {
  readonly machine: Machine;
  /** 127.0.0.1:smtpPort is port 25 of the appliance. */
  readonly smtpPort: number;
  /** Logs in as root at the console; needed once before `run`. */
  logIn(): Promise<void>;
  /** Runs a command at the console: what it printed and its status. */
  run(command: string, limitMs?: number): Promise<{ readonly output: string; readonly status: number }>;
}

/** Powers on `board` with `disk`, on which it goes on writing: as flashed, by its own loader. `words` for the kernel: QEMU starts that. */
export async function powerOn(
  board: string,
  content: Pick<Content, "kernel" | "initramfs">,
  disk: string,
  memoryMb = 256,
  words: readonly string[] = [],
  firmware: "firmware" | "uefi" = "firmware",
): Promise<Appliance> {
  const described = readBoard(board);
  const [smtpPort = 0] = await freePorts(1);
  const command = await qemuCommand(described, words.length > 0 ? content : firmware, {
    disk,
    memoryMb,
    forwards: new Map([[smtpPort, 25]]),
    // The configurations of the tests name no server but this machine, and no name server.
    restricted: false,
    accelerated: await accelerationWorks(described, content),
    words,
    serial: "stdio",
  });
  const machine = startMachine(command);
  let at = 0;
  let count = 0;
  return {
    machine,
    smtpPort,
    async logIn() {
      at = await machine.expect(/login: /, BOOT_MS, at);
      machine.type("root\n");
      at = await machine.expect(/# /, COMMAND_MS, at);
      // No echo and no prompt: what follows is output only.
      machine.type("stty -echo; PS1=; PS2=; echo rea''dy\n");
      at = await machine.expect(/\nready\r?\n/, COMMAND_MS, at);
    },
    async run(words, limitMs = COMMAND_MS) {
      count += 1;
      const from = at;
      machine.type(`{ ${words}\n} 2>&1; echo "status-${count} $?"\n`);
      at = await machine.expect(new RegExp(`status-${count} \\d+\\r?\\n`), limitMs, at);
      const text = machine.console().slice(from, at).replaceAll("\r", "");
      const found = new RegExp(`status-${count} (\\d+)\n$`).exec(text);
      return { output: text.slice(0, found?.index ?? 0), status: Number(found?.[1] ?? "255") };
    },
    async [Symbol.asyncDispose]() {
      await machine.cut();
    },
  };
}

/** A disk of one test's own. */
export function copyDisk(image: string, folder: string): string {
  const disk = join(folder, "disk.img");
  copyFileSync(image, disk, constants.COPYFILE_FICLONE);
  return disk;
}
