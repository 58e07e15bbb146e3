// INJ-14 (reliability 3.4): the nineteen ways in which espoofer's server mode lets checks of a sender and readers of a message see two
// different senders ("Composition Kills", USENIX Security 2020), as cases of our own: what is sent, and what becomes of it.

import { Client } from "../flow/gateway.ts";

/** What becomes of a message: its fields leave as they came; its header ends early and is a part of the body; refused with a code. */
export type Fate = "as it came" | "header ends" | "canonical" | RegExp;

export interface Spoof {
  readonly name: string;
  /** The argument of MAIL FROM:. */
  readonly mail: string;
  /** The first lines of the message. */
  readonly fields: readonly string[];
  /** By Sendmail's rules: prescan() for the envelope, collect(), chompheader() and putheader() for the header. */
  readonly fate: Fate;
}

const FIRST = "<first@c.test>";
const BOSS = "<boss@bank.test>";

/** RFC 2047, as a display name that holds an address. */
const ENCODED = `=?utf-8?B?${Buffer.from(BOSS).toString("base64")}?=`;

/** A signature that nobody made, for checkers that take its words as they are. */
function signature(domain: string, selector: string): string {
  return `DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=${domain}; s=${selector}; h=From; bh=AAAA; b=AAAA`;
}

const plain = (name: string, mail: string, fate: Fate): Spoof => ({
  name,
  mail,
  fields: [`From: ${BOSS}`],
  fate,
});
const forged = (name: string, fields: readonly string[], fate: Fate): Spoof => ({
  name,
  mail: "<a@c.test>",
  fields,
  fate,
});

/** Another program that wrote the message, as espoofer names it where From alone is to be believed. */
const SENDER = "Sender: <s@sender.bank.test>";

export const SPOOFS: readonly Spoof[] = [
  plain("A1 an envelope sender below a domain that does not know it", "<any@none.bank.test>", "as it came"),
  plain(
    "A2 an envelope sender that is half a comment",
    "<(any@bank.test>",
    /^553 5\.0\.0 .*Unbalanced '\('$/,
  ),
  // RejectNUL, which Debian's configuration has on and we always have (contract 8.2).
  forged(
    "A3 a signature whose selector has a NUL",
    [signature("bank.test", "s._domainkey.c.test.\0.any"), `From: ${BOSS}`],
    /^554 5\.6\.1 NUL byte not allowed$/,
  ),
  forged(
    "A4 a signature whose domain has a quotation mark",
    [signature("bank.test'a.c.test", "s"), `From: ${BOSS}`],
    "as it came",
  ),
  plain(
    "A5 an envelope sender whose domain is cut by a parenthesis",
    "<any@bank.test(a.c.test>",
    /^553 5\.0\.0 .*Unbalanced '\('$/,
  ),
  plain(
    "A6 an envelope sender with a quotation mark and two at signs",
    "<any@bank.test'@any.c.test>",
    /^553 5\.1\.3 .*Invalid route address$/,
  ),
  plain("A7 an envelope sender with a route", "<@bank.test,@any.test:'any@c.test>", "as it came"),
  forged("A8 two From fields", [`From: ${FIRST}`, `From: ${BOSS}`], "as it came"),
  forged("A9 two From fields, the first behind a blank", [` From: ${FIRST}`, `From: ${BOSS}`], "header ends"),
  forged(
    "A10 two From fields, one with a blank before its colon",
    [`From: ${FIRST}`, `From : ${BOSS}`],
    "canonical",
  ),
  forged(
    "A11 two From fields, one folded before its colon",
    [`From\r\n : ${FIRST}`, `From: ${BOSS}`],
    "header ends",
  ),
  forged(
    "A12 From folded before its colon, a line without one, and Sender",
    [`From\r\n : ${FIRST}`, "n", `Sender: ${BOSS}`],
    "header ends",
  ),
  forged(
    "A13 From folded before its colon, and Resent-From",
    [`From\r\n : ${FIRST}`, `Resent-From: ${BOSS}`],
    "header ends",
  ),
  forged("A14 two addresses in From", [`From: ${FIRST}, ${BOSS}`, SENDER], "as it came"),
  forged("A15 an address in an encoded word", [`From:${ENCODED},<second@c.test>`, SENDER], "canonical"),
  forged("A16 a route in From", ["From: <@c.test,@any.test:boss@bank.test>", SENDER], "canonical"),
  forged("A17 a quoted comma in From", [`From: ${BOSS}\\,<second@c.test>`, SENDER], "canonical"),
  forged(
    "A18 an address without brackets before one with them",
    ["From: boss@bank.test,<second@c.test>", SENDER],
    "canonical",
  ),
  forged("A19 an address behind one in brackets", ["From: <any@c.test>boss@bank.test", SENDER], "as it came"),
];

/** A comma behind a backslash ends an address all the same, outside quotes and comments: A17 where it shows more. */
const COMMAS: readonly Spoof[] = [
  ["A17a", "a@b.test\\,c@d.test"],
  ["A17b", "a\\,b@c.test"],
  ["A17c", "x y\\, <a@b.test>, z@y.test"],
  ["A17d", "a@b.test\\\\,c@d.test"],
  ["A17e", "foo\\ bar@c.test,(c\\),d) d@e.test"],
].map(([number, from]) => forged(`${number} From: ${from}`, [`From: ${from}`], "canonical"));

export const CASES: readonly Spoof[] = [...SPOOFS, ...COMMAS];

/** The message of a case: the fields in question, the usual ones, a body. */
export function messageOf(spoof: Spoof): string {
  const number = spoof.name.split(" ")[0] ?? "";
  const usual = [
    "To: <b@gw2.test>",
    `Subject: spoof ${number}`,
    "Date: Sun, 22 Nov 2026 12:00:00 +0000",
    'Content-Type: text/plain; charset="UTF-8"',
    "MIME-Version: 1.0",
    `Message-ID: <${number}@c.test>`,
  ];
  return `${[...spoof.fields, ...usual].join("\r\n")}\r\n\r\nWords of case ${number}.\r\n`;
}

/** The answers to MAIL, RCPT, DATA and the final dot, up to the first refusal; queue ids as QUEUEID. */
export async function replies(port: number, spoof: Spoof): Promise<readonly string[]> {
  const client = new Client(port);
  try {
    await client.reply();
    await client.say("EHLO c.test");
    const all: string[] = [];
    for (const line of [`MAIL FROM:${spoof.mail}`, "RCPT TO:<b@gw2.test>", "DATA"]) {
      all.push(await client.say(line));
      if (!/^[23]/.test(all.at(-1) ?? "")) return all;
    }
    client.raw(`${messageOf(spoof)}.\r\n`);
    all.push((await client.reply()).replace(/^(250 2\.0\.0) \S+/, "$1 QUEUEID"));
    client.raw("QUIT\r\n");
    return all;
  } finally {
    client.close();
  }
}

/** A message as the next hop got it, without the field of the host before it and without what differs at every run. */
export function tidied(wire: Buffer): string {
  return wire
    .toString("latin1")
    .replace(/^Received: [^\r]*\r\n(?:[\t ][^\r]*\r\n)*/, "")
    .replace(/^(Date: )(?!Sun, 22 Nov 2026 12:00:00).*$/m, "$1DATE")
    .replace(/^(Message-Id: )<\d{12}\.[^@>]*@/m, "$1<TIME.QUEUEID@");
}
