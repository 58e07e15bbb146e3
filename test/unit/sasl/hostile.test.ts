import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ABSENT } from "../../../src/base/result.ts";
import type { ServerContext } from "../../../src/sasl/mechanism.ts";
import { MECHANISMS } from "../../../src/sasl/registry.ts";
import { parseSaslConf } from "../../../src/sasl/sendmailconf.ts";
import { shaCrypt } from "../../../src/sasl/shacrypt.ts";
import { parseStore } from "../../../src/sasl/store.ts";

const context: ServerContext = {
  host: "mail.example.org",
  realm: "mail.example.org",
  service: "smtp",
  find: async () => ABSENT,
  checkPassword: async () => ABSENT,
  externalIdentity: "",
  nonce: (n) => Buffer.alloc(n, 9),
};

/** Bytes near what the mechanisms parse, and bytes near nothing. */
const message = fc.oneof(
  fc.uint8Array({ maxLength: 60 }).map((a) => Buffer.from(a)),
  fc
    .array(
      fc.constantFrom(
        "n,,",
        "y,,",
        "n=",
        "r=",
        "a=",
        "c=biws",
        ",",
        "p=",
        "=2C",
        "\0",
        "user",
        "@",
        '"',
        "\\",
        "username=",
        "nonce=",
        "realm=",
        "nc=00000001",
        "charset=utf-8",
        "qop=auth",
        "response=",
        "0".repeat(32),
        " ",
        "é",
        "\n",
        "v=",
        "e=",
        "s=AAAA",
        "i=4096",
        "rspauth=",
      ),
      { maxLength: 12 },
    )
    .map((words) => Buffer.from(words.join(""))),
);

for (const mechanism of MECHANISMS) {
  test(`${mechanism.name} server: whatever a client without credentials sends, no exception and no success`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.option(message), { maxLength: 4 }), async (messages) => {
        const exchange = mechanism.server(context);
        for (const m of messages) {
          const step = await exchange.step(m);
          assert.notEqual(step.kind, "success");
          if (step.kind === "failure") break;
        }
      }),
      { numRuns: 500 },
    );
  });
  test(`${mechanism.name} client: whatever a server sends, no exception, no proof believed, no endless talk`, () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 5 }), fc.boolean(), (messages, begin) => {
        const exchange = mechanism.client({
          host: "mail.example.org",
          service: "smtp",
          authorizationId: "",
          authenticationId: "user",
          secret: "secret",
          realm: "",
          nonce: (n) => Buffer.alloc(n, 9),
        });
        if (begin) exchange.initial();
        for (const m of messages) if (exchange.step(m).kind === "abort") break;
        if (/SCRAM|DIGEST/.test(mechanism.name)) assert.equal(exchange.finished(), false);
      }),
      { numRuns: 500 },
    );
  });
}

test("any text is a credentials file, a Sendmail.conf or a hash, or it is refused; never an exception", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => {
      parseSaslConf(text);
      assert.equal(parseStore(text).ok, false);
      shaCrypt("x", text);
    }),
    { numRuns: 500 },
  );
  fc.assert(
    fc.property(fc.json(), (text) => {
      assert.equal(parseStore(text).ok, false);
    }),
    { numRuns: 500 },
  );
});
