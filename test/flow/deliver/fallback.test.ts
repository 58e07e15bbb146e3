// FallbackSmartHost as Sendmail's (op guide): one last host for what DNS does not know or nobody could reach; not for what a host answered.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Hosts } from "../../../src/deliver/needs.ts";
import { outcome } from "../../../src/mail/outcome.ts";
import { attempt, host, options, rig } from "./attempt.ts";
import { type Script, startPeer } from "./peer.ts";

const unknown: Hosts = {
  kind: "outcome",
  outcome: () => outcome("failed", "5.1.2", "Host unknown", { diagnostic: "550 Host unknown" }),
};
const nameServer: Hosts = {
  kind: "outcome",
  outcome: () => outcome("deferred", "4.4.3", "Deferred: Name server: x.: host name lookup failure"),
};
const nullMx: Hosts = {
  kind: "outcome",
  outcome: () => outcome("failed", "5.1.10", "Host does not accept mail: MX 0 ."),
};
const toItself: Hosts = {
  kind: "outcome",
  outcome: () => outcome("failed", "5.5.0", "Local configuration error"),
};
/** Nobody listens on a port that was just free. */
const refusing = async (): Promise<Hosts> => {
  const gone = await startPeer({});
  await gone.close();
  return { kind: "hosts", candidates: [host(gone.port, "gone.example")] };
};
const answering = (script: Script) => async (): Promise<Hosts & AsyncDisposable> => {
  const peer = await startPeer(script);
  return {
    kind: "hosts",
    candidates: [host(peer.port, "answers.example")],
    [Symbol.asyncDispose]: () => peer.close(),
  };
};
const saying = (step: string, say: string, close = false): (() => Promise<Hosts>) =>
  answering({ answer: (at) => (at === step ? { say, close } : undefined) });

const CASES: readonly {
  readonly name: string;
  readonly hosts: () => Hosts | Promise<Hosts>;
  readonly fallback?: boolean;
  readonly expected: string;
}[] = [
  { name: "a host that DNS does not know", hosts: () => unknown, expected: "relayed by fallback" },
  { name: "a name server that does not answer", hosts: () => nameServer, expected: "relayed by fallback" },
  { name: "a host that refuses connections", hosts: refusing, expected: "relayed by fallback" },
  {
    name: "a host that is closed for now",
    hosts: saying("connect", "421 4.3.2 closed", true),
    expected: "deferred",
  },
  { name: "a host that takes no mail (null MX)", hosts: () => nullMx, expected: "failed 5.1.10" },
  { name: "a list that points back to us", hosts: () => toItself, expected: "failed 5.5.0" },
  { name: "a recipient refused for now", hosts: saying("RCPT", "451 4.2.1 later"), expected: "deferred" },
  {
    name: "a recipient refused for good",
    hosts: saying("RCPT", "550 5.1.1 nobody"),
    expected: "failed 5.1.1",
  },
  { name: "an answer lost after the dot", hosts: saying(".", "", true), expected: "deferred" },
  {
    name: "an unknown host without a fallback",
    hosts: () => unknown,
    fallback: false,
    expected: "failed 5.1.2",
  },
];

for (const { name, hosts, fallback = true, expected } of CASES)
  test(`${name}: ${expected}`, async () => {
    const last = await startPeer({ extensions: ["DSN"] });
    const first = await hosts();
    const asked: string[] = [];
    const r = rig([], {
      options: options({ FallbackSmartHost: fallback ? "[smart.example]" : "" }),
      hosts: (wanted) => {
        asked.push(wanted);
        return wanted === "[smart.example]"
          ? { kind: "hosts", candidates: [host(last.port, "smart.example")] }
          : first;
      },
    });
    try {
      const mailer = r.mailer();
      const [result] = await mailer.deliver(attempt({ host: "x.example" }));
      await mailer.close();
      const said =
        result?.kind === "failed"
          ? `failed ${result.status}`
          : `${result?.kind}${result?.remote === "smart.example" ? " by fallback" : ""}`;
      assert.equal(said, expected);
      assert.equal(last.seen.messages.length, expected.startsWith("relayed") ? 1 : 0);
      assert.equal(
        asked.filter((h) => h === "[smart.example]").length,
        expected.startsWith("relayed") ? 1 : 0,
      );
    } finally {
      await last.close();
      if (Symbol.asyncDispose in first) await (first as Hosts & AsyncDisposable)[Symbol.asyncDispose]();
    }
  });

test("a fallback that cannot be reached defers mail for an unknown host instead of returning it", async () => {
  const gone = await startPeer({});
  await gone.close();
  const r = rig([], {
    options: options({ FallbackSmartHost: "[smart.example]" }),
    hosts: (wanted) =>
      wanted === "[smart.example]"
        ? { kind: "hosts", candidates: [host(gone.port, "smart.example")] }
        : unknown,
  });
  const mailer = r.mailer();
  const outcomes = await mailer.deliver(attempt({ to: ["a@x.example", "b@x.example"] }));
  await mailer.close();
  assert.deepEqual(
    outcomes.map((o) => `${o.kind} ${o.status}`),
    ["deferred 4.4.1", "deferred 4.4.1"],
  );
});
