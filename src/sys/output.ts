// Standard output and standard error of a command. Everything written arrives, in order, whatever is at the other end: a file, a pipe
// with a slow reader, a terminal. Node writes to pipes behind our back and drops what is left when the process ends, so the end of a
// command waits for written(). A reader that has gone (`mailq | head`) is no error; a disk that is full is one.

import { fstatSync, writeSync } from "node:fs";
import { isatty } from "node:tty";

/** What stands on a descriptor: something that takes bytes at once, or a stream that takes them when its reader does. */
function takesAtOnce(fd: number): boolean {
  try {
    const facts = fstatSync(fd);
    return !facts.isFIFO() && !facts.isSocket() && !isatty(fd);
  } catch {
    return true;
  }
}

export function errorCode(e: unknown): string {
  return e instanceof Error && "code" in e ? String(e.code) : String(e);
}

export class Output {
  readonly #fd: 1 | 2;
  #stream: NodeJS.WriteStream | null | undefined;
  #trouble = "";
  #broken = false;

  constructor(fd: 1 | 2) {
    this.#fd = fd;
  }

  write(data: string | Buffer): void {
    if (this.#broken || data.length === 0) return;
    const stream = this.#open();
    if (stream !== null) stream.write(data);
    else this.#writeAll(typeof data === "string" ? Buffer.from(data) : data);
  }

  /** Resolves when all that was written has left: "" , or the name of the error that kept it. */
  async written(): Promise<string> {
    const stream = this.#stream ?? null;
    if (stream !== null && !this.#broken)
      await new Promise<void>((resolve) => {
        stream.once("close", resolve);
        stream.write("", () => resolve());
      });
    return this.#trouble;
  }

  #open(): NodeJS.WriteStream | null {
    if (this.#stream !== undefined) return this.#stream;
    this.#stream = takesAtOnce(this.#fd) ? null : this.#fd === 1 ? process.stdout : process.stderr;
    this.#stream?.on("error", (e) => this.#failed(e));
    return this.#stream;
  }

  /** All of it: a disk that is nearly full takes a part, and only the next write says why. */
  #writeAll(bytes: Buffer): void {
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
    } catch (e) {
      this.#failed(e);
    }
  }

  #failed(e: unknown): void {
    this.#broken = true;
    const code = errorCode(e);
    if (code !== "EPIPE" && this.#trouble === "") this.#trouble = code;
  }
}
