// The SMTP mailer against a scripted next hop: commands to the letter, outcomes per recipient, reuse of connections.

import assert from "node:assert/strict";
import { test } from "node:test";
import { attempt, body, host, rig, streamed } from "./attempt.ts";
import { type Script, startPeer } from "./peer.ts";

const ALL = ["PIPELINING", "8BITMIME", "SIZE 1000000", "DSN"];

async function withPeer<T>(script: Script, fn: (peer: Awaited<ReturnType<typeof startPeer>>) => Promise<T>) {
  const peer = await startPeer(script);
  try {
    return await fn(peer);
  } finally {
    await peer.close();
  }
}

test("a message reaches the next hop with Sendmail's command lines", async () => {
  await withPeer({ extensions: ALL }, async (peer) => {
    const r = rig([host(peer.port)]);
    const [outcome] = await r.mailer().deliver(attempt());
    assert.deepEqual(outcome?.kind, "relayed");
    assert.equal(outcome?.text, "Sent (2.0.0 Ok: queued as 12345)");
    assert.equal(outcome?.status, "2.0.0");
    assert.equal(outcome?.relay, "peer.example. [127.0.0.1]");
    await r.mailer().close();
    assert.deepEqual(peer.seen.commands.slice(0, 4), [
      "EHLO here.example",
      "MAIL From:<sender@here.example> SIZE=24",
      "RCPT To:<a@peer.example>",
      "DATA",
    ]);
    assert.equal(peer.seen.messages[0]?.toString(), "Subject: test\r\n\r\nhello\r\n");
  });
});

test("without PIPELINING each command waits for its answer, and a kept connection is used again", async () => {
  await withPeer({}, async (peer) => {
    const r = rig([host(peer.port)]);
    for (let i = 0; i < 3; i++) {
      const [outcome] = await r.mailer().deliver(attempt());
      assert.equal(outcome?.kind, "delivered");
    }
    await r.mailer().close();
    assert.equal(peer.seen.connections, 1);
    assert.equal(peer.seen.messages.length, 3);
    assert.equal(peer.seen.commands.filter((c) => c === "RSET").length, 0);
  });
});

test("a body that comes in chunks arrives whole, with the dot in the last write", async () => {
  await withPeer({ extensions: ALL }, async (peer) => {
    const r = rig([host(peer.port)]);
    const line = Buffer.from(`${"x".repeat(70)}\r\n`);
    const big = streamed(body(...Array.from({ length: 100 }, () => Buffer.concat(Array(100).fill(line)))));
    const [outcome] = await r.mailer().deliver(attempt({ body: big }));
    assert.equal(outcome?.kind, "relayed");
    assert.equal(peer.seen.messages[0]?.length, big.size + 17);
    await r.mailer().close();
  });
});

test("DSN parameters are passed on, in Sendmail's order", async () => {
  await withPeer({ extensions: ALL }, async (peer) => {
    const r = rig([host(peer.port)]);
    await r.mailer().deliver(
      attempt({
        envelope: { envid: "id+2Bx", ret: "HDRS", body: "7BIT" },
        to: [{ user: "a@peer.example", notify: ["SUCCESS", "DELAY"], orcpt: "rfc822;a@x" }],
      }),
    );
    await r.mailer().close();
    assert.equal(
      peer.seen.commands[1],
      "MAIL From:<sender@here.example> SIZE=24 BODY=7BIT ENVID=id+2Bx RET=HDRS",
    );
    assert.equal(peer.seen.commands[2], "RCPT To:<a@peer.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a@x");
  });
});
