// Loaded before the packager (`node --import`): it puts the path of its work folder into the binary, so the random name that
// it asks for becomes a fixed one, and two builds of the same sources are the same bytes.
// Making the folder is also the lock between builds that run at once: it fails while another has it.
// The packager has no option for Node's own either, so they are added to the configuration that it writes for Node: options
// (nodeoptions.ts) and the files that the binary carries, which POSTERN_ASSETS names as JSON {name: path}.

import promises from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { NODE_OPTIONS } from "./nodeoptions.ts";

const FOLDER = "/tmp/pkg-sea-postern";
const STALE_MS = 5 * 60_000;
const TRIES_MAX = 600;
const PAUSE_MS = 500;

const CONFIGURATION = `${FOLDER}/sea-config.json`;

const original = promises.mkdtemp;
const write = promises.writeFile;

async function take(): Promise<string> {
  for (let count = 0; count < TRIES_MAX; count++) {
    try {
      await promises.mkdir(FOLDER, { mode: 0o700 });
      return FOLDER;
    } catch (error) {
      if (!(error instanceof Error) || !("code" in error) || error.code !== "EEXIST") throw error;
    }
    const now = await promises.lstat(FOLDER).catch(() => null);
    const ours = now?.isDirectory() === true && now.uid === process.getuid?.();
    if (ours && Date.now() - now.mtimeMs > STALE_MS)
      await promises.rm(FOLDER, { recursive: true, force: true });
    else await sleep(PAUSE_MS);
  }
  throw new Error(`${FOLDER} stays taken: remove it when no build runs`);
}

const fixed = (prefix: string) => (prefix.endsWith("/pkg-sea-") ? take() : original(prefix));
promises.mkdtemp = fixed as typeof promises.mkdtemp;

/** The packager's configuration for Node with ours added, the main script as a copy in the folder of the fixed name. */
async function completed(text: string): Promise<string> {
  const given: { main: string } = JSON.parse(text);
  const main = `${FOLDER}/start.cjs`;
  await promises.copyFile(given.main, main);
  const assets: unknown = JSON.parse(process.env["POSTERN_ASSETS"] ?? "{}");
  return JSON.stringify({ ...given, main, assets, execArgv: NODE_OPTIONS });
}

promises.writeFile = (async (file, data, options) =>
  write(
    file,
    file === CONFIGURATION && typeof data === "string" ? await completed(data) : data,
    options,
  )) satisfies typeof promises.writeFile;
