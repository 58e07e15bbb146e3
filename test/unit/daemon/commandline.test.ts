// sendmail's command line, as sendmail(8) and the recorded program read it.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type CommandLine, parseCommandLine, parseInterval } from "../../../src/daemon/commandline.ts";

function parsed(words: string, name = "sendmail"): CommandLine {
  const result = parseCommandLine(name, words === "" ? [] : words.split(" "));
  assert.ok(result.ok, result.ok ? "" : result.error);
  return result.value;
}

const good: { name: string; words: string; called?: string; expect: Partial<CommandLine> }[] = [
  {
    name: "recipients are what is left",
    words: "a@b c@d",
    expect: { mode: "deliver", recipients: ["a@b", "c@d"] },
  },
  { name: "-bd -q15m", words: "-bd -q15m", expect: { mode: "daemon", queueIntervalMs: 900_000 } },
  {
    name: "-f takes the next word or attached text",
    words: "-f joe@x -oi y",
    expect: { sender: "joe@x", ignoreDots: true, recipients: ["y"] },
  },
  { name: "-fjoe", words: "-fjoe", expect: { sender: "joe" } },
  { name: "-q alone runs the queue once", words: "-q", expect: { mode: "queue", queueIntervalMs: 0 } },
  {
    name: "-q!Rdown selects what does not match",
    words: "-q!Rdown",
    expect: { mode: "queue", selectors: [{ field: "recipient", text: "down", negate: true }] },
  },
  {
    name: "-bp with -qS",
    words: "-bp -qSjoe",
    expect: { mode: "list", selectors: [{ field: "sender", text: "joe", negate: false }] },
  },
  {
    name: "-qQ lists the quarantined",
    words: "-bp -qQ",
    expect: { mode: "list", quarantined: true, selectors: [] },
  },
  { name: "-Qreason -qR", words: "-Qbad -qRx", expect: { quarantineReason: "bad", mode: "queue" } },
  {
    name: "-qp1h30m is a persistent runner",
    words: "-qp1h30m",
    expect: { mode: "queue", queueIntervalMs: 5_400_000 },
  },
  {
    name: "-t -N success,delay -R hdrs -V id",
    words: "-t -N success,delay -R hdrs -V id",
    expect: { fromHeader: true, notify: "SUCCESS,DELAY", ret: "HDRS", envid: "id" },
  },
  {
    name: "-O and -o in order",
    words: "-OQueueDirectory=/q -odq",
    expect: {
      options: [
        ["QueueDirectory", "/q"],
        ["d", "q"],
      ],
    },
  },
  {
    name: "options end at the first recipient",
    words: "-i a@b -f c -- d",
    expect: { ignoreDots: true, sender: null, recipients: ["a@b", "-f", "c", "--", "d"] },
  },
  {
    name: "a dash alone is a recipient",
    words: "- -f x",
    expect: { recipients: ["-", "-f", "x"], sender: null },
  },
  { name: "-p protocol:host", words: "-p UUCP:old", expect: { protocol: "UUCP", sendingHost: "old" } },
  {
    name: "-oMr and -oMs",
    words: "-oMrUUCP -oMsold",
    expect: { protocol: "UUCP", sendingHost: "old", options: [] },
  },
  { name: "another macro", words: "-oMxvalue -M{abc}value", expect: { protocol: "", options: [] } },
  { name: "-- ends options", words: "-- -f", expect: { recipients: ["-f"] } },
  { name: "mailq lists", words: "-v", called: "mailq", expect: { mode: "list", verbose: true } },
  { name: "newaliases builds", words: "", called: "newaliases", expect: { mode: "aliases" } },
  { name: "-Ac and -G change nothing", words: "-Ac -G -t", expect: { fromHeader: true, mode: "deliver" } },
];

const bad: { words: string; message: string }[] = [
  { words: "-bZ", message: "Invalid operation mode Z" },
  { words: "-Z", message: "sendmail: illegal option -- Z" },
  { words: "-q -bv", message: "Can not use -q with -bv" },
  { words: "-f", message: "sendmail: option requires an argument -- f" },
  { words: "-N never,success", message: "Invalid -N argument" },
  { words: "-B 9BIT", message: "Illegal body type 9BIT" },
  {
    words: "-n",
    message: "-n cannot be done here: aliases are followed when the message is delivered, by the queue",
  },
  { words: "-qL", message: "-qL: no queue file is lost here; `postern spool verify` shows damaged records" },
  {
    words: "-X/tmp/x",
    message:
      "-X cannot be done here: no traffic is written; `postern trace` explains a decision, the log has the answers",
  },
  { words: "-Ax", message: "Illegal option -Ax" },
  { words: "-T", message: "Invalid time unit `T'" },
  { words: "-fa -fb", message: 'More than one "from" person' },
];

describe("parseCommandLine", () => {
  for (const c of good)
    it(`${c.name}: ${c.called ?? "sendmail"} ${c.words}`, () => {
      const line = parsed(c.words, c.called);
      for (const [key, value] of Object.entries(c.expect))
        assert.deepEqual(line[key as keyof CommandLine], value, key);
    });
  for (const c of bad)
    it(`refuses ${c.words}`, () => {
      assert.deepEqual(parseCommandLine("sendmail", c.words.split(" ")), { ok: false, error: c.message });
    });
  it("reads Sendmail's times", () => {
    assert.deepEqual(["15m", "1h30m", "90s", "2", "1w", "x", ""].map(parseInterval), [
      900_000,
      5_400_000,
      90_000,
      120_000,
      604_800_000,
      null,
      null,
    ]);
  });
});
