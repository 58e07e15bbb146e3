// File safety: what Sendmail 8.17.1 (Debian 8.17.1.9-2) said of class files, :include: files and aliases with these modes,
// recorded from `sendmail -bt`, `-bv` and `-bi`; the key and forward rows are those of sendmail-semantics sections 10, 22.

import assert from "node:assert/strict";
import { chmodSync, linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { checkFile } from "../../../src/safefile/check.ts";
import type { Purpose } from "../../../src/safefile/trust.ts";

const root = mkdtempSync(join(tmpdir(), "postern-safefile-"));
after(() => rmSync(root, { recursive: true, force: true }));

interface Case {
  readonly purpose: Purpose;
  readonly file?: number;
  readonly directory?: number;
  readonly link?: "symbolic" | "hard" | "missing" | "directory";
  readonly words?: readonly string[];
  /** The refusal; "" is accepted and safe, "unsafe": accepted, but not for programs and files. */
  readonly expected: string;
}

const CASES: readonly Case[] = [
  { purpose: "class", expected: "" },
  { purpose: "class", directory: 0o775, expected: "Group writable directory" },
  { purpose: "class", directory: 0o777, expected: "World writable directory" },
  { purpose: "class", directory: 0o1777, expected: "World writable directory" },
  { purpose: "class", directory: 0o1777, words: ["TrustStickyBit"], expected: "" },
  { purpose: "class", directory: 0o777, words: ["TrustStickyBit"], expected: "World writable directory" },
  { purpose: "class", directory: 0o777, words: ["ClassFileInUnsafeDirPath"], expected: "unsafe" },
  { purpose: "class", file: 0o664, expected: "" },
  { purpose: "class", file: 0o666, expected: "" },
  { purpose: "class", file: 0o755, expected: "" },
  { purpose: "class", link: "symbolic", expected: "" },
  { purpose: "class", link: "hard", expected: "" },
  { purpose: "class", link: "symbolic", directory: 0o775, expected: "Group writable directory" },
  {
    purpose: "class",
    link: "symbolic",
    directory: 0o775,
    words: ["classfileinunsafedirpath"],
    expected: "Symbolic links not allowed",
  },
  {
    purpose: "class",
    link: "hard",
    directory: 0o775,
    words: ["classfileinunsafedirpath"],
    expected: "Hard links not allowed",
  },
  {
    purpose: "class",
    link: "hard",
    directory: 0o775,
    words: ["classfileinunsafedirpath", "LinkedClassFileInWritableDir"],
    expected: "unsafe",
  },
  { purpose: "class", link: "missing", expected: "No such file or directory" },
  { purpose: "class", link: "directory", expected: "Regular files only" },
  { purpose: "include", expected: "" },
  { purpose: "include", file: 0o664, expected: "Group writable file" },
  { purpose: "include", file: 0o646, expected: "World writable file" },
  { purpose: "include", file: 0o666, expected: "Group writable file" },
  { purpose: "include", directory: 0o775, expected: "Group writable directory" },
  { purpose: "include", directory: 0o777, expected: "World writable directory" },
  { purpose: "include", directory: 0o1777, expected: "World writable directory" },
  { purpose: "include", link: "symbolic", expected: "" },
  { purpose: "include", link: "hard", expected: "" },
  { purpose: "include", file: 0o664, words: ["GroupWritableIncludeFile"], expected: "unsafe" },
  { purpose: "include", file: 0o664, words: ["GroupWritableIncludeFileSafe"], expected: "" },
  { purpose: "include", file: 0o664, words: ["WorldWritableIncludeFile"], expected: "Group writable file" },
  { purpose: "include", directory: 0o775, words: ["IncludeFileInUnsafeDirPath"], expected: "unsafe" },
  { purpose: "include", directory: 0o1777, words: ["IncludeFileInUnsafeDirPath"], expected: "unsafe" },
  { purpose: "include", directory: 0o775, words: ["GroupWritableDirPathSafe"], expected: "" },
  { purpose: "include", directory: 0o1777, words: ["TrustStickyBit"], expected: "" },
  { purpose: "include", directory: 0o775, words: ["TrustStickyBit"], expected: "Group writable directory" },
  { purpose: "alias", file: 0o664, expected: "Group writable file" },
  { purpose: "alias", file: 0o646, expected: "World writable file" },
  { purpose: "alias", file: 0o664, words: ["GroupWritableAliasFile"], expected: "unsafe" },
  { purpose: "alias", directory: 0o777, expected: "" },
  { purpose: "writemap", directory: 0o777, expected: "World writable directory" },
  { purpose: "writemap", directory: 0o1777, words: ["MapInUnsafeDirPath"], expected: "unsafe" },
  { purpose: "writemap", link: "symbolic", expected: "Symbolic links not allowed" },
  { purpose: "writemap", link: "hard", expected: "Hard links not allowed" },
  { purpose: "key", file: 0o640, expected: "Group readable file" },
  { purpose: "key", file: 0o644, expected: "Group readable file" },
  { purpose: "key", file: 0o604, expected: "World readable file" },
  { purpose: "key", file: 0o600, expected: "" },
  { purpose: "key", file: 0o640, words: ["GroupReadableKeyFile"], expected: "unsafe" },
  { purpose: "key", file: 0o644, words: ["GroupReadableKeyFile"], expected: "World readable file" },
  { purpose: "certificate", file: 0o644, expected: "" },
  { purpose: "certificate", file: 0o664, expected: "Group writable file" },
  { purpose: "certificate", file: 0o646, expected: "World writable file" },
  { purpose: "forward", file: 0o664, expected: "Group writable file" },
  { purpose: "forward", file: 0o646, expected: "World writable file" },
  { purpose: "forward", link: "symbolic", expected: "Symbolic links not allowed" },
  { purpose: "forward", link: "hard", expected: "Hard links not allowed" },
  { purpose: "delivery", file: 0o755, expected: "Executable files not allowed" },
  { purpose: "delivery", link: "symbolic", expected: "Symbolic links not allowed" },
  { purpose: "delivery", link: "hard", words: ["FileDeliveryToHardLink"], expected: "unsafe" },
];

function octal(mode: number): string {
  return mode.toString(8);
}

let made = 0;
for (const { purpose, file = 0o600, directory = 0o755, link, words = [], expected } of CASES) {
  const what = `${purpose}: file ${octal(file)}${link === undefined ? "" : ` (${link})`} in ${octal(directory)} ${words.join(",")}`;
  test(`safefile: ${what} -> ${expected === "" ? "safe" : expected}`, () => {
    made += 1;
    const place = join(root, String(made));
    mkdirSync(place);
    const path = join(place, "f");
    const other = join(place, "other");
    writeFileSync(other, "");
    if (link === "symbolic") symlinkSync("other", path);
    else if (link === "hard") linkSync(other, path);
    else if (link === "directory") mkdirSync(path);
    else if (link !== "missing") writeFileSync(path, "");
    if (link !== "missing") chmodSync(path, file);
    chmodSync(place, directory);
    const answer = checkFile(path, purpose, { dontBlame: words });
    assert.equal(answer.ok ? (answer.value.safe ? "" : "unsafe") : answer.error, expected);
  });
}

test("safefile: a file that the user cannot read is refused, whoever owns it", () => {
  const path = join(root, "private");
  writeFileSync(path, "", { mode: 0o600 });
  assert.deepEqual(checkFile(path, "include", { dontBlame: [], user: { uid: 4242, gid: 4242 } }), {
    ok: false,
    error: "Permission denied",
  });
});
