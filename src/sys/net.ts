// Outgoing connections: TCP to an address (never a name: names are the resolver's business) and Unix sockets.
// Promises one answer within the time given, a socket with TCP_NODELAY and an error handler from its first moment on,
// so that a peer that vanishes is never an uncaught error. Failures are values with the errno.

import { connect, isIP, type Socket } from "node:net";
import { err, ok, type Result } from "../base/result.ts";

export type { Socket } from "node:net";
export type { Duplex } from "node:stream";

/** Why there is no connection. `code`: "ECONNREFUSED", "ETIMEDOUT", "EHOSTUNREACH", ...; "ABORTED" when the caller gave up. */
export interface NetFailure {
  readonly code: string;
}

export interface ConnectPlan {
  /** IPv4 or IPv6 text without brackets. */
  readonly address: string;
  readonly port: number;
  readonly timeoutMs: number;
  /** Address on our side, "" for the system's choice. */
  readonly localAddress: string;
  readonly signal?: AbortSignal | undefined;
}

/** 4, 6, or 0 when `text` is not an address. */
export function addressFamily(text: string): 0 | 4 | 6 {
  const family = isIP(text);
  return family === 4 || family === 6 ? family : 0;
}

/** A TCP connection to an address, established within timeoutMs. */
export function connectTcp(plan: ConnectPlan): Promise<Result<Socket, NetFailure>> {
  if (addressFamily(plan.address) === 0) return Promise.resolve(err({ code: "EINVAL" }));
  return settle(
    () =>
      connect({
        host: plan.address,
        port: plan.port,
        noDelay: true,
        autoSelectFamily: false,
        ...(plan.localAddress === "" ? {} : { localAddress: plan.localAddress }),
      }),
    plan.timeoutMs,
    plan.signal,
  );
}

/** A connection to the Unix socket at `path`. */
export function connectUnix(
  path: string,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<Result<Socket, NetFailure>> {
  return settle(() => connect({ path }), timeoutMs, signal);
}

function settle(
  start: () => Socket,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<Result<Socket, NetFailure>> {
  return new Promise((resolve) => {
    if (signal?.aborted) {
      resolve(err({ code: "ABORTED" }));
      return;
    }
    let socket: Socket;
    try {
      socket = start();
    } catch (e) {
      // A port out of range or a local address that is none: thrown at once, not emitted.
      resolve(err({ code: e instanceof Error && "code" in e ? String(e.code) : "EINVAL" }));
      return;
    }
    const finish = (answer: Result<Socket, NetFailure>): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", aborted);
      socket.off("connect", connected);
      socket.off("error", failed);
      // Whoever takes the socket over adds its own; until then an error must not end the process.
      socket.on("error", () => socket.destroy());
      if (!answer.ok) socket.destroy();
      resolve(answer);
    };
    const connected = (): void => finish(ok(socket));
    const failed = (e: NodeJS.ErrnoException): void => finish(err({ code: e.code ?? "EIO" }));
    const aborted = (): void => finish(err({ code: "ABORTED" }));
    const timer = setTimeout(
      () => finish(err({ code: "ETIMEDOUT" })),
      Math.min(Math.max(timeoutMs, 1), 0x7fffffff),
    );
    socket.on("connect", connected);
    socket.on("error", failed);
    signal?.addEventListener("abort", aborted);
  });
}
