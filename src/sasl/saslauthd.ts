// A client of saslauthd (Cyrus SASL): user, password, service and realm as counted strings to its Unix socket, "OK" or "NO" back.
// So real PAM answers on a host. Whatever is not a clear yes or no in time is a temporary failure.

import { SASLAUTHD_WAIT_MS_MAX } from "../base/limits.ts";
import { ABSENT, found, type Lookup, tempfail } from "../base/result.ts";
import { systemClock } from "../sys/clock.ts";
import { connectUnix } from "../sys/net.ts";

/** Where saslauthd listens when nothing else is said. */
export const SASLAUTHD_SOCKET = "/run/saslauthd/mux";

/** An answer is short; more is not saslauthd. */
const ANSWER_BYTES_MAX = 4096;

/** saslauthd_path names the folder or the socket in it. */
export function socketPath(configured: string): string {
  if (configured === "") return SASLAUTHD_SOCKET;
  return configured.endsWith("/mux") ? configured : `${configured.replace(/\/$/, "")}/mux`;
}

function counted(text: string): Buffer {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** Is this the user's password, says saslauthd? */
export async function askSaslauthd(
  path: string,
  question: {
    readonly user: string;
    readonly password: string;
    readonly service: string;
    readonly realm: string;
  },
): Promise<Lookup<true>> {
  const parts = [question.user, question.password, question.service, question.realm];
  if (parts.some((p) => Buffer.byteLength(p) > 0xffff || p.includes("\0"))) return ABSENT;
  const connected = await connectUnix(path, SASLAUTHD_WAIT_MS_MAX);
  if (!connected.ok) return tempfail(`saslauthd at ${path}: ${connected.error.code}`);
  const socket = connected.value;
  return new Promise((resolve) => {
    let answer: Buffer = Buffer.alloc(0);
    const finish = (result: Lookup<true>): void => {
      cancel();
      socket.destroy();
      resolve(result);
    };
    const cancel = systemClock.after(SASLAUTHD_WAIT_MS_MAX, () =>
      finish(tempfail(`saslauthd at ${path} does not answer`)),
    );
    socket.on("error", (e) => finish(tempfail(`saslauthd at ${path}: ${e.message}`)));
    socket.on("close", () => finish(tempfail(`saslauthd at ${path} closed without an answer`)));
    socket.on("data", (chunk: Buffer) => {
      answer = Buffer.concat([answer, chunk]);
      const length = answer.length < 2 ? ANSWER_BYTES_MAX : answer.readUInt16BE(0);
      if (answer.length >= 2 && length > ANSWER_BYTES_MAX)
        finish(tempfail(`saslauthd at ${path} speaks another language`));
      else if (answer.length >= length + 2) {
        const word = answer.toString("latin1", 2, 4);
        if (word === "OK") finish(found(true));
        else if (word === "NO") finish(ABSENT);
        else finish(tempfail(`saslauthd at ${path} speaks another language`));
      }
    });
    socket.write(Buffer.concat(parts.map(counted)));
  });
}
