// The single binary: one file, the same bytes each time, nothing beside the C libraries that the root file systems carry,
// the addon of its own processor inside, and no source file of a feature that its board has switched off.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { execa } from "execa";
import { makeBinary } from "../../scripts/binary.ts";
import { outputOf, ROOT } from "../../scripts/board.ts";
import { bundle } from "../../scripts/bundle.ts";
import { ownedFiles } from "../../scripts/features.ts";
import { boardConfig } from "../../scripts/kconfig.ts";

const sum = (path: string) => createHash("sha256").update(readFileSync(path)).digest("hex");
const boards = readdirSync(join(ROOT, "board"));
const C_LIBRARIES = /^(ld-linux-.*|lib(c|m|dl|pthread|stdc\+\+|gcc_s|atomic)\.so\.\d)$/;

test("the binary of this machine", async (t) => {
  const { path } = await makeBinary("host");
  const first = sum(path);

  await t.test("runs by its own name and by an applet's name", async () => {
    const { stdout } = await execa(path, ["version"]);
    assert.match(stdout, /^Postern \d+\.\d+\.\d+ \(board host\)$/m);
    const folder = mkdtempSync(join(tmpdir(), "postern-name-"));
    symlinkSync(path, join(folder, "version"));
    const named = await execa(join(folder, "version"));
    rmSync(folder, { recursive: true });
    assert.equal(named.stdout, stdout);
  });

  await t.test("starts from code that was compiled ahead", async () => {
    const { stdout } = await execa(path, ["version", "--json"]);
    assert.equal(JSON.parse(stdout).codeCache, "used");
  });

  await t.test(
    "runs without that code when Node has other options, which V8 does not take it for",
    async () => {
      const { stdout } = await execa(path, ["version", "--json"], {
        env: { NODE_OPTIONS: "--stack-trace-limit=5" },
      });
      assert.equal(JSON.parse(stdout).codeCache, "refused");
    },
  );

  await t.test("needs the C libraries of the root file system and nothing else", async () => {
    const { stdout } = await execa("readelf", ["-W", "-d", path], { stderr: "ignore" });
    const libraries = [...stdout.matchAll(/\(NEEDED\).*\[(.+)\]/g)].map((match) => match[1] ?? "");
    assert.ok(libraries.length > 3);
    assert.deepEqual(
      libraries.filter((name) => !C_LIBRARIES.test(name)),
      [],
    );
  });

  await t.test("is made without the network and comes out the same", async () => {
    await makeBinary("host");
    assert.equal(sum(path), first);
  });

  await t.test("names no folder of the machine that built it", () => {
    assert.equal(readFileSync(path).includes(ROOT), false);
  });
});

const MACHINES = new Map([
  ["x64", "Advanced Micro Devices X86-64"],
  ["arm64", "AArch64"],
]);

for (const board of boards)
  test(`the bundle of ${board} has its own addon and leaves out what its flags take away`, async () => {
    const made = await bundle(board);
    const config = await boardConfig(board);
    const inside = new Set(Object.keys(made.metafile.inputs).map((name) => join(ROOT, name)));
    for (const [file, symbol] of ownedFiles())
      assert.equal(
        inside.has(file) && !config.on.has(symbol),
        false,
        `${file} belongs to CONFIG_${symbol}, which is off`,
      );
    const strangers = [...inside].filter((name) =>
      /node_modules\/(esbuild|typescript|@yao-pkg|@biomejs|fast-check)\//.test(name),
    );
    assert.deepEqual(strangers, []);
    const architecture =
      board.includes("aarch64") || (board === "host" && process.arch === "arm64") ? "arm64" : "x64";
    const { stdout } = await execa("readelf", ["-h", join(outputOf(board), "bundle/classic-level.node")]);
    assert.match(stdout, new RegExp(`Machine: +${MACHINES.get(architecture)}`));
  });
