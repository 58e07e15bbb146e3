// Loaded before the packager (`node --import`): it puts the path of its work folder into the binary, so the random name that
// it asks for becomes a fixed one, and two builds of the same sources are the same bytes.
// Making the folder is also the lock between builds that run at once: it fails while another has it.
// The packager has no option for Node's own either, so they are added to the configuration that it writes for Node: a gateway
// has little to keep, and a heap that may not grow ahead of need halves its memory at the same speed (performance.md).

import promises from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

const FOLDER = "/tmp/pkg-sea-postern";
const STALE_MS = 5 * 60_000;
const TRIES_MAX = 600;
const PAUSE_MS = 500;

/** Small young generation, old one collected when it has grown by a fifth. NODE_OPTIONS can still say otherwise. */
const NODE_WORDS = ["--max-semi-space-size=2", "--heap-growing-percent=20"];
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

promises.writeFile = ((file, data, options) => {
  if (file !== CONFIGURATION || typeof data !== "string") return write(file, data, options);
  return write(file, JSON.stringify({ ...JSON.parse(data), execArgv: NODE_WORDS }), options);
}) satisfies typeof promises.writeFile;
