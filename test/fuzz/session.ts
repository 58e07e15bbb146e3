// Sessions of the SMTP server with clients that say anything: every answer is a whole reply in printable text, what is kept has no bare
// CR, LF or NUL and no end of data inside, nothing stays open at the end.

import { Guesses } from "../../src/smtpd/guesses.ts";
import { NO_DAEMON } from "../../src/smtpd/service.ts";
import { Session } from "../../src/smtpd/session.ts";
import { settingsOf } from "../../src/smtpd/settings.ts";
import type { Wire } from "../../src/smtpd/wire.ts";
import type { Clock } from "../../src/sys/clock.ts";
import { makeStage } from "../dialog/stage.ts";
import type { Chance } from "./chance.ts";

const WORDS = [
  ..."EHLO HELO MAIL RCPT DATA RSET NOOP QUIT VRFY EXPN ETRN HELP VERB AUTH STARTTLS BDAT GET POST TURN XCLIENT".split(
    " ",
  ),
  ...[
    "\r\n",
    "\n",
    "\r",
    "\0",
    ".\r\n",
    "\r\n.\r\n",
    "\n.\n",
    "\r\n.\n",
    "\r.\r",
    " ",
    ":",
    "<",
    ">",
    "@",
    "\t",
  ],
  ...["\x00\xff", "\u00e9", "FROM:", "TO:", "<a@c.test>", "<b@g.test>", "<unknown@g.test>", "<>"],
  ...[
    "SIZE=1e9",
    "SIZE=-1",
    "BODY=8BITMIME",
    "RET=FULL",
    "ENVID=+00",
    "AUTH=<>",
    "NOTIFY=NEVER",
    "ORCPT=rfc822;x",
  ],
  ...[
    "__proto__=1",
    "Received: x\r\n",
    "Subject: x\r\n",
    ": x\r\n",
    " folded\r\n",
    "x".repeat(1500),
    "..",
    "=\r\n",
  ],
  "AUTH PLAIN AGEAYg==\r\n",
  "EHLO c.test\r\nMAIL FROM:<a@c.test>\r\nRCPT TO:<b@g.test>\r\nDATA\r\n",
  "MAIL FROM:<a@c.test> SMTPUTF8\r\n",
  "A: b\r\n\r\nbody\r\n.\r\n",
];

const START =
  "EHLO c.test\r\nMAIL FROM:<a@c.test> SIZE=100 BODY=8BITMIME\r\nRCPT TO:<b@g.test> NOTIFY=NEVER\r\nDATA\r\nFrom: a@c.test\r\nSubject: t\r\n\r\nline\r\n..dot\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<b@g.test>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n";

/** Waiting takes no time; time passes all the same, so that deadlines can end what hangs. */
function quickClock(): Clock {
  let now = 0;
  return {
    monotonicMs: () => now++,
    wallMs: () => 1_700_000_000_000 + now,
    after(ms, fn) {
      let cancelled = false;
      // Short waits are delays, which pass; long ones are deadlines, which do not come.
      if (ms < 60_000)
        setImmediate(() => {
          if (!cancelled) fn();
        });
      return () => {
        cancelled = true;
      };
    },
  };
}

class Recorder implements Wire {
  text = "";
  closed = false;

  write(bytes: Buffer): void {
    this.text += bytes.toString("latin1");
  }
  backlog(): number {
    return 0;
  }
  pause(): void {}
  resume(): void {}
  close(): void {
    this.closed = true;
  }
  destroy(): void {
    this.closed = true;
  }
  async startTls(): Promise<{ failure: string }> {
    return { failure: "none" };
  }
}

const turn = (): Promise<void> => new Promise((done) => setImmediate(done));

function checkKept(header: string, body: string): void {
  const text = `${header}\r\n${body}`;
  if (/\0|\r(?!\n)|(?<!\r)\n/.test(text))
    throw new Error(`kept with a bare CR, LF or NUL: ${JSON.stringify(text)}`);
  if (/^\.\r$/m.test(body)) throw new Error(`an end in the middle: ${JSON.stringify(body)}`);
  for (const line of header.split("\r\n").slice(0, -1))
    if (line === "") throw new Error(`a header with an empty line: ${JSON.stringify(header)}`);
}

/** One client. */
export async function session(chance: Chance): Promise<void> {
  const clock = quickClock();
  const stage = makeStage({
    options: { MaxMessageSize: 5000, MaxRecipientsPerMessage: 5, MaxHeadersLength: 2000 },
    clock,
  });
  const wire = new Recorder();
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
  const { service } = stage;
  const made = new Session(
    service,
    settingsOf(service.config),
    { client, daemon: NO_DAEMON, encrypted: false, local: chance.next() < 0.2, guesses: new Guesses(clock) },
    wire,
  );
  made.open();
  const input = chance.mutate(Buffer.from(START), WORDS, chance.below(12));
  // Two ways to talk: whatever comes at once, or a line after each answer.
  const lines = input.toString("latin1").split(/(?<=\n)/);
  const parts = chance.next() < 0.6 ? lines.map((line) => Buffer.from(line, "latin1")) : chance.pieces(input);
  for (const part of parts.slice(0, 2000)) {
    if (wire.closed || made.closed) break;
    made.feed(part);
    for (let n = chance.below(4); n >= 0; n--) await turn();
  }
  for (let n = 0; n < 8; n++) await turn();
  made.dropped();
  for (let n = 0; n < 8; n++) await turn();
  for (const line of wire.text.split("\r\n").slice(0, -1))
    if (!/^[2-5]\d\d[ -][\x20-\x7e\x80-\xff]*$/.test(line))
      throw new Error(`not a reply line: ${JSON.stringify(line)}`);
  if (wire.text !== "" && !wire.text.endsWith("\r\n")) throw new Error("half a reply");
  for (const { envelope, header, body } of stage.intake.kept) {
    checkKept(header, body);
    for (const text of [envelope.sender, ...envelope.recipients.map((r) => `${r.address}${r.orcpt ?? ""}`)])
      if (/[\0-\x1f\x7f]/.test(text))
        throw new Error(`an address with control bytes: ${JSON.stringify(text)}`);
  }
  if (stage.intake.open_ !== 0) throw new Error(`${stage.intake.open_} drafts left open`);
}
