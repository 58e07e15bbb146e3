// One connection to a next hop as lines out and replies in (RFC 5321 4.2, RFC 2920). Our own and not nodemailer's SMTPConnection:
// that one cannot pipeline, gives no reply per recipient, streams the body through transforms (un-stuffed and stuffed again)
// and sets a timer per command; what a relay needs is one write for the envelope and one for the body.
// Promises: no control byte leaves in a command; a reply that nobody asked for ends the connection; every wait is bounded.

import type { Duplex } from "../sys/net.ts";
import { type PeerReply, ReplyParser } from "./peerreply.ts";
import type { Waiting, Watch } from "./watch.ts";

/** Why no reply came. "closed": by the peer or the network; "aborted": by us, on purpose. */
export interface Broken {
  readonly broken: "closed" | "timeout" | "garbage" | "aborted";
  /** One printable line. */
  readonly why: string;
}

export type Answer = PeerReply | Broken;

export function isBroken(answer: Answer): answer is Broken {
  return "broken" in answer;
}

/** How long a closed session's socket may linger for the peer's side, milliseconds. */
const FINISH_MS = 5000;

const CONTROL = /[\x00-\x1f\x7f]/;

/** True when `line` may be sent as one protocol line. */
export function sendable(line: string): boolean {
  return !CONTROL.test(line);
}

export class Wire implements Waiting {
  deadlineMs = 0;
  readonly #watch: Watch;
  #socket: Duplex;
  #parser = new ReplyParser();
  /** Commands sent whose reply has not been taken in. */
  #owed = 0;
  #answers: PeerReply[] = [];
  #wake: ((answer: Answer) => void) | null = null;
  #drained: (() => void) | null = null;
  #broken: Broken | null = null;
  /** Called when the connection breaks while nobody waits (a kept one that the peer closed). */
  onIdleEnd: (() => void) | null = null;

  constructor(socket: Duplex, watch: Watch) {
    this.#socket = socket;
    this.#watch = watch;
    this.#listen();
  }

  /** Why the connection is of no use any more, or null. */
  get broken(): Broken | null {
    return this.#broken;
  }

  /** True when a reply is already here (a peer may answer before the whole body was sent). */
  get answered(): boolean {
    return this.#answers.length > 0;
  }

  /** Sends command lines in one write; each will be owed one reply. False (nothing was sent) when one has a control byte. */
  command(...lines: string[]): boolean {
    for (const line of lines) if (!sendable(line)) return false;
    this.#owed += lines.length;
    if (this.#broken === null) this.#socket.write(`${lines.join("\r\n")}\r\n`);
    return true;
  }

  /** One reply more is expected: the greeting, or the answers to a final dot (LMTP: one per recipient). */
  expect(count: number): void {
    this.#owed += count;
  }

  /** The next reply in order, within timeoutMs. */
  read(timeoutMs: number): Answer | Promise<Answer> {
    const ready = this.#answers.shift();
    if (ready !== undefined) return ready;
    if (this.#broken !== null) return this.#broken;
    this.deadlineMs = this.#watch.nowMs() + timeoutMs;
    this.#watch.enter(this);
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  /** Writes pieces in one system call. Resolves at once, or when the peer has taken enough; false when the connection is gone. */
  bytes(pieces: readonly Buffer[], timeoutMs: number): boolean | Promise<boolean> {
    if (this.#broken !== null) return false;
    const socket = this.#socket;
    socket.cork();
    let room = true;
    for (const piece of pieces) if (piece.length > 0) room = socket.write(piece);
    socket.uncork();
    if (room || pieces.length === 0) return true;
    this.deadlineMs = this.#watch.nowMs() + timeoutMs;
    this.#watch.enter(this);
    return new Promise((resolve) => {
      this.#drained = () => {
        this.#drained = null;
        this.#watch.leave(this);
        resolve(this.#broken === null);
      };
    });
  }

  /** Nothing that was given to bytes() is needed any more: the kernel, or TLS, has a copy of it. */
  get idle(): boolean {
    return this.#socket.writableLength === 0;
  }

  /** Waiting's side: the peer was silent for too long. */
  expire(): void {
    this.#break({ broken: "timeout", why: "timeout" });
  }

  /** Ends the connection at once. */
  destroy(why = "closed on purpose"): void {
    this.#break({ broken: "aborted", why });
  }

  /** Lets what was written go out, then closes; nothing is read any more. */
  finish(): void {
    if (this.#broken !== null) return;
    const socket = this.#socket;
    this.#broken = { broken: "aborted", why: "closed on purpose" };
    this.#watch.leave(this);
    socket.end();
    socket.resume();
    // A peer that never closes its side must not keep the descriptor.
    this.deadlineMs = this.#watch.nowMs() + FINISH_MS;
    const end: Waiting = { deadlineMs: this.deadlineMs, expire: () => socket.destroy() };
    this.#watch.enter(end);
    socket.once("close", () => this.#watch.leave(end));
  }

  /** The bare socket for a TLS handshake, or null when bytes came that belong before it (an injected reply): then all is over. */
  detach(): Duplex | null {
    const clean =
      this.#broken === null &&
      !this.#parser.pending &&
      this.#answers.length === 0 &&
      this.#socket.readableLength === 0;
    if (!clean) {
      this.#break({ broken: "garbage", why: "plaintext data after STARTTLS" });
      return null;
    }
    this.#socket.removeListener("data", this.#onData);
    this.#socket.removeListener("end", this.#onEnd);
    this.#socket.removeListener("close", this.#onEnd);
    this.#socket.removeListener("drain", this.#onDrain);
    this.#socket.pause();
    return this.#socket;
  }

  /** Goes on over `socket`, the TLS one made from what detach() gave. */
  attach(socket: Duplex): void {
    this.#socket = socket;
    this.#parser = new ReplyParser();
    this.#listen();
  }

  #listen(): void {
    const socket = this.#socket;
    socket.on("data", this.#onData);
    socket.on("end", this.#onEnd);
    socket.on("close", this.#onEnd);
    socket.on("drain", this.#onDrain);
    // "close" follows every error and tells the rest; without a listener an error would end the process.
    socket.on("error", () => socket.destroy());
    if (socket.destroyed) this.#onEnd();
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#broken !== null) return;
    const wrong = this.#parser.feed(chunk, (reply) => this.#take(reply));
    if (wrong !== null) this.#break({ broken: "garbage", why: wrong });
  };

  readonly #onEnd = (): void => {
    this.#break({ broken: "closed", why: "connection closed" });
  };

  readonly #onDrain = (): void => {
    this.#drained?.();
  };

  #take(reply: PeerReply): void {
    if (this.#broken !== null) return;
    if (this.#owed === 0) {
      // An idle connection's 421, or an attempt to answer a question that was not asked yet.
      this.#break(
        reply.code === 421
          ? { broken: "closed", why: "connection closed" }
          : { broken: "garbage", why: "reply without a command" },
      );
      return;
    }
    this.#owed--;
    const wake = this.#wake;
    if (wake === null) {
      this.#answers.push(reply);
      return;
    }
    this.#wake = null;
    this.#watch.leave(this);
    wake(reply);
  }

  #break(broken: Broken): void {
    if (this.#broken !== null) return;
    this.#broken = broken;
    this.#watch.leave(this);
    this.#socket.destroy();
    this.#drained?.();
    const wake = this.#wake;
    this.#wake = null;
    if (wake !== null) wake(broken);
    else this.onIdleEnd?.();
  }
}
