// Runs a bundle as the packaged binary does, under the same Node, and writes V8's code cache of all that has been compiled when it
// says certain words: `node OPTIONS scripts/warm.ts PROGRAM ADDON CACHE WORDS ARGUMENT...`. Started by codecache.ts. The cache is
// taken in the middle of the write that says the words, not on a signal, and no machine code is made meanwhile (V8 does that by the
// clock and notes it in the functions): so the same program gives the same bytes.

import fs from "node:fs";
import { setFlagsFromString } from "node:v8";
import { SWITCHED_OFF } from "../src/sys/compiler.ts";
import { compileProgram, runProgram } from "../src/sys/program.ts";

const [node = "", self = "", program = "", addon = "", cache = "", words = "", ...args] = process.argv;
/** The compilers above the interpreter. */
const COMPILERS = ["sparkplug", "maglev", "turbofan"];
for (const name of COMPILERS) setFlagsFromString(`--no-${name}`);
const script = compileProgram(fs.readFileSync(program, "latin1"), undefined);
/** Where the log goes (src/sys/log.ts). */
const write = fs.writeSync;
fs.writeSync = (fd: number, data: string | NodeJS.ArrayBufferView): number => {
  const written = write(fd, Buffer.from(data as Buffer));
  if (!data.toString().includes(words)) return written;
  fs.writeSync = write;
  // The cache names the options that it was made with, so they are as at a start again.
  for (const name of [...COMPILERS, ...SWITCHED_OFF]) setFlagsFromString(`--${name}`);
  fs.writeFileSync(cache, script.createCachedData());
  process.exit(0);
};
process.argv = [node, self, ...args];
runProgram(script, () => addon);
