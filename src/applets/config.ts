// postern config: makes, shows and verifies configuration images, and makes the keys that sign them.
// The work is in prepare/.

import { findFolder } from "../prepare/check.ts";
import { buildImage, openImage } from "../prepare/image.ts";
import { loadSigningKey, loadTrustedKeys, makeKeys, type TrustedKey } from "../prepare/keys.ts";
import { lackingFeatures } from "../prepare/manifest.ts";
import { shortKeyName } from "../prepare/signature.ts";
import { absolutePath } from "../sys/path.ts";
import { type Applet, EX, type Io } from "./applet.ts";

const TRUSTED_FOLDER = "/etc/postern/keys";
const USAGE = `usage: postern config build -k KEYS [-g GENERATION] [-j] FOLDER IMAGE
       postern config verify [-k KEYS] [-j] IMAGE
       postern config show [-k KEYS] [-j] IMAGE
       postern config keys FOLDER
`;

export const config: Applet = {
  names: ["config"],
  summary: "make, show and verify configuration images",
  help: `${USAGE}
build    checks FOLDER (one with mail/ and system/, or one that holds sendmail.mc itself), compiles it, builds
         its tables, and writes one signed image. Every error is told as file:line:column: reason, and then
         nothing is written.
verify   checks the signature of IMAGE (a file or a partition), then every file in it against its manifest,
         and that this binary has what the configuration needs.
show     checks signature and files, and lists what is in it.
keys     makes a pair of signing keys in FOLDER: config.key, which signs, and config.pub, which verifies.

  -k KEYS         the key folder: config.key for build, *.pub for verify and show (default ${TRUSTED_FOLDER})
  -g GENERATION   number of this configuration on its device (default 0)
  -j, --json      answer in JSON

exit status: 0; 64 usage; 65 the image is not to be trusted or damaged; 73 cannot write; 78 the configuration is wrong.
`,
  async run(args, io) {
    const options = parse(args);
    const [command, first, second] = options.words;
    if (command === "build" && first !== undefined && second !== undefined)
      return build(options, first, second, io);
    if ((command === "verify" || command === "show") && first !== undefined)
      return verify(options, absolutePath(io.cwd, first), command === "show", io);
    if (command === "keys" && first !== undefined) {
      const made = makeKeys(absolutePath(io.cwd, first));
      if (!made.ok) return complain(io, [made.error], EX.CANTCREAT);
      io.out(`key ${shortKeyName(made.value.id)} made in ${first}\n`);
      return EX.OK;
    }
    io.err(USAGE);
    return EX.USAGE;
  },
};

interface Options {
  readonly words: readonly string[];
  readonly keys: string | null;
  readonly generation: number;
  readonly json: boolean;
}

function parse(args: readonly string[]): Options {
  const words: string[] = [];
  let keys: string | null = null;
  let generation = 0;
  let json = false;
  for (let i = 0; i < args.length; i++) {
    const word = args[i] ?? "";
    if (word === "-k") keys = args[++i] ?? "";
    else if (word === "-g") generation = Number(args[++i]);
    else if (word === "-j" || word === "--json") json = true;
    else if (word.startsWith("-")) return { words: [], keys, generation, json };
    else words.push(word);
  }
  if (!Number.isSafeInteger(generation) || generation < 0) words.length = 0;
  return { words, keys, generation, json };
}

function complain(io: Io, lines: readonly string[], exit: number): number {
  for (const line of lines) io.err(`${line}\n`);
  return exit;
}

async function build(options: Options, from: string, to: string, io: Io): Promise<number> {
  if (options.keys === null) return complain(io, ["postern config build: -k KEYS is missing"], EX.USAGE);
  const folder = findFolder(absolutePath(io.cwd, from));
  if (!folder.ok) return complain(io, [folder.error], EX.CONFIG);
  const key = loadSigningKey(absolutePath(io.cwd, options.keys));
  if (!key.ok) return complain(io, [key.error], EX.NOINPUT);
  const target = absolutePath(io.cwd, to);
  const built = await buildImage({
    folder: folder.value,
    target,
    key: key.value,
    generation: options.generation,
  });
  if (!built.ok) return complain(io, built.error, EX.CONFIG);
  complain(io, built.value.warnings, EX.OK);
  const { manifest, bytes } = built.value;
  if (options.json) io.out(`${JSON.stringify({ image: target, bytes, manifest })}\n`);
  else
    io.out(
      `${to}: ${manifest.files.length} files, ${bytes} bytes, signed with ${shortKeyName(key.value.id)}\n`,
    );
  return EX.OK;
}

async function verify(options: Options, image: string, show: boolean, io: Io): Promise<number> {
  const keys = loadTrustedKeys(options.keys === null ? TRUSTED_FOLDER : absolutePath(io.cwd, options.keys));
  const trusted: readonly TrustedKey[] = keys.ok ? keys.value : [];
  if (!keys.ok) return complain(io, [keys.error], EX.NOINPUT);
  const opened = await openImage(image, trusted);
  if (!opened.ok) return complain(io, opened.error, EX.DATAERR);
  const { manifest, key, bytes } = opened.value;
  const lacking = show ? [] : lackingFeatures(manifest);
  if (lacking.length > 0)
    return complain(
      io,
      lacking.map((line) => `${image}: ${line}`),
      EX.CONFIG,
    );
  if (options.json) {
    io.out(`${JSON.stringify({ image, bytes, key: key.id.toString("hex"), manifest })}\n`);
    return EX.OK;
  }
  io.out(
    `${image}: good, generation ${manifest.generation}, signed with ${shortKeyName(key.id)} (${key.file})\n`,
  );
  if (!show) return EX.OK;
  io.out(`made by Postern ${manifest.postern}; needs: ${manifest.features.join(" ") || "nothing special"}\n`);
  for (const file of manifest.files)
    io.out(
      `${file.sha256.slice(0, 16)} ${String(file.bytes).padStart(9)} ${file.secret ? "secret " : "       "}${file.path}\n`,
    );
  return EX.OK;
}
