// smrsh's decisions (semantics section 23, recorded from smrsh of Sendmail 8.17): what runs, what is refused and with which words.

import assert from "node:assert/strict";
import { test } from "node:test";
import { planCommand } from "../../../src/deliver/smrsh.ts";

const KNOWN = new Map<string, "program" | "not a file" | "not executable">([
  ["/sm/vacation", "program"],
  ["/sm/cat", "program"],
  ["/sm/false", "program"],
  ["/sm/data", "not executable"],
  ["/sm/dir", "not a file"],
  ["/second/late", "program"],
]);
const inspect = (path: string) => KNOWN.get(path) ?? ("absent" as const);
const plan = (command: string) => planCommand(command, ["/sm", "/second"], inspect);

const RUNS: { command: string; steps: [string, string, string[], string?][] }[] = [
  { command: "cat", steps: [["first", "/sm/cat", []]] },
  { command: "  cat  -n   x", steps: [["first", "/sm/cat", ["-n", "x"]]] },
  { command: "/usr/bin/cat x", steps: [["first", "/sm/cat", ["x"]]] },
  { command: "../../../bin/cat", steps: [["first", "/sm/cat", []]] },
  { command: "late", steps: [["first", "/second/late", []]] },
  {
    command: "cat a && vacation joe",
    steps: [
      ["first", "/sm/cat", ["a"]],
      ["&&", "/sm/vacation", ["joe"]],
    ],
  },
  {
    command: "false || cat",
    steps: [
      ["first", "/sm/false", []],
      ["||", "/sm/cat", []],
    ],
  },
  { command: "exec cat x", steps: [["first", "/sm/cat", ["x"], "exec"]] },
  { command: "exit 75", steps: [["first", "exit", ["75"]]] },
  {
    command: "echo hello && exit 3",
    steps: [
      ["first", "echo", ["hello"]],
      ["&&", "exit", ["3"]],
    ],
  },
  { command: "cat \"a b\" 'c d' e\\ f", steps: [["first", "/sm/cat", ["a b", "c d", "e f"]]] },
  { command: "cat *.c ~ $", steps: [] },
  { command: "cat ''", steps: [["first", "/sm/cat", [""]]] },
];

for (const { command, steps } of RUNS) {
  if (steps.length === 0) continue;
  test(`runs: ${command}`, () => {
    const made = plan(command);
    assert.ok(made.ok, JSON.stringify(made));
    assert.deepEqual(
      made.steps.map((s) => [s.when, s.file === "" ? s.what : s.file, s.args, ...(s.exec ? ["exec"] : [])]),
      steps,
    );
  });
}

const UNAVAILABLE = (name: string, why = "stat failed"): string =>
  `smrsh: "${name}" not available for sendmail programs (${why})`;
const REFUSED: { command: string; message: string }[] = [
  { command: "sh -c id", message: UNAVAILABLE("sh") },
  { command: "/bin/rm -rf /", message: UNAVAILABLE("rm") },
  { command: "data", message: UNAVAILABLE("data", "not executable") },
  { command: "dir", message: UNAVAILABLE("dir", "not a file") },
  { command: "cat;id", message: UNAVAILABLE("cat;id") },
  { command: "cat > /etc/passwd", message: "smrsh: cannot use > in command" },
  { command: "cat < /etc/shadow", message: "smrsh: cannot use < in command" },
  { command: "cat | sh", message: "smrsh: cannot use | in command" },
  { command: "cat & sh", message: "smrsh: cannot use & in command" },
  { command: "cat ; sh", message: "smrsh: cannot use ; in command" },
  { command: "cat `id`", message: "smrsh: cannot use ` in command" },
  { command: "cat $(id)", message: "smrsh: cannot use $ in command" },
  { command: "cat (x)", message: "smrsh: cannot use ( in command" },
  { command: "cat \nsh", message: "smrsh: cannot use \\n in command" },
  { command: "cat \rsh", message: "smrsh: cannot use \\r in command" },
  { command: "cat && sh", message: UNAVAILABLE("sh") },
  { command: "false || sh -i", message: UNAVAILABLE("sh") },
  { command: "cat 'a > b'", message: "smrsh: cannot use > in command" },
  { command: "exec ", message: "smrsh: missing command to exec" },
  { command: "exec sh", message: UNAVAILABLE("sh") },
  { command: "..", message: UNAVAILABLE("..", "not a file") },
  { command: "/", message: UNAVAILABLE("", "not a file") },
  { command: 'cat "a', message: "smrsh: unbalanced quote in command" },
];

for (const { command, message } of REFUSED)
  test(`refuses with 69: ${JSON.stringify(command)}`, () => {
    assert.deepEqual(plan(command), { ok: false, status: 69, message });
  });

test("a command of any length and with NUL is refused, not cut", () => {
  assert.equal(plan(`cat ${"x".repeat(10_000)}`).ok, false);
  assert.equal(plan("cat \0sh").ok, false);
});
