// m4 /etc/mail/sendmail.mc > /etc/mail/sendmail.cf: compiles a configuration, the result on standard output is JSON.
// Options of the real m4 that the usual Makefiles give (-D, -I, -U) are accepted; cf.m4 before the .mc is not needed.

import { found } from "../base/result.ts";
import { type Compilation, compileFound, compileMc, formatMessage } from "../config/compile.ts";
import { formatCompiled } from "../config/compiled.ts";
import { renderReference } from "../config/document.ts";
import { readFileLookup } from "../sys/files.ts";
import { absolutePath, directoryOf } from "../sys/path.ts";
import { type Applet, EX, type Io } from "./applet.ts";

const SENDMAIL_M4 = /(^|\/)(cf|cfhead|proto)\.m4$/;

export const m4: Applet = {
  names: ["m4"],
  summary: "compile sendmail.mc to sendmail.cf",
  help: `usage: m4 FILE.mc > sendmail.cf

Compiles a sendmail.mc to the form that the gateway runs: JSON, with every default
written out. Errors are said all at once, as file:line:column: reason, with exit
status 78; then nothing is written. Warnings go to standard error.

  --reference                        print the reference of the language (Markdown)
  -D NAME[=VALUE], -I DIR, -U NAME   accepted as m4 takes them (-I has no effect)
  cf.m4 before FILE.mc               accepted; Sendmail's own macros are built in
`,
  async run(args, io) {
    if (args.includes("--reference")) {
      io.out(renderReference());
      return EX.OK;
    }
    const files: string[] = [];
    const defines: string[] = [];
    for (let i = 0; i < args.length; i += 1) {
      const arg = args[i] ?? "";
      const flag = /^-([DIU])(.*)$/s.exec(arg);
      if (flag !== null) {
        const value = flag[2] === "" ? (args[++i] ?? "") : (flag[2] ?? "");
        if (flag[1] === "D") defines.push(value);
      } else if (arg.startsWith("-") && arg !== "-") {
        io.err(`m4: unknown option ${arg}\n${m4.help.split("\n")[0]}\n`);
        return EX.USAGE;
      } else if (!SENDMAIL_M4.test(arg)) files.push(arg);
    }
    const [file] = files;
    if (file === undefined || files.length > 1) {
      io.err(`${m4.help.split("\n")[0]}\n`);
      return EX.USAGE;
    }
    const result =
      file === "-" ? await fromInput(io, defines) : fromFile(absolutePath(io.cwd, file), defines);
    for (const warning of result.warnings)
      io.err(`${formatMessage(warning.place, `warning: ${warning.message}`)}\n`);
    for (const error of result.errors) io.err(`${formatMessage(error.place, error.message)}\n`);
    if (result.configuration === null) return EX.CONFIG;
    io.out(formatCompiled(result.configuration));
    return EX.OK;
  },
};

/** /etc/mail in the file means its own folder, so that the result is fresh wherever the folder is put. */
function fromFile(path: string, defines: readonly string[]): Compilation {
  const place = { mail: directoryOf(path), root: null, mc: path, compiled: null };
  return compileFound(place, readFileLookup, undefined, defines);
}

async function fromInput(io: Io, defines: readonly string[]): Promise<Compilation> {
  const input = await readAll(io.stdin);
  const reader = (name: string) => (name === "-" ? found(input) : readFileLookup(name));
  return compileMc("-", reader, undefined, defines);
}

/** A configuration on standard input is read up to this size. */
const INPUT_BYTES_MAX = 1024 * 1024;

async function readAll(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream) {
    size += chunk.length;
    if (size > INPUT_BYTES_MAX) break;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
