// The macro processor: results recorded from GNU m4 1.4.19 for the same input, and the bounds and refusals that are our own.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { M4 } from "../../../src/config/m4.ts";
import { defineBuiltins } from "../../../src/config/m4builtins.ts";
import { formatMessage } from "../../../src/config/message.ts";

function run(text: string, files: ReadonlyMap<string, string> = new Map()) {
  const m4 = new M4({ file: "in", line: 1, column: 1 });
  const printed: string[] = [];
  defineBuiltins(m4, {
    readSource: (path) => {
      const content = files.get(path);
      return content === undefined
        ? { kind: "absent" }
        : { kind: "found", value: { file: path, text: content } };
    },
    print: (message) => printed.push(message.message),
  });
  m4.process("in", text);
  const numbers = [...m4.diversions.keys()].sort((a, b) => a - b);
  const output = numbers.flatMap((n) => m4.diversions.get(n) ?? []).map((piece) => piece.text);
  return {
    output: output.join(""),
    errors: m4.errors.map((e) => formatMessage(e.place, e.message)),
    printed,
  };
}

const ROWS = [
  { name: "quotes nest and lose one level", input: "``8:12''", expected: "`8:12'" },
  { name: "dnl takes the rest of the line", input: "a dnl b `c\nd", expected: "a d" },
  { name: "dnl is a separate word only", input: "dnlx y", expected: "dnlx y" },
  { name: "blanks before arguments go, quoted ones stay", input: "define(`x',   ` y')[x]", expected: "[ y]" },
  { name: "a missing value is empty", input: "define(`x')[x]", expected: "[]" },
  { name: "undefining an unknown name is harmless", input: "undefine(`zzz')ok", expected: "ok" },
  {
    name: "arguments are substituted",
    input: "define(`foo',`bar $1 $2 [$#] [$*] [$@]')foo(a, b , `c d')",
    expected: "bar a b  [3] [a,b ,c d] [a,b ,c d]",
  },
  {
    name: "other dollars stay",
    input: "define(`m',`$j $&{client_addr} $&f')m",
    expected: "$j $&{client_addr} $&f",
  },
  {
    name: "recursion ends",
    input: "define(`rec',`ifelse($1,0,done,`$1 rec(decr($1))')')rec(5)",
    expected: "5 4 3 2 1 done",
  },
  {
    name: "ifelse with several cases",
    input: "ifelse(a,b,1,c,c,2,3) ifelse(a,b,1,c,d,2,3)",
    expected: "2 3",
  },
  { name: "ifdef", input: "define(`q')ifdef(`q',yes,no) ifdef(`zz',yes,no)", expected: "yes no" },
  {
    name: "expansions join the text behind them",
    input: "define(`x',`FOO')define(`FOOb',`hit')x()b",
    expected: "hit",
  },
  { name: "an empty quote separates", input: "define(`x',`FOO')define(`FOOb',`hit')x`'b", expected: "FOOb" },
  {
    name: "pushdef and popdef",
    input: "define(`x',1)pushdef(`x',2)x popdef(`x')x",
    expected: "2 1",
  },
  { name: "defn quotes", input: "define(`a',`b')define(`b',`c')defn(`a')", expected: "b" },
  { name: "defn of a built-in", input: "define(`len2',defn(`len'))len2(abcd)", expected: "4" },
  { name: "shift, incr, decr", input: "shift(a,b,c) incr(5) decr(0)", expected: "b,c 6 -1" },
  {
    name: "blind built-ins are words without parentheses",
    input: "define len include",
    expected: "define len include",
  },
  { name: "len, index, substr", input: "len(`a b') index(hello,l) substr(hello,1,3)", expected: "3 2 ell" },
  { name: "translit", input: "translit(`Hello',`a-z',`A-Z') translit(abc,b)", expected: "HELLO ac" },
  { name: "format", input: "format(`%05d|%-5s|%x|%s',42,ab,255,Q)", expected: "00042|ab   |ff|Q" },
  {
    name: "eval",
    input: "eval(1+2*3) eval(`0x10 << 2') eval(7/2,2,8) eval(-7%3) eval(2**10) eval((1>0)&&(2<1)||3==3)",
    expected: "7 64 00000011 -1 1024 1",
  },
  {
    name: "changequote",
    input: "changequote([,])define([q],[it's $1])q(x) changequote `z'",
    expected: "it's x  z",
  },
  { name: "comments pass unread", input: "define(`a',`b')# a\na", expected: "# a\nb" },
  { name: "changecom ends comments", input: "define(`a',`b')changecom()# a", expected: "# b" },
  {
    name: "diversions come out in order",
    input: "divert(2)two\ndivert(1)one\ndivert(-1)gone\ndivert(0)zero\n",
    expected: "zero\none\ntwo\n",
  },
  { name: "divnum", input: "divert(3)divnum`'divert(0)divnum", expected: "03" },
  { name: "undivert(1)", input: "divert(1)one`'divert(0)a undivert(1) b", expected: "a one b" },
  { name: "parentheses in arguments", input: "define(`f',`<$1>')f((a,b))", expected: "<(a,b)>" },
  { name: "CRLF line ends do not count", input: "a dnl x\r\nb\r\n", expected: "a b\n" },
  { name: "indir", input: "define(`a-b',`<$1>')indir(`a-b',x)", expected: "<x>" },
  { name: "m4wrap comes last", input: "m4wrap(`end')body ", expected: "body end" },
  { name: "__line__", input: "\n__line__", expected: "\n2" },
];

for (const { name, input, expected } of ROWS)
  test(name, () => {
    assert.deepEqual(run(input), { output: expected, errors: [], printed: [] });
  });

const haveM4 = spawnSync("m4", ["--version"]).status === 0;
test("GNU m4 gives the same results", { skip: !haveM4 }, () => {
  for (const { name, input } of ROWS) {
    const theirs = spawnSync("m4", {
      input: input.replaceAll("\r\n", "\n"),
      encoding: "utf8",
      timeout: 10_000,
    });
    assert.equal(run(input).output, theirs.stdout, name);
  }
});

test("include reads a file and errors inside point into it", () => {
  const files = new Map([["f.m4", "x\n  eval(1/0)\n"]]);
  const result = run("a include(`f.m4')b sinclude(`none')c", files);
  assert.equal(result.output, "a x\n  \nb c");
  assert.deepEqual(result.errors, ["f.m4:2:3: bad expression: 1/0 (divide by zero)"]);
});

test("errprint is handed on", () => {
  assert.deepEqual(run("errprint(`*** ERROR: x\n')").printed, ["*** ERROR: x"]);
});

for (const { name, input, expected } of [
  {
    name: "a missing file",
    input: "\n include(`none')",
    expected: "in:2:2: cannot open 'none': No such file or directory",
  },
  {
    name: "an open quote",
    input: "a\nbc `def\n",
    expected: "in:2:4: end of file in the quoted text that begins here",
  },
  {
    name: "an open call",
    input: "x\ndefine(`a', b",
    expected: "in:2:1: end of file in the arguments of define: a ) is missing",
  },
  {
    name: "a shell command",
    input: "syscmd(`id')",
    expected: "in:1:1: syscmd is refused: a configuration does not run commands",
  },
  {
    name: "a temporary file",
    input: "maketemp(/tmp/xXXXXXX)",
    expected: "in:1:1: maketemp is refused: a configuration does not make files",
  },
  {
    name: "endless expansion",
    input: "define(`x',`x')\nx",
    expected: "in:2:1: more than 200000 macro expansions: x seems to expand without end",
  },
  {
    name: "growing text",
    input: "define(`x',`x x x x')x",
    expected: /^in:1:\d+: (x expands to too much text|more than)/,
  },
  {
    name: "calls in calls",
    input: `${"len(".repeat(300)}`,
    expected: /^in:1:\d+: calls are nested more than 200 deep$/,
  },
  {
    name: "files in files",
    input: "include(`self')",
    expected: /^self:1:1: files are included more than 16 deep$/,
  },
])
  test(`${name} is an error with its place`, () => {
    const { errors } = run(input, new Map([["self", "include(`self') "]]));
    assert.equal(errors.length, 1);
    if (typeof expected === "string") assert.equal(errors[0], expected);
    else assert.match(errors[0] ?? "", expected);
  });
