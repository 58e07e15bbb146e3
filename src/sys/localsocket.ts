// Unix sockets for the control protocol: a listener with mode and owner set before anybody can connect,
// and a client connection that is an async iterable of chunks. Stale sockets of a dead daemon are removed, live ones are not.

import { chmodSync, chownSync, unlinkSync } from "node:fs";
import { createServer, connect as netConnect, type Server, type Socket } from "node:net";
import { err, ok, type Result } from "../base/result.ts";
import { type PeerCredentials, peerCredentials } from "./kernel.ts";

/** How long a peer may take to read the last answer. */
const LEAVE_MS = 10_000;

export interface LocalConnection {
  write(bytes: Buffer): Promise<void>;
  end(): void;
  destroy(): void;
  readonly chunks: AsyncIterable<Buffer>;
}

function wrap(socket: Socket): LocalConnection {
  // A peer that goes away shows as the end of chunks or a failed write.
  socket.on("error", () => socket.destroy());
  return {
    write: (bytes) =>
      new Promise((resolve, reject) => {
        if (socket.destroyed) reject(new Error("connection closed"));
        else socket.write(bytes, (e) => (e ? reject(e) : resolve()));
      }),
    // Nobody reads any more, so a peer that still speaks or has gone is not noticed: it gets a while to take the answer.
    end: () => {
      socket.end();
      const timer = setTimeout(() => socket.destroy(), LEAVE_MS);
      timer.unref();
      socket.once("close", () => clearTimeout(timer));
    },
    destroy: () => {
      socket.destroy();
    },
    // Ending the iteration early must not end the connection: the answer still has to go out.
    chunks: socket.iterator({ destroyOnReturn: false }),
  };
}

/** Who is at the other end; null when the kernel cannot be asked, or he has gone. */
function peerOf(socket: Socket): PeerCredentials | null {
  const handle: unknown = "_handle" in socket ? socket._handle : null;
  if (typeof handle !== "object" || handle === null || !("fd" in handle)) return null;
  const peer = typeof handle.fd === "number" && handle.fd >= 0 ? peerCredentials(handle.fd) : err("EBADF");
  return peer.ok ? peer.value : null;
}

/** Connects to the socket at `path`; error "ENOENT" or "ECONNREFUSED" when no daemon listens, "EACCES" without permission. */
export function connectLocal(path: string): Promise<Result<LocalConnection>> {
  return new Promise((resolve) => {
    const socket = netConnect({ path });
    const failed = (e: NodeJS.ErrnoException): void => resolve(err(e.code ?? e.message));
    socket.once("error", failed);
    socket.once("connect", () => {
      socket.off("error", failed);
      resolve(ok(wrap(socket)));
    });
  });
}

export interface LocalListener {
  close(): Promise<void>;
}

/** Listens at `path` with `mode` and, when given, owner and group; each connection comes with who it is. A live daemon's socket is an error "EADDRINUSE". */
export async function listenLocal(
  path: string,
  options: {
    readonly mode: number;
    readonly owner?: { readonly uid: number; readonly gid: number } | undefined;
  },
  onConnection: (connection: LocalConnection, peer: PeerCredentials | null) => void,
): Promise<Result<LocalListener>> {
  const live = await connectLocal(path);
  if (live.ok) {
    live.value.destroy();
    return err("EADDRINUSE");
  }
  if (live.error === "ECONNREFUSED") {
    try {
      unlinkSync(path);
    } catch (e) {
      return err(`cannot remove the stale socket ${path}: ${e instanceof Error ? e.message : String(e)}`);
    }
  }
  const open = new Set<Socket>();
  const server: Server = createServer((socket) => {
    open.add(socket);
    socket.on("close", () => open.delete(socket));
    onConnection(wrap(socket), peerOf(socket));
  });
  return new Promise((resolve) => {
    server.once("error", (e: NodeJS.ErrnoException) => resolve(err(e.code ?? e.message)));
    server.listen(path, () => {
      try {
        chmodSync(path, options.mode);
        if (options.owner) chownSync(path, options.owner.uid, options.owner.gid);
      } catch (e) {
        server.close();
        resolve(err(e instanceof Error ? e.message : String(e)));
        return;
      }
      resolve(
        ok({
          close: () =>
            new Promise((done) => {
              for (const socket of open) socket.destroy();
              server.close(() => done());
            }),
        }),
      );
    });
  });
}
