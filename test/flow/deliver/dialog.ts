// A next hop on loopback whose answers are computed (asynchronously) line by line; what it does not say is the usual answer.

import { createServer } from "node:net";

export interface DialogState {
  inAuth: boolean;
  authenticated: boolean;
}

/** null asks for the greeting; undefined: the usual answer. */
export type Answerer = (line: string | null, state: DialogState) => Promise<string | undefined>;

export function startDialog(answer: Answerer): Promise<{ port: number; close(): Promise<void> }> {
  const server = createServer(async (socket) => {
    socket.on("error", () => socket.destroy());
    const state: DialogState = { inAuth: false, authenticated: false };
    let data = false;
    socket.write(`${(await answer(null, state)) ?? "220 peer"}\r\n`);
    let rest = "";
    for await (const chunk of socket) {
      rest += (chunk as Buffer).toString("latin1");
      for (let end = rest.indexOf("\r\n"); end >= 0; end = rest.indexOf("\r\n")) {
        const line = rest.slice(0, end);
        rest = rest.slice(end + 2);
        if (data) {
          if (line !== ".") continue;
          data = false;
          socket.write("250 2.0.0 queued\r\n");
          continue;
        }
        const said =
          (await answer(line, state)) ??
          (line === "DATA" ? "354 go" : line === "QUIT" ? "221 bye" : "250 ok");
        socket.write(`${said}\r\n`);
        if (line === "DATA") data = true;
        if (line === "QUIT") socket.end();
      }
    }
  });
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const at = server.address();
      resolve({
        port: typeof at === "object" && at !== null ? at.port : 0,
        close: () => new Promise((done) => server.close(() => done())),
      });
    });
  });
}
