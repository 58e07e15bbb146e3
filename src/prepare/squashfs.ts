// mksquashfs and unsquashfs (squashfs-tools 4.5): the image format of configurations. Built so that the same tree gives the
// same bytes on every machine: no times, no owners but those we name, one processor's order, a clean environment.

import { CONFIG_TOOL_TIMEOUT_MS } from "../base/limits.ts";
import { err, ok, type Result } from "../base/result.ts";
import { replaceFile, statPath } from "../sys/files.ts";
import { directoryOf } from "../sys/path.ts";
import { runProgram } from "../sys/spawn.ts";

const FOLDERS = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"];
const OUTPUT_BYTES_MAX = 64 * 1024;

/** Mode and owner of one path of the image; links are made from this alone. */
export interface Ownership {
  /** Below the root, without leading slash; "" is the root itself. */
  readonly path: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Where a link points; "" for files and folders, which are in the tree. */
  readonly target: string;
}

async function run(tool: string, args: readonly string[], cwd: string): Promise<Result<Buffer>> {
  const file = FOLDERS.map((folder) => `${folder}/${tool}`).find((path) => statPath(path).kind === "found");
  if (file === undefined) return err(`${tool} is not installed (Debian package squashfs-tools)`);
  async function* nothing(): AsyncGenerator<Buffer> {
    // Standard input is empty.
  }
  const ran = await runProgram({
    file,
    name: "",
    args,
    environment: new Map([["PATH", "/usr/bin:/bin"]]),
    cwd,
    input: nothing(),
    timeoutMs: CONFIG_TOOL_TIMEOUT_MS,
    outputBytesMax: OUTPUT_BYTES_MAX,
  });
  if (ran.kind === "exited" && ran.status === 0) return ok(ran.output);
  if (ran.kind === "failed") return err(`${file}: ${ran.code}`);
  const said = ran.output.toString("utf8").trim().split("\n").at(-1) ?? "";
  return err(
    `${tool} failed (${ran.kind === "exited" ? `exit ${ran.status}` : ran.kind})${said === "" ? "" : `: ${said}`}`,
  );
}

/** Packs the tree `root`, every path of which is in `ownership`, into the new file `image`. Small zstd blocks: a cold lookup in a table costs 0.16 ms, not 4 ms. */
export async function packSquashfs(
  root: string,
  image: string,
  ownership: readonly Ownership[],
): Promise<Result<true>> {
  const rules = `${image}.rules`;
  const lines = ownership
    .map(({ path, mode, uid, gid, target }) => {
      const facts = `${mode.toString(8)} ${uid} ${gid}`;
      return target === "" ? `${path === "" ? "/" : path} m ${facts}\n` : `${path} s ${facts} ${target}\n`;
    })
    .join("");
  const written = replaceFile(rules, lines, 0o600);
  if (!written.ok) return written;
  const packed = await run(
    "mksquashfs",
    [
      root,
      image,
      ...["-noappend", "-no-progress", "-quiet", "-no-xattrs", "-no-exports"],
      ...["-comp", "zstd", "-Xcompression-level", "15", "-b", "4096"],
      ...["-mkfs-time", "0", "-all-time", "0", "-processors", "1", "-pf", rules],
    ],
    directoryOf(image),
  );
  return packed.ok ? ok(true) : packed;
}

/** Unpacks `image` into the new folder `into`. To be called for images with a good signature only. */
export async function unpackSquashfs(image: string, into: string): Promise<Result<true>> {
  const args = ["-no-progress", "-quiet", "-no-xattrs", "-processors", "1", "-d", into, image];
  const unpacked = await run("unsquashfs", args, directoryOf(into));
  return unpacked.ok ? ok(true) : unpacked;
}
