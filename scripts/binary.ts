// `make bundle`: build/<board>/postern, one file: the bundle, its code cache and the addon inside Node, by @yao-pkg/pkg in its
// simple SEA mode (no virtual file system: a way in and three assets), with no network. The packager has no option for a Node of
// one's own: it takes the archive that it would have downloaded from $HOME/.pkg-cache, so HOME is a folder of this build with the
// stripped Node in it (a three-part target asks no server for versions, and the .ok file says that the archive was checked).

import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { ADDON_ASSET, asFunction, CACHE_ASSET, PROGRAM_ASSET } from "../src/sys/program.ts";
import {
  type Architecture,
  architectureOf,
  CACHE,
  fail,
  hostArchitecture,
  outputOf,
  ROOT,
  say,
} from "./board.ts";
import { checkBudget } from "./budget.ts";
import { type Bundle, bundle, bundleWayIn } from "./bundle.ts";
import { makeCodeCache } from "./codecache.ts";
import type { BoardConfig } from "./features.ts";
import { boardConfig } from "./kconfig.ts";
import { nodeBinary, nodeVersion } from "./runtime.ts";

const HOME = join(CACHE, "packager");

/** Puts the stripped Node where the packager looks for its download. */
async function provideNode(architecture: Architecture): Promise<void> {
  const name = `node-v${nodeVersion()}-linux-${architecture}`;
  const folder = join(HOME, ".pkg-cache/sea");
  const archive = join(folder, `${name}.tar.gz`);
  if (existsSync(`${archive}.ok`)) return;
  const tree = join(folder, "tree", name);
  rmSync(tree, { recursive: true, force: true });
  mkdirSync(join(tree, "bin"), { recursive: true });
  linkSync(await nodeBinary(architecture), join(tree, "bin/node"));
  await execa("tar", [
    "-C",
    join(folder, "tree"),
    "-cf",
    `${archive}.part`,
    "-I",
    "gzip -1",
    `${name}/bin/node`,
  ]);
  renameSync(`${archive}.part`, archive);
  writeFileSync(`${archive}.ok`, "");
}

async function packageBundle(config: BoardConfig, made: Bundle): Promise<string> {
  const { board } = config;
  const architecture = architectureOf(board);
  const target = join(outputOf(board), "postern");
  // The blob is made by the Node of this machine, which must be there in the packager's cache too.
  await provideNode(architecture);
  await provideNode(hostArchitecture());
  const program = join(made.folder, PROGRAM_ASSET);
  writeFileSync(program, asFunction(readFileSync(made.main, "latin1")), "latin1");
  const cache = join(made.folder, CACHE_ASSET);
  const addon = join(made.folder, ADDON_ASSET);
  await makeCodeCache({ config, architecture, program, addon, cache });
  const assets = JSON.stringify({
    [PROGRAM_ASSET]: program,
    [CACHE_ASSET]: cache,
    [ADDON_ASSET]: addon,
  });
  say(`packaging ${board}`);
  const packager = await execa(
    process.execPath,
    [
      "--import",
      join(ROOT, "scripts/fixedfolder.ts"),
      join(ROOT, "node_modules/@yao-pkg/pkg/lib-es5/bin.js"),
      "--sea",
      "--target",
      `node${nodeVersion()}-linux-${architecture}`,
      "--output",
      `${target}.part`,
      await bundleWayIn(made.folder),
    ],
    {
      cwd: made.folder,
      env: { HOME, TMPDIR: "/tmp", POSTERN_ASSETS: assets },
      all: true,
      reject: false,
      timeout: 300_000,
    },
  );
  if (packager.exitCode !== 0 || !existsSync(`${target}.part`)) fail(`${packager.all}\nthe packager failed`);
  chmodSync(`${target}.part`, 0o755);
  renameSync(`${target}.part`, target);
  checkBudget(board, "binary", statSync(target).size);
  return target;
}

/** Builds the binary of a board. */
export async function makeBinary(board: string): Promise<{ readonly path: string; readonly bundle: Bundle }> {
  const made = await bundle(board);
  const path = await packageBundle(await boardConfig(board), made);
  return { path, bundle: made };
}

if (import.meta.main) {
  const { path } = await makeBinary(process.argv[2] ?? "host");
  say(`${path} (${(statSync(path).size / 1e6).toFixed(1)} MB)`);
}
