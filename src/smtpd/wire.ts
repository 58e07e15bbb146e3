// The stream under a session, as the protocol sees it: bytes out, pressure back, TLS, the end. Implemented by Connection (sockets,
// stdin/stdout, any duplex) and by the in-memory wires of tests; the protocol itself never touches a socket.

import type { TlsFacts } from "./service.ts";

export interface Wire {
  /** One write; the bytes go out together. */
  write(bytes: Buffer): void;
  /** Bytes written that the peer has not taken yet. */
  backlog(): number;
  /** Stops and restarts reading; idempotent. */
  pause(): void;
  resume(): void;
  /** Sends what was written, then ends our side; what still comes is thrown away for a bounded time. */
  close(): void;
  /** Drops the connection now. */
  destroy(): void;
  /**
   * Server handshake; nothing that arrived before it is ever read as SMTP. Afterwards the session gets decrypted bytes. A failed
   * handshake has already ended the connection when the reason comes back.
   */
  startTls(): Promise<{ readonly facts: TlsFacts } | { readonly failure: string }>;
}
