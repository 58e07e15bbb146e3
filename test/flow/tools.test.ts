// The tools of the queue's keeper over a running gateway: what they print, what they change, and what a trace says against what is
// then delivered. Column forms are Sendmail's (recorded from 8.17).

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { freePort, Gateway, Sink, send, until } from "./gateway.ts";

const sink = new Sink();
const gateway = new Gateway("tools");

function mc(port: number): string {
  return `OSTYPE(\`linux')
define(\`confDOMAIN_NAME', \`mail.polkatistas.org')dnl
FEATURE(\`access_db',\`hash -o -T<TMPF> /etc/mail/access.db')dnl
FEATURE(\`mailertable',\`hash -o /etc/mail/mailertable.db')dnl
FEATURE(\`genericstable',\`hash -o /etc/mail/genericstable.db')dnl
GENERICS_DOMAIN(\`polkatistas.org')dnl
FEATURE(\`masquerade_envelope')dnl
FEATURE(\`use_cw_file')dnl
FEATURE(\`nocanonify')dnl
FEATURE(\`accept_unresolvable_domains')dnl
FEATURE(\`no_default_msa')dnl
define(\`ALIAS_FILE', \`/etc/mail/aliases')dnl
DAEMON_OPTIONS(\`Name=MTA, Family=inet, Addr=127.0.0.1, Port=${port}')dnl
MAILER(\`local')dnl
MAILER(\`smtp')dnl
`;
}

before(async () => {
  await sink.start();
  gateway.port = await freePort();
  gateway.write({
    "sendmail.mc": mc(gateway.port),
    "local-host-names": "polkatistas.org\n",
    aliases: "list: bob@example.net, carol@example.net\npostmaster: bob@example.net\n",
    genericstable: "mick\tMick.Bauer@example.com\n",
    mailertable: `# where everything goes\n.\tsmtp:[127.0.0.1]:${sink.port}\n`,
    access:
      "To:example.net\tRELAY\nFrom:spammer@example.com\tREJECT\nFrom:held@example.com\tQUARANTINE:looks odd\n",
  });
  await gateway.start();
});
after(async () => {
  await gateway.remove();
  await sink.stop();
});

const MESSAGE = "From: joe@example.com\r\nTo: bob@example.net\r\nSubject: test\r\n\r\nline\r\n";

const idOf = (reply: string): string => /2\.0\.0 (\S{14}) /.exec(reply)?.[1] ?? "";

async function json(applet: string, args: readonly string[]): Promise<unknown> {
  const ran = await gateway.run(applet, [...args, ...gateway.options(), "--json"]);
  assert.equal(ran.err, "");
  return JSON.parse(ran.out);
}

interface Report {
  readonly accepted: boolean;
  readonly deliveries: readonly {
    readonly hops: readonly { readonly commands: readonly string[]; readonly data: string }[];
  }[];
  readonly stages: readonly {
    readonly stage: string;
    readonly answer: string;
    readonly findings: readonly { readonly rule: string; readonly key: string; readonly place: string }[];
  }[];
}

describe("postern trace", () => {
  it("names the entry of the table that decided, with its file and line", async () => {
    const ran = await gateway.run("trace", [
      ...gateway.options(),
      "127.0.0.1",
      "joe@example.com",
      "bob@example.net",
    ]);
    assert.equal(ran.status, 0, ran.err);
    assert.match(ran.out, /mailertable \. -> smtp:\[127\.0\.0\.1\]:\d+ {3}\(\S+\/mailertable:2\)/);
    const refused = await gateway.run("trace", [
      ...gateway.options(),
      "127.0.0.1",
      "spammer@example.com",
      "bob@example.net",
    ]);
    assert.equal(refused.status, 69);
    assert.match(refused.out, /access From:spammer@example\.com -> REJECT {3}\(\S+\/access:2\)/);
    assert.match(refused.out, /=> 550 5\.7\.1 <spammer@example\.com>\.\.\. Access denied/);
  });

  it("says the envelope that the next hop then gets, and connects to nothing itself", async () => {
    for (const [from, to] of [
      ["joe@example.com", "bob@example.net"],
      ["mick@polkatistas.org", "bob+x@sub.example.net"],
      ["", "carol@example.net"],
      ["joe@example.com", "list@polkatistas.org"],
    ] as const) {
      sink.received.length = 0;
      // The report is this program's own (daemon/tracing.ts).
      const report = (await json("trace", ["127.0.0.1", `<${from}>`, to])) as Report;
      assert.equal(sink.received.length, 0);
      assert.equal(report.accepted, true);
      assert.match(await send(gateway.port, from, [to], MESSAGE), /^250 2\.0\.0/);
      await until(
        "delivery",
        10,
        () => sink.received.flatMap((r) => r.rcpt).length >= report.deliveries.length,
      );
      const commands = report.deliveries.flatMap((d) => d.hops[0]?.commands ?? []);
      const told = (verb: string): string[] =>
        [
          ...new Set(commands.filter((c) => c.startsWith(verb)).map((c) => c.replace(/ SIZE=\d+/, ""))),
        ].sort();
      assert.deepEqual(
        told("MAIL"),
        [...new Set(sink.received.map((r) => r.mail.replace(/ SIZE=\d+/, "")))].sort(),
      );
      assert.deepEqual(told("RCPT"), sink.received.flatMap((r) => r.rcpt).sort());
    }
  });

  it("says the refusal that the client then gets", async () => {
    for (const [from, to] of [
      ["spammer@example.com", "bob@example.net"],
      ["joe@example.com", "nobody-here@polkatistas.org"],
      ["joe@example.com", "a@b@c"],
    ] as const) {
      // The report is this program's own (daemon/tracing.ts).
      const ran = await gateway.run("trace", [...gateway.options(), "--json", "127.0.0.1", from, to]);
      const report = JSON.parse(ran.out) as Report;
      assert.equal(report.accepted, false);
      assert.equal(
        report.stages.filter((s) => s.stage !== "route").at(-1)?.answer,
        await send(gateway.port, from, [to], MESSAGE),
      );
    }
  });

  it("tells the life of a delivered message", async () => {
    const id = idOf(await send(gateway.port, "joe@example.com", ["bob@example.net"], MESSAGE));
    const told = await until("its delivery", 10, async () => {
      const ran = await gateway.run("trace", [...gateway.options(), "message", id]);
      return ran.out.includes("bob") ? ran : null;
    });
    assert.match(
      told.out,
      new RegExp(`^\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d  ${id}  accepted  smtp|esmtp`),
    );
    assert.match(told.out, /(delivered|relayed) <bob@example\.net> {2}smtp 2\.0\.0 {2}Sent/);
    const unknown = await gateway.run("trace", [...gateway.options(), "message", "NOSUCHID000000"]);
    assert.equal(unknown.status, 67);
  });
});

describe("postern spool", () => {
  it("holds, shows, releases and deletes exactly the messages that are named", async () => {
    const port = sink.port;
    await sink.stop();
    const ids: string[] = [];
    for (const who of ["a", "b", "c"])
      ids.push(idOf(await send(gateway.port, `${who}@example.com`, ["bob@example.net"], MESSAGE)));
    const [a = "", b = "", c = ""] = ids;
    await until(
      "all deferred",
      10,
      async () =>
        (await gateway.run("mailq", gateway.options())).out.split("Connection refused").length === 4,
    );
    const o = gateway.options();
    assert.equal((await gateway.run("spool", [...o, "hold", a, "-Qwhy not"])).out, "1 message\n");
    assert.doesNotMatch((await gateway.run("mailq", o)).out, new RegExp(a));
    assert.match((await gateway.run("mailq", [...o, "-qQ"])).out, /QUARANTINE: why not/);
    const all = (await json("spool", ["list"])) as readonly { id: string; hold: string }[];
    assert.deepEqual(new Set(all.map((e) => e.id)), new Set(ids));
    assert.match((await gateway.run("spool", [...o, "show", a])).out, /^held {6}why not$/m);
    assert.equal((await gateway.run("spool", [...o, "delete", a, c])).out, "2 messages\n");
    const left = (await json("spool", ["list"])) as readonly { id: string }[];
    assert.deepEqual(
      left.map((e) => e.id),
      [b],
    );
    const gone = await gateway.run("spool", [...o, "delete", a]);
    assert.deepEqual([gone.status, gone.err], [67, `${a}: no such message\n`]);
    assert.equal((await gateway.run("spool", [...o, "delete"])).status, 64);
    assert.equal((await gateway.run("spool", [...o, "hold", b])).status, 0);
    assert.equal((await gateway.run("spool", [...o, "release", b])).out, "1 message\n");
    sink.received.length = 0;
    await sink.start(port);
    assert.equal((await gateway.run("spool", [...o, "flush", b])).out, "1 message\n");
    await until("delivery", 10, () => sink.received.length === 1);
    assert.match(sink.received[0]?.mail ?? "", /b@example\.com/);
  });

  it("keeps what the access table quarantines until it is released", async () => {
    const id = idOf(await send(gateway.port, "held@example.com", ["bob@example.net"], MESSAGE));
    const shown = (await json("spool", ["show", id])) as readonly { entry: { hold: string } }[];
    assert.equal(shown[0]?.entry.hold, "looks odd");
    sink.received.length = 0;
    await gateway.run("spool", [...gateway.options(), "release", id]);
    await gateway.run("sendmail", [...gateway.options(), "-q"]);
    await until("delivery", 10, () => sink.received.length === 1);
  });

  it("suspends deliveries, also over a restart, until they are resumed", async () => {
    const o = gateway.options();
    assert.equal((await gateway.run("spool", [...o, "suspend"])).out, "suspended: delivery\n");
    sink.received.length = 0;
    assert.match(await send(gateway.port, "s@example.com", ["bob@example.net"], MESSAGE), /^250/);
    await gateway.stop();
    await gateway.start();
    assert.match(
      (await gateway.run("spool", [...o, "verify"])).out,
      /^1 messages, 0 held, 0 being delivered\n[\s\S]*suspended: delivery\nno damaged records\n$/,
    );
    assert.equal(sink.received.length, 0);
    assert.equal((await gateway.run("spool", [...o, "resume"])).out, "nothing is suspended\n");
    await until("delivery", 10, () => sink.received.length === 1);
  });
});

describe("damaged records", () => {
  it("are named with their reason, and discarded or put back by name only", async () => {
    const o = gateway.options();
    await gateway.stop();
    const folder = join(gateway.queue, "quarantine");
    writeFileSync(
      join(folder, "odd1"),
      `${JSON.stringify({ name: "odd1", reason: "made by a test" })}\nnot a record`,
    );
    await gateway.start();
    const shown = await gateway.run("spool", [...o, "verify"]);
    const name = /^damaged (\S+): /m.exec(shown.out)?.[1] ?? "";
    assert.notEqual(name, "", shown.out);
    const back = await gateway.run("spool", [...o, "reinject", name]);
    assert.equal(back.status, 75, back.out);
    assert.notEqual(back.err, "");
    assert.equal((await gateway.run("spool", [...o, "discard", name])).out, `${name}: discarded\n`);
    assert.equal((await gateway.run("spool", [...o, "discard", name])).status, 67);
    assert.match((await gateway.run("spool", [...o, "verify"])).out, /no damaged records/);
  });
});

describe("hoststat and mailstats", () => {
  it("print Sendmail's columns", async () => {
    const o = gateway.options();
    sink.received.length = 0;
    assert.match(await send(gateway.port, "joe@example.com", ["bob@example.net"], MESSAGE), /^250/);
    await until("delivery", 10, () => sink.received.length === 1);
    const hosts = await gateway.run("hoststat", o);
    assert.match(
      hosts.out,
      /^ -{14} Hostname -{15} How long ago -{9}Results-{9}\n 127\.0\.0\.1 {35}00:00:\d\d 250 2\.0\.0 accepted\n$/,
    );
    assert.equal((await gateway.run("sendmail", [...o, "-bh"])).out.split("\n")[0], hosts.out.split("\n")[0]);
    assert.equal((await gateway.run("purgestat", o)).status, 0);
    assert.equal((await gateway.run("hoststat", o)).out, "");
    assert.match(await send(gateway.port, "spammer@example.com", ["bob@example.net"], MESSAGE), /^550/);
    const stats = await gateway.run("mailstats", o);
    assert.match(
      stats.out,
      /^Statistics from \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}\n M {3}msgsfr {2}bytes_from {3}msgsto {4}bytes_to {2}msgsrej msgsdis msgsqur {2}Mailer\n/,
    );
    assert.match(stats.out, /^ 5 +\d+ +\d+K +0 +0K +[1-9]\d* +0 +\d+ {2}esmtp$/m);
    assert.match(stats.out, /^={69}\n T +\d+ +\d+K +\d+ +\d+K +\d+ +\d+ +\d+\n C +\d+ +\d+ +\d+\n$/m);
  });

  it("go on counting after a restart", async () => {
    const rows = async (): Promise<string> =>
      (await gateway.run("mailstats", gateway.options())).out.split("\n").slice(2).join("\n");
    const before = await rows();
    assert.match(before, /Mailer|esmtp/);
    assert.equal(await gateway.stop(), 0);
    await gateway.start();
    await until("the kept counts", 10, async () => (await rows()) === before);
  });

  it("say the same when no daemon runs: what it has kept, and the queue itself", async () => {
    const all = async (): Promise<string[]> => {
      const said: string[] = [];
      for (const [applet, ...words] of [
        ["mailstats"],
        ["hoststat"],
        ["mailq"],
        ["spool", "list"],
        ["spool", "verify"],
        ["sendmail", "-bP"],
      ]) {
        const { status, out } = await gateway.run(applet ?? "", [...gateway.options(), ...words]);
        // Space and ages go on.
        said.push(
          `${status} ${out.replace(/^.*(kB free|segments|Statistics).*$/gm, "").replace(/\d\d:\d\d:\d\d/g, "TIME")}`,
        );
      }
      return said;
    };
    const asked = await all();
    await gateway.stop();
    assert.deepEqual(await all(), asked);
    await gateway.start();
  });
});
