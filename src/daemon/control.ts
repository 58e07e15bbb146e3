// The control server: calls over the Unix socket, each answered once, sizes and waiting bounded. Garbage closes its connection and
// nothing else. Who may connect is the socket's mode and owner (0660 root:mail).

import { CONTROL_CALL_MS_MAX } from "../base/limits.ts";
import { err, ok, type Result } from "../base/result.ts";
import { encodeFrame, FRAME_BYTES_MAX, FrameReader } from "../control/frame.ts";
import type { Call, Submission, SubmitAnswer } from "../control/protocol.ts";
import type { Clock } from "../sys/clock.ts";
import { makeDuplex } from "../sys/duplex.ts";
import { type LocalConnection, type LocalListener, listenLocal } from "../sys/localsocket.ts";
import type { Log } from "../sys/log.ts";

export interface ControlHandlers {
  answer(call: Call): Promise<Result<unknown>>;
  submit(submission: Submission, input: AsyncIterable<Buffer>): Promise<SubmitAnswer>;
  /** Runs an SMTP session on a stream; resolves when it is over. */
  session(stream: object, user: string): Promise<void>;
}

/** Elements of one JSON frame when an answer is a long list. */
const LIST_PER_FRAME = 1000;

function isCall(value: unknown): value is Call {
  return typeof value === "object" && value !== null && "verb" in value && typeof value.verb === "string";
}

/** Frames of a connection as they come; ends at the end frame. */
async function* framesOf(connection: LocalConnection): AsyncGenerator<{ type: string; payload: Buffer }> {
  const reader = new FrameReader();
  for await (const chunk of connection.chunks) {
    for (const frame of reader.push(chunk)) {
      if (frame.type === "E") return;
      yield frame;
    }
    if (reader.broken !== "") throw new Error(reader.broken);
  }
}

async function serve(connection: LocalConnection, handlers: ControlHandlers): Promise<void> {
  const frames = framesOf(connection);
  const first = await frames.next();
  if (first.done || first.value.type !== "J") return;
  const call: unknown = JSON.parse(first.value.payload.toString("utf8"));
  if (!isCall(call)) throw new Error("not a call");
  if (call.verb === "submit" && call.submit !== undefined) {
    async function* data(): AsyncGenerator<Buffer> {
      for await (const frame of frames) if (frame.type === "D") yield frame.payload;
    }
    await reply(connection, ok(await handlers.submit(call.submit, data())));
    return;
  }
  if (call.verb === "smtp") return relaySession(connection, frames, handlers, call.user ?? "nobody");
  await reply(connection, await handlers.answer(call));
}

/** An SMTP session whose bytes travel in data frames. */
async function relaySession(
  connection: LocalConnection,
  frames: AsyncGenerator<{ type: string; payload: Buffer }>,
  handlers: ControlHandlers,
  user: string,
): Promise<void> {
  const ends = makeDuplex(
    (bytes) => connection.write(encodeFrame("D", bytes)),
    () => undefined,
  );
  const over = handlers.session(ends.stream, user);
  const pump = (async () => {
    for await (const frame of frames) if (frame.type === "D") ends.push(frame.payload);
    ends.push(null);
  })();
  await Promise.race([over, pump.then(() => over)]);
  await connection.write(encodeFrame("E", ""));
}

async function reply(connection: LocalConnection, result: Result<unknown>): Promise<void> {
  if (!result.ok) await connection.write(encodeFrame("X", result.error.slice(0, FRAME_BYTES_MAX)));
  else if (Array.isArray(result.value))
    for (let at = 0; at < result.value.length; at += LIST_PER_FRAME)
      await connection.write(encodeFrame("J", JSON.stringify(result.value.slice(at, at + LIST_PER_FRAME))));
  else await connection.write(encodeFrame("J", JSON.stringify(result.value ?? null)));
  await connection.write(encodeFrame("E", ""));
}

/** Opens the socket. Error: a live daemon has it (EADDRINUSE), or it cannot be made. */
export async function listenControl(
  path: string,
  owner: { readonly uid: number; readonly gid: number } | undefined,
  handlers: ControlHandlers,
  clock: Clock,
  log: Log,
): Promise<Result<LocalListener>> {
  const listener = await listenLocal(path, { mode: 0o660, owner }, (connection) => {
    const cancel = clock.after(CONTROL_CALL_MS_MAX, () => connection.destroy());
    serve(connection, handlers)
      .catch((e: unknown) => {
        log.line(9, `control: ${e instanceof Error ? e.message : String(e)}`);
      })
      .finally(() => {
        cancel();
        connection.end();
      });
  });
  return listener.ok ? listener : err(`${path}: ${listener.error}`);
}
