// A duplex stream whose two sides are functions: what a session that came over the control socket or standard streams runs on.
// Gives the other side its bytes in order and bounded by the stream's own high-water mark.

import { Duplex } from "node:stream";

export interface DuplexEnds {
  /** For the session. */
  readonly stream: Duplex;
  /** Hands bytes to the session; the end of input is null. */
  push(bytes: Buffer | null): void;
}

/** `onWrite` gets what the session writes and says when more may come; `onEnd` when it has written all. */
export function makeDuplex(onWrite: (bytes: Buffer) => Promise<void>, onEnd: () => void): DuplexEnds {
  const stream = new Duplex({
    allowHalfOpen: true,
    read() {},
    write(chunk: Buffer, _encoding, done) {
      onWrite(chunk).then(
        () => done(),
        (e: unknown) => done(e instanceof Error ? e : new Error(String(e))),
      );
    },
    final(done) {
      onEnd();
      done();
    },
  });
  stream.on("error", () => stream.destroy());
  return { stream, push: (bytes) => void stream.push(bytes) };
}
