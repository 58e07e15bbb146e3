// Driver of the cases that are SMTP sessions: the server's own code on an in-process stream, with the policy and routes of the case's
// site, and an intake that keeps nothing. Commands go one after the other, each after the complete previous reply.

import { duplexPair } from "node:stream";
import { makePolicy, makeRates } from "../../src/policy/gate.ts";
import { makeRoutes } from "../../src/route/service.ts";
import { makeSmtpd } from "../../src/smtpd/server.ts";
import { NO_DAEMON, type Service } from "../../src/smtpd/service.ts";
import type { Intake } from "../../src/spool/intake.ts";
import { systemClock } from "../../src/sys/clock.ts";
import { silentLog } from "../../src/sys/log.ts";
import type { SessionCase } from "./cases.ts";
import { HOST_NAME, type Opened } from "./site.ts";

/** Takes every message and forgets it. */
function forgetful(): Intake {
  return {
    admit: () => null,
    open: () => ({
      id: "QUEUEID",
      write: () => undefined,
      commit: async () => ({ kind: "accepted", id: "QUEUEID", how: "discarded" }),
      abort: () => {},
    }),
  };
}

/** The server of a case; its version is the one that the records show. */
export function serviceOf(opened: Opened, intake: Intake = forgetful()): Service {
  const { site, config, resolver } = opened;
  return {
    config,
    hostName: HOST_NAME,
    version: "8.17.1.9",
    policy: makePolicy(site, makeRates(site, systemClock)),
    intake,
    routes: makeRoutes(site),
    resolver,
    clock: systemClock,
    log: silentLog,
    tls: null,
    auth: null,
    etrn: () => true,
  };
}

/** A client's side of a session: one reply at a time. */
export class Caller {
  readonly #stream;
  #text = "";
  #ended = false;
  #wake: () => void = () => {};

  constructor(opened: Opened, client: string, intake?: Intake) {
    const [ours, theirs] = duplexPair();
    this.#stream = ours;
    ours.on("data", (chunk: Buffer) => {
      this.#text += chunk.toString("latin1");
      this.#wake();
    });
    const end = (): void => {
      this.#ended = true;
      this.#wake();
    };
    ours.on("end", end);
    ours.on("close", end);
    const daemon = opened.config.daemons[0] ?? { ...NO_DAEMON, name: "MTA" };
    void makeSmtpd(serviceOf(opened, intake)).serve(
      theirs,
      { address: client, localAddress: "127.0.0.2", localPort: 25, localUser: "" },
      daemon,
    );
  }

  /** Lines of the next reply; ["EOF"] when there is none. */
  async reply(): Promise<string[]> {
    const lines: string[] = [];
    for (;;) {
      let end = this.#text.indexOf("\r\n");
      while (end < 0) {
        if (this.#ended) return lines.length > 0 ? lines : ["EOF"];
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        end = this.#text.indexOf("\r\n");
      }
      const line = this.#text.slice(0, end);
      this.#text = this.#text.slice(end + 2);
      lines.push(line);
      if (line[3] !== "-") return lines;
    }
  }

  say(command: string): Promise<string[]> {
    if (!this.#ended) this.#stream.write(Buffer.from(`${command}\r\n`, "latin1"));
    return this.reply();
  }

  leave(): void {
    this.#stream.destroy();
  }
}

/** The date of a greeting differs at every run. */
function withoutDate(line: string): string {
  return line.replace(/; [A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d .*$/, "; DATE");
}

export async function session(opened: Opened, c: SessionCase): Promise<SessionCase["expect"]> {
  const caller = new Caller(opened, c.client);
  const transcript: [string, string[]][] = [["<connect>", (await caller.reply()).map(withoutDate)]];
  for (const command of c.commands) transcript.push([command, await caller.say(command)]);
  caller.leave();
  return { transcript };
}
