// QEMU as a board: its arguments, the timed trial of hardware acceleration, and a machine that a program can drive through
// its serial console. A machine never outlives the program that started it.

import { type ChildProcess, spawn } from "node:child_process";
import { accessSync, constants, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { type Board, CACHE, fail, hostArchitecture, say } from "./board.ts";
import { debianPackages } from "./debian.ts";
import type { Content } from "./disk.ts";

/** What starts the guest: its own boot loader from the disk, by the board's firmware or by UEFI; or QEMU itself with a kernel. */
export type Start = "firmware" | "uefi" | Pick<Content, "kernel" | "initramfs">;

/** How one run differs from another. */
export interface Surroundings {
  readonly disk: string;
  readonly memoryMb: number;
  /** Port of this machine's 127.0.0.1 -> port of the guest. */
  readonly forwards: ReadonlyMap<number, number>;
  /** No way out of the guest; otherwise it reaches ports of this machine's 127.0.0.1 at 10.0.2.2, and the network. */
  readonly restricted: boolean;
  readonly accelerated: boolean;
  /** More words for a kernel that QEMU starts. */
  readonly words: readonly string[];
  /** "stdio" for a program, "mon:stdio" for a person (Ctrl-A X ends it). */
  readonly serial: "stdio" | "mon:stdio";
}

/** Where Debian's ovmf has UEFI for a PC. */
const UEFI = ["ovmf", "usr/share/ovmf/OVMF.fd"] as const;

async function firmware(board: Board, start: "firmware" | "uefi"): Promise<string[]> {
  const wanted = start === "uefi" && board.architecture === "x64" ? UEFI : board.emulation.firmware;
  if (wanted === undefined) return [];
  const [name, file] = wanted;
  const [unpacked] = await debianPackages(board.debian, [name], true);
  return ["-bios", join(unpacked?.folder ?? fail(`no ${name}`), file)];
}

/** The whole command line, the program first. */
export async function qemuCommand(board: Board, start: Start, around: Surroundings): Promise<string[]> {
  // A guest that a loader starts may start itself again; of one that QEMU starts, the end is the end.
  const boot =
    typeof start === "string"
      ? await firmware(board, start)
      : [
          "-no-reboot",
          "-kernel",
          start.kernel,
          "-initrd",
          start.initramfs,
          "-append",
          [board.cmdline, ...around.words].join(" "),
        ];
  const network = ["user", "id=net", `restrict=${around.restricted ? "on" : "off"}`];
  for (const [here, there] of around.forwards) network.push(`hostfwd=tcp:127.0.0.1:${here}-:${there}`);
  const speed = around.accelerated
    ? ["-accel", "kvm", "-cpu", "host"]
    : ["-accel", "tcg", "-cpu", board.emulation.cpu];
  return [
    board.emulation.program,
    ..."-nodefaults -no-user-config -display none -smp 1".split(" "),
    ...board.emulation.args,
    ...boot,
    ...speed,
    "-m",
    String(around.memoryMb),
    "-drive",
    `if=none,id=disk,format=raw,cache=writeback,file=${around.disk}`,
    "-device",
    // Only a loader looks for a disk to start from.
    `${board.emulation.disk ?? "virtio-blk-pci"},drive=disk${typeof start === "string" ? ",bootindex=0" : ""}`,
    ..."-device virtio-rng-pci".split(" "),
    "-netdev",
    network.join(","),
    "-device",
    `${board.emulation.network ?? "virtio-net-pci"},netdev=net,romfile=`,
    "-serial",
    around.serial,
  ];
}

/** Can 127.0.0.1:`port` be bound now? A machine left over from before would answer in place of the new one. */
export function portFree(port: number): Promise<boolean> {
  return new Promise((done) => {
    const server = createServer();
    server.on("error", () => done(false));
    server.listen(port, "127.0.0.1", () => server.close(() => done(true)));
  });
}

/** `count` ports that nobody has now. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports: number[] = [];
  for (const server of servers) {
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const address = server.address();
    if (address !== null && typeof address === "object") ports.push(address.port);
  }
  for (const server of servers) await new Promise((done) => server.close(done));
  return ports;
}

const TRIAL_MS = 20_000;
const TRIAL_WORD = "initramfs: alive";

/**
 * Whether hardware acceleration boots this kernel here. A /dev/kvm that exists may still not work, so it is tried once,
 * with a time limit, for each kernel of this machine's processor; the answer is kept until the machine is started anew.
 */
export async function accelerationWorks(
  board: Board,
  content: Pick<Content, "kernel" | "initramfs">,
): Promise<boolean> {
  if (board.architecture !== hostArchitecture()) return false;
  try {
    accessSync("/dev/kvm", constants.R_OK | constants.W_OK);
  } catch {
    return false;
  }
  const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  const memory = join(CACHE, `acceleration-${board.name}`);
  if (existsSync(memory)) {
    const [when, answer] = readFileSync(memory, "utf8").split(" ");
    if (when === boot) return answer === "yes";
  }
  say(`trying hardware acceleration (at most ${TRIAL_MS / 1000} s)`);
  const run = await execa(
    board.emulation.program,
    [
      ..."-nodefaults -no-user-config -no-reboot -display none -accel kvm -cpu host -m 256 -serial stdio".split(
        " ",
      ),
      ...board.emulation.args,
      "-kernel",
      content.kernel,
      "-initrd",
      content.initramfs,
      "-append",
      `${board.cmdline} trial`,
    ],
    { timeout: TRIAL_MS, reject: false, stdin: "ignore", forceKillAfterDelay: 500, stderr: "ignore" },
  );
  const works = run.stdout.includes(TRIAL_WORD);
  mkdirSync(dirname(memory), { recursive: true });
  writeFileSync(memory, `${boot} ${works ? "yes" : "no"}`);
  say(
    works ? "hardware acceleration works" : "hardware acceleration does not work here; emulating in software",
  );
  return works;
}

/** A running machine, driven through its console. */
export interface Machine {
  readonly process: ChildProcess;
  /** All that the console has shown so far. */
  console(): string;
  /** Waits for text to appear after position `from`; the position behind it. Error after `limitMs` or when QEMU ends. */
  expect(pattern: RegExp, limitMs: number, from?: number): Promise<number>;
  type(text: string): void;
  /** Cuts the power. */
  cut(): Promise<void>;
  /** Waits for QEMU to end by itself (the guest was switched off). */
  ended(limitMs: number): Promise<void>;
}

const POLL_MS = 50;

/** Starts QEMU with a console for a program. */
export function startMachine(command: readonly string[]): Machine {
  const [program = "", ...args] = command;
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
  let text = "";
  let over = false;
  const gather = (part: Buffer) => {
    text += part.toString("latin1");
  };
  child.stdout.on("data", gather);
  child.stderr.on("data", gather);
  child.stdin.on("error", gather);
  child.on("error", (error) => {
    text += `\n${error.message}\n`;
    over = true;
  });
  const gone = new Promise<void>((done) =>
    child.on("exit", () => {
      over = true;
      done();
    }),
  );
  const kill = () => {
    child.kill("SIGKILL");
  };
  process.once("exit", kill);
  void gone.then(() => process.off("exit", kill));
  const sleep = (ms: number) => new Promise((done) => setTimeout(done, ms));
  return {
    process: child,
    console: () => text,
    async expect(pattern, limitMs, from = 0) {
      const end = performance.now() + limitMs;
      for (;;) {
        const found = new RegExp(pattern.source, pattern.flags.replace("g", "")).exec(text.slice(from));
        if (found !== null) return from + found.index + found[0].length;
        if (over) throw new Error(`QEMU ended before ${pattern} came:\n${text.slice(-4000)}`);
        if (performance.now() > end)
          throw new Error(`no ${pattern} within ${limitMs} ms:\n${text.slice(-4000)}`);
        await sleep(POLL_MS);
      }
    },
    type(line) {
      child.stdin.write(line);
    },
    async cut() {
      kill();
      await gone;
    },
    async ended(limitMs) {
      let timer: NodeJS.Timeout | undefined;
      await Promise.race([gone, new Promise((done) => (timer = setTimeout(done, limitMs)))]);
      clearTimeout(timer);
      if (!over) {
        kill();
        await gone;
        throw new Error(`the machine did not end within ${limitMs} ms:\n${text.slice(-2000)}`);
      }
    },
  };
}
