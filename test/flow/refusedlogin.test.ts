// A next hop that refuses our credentials: mail waits instead of coming back, it is said once, the postmaster is told by another way, and
// what has waited goes out with other credentials.

import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { after, before, describe, it } from "node:test";
import { freePort, Gateway, LoopbackServer, relayMc, Sink, send, until } from "./gateway.ts";

/** A smart host that wants a password. */
class SmartHost extends LoopbackServer {
  /** What the wrong password, and MAIL without the right one, are answered. */
  auth = "535 5.7.8 no";
  mail = "530 5.7.0 Authentication required";
  offersAuth = true;
  guesses = 0;
  readonly mails: string[] = [];

  protected override serve(socket: Socket): void {
    let text = "";
    let known = false;
    let inData = false;
    socket.write("220 smart.example ESMTP\r\n");
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      for (let nl = text.indexOf("\r\n"); nl >= 0; nl = text.indexOf("\r\n")) {
        const line = text.slice(0, nl);
        text = text.slice(nl + 2);
        const verb = line.slice(0, 4).toUpperCase();
        if (inData) {
          if (line !== ".") continue;
          inData = false;
          socket.write("250 2.0.0 kept\r\n");
        } else if (verb === "EHLO")
          socket.write(`250-smart.example\r\n${this.offersAuth ? "250-AUTH PLAIN\r\n" : ""}250 SIZE\r\n`);
        else if (verb === "AUTH") {
          known = Buffer.from(line.split(" ")[2] ?? "", "base64")
            .toString()
            .endsWith("\0right");
          if (!known) this.guesses++;
          socket.write(known ? "235 2.7.0 ok\r\n" : `${this.auth}\r\n`);
        } else if (verb === "MAIL") {
          if (known) this.mails.push(line);
          socket.write(known ? "250 2.1.0 ok\r\n" : `${this.mail}\r\n`);
        } else if (verb === "RCPT") socket.write(known ? "250 2.1.5 ok\r\n" : "503 5.5.1 MAIL first\r\n");
        else if (verb === "DATA") {
          inData = known;
          socket.write(known ? "354 go\r\n" : "503 5.5.1 MAIL first\r\n");
        } else if (verb === "QUIT") socket.end("221 bye\r\n");
        else socket.write("250 ok\r\n");
      }
    });
  }
}

const smart = new SmartHost();
const elsewhere = new Sink();
const gateway = new Gateway("refusedlogin");
const MESSAGE = "Subject: x\r\n\r\nx\r\n";

const access = (password: string, postmaster = "boss@elsewhere.test"): void =>
  gateway.write({
    access: `Connect:127.0.0.1\tRELAY\nAuthInfo:127.0.0.1\t"U:joe" "P:${password}" "M:PLAIN"\n`,
    aliases: `postmaster: ${postmaster}\n`,
  });

before(async () => {
  await smart.start();
  await elsewhere.start();
  gateway.port = await freePort();
  gateway.write({
    "sendmail.mc": relayMc(
      gateway.port,
      "define(`confAUTH_OPTIONS', `A')dnl\ndefine(`ALIAS_FILE', `/etc/mail/aliases')dnl\ndefine(`confMIN_QUEUE_AGE', `0')dnl\n",
    ).replace("MAILER(`smtp')", "MAILER(`local')dnl\nMAILER(`smtp')"),
    mailertable: `elsewhere.test\tsmtp:[127.0.0.1]:${elsewhere.port}\n.\tsmtp:[127.0.0.1]:${smart.port}\n`,
  });
  access("wrong");
  await gateway.start();
});
after(async () => {
  await gateway.remove();
  await smart.stop();
  await elsewhere.stop();
});

/** The gateway takes its files anew; its output begins with that. */
async function reload(): Promise<void> {
  gateway.output = "";
  process.kill(gateway.pid, "SIGHUP");
  await until("the reload", 10, () => gateway.output.includes("the new configuration is active"));
}

async function configured(password: string, postmaster?: string): Promise<void> {
  access(password, postmaster);
  await reload();
}

async function accepted(count: number): Promise<void> {
  for (let i = 0; i < count; i++)
    assert.match(await send(gateway.port, "a@b.example", [`c${i}@d.example`], MESSAGE), /^250 2\.0\.0/);
}

const queued = async (): Promise<number> =>
  Number(/Total requests: (\d+)/.exec((await gateway.run("mailq", gateway.options())).out)?.[1] ?? -1);

/** The table: what is answered to AUTH, or (AUTH not offered) to MAIL. */
const REFUSALS: readonly (readonly [where: "AUTH" | "MAIL", answer: string])[] = [
  ["AUTH", "535 5.7.8 Authentication credentials invalid"],
  ["AUTH", "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant"],
  ["AUTH", "535 authentication failed"],
  ["AUTH", "534 5.7.9 Please log in with your web browser"],
  ["AUTH", "538 5.7.11 Encryption required for requested authentication mechanism"],
  ["AUTH", "432 4.7.12 A password transition is needed"],
  ["AUTH", "454 4.7.0 Temporary authentication failure"],
  ["AUTH", "550 5.7.30 Basic authentication is not supported for Client Submission."],
  ["MAIL", "530 5.7.57 Client not authenticated to send mail."],
  ["MAIL", "530 Authentication required"],
  ["MAIL", "550 5.7.30 Basic authentication is not supported for Client Submission."],
  ["MAIL", "550 5.7.1 You must log in before you send"],
  ["MAIL", "535-5.7.8 Sign in\r\n535 5.7.8 first"],
];

describe("credentials that a next hop refuses", () => {
  for (const [nth, [where, answer]] of REFUSALS.entries()) {
    it(`${where} ${answer.slice(0, 12)}: mail waits, is told of once, and goes out with other credentials`, async () => {
      smart.auth = where === "AUTH" ? answer : "535 5.7.8 no";
      smart.mail = where === "MAIL" ? answer : "530 5.7.0 Authentication required";
      smart.offersAuth = where === "AUTH";
      smart.mails.length = 0;
      smart.guesses = 0;
      elsewhere.received.length = 0;
      await configured("wrong");
      await accepted(4);
      // Each queue run and each message would be a guess.
      await gateway.run("sendmail", [...gateway.options(), "-q"]);
      const told = await until("the postmaster is told", 10, () => elsewhere.received[0]);
      assert.equal(elsewhere.received.length, 1);
      assert.match(told.data, /^Subject: Mail waits: \[127\.0\.0\.1\] refuses our credentials\r$/m);
      assert.ok(
        told.data.includes(`<<< ${answer.slice(0, 3)} ${answer.slice(4, 16).split("\r")[0]}`),
        told.data,
      );
      assert.match(told.data, /^Auto-Submitted: auto-generated/m);
      assert.doesNotMatch(told.data, /wrong/);
      assert.equal(/takes no passwords any more/.test(told.data), answer.includes("5.7.30"));
      assert.equal(gateway.output.match(/all mail for \S+ waits/g)?.length, 1, gateway.output);
      assert.match(gateway.output, /AUTH=client, relay=\S+ \[127\.0\.0\.1\], user=joe, refused: /);
      assert.equal(await queued(), 4);
      assert.equal(smart.mails.length, 0);
      assert.ok(smart.guesses <= 4, `${smart.guesses} guesses`);
      assert.doesNotMatch(gateway.output, /DSN:|stat=Service unavailable/);

      smart.offersAuth = true;
      // Half of them by a reload, half by the table alone.
      if (nth % 2 === 0) await configured("right");
      else access("right");
      await until("what has waited goes out", 15, () => smart.mails.length >= 4);
      await until("the queue is empty", 10, async () => (await queued()) <= 0);
      assert.equal(elsewhere.received.length, 1, "nobody else is told");
    });
  }

  it("the notice itself waits when the postmaster lives behind that hop, and nothing bounces around", async () => {
    smart.auth = "535 5.7.8 no";
    smart.offersAuth = true;
    smart.mails.length = 0;
    elsewhere.received.length = 0;
    await configured("wrong", "boss@behind.test");
    await accepted(2);
    await until("the notice waits too", 10, async () => (await queued()) === 3);
    await gateway.run("sendmail", [...gateway.options(), "-q"]);
    assert.equal(await queued(), 3);
    assert.equal(elsewhere.received.length, 0);
    access("right", "boss@behind.test");
    await until("all three go out", 15, () => smart.mails.length === 3);
  });

  it("a refusal of one sender by a hop that knows us is no refusal of the credentials", async () => {
    smart.offersAuth = true;
    smart.mail = "unused";
    await configured("right");
    const before = smart.mails.length;
    await accepted(1);
    await until("it goes out", 10, () => smart.mails.length > before);
    assert.doesNotMatch(gateway.output, /waits until/);
  });

  it("without credentials for the hop 530 is a refusal like any other", async () => {
    smart.offersAuth = false;
    smart.mail = "530 5.7.0 Authentication required";
    gateway.write({ access: "Connect:127.0.0.1\tRELAY\n" });
    await reload();
    await accepted(1);
    await until("it is returned", 10, () => /dsn=5\.7\.0/.test(gateway.output));
  });
});
