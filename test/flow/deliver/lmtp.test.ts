// LMTP (RFC 2033) over TCP and over a Unix socket: LHLO, and an outcome of its own for each recipient after the final dot.

import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { attempt, host, rig } from "./attempt.ts";
import { type Script, startPeer } from "./peer.ts";

const folder = mkdtempSync(join(tmpdir(), "postern-lmtp-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const SPEC = { name: "cyrusv2", kind: "lmtp", flags: "lsDFMnqXzA@/:|m", lineMax: 0 };

function script(): Script {
  let dots = 0;
  return {
    lmtp: true,
    extensions: ["PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME"],
    greeting: "220 peer LMTP",
    answer(step, line) {
      if (step === "RCPT" && line.includes("<none>")) return { say: "550 5.1.1 <none> User doesn't exist" };
      if (step !== ".") return undefined;
      dots++;
      if (dots === 2) return { say: "452 4.2.2 over quota" };
      if (dots === 3) return { say: "550 5.2.2 mailbox full" };
      return { say: "250 2.1.5 ok" };
    },
  };
}

for (const over of ["tcp", "unix"])
  test(`each recipient has its own answer over ${over}`, async () => {
    const path = join(folder, "lmtp");
    const peer = await startPeer(over === "unix" ? { ...script(), path } : script());
    try {
      const r = rig([host(peer.port)]);
      const mailer = r.mailer({ ...SPEC, args: over === "unix" ? `FILE ${path}` : "TCP localhost 24" }, true);
      const outcomes = await mailer.deliver(attempt({ to: ["mick", "none", "larry", "curly", "moe"] }));
      assert.deepEqual(
        outcomes.map((o) => [o.kind, o.status, o.text]),
        [
          ["delivered", "2.1.5", "Sent (2.1.5 ok)"],
          ["failed", "5.1.1", "User unknown"],
          ["deferred", "4.2.2", "Deferred: 452 4.2.2 over quota"],
          ["failed", "5.2.2", "User unknown"],
          ["delivered", "2.1.5", "Sent (2.1.5 ok)"],
        ],
      );
      assert.equal(peer.seen.commands[0], "LHLO here.example");
      assert.equal(peer.seen.messages.length, 1);
      await mailer.close();
    } finally {
      await peer.close();
    }
  });

test("a server that closes between the answers leaves the unanswered recipients deferred", async () => {
  let dots = 0;
  const peer = await startPeer({
    lmtp: true,
    answer: (step) => (step === "." && ++dots === 2 ? { close: true } : undefined),
  });
  try {
    const mailer = rig([host(peer.port)]).mailer({ ...SPEC, args: "TCP localhost 24" }, true);
    const outcomes = await mailer.deliver(attempt({ to: ["mick", "larry", "curly"] }));
    assert.deepEqual(
      outcomes.map((o) => o.kind),
      ["delivered", "deferred", "deferred"],
    );
    await mailer.close();
  } finally {
    await peer.close();
  }
});

test("no socket: deferred, with the path", async () => {
  const path = join(folder, "nobody");
  const [outcome] = await rig([])
    .mailer({ ...SPEC, args: `FILE ${path}` }, true)
    .deliver(attempt({ to: ["mick"] }));
  assert.equal(outcome?.kind, "deferred");
  assert.ok(outcome?.text.includes(path), outcome?.text);
});

test("a program that speaks LMTP on its standard streams is a mailer too, and ends with its connection", async () => {
  const log = join(folder, "program.log");
  const path = join(folder, "deliver");
  writeFileSync(
    path,
    `#!/bin/sh
printf '220 me LMTP\\r\\n'
while read -r line; do
  echo "$line" >> ${log}
  case "$line" in
    LHLO*) printf '250-me\\r\\n250 PIPELINING\\r\\n' ;;
    RCPT*none*) printf '550 5.1.1 no\\r\\n' ;;
    DATA*) printf '354 go\\r\\n'; while read -r text; do [ "$text" = "$(printf '.\\r')" ] && break; done; printf '250 2.1.5 kept\\r\\n' ;;
    QUIT*) exit 0 ;;
    *) printf '250 ok\\r\\n' ;;
  esac
done
`,
  );
  chmodSync(path, 0o755);
  const mailer = rig([]).mailer({ ...SPEC, path, args: "deliver -l" }, true);
  const outcomes = await mailer.deliver(attempt({ to: ["mick", "none"] }));
  assert.deepEqual(
    outcomes.map((o) => [o.kind, o.text]),
    [
      ["delivered", "Sent (2.1.5 kept)"],
      ["failed", "User unknown"],
    ],
  );
  await mailer.close();
  assert.match(
    readFileSync(log, "latin1"),
    /^LHLO here\.example\r\nMAIL From:<sender@here\.example>\r\nRCPT/,
  );
});
