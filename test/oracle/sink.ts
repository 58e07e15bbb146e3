// The remote hosts of the message cases: one SMTP server on loopback that accepts everything, offers 8BITMIME, DSN and SIZE, and keeps
// what arrives as the record shows it.

import { createServer, type Server, type Socket } from "node:net";

export interface Arrival {
  readonly mail: string;
  readonly rcpt: readonly string[];
  readonly data: string;
}

/** One conversation with a client of the sink. */
class Conversation {
  readonly #socket: Socket;
  readonly #arrived: Arrival[];
  #text = "";
  #mail = "";
  #rcpt: string[] = [];
  #inData = false;

  constructor(socket: Socket, arrived: Arrival[]) {
    this.#socket = socket;
    this.#arrived = arrived;
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk: Buffer) => this.#take(chunk.toString("latin1")));
    this.#say("220 sink.test ESMTP");
  }

  #say(line: string): void {
    this.#socket.write(`${line}\r\n`);
  }

  #take(text: string): void {
    this.#text += text;
    for (;;) {
      if (this.#inData) {
        const end = this.#text.startsWith(".\r\n") ? 0 : this.#text.indexOf("\r\n.\r\n") + 2;
        if (end < 2 && !this.#text.startsWith(".\r\n")) return;
        this.#message(this.#text.slice(0, end));
        this.#text = this.#text.slice(end + 3);
        continue;
      }
      const end = this.#text.indexOf("\r\n");
      if (end < 0) return;
      const line = this.#text.slice(0, end);
      this.#text = this.#text.slice(end + 2);
      this.#command(line);
    }
  }

  #message(wire: string): void {
    this.#inData = false;
    const lines = wire.split("\r\n").map((line) => (line.startsWith(".") ? line.slice(1) : line));
    this.#arrived.push({ mail: this.#mail, rcpt: [...this.#rcpt].sort(), data: lines.join("\n") });
    this.#say("250 2.0.0 accepted");
  }

  #command(line: string): void {
    const verb = line.slice(0, 4).toUpperCase();
    if (verb === "EHLO") {
      for (const offer of ["250-sink.test", "250-8BITMIME", "250-DSN", "250 SIZE"]) this.#say(offer);
    } else if (verb === "MAIL") {
      this.#mail = line.replace(/ SIZE=\d+/, "");
      this.#rcpt = [];
      this.#say("250 2.1.0 Sender ok");
    } else if (verb === "RCPT") {
      this.#rcpt.push(line);
      this.#say("250 2.1.5 Recipient ok");
    } else if (verb === "DATA") {
      this.#inData = true;
      this.#say("354 go on");
    } else if (verb === "QUIT") {
      this.#say("221 2.0.0 bye");
      this.#socket.end();
    } else this.#say("250 2.0.0 OK");
  }
}

export class Sink {
  readonly arrived: Arrival[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor() {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
      new Conversation(socket, this.arrived);
    });
  }

  listen(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(0, "127.0.0.1", () => {
        const bound = this.#server.address();
        resolve(bound !== null && typeof bound === "object" ? bound.port : 0);
      });
    });
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }
}
