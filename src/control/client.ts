// Asking a running daemon: one connection, one call, its answer. Without a daemon the caller is told so
// and may do the work itself under the spool's exclusive lock.

import { err, ok, type Result } from "../base/result.ts";
import { connectLocal } from "../sys/localsocket.ts";
import { encodeFrame, FrameReader } from "./frame.ts";
import type { Call } from "./protocol.ts";

/** An answer larger than this is not printed by anybody. */
const ANSWER_BYTES_MAX = 256 * 1024 * 1024;
const DATA_CHUNK_BYTES = 64 * 1024;

export type CallError =
  | { readonly kind: "no-daemon" }
  | { readonly kind: "denied" }
  | { readonly kind: "failed"; readonly message: string };

/** Makes one call; `data` are the bytes of a submitted message. The value is what the JSON frames say, joined. */
export async function callDaemon(
  path: string,
  call: Call,
  data?: AsyncIterable<Buffer>,
): Promise<Result<unknown[], CallError>> {
  const connected = await connectLocal(path);
  if (!connected.ok) {
    if (connected.error === "ENOENT" || connected.error === "ECONNREFUSED") return err({ kind: "no-daemon" });
    if (connected.error === "EACCES" || connected.error === "EPERM") return err({ kind: "denied" });
    return err({ kind: "failed", message: `${path}: ${connected.error}` });
  }
  const connection = connected.value;
  try {
    await connection.write(encodeFrame("J", JSON.stringify(call)));
    if (data !== undefined)
      for await (const chunk of data)
        for (let at = 0; at < chunk.length; at += DATA_CHUNK_BYTES)
          await connection.write(encodeFrame("D", chunk.subarray(at, at + DATA_CHUNK_BYTES)));
    await connection.write(encodeFrame("E", ""));
    return await readAnswer(connection.chunks);
  } catch (e) {
    return err({
      kind: "failed",
      message: `the daemon went away: ${e instanceof Error ? e.message : String(e)}`,
    });
  } finally {
    connection.destroy();
  }
}

/** An SMTP session with the daemon (-bs): `input` goes in, `output` gets its bytes. Resolves when the daemon ends it. */
export async function talkSmtp(
  path: string,
  user: string,
  input: AsyncIterable<Buffer>,
  output: (bytes: Buffer) => void,
): Promise<Result<true, CallError>> {
  const connected = await connectLocal(path);
  if (!connected.ok) {
    const gone = connected.error === "ENOENT" || connected.error === "ECONNREFUSED";
    return err(gone ? { kind: "no-daemon" } : { kind: "denied" });
  }
  const connection = connected.value;
  const call: Call = { verb: "smtp", user };
  await connection.write(encodeFrame("J", JSON.stringify(call)));
  const pump = (async () => {
    for await (const chunk of input)
      for (let at = 0; at < chunk.length; at += DATA_CHUNK_BYTES)
        await connection.write(encodeFrame("D", chunk.subarray(at, at + DATA_CHUNK_BYTES)));
    await connection.write(encodeFrame("E", ""));
  })();
  // A daemon that has ended the session does not want the rest of the input.
  pump.catch(() => connection.destroy());
  const reader = new FrameReader();
  for await (const chunk of connection.chunks)
    for (const frame of reader.push(chunk)) {
      if (frame.type === "D") output(frame.payload);
      else if (frame.type === "E") {
        connection.destroy();
        return ok(true);
      }
    }
  return ok(true);
}

async function readAnswer(chunks: AsyncIterable<Buffer>): Promise<Result<unknown[], CallError>> {
  const reader = new FrameReader();
  const values: unknown[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > ANSWER_BYTES_MAX) return err({ kind: "failed", message: "the daemon's answer is too large" });
    for (const frame of reader.push(chunk)) {
      if (frame.type === "E") return ok(values);
      if (frame.type === "X") return err({ kind: "failed", message: frame.payload.toString("utf8") });
      if (frame.type === "J") {
        const parsed: unknown = JSON.parse(frame.payload.toString("utf8"));
        if (Array.isArray(parsed)) values.push(...parsed);
        else values.push(parsed);
      }
    }
    if (reader.broken !== "") return err({ kind: "failed", message: reader.broken });
  }
  return err({ kind: "failed", message: "the daemon closed the connection" });
}
