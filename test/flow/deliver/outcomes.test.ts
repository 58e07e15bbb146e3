// Every command of a delivery x {4xx, 5xx, 421, close, silence}: exactly one outcome per recipient, in order, and the next
// message gets through (reliability section 7). Expectations are Sendmail's rules (semantics section 20), not our output.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Options } from "../../../src/config/options.ts";
import { attempt, body, host, options, rig } from "./attempt.ts";
import { type Act, type Script, startPeer } from "./peer.ts";

const QUICK: Partial<Options> = {
  "Timeout.initial": 300,
  "Timeout.helo": 300,
  "Timeout.mail": 300,
  "Timeout.rcpt": 300,
  "Timeout.datainit": 300,
  "Timeout.datablock": 300,
  "Timeout.datafinal": 300,
  "Timeout.rset": 300,
};

type Fate = "4xx" | "5xx" | "421" | "close" | "silence";
const ACTS: Record<Fate, Act> = {
  "4xx": { say: "451 4.3.0 not now" },
  "5xx": { say: "554 5.7.1 never" },
  "421": { say: "421 4.3.2 shutting down", close: true },
  close: { close: true },
  silence: null,
};

/** What two recipients get when the step fails for both; EHLO 5xx is no failure (HELO follows). */
const EXPECTED: Record<string, Record<Fate, "sent" | "deferred" | "failed">> = {
  connect: { "4xx": "deferred", "5xx": "failed", "421": "deferred", close: "deferred", silence: "deferred" },
  EHLO: { "4xx": "deferred", "5xx": "sent", "421": "deferred", close: "deferred", silence: "deferred" },
  HELO: { "4xx": "deferred", "5xx": "failed", "421": "deferred", close: "deferred", silence: "deferred" },
  MAIL: { "4xx": "deferred", "5xx": "failed", "421": "deferred", close: "deferred", silence: "deferred" },
  RCPT: { "4xx": "deferred", "5xx": "failed", "421": "deferred", close: "deferred", silence: "deferred" },
  DATA: { "4xx": "deferred", "5xx": "failed", "421": "deferred", close: "deferred", silence: "deferred" },
  ".": { "4xx": "deferred", "5xx": "failed", "421": "deferred", close: "deferred", silence: "deferred" },
};

for (const pipelining of [true, false]) {
  for (const [step, fates] of Object.entries(EXPECTED)) {
    for (const [fate, expected] of Object.entries(fates) as [Fate, string][]) {
      const name = `${step} ${fate}${pipelining ? " with PIPELINING" : ""}: both recipients ${expected}`;
      test(name, async () => {
        let failing = true;
        const script: Script = {
          extensions: pipelining ? ["PIPELINING"] : [],
          answer(at) {
            // HELO is only reached when EHLO is refused.
            if (step === "HELO" && at === "EHLO") return { say: "500 5.5.1 what" };
            return failing && at === step ? ACTS[fate] : undefined;
          },
        };
        const peer = await startPeer(script);
        try {
          const r = rig([host(peer.port)], { options: options(QUICK) });
          const mailer = r.mailer();
          const outcomes = await mailer.deliver(attempt({ to: ["a@x.example", "b@x.example"] }));
          const kinds = outcomes.map((o) =>
            o.kind === "delivered" || o.kind === "relayed" ? "sent" : o.kind,
          );
          assert.deepEqual(kinds, [expected, expected], JSON.stringify(outcomes));
          for (const o of outcomes)
            assert.match(o.status, expected === "sent" ? /^2\./ : expected === "failed" ? /^5\./ : /^4\./);
          failing = false;
          const [after] = await mailer.deliver(attempt());
          assert.equal(after?.text.startsWith("Sent"), true, JSON.stringify(after));
          await mailer.close();
        } finally {
          await peer.close();
        }
      });
    }
  }
}

test("mixed answers to RCPT: each recipient has its own outcome and the accepted ones get the message", async () => {
  for (const extensions of [["PIPELINING"], []]) {
    const peer = await startPeer({
      extensions,
      answer: (at, line) => {
        if (at !== "RCPT") return undefined;
        if (line.includes("no@")) return { say: "550 5.1.1 <no@x.example>... User unknown" };
        if (line.includes("later@")) return { say: "452 4.2.2 over quota" };
        return undefined;
      },
    });
    try {
      const r = rig([host(peer.port)]);
      const mailer = r.mailer();
      const outcomes = await mailer.deliver(
        attempt({ to: ["a@x.example", "no@x.example", "later@x.example", "b@x.example"] }),
      );
      assert.deepEqual(
        outcomes.map((o) => [o.kind, o.status, o.text]),
        [
          ["delivered", "2.0.0", "Sent (2.0.0 Ok: queued as 12345)"],
          ["failed", "5.1.1", "User unknown"],
          ["deferred", "4.2.2", "Deferred: 452 4.2.2 over quota"],
          ["delivered", "2.0.0", "Sent (2.0.0 Ok: queued as 12345)"],
        ],
      );
      assert.deepEqual(outcomes[1]?.transcript, [
        "... while talking to peer.example.:",
        ">>> RCPT To:<no@x.example>",
        "<<< 550 5.1.1 <no@x.example>... User unknown",
        "550 5.1.1 <no@x.example>... User unknown",
      ]);
      assert.equal(outcomes[1]?.diagnostic, "550 5.1.1 <no@x.example>... User unknown");
      assert.equal(peer.seen.messages.length, 1);
      await mailer.close();
    } finally {
      await peer.close();
    }
  }
});

test("4xx to RCPT at the first MX goes to the second in the same attempt, 5xx does not", async () => {
  const first = await startPeer({
    extensions: ["PIPELINING"],
    answer: (at, line) =>
      at === "RCPT" ? { say: line.includes("no@") ? "550 5.1.1 no" : "450 4.2.0 greylisted" } : undefined,
  });
  const second = await startPeer({ extensions: ["PIPELINING"] });
  try {
    const r = rig([host(first.port, "mx1.example"), host(second.port, "mx2.example")]);
    const mailer = r.mailer();
    const outcomes = await mailer.deliver(attempt({ to: ["a@x.example", "no@x.example"] }));
    assert.deepEqual(
      outcomes.map((o) => o.kind),
      ["delivered", "failed"],
    );
    assert.equal(outcomes[0]?.remote, "mx2.example");
    assert.deepEqual(
      second.seen.commands.filter((c) => c.startsWith("RCPT")),
      ["RCPT To:<a@x.example>"],
    );
    await mailer.close();
  } finally {
    await first.close();
    await second.close();
  }
});

test("a refused connection is the next MX's turn, and deferred with Sendmail's words after the last", async () => {
  const gone = await startPeer({});
  await gone.close();
  const peer = await startPeer({});
  try {
    const r = rig([host(gone.port, "down.example"), host(peer.port)]);
    const [outcome] = await r.mailer().deliver(attempt());
    assert.equal(outcome?.kind, "delivered");
    const alone = rig([host(gone.port, "down.example")]);
    const [deferred] = await alone.mailer().deliver(attempt());
    assert.equal(deferred?.text, "Deferred: Connection refused by down.example.");
    assert.equal(deferred?.status, "4.4.1");
    await r.mailer().close();
  } finally {
    await peer.close();
  }
});

test("a kept connection that the host closed is replaced without the message noticing", async () => {
  const peer = await startPeer({
    extensions: ["PIPELINING"],
    answer: (at, _line, nth) =>
      at === "MAIL" && nth === 2 ? { say: "421 4.4.2 idle too long", close: true } : undefined,
  });
  try {
    const r = rig([host(peer.port)]);
    const mailer = r.mailer();
    for (let i = 0; i < 4; i++) {
      const [outcome] = await mailer.deliver(attempt());
      assert.equal(outcome?.kind, "delivered");
    }
    assert.equal(peer.seen.connections, 4);
    await mailer.close();
  } finally {
    await peer.close();
  }
});

test("the answer to the final dot lost: deferred, and not tried at another MX", async () => {
  const first = await startPeer({ answer: (at) => (at === "." ? { close: true } : undefined) });
  const second = await startPeer({});
  try {
    const r = rig([host(first.port, "mx1.example"), host(second.port, "mx2.example")]);
    const [outcome] = await r.mailer().deliver(attempt());
    assert.equal(outcome?.kind, "deferred");
    assert.equal(second.seen.connections, 0);
    await r.mailer().close();
  } finally {
    await first.close();
    await second.close();
  }
});

const HOSTILE: { name: string; say: string; close?: boolean }[] = [
  { name: "a reply cut off and closed", say: "550-5.1.1 a\r\n550-\r\n55", close: true },
  { name: "10,000 lines", say: `${"250-x\r\n".repeat(10_000)}250 x` },
  { name: "a line of 1 MB", say: `250 ${"x".repeat(1_000_000)}` },
  { name: "a code with a letter", say: "5x0 no" },
  { name: "code 999", say: "999 no" },
  { name: "code 100", say: "100 go" },
  { name: "no code", say: "hello" },
  { name: "two replies for one command", say: "250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n250 ok" },
];

for (const { name, say, close } of HOSTILE) {
  test(`a hostile answer to RCPT is deferred: ${name}`, async () => {
    const peer = await startPeer({
      answer: (at) => (at === "RCPT" ? { say, ...(close === undefined ? {} : { close }) } : undefined),
    });
    try {
      const r = rig([host(peer.port)], { options: options(QUICK) });
      const [outcome] = await r.mailer().deliver(attempt());
      assert.equal(outcome?.kind, "deferred", JSON.stringify(outcome));
      assert.match(outcome?.text ?? "", /^[\x20-\x7e]*$/);
      await r.mailer().close();
    } finally {
      await peer.close();
    }
  });
}

test("control and 8-bit bytes of a reply are printable in text, diagnostic and transcript", async () => {
  const peer = await startPeer({
    answer: (at) => (at === "RCPT" ? { say: "550 5.1.1 a\x1b[2J\x00\rb\xe9 c" } : undefined),
  });
  try {
    const r = rig([host(peer.port)]);
    const [outcome] = await r.mailer().deliver(attempt());
    assert.equal(outcome?.kind, "failed");
    assert.equal(outcome?.diagnostic, "550 5.1.1 a?[2J??b? c");
    for (const line of outcome?.transcript ?? []) assert.match(line, /^[\x20-\x7e]*$/);
    await r.mailer().close();
  } finally {
    await peer.close();
  }
});

test("an envelope with control bytes never reaches the wire", async () => {
  const peer = await startPeer({ extensions: ["PIPELINING"] });
  try {
    const r = rig([host(peer.port)]);
    const mailer = r.mailer();
    const outcomes = await mailer.deliver(attempt({ to: ["a@x.example\r\nDATA", "b@x.example"] }));
    assert.deepEqual(
      outcomes.map((o) => o.kind),
      ["failed", "delivered"],
    );
    const [bad] = await mailer.deliver(attempt({ envelope: { sender: "a@x\r\nRCPT TO:<evil@x>" } }));
    assert.equal(bad?.kind, "failed");
    const [open] = await mailer.deliver(attempt({ envelope: { sender: "a@x> SIZE=1 <evil@x" } }));
    assert.equal(open?.kind, "failed");
    const [quoted] = await mailer.deliver(attempt({ envelope: { sender: '"a> <b"@x.example' } }));
    assert.equal(quoted?.kind, "delivered");
    assert.equal(
      peer.seen.commands.some((c) => c.includes("evil")),
      false,
    );
    await mailer.close();
  } finally {
    await peer.close();
  }
});

test("SIZE smaller than the message fails before DATA", async () => {
  const peer = await startPeer({ extensions: ["PIPELINING", "SIZE 10"] });
  try {
    const r = rig([host(peer.port)]);
    const [outcome] = await r.mailer().deliver(attempt());
    assert.equal(outcome?.kind, "failed");
    assert.equal(outcome?.status, "5.2.3");
    assert.equal(
      peer.seen.commands.some((c) => c === "DATA" || c.startsWith("MAIL")),
      false,
    );
    await r.mailer().close();
  } finally {
    await peer.close();
  }
});

test("hundreds of recipients go in batches of r=, each with its outcome", async () => {
  const peer = await startPeer({
    extensions: ["PIPELINING"],
    answer: (at, line) => (at === "RCPT" && line.includes("<u7@") ? { say: "550 5.1.1 no" } : undefined),
  });
  try {
    const r = rig([host(peer.port)]);
    const mailer = r.mailer({ recipientsMax: 100 });
    const to = Array.from({ length: 250 }, (_, i) => `u${i}@x.example`);
    const outcomes = await mailer.deliver(attempt({ to }));
    assert.equal(outcomes.length, 250);
    assert.deepEqual(
      outcomes.flatMap((o, i) => (o.kind === "delivered" ? [] : [i])),
      [7],
    );
    assert.equal(peer.seen.messages.length, 3);
    await mailer.close();
  } finally {
    await peer.close();
  }
});

test("forty messages at once share at most twenty connections, all kept for the next", async () => {
  const peer = await startPeer({ extensions: ["PIPELINING"] });
  try {
    const r = rig([host(peer.port)]);
    const mailer = r.mailer();
    const outcomes = await Promise.all(Array.from({ length: 40 }, () => mailer.deliver(attempt())));
    assert.equal(outcomes.flat().filter((o) => o.kind === "delivered").length, 40);
    assert.ok(peer.seen.connections <= 20, String(peer.seen.connections));
    const before = peer.seen.connections;
    await mailer.deliver(attempt());
    assert.equal(peer.seen.connections, before);
    await mailer.close();
  } finally {
    await peer.close();
  }
});

test("a body that cannot be read to its end is cut off without its dot and deferred", async () => {
  for (const text of ["plain\r\n", "MIME-Version: 1.0\r\nContent-Type: text/plain\r\n"]) {
    const peer = await startPeer({ extensions: ["PIPELINING"] });
    try {
      const torn = {
        size: 100,
        pieces: null,
        eightBit: text.startsWith("MIME"),
        lineMax: 0,
        async *chunks(): AsyncGenerator<Buffer> {
          yield Buffer.from("half\r\n");
          throw new Error("disk");
        },
      };
      const r = rig([host(peer.port)]);
      const mailer = r.mailer();
      const header = text.startsWith("MIME") ? text : "Subject: x\r\n";
      const [outcome] = await mailer.deliver(attempt({ body: torn, header }));
      assert.equal(outcome?.kind, "deferred", JSON.stringify(outcome));
      assert.match(outcome?.text ?? "", /could not be read/);
      assert.equal(peer.seen.messages.length, 0);
      const [after] = await mailer.deliver(attempt());
      assert.equal(after?.kind, "delivered");
      await mailer.close();
    } finally {
      await peer.close();
    }
  }
});

test("8-bit bodies: converted for a host without 8BITMIME when labelled, raw when not; BODY= only as declared", async () => {
  const peer = await startPeer({ extensions: ["PIPELINING", "SIZE"] });
  const eight = await startPeer({ extensions: ["PIPELINING", "8BITMIME"] });
  try {
    const cafe = body("caf\xe9\r\n");
    const mime = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-8859-1\r\n";
    const seven = rig([host(peer.port)]).mailer();
    await seven.deliver(attempt({ body: cafe, header: mime }));
    await seven.deliver(attempt({ body: cafe }));
    await seven.deliver(attempt({ body: cafe, envelope: { body: "8BITMIME" } }));
    const raw = rig([host(peer.port)]).mailer({ flags: "mDFMuXa8" });
    await raw.deliver(attempt({ body: cafe, header: mime }));
    assert.deepEqual(
      peer.seen.messages.map((m) => /caf\S*/.exec(m.toString("latin1"))?.[0]),
      ["caf=E9", "caf\xe9", "caf=E9", "caf\xe9"],
    );
    const capable = rig([host(eight.port)]).mailer();
    await capable.deliver(attempt({ body: cafe, header: mime }));
    await capable.deliver(attempt({ body: cafe, envelope: { body: "8BITMIME" } }));
    assert.deepEqual(
      eight.seen.commands.filter((c) => c.startsWith("MAIL")),
      ["MAIL From:<sender@here.example>", "MAIL From:<sender@here.example> BODY=8BITMIME"],
    );
    for (const mailer of [seven, raw, capable]) await mailer.close();
  } finally {
    await peer.close();
    await eight.close();
  }
});

const GREETINGS: { name: string; script: Script }[] = [
  { name: "a banner of many lines", script: { greeting: "220-one\r\n220-two\r\n220 three ESMTP" } },
  { name: "a banner of 600 bytes", script: { greeting: `220 ${"x".repeat(600)}` } },
  {
    name: "an EHLO list of 150 lines",
    script: { extensions: Array.from({ length: 150 }, (_, i) => `X-${i} ${"y".repeat(50)}`) },
  },
  {
    name: "EHLO keywords of JavaScript",
    script: { extensions: ["__proto__", "constructor", "toString 7", "PIPELINING"] },
  },
  { name: "EHLO keywords in lower case", script: { extensions: ["pipelining", "size 100000", "dsn"] } },
  { name: "SIZE without a number", script: { extensions: ["SIZE", "SIZE 0"] } },
  { name: "SIZE that is no number", script: { extensions: ["SIZE -1e9x"] } },
];

for (const { name, script } of GREETINGS)
  test(`a strange but legal host gets the mail: ${name}`, async () => {
    const peer = await startPeer(script);
    try {
      const mailer = rig([host(peer.port)]).mailer();
      const [outcome] = await mailer.deliver(attempt());
      assert.ok(outcome?.text.startsWith("Sent"), JSON.stringify(outcome));
      await mailer.close();
    } finally {
      await peer.close();
    }
  });

test("over IPv6 too, with the address in relay=", async () => {
  const peer = await startPeer({ address: "::1" });
  try {
    const mailer = rig([{ name: "::1", shown: "[IPv6:::1]", port: peer.port }]).mailer();
    const [outcome] = await mailer.deliver(attempt());
    assert.equal(outcome?.kind, "delivered", JSON.stringify(outcome));
    assert.equal(outcome?.relay, "[IPv6:::1] [::1]");
    await mailer.close();
  } finally {
    await peer.close();
  }
});

test("smtp says HELO unless the greeting says ESMTP, esmtp says EHLO at once", async () => {
  for (const [flags, greeting, first] of [
    ["mDFMuX", "220 peer.example ready", "HELO here.example"],
    ["mDFMuX", "220 peer.example ESMTP ready", "EHLO here.example"],
    ["mDFMuXa", "220 peer.example ready", "EHLO here.example"],
  ] as const) {
    const peer = await startPeer({ greeting });
    try {
      const mailer = rig([host(peer.port)]).mailer({ flags });
      const [outcome] = await mailer.deliver(attempt());
      assert.equal(outcome?.kind, "delivered");
      assert.equal(peer.seen.commands[0], first);
      await mailer.close();
    } finally {
      await peer.close();
    }
  }
});

test("a port in A= or at the host is the port of the connection; m= ends a connection after so many messages", async () => {
  const peer = await startPeer({});
  try {
    const candidate = { name: "peer.example", shown: "peer.example.", port: 0 };
    const mailer = rig([candidate]).mailer({ args: `TCP $h ${peer.port}`, messagesMax: 2 });
    for (let i = 0; i < 5; i++) assert.equal((await mailer.deliver(attempt()))[0]?.kind, "delivered");
    assert.equal(peer.seen.connections, 3);
    await mailer.close();
  } finally {
    await peer.close();
  }
});

test("giving up before the message is sent ends the attempt; giving up later does not change its result", async () => {
  const controller = new AbortController();
  const peer = await startPeer({ answer: (at) => (at === "RCPT" ? null : undefined) });
  const slow = await startPeer({
    answer(at) {
      if (at === ".") later.abort();
      return undefined;
    },
  });
  const later = new AbortController();
  try {
    const waiting = rig([host(peer.port)])
      .mailer()
      .deliver(attempt({ signal: controller.signal }));
    setTimeout(() => controller.abort(), 100);
    assert.equal((await waiting)[0]?.kind, "deferred");
    const [outcome] = await rig([host(slow.port)])
      .mailer()
      .deliver(attempt({ signal: later.signal }));
    assert.equal(outcome?.kind, "delivered", JSON.stringify(outcome));
  } finally {
    await peer.close();
    await slow.close();
  }
});
