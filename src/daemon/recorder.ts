// The recording transport of postern trace: a next hop in memory that takes everything and writes down what it was told. The mailers
// talk to it as to any host; no byte leaves the machine. STARTTLS and AUTH are not offered here: what would be used is said apart.

import { makeDuplex } from "../sys/duplex.ts";
import type { Duplex } from "../sys/net.ts";

/** What one connection was told. */
export interface Recorded {
  readonly host: string;
  readonly address: string;
  readonly port: number;
  /** Command lines in order, without EHLO, RSET and QUIT. */
  readonly commands: string[];
  /** The message as sent, dots still stuffed; "" when none was. */
  data: string;
}

/** Bytes of a message that are kept. */
const DATA_CHARS_MAX = 64 * 1024;

/** A connection whose other end is this recorder. */
export function recordedConnection(to: Recorded): Duplex {
  let text = "";
  let inData = false;
  const ends = makeDuplex(
    async (bytes) => {
      text += bytes.toString("latin1");
      for (;;) {
        if (inData) {
          const end = text.startsWith(".\r\n") ? 0 : text.indexOf("\r\n.\r\n") + 2;
          if (end === 1) return;
          to.data = text.slice(0, Math.min(end, DATA_CHARS_MAX));
          text = text.slice(end + 3);
          inData = false;
          ends.push(Buffer.from("250 2.0.0 recorded\r\n"));
          continue;
        }
        const newline = text.indexOf("\r\n");
        if (newline < 0) return;
        const line = text.slice(0, newline);
        text = text.slice(newline + 2);
        inData = answer(line, to, (reply) => ends.push(Buffer.from(reply)));
      }
    },
    () => ends.push(null),
  );
  ends.push(Buffer.from("220 recorder ESMTP\r\n"));
  return ends.stream;
}

/** Answers one command; true: the message follows. */
function answer(line: string, to: Recorded, say: (reply: string) => void): boolean {
  const verb = line.slice(0, 4).toUpperCase();
  if (verb === "EHLO" || verb === "LHLO")
    say(
      "250-recorder\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-DSN\r\n250-ENHANCEDSTATUSCODES\r\n250 SIZE\r\n",
    );
  else if (verb === "QUIT") say("221 2.0.0 bye\r\n");
  else if (verb === "RSET" || verb === "HELO") say("250 2.0.0 ok\r\n");
  else {
    to.commands.push(line);
    say(verb === "DATA" ? "354 go\r\n" : "250 2.1.0 ok\r\n");
    return verb === "DATA";
  }
  return false;
}
