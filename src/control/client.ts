// Asking a running daemon: one connection, one call, its answer. Without a daemon the caller is told so
// and may do the work itself under the spool's exclusive lock.

import { err, ok, type Result } from "../base/result.ts";
import { connectLocal, type LocalConnection } from "../sys/localsocket.ts";
import { encodeFrame, FrameReader } from "./frame.ts";
import { type Call, submissionSocket } from "./protocol.ts";

/** An answer larger than this is not printed by anybody. */
const ANSWER_BYTES_MAX = 256 * 1024 * 1024;
const DATA_CHUNK_BYTES = 64 * 1024;

export type CallError =
  | { readonly kind: "no-daemon" }
  | { readonly kind: "denied" }
  | { readonly kind: "failed"; readonly message: string };

/** The daemon's control socket, or the one for everybody when that may not be opened. */
async function connect(path: string): Promise<Result<LocalConnection, CallError>> {
  const refused = (code: string): boolean => code === "EACCES" || code === "EPERM";
  let connected = await connectLocal(path);
  const denied = !connected.ok && refused(connected.error);
  if (denied) connected = await connectLocal(submissionSocket(path));
  if (connected.ok) return connected;
  const { error } = connected;
  if (denied || refused(error)) return err({ kind: "denied" });
  if (error === "ENOENT" || error === "ECONNREFUSED") return err({ kind: "no-daemon" });
  return err({ kind: "failed", message: `${path}: ${error}` });
}

/** Makes one call; `data` are the bytes of a submitted message. The value is what the JSON frames say, joined. */
export async function callDaemon(
  path: string,
  call: Call,
  data?: AsyncIterable<Buffer>,
): Promise<Result<unknown[], CallError>> {
  const connected = await connect(path);
  if (!connected.ok) return connected;
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
  input: AsyncIterable<Buffer>,
  output: (bytes: Buffer) => void,
): Promise<Result<true, CallError>> {
  const connected = await connect(path);
  if (!connected.ok) return connected;
  const connection = connected.value;
  const call: Call = { verb: "smtp" };
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
      else if (frame.type === "X") {
        connection.destroy();
        return err({ kind: "failed", message: frame.payload.toString("utf8") });
      } else if (frame.type === "E") {
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
