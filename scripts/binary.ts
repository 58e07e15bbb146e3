// `make bundle`: build/<board>/postern, one file: the bundle and the addon inside Node, by @yao-pkg/pkg in SEA mode, with no
// network. The packager has no option for a Node of one's own: it takes the archive that it would have downloaded from
// $HOME/.pkg-cache, so HOME is a folder of this build with the stripped Node in it (a three-part target asks no server for
// versions, and the .ok file says that the archive was checked).

import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
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
import { type Bundle, bundle } from "./bundle.ts";
import { nodeBinary, nodeVersion } from "./runtime.ts";

const HOME = join(CACHE, "pkg");

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

async function packageBundle(board: string, made: Bundle): Promise<string> {
  const architecture = architectureOf(board);
  const target = join(outputOf(board), "postern");
  // The blob is made by the Node of this machine, which must be there in the packager's cache too.
  await provideNode(architecture);
  await provideNode(hostArchitecture());
  writeFileSync(
    join(made.folder, "package.json"),
    JSON.stringify({
      name: "postern",
      version: "0.0.0",
      bin: "main.cjs",
      pkg: { assets: ["classic-level.node"] },
    }),
  );
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
      ".",
    ],
    { cwd: made.folder, env: { HOME, TMPDIR: "/tmp" }, all: true, reject: false, timeout: 300_000 },
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
  const path = await packageBundle(board, made);
  return { path, bundle: made };
}

if (import.meta.main) {
  const { path } = await makeBinary(process.argv[2] ?? "host");
  say(`${path} (${(statSync(path).size / 1e6).toFixed(1)} MB)`);
}
