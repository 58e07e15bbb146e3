// Lines to the system's log as syslog(3) sends them: one datagram each to /dev/log with facility mail, the tag with our pid, and the
// line's own priority (RFC 3164). A syslogd that is started again is found again; one that does not read never makes us wait.

import { closeSync, writeSync } from "node:fs";
import { connectDatagram } from "./kernel.ts";
import { type LogLine, LogWriter, type Packet, type Priority, type Sink } from "./log.ts";
import { errorCode } from "./output.ts";

/** LOG_MAIL, shifted as in a message. */
const MAIL = 2 << 3;
const SEVERITY: Readonly<Record<Priority, number>> = {
  alert: 1,
  crit: 2,
  err: 3,
  warning: 4,
  notice: 5,
  info: 6,
  debug: 7,
};
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** `Dec  1 05:07:04`, local time. */
function stamp(date: Date): string {
  const two = (n: number): string => String(n).padStart(2, "0");
  const day = String(date.getDate()).padStart(2, " ");
  return `${MONTHS[date.getMonth()]} ${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

class Syslog implements Sink {
  readonly #path: string;
  readonly #tag: string;
  #fd: number | null = null;

  constructor(path: string, tag: string) {
    this.#path = path;
    this.#tag = `${tag}[${process.pid}]`;
  }

  /** True when somebody listens there. */
  open(): boolean {
    return this.#connect() === "";
  }

  #connect(): string {
    const connected = connectDatagram(this.#path);
    if (connected.ok) this.#fd = connected.value;
    return connected.ok ? "" : connected.error;
  }

  pack(lines: readonly LogLine[]): readonly Packet[] {
    const when = stamp(new Date());
    return lines.map(({ text, priority }) => ({
      bytes: Buffer.from(`<${MAIL | SEVERITY[priority]}>${when} ${this.#tag}: ${text}`),
      lines: 1,
    }));
  }

  take(bytes: Buffer): number | string {
    const fresh = this.#fd === null;
    if (this.#fd === null) {
      const refused = this.#connect();
      if (refused !== "" || this.#fd === null) return refused;
    }
    try {
      return writeSync(this.#fd, bytes);
    } catch (e) {
      const code = errorCode(e);
      if (code === "EAGAIN" || code === "ENOBUFS") return "EAGAIN";
      // No socket takes it, today or tomorrow.
      if (code === "EMSGSIZE") return bytes.length;
      closeSync(this.#fd);
      this.#fd = null;
      // A connection that was made just now is no remainder of an earlier syslogd.
      return fresh ? code : this.take(bytes);
    }
  }
}

/** The log behind the socket `path`; null when nobody listens there. */
export function syslogWriter(path: string, tag: string): LogWriter | null {
  const sink = new Syslog(path, tag);
  return sink.open() ? new LogWriter(sink) : null;
}
