// Counts and their columns: mailstats as Sendmail prints them (the head, the rule and the rows T and C were recorded from mailstats of
// 8.17.1.9; hoststat's row from mci.c's widths, 39 and 12), and what outlives a restart.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { formatHostStatus, formatMailStats, howLongAgo } from "../../../src/daemon/hostlisting.ts";
import { Statistics } from "../../../src/daemon/statistics.ts";
import { outcome } from "../../../src/mail/outcome.ts";
import { SimClock } from "../../sim/clock.ts";

const delivery = (mailer: string) =>
  ({ index: 0, mailer, host: "h", user: "u@h", address: "u@h", via: "", sender: "", unsafe: false }) as never;

function counted(): Statistics {
  const s = new Statistics(new SimClock(Date.UTC(2026, 10, 22, 6, 43, 12)));
  s.connection(false);
  s.connection(true);
  s.accepted("A", "esmtp", "joe@example.com", 1500, "queued");
  s.accepted("B", "esmtp", "joe@example.com", 10, "quarantined");
  s.accepted("C", "esmtp", "joe@example.com", 10, "discarded");
  s.refused("esmtp");
  s.note({
    id: "A",
    sender: "",
    sizeBytes: 1500,
    delivery: delivery("smtp"),
    outcome: outcome("relayed", "2.0.0", "Sent"),
  });
  s.note({
    id: "B",
    sender: "",
    sizeBytes: 9,
    delivery: delivery("smtp"),
    outcome: outcome("deferred", "4.4.1", "Deferred"),
  });
  return s;
}

describe("mailstats", () => {
  it("prints an empty table as Sendmail does", () => {
    const s = new Statistics(new SimClock(0));
    const text = formatMailStats({ sinceWallMs: 0, nowWallMs: 0, rows: [], totals: s.totals }, false, true);
    assert.deepEqual(text.split("\n").slice(1), [
      " M   msgsfr  bytes_from   msgsto    bytes_to  msgsrej msgsdis msgsqur  Mailer",
      "=====================================================================",
      " T        0          0K        0          0K        0       0       0",
      " C        0                    0                    0",
      "",
    ]);
  });

  it("prints for programs what Sendmail's -P prints", () => {
    const s = new Statistics(new SimClock(0));
    const stats = { sinceWallMs: 1795339635_000, nowWallMs: 1795339636_000, rows: [], totals: s.totals };
    assert.equal(
      formatMailStats(stats, true, false),
      "1795339635 1795339636\n T        0          0        0          0        0       0       0\n C        0        0      0\n",
    );
  });

  it("counts messages by mailer, kilobytes rounded up", () => {
    const s = counted();
    const rows = s.rows().map((row, i) => ({ ...row, number: 4 + i }));
    const text = formatMailStats({ sinceWallMs: 0, nowWallMs: 0, rows, totals: s.totals }, false, true);
    assert.deepEqual(text.split("\n").slice(2, -1), [
      " 4        2          2K        0          0K        1       1       1  esmtp",
      " 5        0          0K        1          2K        0       0       0  smtp",
      "=====================================================================",
      " T        2          2K        1          2K        1       1       1",
      " C        1                    0                    1",
    ]);
  });
});

describe("what is kept over a restart", () => {
  it("is added to what the new run has counted, events in order", () => {
    const before = counted();
    const after = counted();
    after.restore(JSON.parse(JSON.stringify(before.snapshot())));
    const row = after.rows().find((r) => r.mailer === "esmtp");
    assert.deepEqual([row?.messagesFrom, row?.rejected, after.totals.connectionsFrom], [4, 2, 2]);
    assert.equal(after.history(["A"]).length, 4);
    assert.deepEqual(
      after.history(["A"]).map((e) => e.result),
      ["accepted", "relayed", "accepted", "relayed"],
    );
  });

  it("is bounded: old events go first", () => {
    const s = new Statistics(new SimClock(0));
    for (let i = 0; i < 5000; i++) s.accepted(`id${i}`, "esmtp", "a@b", 1, "queued");
    assert.equal(s.history([]).length, 4096);
    assert.equal(s.history([])[0]?.id, "id904");
    assert.equal(s.history(["id0"]).length, 0);
  });

  it("tells of every change, so that nothing is written when nothing changed", () => {
    const s = new Statistics(new SimClock(0));
    let changes = 0;
    s.onChange = () => changes++;
    s.snapshot();
    s.rows();
    s.history([]);
    assert.equal(changes, 0);
    s.connection(false);
    assert.equal(changes, 1);
  });
});

describe("hoststat", () => {
  const NAMES: readonly (readonly [number, string])[] = [
    [0, "00:00:00"],
    [59_999, "00:00:59"],
    [3_661_000, "01:01:01"],
    [86_400_000 * 2 + 5000, "2+00:00:05"],
    [-5000, "00:00:00"],
  ];
  for (const [ms, text] of NAMES)
    it(`shows ${ms} ms as ${text}`, () => {
      assert.equal(howLongAgo(ms), text);
    });

  it("prints nothing when nothing is known", () => {
    assert.equal(formatHostStatus([], 0, false), "");
  });

  it("cuts results at 25 characters, with -v at 78", () => {
    const entry = { name: "mx.example.net", triedWallMs: 0, result: "x".repeat(100), dead: true };
    const line = (verbose: boolean): string => formatHostStatus([entry], 1000, verbose).split("\n")[1] ?? "";
    assert.equal(line(false), ` ${"mx.example.net".padEnd(39)}     00:00:01 ${"x".repeat(25)}`);
    assert.equal(line(true).length, 54 + 78);
  });
});
