// A client that types lines into port 25 of an appliance. QEMU takes connections before the guest listens, so only a greeting
// is a sign of life.

import { connect, type Socket } from "node:net";

const TRY_MS = 5_000;
const PAUSE_MS = 200;
const LINE_MS = 30_000;

const sleep = (ms: number) => new Promise((done) => setTimeout(done, ms));

/** One attempt: the greeting, or null. */
function attempt(port: number): Promise<string | null> {
  return new Promise((done) => {
    const socket = connect(port, "127.0.0.1");
    const end = (text: string | null) => {
      clearTimeout(timer);
      socket.destroy();
      done(text);
    };
    const timer = setTimeout(() => end(null), TRY_MS);
    socket.on("data", (data) => end(data.toString("latin1")));
    socket.on("error", () => end(null));
    socket.on("close", () => end(null));
  });
}

/** The first line that the appliance says on port 25; error when it says nothing for `limitMs`. */
export async function greeting(port: number, limitMs: number): Promise<string> {
  const end = performance.now() + limitMs;
  while (performance.now() < end) {
    const text = await attempt(port);
    if (text !== null && text !== "") return text;
    await sleep(PAUSE_MS);
  }
  throw new Error(`nobody greets on port ${port} within ${limitMs} ms`);
}

async function reply(socket: Socket, waiting: { text: string }): Promise<string> {
  const end = performance.now() + LINE_MS;
  for (;;) {
    const whole = /^(?:\d{3}-.*\r\n)*\d{3} .*\r\n/.exec(waiting.text);
    if (whole !== null) {
      waiting.text = waiting.text.slice(whole[0].length);
      return whole[0];
    }
    if (performance.now() > end || socket.destroyed) throw new Error(`no reply; got '${waiting.text}'`);
    await sleep(10);
  }
}

/** Types `lines` one after the other, each after the reply to the one before; all replies, the greeting first. */
export async function converse(port: number, lines: readonly string[]): Promise<string[]> {
  const socket = connect(port, "127.0.0.1");
  const waiting = { text: "" };
  socket.on("data", (data) => {
    waiting.text += data.toString("latin1");
  });
  socket.on("error", () => socket.destroy());
  const replies = [await reply(socket, waiting)];
  for (const line of lines) {
    socket.write(`${line}\r\n`, "latin1");
    replies.push(await reply(socket, waiting));
  }
  socket.destroy();
  return replies;
}
