// The limit: the least that a Node program can do to relay durably. No checks, no limits, no recovery; not to build on, but the
// line to approach. Raw sockets in, a group-commit log on one zeroed segment, pipelined SMTP out over kept connections.
// limit.ts PORT SINKPORT SPOOL durable|interactive

import { fdatasync, fsyncSync, openSync, writeSync, writev } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";

const [port = "0", sink = "0", spool = ".", mode = "durable"] = process.argv.slice(2);
const SEGMENT_BYTES = 64 << 20;
const CONNECTIONS = 8;
const END = Buffer.from("\r\n.\r\n");

interface Mail {
  readonly from: string;
  readonly to: string;
  readonly data: Buffer[];
  acknowledged: (() => void) | null;
}

/** Appends batches; one fdatasync for all that came meanwhile. */
class Log {
  readonly #fd: number;
  #at = 0;
  #waiting: { buffers: Buffer[]; done: () => void }[] = [];
  #busy = false;

  constructor(path: string) {
    this.#fd = openSync(path, "w");
    const zeros = Buffer.alloc(1 << 20);
    for (let i = 0; i < SEGMENT_BYTES; i += zeros.length) writeSync(this.#fd, zeros);
    fsyncSync(this.#fd);
  }

  append(buffers: Buffer[], done: () => void): void {
    this.#waiting.push({ buffers, done });
    if (!this.#busy) this.#flush();
  }

  #flush(): void {
    this.#busy = true;
    setImmediate(() => {
      const batch = this.#waiting;
      this.#waiting = [];
      const all = batch.flatMap((b) => b.buffers);
      const bytes = all.reduce((sum, b) => sum + b.length, 0);
      if (this.#at + bytes > SEGMENT_BYTES) this.#at = 0;
      writev(this.#fd, all, this.#at, () =>
        fdatasync(this.#fd, () => {
          for (const { done } of batch) done();
          if (this.#waiting.length > 0) this.#flush();
          else this.#busy = false;
        }),
      );
      this.#at += bytes;
    });
  }
}

/** Kept connections to the sink, each with one message under way. */
class Pool {
  readonly #idle: ((mail: Mail) => void)[] = [];
  readonly #queue: Mail[] = [];
  #open = 0;

  deliver(mail: Mail): void {
    this.#queue.push(mail);
    this.#pump();
  }

  #pump(): void {
    while (this.#queue.length > 0) {
      const send = this.#idle.pop();
      if (send === undefined) {
        if (this.#open < CONNECTIONS) this.#connect();
        return;
      }
      const mail = this.#queue.shift();
      if (mail !== undefined) send(mail);
    }
  }

  #connect(): void {
    this.#open++;
    const socket = connect({ port: Number(sink), host: "127.0.0.1", noDelay: true });
    let state: "greeting" | "ehlo" | "idle" | "envelope" | "dot" = "greeting";
    let text = "";
    let replies = 0;
    let mail: Mail | null = null;
    const send = (next: Mail): void => {
      mail = next;
      state = "envelope";
      replies = 3;
      socket.write(`MAIL FROM:<${next.from}>\r\nRCPT TO:<${next.to}>\r\nDATA\r\n`);
    };
    const ready = (): void => {
      state = "idle";
      this.#idle.push(send);
      this.#pump();
    };
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      for (let nl = text.indexOf("\n"); nl >= 0; nl = text.indexOf("\n")) {
        const more = text[3] === "-";
        text = text.slice(nl + 1);
        if (more) continue;
        if (state === "greeting") {
          state = "ehlo";
          socket.write("EHLO limit\r\n");
        } else if (state === "ehlo") ready();
        else if (state === "envelope" && --replies === 0) {
          state = "dot";
          socket.cork();
          for (const part of mail?.data ?? []) socket.write(part);
          socket.uncork();
        } else if (state === "dot") {
          mail?.acknowledged?.();
          mail = null;
          ready();
        }
      }
    });
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      this.#open--;
      const at = this.#idle.indexOf(send);
      if (at >= 0) this.#idle.splice(at, 1);
    });
  }
}

const log = mode === "durable" ? new Log(join(spool, "segment")) : null;
const pool = new Pool();

function serve(socket: Socket): void {
  let inData = false;
  let rest: Buffer | null = null;
  let tail: Buffer = Buffer.alloc(0);
  let from = "";
  let to = "";
  let data: Buffer[] = [];
  const address = (line: string): string => line.slice(line.indexOf("<") + 1, line.indexOf(">"));
  const finish = (): void => {
    const mail: Mail = { from, to, data, acknowledged: null };
    data = [];
    const acknowledge = (): void => {
      socket.write("250 2.0.0 ok\r\n");
    };
    if (log === null) {
      mail.acknowledged = acknowledge;
      pool.deliver(mail);
    } else
      log.append([Buffer.from(`${from} ${to}\n`), ...mail.data], () => {
        acknowledge();
        pool.deliver(mail);
      });
  };
  const takeData = (chunk: Buffer): void => {
    const probe = tail.length === 0 ? chunk : Buffer.concat([tail, chunk]);
    const end = probe.indexOf(END);
    if (end < 0) {
      data.push(chunk);
      tail = probe.subarray(Math.max(0, probe.length - 4));
      return;
    }
    const cut = end + END.length - tail.length;
    data.push(chunk.subarray(0, cut));
    tail = Buffer.alloc(0);
    inData = false;
    finish();
    if (cut < chunk.length) take(chunk.subarray(cut));
  };
  const take = (input: Buffer): void => {
    if (inData) {
      takeData(input);
      return;
    }
    let chunk = input;
    if (rest !== null) chunk = Buffer.concat([rest, chunk]);
    rest = null;
    let at = 0;
    let out = "";
    for (let nl = chunk.indexOf(10, at); nl >= 0; nl = chunk.indexOf(10, at)) {
      const line = chunk.toString("latin1", at, nl);
      at = nl + 1;
      const verb = line.slice(0, 4).toUpperCase();
      if (verb === "MAIL") from = address(line);
      else if (verb === "RCPT") to = address(line);
      if (verb === "DATA") {
        socket.write(`${out}354 go\r\n`);
        inData = true;
        if (at < chunk.length) takeData(chunk.subarray(at));
        return;
      }
      if (verb === "QUIT") {
        socket.end(`${out}221 bye\r\n`);
        return;
      }
      out += verb === "EHLO" ? "250-limit\r\n250 PIPELINING\r\n" : "250 ok\r\n";
    }
    if (at < chunk.length) rest = chunk.subarray(at);
    if (out !== "") socket.write(out);
  };
  socket.on("data", take);
  socket.on("error", () => socket.destroy());
  socket.write("220 limit ESMTP\r\n");
}

createServer({ noDelay: true }, serve).listen({ port: Number(port), host: "127.0.0.1", backlog: 512 });
