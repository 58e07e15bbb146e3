// What is fuzzed: everything that reads what others wrote. A target takes one case and throws when a promise does not hold; what it
// promises is said at each. None may throw otherwise, or take longer than the runner allows.

import { compileMc } from "../../src/config/compile.ts";
import { formatCompiled, parseCompiled } from "../../src/config/compiled.ts";
import { encodeFrame, type Frame, FrameReader } from "../../src/control/frame.ts";
import { type PeerReply, ReplyParser } from "../../src/deliver/peerreply.ts";
import { joinTokens, scanAddress, tokensOf } from "../../src/mail/address.ts";
import { focusText, focusToText } from "../../src/mail/focus.ts";
import { parseAliases } from "../../src/map/aliases.ts";
import { parseMapText, SOURCE_DEFAULTS, SourceReader } from "../../src/map/textmap.ts";
import { MECHANISMS } from "../../src/sasl/registry.ts";
import {
  decodeAccept,
  decodeEnvelope,
  decodeGlobal,
  decodeOutcome,
  decodeProgress,
  encodeEnvelope,
} from "../../src/spool/codec.ts";
import { draftOf, encodeRecord, SEGMENT_HEAD_BYTES, scanSegment } from "../../src/spool/record.ts";
import type { Chance } from "./chance.ts";
import { session } from "./session.ts";

/** One case; throws when a promise is broken. */
export type Target = (chance: Chance) => void | Promise<void>;

/** Fails the case. */
export function must(holds: boolean, promise: string): void {
  if (!holds) throw new Error(promise);
}

const ADDRESS_WORDS = [
  ...'< > @ , ; : ( ) [ ] \\ " % ! . \0 \r\n \t'.split(" "),
  " ",
  "\u00e9\u00ff",
  "[IPv6:::1]",
  ":include:/etc/passwd",
  "|/bin/sh",
  "/etc/passwd",
  "__proto__",
  "constructor",
  "a@b.example",
  "<@a.example,@b.example:c@d.example>",
  '"quoted @ text"@host',
  "host!user%other@third",
  "$\x7brun{x}}",
  "x".repeat(300),
];

/** Scanning ends, gives printable pieces of what came in, and says the same again for what it put together. */
function address(chance: Chance): void {
  const bytes = chance.mutate(Buffer.from(chance.pick(ADDRESS_WORDS)), ADDRESS_WORDS, 1 + chance.below(15));
  const text = bytes.toString("latin1");
  const scanned = scanAddress(text, 0, chance.pick(["", " ", ","]), chance.next() < 0.5);
  if (scanned.ok) {
    must(scanned.value.end <= text.length, "the end lies in the text");
    must(
      scanned.value.tokens.every((token) => token !== ""),
      "no token is empty",
    );
    const joined = joinTokens(scanned.value.tokens);
    const again = joinTokens(tokensOf(joined));
    must(joinTokens(tokensOf(again)) === again, `joining is stable: ${JSON.stringify([joined, again])}`);
  } else must(!/[\r\n\0]/.test(scanned.error.text ?? ""), "an error is one line");
  const focused = focusText(text, { uucp: chance.next() < 0.5, percent: chance.next() < 0.5 });
  // "@" and ".UUCP" may be added.
  must(focusToText(focused).length <= text.length + 8, "the focus is made of the text");
}

const MC_TEXT = `divert(-1)
a comment
divert(0)dnl
VERSIONID(\`fuzz')dnl
OSTYPE(\`linux')dnl
define(\`confPRIVACY_FLAGS', \`goaway')dnl
define(\`confTO_QUEUERETURN', \`5d')dnl
define(\`SMART_HOST', \`relay:[192.0.2.1]')dnl
FEATURE(\`mailertable', \`hash -o /etc/mail/mailertable.db')dnl
FEATURE(\`access_db')dnl
FEATURE(\`dnsbl', \`bl.example', \`refused')dnl
MASQUERADE_AS(\`example.org')dnl
DAEMON_OPTIONS(\`Name=MTA, Family=inet, Addr=127.0.0.1, Port=25')dnl
TRUST_AUTH_MECH(\`PLAIN LOGIN')dnl
ifdef(\`x', \`define(\`y', eval(1+2*3))', \`undefine(\`z')')dnl
MAILER(\`smtp')dnl
MAILER(\`local')dnl
LOCAL_CONFIG
Cwother.example
`;
const MC_WORDS = [
  ..."` ' ( ) , dnl define undefine pushdef popdef ifelse ifdef include sinclude eval syscmd esyscmd divert undivert".split(
    " ",
  ),
  ..."changequote changecom translit format index substr len regexp patsubst shift $@ $* $# $0 $1 incr builtin".split(
    " ",
  ),
  "define(`a',`a a')a",
  "define(`f',`f(f($1)f)')f(1)",
  "forloop",
  "eval(1/0)",
  "eval(2**31)",
  "eval(-9999999999%0)",
  "FEATURE(`",
  "MAILER(`",
  "DAEMON_OPTIONS(`Name=",
  "define(`confTO_",
  "O DeliveryMode=i",
  "Kx hash /etc/mail/x",
  "changequote([,])",
  "LOCAL_RULE_0",
  "LOCAL_RULESETS\nSLocal_check_mail\nR$*\t$@ OK\n",
  "translit(abc,a-z,A-Z)",
  "format(`%99999d',1)",
  "substr(abcdef,-1,99999999)",
];

/** Compiling ends, in errors with places or in a configuration that reads back as itself. */
function m4(chance: Chance): void {
  const text = chance.mutate(Buffer.from(MC_TEXT), MC_WORDS, 1 + chance.below(12));
  const result = compileMc("/etc/mail/sendmail.mc", (path) =>
    path === "/etc/mail/sendmail.mc" ? { kind: "found", value: text } : { kind: "absent" },
  );
  must(result.configuration !== null || result.errors.length > 0, "no configuration without a reason");
  for (const { place } of result.errors)
    must(place.line >= 1 && place.column >= 1 && place.file !== "", "every error has a place");
  if (result.configuration === null) return;
  const formatted = formatCompiled(result.configuration);
  const parsed = parseCompiled(formatted);
  must(parsed.ok, `a compiled configuration reads back: ${parsed.ok ? "" : parsed.error}`);
  if (parsed.ok) must(formatCompiled(parsed.value) === formatted, "and is the same again");
}

let compiled: Buffer | null = null;

/** A damaged compiled configuration is refused or read, and what is read can be written. */
function compiledForm(chance: Chance): void {
  if (compiled === null) {
    const { configuration } = compileMc("/m.mc", () => ({ kind: "found", value: Buffer.from(MC_TEXT) }));
    if (configuration === null) throw new Error("the fuzzer's own configuration is wrong");
    compiled = Buffer.from(formatCompiled(configuration));
  }
  const words = ["null", "{}", "[]", "-1", "1e999", '"x"', '"__proto__"', "true", ",", "{", "}", '"'];
  const parsed = parseCompiled(chance.mutate(compiled, words).toString("latin1"));
  if (parsed.ok) formatCompiled(parsed.value);
}

const TABLE_TEXT =
  "# comment\nexample.com\tREJECT\nConnect:192.0.2\tRELAY\n.polkatistas.org  smtp:[10.0.0.1]\njoe@x.example error:5.7.1:550 no\nkey\n leading\n";
const TABLE_WORDS = [
  "\n",
  "\t",
  " ",
  "#",
  ":",
  "\0",
  "\r\n",
  "\\\n",
  '"',
  "__proto__",
  "\u00e9",
  "x".repeat(5000),
  ",",
];

/** The pieces in which a source comes do not matter; keys and values are single words and lines. */
function tables(chance: Chance): void {
  const text = chance.mutate(Buffer.from(TABLE_TEXT), TABLE_WORDS);
  const whole = parseMapText(text);
  const pieced = new Map<string, string>();
  const reader = new SourceReader(SOURCE_DEFAULTS, {
    entry: (key, value) => void (pieced.has(key) || pieced.set(key, value)),
    problem: () => {},
  });
  for (const piece of chance.pieces(text)) reader.push(piece);
  reader.end();
  must(JSON.stringify([...pieced]) === JSON.stringify([...whole.entries]), "pieces make no difference");
  for (const [key, value] of whole.entries) {
    must(!/[\n\0\t ]/.test(key), `a key is a word: ${JSON.stringify(key)}`);
    must(!/[\n\0]/.test(value), "a value is one line");
  }
  for (const [key, value] of parseAliases(chance.mutate(text, TABLE_WORDS)).entries)
    must(key !== "" && !/[\n\0]/.test(key) && !/\0/.test(value), "an alias is a name and a line");
}

const JSON_WORDS = ["null", "[]", "{}", "-1", "1e400", '"__proto__"', "9".repeat(40), '"', "\0", "\\u0000"];

/** What is damaged is never read as a record; what was not touched is found. */
function records(chance: Chance): void {
  const segment = { salt: chance.bytes(8), epoch: chance.below(1000) };
  const payloads = Array.from({ length: 1 + chance.below(8) }, () => chance.bytes(chance.below(200)));
  const pieces: Buffer[] = [Buffer.alloc(SEGMENT_HEAD_BYTES)];
  const spans: { from: number; to: number; payload: Buffer }[] = [];
  for (const [batch, payload] of payloads.entries()) {
    const from = pieces.reduce((sum, piece) => sum + piece.length, 0);
    encodeRecord(draftOf(1 + chance.below(6), [payload]), segment, batch + 1, pieces);
    spans.push({ from, to: pieces.reduce((sum, piece) => sum + piece.length, 0), payload });
  }
  pieces.push(chance.next() < 0.5 ? Buffer.alloc(chance.below(500)) : chance.bytes(chance.below(500)));
  const bytes = Buffer.concat(pieces);
  const touched: number[] = [];
  for (let n = chance.below(4); n > 0; n--) {
    const at = SEGMENT_HEAD_BYTES + chance.below(bytes.length - SEGMENT_HEAD_BYTES);
    const value = chance.pick([0, 255, (bytes[at] ?? 0) ^ (1 << chance.below(8)), chance.below(256)]);
    if (value === bytes[at]) continue;
    bytes[at] = value;
    touched.push(at);
  }
  const cut = chance.next() < 0.2 ? SEGMENT_HEAD_BYTES + chance.below(bytes.length) : bytes.length;
  const found = scanSegment(bytes.subarray(0, cut), segment.salt, segment.epoch).items;
  const read = new Map(found.flatMap((item) => (item.kind === "record" ? [[item.offset, item]] : [])));
  for (const { from, to, payload } of spans) {
    const item = read.get(from);
    read.delete(from);
    const whole = to <= cut && !touched.some((at) => at >= from && at < to);
    if (whole) must(item !== undefined, "an untouched record is found");
    if (item !== undefined) must(item.payload.equals(payload), "a record that is read is what was written");
  }
  must(read.size === 0, "nothing else is a record");
}

const PAYLOADS = [
  '00000000000001{"n":1,"l":5,"w":true,"h":"","m":"Deferred","i":0,"d":[[0,"smtp","h","u@h","u@h","","",0,null,null,0,"4.4.1","x"]]}',
  '00000000000001{"n":1,"x":[[0,1,"2.0.0","Sent"]]}',
  '{"s":"a@b","r":["c@d",["e@f",["NEVER"],"rfc822;e"]],"o":["h","n","1.2.3.4","ok","ESMTP","MTA"],"l":"","b":"8BITMIME"}',
  '{"b":3,"t":100,"s":["delivery"]}',
];

/** Payloads of any bytes are read or refused, and an envelope that is read is written and read as the same. */
function payloads(chance: Chance): void {
  const bytes = chance.mutate(Buffer.from(chance.pick(PAYLOADS), "latin1"), JSON_WORDS);
  decodeAccept(bytes);
  decodeProgress(bytes);
  decodeOutcome(bytes);
  decodeGlobal(bytes);
  const envelope = decodeEnvelope(bytes);
  if (!envelope.ok) return;
  const written = encodeEnvelope(envelope.value);
  const again = decodeEnvelope(written);
  must(again.ok && encodeEnvelope(again.value).equals(written), "an envelope reads back as itself");
}

/** Frames come out as they went in, in whatever pieces; rubbish breaks the reader for good and does not fill the memory. */
function frames(chance: Chance): void {
  const sent = Array.from({ length: chance.below(6) }, () => ({
    type: chance.pick(["J", "D", "E", "X"] as const),
    payload: chance.bytes(chance.below(chance.pick([1, 30, 3000]))),
  })) satisfies Frame[];
  const good = Buffer.concat(sent.map(({ type, payload }) => encodeFrame(type, payload)));
  const reader = new FrameReader();
  const got = chance.pieces(good).flatMap((piece) => reader.push(piece));
  must(reader.broken === "" && got.length === sent.length, "every frame comes out");
  for (const [n, frame] of got.entries())
    must(frame.type === sent[n]?.type && frame.payload.equals(sent[n].payload), "as it went in");
  const bad = new FrameReader();
  for (const piece of chance.pieces(chance.mutate(good, ["J\0\0\0\0", "Z", "\xff\xff\xff\xff", "D"])))
    must(bad.push(piece).length >= 0, "rubbish is no exception");
}

const REPLY_WORDS = [
  "250 ",
  "250-",
  "\r\n",
  "\n",
  "\r",
  "550-5.1.1 ",
  "\x1b[2J",
  "\0",
  "5x0 ",
  "999 ",
  "x".repeat(3000),
];

/** A next hop's bytes become bounded printable replies, the same in whatever pieces, or an error. */
function peerReplies(chance: Chance): void {
  const bytes = chance.mutate(
    Buffer.from("220 hop ESMTP\r\n250-hop\r\n250 SIZE\r\n550 5.1.1 no\r\n"),
    REPLY_WORDS,
  );
  const read = (pieces: readonly Buffer[]): { replies: PeerReply[]; wrong: boolean } => {
    const parser = new ReplyParser();
    const replies: PeerReply[] = [];
    for (const piece of pieces)
      if (parser.feed(piece, (reply) => replies.push(reply)) !== null) return { replies, wrong: true };
    return { replies, wrong: false };
  };
  const whole = read([bytes]);
  must(JSON.stringify(read(chance.pieces(bytes))) === JSON.stringify(whole), "pieces make no difference");
  for (const reply of whole.replies) {
    must(reply.code >= 200 && reply.code <= 599, "a code is a code");
    must(
      reply.lines.every((line) => /^[\x20-\x7e]*$/.test(line)),
      "text is printable",
    );
  }
}

const SASL_WORDS = [
  "\0",
  ",",
  "=",
  '"',
  "n,,",
  "c=biws",
  "r=",
  "p=",
  "username=",
  "nonce=",
  "qop=auth",
  "__proto__",
  "user",
];

/** No bytes of a client or a server end a mechanism with an exception, and none let in a user that nobody has. */
async function sasl(chance: Chance): Promise<void> {
  const mechanism = MECHANISMS[chance.below(MECHANISMS.length)];
  if (mechanism === undefined) return;
  const server = mechanism.server({
    host: "mail.gw.test",
    realm: "gw.test",
    service: "smtp",
    find: async () => ({ kind: "absent" }),
    checkPassword: async () => ({ kind: "absent" }),
    externalIdentity: "",
    nonce: (bytes) => Buffer.alloc(bytes, 7),
  });
  const client = mechanism.client({
    host: "mail.gw.test",
    service: "smtp",
    authorizationId: "",
    authenticationId: "user",
    secret: "secret",
    realm: "",
    nonce: (bytes) => Buffer.alloc(bytes, 9),
  });
  let said = client.initial();
  for (let n = 0; n < 6; n++) {
    const heard: Buffer | null = said === null ? null : chance.mutate(said, SASL_WORDS, chance.below(3));
    const answer = await server.step(heard);
    must(answer.kind !== "success", `${mechanism.name} lets in a stranger`);
    if (answer.kind !== "challenge") return;
    const next = client.step(chance.mutate(answer.data, SASL_WORDS, chance.below(3)));
    if (next.kind === "abort") return;
    said = next.data;
  }
}

/** All of them, by name. */
export const TARGETS: ReadonlyMap<string, Target> = new Map<string, Target>([
  ["session", session],
  ["address", address],
  ["m4", m4],
  ["compiled", compiledForm],
  ["tables", tables],
  ["records", records],
  ["payloads", payloads],
  ["frames", frames],
  ["replies", peerReplies],
  ["sasl", sasl],
]);
