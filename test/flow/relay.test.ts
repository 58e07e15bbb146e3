// One mail through the whole program: accepted, on flash, delivered where the mailertable says, refused where it must be,
// alive after every kind of end. Real process, real sockets, real files.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import { freePort, Gateway, Sink, send, until } from "./gateway.ts";

const sink = new Sink();
const gateway = new Gateway("relay");

function mc(port: number, more = ""): string {
  return `dnl what the book's examples have, with loopback addresses
include(\`/usr/share/sendmail-cf/m4/cf.m4')
VERSIONID(\`flow test')dnl
OSTYPE(\`linux')
define(\`confDOMAIN_NAME', \`mail.polkatistas.org')dnl
define(\`confTO_IDENT', \`0')dnl
FEATURE(\`access_db',\`hash -o -T<TMPF> /etc/mail/access.db')dnl
FEATURE(\`mailertable',\`hash -o /etc/mail/mailertable.db')dnl
FEATURE(\`use_cw_file')dnl
FEATURE(\`nocanonify')dnl
FEATURE(\`accept_unresolvable_domains')dnl
FEATURE(\`no_default_msa')dnl
DAEMON_OPTIONS(\`Name=MTA, Family=inet, Addr=127.0.0.1, Port=${port}')dnl
${more}MAILER(smtp)dnl
`;
}

before(async () => {
  await sink.start();
  gateway.port = await freePort();
  gateway.write({
    "sendmail.mc": mc(gateway.port),
    "local-host-names": "polkatistas.org\n",
    mailertable: `.\tsmtp:[127.0.0.1]:${sink.port}\n`,
    access: "To:example.net\tRELAY\nFrom:spammer@example.com\tREJECT\n",
  });
});
after(async () => {
  await gateway.remove();
  await sink.stop();
});
beforeEach(() => {
  sink.received.length = 0;
});

const MESSAGE =
  "From: joe@example.com\r\nTo: bob@example.net\r\nSubject: test\r\nDate: Sun, 22 Nov 2026 06:43:12 GMT\r\nMessage-Id: <1@example.com>\r\n\r\nline\r\n..dot\r\n\r\nend\r\n";

describe("the gateway", () => {
  it("relays a message to the host that the mailertable names, byte for byte under its Received line", async () => {
    await gateway.start();
    assert.match(
      await send(gateway.port, "joe@example.com", ["bob@example.net"], MESSAGE),
      /^250 2\.0\.0 \S{14} Message accepted for delivery$/,
    );
    const [got] = await until("delivery", 10, () => (sink.received.length > 0 ? sink.received : null));
    assert.match(got?.mail ?? "", /^MAIL From:<joe@example\.com> SIZE=\d+/);
    assert.deepEqual(got?.rcpt, ["RCPT To:<bob@example.net>"]);
    assert.match(
      got?.data ?? "",
      /^Received: from client\.test \(localhost \[127\.0\.0\.1\]\)\r\n\tby mail\.polkatistas\.org \(\S+\) with ESMTP id \S{14}\r\n\tfor <bob@example\.net>; /,
    );
    const sent = MESSAGE.replace("..dot", ".dot");
    for (const part of sent.split("\r\n\r\n")) assert.ok(got?.data.includes(part.trim()), `misses ${part}`);
    assert.ok(got?.data.endsWith("\r\n\r\nline\r\n.dot\r\n\r\nend\r\n"), got?.data);
  });

  it("refuses senders that the access table rejects and recipients that do not exist", async () => {
    assert.equal(
      await send(gateway.port, "spammer@example.com", ["bob@example.net"], MESSAGE),
      "550 5.7.1 <spammer@example.com>... Access denied",
    );
    assert.equal(
      await send(gateway.port, "joe@example.com", ["nobody-here@polkatistas.org"], MESSAGE),
      "550 5.1.1 <nobody-here@polkatistas.org>... User unknown",
    );
    assert.equal(sink.received.length, 0);
  });

  it("keeps what the next hop does not take, shows it in mailq, and delivers it when the hop is back", async () => {
    const port = sink.port;
    await sink.stop();
    assert.match(await send(gateway.port, "joe@example.com", ["bob@example.net"], MESSAGE), /^250 2\.0\.0/);
    const listing = await until("mailq", 10, async () => {
      const q = await gateway.run("mailq", gateway.options());
      return q.out.includes("Connection refused") ? q : null;
    });
    assert.match(
      listing.out,
      /^\t\t\S+ \(1 request\)\n-----Q-ID----- --Size-- -----Q-Time----- -{12}Sender\/Recipient-{11}\n\S{14}.\s+\d+ \w{3} \w{3} [ \d]\d \d\d:\d\d <joe@example\.com>\n {17}\(Deferred: Connection refused by \[127\.0\.0\.1\]\)\n\t{5} <bob@example\.net>\n\t\tTotal requests: 1\n$/,
    );
    await sink.start(port);
    const flushed = await gateway.run("sendmail", [...gateway.options(), "-q"]);
    assert.equal(flushed.status, 0, flushed.err);
    await until("delivery", 10, () => sink.received.length === 1);
    const empty = await gateway.run("mailq", gateway.options());
    assert.match(empty.out, / is empty\n\t\tTotal requests: 0\n$/);
  });

  it("loses nothing that it acknowledged when it is killed before delivery", async () => {
    const port = sink.port;
    await sink.stop();
    for (let i = 0; i < 5; i++)
      assert.match(
        await send(gateway.port, `joe${i}@example.com`, ["bob@example.net"], MESSAGE),
        /^250 2\.0\.0/,
      );
    await gateway.stop("SIGKILL");
    await sink.start(port);
    await gateway.start();
    await until("delivery of all five", 15, () => sink.received.length >= 5);
    assert.deepEqual(
      [...new Set(sink.received.map((r) => r.mail.split(" ")[1]))].sort(),
      [0, 1, 2, 3, 4].map((i) => `From:<joe${i}@example.com>`),
    );
  });

  it("takes mail from the command line, through the daemon and without it", async () => {
    const through = await gateway.run(
      "sendmail",
      [...gateway.options(), "-f", "amy@example.com", "bob@example.net"],
      "Subject: by hand\n\nhello\n.\nnot this\n",
    );
    assert.deepEqual([through.status, through.err], [0, ""]);
    const [first] = await until("delivery", 10, () => (sink.received.length > 0 ? sink.received : null));
    assert.match(first?.data ?? "", /\r\n\r\nhello\r\n$/);
    assert.equal(await gateway.stop(), 0);
    const alone = await gateway.run(
      "sendmail",
      [...gateway.options(), "-t", "-i", "-f", "amy@example.com"],
      "To: bob@example.net\nBcc: eve@example.net\nSubject: alone\n\n.\nstill this\n",
    );
    assert.equal(alone.status, 0, alone.err);
    await until("delivery", 10, () => sink.received.length === 2);
    assert.match(sink.received[1]?.data ?? "", /\r\n\r\n\.\r\nstill this\r\n$/);
    assert.doesNotMatch(sink.received[1]?.data ?? "", /Bcc/i);
    assert.equal(sink.received[1]?.rcpt.length, 2);
    await gateway.start();
  });

  it("refuses a bad configuration at reload and goes on with the old one", async () => {
    gateway.write({ "sendmail.mc": `${mc(gateway.port)}FEATURE(\`no_such_feature')dnl\n` });
    process.kill(gateway.pid, "SIGHUP");
    await until("the refusal in the log", 10, () => gateway.output.includes("the old one keeps running"));
    assert.match(gateway.output, /sendmail\.mc:\d+:\d+: .*no_such_feature/);
    assert.match(await send(gateway.port, "joe@example.com", ["bob@example.net"], MESSAGE), /^250 2\.0\.0/);
    await until("delivery", 10, () => sink.received.length === 1);
    gateway.write({ "sendmail.mc": mc(gateway.port) });
    process.kill(gateway.pid, "SIGHUP");
    await until("the reload in the log", 10, () =>
      gateway.output.includes("the new configuration is active"),
    );
  });

  it("says file, line and reason of a bad configuration at start, and ends with 78", async () => {
    gateway.write({ "sendmail.mc": `${mc(gateway.port)}MAILER(\`smpt')dnl\n` });
    const tried = await gateway.run("sendmail", [...gateway.options(), "-bD"]);
    assert.equal(tried.status, 78);
    assert.match(tried.err, /sendmail\.mc:\d+:\d+: .*smpt/);
    gateway.write({ "sendmail.mc": mc(gateway.port) });
  });

  it("goes into the background with -bd and returns when it serves", async () => {
    await gateway.stop();
    const started = await gateway.run("sendmail", [...gateway.options(), "-bd", "-q15m"]);
    assert.deepEqual([started.status, started.err], [0, ""]);
    assert.match(await send(gateway.port, "joe@example.com", ["bob@example.net"], MESSAGE), /^250 2\.0\.0/);
    const pid = Number(readFileSync(join(gateway.folder, "pid"), "utf8").split("\n")[0]);
    process.kill(pid, "SIGTERM");
    await until("the end", 15, () => !existsSync(`/proc/${pid}`));
  });

  it("answers 421 and why when the spool cannot be used", async () => {
    await gateway.stop();
    await gateway.start(["--spool-unusable", "no partition named spool"]);
    const reply = await send(gateway.port, "joe@example.com", ["bob@example.net"], MESSAGE);
    assert.equal(reply, "421 4.3.2 mail.polkatistas.org Service not available: no partition named spool");
    assert.equal(await gateway.stop(), 0);
  });
});
