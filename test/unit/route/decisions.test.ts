// Properties of decisions over the reference's configurations: any address is decided, bounded, and rewriting what is rewritten changes
// nothing where no table says otherwise; the trace tells the decision that is made.

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { expandRecipient } from "../../../src/route/expand.ts";
import { resolveRecipient } from "../../../src/route/resolve.ts";
import { envelopeSenderFor, rewriteAddress, rewriteHeader } from "../../../src/route/rewrite.ts";
import type { TraceStep } from "../../../src/route/run.ts";
import { readZone } from "../../oracle/resolver.ts";
import { openCase } from "../../oracle/site.ts";

const RECORDED = join(import.meta.dirname, "../../oracle/recorded");
const zone = readZone(join(RECORDED, "dns.json"));
const sites = new Map(
  ["a", "b", "c", "d", "e", "f"].map((name) => [name, openCase(join(RECORDED, `config-${name}`), zone).site]),
);
const anySite = fc.constantFrom(...sites.values());
const anyText = fc.oneof(
  fc.string({ maxLength: 120 }),
  fc.string({ maxLength: 60, unit: fc.constantFrom(...'<>()\\"@:;,.%! ab[]+') }),
);
const host = fc.constantFrom(
  ...[
    "polkatistas.org",
    "example.com",
    "virt.example",
    "a.multi.example",
    "[1.2.3.4]",
    "nosuch.example",
    "FOO.Hackenbush.COM",
  ],
  ...[
    "pc1.inside.example",
    "servfail.example",
    "other.example",
    "localhost",
    "x.direct.example",
    "mail.polkatistas.org",
  ],
);
const local = fc.constantFrom(
  "joe",
  "root",
  "larry+x",
  "a%b",
  "mick",
  '"a b"',
  "self",
  "postmaster",
  "x.y",
  "+",
);
const plausible = fc.oneof(
  local,
  fc.tuple(local, host).map(([user, where]) => `${user}@${where}`),
);

test("any text is decided without an exception", async () => {
  await fc.assert(
    fc.asyncProperty(anySite, anyText, async (site, text) => {
      const answer = await resolveRecipient(site, text);
      if (answer.kind === "error") assert.ok(answer.reply.code >= 400 && answer.reply.code < 600);
      else assert.ok(site.mailers.has(answer.mailer));
      await expandRecipient(site, { address: text });
    }),
    { numRuns: 600 },
  );
});

test("rewriting for SMTP what is rewritten changes nothing, except through genericstable", async () => {
  const plain = fc.constantFrom(...["a", "d", "e", "f"].map((name) => sites.get(name)));
  const place = fc.constantFrom("header-sender", "header-recipient", "envelope-sender");
  await fc.assert(
    fc.asyncProperty(plain, place, plausible, async (site, where, address) => {
      assert.ok(site !== undefined);
      const once = await rewriteAddress(site, "esmtp", where, address);
      assert.equal(await rewriteAddress(site, "esmtp", where, once), once);
    }),
    { numRuns: 500 },
  );
});

test("a header rewritten twice is rewritten once", async () => {
  const field = fc.constantFrom("From", "To", "Cc", "X-Foo", "Reply-To");
  const line = fc.tuple(field, fc.array(plausible, { minLength: 1, maxLength: 6 }));
  await fc.assert(
    fc.asyncProperty(fc.array(line, { maxLength: 5 }), async (lines) => {
      const site = sites.get("a");
      assert.ok(site !== undefined);
      const text = lines.map(([name, list]) => `${name}: ${list.join(", ")}\r\n`).join("");
      const once = await rewriteHeader(site, "esmtp", Buffer.from(text));
      assert.equal((await rewriteHeader(site, "esmtp", once)).toString(), once.toString());
    }),
    { numRuns: 200 },
  );
});

test("a header without addresses comes back as the same Buffer", async () => {
  const site = sites.get("a");
  assert.ok(site !== undefined);
  const header = Buffer.from("Subject: joe@polkatistas.org\r\nX-Foo: <a@b>, c\r\n\tcontinued\r\n");
  assert.equal(await rewriteHeader(site, "esmtp", header), header);
});

test("the last step of a trace is the decision", async () => {
  await fc.assert(
    fc.asyncProperty(anySite, plausible, async (site, address) => {
      const steps: TraceStep[] = [];
      const answer = await resolveRecipient(site, address, { trace: (step) => steps.push(step) });
      if (answer.kind !== "route" || answer.loop) return;
      assert.equal(steps.at(-1)?.text, `mailer ${answer.mailer}, host ${answer.host}, user ${answer.user}`);
    }),
    { numRuns: 300 },
  );
});

test("the null sender stays null for every mailer", async () => {
  for (const site of sites.values())
    for (const mailer of site.mailers.keys()) assert.equal(await envelopeSenderFor(site, mailer, ""), "");
});
