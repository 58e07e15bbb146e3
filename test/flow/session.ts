// A client for whole-program tests that types lines, may come from another loopback address, and may change to TLS with a certificate
// of its own. Replies are whole, their lines joined with LF. Bounded in time; an ended connection reads as "EOF".

import { connect, type Socket } from "node:net";
import { type TLSSocket, connect as tlsConnect } from "node:tls";

export interface SessionOptions {
  readonly port: number;
  /** Where it comes from; default 127.0.0.9, who is nobody's friend. */
  readonly from?: string;
  readonly host?: string;
}

export interface TlsOptions {
  readonly key?: Buffer;
  readonly cert?: Buffer;
  readonly servername?: string;
  readonly alpn?: readonly string[];
  readonly maxVersion?: "TLSv1.2" | "TLSv1.3";
}

export class Session {
  #socket: Socket;
  #text = "";
  #ended = false;
  #wake: () => void = () => undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#listen();
  }

  /** Connects and says nothing; the greeting is the first reply. */
  static open(options: SessionOptions): Session {
    return new Session(
      connect({
        port: options.port,
        host: options.host ?? "127.0.0.1",
        localAddress: options.from ?? "127.0.0.9",
        noDelay: true,
      }),
    );
  }

  #listen(): void {
    const over = (): void => {
      this.#ended = true;
      this.#wake();
    };
    this.#socket.on("data", (chunk) => {
      this.#text += chunk.toString("latin1");
      this.#wake();
    });
    this.#socket.on("error", over);
    this.#socket.on("close", over);
  }

  get ended(): boolean {
    return this.#ended;
  }

  async reply(seconds = 20): Promise<string> {
    const end = performance.now() + seconds * 1000;
    for (;;) {
      const m = /^(?:\d{3}-[^\n]*\n)*\d{3}(?: [^\n]*)?\r\n/.exec(this.#text);
      if (m !== null) {
        this.#text = this.#text.slice(m[0].length);
        return m[0].replace(/\r\n$/, "").replaceAll("\r\n", "\n");
      }
      if (this.#ended) return "EOF";
      if (performance.now() > end)
        throw new Error(`no reply within ${seconds} s; so far: ${JSON.stringify(this.#text)}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 100);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** Sends a line, gives the reply. */
  say(line: string): Promise<string> {
    this.#socket.write(`${line}\r\n`, "latin1");
    return this.reply();
  }

  raw(bytes: string): void {
    this.#socket.write(bytes, "latin1");
  }

  /** The handshake on what was plain till now; an error is thrown. */
  async secure(options: TlsOptions = {}): Promise<TLSSocket> {
    const plain = this.#socket;
    plain.removeAllListeners();
    this.#text = "";
    const secure = tlsConnect({
      socket: plain,
      rejectUnauthorized: false,
      ...(options.key === undefined ? {} : { key: options.key }),
      ...(options.cert === undefined ? {} : { cert: options.cert }),
      ...(options.servername === undefined ? {} : { servername: options.servername }),
      ...(options.alpn === undefined ? {} : { ALPNProtocols: [...options.alpn] }),
      ...(options.maxVersion === undefined ? {} : { maxVersion: options.maxVersion }),
    });
    this.#socket = secure;
    this.#listen();
    await new Promise<void>((resolve, reject) => {
      secure.once("secureConnect", resolve);
      secure.once("error", reject);
      secure.once("close", () => reject(new Error("closed in the handshake")));
    });
    return secure;
  }

  /** Greeting, EHLO, STARTTLS, handshake, EHLO; the second EHLO's reply. */
  async startTls(options: TlsOptions = {}): Promise<string> {
    await this.reply();
    await this.say("EHLO client.test");
    const ready = await this.say("STARTTLS");
    if (!ready.startsWith("220")) throw new Error(ready);
    await this.secure(options);
    return this.say("EHLO client.test");
  }

  close(): void {
    this.#socket.destroy();
  }
}

/** The initial response of PLAIN. */
export function plain(user: string, secret: string): string {
  return Buffer.from(`\0${user}\0${secret}`).toString("base64");
}
