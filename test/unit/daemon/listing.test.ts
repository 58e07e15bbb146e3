// mailq and mailq -v in the columns of Sendmail 8.17.1.9, whose output for the same queue is the expectation (brackets are ours: it shows
// an address as it was typed).

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { formatMailq } from "../../../src/daemon/listing.ts";
import type { QueueEntry } from "../../../src/spool/spool.ts";

const REASON = "a reason to hold this message that is quite long, in fact longer than the line";
const base: QueueEntry = {
  id: "6AMA4pmj000047",
  sender: "joe@example.com",
  sizeBytes: 0,
  arrivedMs: new Date(2026, 10, 22, 10, 4, 51).getTime(),
  priority: 30011,
  recipients: [{ address: "c@[127.0.0.9]", text: "" }],
  text: "host map: lookup (example.com): deferred",
  hold: REASON,
  running: false,
  tooLoaded: false,
  resting: false,
  tries: 0,
};
const ENTRIES: readonly QueueEntry[] = [
  base,
  {
    ...base,
    id: "6AMA4kRS000039",
    sizeBytes: 6,
    priority: 60018,
    sender: "a-very-long-sender-address-that-goes-on-and-on@example.com",
    recipients: [
      { address: "another-very-long-recipient-address-that-goes-on-and-on@[127.0.0.9]", text: "" },
      { address: "b@[127.0.0.9]", text: "" },
    ],
  },
];

describe("mailq", () => {
  it("prints Sendmail's columns and cuts what has no room", () => {
    assert.equal(
      formatMailq("/var/spool/mqueue", ENTRIES, false),
      `\t\t/var/spool/mqueue (2 requests)
-----Q-ID----- --Size-- -----Q-Time----- ------------Sender/Recipient-----------
6AMA4pmj000047        0 Sun Nov 22 10:04 <joe@example.com>
     QUARANTINE: a reason to hold this message that is quite long, in fact lo
                 (host map: lookup (example.com): deferred)
\t\t\t\t\t <c@[127.0.0.9]>
6AMA4kRS000039        6 Sun Nov 22 10:04 <a-very-long-sender-address-that-goes-o
     QUARANTINE: a reason to hold this message that is quite long, in fact lo
                 (host map: lookup (example.com): deferred)
\t\t\t\t\t <another-very-long-recipient-address-t
\t\t\t\t\t <b@[127.0.0.9]>
\t\tTotal requests: 2
`,
    );
  });

  it("prints priorities, whole addresses and longer reasons with -v", () => {
    assert.equal(
      formatMailq("/var/spool/mqueue", ENTRIES, true),
      `\t\t/var/spool/mqueue (2 requests)
-----Q-ID----- --Size-- -Priority- ---Q-Time--- --------Sender/Recipient--------
6AMA4pmj000047        0      30011 Nov 22 10:04 <joe@example.com>
     QUARANTINE: ${REASON}
                 (host map: lookup (example.com): deferred)
\t\t\t\t\t\t<c@[127.0.0.9]>
6AMA4kRS000039        6      60018 Nov 22 10:04 <a-very-long-sender-address-that-goes-on-and-on@example.com>
     QUARANTINE: ${REASON}
                 (host map: lookup (example.com): deferred)
\t\t\t\t\t\t<another-very-long-recipient-address-that-goes-on-and-on@[127.0.0.9]>
\t\t\t\t\t\t<b@[127.0.0.9]>
\t\tTotal requests: 2
`,
    );
  });

  it("says that a queue is empty", () => {
    assert.equal(formatMailq("/q", [], false), "/q is empty\n\t\tTotal requests: 0\n");
  });

  it("marks what is being tried and what rests", () => {
    const line = (more: Partial<QueueEntry>): string =>
      formatMailq("/q", [{ ...base, ...more }], false).split("\n")[2] ?? "";
    assert.match(line({ running: true }), /^6AMA4pmj000047\* {7}0 /);
    assert.match(line({ tooLoaded: true, resting: true }), /^6AMA4pmj000047X {7}0 /);
    assert.match(line({ resting: true }), /^6AMA4pmj000047- {7}0 /);
  });
});

describe("what mailq does not list", () => {
  it("is counted in its last line, also when nothing else is there", () => {
    assert.match(formatMailq("/q", ENTRIES, false, 3), /\n\t\tTotal requests: \d+, 3 quarantined\n$/);
    assert.equal(formatMailq("/q", [], false, 1), "/q is empty\n\t\tTotal requests: 0, 1 quarantined\n");
    assert.equal(formatMailq("/q", [], false), "/q is empty\n\t\tTotal requests: 0\n");
  });
});
