// `make menuconfig`, `make savedefconfig`, and what a build reads of them: board/<name>/defconfig (only what differs from the
// defaults of src/Kconfig) becomes build/<name>/.config, all symbols. kconfig-conf drops unknown symbols and values out of
// range without a word, so a defconfig that does not survive the way there and back is refused.
// The host has everything on and needs no kconfig-conf.

import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { fail, outputOf, ROOT, readBoard, say } from "./board.ts";
import { type BoardConfig, booleanSymbols, parseDotConfig } from "./features.ts";

const KCONFIG = join(ROOT, "src/Kconfig");

async function conf(config: string, ...args: string[]): Promise<void> {
  const run = await execa("kconfig-conf", [...args, KCONFIG], {
    env: { KCONFIG_CONFIG: config },
    all: true,
    reject: false,
    stdin: "ignore",
  });
  if (run.exitCode !== 0 || /warning:/i.test(run.all ?? ""))
    fail(`kconfig-conf ${args.join(" ")}: ${run.all}`);
}

/** Lines that set something, comments and blank lines apart; "# CONFIG_X is not set" counts. */
function settings(text: string): string[] {
  return text
    .split("\n")
    .filter((line) => /^(CONFIG_|# CONFIG_\w+ is not set)/.test(line))
    .sort();
}

function defconfigOf(board: string): string {
  return join(readBoard(board).folder, "defconfig");
}

/** The board's full .config, made from its defconfig unless `make menuconfig` has changed it since. */
async function fullConfig(board: string): Promise<string> {
  const defconfig = defconfigOf(board);
  const config = join(outputOf(board), ".config");
  mkdirSync(outputOf(board), { recursive: true });
  const newer = (path: string) => statSync(path).mtimeMs > statSync(config).mtimeMs;
  if (existsSync(config) && !newer(defconfig)) {
    if (newer(KCONFIG)) await conf(config, "--olddefconfig");
  } else {
    await conf(config, `--defconfig=${defconfig}`);
    const back = `${config}.back`;
    await conf(config, `--savedefconfig=${back}`);
    const kept = new Set(settings(readFileSync(back, "utf8")));
    rmSync(back);
    const full = new Set(settings(readFileSync(config, "utf8")));
    for (const line of settings(readFileSync(defconfig, "utf8")))
      if (!kept.has(line) && !full.has(line))
        fail(
          `${defconfig}: '${line}' has no effect: no such symbol, value out of range, or its dependencies are off`,
        );
  }
  return config;
}

/** Flags and limits of a board's build. */
export async function boardConfig(board: string): Promise<BoardConfig> {
  const kconfig = readFileSync(KCONFIG, "utf8");
  if (board === "host")
    return { board, on: new Set(booleanSymbols(kconfig)), off: [], limits: new Map(), strings: new Map() };
  return parseDotConfig(board, readFileSync(await fullConfig(board), "utf8"), kconfig);
}

/** Flags of a build that has only `on`, named `name`; the limits keep their defaults. Refused when dependencies change the choice. */
export async function chosenConfig(name: string, on: ReadonlySet<string>): Promise<BoardConfig> {
  const kconfig = readFileSync(KCONFIG, "utf8");
  const config = join(outputOf(name), ".config");
  mkdirSync(outputOf(name), { recursive: true });
  const lines = booleanSymbols(kconfig).map((s) =>
    on.has(s) ? `CONFIG_${s}=y` : `# CONFIG_${s} is not set`,
  );
  writeFileSync(config, `CONFIG_BOARD_NAME="${name}"\n${lines.join("\n")}\n`);
  await conf(config, "--olddefconfig");
  const made = parseDotConfig(name, readFileSync(config, "utf8"), kconfig);
  const changed = made.off.filter((s) => on.has(s));
  if (changed.length > 0) fail(`${name}: dependencies of ${changed.join(" ")} are off`);
  return made;
}

async function menu(board: string): Promise<void> {
  const config = await fullConfig(board);
  await execa("kconfig-mconf", [KCONFIG], {
    env: { KCONFIG_CONFIG: config },
    stdio: "inherit",
    reject: false,
  });
  say(`${config}; make savedefconfig BOARD=${board} keeps it`);
}

async function save(board: string): Promise<void> {
  const config = await fullConfig(board);
  const made = `${config}.defconfig`;
  await conf(config, `--savedefconfig=${made}`);
  copyFileSync(made, defconfigOf(board));
  rmSync(made);
  say(defconfigOf(board));
}

if (import.meta.main) {
  const [what = "", board = ""] = process.argv.slice(2);
  if (what === "menuconfig") await menu(board);
  else if (what === "savedefconfig") await save(board);
  else fail("usage: kconfig.ts menuconfig|savedefconfig BOARD");
}
