// ST-08 (reliability 3.3): a random walk of a million commands with a fixed seed, in process, against a small model of the session.
// The server never throws, never answers twice or not at all, and its reply code is the one that the model expects.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Guesses } from "../../src/smtpd/guesses.ts";
import { NO_DAEMON } from "../../src/smtpd/service.ts";
import { Session } from "../../src/smtpd/session.ts";
import { settingsOf } from "../../src/smtpd/settings.ts";
import type { Wire } from "../../src/smtpd/wire.ts";
import type { Clock } from "../../src/sys/clock.ts";
import { makeStage } from "../dialog/stage.ts";

const COMMANDS = 1_000_000;
const SIZE_MAX = 2000;
const RCPT_MAX = 5;

/** Waiting takes no time here. */
const timeless: Clock = {
  monotonicMs: () => 0,
  wallMs: () => 0,
  after(_ms, fn) {
    let cancelled = false;
    queueMicrotask(() => {
      if (!cancelled) fn();
    });
    return () => {
      cancelled = true;
    };
  },
};

class Recorder implements Wire {
  text = "";
  closed = false;
  #wake: () => void = () => {};

  write(bytes: Buffer): void {
    this.text += bytes.toString("latin1");
    this.#wake();
  }
  backlog(): number {
    return 0;
  }
  pause(): void {}
  resume(): void {}
  close(): void {
    this.closed = true;
    this.#wake();
  }
  destroy(): void {
    this.close();
  }
  async startTls(): Promise<{ failure: string }> {
    return { failure: "none" };
  }

  /** One whole reply: everything is on its way when the last line has no dash. */
  async reply(): Promise<string> {
    while (!/(?:^|\n)\d{3} [^\n]*\n$/.test(this.text) && !this.closed)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    const text = this.text;
    this.text = "";
    return text;
  }
}

/** The model: ten facts about a session. */
class Model {
  greeted = false;
  mail = false;
  rcpts = 0;
  over = false;
  bad = 0;
  first = true;
  counts = { noop: 0, helo: 0, verify: 0, etrn: 0 };
}

interface Step {
  readonly bytes: string;
  /** The expected code, after changing the model. */
  expect(model: Model): string;
}

function slow(m: Model, name: keyof Model["counts"], max: number, code: string): string {
  if (++m.counts[name] < Math.max(2 * max, 50)) return code;
  m.over = true;
  return "421";
}

function hello(m: Model, code: string): string {
  const answer = slow(m, "helo", 3, code);
  if (answer === "250") {
    m.greeted = true;
    m.mail = false;
    m.rcpts = 0;
  }
  return answer;
}

function senseless(m: Model): string {
  if (++m.bad <= 25) return "500";
  m.over = true;
  return "421";
}

function rset(m: Model): string {
  m.mail = false;
  m.rcpts = 0;
  return "250";
}

function quit(m: Model): string {
  m.over = true;
  return "221";
}

const STEPS: readonly Step[] = [
  { bytes: "EHLO c.test", expect: (m) => hello(m, "250") },
  { bytes: "helo c.test", expect: (m) => hello(m, "250") },
  { bytes: "EHLO", expect: (m) => hello(m, "501") },
  { bytes: "EHLO a b", expect: (m) => hello(m, "501") },
  { bytes: "MAIL FROM:<a@c.test>", expect: (m) => mail(m, "250") },
  { bytes: "mail from: a@c.test SIZE=100 BODY=8BITMIME", expect: (m) => mail(m, "250") },
  { bytes: "MAIL FROM:<>", expect: (m) => mail(m, "250") },
  { bytes: "MAIL FROM:<a@c.test> SIZE=99999", expect: (m) => mail(m, "552") },
  { bytes: "MAIL FROM:<a@c.test> FOO=1", expect: (m) => mail(m, "555") },
  { bytes: "MAIL FROM:<a@c.test> __proto__=1", expect: (m) => mail(m, "555") },
  { bytes: "MAIL FROM:<a", expect: (m) => mail(m, "553") },
  { bytes: "MAIL TO:<a@c.test>", expect: (m) => mail(m, "501") },
  { bytes: "RCPT TO:<b@g.test>", expect: (m) => rcpt(m, "250") },
  { bytes: "RCPT TO:<b@g.test> NOTIFY=NEVER ORCPT=rfc822;b", expect: (m) => rcpt(m, "250") },
  { bytes: "RCPT TO:<unknown@g.test>", expect: (m) => rcpt(m, "550") },
  { bytes: "RCPT TO:<b@g.test> NOTIFY=X", expect: (m) => rcpt(m, "501") },
  { bytes: "RCPT FROM:<b@g.test>", expect: (m) => rcpt(m, "501") },
  { bytes: "DATA", expect: (m) => (!m.mail || m.rcpts === 0 ? "503" : "354") },
  { bytes: "RSET", expect: rset },
  { bytes: "NOOP", expect: (m) => slow(m, "noop", 20, "250") },
  { bytes: "VRFY mick", expect: (m) => slow(m, "verify", 6, "250") },
  { bytes: "EXPN nobody", expect: (m) => slow(m, "verify", 6, "550") },
  { bytes: "ETRN", expect: () => "500" },
  { bytes: "ETRN host.test", expect: (m) => slow(m, "etrn", 8, "250") },
  { bytes: "HELP", expect: () => "214" },
  { bytes: "HELP x", expect: () => "504" },
  { bytes: "VERB", expect: (m) => slow(m, "noop", 20, "250") },
  { bytes: "AUTH PLAIN", expect: () => "503" },
  { bytes: "STARTTLS", expect: () => "454" },
  { bytes: "TURN", expect: () => "502" },
  { bytes: "BDAT 5", expect: senseless },
  { bytes: "", expect: senseless },
  { bytes: "\u00e9\u00ff \u0001", expect: senseless },
  { bytes: "QUIT", expect: quit },
];

function mail(m: Model, code: string): string {
  if (m.mail) return "503";
  m.mail = code === "250";
  return code;
}

function rcpt(m: Model, code: string): string {
  if (!m.mail) return "503";
  if (m.rcpts >= RCPT_MAX) return "452";
  if (code === "250") m.rcpts++;
  return code;
}

/** Messages, with the code of the final dot. */
const MESSAGES: readonly (readonly [string, string])[] = [
  ["A: b\r\n\r\nbody\r\n.\r\n", "250"],
  [".\r\n", "250"],
  [`A: b\r\n\r\n${"x".repeat(SIZE_MAX)}\r\n.\r\n`, "552"],
  ["A: b\r\n\r\n\0\r\n.\r\n", "554"],
  [`${"Received: x\r\n".repeat(25)}\r\n.\r\n`, "554"],
  ["A: b\r\n\r\nbare\n.\r\n", "421"],
];

describe("ST-08", () => {
  it(`${COMMANDS} random commands: the server and the model agree on every reply`, async () => {
    const stage = makeStage({
      options: { MaxMessageSize: SIZE_MAX, MaxRecipientsPerMessage: RCPT_MAX },
      clock: timeless,
    });
    const settings = settingsOf(stage.service.config);
    let seed = 20261122;
    const next = (n: number): number => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return (seed >>> 8) % n;
    };
    const client = {
      address: "192.0.2.1",
      name: "client.test",
      resolve: "ok",
      helo: "",
      daemon: "MTA",
      modifiers: "",
      localAddress: "",
      localPort: 25,
    } as const;
    let sessions = 0;
    let messages = 0;
    for (let done = 0; done < COMMANDS; ) {
      sessions++;
      const wire = new Recorder();
      const session = new Session(
        stage.service,
        settings,
        { client, daemon: NO_DAEMON, encrypted: false, local: false, guesses: new Guesses(timeless) },
        wire,
      );
      session.open();
      const model = new Model();
      const history: string[] = [];
      while (!model.over && done < COMMANDS) {
        done++;
        const step = STEPS[next(STEPS.length)];
        assert.ok(step !== undefined);
        // QUIT would end most sessions before they get anywhere.
        if (step.bytes === "QUIT" && next(10) > 0) continue;
        const wanted = step.expect(model);
        history.push(step.bytes);
        session.feed(Buffer.from(`${step.bytes}\r\n`, "latin1"));
        const answer = await wire.reply();
        if (answer.slice(0, 3) !== wanted)
          assert.fail(`${JSON.stringify(history.slice(-12))}: wanted ${wanted}, got ${answer}`);
        if (wanted === "354") {
          const [bytes, code] = MESSAGES[next(MESSAGES.length)] ?? ["", ""];
          messages++;
          model.mail = false;
          model.rcpts = 0;
          const input = Buffer.from(bytes, "latin1");
          const cut = next(input.length);
          if (cut > 0) session.feed(input.subarray(0, cut));
          if (!session.closed) session.feed(input.subarray(cut));
          const final = await wire.reply();
          if (final.slice(0, 3) !== code)
            assert.fail(`${JSON.stringify(bytes)}: wanted ${code}, got ${final}`);
          if (code === "421") model.over = true;
        }
        if (model.over) assert.ok(wire.closed, "the session has ended");
      }
      session.dropped();
    }
    assert.ok(sessions > 1000 && messages > 4000, `${sessions} sessions, ${messages} messages`);
    assert.equal(stage.intake.open_, 0, "no draft was left open");
  });
});
