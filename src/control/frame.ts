// The control socket's wire form: frames of type, length and bytes. A call is one JSON frame, then data frames when it
// submits a message, then an end frame; the answer is JSON frames and an end frame. Sizes are bounded on both sides.

/** "J": JSON text, "D": bytes of a message, "E": end of the call or of the answer, "X": error text (UTF-8). */
export type FrameType = "J" | "D" | "E" | "X";

export interface Frame {
  readonly type: FrameType;
  readonly payload: Buffer;
}

const HEAD_BYTES = 5;
/** No frame is larger; a list of a deep queue comes as several frames. */
export const FRAME_BYTES_MAX = 1024 * 1024;

export function encodeFrame(type: FrameType, payload: Buffer | string): Buffer {
  const bytes = typeof payload === "string" ? Buffer.from(payload) : payload;
  const frame = Buffer.allocUnsafe(HEAD_BYTES + bytes.length);
  frame.write(type, 0, "latin1");
  frame.writeUInt32BE(bytes.length, 1);
  bytes.copy(frame, HEAD_BYTES);
  return frame;
}

function isFrameType(text: string): text is FrameType {
  return text === "J" || text === "D" || text === "E" || text === "X";
}

/** Takes bytes as they come and gives whole frames; throws nothing: a wrong byte makes `broken` say why, for good. */
export class FrameReader {
  #held: Buffer = Buffer.alloc(0);
  broken = "";

  push(chunk: Buffer): Frame[] {
    const frames: Frame[] = [];
    this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    while (this.broken === "" && this.#held.length >= HEAD_BYTES) {
      const type = String.fromCharCode(this.#held[0] ?? 0);
      const length = this.#held.readUInt32BE(1);
      if (!isFrameType(type)) this.broken = "not a control frame";
      else if (length > FRAME_BYTES_MAX) this.broken = `frame of ${length} bytes is too large`;
      else {
        if (this.#held.length < HEAD_BYTES + length) break;
        frames.push({ type, payload: this.#held.subarray(HEAD_BYTES, HEAD_BYTES + length) });
        this.#held = this.#held.subarray(HEAD_BYTES + length);
      }
    }
    return frames;
  }
}
