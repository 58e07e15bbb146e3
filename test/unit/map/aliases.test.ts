// Aliases sources and what newaliases of Sendmail 8.17.1 (Debian 8.17.1.9-2) made of them: every message, status, summary
// and database line below was recorded from that program, except where a comment says why we differ.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { aliasSummary, aliasTextTable, parseAliases } from "../../../src/map/aliases.ts";

const OURS = new Set(["localhost", "[127.0.0.1]", "mail.polkatistas.org"]);
const isLocal = (host: string): boolean => OURS.has(host);

interface Case {
  readonly name: string;
  readonly source: string;
  readonly messages: readonly string[];
  readonly exit: number;
  readonly summary: string;
  readonly entries: Readonly<Record<string, string>>;
}

const CASES: readonly Case[] = [
  {
    name: "one alias",
    source: "postmaster: root\n",
    messages: [],
    exit: 0,
    summary: "1 aliases, longest 4 bytes, 14 bytes total",
    entries: { postmaster: "root" },
  },
  {
    name: "the last of repeated names wins, and each counts",
    source: "a: b\na: c\n",
    messages: ["line 2: a... Warning: duplicate alias name a"],
    exit: 0,
    summary: "2 aliases, longest 1 bytes, 4 bytes total",
    entries: { a: "c" },
  },
  {
    name: "a line without colon is an error, the others count",
    source: "nocolon\nx: y\n",
    messages: ["line 1: missing colon"],
    exit: 70,
    summary: "1 aliases, longest 1 bytes, 2 bytes total",
    entries: { x: "y" },
  },
  {
    name: "an empty value is an error that shows the line",
    source: "e:\nx: y\ne2:   \n",
    messages: ["line 1: e:... missing value for alias", "line 3: e2:   ... missing value for alias"],
    exit: 70,
    summary: "1 aliases, longest 1 bytes, 2 bytes total",
    entries: { x: "y" },
  },
  {
    name: "an empty name is illegal",
    source: ": b\n",
    messages: ["line 1: : b... illegal alias name"],
    exit: 70,
    summary: "0 aliases, longest 0 bytes, 0 bytes total",
    entries: {},
  },
  {
    name: "a continuation of nothing is an error",
    source: " lead\na: b\n",
    messages: ["line 1: Non-continuation line starts with space"],
    exit: 70,
    summary: "1 aliases, longest 1 bytes, 2 bytes total",
    entries: { a: "b" },
  },
  {
    name: "blanks, quotes, case and hash signs",
    source: 'a b: c\n"a b": c\n"q": v\nUPPER: Moe  \nt: b # c\n# comment\n #notc\n',
    messages: [],
    exit: 0,
    summary: "5 aliases, longest 5 bytes, 28 bytes total",
    entries: { t: "b # c", upper: "Moe  ", '"a b"': "c", "a.b": "c", q: "v" },
  },
  {
    name: "continuation lines are joined with their blanks",
    source: "x: y,\n\tz\n  w\n\nv: u\n",
    messages: [],
    exit: 0,
    summary: "2 aliases, longest 7 bytes, 10 bytes total",
    entries: { x: "y,\tz  w", v: "u" },
  },
  {
    name: "names with a host must be ours",
    source: "a@b.c: d\nuser@mail.polkatistas.org: d\n<k>: d\nfoo(bar): d\n",
    messages: ["line 1: a@b.c... cannot alias non-local names"],
    exit: 70,
    summary: "3 aliases, longest 1 bytes, 11 bytes total",
    entries: { foo: "d", k: "d", user: "d" },
  },
  {
    name: "programs, files and includes are no names",
    source: "|prog: d\n/file: d\n:include:/x: d\n",
    messages: [
      "line 1: |prog... cannot alias non-local names",
      "line 2: /file... cannot alias non-local names",
      "line 3: :include:/x: d... illegal alias name",
    ],
    exit: 70,
    summary: "0 aliases, longest 0 bytes, 0 bytes total",
    entries: {},
  },
  {
    name: "a carriage return stays in the value",
    source: "a: b\r\nc: d\r\n",
    messages: [],
    exit: 0,
    summary: "2 aliases, longest 2 bytes, 6 bytes total",
    entries: { a: "b\r", c: "d\r" },
  },
  {
    name: "values are taken as written",
    source:
      'a: |"/bin/x y"\nb: "|/bin/x y"\nc: /dev/null\nd: :include:/etc/x\ne: a,b,c\nf: , ,\ng: \\root\nh: "unbal\ni: a b\nj: a@@b\nk: <>\n',
    messages: [],
    exit: 0,
    summary: "11 aliases, longest 15 bytes, 85 bytes total",
    entries: {
      a: '|"/bin/x y"',
      b: '"|/bin/x y"',
      c: "/dev/null",
      d: ":include:/etc/x",
      e: "a,b,c",
      f: ", ,",
      g: "\\root",
      h: '"unbal',
      i: "a b",
      j: "a@@b",
      k: "<>",
    },
  },
  {
    name: "a comment takes its continuation lines along",
    source: "# comment\n #notc\n",
    messages: [],
    exit: 0,
    summary: "0 aliases, longest 0 bytes, 0 bytes total",
    entries: {},
  },
  {
    name: "an empty line ends an alias; blank lines after a value continue it",
    source: "#c\n\n   \nx: y\n   \n\t\nz: w\n # n\n",
    messages: ["line 3: Non-continuation line starts with space"],
    exit: 70,
    summary: "2 aliases, longest 5 bytes, 12 bytes total",
    entries: { x: "y   \t", z: "w # n" },
  },
  {
    name: "a comment ends the alias before it",
    source: "x: y\n#c\n z\n",
    messages: [],
    exit: 0,
    summary: "1 aliases, longest 1 bytes, 2 bytes total",
    entries: { x: "y" },
  },
  {
    name: "a backslash before the newline joins lines; duplicates differ in case and blanks",
    source: "t: b \\\n c\nu: v\\\nw\nX: 1\nx: 2\nX : 3\n",
    messages: [
      "line 6: x... Warning: duplicate alias name x",
      "line 7: X ... Warning: duplicate alias name x",
    ],
    exit: 0,
    summary: "5 aliases, longest 4 bytes, 14 bytes total",
    entries: { t: "b  c", x: "3", u: "vw" },
  },
  {
    // Sendmail cuts `"a:b": c` at the first colon and stores the value `b": c`; we end the name at the colon after its quotes.
    name: "quoted names, several words, a backslash",
    source: '"a:b": c\n"a" b: c\n\\mick: x\n"q\\"x": y\na  b   c: d\n  \n',
    messages: [],
    exit: 0,
    summary: "5 aliases, longest 3 bytes, 28 bytes total",
    entries: { "\\mick": "x", "a.b.c": "d  ", '"a"b': "c", "a:b": "c", 'q\\"x': "y" },
  },
  {
    name: "an empty file",
    source: "",
    messages: [],
    exit: 0,
    summary: "0 aliases, longest 0 bytes, 0 bytes total",
    entries: {},
  },
  {
    name: "details, dots, routes, bang paths, missing users",
    source:
      "a+b: c\nowner-l: x\na.b.c: d\n%x: y\na%b: c\nu%mail.polkatistas.org: d\na!b: c\n@x: y\npostmaster@localhost: z\n",
    messages: [
      "line 4: %x... User address required",
      "line 4: %x... cannot alias non-local names",
      "line 5: a%b... cannot alias non-local names",
      "line 7: a!b... cannot alias non-local names",
      "line 8: @x... User address required",
      "line 8: @x... cannot alias non-local names",
    ],
    exit: 64,
    summary: "5 aliases, longest 1 bytes, 31 bytes total",
    entries: { "a+b": "c", "a.b.c": "d", "owner-l": "x", postmaster: "z", u: "d" },
  },
  {
    name: "comments inside names, commas",
    source: 'a b"c d": e\n(c) x: y\nx(c)y: z\n,: a\na,b: c\nx;y: z\n',
    messages: ["line 5: a,b... Invalid route address", "line 5: a,b... cannot alias non-local names"],
    exit: 64,
    summary: "5 aliases, longest 1 bytes, 21 bytes total",
    entries: { ",": "a", 'a.b"c d"': "e", x: "y", "x;y": "z", "x.y": "z" },
  },
  {
    name: "a comma at the end of a name is part of it, one inside begins a route; tabs are not printed",
    source: 'a\t.,: x\nb,\tb: y\n"+,BA": z\n',
    messages: ["line 2: b,\tb... Invalid route address", "line 2: b,?b... cannot alias non-local names"],
    exit: 64,
    summary: "2 aliases, longest 1 bytes, 9 bytes total",
    entries: { "a.,": "x", "+,ba": "z" },
  },
  {
    // Sendmail tells it, exits 0 and stores the garbage `"ab: c`; we do not store it.
    name: "a quote that is not closed",
    source: '"ab: c\nok: d\n',
    messages: [`line 1: "ab... Unbalanced '"'`],
    exit: 70,
    summary: "1 aliases, longest 1 bytes, 3 bytes total",
    entries: { ok: "d" },
  },
  {
    name: "an error is told with the last line of its continuation",
    source: " lead\n lead2\na: b\n lead3\nnoc\n cont\n lead4\nc: d\n",
    messages: ["line 2: Non-continuation line starts with space", "line 7: missing colon"],
    exit: 70,
    summary: "2 aliases, longest 7 bytes, 10 bytes total",
    entries: { a: "b lead3", c: "d" },
  },
  {
    name: "a value may begin on the next line",
    source: "x:\n y\nz: \n\tw\nq:\n#\n",
    messages: ["line 5: q:... missing value for alias"],
    exit: 70,
    summary: "2 aliases, longest 1 bytes, 4 bytes total",
    entries: { x: "y", z: "w" },
  },
  {
    name: "the same name with and without our host is one alias",
    source: "x@localhost: y\nx: y\nx@[127.0.0.1]: z\nerror: x\nfoo.REDIRECT: x\nfoo@bar.REDIRECT: x\n",
    messages: [
      "line 2: x... Warning: duplicate alias name x",
      "line 3: x@[127.0.0.1]... Warning: duplicate alias name x",
      "line 6: foo@bar.REDIRECT... cannot alias non-local names",
    ],
    exit: 70,
    summary: "5 aliases, longest 1 bytes, 25 bytes total",
    entries: { error: "x", "foo.redirect": "x", x: "z" },
  },
];

for (const { name, source, messages, exit, summary, entries } of CASES) {
  test(`aliases: ${name}`, () => {
    const parsed = parseAliases(source, isLocal);
    assert.deepEqual(
      parsed.problems.map((p) => `line ${p.line}: ${p.message}`),
      messages,
    );
    assert.equal(parsed.exit, exit);
    assert.equal(aliasSummary(parsed), summary);
    assert.deepEqual(parsed.entries, new Map(Object.entries(entries)));
  });
}

test("aliases: lookup takes a name as an address writes it", () => {
  const table = aliasTextTable("aliases", '"spaced name": curly\nUPPER: moe\na b: c\nplus+*: larry\n');
  for (const [key, value] of [
    ['"spaced name"', "curly"],
    ["upper", "moe"],
    ["Upper", "moe"],
    ['"upper"', "moe"],
    ["a.b", "c"],
    ["plus+*", "larry"],
  ])
    assert.deepEqual(table.lookup(key ?? ""), { kind: "found", value });
  assert.deepEqual(table.lookup("nobody"), { kind: "absent" });
  assert.deepEqual(table.lookup("__proto__"), { kind: "absent" });
});

test("aliases: any bytes are read without an exception, and every entry can be found again", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      const source = Buffer.from(bytes);
      const parsed = parseAliases(source);
      const table = aliasTextTable("a", source);
      for (const [key, value] of parsed.entries)
        assert.deepEqual(table.lookup(key), { kind: "found", value });
    }),
    { numRuns: 2000 },
  );
});

test("aliases: text made of the format's own signs is read without an exception and looked up again", () => {
  const sign = fc.constantFrom(...'ab: \t\n\\"()<>@%!,;|/#+.\r\0é');
  fc.assert(
    fc.property(fc.array(sign, { maxLength: 60 }), (signs) => {
      const source = signs.join("");
      const table = aliasTextTable("a", source);
      for (const [key, value] of parseAliases(source).entries)
        assert.deepEqual(table.lookup(key), { kind: "found", value });
    }),
    { numRuns: 5000 },
  );
});

test("aliases: an alias beyond the bound is refused and the next one counts", () => {
  const parsed = parseAliases(`a: ${"x,".repeat(600_000)}\nb: c\n`);
  assert.deepEqual(parsed.problems, [{ line: 1, message: "alias line too long" }]);
  assert.deepEqual([...parsed.entries], [["b", "c"]]);
});

test("aliases: hostile names and values of a megabyte are read in bounded time", () => {
  const begun = performance.now();
  for (const piece of ["a ", '"', '" "', "(", "\\", "@", "<a", "\\\n", "\n ", ":", "a,"]) {
    const long = piece.repeat(Math.floor(1_000_000 / piece.length));
    parseAliases(`${long}: x\nok: y\n`);
    parseAliases(`x: ${long}\nok: y\n`);
    aliasTextTable("t", "ok: y\n").lookup(long);
  }
  assert.ok(performance.now() - begun < 20_000);
});
