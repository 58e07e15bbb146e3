// The control server: calls over Unix sockets, each answered once, sizes and waiting bounded. Garbage closes its connection and
// nothing else. Two sockets, one table of who may what: the control socket (0660 root:mail) and one beside it that everybody may open,
// to submit mail as himself. Who has connected is what the kernel says (SO_PEERCRED), never what the call says.

import {
  CONTROL_CALL_MS_MAX,
  CONTROL_CONNECTIONS_PER_USER_MAX,
  ENVELOPE_RECIPIENTS_MAX,
} from "../base/limits.ts";
import { err, ok, type Result } from "../base/result.ts";
import { encodeFrame, FRAME_BYTES_MAX, FrameReader } from "../control/frame.ts";
import { type Call, type Submission, type SubmitAnswer, submissionSocket } from "../control/protocol.ts";
import { readSubmission } from "../control/submission.ts";
import type { Clock } from "../sys/clock.ts";
import { makeDuplex } from "../sys/duplex.ts";
import { type LocalConnection, type LocalListener, listenLocal } from "../sys/localsocket.ts";
import type { Log } from "../sys/log.ts";
import type { Caller } from "./permission.ts";

export interface ControlHandlers {
  answer(call: Call): Promise<Result<unknown>>;
  submit(submission: Submission, input: AsyncIterable<Buffer>): Promise<SubmitAnswer>;
  /** Runs an SMTP session on a stream; resolves when it is over. */
  session(stream: object, user: string): Promise<void>;
}

/** Who may what, in the daemon's present configuration. */
export interface Judge {
  /** The login of a user. */
  nameOf(uid: number): string;
  /** Why this user may not make the call; "" when he may. */
  refuses(verb: Call["verb"], caller: Caller): string;
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

async function serve(
  connection: LocalConnection,
  handlers: ControlHandlers,
  judge: Judge,
  caller: Caller,
): Promise<void> {
  const frames = framesOf(connection);
  const first = await frames.next();
  if (first.done || first.value.type !== "J") return;
  const call: unknown = JSON.parse(first.value.payload.toString("utf8"));
  if (!isCall(call)) throw new Error("not a call");
  const why = judge.refuses(call.verb, caller);
  if (why !== "") return reply(connection, err(why));
  const user = judge.nameOf(caller.uid);
  if (call.verb === "submit") {
    const submission = readSubmission(call.submit, user, ENVELOPE_RECIPIENTS_MAX);
    if (!submission.ok) return reply(connection, ok(notTaken(submission.error)));
    async function* data(): AsyncGenerator<Buffer> {
      for await (const frame of frames) if (frame.type === "D") yield frame.payload;
    }
    await reply(connection, ok(await handlers.submit(submission.value, data())));
    return;
  }
  if (call.verb === "smtp") return relaySession(connection, frames, handlers, user);
  await reply(connection, await handlers.answer(call));
}

/** The answer to a submission that no sendmail command makes. */
function notTaken(why: string): SubmitAnswer {
  return { id: "", status: EX_DATAERR, messages: [why] };
}

const EX_DATAERR = 65;

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

/** Opens both sockets. Error: a live daemon has them (EADDRINUSE), or they cannot be made. */
export async function listenControl(
  path: string,
  owner: { readonly uid: number; readonly gid: number } | undefined,
  handlers: ControlHandlers,
  judge: Judge,
  clock: Clock,
  log: Log,
): Promise<Result<LocalListener>> {
  const open = new Map<number, number>();
  const take = (connection: LocalConnection, peer: Caller | null): void => {
    const refuse = (why: string): void => {
      reply(connection, err(why)).then(
        () => connection.end(),
        () => connection.destroy(),
      );
    };
    if (peer === null) {
      refuse("the kernel does not say who you are");
      return;
    }
    const { uid } = peer;
    const count = open.get(uid) ?? 0;
    // One user must not take the files that all others need.
    if (uid !== 0 && count >= CONTROL_CONNECTIONS_PER_USER_MAX) {
      refuse("too many connections at once");
      return;
    }
    open.set(uid, count + 1);
    const cancel = clock.after(CONTROL_CALL_MS_MAX, () => connection.destroy());
    serve(connection, handlers, judge, peer)
      .catch((e: unknown) => {
        log.line(9, `control: ${e instanceof Error ? e.message : String(e)}`);
      })
      .finally(() => {
        const left = (open.get(uid) ?? 1) - 1;
        if (left > 0) open.set(uid, left);
        else open.delete(uid);
        cancel();
        connection.end();
      });
  };
  const control = await listenLocal(path, { mode: 0o660, owner }, take);
  if (!control.ok) return err(`${path}: ${control.error}`);
  const everybody = submissionSocket(path);
  const submission = await listenLocal(everybody, { mode: 0o666, owner }, take);
  // Root and the group mail have the other one.
  if (!submission.ok) log.line(1, `users cannot submit mail: ${everybody}: ${submission.error}`);
  return ok({
    async close() {
      await control.value.close();
      if (submission.ok) await submission.value.close();
    },
  });
}
