// A scripted next hop on loopback: answers each command as the test says, records every byte, closes with the test.

import { createServer, type Server, type Socket } from "node:net";
import { createSecureContext, type SecureContext, TLSSocket } from "node:tls";

/** What the peer does at a step: lines to send, then perhaps close; null says nothing at all. */
export type Act = { readonly say?: string; readonly close?: boolean } | null;

export type Step =
  | "connect"
  | "EHLO"
  | "HELO"
  | "LHLO"
  | "STARTTLS"
  | "MAIL"
  | "RCPT"
  | "DATA"
  | "."
  | "RSET"
  | "QUIT"
  | string;

export interface Seen {
  /** Command lines without CRLF. */
  readonly commands: string[];
  /** Messages as they came, dots still stuffed, without the final dot line. */
  readonly messages: Buffer[];
  connections: number;
  /** Bytes of each connection. */
  readonly streams: Buffer[][];
}

export interface Peer {
  readonly port: number;
  readonly seen: Seen;
  close(): Promise<void>;
}

export interface Script {
  /** Lines of EHLO after the first; default none. */
  readonly extensions?: readonly string[];
  readonly greeting?: string;
  /** Overrides the usual answer; undefined: the usual one. `nth`: how often this step came on this connection, from 1. */
  answer?(step: Step, line: string, nth: number, connection: number): Act | undefined;
  readonly address?: string;
  readonly path?: string;
  /** STARTTLS works with these. */
  readonly tls?: { readonly key: string; readonly cert: string };
  /** All connections share one context, so that sessions can be resumed. */
  readonly sharedTls?: boolean;
  /** LMTP: one answer per accepted recipient after the dot. */
  readonly lmtp?: boolean;
}

const END = Buffer.from("\r\n.\r\n");

export function startPeer(script: Script): Promise<Peer> {
  const seen: Seen = { commands: [], messages: [], connections: 0, streams: [] };
  const sockets = new Set<Socket>();
  const server: Server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    serve(socket, script, seen, ++seen.connections);
  });
  return new Promise((resolve) => {
    const ready = (): void => {
      const at = server.address();
      resolve({
        port: typeof at === "object" && at !== null ? at.port : 0,
        seen,
        close: () =>
          new Promise((done) => {
            for (const s of sockets) s.destroy();
            server.close(() => done());
          }),
      });
    };
    if (script.path !== undefined) server.listen(script.path, ready);
    else server.listen(0, script.address ?? "127.0.0.1", ready);
  });
}

const contexts = new Map<string, SecureContext>();

function shared(pair: { readonly key: string; readonly cert: string }): SecureContext {
  const made = contexts.get(pair.cert) ?? createSecureContext(pair);
  contexts.set(pair.cert, made);
  return made;
}

function usual(step: Step, line: string, script: Script): string {
  switch (step) {
    case "connect":
      return script.greeting ?? "220 peer.example ESMTP";
    case "EHLO":
    case "LHLO": {
      const lines = ["peer.example", ...(script.extensions ?? [])];
      return lines.map((l, i) => `250${i === lines.length - 1 ? " " : "-"}${l}`).join("\r\n");
    }
    case "DATA":
      return "354 go on";
    case ".":
      return "250 2.0.0 Ok: queued as 12345";
    case "QUIT":
      return "221 2.0.0 bye";
    case "MAIL":
    case "RCPT":
      return `250 2.1.0 ${line.length > 0 ? "ok" : ""}`;
    default:
      return "250 ok";
  }
}

function serve(raw: Socket, script: Script, seen: Seen, connection: number): void {
  let socket: Socket = raw;
  const counts = new Map<string, number>();
  const stream: Buffer[] = [];
  seen.streams.push(stream);
  let data: Buffer | null = null;
  let rest = Buffer.alloc(0);
  let accepted = 0;
  const act = (step: Step, line: string): boolean => {
    const nth = (counts.get(step) ?? 0) + 1;
    counts.set(step, nth);
    const chosen = script.answer?.(step, line, nth, connection);
    if (chosen === null) return false;
    const said = chosen?.say ?? (chosen === undefined ? usual(step, line, script) : "");
    if (said !== "") socket.write(`${said}\r\n`, "latin1");
    if (chosen?.close === true) socket.end();
    if (step === "RCPT" && said.startsWith("2")) accepted++;
    return said.startsWith("3");
  };
  const line = (text: string): void => {
    seen.commands.push(text);
    const verb = (/^[A-Za-z]+/.exec(text)?.[0] ?? text).toUpperCase();
    if (verb === "MAIL" || verb === "RSET") accepted = 0;
    if (
      verb === "STARTTLS" &&
      script.tls !== undefined &&
      script.answer?.(verb, text, 1, connection) === undefined
    ) {
      socket.write("220 2.0.0 ready\r\n");
      socket.removeAllListeners("data");
      const context = script.sharedTls === true ? { secureContext: shared(script.tls) } : script.tls;
      socket = new TLSSocket(raw, { isServer: true, ...context });
      socket.on("error", () => socket.destroy());
      socket.on("data", take);
      return;
    }
    const go = act(verb, text);
    if (verb === "DATA" && go) data = Buffer.alloc(0);
    if (verb === "QUIT") socket.end();
  };
  const message = (): void => {
    for (let i = 0; i < (script.lmtp === true ? accepted : 1); i++) act(".", ".");
  };
  const take = (chunk: Buffer): void => {
    stream.push(chunk);
    rest = Buffer.concat([rest, chunk]);
    for (;;) {
      if (data !== null) {
        data = Buffer.concat([data, rest]);
        rest = Buffer.alloc(0);
        const whole = Buffer.concat([Buffer.from("\r\n"), data]);
        const end = whole.indexOf(END);
        if (end < 0) return;
        seen.messages.push(whole.subarray(2, end + 2));
        rest = whole.subarray(end + END.length);
        data = null;
        message();
        continue;
      }
      const end = rest.indexOf("\r\n");
      if (end < 0) return;
      const text = rest.toString("latin1", 0, end);
      rest = rest.subarray(end + 2);
      line(text);
    }
  };
  socket.on("data", take);
  act("connect", "");
}
