// One CommonJS file of all that a board's binary runs: src/main.ts and its packages, by esbuild. CommonJS, because that is
// what the packager starts without a detour. The LevelDB addon is resolved at build time to the one prebuilt file of the
// board and lies beside the bundle. The metafile says which source files are in, and is what sizes are told from.

import { copyFileSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { build, type Metafile, type Plugin } from "esbuild";
import packageJson from "../package.json" with { type: "json" };
import { ADDON_ASSET } from "../src/sys/program.ts";
import { type Architecture, architectureOf, fail, outputOf, ROOT, say } from "./board.ts";
import { checkBudget } from "./budget.ts";
import { type BoardConfig, featuresPlugin } from "./features.ts";
import { boardConfig } from "./kconfig.ts";

/** The entry of every binary. */
export const ENTRY = "src/main.ts";

/** The way in of the packaged binary, which runs the bundle. */
const WAY_IN = "src/packaged.ts";

/** What a bundle consists of. */
export interface Bundle {
  /** The folder of main.cjs, the addon and the licences. */
  readonly folder: string;
  readonly main: string;
  readonly metafile: Metafile;
}

/** The prebuilt addon for glibc: `classic-level.node` on x64, `classic-level.armv8.node` on arm64. */
function prebuilt(architecture: Architecture): string {
  const folder = join(ROOT, "node_modules/classic-level/prebuilds", `linux-${architecture}`);
  const found = readdirSync(folder).filter((name) => name.endsWith(".node") && !name.includes("musl"));
  const [only] = found;
  if (only === undefined || found.length > 1) fail(`${folder}: one addon expected, found ${found.join(" ")}`);
  return join(folder, only);
}

/** `require('node-gyp-build')(dir)` becomes the addon of the board. */
function addon(): Plugin {
  return {
    name: "addon",
    setup(esbuild) {
      esbuild.onResolve({ filter: /^node-gyp-build$/ }, (wanted) => {
        if (!wanted.importer.includes("/classic-level/"))
          return { errors: [{ text: `an addon without a prebuilt file: ${wanted.importer}` }] };
        return { path: "addon", namespace: "addon" };
      });
      esbuild.onResolve({ filter: /\.node$/, namespace: "addon" }, () => ({
        path: `./${ADDON_ASSET}`,
        external: true,
      }));
      esbuild.onLoad({ filter: /.*/, namespace: "addon" }, () => ({
        contents: `module.exports = () => require("./${ADDON_ASSET}");`,
        loader: "js",
      }));
    },
  };
}

/**
 * nodemailer is here for what smtp-server takes of it, a logger. Its modules have no effect of their own, which its package.json
 * does not say; the bundler then leaves out what nobody uses, an HTTP client among it.
 */
function pureNodemailer(): Plugin {
  return {
    name: "nodemailer",
    setup(esbuild) {
      esbuild.onResolve({ filter: /./ }, async (wanted) => {
        if (wanted.pluginData === "resolving") return null;
        if (!/^nodemailer(\/|$)/.test(wanted.path) && !wanted.importer.includes("/node_modules/nodemailer/"))
          return null;
        const { path, kind, importer, resolveDir } = wanted;
        const found = await esbuild.resolve(path, { kind, importer, resolveDir, pluginData: "resolving" });
        return { ...found, sideEffects: false };
      });
    },
  };
}

/** Bundles for `board` into build/<board>/bundle. */
export async function bundle(board: string): Promise<Bundle> {
  return bundleWith(await boardConfig(board), architectureOf(board), join(outputOf(board), "bundle"));
}

/** Bundles what `config` has into `folder`. Any warning of esbuild is an error here. */
export async function bundleWith(
  config: BoardConfig,
  architecture: Architecture,
  folder: string,
): Promise<Bundle> {
  const main = join(folder, "main.cjs");
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  say(`bundling ${ENTRY} for ${config.board}`);
  const result = await compile(ENTRY, main, [
    featuresPlugin(config, packageJson.version),
    addon(),
    pureNodemailer(),
  ]);
  copyFileSync(prebuilt(architecture), join(folder, ADDON_ASSET));
  writeFileSync(join(folder, "metafile.json"), JSON.stringify(result.metafile));
  checkBudget(config.board, "bundle", statSync(main).size);
  return { folder: dirname(main), main, metafile: result.metafile };
}

/** Bundles the packaged binary's way in beside the bundle that it runs; returns its path. */
export async function bundleWayIn(folder: string): Promise<string> {
  const start = join(folder, "start.cjs");
  await compile(WAY_IN, start, []);
  return start;
}

async function compile(
  entry: string,
  outfile: string,
  plugins: Plugin[],
): Promise<{ readonly metafile: Metafile }> {
  const result = await build({
    absWorkingDir: ROOT,
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: "node",
    target: "node26",
    format: "cjs",
    // One byte is one character: the packaged binary reads its program so.
    charset: "ascii",
    minifyWhitespace: true,
    minifySyntax: true,
    legalComments: "external",
    metafile: true,
    logLevel: "silent",
    plugins,
  }).catch((error: unknown) => fail(error instanceof Error ? error.message : String(error)));
  for (const { text, location } of result.warnings)
    fail(`${location?.file ?? entry}:${location?.line ?? 0}: ${text}`);
  return result;
}
