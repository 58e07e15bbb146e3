// Memory that need not wait for a collection of garbage. V8 counts the bytes of buffers as growth of a heap that may grow little
// (scripts/nodeoptions.ts), so large ones are given back by hand.

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
