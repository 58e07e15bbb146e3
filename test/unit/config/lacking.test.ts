// What a board has not, no configuration gets: the source is refused by the compiler, the compiled form from a larger machine when it
// is loaded, with the same words; what nobody asked for by name is no reason to refuse.

import assert from "node:assert/strict";
import { test } from "node:test";
import { formatCompiled, parseCompiled } from "../../../src/config/compiled.ts";
import type { Configuration } from "../../../src/config/configuration.ts";
import { lackingParts } from "../../../src/config/lacking.ts";
import { buildWithout, compileText } from "./sources.ts";

function compiled(text: string): Configuration {
  const { configuration, errors } = compileText(text);
  assert.deepEqual(errors, []);
  assert.ok(configuration !== null);
  return configuration;
}

/** Messages without their places. */
function texts(messages: readonly string[]): string[] {
  return messages.map((text) => text.replace(/^sendmail\.mc:\d+:\d+: (warning: )?/, ""));
}

const OFF = [
  "MAILER_PROCMAIL",
  "MAILER_LMTP",
  "MAILER_PROG",
  "POLICY_DNSBL",
  "POLICY_GREET_PAUSE",
  "POLICY_RATES",
  "TLS_SERVER",
  "TLS_CLIENT",
];
const ACCESS = "FEATURE(`access_db')dnl\n";

// biome-ignore format: one case a line.
const CASES: readonly { readonly symbol: string; readonly asks: string; readonly refused: string; readonly mailers?: string }[] = [
  { symbol: "MAILER_PROCMAIL", asks: "", mailers: "MAILER(`procmail')dnl\n", refused: "MAILER(procmail)" },
  { symbol: "MAILER_PROCMAIL", asks: "FEATURE(`local_procmail')dnl\n", refused: "FEATURE(local_procmail)" },
  { symbol: "MAILER_PROCMAIL", asks: "define(`LOCAL_MAILER_PATH',`/usr/bin/maildrop')dnl\n", refused: "LOCAL_MAILER_PATH with a program" },
  { symbol: "MAILER_LMTP", asks: "", mailers: "MAILER(`cyrusv2')dnl\n", refused: "MAILER(cyrusv2)" },
  { symbol: "MAILER_LMTP", asks: "FEATURE(`local_lmtp',`[IPC]',`FILE /run/lmtp')dnl\n", refused: "FEATURE(local_lmtp)" },
  { symbol: "MAILER_PROG", asks: "FEATURE(`smrsh')dnl\n", refused: "FEATURE(smrsh)" },
  { symbol: "POLICY_DNSBL", asks: "FEATURE(`dnsbl',`list.example')dnl\n", refused: "FEATURE(dnsbl)" },
  { symbol: "POLICY_DNSBL", asks: "FEATURE(`enhdnsbl',`list.example')dnl\n", refused: "FEATURE(enhdnsbl)" },
  { symbol: "POLICY_GREET_PAUSE", asks: `${ACCESS}FEATURE(\`greet_pause',5000)dnl\n`, refused: "FEATURE(greet_pause)" },
  { symbol: "POLICY_RATES", asks: `${ACCESS}FEATURE(\`ratecontrol')dnl\n`, refused: "FEATURE(ratecontrol)" },
  { symbol: "POLICY_RATES", asks: `${ACCESS}FEATURE(\`conncontrol')dnl\n`, refused: "FEATURE(conncontrol)" },
  { symbol: "TLS_SERVER", asks: "define(`confSERVER_CERT',`/etc/mail/c.pem')dnl\ndefine(`confSERVER_KEY',`/etc/mail/k.pem')dnl\n", refused: "confSERVER_CERT" },
  { symbol: "TLS_CLIENT", asks: "define(`confCLIENT_CERT',`/etc/mail/c.pem')dnl\ndefine(`confCLIENT_KEY',`/etc/mail/k.pem')dnl\n", refused: "confCLIENT_CERT" },
];

for (const { symbol, asks, refused, mailers = "" } of CASES) {
  const text = `OSTYPE(\`linux')dnl\n${asks}MAILER(\`local')dnl\nMAILER(\`smtp')dnl\n${mailers}`;
  const build = buildWithout(symbol);
  const words = build.missing(refused);

  test(`without ${symbol} the source that asks for ${refused} is refused`, () => {
    const result = compileText(text, {}, build);
    assert.deepEqual(texts(result.errors), [words]);
  });

  test(`without ${symbol} the compiled form that asks for ${refused} is refused`, () => {
    const whole = parseCompiled(formatCompiled(compiled(text)));
    assert.ok(whole.ok);
    assert.deepEqual(lackingParts(whole.value, build), [words]);
    assert.deepEqual(lackingParts(whole.value, buildWithout()), []);
  });
}

test("a plain configuration for Linux asks for nothing that a board leaves out", () => {
  const text = "OSTYPE(`linux')dnl\nMAILER(`local')dnl\nMAILER(`smtp')dnl\n";
  const configuration = compiled(text);
  assert.deepEqual(lackingParts(configuration, buildWithout(...OFF)), []);
  assert.deepEqual(compileText(text, {}, buildWithout(...OFF)).errors, []);
});

test("a mailer of MAILER_DEFINITIONS needs its implementation", () => {
  const text =
    "OSTYPE(`linux')dnl\nMAILER(`smtp')dnl\nMAILER_DEFINITIONS\nMstore, P=[IPC], F=lsDFMnqXz, A=TCP $h 24\n";
  assert.equal(
    texts(compileText(text, {}, buildWithout("MAILER_LMTP")).errors)[0],
    buildWithout().missing("mailer store (lmtp)"),
  );
  assert.deepEqual(compileText(text, {}, buildWithout()).errors, []);
});

test("AUTH mechanisms that are asked for and not there are left out with a warning, those of the default list without", () => {
  const build = buildWithout("SASL_DIGEST_MD5");
  const asked = compileText(
    "OSTYPE(`linux')dnl\ndefine(`confAUTH_MECHANISMS',`DIGEST-MD5 CRAM-MD5')dnl\nMAILER(`smtp')dnl\n",
    {},
    build,
  );
  assert.deepEqual(asked.configuration?.options.AuthMechanisms, ["CRAM-MD5"]);
  assert.deepEqual(texts(asked.warnings), [
    `${build.missing("confAUTH_MECHANISMS: DIGEST-MD5")} and is left out`,
  ]);
  const plain = compileText("OSTYPE(`linux')dnl\nMAILER(`smtp')dnl\n", {}, build);
  assert.deepEqual(plain.warnings, []);
});
