// The compiled form: nothing is lost on the way through it, what is not ours or damaged is refused, staleness is seen.
// Properties are checked with generated configurations and with arbitrary text.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatCompiled, isStale, parseCompiled } from "../../../src/config/compiled.ts";
import { defaultConfiguration } from "../../../src/config/defaults.ts";
import { FEATURES } from "../../../src/config/features.ts";
import { OPTION_ROWS } from "../../../src/config/optiontable.ts";
import { compileText, usual } from "./sources.ts";

const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/);
const domain = fc.tuple(name, name).map(([a, b]) => `${a}.${b}`);

const option = fc.constantFrom(...OPTION_ROWS.filter((row) => row.conf !== "")).chain((row) => {
  const value =
    row.kind === "boolean"
      ? fc.constantFrom("True", "False", "")
      : row.kind === "duration"
        ? fc.nat(500).map((n) => `${n}s`)
        : row.kind === "integer" || row.kind === "bytes"
          ? fc.nat(1000).map(String)
          : row.values.length > 0
            ? fc.constantFrom(...row.values)
            : name;
  return value.map((text) => `define(\`${row.conf}', \`${text}')dnl`);
});

const feature = fc.constantFrom(...FEATURES.keys()).map((key) => `FEATURE(\`${key}')dnl`);

const directive = fc
  .tuple(
    fc.constantFrom(
      "MASQUERADE_AS",
      "MASQUERADE_DOMAIN",
      "EXPOSED_USER",
      "LOCAL_DOMAIN",
      "RELAY_DOMAIN",
      "VIRTUSER_DOMAIN",
      "GENERICS_DOMAIN",
    ),
    domain,
  )
  .map(([word, value]) => `${word}(\`${value}')dnl`);

const relay = fc
  .tuple(
    fc.constantFrom("SMART_HOST", "MAIL_HUB", "LUSER_RELAY"),
    fc.constantFrom("", "esmtp:", "relay:"),
    domain,
  )
  .map(([macro, mailer, host]) => `define(\`${macro}', \`${mailer}[${host}]')dnl`);

const lines = fc.array(fc.oneof(option, feature, directive, relay), { maxLength: 12 });

test("compile(show(compile(x))) = compile(x)", () => {
  let compiledOnes = 0;
  fc.assert(
    fc.property(lines, (body) => {
      const { configuration, errors } = compileText(usual(`FEATURE(\`access_db')dnl\n${body.join("\n")}`));
      // What does not compile says why.
      if (configuration === null) return errors.length > 0;
      compiledOnes += 1;
      const again = parseCompiled(formatCompiled(configuration));
      assert.ok(again.ok, again.ok ? "" : again.error);
      assert.deepEqual(again.value, configuration);
      assert.equal(formatCompiled(again.value), formatCompiled(configuration));
      return true;
    }),
    { numRuns: 300 },
  );
  assert.ok(compiledOnes > 30, String(compiledOnes));
});

test("any text compiles or is refused, and never throws", () => {
  const piece = fc.constantFrom(
    "define(",
    "`",
    "'",
    ")",
    "(",
    ",",
    "FEATURE(",
    "MAILER(",
    "dnl",
    "\n",
    "LOCAL_CONFIG\n",
    "include(",
    "divert(",
    "eval(",
    "changequote(",
    "[",
    "]",
    "#",
    "__proto__",
    "constructor",
    "$@",
    "$1",
    "x",
    "O A=b",
    "C{__proto__}a",
    "Dj",
    "ifelse(",
    "pushdef(",
    "access_db",
    "smtp",
    "OSTYPE(",
    "linux",
    "\u0000",
    "\u0001builtin:len",
    "é",
    "-1",
    "translit(",
    "format(",
    "%9999d",
    "substr(",
    "DAEMON_OPTIONS(",
    "Port=",
    "Addr=",
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(piece, fc.string()), { maxLength: 60 }), (parts) => {
      const { configuration, errors } = compileText(parts.join(""));
      assert.equal(configuration === null, errors.length > 0);
      for (const line of errors) assert.match(line, /^[^\n]*:\d+:\d+: [^\n]+$/);
    }),
    { numRuns: 1000 },
  );
});

test("the default configuration is what the smallest .mc compiles to", () => {
  const { configuration } = compileText(usual("dnl"));
  assert.ok(configuration !== null);
  assert.deepEqual({ ...configuration, sources: [] }, defaultConfiguration());
});

test("a compiled form is stale when a source has changed or is gone", () => {
  const { configuration } = compileText(usual("include(`/etc/mail/a.m4')dnl"), { "/etc/mail/a.m4": "dnl\n" });
  assert.ok(configuration !== null);
  const main = usual("include(`/etc/mail/a.m4')dnl");
  const reader = (mc: string, included: string | null) => (path: string) => {
    const text = path.endsWith("a.m4") ? included : mc;
    return text === null
      ? ({ kind: "absent" } as const)
      : ({ kind: "found", value: Buffer.from(text) } as const);
  };
  assert.equal(isStale(configuration, reader(main, "dnl\n")), null);
  assert.equal(isStale(configuration, reader(`${main} `, "dnl\n")), "/etc/mail/sendmail.mc");
  assert.equal(isStale(configuration, reader(main, "dnl x\n")), "/etc/mail/a.m4");
  assert.equal(isStale(configuration, reader(main, null)), "/etc/mail/a.m4");
});

const good = formatCompiled(defaultConfiguration());
const changed = (from: string, to: string): string => {
  assert.ok(good.includes(from), from);
  return good.replace(from, to);
};

for (const { name: what, text, error } of [
  {
    name: "a sendmail.cf",
    text: "#\n# Copyright\nV10/Berkeley\nCwlocalhost\n",
    error: /^this is a sendmail\.cf of Sendmail/,
  },
  {
    name: "a sendmail.cf without comments",
    text: "Cwlocalhost\nDSrelay\n",
    error: /^this is a sendmail\.cf of Sendmail/,
  },
  { name: "nothing", text: "", error: /^not a compiled configuration/ },
  { name: "half a file", text: good.slice(0, good.length / 2), error: /^not a compiled configuration: / },
  { name: "other JSON", text: "{}", error: /^not a compiled configuration \(postern m4 writes one\)$/ },
  { name: "a list", text: "[]", error: /^not a compiled configuration/ },
  {
    name: "another version",
    text: changed('"version": 1', '"version": 99'),
    error: /^compiled by another version \(99, /,
  },
  {
    name: "an option of the wrong kind",
    text: changed('"LogLevel": 9', '"LogLevel": "9"'),
    error: /option LogLevel has an unusable value$/,
  },
  {
    name: "an option out of bounds",
    text: changed('"MaxHopCount": 25', '"MaxHopCount": -1'),
    error: /option MaxHopCount has/,
  },
  {
    name: "a choice that is none",
    text: changed('"background"', '"sometime"'),
    error: /option DeliveryMode has/,
  },
  {
    name: "an option nobody knows",
    text: changed('"LogLevel": 9', '"LogLevel": 9, "Nosuch": 1'),
    error: /unknown option Nosuch$/,
  },
  {
    name: "a feature of the wrong kind",
    text: changed('"redirect": false', '"redirect": "no"'),
    error: /: features\.redirect$/,
  },
  {
    name: "a listener without a port",
    text: changed('"port": 25', '"prot": 25'),
    error: /: daemons\[0\]\.port$/,
  },
  {
    name: "a mailer that is a number",
    text: changed('"name": "local"', '"name": 7'),
    error: /: mailers\[0\]\.name$/,
  },
  {
    name: "a smart host without a host",
    text: changed('"smartHost": null', '"smartHost": {"mailer": "relay"}'),
    error: /: smartHost\.host$/,
  },
  { name: "a class that is no list", text: changed('"P": [', '"P": "x", "Q": ['), error: /: classes$/ },
])
  test(`${what} is refused with a reason`, () => {
    const parsed = parseCompiled(text);
    assert.ok(!parsed.ok);
    assert.match(parsed.error, error);
  });

test("an option that the writer did not know keeps its default", () => {
  const parsed = parseCompiled(changed('"LogLevel": 9,', ""));
  assert.ok(parsed.ok);
  assert.deepEqual(parsed.value, defaultConfiguration());
});

test("names like __proto__ are data", () => {
  const { configuration } = compileText(`${usual("dnl")}LOCAL_CONFIG\nC{__proto__}evil\nD{__proto__}x\n`);
  assert.ok(configuration !== null);
  assert.equal(Object.hasOwn(configuration.classes, "__proto__"), true);
  assert.equal("evil" in {}, false);
  const again = parseCompiled(formatCompiled(configuration));
  assert.ok(again.ok);
  assert.deepEqual(again.value, configuration);
});
