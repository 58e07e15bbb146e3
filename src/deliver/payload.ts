// The bytes after 354: header, blank line, body, final dot, as pieces for as few writes as possible.
// A body in memory goes out in one system call together with its dot (two writes cost 44 ms of Nagle and delayed ACK);
// a large one goes through in chunks with back-pressure, its last chunk together with the dot.

import type { Body } from "../spool/mailer.ts";
import { letGo } from "../sys/heap.ts";
import { LineGuard } from "./lineguard.ts";
import type { Wire } from "./wire.ts";

const CRLF = Buffer.from("\r\n");
const FINAL_DOT = Buffer.from(".\r\n");

/** What is sent as one message, in the form that the next hop gets. */
export interface Payload {
  /** Complete CRLF lines without the blank line; not dot-stuffed. */
  readonly header: Buffer;
  readonly body: Body;
}

/** What stands between a body and the wire. */
type Guard = Pick<LineGuard, "push" | "end">;

/** For a body that the data gate has proved clean, with lines that this next hop takes: a second look would find nothing. */
const UNTOUCHED: Guard = { push: (chunk) => chunk, end: () => Buffer.alloc(0) };

/** lineMax: L= of the mailer, 0 for no limit. */
function isClean(body: Body, lineMax: number): boolean {
  return body.lineMax > 0 && (lineMax === 0 || body.lineMax <= lineMax);
}

/** Bytes of the message as SIZE= counts them. */
export function payloadSize(payload: Payload): number {
  return payload.header.length + CRLF.length + payload.body.size;
}

/**
 * Sends everything including the final dot. False when the connection broke, the peer answered before the end, or the spool could
 * not give the whole body: then the connection is cut, so that half a message can never be taken for a whole one.
 */
export async function sendPayload(
  wire: Wire,
  payload: Payload,
  lineMax: number,
  blockTimeoutMs: number,
): Promise<boolean> {
  const headerGuard = new LineGuard(lineMax, false);
  const header = headerGuard.push(payload.header);
  let ready: Buffer[] = [header, headerGuard.end(), CRLF];
  const guard: Guard = isClean(payload.body, lineMax) ? UNTOUCHED : new LineGuard(lineMax, true);
  const pieces = payload.body.pieces;
  if (pieces !== null) {
    for (const piece of pieces) ready.push(guard.push(piece));
    ready.push(guard.end(), FINAL_DOT);
    return wire.bytes(ready, blockTimeoutMs);
  }
  let given: Buffer | null = null;
  try {
    for await (const chunk of payload.body.chunks()) {
      if (!(await wire.bytes(ready, blockTimeoutMs))) return false;
      if (given !== null && wire.idle) letGo(given);
      given = chunk;
      // An answer before the dot can only be a refusal: no need to send the rest.
      if (wire.answered) return false;
      ready = [guard.push(chunk)];
    }
  } catch (e) {
    wire.destroy(unreadable(e));
    return false;
  }
  ready.push(guard.end(), FINAL_DOT);
  return wire.bytes(ready, blockTimeoutMs);
}

/** Words for a body that could not be read. */
export function unreadable(e: unknown): string {
  return `the message could not be read${e instanceof Error && "code" in e ? ` (${String(e.code)})` : ""}`;
}
