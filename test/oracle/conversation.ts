// Driver of session cases: the SMTP server's own code over an in-memory stream, with the policy, routes and resolver of the case.

import { duplexPair } from "node:stream";
import { makeRoutes } from "../../src/daemon/router.ts";
import { makePolicy, makeRates } from "../../src/policy/gate.ts";
import { makeSmtpd } from "../../src/smtpd/server.ts";
import type { Service } from "../../src/smtpd/service.ts";
import type { Intake } from "../../src/spool/intake.ts";
import { systemClock } from "../../src/sys/clock.ts";
import { silentLog } from "../../src/sys/log.ts";
import type { SessionCase } from "./cases.ts";
import type { Opened } from "./site.ts";

/** A reply, or the end of a connection, has to come within this time. */
const REPLY_MS_MAX = 20_000;

/** Takes every message and forgets it. */
export const forgetful: Intake = {
  admit: () => null,
  newId: () => "Q0000000000000",
  open: () => ({
    id: "0000000000A000",
    write: () => undefined,
    commit: async () => ({ kind: "accepted", id: "0000000000A000", how: "spooled" }),
    abort: () => undefined,
  }),
};

/** The version that the record shows in place of ours. */
export const VERSION = "8.17.1.9";

export function serviceOf(opened: Opened, intake: Intake): Service {
  const { site, config, resolver } = opened;
  return {
    config,
    hostName: site.j,
    version: VERSION,
    policy: makePolicy(site, makeRates(site, systemClock)),
    intake,
    routes: makeRoutes(() => site),
    resolver,
    clock: systemClock,
    log: silentLog,
    tls: null,
    auth: null,
    etrn: (host) => !host.startsWith("#"),
  };
}

/** The client's side of a conversation: sends a command when the reply before it is complete. */
export class Talk {
  readonly #stream: ReturnType<typeof duplexPair>[0];
  #buffer = "";
  #ended = false;
  #wake: () => void = () => undefined;

  constructor(opened: Opened, intake: Intake, address: string) {
    const [ours, theirs] = duplexPair();
    this.#stream = ours;
    ours.on("data", (chunk: Buffer) => {
      this.#buffer += chunk.toString("latin1");
      this.#wake();
    });
    const end = () => {
      this.#ended = true;
      this.#wake();
    };
    ours.on("end", end);
    ours.on("close", end);
    ours.on("error", end);
    const smtpd = makeSmtpd(serviceOf(opened, intake));
    const daemon = opened.config.daemons[0];
    const origin = { address, localAddress: "127.0.0.2", localPort: 25, localUser: "" };
    void smtpd.serve(theirs, origin, daemon).then(end);
  }

  send(text: string): void {
    if (!this.#ended) this.#stream.write(Buffer.from(text, "latin1"));
  }

  /** The lines of one reply; ["EOF"] when the connection is over. */
  async reply(): Promise<string[]> {
    const deadline = Date.now() + REPLY_MS_MAX;
    for (;;) {
      const lines = this.#takeReply();
      if (lines !== null) return lines;
      if (this.#ended) return ["EOF"];
      if (Date.now() > deadline) throw new Error(`no reply; so far: ${JSON.stringify(this.#buffer)}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 1000);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  #takeReply(): string[] | null {
    const lines: string[] = [];
    for (let at = 0; ; ) {
      const end = this.#buffer.indexOf("\r\n", at);
      if (end < 0) return null;
      const line = this.#buffer.slice(at, end);
      lines.push(line);
      at = end + 2;
      if (line[3] === "-") continue;
      this.#buffer = this.#buffer.slice(at);
      return lines;
    }
  }

  close(): void {
    this.#stream.destroy();
  }
}

/** What varies: queue ids of accepted messages and dates. */
function steady(line: string): string {
  return line
    .replace(/^(250 2\.0\.0) \S{14} (Message accepted)/, "$1 QUEUEID $2")
    .replace(/\w{3}, \d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d .*$/, "DATE");
}

export async function session(opened: Opened, c: SessionCase): Promise<SessionCase["expect"]> {
  const talk = new Talk(opened, forgetful, c.client);
  try {
    const transcript: [string, string[]][] = [["<connect>", (await talk.reply()).map(steady)]];
    for (const command of c.commands) {
      talk.send(`${command}\r\n`);
      transcript.push([command, (await talk.reply()).map(steady)]);
    }
    return { transcript };
  } finally {
    talk.close();
  }
}
