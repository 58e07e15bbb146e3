// What a command prints arrives whole, whoever reads it, and its exit status is that of its work.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { freePort, Gateway, relayMc, send } from "./gateway.ts";

const MAIN = join(import.meta.dirname, "../../src/main.ts");
const ENTRIES = 20_000;
const folder = mkdtempSync(join(tmpdir(), "postern-output-"));
const gateway = new Gateway("output");

interface Ran {
  readonly out: string;
  readonly err: string;
  readonly status: number;
}

/** `line` in a shell where `$P` is our program; the status is that of our program, told on descriptor 3 of the line. */
function shell(line: string): Promise<Ran> {
  return new Promise((resolve) => {
    const p = `${process.execPath} ${MAIN}`;
    execFile(
      "/bin/sh",
      ["-c", `P="${p}"; status=${folder}/status; ${line}`],
      { cwd: folder, maxBuffer: 64 * 1024 * 1024, timeout: 60_000 },
      (e, out, err) => resolve({ out, err, status: typeof e?.code === "number" ? e.code : 0 }),
    );
  });
}

before(async () => {
  const text = Array.from({ length: ENTRIES }, (_, i) => `key${i}\tvalue number ${i}\n`).join("");
  writeFileSync(join(folder, "table"), text);
  writeFileSync(join(folder, "aliases"), text.replaceAll("\t", ": ").replaceAll("value number ", "user"));
  const made = await shell(
    "$P makemap hash table < table && $P newaliases -oA$PWD/aliases >/dev/null 2>&1; true",
  );
  assert.equal(made.status, 0, made.err);
  gateway.port = await freePort();
  gateway.write({
    "sendmail.mc": relayMc(gateway.port, "define(`confDELIVERY_MODE', `queueonly')dnl\n"),
    mailertable: ".\tsmtp:[127.0.0.1]:1\n",
    access: "Connect:127.0.0.1\tRELAY\n",
  });
  await gateway.start();
  const many = Array.from({ length: 100 }, (_, i) => `recipient-number-${i}@dest.example`);
  for (let i = 0; i < 40; i++)
    assert.match(await send(gateway.port, "a@b.example", many, "Subject: x\r\n\r\nx\r\n"), /^250/);
});
after(async () => {
  await gateway.remove();
  rmSync(folder, { recursive: true, force: true });
});

const mailq = (): string => `$P mailq ${gateway.options().join(" ")}`;

describe("a command's output arrives whole", () => {
  const commands: readonly (readonly [name: string, command: () => string, lines: number])[] = [
    ["makemap -u", () => "$P makemap -u hash table", ENTRIES],
    ["praliases", () => "$P praliases -f aliases", ENTRIES],
    ["mailq", mailq, 40 * 101 + 3],
  ];
  for (const [name, command, lines] of commands) {
    it(`${name} to a reader that is quick, slow, slower than its whole life, and to a file`, async () => {
      const reads = ["cat", "(sleep 0.7; cat)", "(head -c 70000; sleep 0.5; cat)", "cat >file; cat file"];
      for (const read of reads) {
        const ran = await shell(`(${command()}; echo $? >$status) | ${read}`);
        const found = ran.out.split("\n").length - 1;
        assert.ok(found >= lines, `${read}: ${found} lines of ${lines}`);
        assert.equal(ran.err, "", read);
        assert.equal((await shell("cat $status")).out, "0\n", read);
      }
    });

    it(`${name} says nothing of a reader that has seen enough, and ends with its own status`, async () => {
      for (const read of ["head -1", "true", "(exec <&-; sleep 0.3)"]) {
        const ran = await shell(`(${command()}; echo $? >$status) | ${read}`);
        assert.equal(ran.err, "", read);
        assert.equal((await shell("cat $status")).out, "0\n", read);
      }
    });

    it(`${name} on a full disk says so and ends with 74`, async () => {
      const ran = await shell(`${command()} >/dev/full`);
      assert.match(ran.err, /cannot write standard output: ENOSPC/);
      assert.equal(ran.status, 74);
    });
  }

  it("a table printed into a new table loses no entry", async () => {
    const ran = await shell(
      "$P makemap -u hash table | $P makemap hash again && $P makemap -u hash again | sort >a; sort table >b; cmp a b",
    );
    assert.equal(ran.status, 0, ran.out + ran.err);
  });

  it("the error of a command reaches a slow reader, and a standard error that takes nothing changes no status", async () => {
    const slow = await shell(
      "($P makemap hash /nowhere/x </dev/null; echo $? >$status) 2>&1 | (sleep 0.5; cat)",
    );
    assert.match(slow.out, /nowhere/);
    assert.equal((await shell("cat $status")).out, "73\n");
    for (const where of ["2>/dev/full", "2>&-", "2>&1 | true"]) {
      await shell(
        `($P makemap hash /nowhere/x </dev/null ${where.replace(/ \|.*/, "")}; echo $? >$status) | true`,
      );
      assert.equal((await shell("cat $status")).out, "73\n", where);
    }
  });

  it("-bs speaks to the end with a client that reads late", async () => {
    const many = Array.from({ length: 1000 }, () => "HELP").join("\\r\\n");
    const ran = await shell(
      `printf '${many}\\r\\nQUIT\\r\\n' | $P sendmail ${gateway.options().join(" ")} -bs | (sleep 1; cat)`,
    );
    assert.match(ran.out, /221 2\.0\.0 \S+ closing connection\r\n$/);
  });
});
