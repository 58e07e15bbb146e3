// How V8 keeps its heap. A gateway has little to keep, and a heap that may not grow ahead of need halves its memory at the same
// speed (performance.md). What it costs: the bytes of buffers count as growth, so large ones are given back by hand.

import { setFlagsFromString } from "node:v8";

/** Old space is collected when it has grown by this much, in percent, not by V8's guess of up to four times. */
const GROWING_PERCENT = 20;

/**
 * From now on the heap grows in small steps. Said by the program when it is up, and not on Node's command line: V8 names the
 * options of the command line in its code caches, Node's own among them, and would compile all of Node anew at every start.
 */
export function growHeapSlowly(): void {
  setFlagsFromString(`--heap-growing-percent=${GROWING_PERCENT}`);
}

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
