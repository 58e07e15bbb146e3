// makemap and editmap: arguments, input, messages, exit status and dump, recorded from Sendmail 8.17.1 (Debian
// 8.17.1.9-2) run on the same input, except where a comment says why we differ; dumps are compared without their order.

import assert from "node:assert/strict";
import { linkSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import { fromBytes } from "../../../src/map/bytestring.ts";
import { editmap, parseEditmapArguments } from "../../../src/map/editmap.ts";
import { makemap, parseMakemapArguments } from "../../../src/map/makemap.ts";

const root = mkdtempSync(join(tmpdir(), "postern-makemap-"));
after(() => rmSync(root, { recursive: true, force: true }));

interface Ran {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

async function run(args: readonly string[], input: Buffer | string = "", pieces = 1 << 20): Promise<Ran> {
  let out = "";
  let err = "";
  const request = parseMakemapArguments(args);
  if (!request.ok) return { status: 64, out, err: request.error };
  const bytes = Buffer.from(input);
  async function* source(): AsyncGenerator<Buffer> {
    for (let at = 0; at < bytes.length; at += pieces) yield bytes.subarray(at, at + pieces);
  }
  const status = await makemap(request.value, source(), {
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
  });
  return { status, out, err };
}

const SOURCE = 'a 1\nb  2  \n\n#c\n c lead\n"q u" v\nnoval\na 3\nB 4\nk\t\t5\n\t\n  \nlast x';
const LEADING = [5, 11, 12].map((line) => `line ${line}: syntax error (leading space)`);
const NO_VALUE = "line 7: no RHS for LHS noval";
const REPEATED = ["line 8: key a: duplicate key", "line 9: key b: duplicate key"];

interface Case {
  readonly name: string;
  readonly flags?: readonly string[];
  readonly type?: string;
  readonly input: string;
  readonly errors?: readonly string[];
  readonly out?: string;
  readonly status: number;
  readonly dump: readonly string[];
}

const CASES: readonly Case[] = [
  {
    name: "words, blanks, comments, quotes, problems",
    input: SOURCE,
    errors: [LEADING[0] ?? "", NO_VALUE, ...REPEATED, LEADING[1] ?? "", LEADING[2] ?? ""],
    status: 65,
    dump: ["b\t2  ", "last\tx", '"q\tu" v', "a\t1", "k\t5"],
  },
  {
    name: "-e takes an empty value",
    flags: ["-e"],
    input: SOURCE,
    errors: [LEADING[0] ?? "", ...REPEATED, LEADING[1] ?? "", LEADING[2] ?? ""],
    status: 65,
    dump: ["b\t2  ", "last\tx", "noval\t", '"q\tu" v', "a\t1", "k\t5"],
  },
  {
    name: "-r replaces",
    flags: ["-r"],
    input: SOURCE,
    errors: [LEADING[0] ?? "", NO_VALUE, LEADING[1] ?? "", LEADING[2] ?? ""],
    status: 65,
    dump: ["b\t4", "last\tx", '"q\tu" v', "a\t3", "k\t5"],
  },
  {
    name: "-d keeps both",
    flags: ["-d"],
    type: "btree",
    input: SOURCE,
    errors: [LEADING[0] ?? "", NO_VALUE, LEADING[1] ?? "", LEADING[2] ?? ""],
    status: 65,
    dump: ['"q\tu" v', "a\t1", "a\t3", "b\t2  ", "b\t4", "k\t5", "last\tx"],
  },
  {
    name: "-v says what is read",
    flags: ["-v"],
    input: "Dup 1\nDUP 2\nx\n",
    out: "key=`dup', val=`1'\nkey=`dup', val=`2'\n",
    errors: ["line 2: key dup: duplicate key", "line 3: no RHS for LHS x"],
    status: 65,
    dump: ["dup\t1"],
  },
  { name: "-f keeps case", flags: ["-f"], input: "Aa 1\naa 2\n", status: 0, dump: ["Aa\t1", "aa\t2"] },
  {
    name: "-t splits at the delimiter and keeps blanks",
    flags: ["-t", ":"],
    input: "a:1\nb::2\nc : 3\n:x\nd:\ne 5\n a:2\n",
    errors: ["line 5: no RHS for LHS d", "line 6: no RHS for LHS e 5"],
    status: 65,
    dump: ["b\t2", "\tx", "a\t1", "c \t 3", " a\t2"],
  },
  {
    name: "-D changes the comment sign",
    flags: ["-vD", ";"],
    input: "!c\n; x 1\n# y\n",
    out: "key=`#', val=`y'\n",
    errors: ["line 1: no RHS for LHS !c"],
    status: 65,
    dump: ["#\ty"],
  },
  {
    name: "a missing value is told with the folded key",
    input: "NoVal\n",
    errors: ["line 1: no RHS for LHS noval"],
    status: 65,
    dump: [],
  },
  {
    // Sendmail tells a NUL as "line too long (1024 bytes max)".
    name: "a carriage return is white space; a NUL refuses the line",
    input: "a 1\r\nb\r\n\r\nc\0d 2\0x\nd 3",
    errors: [
      "line 2: no RHS for LHS b",
      "line 3: syntax error (leading space)",
      "line 4: syntax error (NUL byte)",
    ],
    status: 65,
    dump: ["d\t3", "a\t1\r"],
  },
  {
    // Sendmail reads the rest of such a line as lines of their own ("no RHS for LHS vvv..."); we skip it whole.
    name: "a line beyond makemap's buffer is refused, the longest that fits is not",
    input: `k ${"v".repeat(3000)}\nx 1\n${"K".repeat(3000)} y\nz 2\nm ${"v".repeat(1020)}\nn ${"v".repeat(1021)}\n`,
    errors: [
      "line 1: line too long (1024 bytes max)",
      "line 3: line too long (1024 bytes max)",
      "line 6: line too long (1024 bytes max)",
    ],
    status: 65,
    dump: ["x\t1", "z\t2", `m\t${"v".repeat(1020)}`],
  },
  { name: "no input makes an empty table", input: "", status: 0, dump: [] },
  { name: "-N stores end marks that nobody sees", flags: ["-N"], input: "a 1\n", status: 0, dump: ["a\t1"] },
  {
    name: "-i names a type to fall back to",
    flags: ["-i", "hash"],
    type: "foo",
    input: "a 2\n",
    status: 0,
    dump: ["a\t2"],
  },
];

const sorted = (lines: readonly string[]): string[] => [...lines].sort();

for (const [number, one] of CASES.entries()) {
  test(`makemap: ${one.name}`, async () => {
    const path = join(root, `case${number}`);
    const type = one.type ?? "hash";
    const ran = await run([...(one.flags ?? []), type, path], one.input);
    assert.equal(ran.err, (one.errors ?? []).map((e) => `makemap: ${path}: ${e}\n`).join(""));
    assert.equal(ran.out, one.out ?? "");
    assert.equal(ran.status, one.status);
    const dumped = await run(["-u", "hash", path]);
    assert.deepEqual(sorted(dumped.out.split("\n")), sorted(["", ...one.dump]));
    assert.equal(dumped.status, 0);
  });
}

test("makemap: -o adds to a table and obeys -r", async () => {
  const path = join(root, "append");
  assert.equal((await run(["hash", path], "a 1\n")).status, 0);
  const refused = await run(["-o", "hash", path], "b 2\na 3\n");
  assert.equal(refused.err, `makemap: ${path}: line 2: key a: duplicate key\n`);
  assert.equal(refused.status, 65);
  assert.equal((await run(["-u", "hash", path])).out, "a\t1\nb\t2\n");
  assert.equal((await run(["-o", "-r", "hash", path], "b 2\na 3\n")).status, 0);
  assert.equal((await run(["-u", "hash", path])).out, "a\t3\nb\t2\n");
  assert.equal((await run(["-u", "-t", ":", "hash", path])).out, "a:3\nb:2\n");
});

test("makemap: what cannot be opened is told as Sendmail tells it, exit 73", async () => {
  const real = join(root, "real.db");
  await run(["hash", real], "a 1\n");
  symlinkSync(real, join(root, "soft.db"));
  linkSync(real, join(root, "hard.db"));
  writeFileSync(join(root, "bad.db"), "garbage garbage garbage");
  const table: readonly [readonly string[], string, string][] = [
    [["foo", join(root, "x")], "foo", "Unknown database type"],
    [["-u", "hash", join(root, "nosuch")], "hash", "No such file or directory"],
    [["hash", join(root, "nodir", "x")], "hash", "No such file or directory"],
    [["hash", join(root, "soft")], "hash", "Symbolic links not allowed"],
    [["hash", join(root, "hard")], "hash", "Hard links not allowed"],
  ];
  for (const [args, type, reason] of table) {
    const ran = await run(args, "b 2\n");
    assert.equal(ran.err, `makemap: error opening type ${type} map ${args.at(-1)}: ${reason}\n`);
    assert.equal(ran.status, 73);
  }
  const damaged = await run(["-u", "hash", join(root, "bad")]);
  assert.equal(damaged.status, 73);
  assert.match(damaged.err, /not a constant database/);
  assert.equal((await run(["-s", "hash", join(root, "soft")], "c 3\n")).status, 0);
  assert.equal((await run(["-su", "hash", real])).out, "c\t3\n");
});

test("makemap: usage is Sendmail's, exit 64", async () => {
  const usage = `Usage: makemap [-C cffile] [-N] [-c cachesize] [-D commentchar]
               [-d] [-e] [-f] [-i type] [-l] [-o] [-r] [-s] [-t delimiter]
               [-u] [-v] type mapname
`;
  assert.deepEqual(await run([]), { status: 64, out: "", err: usage });
  assert.deepEqual(await run(["hash"]), { status: 64, out: "", err: usage });
  assert.deepEqual(await run(["hash", "a", "b"]), { status: 64, out: "", err: usage });
  assert.deepEqual(await run(["-Z"]), {
    status: 64,
    out: "",
    err: `makemap: invalid option -- 'Z'\n${usage}`,
  });
  assert.equal((await run(["-l"])).out, "hash\nbtree\ndbm\ncdb\nimplicit\n");
});

test("makemap: a table keeps the mode of the one before, a new one that of its source, and nothing else is left behind", async () => {
  const path = join(root, "modes");
  await run(["hash", path], "a 1\n");
  assert.equal(statSync(`${path}.db`).mode & 0o777, 0o640);
  const secret = join(root, "secret");
  writeFileSync(secret, "a 1\n", { mode: 0o600 });
  await run(["hash", secret], "a 1\n");
  assert.equal(statSync(`${secret}.db`).mode & 0o777, 0o600);
  assert.deepEqual(
    readdirSync(root).filter((name) => name.startsWith(".")),
    [],
  );
});

test("makemap: any bytes in any pieces give a table whose dump builds the same table", async () => {
  let number = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        fc.uint8Array({ maxLength: 300 }),
        fc
          .array(fc.constantFrom(...Buffer.from('aB:\t \n#\r"\0')), { maxLength: 80 })
          .map((a) => Uint8Array.from(a)),
      ),
      fc.integer({ min: 1, max: 40 }),
      async (bytes, pieces) => {
        number += 1;
        const path = join(root, `any${number % 4}`);
        rmSync(`${path}.db`, { force: true });
        const ran = await run(["hash", path], Buffer.from(bytes), pieces);
        assert.ok(ran.status === 0 || ran.status === 65);
        const whole = await run(["hash", path], Buffer.from(bytes));
        assert.equal(whole.err, ran.err);
        const dumped = await run(["-u", "hash", path]);
        const again = await run(["hash", path], Buffer.from(dumped.out, "latin1"));
        assert.deepEqual(again, { status: 0, out: "", err: "" });
        assert.equal((await run(["-u", "hash", path])).out, dumped.out);
      },
    ),
    { numRuns: 200 },
  );
});

test("editmap: query, update, delete with Sendmail's messages", async () => {
  const path = join(root, "edit");
  await run(["hash", path], "a 1\nb 2\n");
  const usage = 'Usage: editmap [-C cffile] [-N] [-f] [-q|-u|-x] maptype mapname key [ "value ..." ]\n';
  const edit = (...args: string[]): unknown => {
    const request = parseEditmapArguments(args);
    return request.ok ? editmap(request.value) : { out: "", err: request.error, exit: 64 };
  };
  const table: readonly [readonly string[], string, string, number][] = [
    [[], "", usage, 64],
    [["hash", path, "a"], "", usage, 64],
    [["-q", "hash", path, "a"], "1\n", "", 0],
    [["-C", "cf", "-q", "hash", path, "A"], "1\n", "", 0],
    [["-q", "-f", "hash", path, "A"], "", `editmap: couldn't find key A in map ${path}\n`, 69],
    [["-q", "hash", path, "zz"], "", `editmap: couldn't find key zz in map ${path}\n`, 69],
    [["-x", "hash", path, "zz"], "", `editmap: key zz doesn't exist in map ${path}\n`, 0],
    [["-x", "hash", path, "b"], "", "", 0],
    [["-u", "hash", path, "CC", "x y"], "", "", 0],
    [["-u", "hash", path, "a", "new"], "", "", 0],
    [["-u", "hash", path, "a"], "", usage, 64],
    [["-q", "-x", "hash", path, "a"], "", usage, 64],
    [
      ["-q", "foo", path, "a"],
      "",
      `editmap: error opening type foo map ${path}: Unknown database type\n`,
      73,
    ],
    [
      ["-q", "hash", `${path}no`, "a"],
      "",
      `editmap: error opening type hash map ${path}no: No such file or directory\n`,
      73,
    ],
    [["-u", "hash", `${path}no`, "a", "b"], "", "", 0],
    [["-Z"], "", `editmap: invalid option -- 'Z'\n${usage}`, 64],
    [["-u", "hash", path, "ü", "é"], "", "", 0],
    [["-q", "hash", path, "ü"], `${fromBytes(Buffer.from("é"))}\n`, "", 0],
    [["-x", "hash", path, "ü"], "", "", 0],
  ];
  for (const [args, out, err, exit] of table)
    assert.deepEqual(edit(...args), { out, err, exit }, args.join(" "));
  assert.deepEqual(
    sorted((await run(["-u", "hash", path])).out.split("\n")),
    sorted(["", "cc\tx y", "a\tnew"]),
  );
});
