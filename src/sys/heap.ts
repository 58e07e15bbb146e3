// Memory that need not wait for a collection of garbage, and the collection of all that can be had. V8 counts the bytes of buffers as
// growth of a heap that may grow little (scripts/nodeoptions.ts), so large ones are given back by hand.

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { trimMalloc } from "./kernel.ts";

/** Buffers below this are not worth a call. */
const LET_GO_BYTES_MIN = 4096;

/**
 * Frees the memory of `bytes` at once, without a collection; it has no bytes afterwards. Only for a buffer that the caller owns and
 * that no system call is using. One that shares its memory (a slice, or a small one of Node's pool) is left as it is.
 */
export function letGo(bytes: Buffer): void {
  const { buffer } = bytes;
  if (bytes.length < LET_GO_BYTES_MIN || bytes.length !== buffer.byteLength) return;
  if (buffer instanceof ArrayBuffer) buffer.transfer(0);
}

type Collector = (options: { type: "major"; execution: "sync"; flavor: "last-resort" }) => void;

let collector: Collector | null = null;

/** V8's own collector, which it shows to a context that is made while the word is set. */
function loadCollector(): Collector {
  setFlagsFromString("--expose-gc");
  const found: unknown = runInNewContext("gc");
  setFlagsFromString("--no-expose-gc");
  return typeof found === "function" ? (found as Collector) : () => undefined;
}

/**
 * Gives back all memory that nothing refers to, compiled code that has not run for a while included (it is compiled again when it is
 * needed), and the C library's free pages. Takes 20 to 65 ms, in which nothing else happens.
 */
export function collectEverything(): void {
  collector ??= loadCollector();
  collector({ type: "major", execution: "sync", flavor: "last-resort" });
  trimMalloc();
}
