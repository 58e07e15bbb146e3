// Standard streams and the terminal: what an applet's Io is made of when it runs for real.
// Passwords are read without echo (raw mode), asked on standard error so that pipes of output stay clean.

import { isatty } from "node:tty";
import { Output } from "./output.ts";

const output = new Output(1);
const errors = new Output(2);

export function writeOut(text: string | Buffer): void {
  output.write(text);
}

export function writeErr(text: string): void {
  errors.write(text);
}

/** Resolves when everything written has left this process; the name of the error when standard output could not take it, "" otherwise. */
export async function outputWritten(): Promise<string> {
  const trouble = await output.written();
  await errors.written();
  return trouble;
}

export function standardInput(): AsyncIterable<Buffer> {
  return process.stdin;
}

/** Asked of the descriptor: process.stdin would open a stream, and a daemon's start does not need one. */
export function stdinIsTerminal(): boolean {
  return isatty(0);
}

export function stdoutIsTerminal(): boolean {
  return isatty(1);
}

/** A password longer than this is somebody leaning on a key. */
const SECRET_BYTES_MAX = 1024;

/** One line from the terminal without echo; from a pipe, one line as it comes. null at end of input or Ctrl-C. */
export async function askSecret(prompt: string): Promise<string | null> {
  const input = process.stdin;
  writeErr(prompt);
  const terminal = input.isTTY === true;
  if (terminal) input.setRawMode(true);
  try {
    return await new Promise<string | null>((resolve) => {
      let line = Buffer.alloc(0);
      const finish = (value: string | null): void => {
        input.off("data", take);
        input.off("end", ended);
        input.pause();
        resolve(value);
      };
      const ended = (): void => finish(line.length > 0 ? line.toString("utf8") : null);
      const take = (chunk: Buffer): void => {
        let at = 0;
        for (const byte of chunk) {
          at++;
          if (byte === 0x0a || byte === 0x0d) {
            finish(line.toString("utf8"));
            // What follows on a pipe belongs to the next question; put back only now that this one does not listen any more.
            const rest = chunk.subarray(at);
            if (rest.length > 0) input.unshift(rest);
            return;
          }
          if (terminal && (byte === 0x03 || byte === 0x04)) {
            finish(null);
            return;
          }
          if (terminal && (byte === 0x7f || byte === 0x08))
            line = line.subarray(0, Math.max(0, line.length - 1));
          else if (line.length < SECRET_BYTES_MAX) line = Buffer.concat([line, Buffer.of(byte)]);
        }
      };
      input.on("data", take);
      input.on("end", ended);
      input.resume();
    });
  } finally {
    if (terminal) input.setRawMode(false);
    writeErr("\n");
  }
}
