// `make run`: builds the firmware of a board and boots its disk image in QEMU, as flashed. The serial console is this terminal; Ctrl-A X ends it.
// Mail for the inner server of the development configuration reaches port 2526 of this machine.
// MEM: memory in MB (256). FIRMWARE=uefi: a PC starts by UEFI in place of BIOS (with 256 MB or more). KEEP=1 goes on with the disk of the last run.

import { spawn } from "node:child_process";
import { constants, copyFileSync, existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { fail, outputOf, readBoard, say } from "./board.ts";
import { makeImage } from "./image.ts";
import { accelerationWorks, portFree, qemuCommand } from "./qemu.ts";

const FORWARDS = new Map([
  [2525, 25],
  [5587, 587],
  [4465, 465],
]);

const name = process.argv[2] ?? "qemu-x86_64";
const board = readBoard(name);
const memoryMb = Number(process.env["MEM"] ?? "256");
if (!Number.isInteger(memoryMb) || memoryMb < 64) fail("MEM is the guest's memory in MB, 64 or more");
for (const port of FORWARDS.keys())
  if (!(await portFree(port)))
    fail(`127.0.0.1:${port} is in use: end what listens there first (another make run?)`);

const products = await makeImage(name);
const disk = join(outputOf(name), "disk.img");
const kept =
  process.env["KEEP"] === "1" &&
  existsSync(disk) &&
  statSync(disk).mtimeMs > statSync(products.image).mtimeMs;
if (!kept) copyFileSync(products.image, disk, constants.COPYFILE_FICLONE);
const accelerated = await accelerationWorks(board, products);
const [program = "", ...args] = await qemuCommand(
  board,
  process.env["FIRMWARE"] === "uefi" ? "uefi" : "firmware",
  {
    disk,
    memoryMb,
    forwards: FORWARDS,
    restricted: false,
    accelerated,
    words: [],
    serial: "mon:stdio",
  },
);
say(`${board.title}, ${memoryMb} MB. 127.0.0.1:2525, 5587 and 4465 reach its ports 25, 587 and 465.`);
say("Log in as root. Ctrl-A X ends QEMU.");

// QEMU holds the terminal in raw mode, so the keys of a person go to the guest; only what others send ends up here.
const qemu = spawn(program, args, { stdio: "inherit" });
const end = () => {
  qemu.kill("SIGKILL");
};
process.once("exit", end);
for (const signal of ["SIGTERM", "SIGHUP", "SIGINT"] as const) process.on(signal, end);
qemu.on("error", (error) => fail(error.message));
qemu.on("exit", (code) => {
  process.exitCode = code ?? 1;
});
