// A connection: smtp-server's SMTPConnection with its per-line path replaced. The socket's bytes go to a Session, the Session's
// replies to the socket, one write per batch; TLS is started here; a closed connection lingers for a bounded time only.
// Works on any duplex stream, so that -bs and tests run the same code as port 25.

import { SMTPConnection } from "smtp-server/lib/smtp-connection.js";
import { SMTPStream } from "smtp-server/lib/smtp-stream.js";
import { LINGER_MS } from "../base/limits.ts";
import type { DaemonSpec } from "../config/configuration.ts";
import { bracketed } from "../mail/peer.ts";
import type { Client } from "../policy/policy.ts";
import type { Socket } from "../sys/net.ts";
import { greet } from "./greeting.ts";
import type { Guesses } from "./guesses.ts";
import { plainAddress } from "./peer.ts";
import { STARTTLS } from "./registry.ts";
import type { Server } from "./server.ts";
import type { Service, TlsFacts } from "./service.ts";
import { Session } from "./session.ts";
import type { Settings } from "./settings.ts";
import type { Wire } from "./wire.ts";

/** The library wants a parser per connection; ours is the Session, so that all share one that never sees a byte. */
const UNUSED_PARSER = new SMTPStream();

/** Where a connection comes from when its stream does not say (tests, -bs). */
export interface Origin {
  readonly address: string;
  readonly localAddress: string;
  readonly localPort: number;
  /** Login@localhost of a local process (-bs), "" for a network client. */
  readonly localUser: string;
}

export class Connection extends SMTPConnection implements Wire {
  readonly conversation: Session;
  readonly #service: Service;
  readonly #settings: Settings;
  readonly #daemon: DaemonSpec;
  #stream: Socket;
  #cancelLinger: (() => void) | null = null;
  #gone = false;
  #upgrading = false;
  readonly #onGone: () => void;

  constructor(
    server: Server,
    socket: Socket,
    service: Service,
    settings: Settings,
    daemon: DaemonSpec,
    origin: Origin | null,
    guesses: Guesses,
    onGone: () => void,
  ) {
    super(server, socket, { id: "-" });
    this.#stream = socket;
    this.#service = service;
    this.#settings = settings;
    this.#daemon = daemon;
    this.#onGone = onGone;
    const address = plainAddress(origin?.address ?? socket.remoteAddress ?? "");
    const local = origin !== null && origin.localUser !== "";
    const client: Client = {
      address,
      name: local ? origin.localUser : bracketed(address),
      resolve: local ? "ok" : "fail",
      helo: "",
      daemon: daemon.name,
      modifiers: daemon.modifiers,
      localAddress: plainAddress(origin?.localAddress ?? socket.localAddress ?? ""),
      localPort: origin?.localPort ?? socket.localPort ?? 0,
    };
    this.conversation = new Session(
      service,
      settings,
      { client, daemon, encrypted: false, local, guesses },
      this,
    );
  }

  override _createParser(): SMTPStream {
    return UNUSED_PARSER;
  }

  /** Takes the stream over and begins the session. */
  override init(): void {
    this.#attach(this.#stream);
    const start = this.#daemon.modifiers.includes("s") ? this.#implicitTls() : this.#greet();
    start.catch((e: unknown) => {
      this.conversation.note(0, `SYSERR(root): session of ${this.conversation.who}: ${String(e)}`, "crit");
      this.conversation.dropped();
      this.destroy();
    });
  }

  async #greet(): Promise<void> {
    if (!this.conversation.closed) await greet(this.conversation, this.#service);
  }

  /** Modifier s: the handshake comes first. */
  async #implicitTls(): Promise<void> {
    const result = await this.startTls();
    if ("failure" in result) {
      this.#service.log.line(
        1,
        `STARTTLS=server, error: accept failed=${result.failure.trim()}, relay=${this.conversation.who}`,
      );
      this.conversation.dropped();
      return;
    }
    STARTTLS[0]?.encrypted(this.conversation, result.facts);
    await this.#greet();
  }

  #attach(stream: Socket): void {
    stream.on("data", (chunk: Buffer) => this.conversation.feed(chunk));
    stream.on("end", () => this.conversation.end());
    stream.on("drain", () => this.conversation.drained());
    stream.on("close", () => this.#closed());
    // An error is followed by close, which says all there is to say.
    stream.on("error", () => stream.destroy());
  }

  #closed(): void {
    if (this.#gone || this.#upgrading) return;
    this.#gone = true;
    this.#cancelLinger?.();
    this.conversation.dropped();
    this._server.connections.delete(this);
    this.#onGone();
  }

  write(bytes: Buffer): void {
    if (!this.#stream.destroyed && this.#stream.writable) this.#stream.write(bytes);
  }

  backlog(): number {
    return this.#stream.writableLength;
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    if (this.#stream.isPaused()) this.#stream.resume();
  }

  /** Ends our side. What the client still sends is read and thrown away, or a reset could overtake our last reply. */
  override close(): void {
    const stream = this.#stream;
    if (stream.destroyed || this.#cancelLinger !== null) return;
    stream.end(() => {
      // Nothing more can come from a client that has ended its side.
      if (stream.readableEnded) stream.destroy();
    });
    stream.removeAllListeners("data");
    stream.resume();
    this.#cancelLinger = this.#service.clock.after(LINGER_MS, () => stream.destroy());
  }

  destroy(): void {
    this.#stream.destroy();
  }

  async startTls(): Promise<{ readonly facts: TlsFacts } | { readonly failure: string }> {
    const { tls } = this.#service;
    const plain = this.#stream;
    if (tls === null) {
      plain.destroy();
      return { failure: "no certificate" };
    }
    for (const event of ["data", "end", "drain", "close"]) plain.removeAllListeners(event);
    plain.pause();
    this.#upgrading = true;
    const result = await tls.upgrade(plain, {
      requestCert:
        this.#settings.requestClientCert &&
        !this.#service.policy.serverFeatures(this.conversation.client).includes("V"),
      timeoutMs: this.#settings.tlsTimeoutMs,
      listener: `${this.#daemon.name} ${this.#daemon.address} ${this.#daemon.port}`,
    });
    this.#upgrading = false;
    if ("failure" in result) {
      plain.destroy();
      this.#closed();
      return result;
    }
    // Only the listener's TLS code makes these; the interface hides node's class from the layers in between.
    this.#stream = result.socket as Socket;
    this._socket = this.#stream;
    this.#attach(this.#stream);
    if (this.#stream.destroyed) this.#closed();
    return { facts: result.facts };
  }

  /** The library's own replies (its shutdown) are not ours. */
  override send(): void {
    this.conversation.stop();
  }
}
