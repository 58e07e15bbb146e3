// The data gate against RFC 5321 4.5.2 and reliability 3.1: what ends a message, what is refused, what is kept, and that none of
// it depends on where TCP cuts the stream.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { LineGuard } from "../../../src/deliver/lineguard.ts";
import { DataGate, type GateState } from "../../../src/smtpd/datagate.ts";

interface Seen {
  state: GateState;
  header: string;
  body: string;
  size: number;
  nul: boolean;
  tooLarge: boolean;
  headerTooLarge: boolean;
  hops: number;
  lineMax: number;
  /** Bytes after the message. */
  rest: string;
}

const UNLIMITED = { sizeMax: 0, headerMax: 32768 };

function run(pieces: readonly Buffer[], limits = UNLIMITED): Seen {
  const body: Buffer[] = [];
  const gate = new DataGate(limits, (chunk) => {
    body.push(Buffer.from(chunk));
    return undefined;
  });
  let rest = "";
  for (const piece of pieces) {
    let at = 0;
    if (gate.state === "open" && piece.length > 0) at = gate.feed(piece, 0);
    rest += piece.toString("latin1", at);
  }
  const refused = gate.tooLarge || gate.headerTooLarge || gate.state.startsWith("bare");
  return {
    state: gate.state,
    header: refused ? "" : gate.header().toString("latin1"),
    // What a refused message had so far was thrown away; how much of it came through is of no interest.
    body: refused ? "" : Buffer.concat(body).toString("latin1"),
    size: gate.size,
    nul: gate.hasNul,
    tooLarge: gate.tooLarge,
    headerTooLarge: gate.headerTooLarge,
    hops: gate.hops,
    lineMax: gate.lineMax,
    rest,
  };
}

function bytewise(input: Buffer): Buffer[] {
  return [...input].map((byte) => Buffer.of(byte));
}

/** The same input in one piece, cut once at every place, and byte by byte: all must give the same. */
function everyCut(input: Buffer, limits = UNLIMITED): Seen {
  const whole = run([input], limits);
  for (let cut = 1; cut < input.length; cut++)
    assert.deepEqual(run([input.subarray(0, cut), input.subarray(cut)], limits), whole, `cut at ${cut}`);
  assert.deepEqual(run(bytewise(input), limits), whole, "byte by byte");
  return whole;
}

function latin1(text: string): Buffer {
  return Buffer.from(text, "latin1");
}

const MESSAGES: { name: string; input: string; expected: Partial<Seen> }[] = [
  {
    name: "header and body are parted at the blank line",
    input: "Subject: t\r\nTo: b\r\n\r\nline\r\n.\r\nQUIT\r\n",
    expected: {
      state: "end",
      header: "Subject: t\r\nTo: b\r\n",
      body: "line\r\n",
      lineMax: 10,
      rest: "QUIT\r\n",
    },
  },
  {
    name: "the body keeps its stuffed dots, and the size does not count them",
    input: "A: b\r\n\r\n..\r\n...x\r\n.\r\n",
    expected: { state: "end", body: "..\r\n...x\r\n", size: 16 },
  },
  {
    name: "a header line loses its stuffed dot",
    input: "A: b\r\n..c: d\r\n\r\nx\r\n.\r\n",
    expected: { state: "end", header: "A: b\r\n.c: d\r\n", body: "x\r\n" },
  },
  {
    name: "an empty message is nothing",
    input: ".\r\nRSET\r\n",
    expected: { state: "end", header: "", body: "", size: 0, rest: "RSET\r\n" },
  },
  {
    name: "a message without a blank line is all header",
    input: "A: b\r\n.\r\n",
    expected: { state: "end", header: "A: b\r\n", body: "" },
  },
  {
    name: "a first line that is no field begins the body",
    input: "no header at all\r\nA: b\r\n.\r\n",
    expected: { state: "end", header: "", body: "no header at all\r\nA: b\r\n" },
  },
  {
    name: "a line that is no field ends the header and belongs to the body",
    input: "A: b\r\nno field\r\nC: d\r\n.\r\n",
    expected: { state: "end", header: "A: b\r\n", body: "no field\r\nC: d\r\n" },
  },
  {
    name: "a first line that begins with a blank begins the body",
    input: " A: b\r\n\r\n.\r\n",
    expected: { state: "end", header: "", body: " A: b\r\n\r\n" },
  },
  {
    name: "a blank between name and colon is tolerated",
    input: "Subject : t\r\n\r\nx\r\n.\r\n",
    expected: { state: "end", header: "Subject : t\r\n", body: "x\r\n" },
  },
  {
    name: "continuation lines belong to their field",
    input: "A: b\r\n\tc\r\n d: e\r\n\r\nx\r\n.\r\n",
    expected: { state: "end", header: "A: b\r\n\tc\r\n d: e\r\n", body: "x\r\n" },
  },
  {
    name: "a From line of a mailbox is dropped, once",
    input: "From joe Sun Nov 22\r\nA: b\r\n\r\nx\r\n.\r\n",
    expected: { state: "end", header: "A: b\r\n", body: "x\r\n" },
  },
  {
    name: "an 8-bit name is no field",
    input: "A\xe9: b\r\n\r\nx\r\n.\r\n",
    expected: { state: "end", header: "", body: "A\xe9: b\r\n\r\nx\r\n" },
  },
  {
    name: "only a colon is no field",
    input: ": b\r\n\r\n.\r\n",
    expected: { state: "end", header: "", body: ": b\r\n\r\n" },
  },
  {
    name: "Received fields are counted in the header only, whatever their case",
    input: "Received: 1\r\nRECEIVED : 2\r\nX: received:\r\n received: 3\r\n\r\nReceived: 4\r\n.\r\n",
    expected: { state: "end", hops: 2 },
  },
  {
    name: "INJ-11: __proto__ is a field like any other",
    input: "__proto__: x\r\nconstructor: y\r\n\r\n.\r\n",
    expected: { state: "end", header: "__proto__: x\r\nconstructor: y\r\n" },
  },
  {
    name: "a dot line with something behind it ends nothing",
    input: "A: b\r\n\r\n. \r\n.x\r\n.\r\n",
    expected: { state: "end", body: ". \r\n.x\r\n" },
  },
  {
    name: "SMUG-11: NUL before the dot",
    input: "A: b\r\n\r\nx\r\n\x00.\r\ny\r\n.\r\n",
    expected: { state: "end", nul: true },
  },
  {
    name: "SMUG-12: NUL after the dot",
    input: "A: b\r\n\r\nx\r\n.\x00\r\ny\r\n.\r\n",
    expected: { state: "end", nul: true },
  },
  { name: "NUL in the header", input: "A: \x00b\r\n\r\nx\r\n.\r\n", expected: { state: "end", nul: true } },
];

/** SMUG-01 to SMUG-10: the sequence, and what Sendmail names first. */
const SMUGGLED: readonly (readonly [string, string, GateState])[] = [
  ["SMUG-01", "\n.\n", "bare-lf"],
  ["SMUG-02", "\n.\r", "bare-lf"],
  ["SMUG-03", "\r.\n", "bare-cr"],
  ["SMUG-04", "\r.\r", "bare-cr"],
  ["SMUG-05", "\n.\r\n", "bare-lf"],
  ["SMUG-06", "\r.\r\n", "bare-cr"],
  ["SMUG-07", "\r\n.\n", "bare-lf"],
  ["SMUG-08", "\r\n.\r", "bare-cr"],
  ["SMUG-09", "\r\n.\r\r\n", "bare-cr"],
  ["SMUG-10", "\r\r\n.\r\r\n", "bare-cr"],
];
const TAIL = "MAIL FROM:<e@c.test>\r\nRCPT TO:<b@g.test>\r\nDATA\r\nx: y\r\n\r\nsmug\r\n.\r\n";

describe("the data gate", () => {
  for (const { name, input, expected } of MESSAGES)
    it(name, () => {
      const seen = everyCut(latin1(input));
      for (const [key, value] of Object.entries(expected))
        assert.deepEqual(new Map(Object.entries(seen)).get(key), value, key);
    });

  for (const [origin, sequence, state] of SMUGGLED) {
    it(`${origin} after a body line ends the gate with ${state} at every cut`, () => {
      const seen = everyCut(latin1(`From: a\r\n\r\nline1${sequence}${TAIL}`));
      assert.equal(seen.state, state);
    });
    it(`${origin} as the first bytes (SMUG-14) never ends a message`, () => {
      const seen = everyCut(latin1(`${sequence}${TAIL}`));
      assert.equal(seen.state, state);
    });
    it(`${origin} after a body over the limit (SMUG-14) runs to the true end`, () => {
      const seen = everyCut(latin1(`A: b\r\n\r\n${"x".repeat(60)}${sequence}${TAIL}QUIT\r\n`), {
        sizeMax: 50,
        headerMax: 0,
      });
      assert.equal(seen.state, "end");
      assert.equal(seen.tooLarge, true);
      assert.equal(seen.rest, "QUIT\r\n");
    });
  }

  const SIZES: { name: string; body: string; tooLarge: boolean }[] = [
    { name: "a message of exactly the limit passes", body: "x".repeat(42), tooLarge: false },
    { name: "one byte more does not", body: "x".repeat(43), tooLarge: true },
    { name: "stuffed dots do not count", body: `..${"x".repeat(41)}`, tooLarge: false },
  ];
  for (const { name, body, tooLarge } of SIZES)
    it(`RES-06: ${name}, at every cut`, () => {
      const seen = everyCut(latin1(`A: b\r\n\r\n${body}\r\n.\r\n`), { sizeMax: 52, headerMax: 0 });
      assert.equal(seen.state, "end");
      assert.equal(seen.tooLarge, tooLarge);
    });

  const HEADERS: { name: string; input: string; limit: number; refused: boolean }[] = [
    { name: "fields up to the limit pass", input: "A: b\r\nC: d\r\n\r\n", limit: 12, refused: false },
    { name: "one byte over is refused", input: "A: b\r\nC: de\r\n\r\n", limit: 12, refused: true },
    {
      name: "one endless field is refused",
      input: `A: ${"b".repeat(5000)}\r\n\r\n`,
      limit: 3000,
      refused: true,
    },
    {
      name: "an endless first line that is no field is body",
      input: `${"b ".repeat(2500)}\r\n`,
      limit: 3000,
      refused: false,
    },
    {
      name: "a first word that never ends is no field name",
      input: `${"b".repeat(5000)}: x\r\n`,
      limit: 3000,
      refused: false,
    },
    {
      name: "a header of exactly the limit and its blank line",
      input: "A: 4567890\r\n\r\n",
      limit: 12,
      refused: false,
    },
  ];
  for (const { name, input, limit, refused } of HEADERS)
    it(`RES-04: ${name}, at every cut`, () => {
      const seen = everyCut(latin1(`${input}body\r\n.\r\nNOOP\r\n`), { sizeMax: 0, headerMax: limit });
      assert.equal(seen.state, "end");
      assert.equal(seen.headerTooLarge, refused);
      assert.equal(seen.rest, "NOOP\r\n");
    });

  it("a body of many megabytes costs no memory of its own and comes through unchanged", () => {
    const line = latin1(`${"0123456789abcdef".repeat(4)}\r\n`);
    const block = Buffer.concat(Array.from({ length: 1000 }, () => line));
    let bytes = 0;
    const gate = new DataGate(UNLIMITED, (chunk) => {
      bytes += chunk.length;
      return undefined;
    });
    gate.feed(latin1("A: b\r\n\r\n"), 0);
    for (let i = 0; i < 160; i++) gate.feed(block, 0);
    gate.feed(latin1(".\r\n"), 0);
    assert.equal(gate.state, "end");
    assert.equal(bytes, block.length * 160);
  });

  it("random streams of the dangerous bytes end as the model says, at random cuts", () => {
    // A fixed seed: the same million bytes every time.
    let seed = 12345;
    const next = (n: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return (seed >>> 8) % n;
    };
    const alphabet = ["\r\n", "\r\n", "\r\n", ".", ".", "x", "\r\n.\r\n", "\r", "\n", ": ", "A"];
    for (let round = 0; round < 20_000; round++) {
      let text = "";
      for (let i = next(12); i >= 0; i--) text += alphabet[next(alphabet.length)];
      const input = latin1(`${text}\r\n.\r\n`);
      const pieces: Buffer[] = [];
      for (let at = 0; at < input.length; ) {
        const end = Math.min(input.length, at + 1 + next(4));
        pieces.push(input.subarray(at, end));
        at = end;
      }
      const seen = run(pieces);
      assert.deepEqual(seen, run([input]), JSON.stringify(input.toString("latin1")));
      assert.equal(seen.state, model(input.toString("latin1")), JSON.stringify(input.toString("latin1")));
    }
  });
});

/** The rule in words: the first bare CR or LF counts unless CRLF.CRLF (or .CRLF at the start) comes first. */
function model(text: string): GateState {
  const end = `\r\n${text}`.indexOf("\r\n.\r\n");
  const bare = /\r(?!\n)|(?<!\r)\n/.exec(text);
  // `end` is the index of ".CRLF" in `text`.
  if (bare !== null && (end < 0 || bare.index < end)) return bare[0] === "\n" ? "bare-lf" : "bare-cr";
  return end < 0 ? "open" : "end";
}

/** A body as clients send it, good and bad: dots stuffed or not, long lines, bytes of every kind, endings of every kind. */
function randomBody(random: (below: number) => number): Buffer {
  const bytes: number[] = [];
  const lines = random(12);
  const usual = random(4) > 0;
  for (let i = 0; i < lines; i++) {
    const length = random(8) === 0 ? random(3000) : random(100);
    const dots = random(6);
    if (dots === 0) bytes.push(46, 46);
    if (dots === 1 && !usual) bytes.push(46);
    for (let j = 0; j < length; j++) {
      const odd = random(400);
      bytes.push(
        odd === 0 && !usual ? random(256) : odd < 20 ? 9 : odd < 40 ? 128 + random(128) : 32 + random(95),
      );
    }
    bytes.push(13, 10);
  }
  return Buffer.from(bytes);
}

describe("what the gate says of a body without a second look", () => {
  it("a body that it proves clean is one that the guard on the way out would not touch, at every offset in memory", () => {
    let seed = 20261201;
    const random = (below: number): number => {
      seed = (seed * 1103515245 + 12345) % 2147483648;
      return Math.floor((seed / 2147483648) * below);
    };
    let proved = 0;
    const rounds = 2000;
    for (let round = 0; round < rounds; round++) {
      const input = Buffer.concat([latin1("A: b\r\n\r\n"), randomBody(random), latin1(".\r\n")]);
      const memory = Buffer.alloc(input.length + 8);
      const offset = round % 4;
      input.copy(memory, offset);
      const placed = memory.subarray(offset, offset + input.length);
      const cut = random(input.length);
      const whole = run([placed]);
      assert.deepEqual(run(bytewise(input)), whole, `round ${round}: byte by byte`);
      assert.deepEqual(
        run([placed.subarray(0, cut), placed.subarray(cut)]),
        whole,
        `round ${round}: cut at ${cut}`,
      );
      if (whole.lineMax === 0) continue;
      proved++;
      const guard = new LineGuard(whole.lineMax, true);
      const out = guard.push(latin1(whole.body)).toString("latin1") + guard.end().toString("latin1");
      assert.equal(out, whole.body, `round ${round}: the guard changes it`);
    }
    assert.ok(proved > rounds / 2 && proved < rounds, `${proved} of ${rounds} are clean`);
  });

  for (const [name, body] of [
    ["a dot that the client did not stuff", ".x\r\n"],
    ["NUL", "a\0b\r\n"],
  ] as const)
    it(`${name} proves nothing`, () => assert.equal(everyCut(latin1(`A: b\r\n\r\n${body}.\r\n`)).lineMax, 0));

  it("the longest line counts, wherever it is and however it comes", () => {
    const input = latin1(`A: b\r\n\r\nshort\r\n${"x".repeat(1234)}\r\nshort\r\n.\r\n`);
    assert.equal(run([input]).lineMax, 1234);
    assert.equal(run(bytewise(input)).lineMax, 1234);
  });
});
