// postern trace says what then happens: the same question traced, and asked of a session and a queue whose mailers talk to a recorder.
// Configurations, DNS and accounts are those of the recorded cases of Sendmail.

import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import fc from "fast-check";
import { ok } from "../../../src/base/result.ts";
import { makeMailerNeeds } from "../../../src/daemon/mailerneeds.ts";
import { type Recorded, recordedConnection } from "../../../src/daemon/recorder.ts";
import { makeRouter } from "../../../src/daemon/router.ts";
import { formatTrace } from "../../../src/daemon/tracetext.ts";
import { type TraceReport, traceDecision } from "../../../src/daemon/tracing.ts";
import { SILENT_ALARM } from "../../../src/deliver/refusals.ts";
import { makeMailers } from "../../../src/deliver/registry.ts";
import { outcome } from "../../../src/mail/outcome.ts";
import type { Site } from "../../../src/route/site.ts";
import type { Attempt, Mailer } from "../../../src/spool/mailer.ts";
import { settingsFrom } from "../../../src/spool/settings.ts";
import { makeSpool } from "../../../src/spool/spool.ts";
import { systemClock } from "../../../src/sys/clock.ts";
import { systemEntropy } from "../../../src/sys/entropy.ts";
import { silentLog } from "../../../src/sys/log.ts";
import { readZone } from "../../oracle/resolver.ts";
import { openCase } from "../../oracle/site.ts";
import { SimDisk } from "../../sim/disk.ts";

const RECORDED = join(import.meta.dirname, "../../oracle/recorded");
const ZONE = readZone(join(RECORDED, "dns.json"));
const site = (config: string): Site => openCase(join(RECORDED, config), ZONE).site;

function traced(over: Site, client: string, sender: string, recipient: string): Promise<TraceReport> {
  return traceDecision(
    { site: over, clock: systemClock, entropy: systemEntropy, jail: "/nonexistent", smrshDirectories: [] },
    { client, sender, recipient, helo: "client.test" },
  );
}

/** What deliveries did, in a form that both sides have. */
interface Done {
  readonly mail: readonly string[];
  readonly rcpt: readonly string[];
  readonly others: readonly string[];
}

function wire(recorded: readonly Recorded[]): Pick<Done, "mail" | "rcpt"> {
  const commands = recorded.flatMap((r) => r.commands.map((c) => `${r.host} ${c}`));
  const of = (verb: string): string[] =>
    [
      ...new Set(
        commands.filter((c) => c.includes(` ${verb} `)).map((c) => c.replace(/ (SIZE|NOTIFY)=\S+/g, "")),
      ),
    ].sort();
  return { mail: of("MAIL"), rcpt: of("RCPT") };
}

function doneByTrace(report: TraceReport): Done {
  const hops = report.deliveries.flatMap((d) => d.hops);
  // Programs that may not run are deliveries too; the queue's side only notes them.
  const others = report.deliveries.filter(
    (d) => d.mailer === "prog" || (d.hops.length === 0 && d.action !== ""),
  );
  return { ...wire(hops), others: others.map((d) => `${d.mailer} ${d.host} ${d.user} <${d.sender}>`).sort() };
}

/** The message through a queue on a simulated disk; network mailers talk to the recorder, the others are noted. */
async function doneByQueue(over: Site, sender: string, recipient: string): Promise<Done> {
  const recorded: Recorded[] = [];
  const others: string[] = [];
  const needs = makeMailerNeeds({
    site: () => over,
    clock: systemClock,
    entropy: systemEntropy,
    log: silentLog,
    tls: null,
    alarm: SILENT_ALARM,
    jail: "/nonexistent",
    smrshDirectories: [],
  });
  const { byName } = makeMailers(over.config.mailers, {
    ...needs,
    dial: async (candidate, address, port) => {
      const one: Recorded = { host: candidate.shown, address, port, commands: [], data: "" };
      recorded.push(one);
      return ok(recordedConnection(one));
    },
  });
  const note: Mailer = {
    async deliver(a: Attempt) {
      for (const r of a.recipients) others.push(`${a.mailer} ${a.host} ${r.user} <${a.sender}>`);
      return a.recipients.map(() => outcome("delivered", "2.0.0", "Sent"));
    },
    close: async () => undefined,
  };
  for (const spec of over.config.mailers) if (spec.kind !== "smtp") byName.set(spec.name, note);
  const spool = await makeSpool({
    disk: new SimDisk(),
    clock: systemClock,
    entropy: systemEntropy,
    log: silentLog,
    folder: "/q",
    settings: settingsFrom({ ...over.config.options, DeliveryMode: "background" }, 1000),
    router: makeRouter(() => over),
    mailers: byName,
    names: { hostName: over.j, version: "test", mailerDaemon: `MAILER-DAEMON@${over.j}` },
    clockFloorMs: 0,
  });
  assert.ok(spool.ok);
  spool.value.start(0);
  const draft = spool.value.open();
  const origin = {
    helo: "client.test",
    clientName: "client.test",
    clientAddress: "192.0.2.1",
    clientResolve: "ok" as const,
    protocol: "ESMTP",
    daemon: "MTA",
  };
  const common = {
    origin,
    smtpUtf8: false,
    requireTls: false,
    hops: 0,
    precedence: 0,
    urgency: "normal" as const,
  };
  const wait = draft.write(Buffer.from("body\r\n"));
  if (wait !== undefined) await wait;
  // No notices: they would be deliveries that the question was not about.
  await draft.commit(
    { ...common, sender, recipients: [{ address: recipient, notify: ["NEVER"] }] },
    Buffer.from("From: <a@b>\r\n"),
  );
  await spool.value.idle();
  await spool.value.close(1000);
  for (const mailer of byName.values()) await mailer.close();
  return { ...wire(recorded), others: others.sort() };
}

const LOCALS = [
  "mick",
  "larry",
  "root",
  "info",
  "list1",
  "list2",
  "cascade",
  "list+x",
  "nosuch",
  "piped",
  "filed",
  "external",
  "plus+ext",
  "unk",
  "a%example.net",
];
const HOSTS = [
  "",
  "@polkatistas.org",
  "@mail.polkatistas.org",
  "@virt.example",
  "@shop.virt.example",
  "@example.com",
  "@exact.example",
  "@brackets.example",
  "@list.example",
  "@port.example",
  "@x.multi.example",
  "@err.example",
  "@loc.example",
  "@locuser.example",
  "@user.example",
  "@nosuch.example",
  "@servfail.example",
  "@[203.0.113.9]",
  "@other.example",
];
const SENDERS = [
  "",
  "joe@example.com",
  "mick@polkatistas.org",
  "larry",
  "curly@mail.polkatistas.org",
  "spam@spammer.example",
];

describe("postern trace", () => {
  it("says what the queue then delivers, for any sender and recipient", async () => {
    const sites = new Map(["config-a", "config-b", "config-c", "config-d"].map((name) => [name, site(name)]));
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...sites.keys()),
        fc.constantFrom(...SENDERS),
        fc.constantFrom(...LOCALS),
        fc.constantFrom(...HOSTS),
        async (name, sender, local, host) => {
          const over = sites.get(name) ?? site(name);
          const recipient = `${local}${host}`;
          const report = await traced(over, "127.0.0.1", sender, recipient);
          // What is dropped on request never reaches the queue's mailers.
          if (report.stages.some((s) => s.answer.startsWith("discard"))) return;
          assert.deepEqual(doneByTrace(report), await doneByQueue(over, sender, recipient), recipient);
        },
      ),
      { numRuns: 150, seed: 20261122 },
    );
  });

  it("names every table entry on the way of a virtual user behind an alias", async () => {
    const report = await traced(
      site("config-b"),
      "192.168.1.5",
      "quar@example.com",
      "fromvirt@polkatistas.org",
    );
    const found = report.stages.flatMap((s) => s.findings.map((f) => `${f.rule} ${f.key} -> ${f.value}`));
    for (const wanted of [
      "access Connect:192.168.1 -> RELAY",
      "access From:quar@example.com -> QUARANTINE:suspicious sender",
      "aliases fromvirt -> info@virt.example",
      "virtusertable info@virt.example -> mick",
    ])
      assert.ok(found.includes(wanted), `${wanted} is not in ${found.join("; ")}`);
    assert.ok(report.accepted);
    assert.equal(
      report.stages.find((s) => s.stage === "check_mail")?.answer,
      "quarantine: suspicious sender",
    );
    assert.deepEqual(
      report.deliveries.map((d) => [d.mailer, d.user, d.via]),
      [["local", "mick", "fromvirt@polkatistas.org"]],
    );
  });

  it("shows the rewriting of envelope and header by the mailer that is chosen", async () => {
    const report = await traced(site("config-b"), "127.0.0.1", "mick@polkatistas.org", "bob@example.com");
    const hop = report.deliveries[0]?.hops[0];
    assert.match(hop?.commands[0] ?? "", /^MAIL From:<\S+> SIZE=/);
    assert.match(hop?.data ?? "", /^From: <Mick\.Bauer@polkatistas\.org>\r\n/);
    assert.equal(hop?.host, "mx1.example.com.");
  });

  it("stops at the first refusal, and says it in the client's words", async () => {
    const report = await traced(site("config-b"), "198.51.100.9", "joe@example.com", "bob@example.net");
    assert.deepEqual(
      report.stages.map((s) => s.stage),
      ["client", "check_relay", "route"],
    );
    assert.match(report.stages[1]?.answer ?? "", /^550 5\.7\.1 /);
    assert.equal(report.accepted, false);
    assert.match(formatTrace(report), /\(refused in the session; were it accepted:\)/);
  });

  it("never shows a secret of AuthInfo", async () => {
    const over = site("config-b");
    const { access } = over.tables;
    const secret: Site = {
      ...over,
      tables: {
        ...over.tables,
        access: {
          name: "access",
          lookup: (key) =>
            key.toLowerCase().startsWith("authinfo:mx1")
              ? { kind: "found", value: '"U:joe" "I:joe" "P:hush" "M:PLAIN"' }
              : (access?.lookup(key) ?? { kind: "absent" }),
        },
      },
    };
    const report = await traced(secret, "127.0.0.1", "joe@example.com", "bob@example.com");
    assert.doesNotMatch(JSON.stringify(report) + formatTrace(report), /hush/);
    assert.equal(report.deliveries[0]?.hops[0]?.auth, "as joe by PLAIN, when offered");
  });

  it("takes any bytes as client, sender and recipient", async () => {
    const over = site("config-b");
    await fc.assert(
      fc.asyncProperty(fc.string(), fc.string(), fc.string(), async (client, sender, recipient) => {
        const text = formatTrace(await traced(over, client, sender, recipient));
        assert.doesNotMatch(text, /[\x00-\x09\x0b-\x1f\x7f]/);
      }),
      { numRuns: 100 },
    );
  });
});
