// 8-bit messages for hosts without 8BITMIME: what each part becomes (RFC 2045 section 6, RFC 2046), and that decoding gives the original.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LineGuard } from "../../../src/deliver/lineguard.ts";
import { sevenBit } from "../../../src/deliver/sevenbit.ts";
import type { Body } from "../../../src/spool/mailer.ts";

const HOW = { by: "by here.example id ID", charset: "unknown-8bit" };

function bodyOf(text: string, cut = 7): Body {
  const bytes = Buffer.from(text, "latin1");
  return {
    size: bytes.length,
    pieces: null,
    eightBit: true,
    lineMax: 0,
    async *chunks() {
      for (let at = 0; at < bytes.length; at += cut) yield bytes.subarray(at, at + cut);
    },
  };
}

async function convert(
  header: string,
  text: string,
  cut?: number,
): Promise<{ header: string; body: string } | string> {
  const made = await sevenBit({ header: Buffer.from(header, "latin1"), body: bodyOf(text, cut) }, HOW);
  if (!made.ok) return made.error;
  const chunks: Buffer[] = [];
  for await (const chunk of made.value.body.chunks()) chunks.push(chunk);
  return { header: made.value.header.toString("latin1"), body: Buffer.concat(chunks).toString("latin1") };
}

const CTE = (name: string): string =>
  `Content-Transfer-Encoding: ${name}\r\nX-MIME-Autoconverted: from 8bit to ${name} by here.example id ID\r\n`;
const MIME = "Subject: x\r\nMIME-Version: 1.0\r\n";

test("text becomes quoted-printable and the header says so", async () => {
  const made = await convert(
    `${MIME}Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n`,
    "caf\xe9 = 1\r\n..dot \r\nFrom me\r\n",
  );
  assert.deepEqual(made, {
    header: `${MIME}Content-Type: text/plain; charset=iso-8859-1\r\n${CTE("quoted-printable")}`,
    body: "caf=E9 =3D 1\r\n=2Edot=20\r\n=46rom me\r\n",
  });
});

test("text without MIME gets a version, a type with the default character set, and an encoding", async () => {
  const made = await convert("Subject: x\r\n", "\xe9\r\n");
  assert.deepEqual(made, {
    header: `Subject: x\r\n${CTE("quoted-printable")}MIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n`,
    body: "=E9\r\n",
  });
});

test("mostly 8-bit data becomes base64", async () => {
  const made = await convert(`${MIME}Content-Type: application/x-data\r\n`, "\xff\xfe\xfd\r\n\xfc\r\n");
  assert.ok(typeof made !== "string");
  assert.equal(made.header, `${MIME}Content-Type: application/x-data\r\n${CTE("base64")}`);
  assert.equal(Buffer.from(made.body, "base64").toString("latin1"), "\xff\xfe\xfd\r\n\xfc\r\n");
});

test("of a multipart only the parts with 8-bit bytes change, and the whole is 7bit", async () => {
  const made = await convert(
    `${MIME}Content-Type: multipart/mixed; boundary="a b"\r\nContent-Transfer-Encoding: 8bit\r\n`,
    [
      "pre\xe9",
      "--a b",
      "Content-Type: text/plain",
      "Content-Transfer-Encoding: 7bit",
      "",
      "plain",
      "..stuffed",
      "--a b",
      "Content-Type: text/html;",
      " charset=utf-8",
      "Content-Transfer-Encoding: 8bit",
      "",
      "\xc3\xa9",
      "--a b",
      "Content-Type: message/rfc822",
      "",
      "Subject: in",
      "Content-Type: multipart/alternative; boundary=q",
      "",
      "--q",
      "",
      "\xe9",
      "--q--",
      "--a b--",
      "epi",
      "",
    ].join("\r\n"),
  );
  assert.ok(typeof made !== "string");
  assert.equal(
    made.header,
    `${MIME}Content-Type: multipart/mixed; boundary="a b"\r\nContent-Transfer-Encoding: 7bit\r\n`,
  );
  assert.equal(
    made.body,
    [
      "pre?",
      "--a b",
      "Content-Type: text/plain",
      "Content-Transfer-Encoding: 7bit",
      "",
      "plain",
      "..stuffed",
      "--a b",
      "Content-Type: text/html;",
      " charset=utf-8",
      `${CTE("quoted-printable")}`,
      "=C3=A9",
      "--a b",
      "Content-Type: message/rfc822",
      "",
      "Subject: in",
      "Content-Type: multipart/alternative; boundary=q",
      "",
      "--q",
      `${CTE("quoted-printable")}`,
      "=E9",
      "--q--",
      "--a b--",
      "epi",
      "",
    ].join("\r\n"),
  );
});

test("a base64 part ends before its border, not with the border's line end", async () => {
  const made = await convert(
    `${MIME}Content-Type: multipart/mixed; boundary=b\r\n`,
    "--b\r\nContent-Type: image/x\r\n\r\n\xff\xff\r\n\xff\r\n--b--\r\n",
  );
  assert.ok(typeof made !== "string");
  const data = /id ID\r\n\r\n(.*)\r\n--b--/s.exec(made.body)?.[1] ?? "";
  assert.equal(Buffer.from(data, "base64").toString("latin1"), "\xff\xff\r\n\xff");
});

for (const { name, header, text } of [
  {
    name: "8-bit bytes in base64",
    header: `${MIME}Content-Transfer-Encoding: base64\r\n`,
    text: "\xff\r\n",
  },
  {
    name: "parts nested too deep",
    header: `${MIME}Content-Type: multipart/mixed; boundary=0\r\n`,
    text: Array.from(
      { length: 50 },
      (_, i) => `--${i}\r\nContent-Type: multipart/mixed; boundary=${i + 1}\r\n\r\n`,
    ).join(""),
  },
  {
    name: "a part's header without end",
    header: `${MIME}Content-Type: multipart/mixed; boundary=b\r\n`,
    text: `--b\r\n${"X-Y: z\r\n".repeat(20_000)}`,
  },
  {
    name: "ten thousand parts",
    header: `${MIME}Content-Type: multipart/mixed; boundary=b\r\n`,
    text: "--b\r\n\r\n\xe9\r\n".repeat(10_001),
  },
])
  test(`refused instead of guessed: ${name}`, async () => {
    assert.equal(typeof (await convert(header, text, 4096)), "string");
  });

function decode(text: string): string {
  return text
    .replace(/=\r\n/g, "")
    .replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

test("whatever the text, the result is 7-bit lines of at most 76, needs no repair, and decodes to the original", async () => {
  const line = fc.string({
    unit: fc.constantFrom("a", " ", "\t", "=", ".", "\xe9", "\xff", "From ", "xxxxxxxxxxxx"),
    maxLength: 40,
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(line, { minLength: 1, maxLength: 12 }),
      fc.integer({ min: 1, max: 50 }),
      async (lines, cut) => {
        const original = `\xe9${lines.join("\r\n")}\r\n`;
        const stuffed = original.replace(/^\./gm, "..");
        const made = await convert(`${MIME}Content-Type: text/plain\r\n`, stuffed, cut);
        assert.ok(typeof made !== "string");
        assert.doesNotMatch(made.body, /[^\x00-\x7f]/);
        for (const l of made.body.split("\r\n")) assert.ok(l.length <= 76);
        const guard = new LineGuard(990, true);
        assert.equal(
          guard.push(Buffer.from(made.body)).toString("latin1") + guard.end().toString(),
          made.body,
        );
        assert.equal(decode(made.body), original);
      },
    ),
    { numRuns: 500, seed: 20261122 },
  );
});
