// The jail and openat2, on the real kernel; each claim in a process of its own, since a jail is for good.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

const kernel = join(import.meta.dirname, "../../../src/sys/kernel.ts");
let base = "";

before(() => {
  base = mkdtempSync(join(tmpdir(), "postern-kernel-"));
});
after(() => rmSync(base, { recursive: true, force: true }));

/** Runs `body` (with `jail` and `out` folders, fs and the kernel's functions) in a confined process; gives its JSON answer. */
function confined(name: string, body: string): unknown {
  const jail = join(base, name, "jail");
  const out = join(base, name, "out");
  mkdirSync(jail, { recursive: true });
  mkdirSync(out, { recursive: true });
  symlinkSync(out, join(jail, "link"));
  writeFileSync(join(out, "precious"), "precious");
  const script = `
    import fs from "node:fs";
    import { spawnSync } from "node:child_process";
    import { confineWrites, jailSelfTest, openBeneath } from ${JSON.stringify(kernel)};
    const jail = ${JSON.stringify(jail)}, out = ${JSON.stringify(out)};
    const attempt = (fn) => { try { fn(); return "done"; } catch (e) { return e.code ?? String(e); } };
    const later = async (fn) => { try { await fn(); return "done"; } catch (e) { return e.code ?? String(e); } };
    ${body}`;
  const printed = execFileSync(process.execPath, ["--input-type=module-typescript", "-e", script], {
    encoding: "utf8",
  });
  return JSON.parse(printed.trim().split("\n").at(-1) ?? "null");
}

const CONFINE = `const confinement = confineWrites([{ path: jail, kind: "directory" }, { path: "/dev/null", kind: "file" }]);
  if (!confinement.ok) throw new Error(confinement.error);`;

describe("the jail", () => {
  it("lets nothing outside be created, written, removed, renamed or linked, by calls of any kind", () => {
    const answer = confined(
      "calls",
      `${CONFINE}
      console.log(JSON.stringify({
        create: attempt(() => fs.writeFileSync(out + "/new", "x")),
        write: attempt(() => fs.writeFileSync(out + "/precious", "x")),
        append: attempt(() => fs.appendFileSync(out + "/precious", "x")),
        remove: attempt(() => fs.unlinkSync(out + "/precious")),
        move: attempt(() => fs.renameSync(out + "/precious", jail + "/stolen")),
        hardlink: attempt(() => fs.linkSync(out + "/precious", jail + "/stolen")),
        mkdir: attempt(() => fs.mkdirSync(out + "/dir")),
        symlink: attempt(() => fs.symlinkSync("/etc", out + "/etc")),
        throughLink: attempt(() => fs.writeFileSync(jail + "/link/new", "x")),
        dotdot: attempt(() => fs.writeFileSync(jail + "/../out/new", "x")),
        procSelf: attempt(() => fs.writeFileSync("/proc/self/cwd" + out + "/new", "x")),
        async: await later(() => fs.promises.writeFile(out + "/new", "x")),
        child: spawnSync("/bin/sh", ["-c", "echo x > " + out + "/new"]).status === 0 ? "done" : "EACCES",
        inside: attempt(() => fs.writeFileSync(jail + "/ok", "x")),
        insideAsync: await later(async () => { const h = await fs.promises.open(jail + "/ok2", "w"); await h.write("x"); await h.sync(); await h.close(); }),
        devNull: attempt(() => fs.writeFileSync("/dev/null", "x")),
        read: fs.readFileSync(out + "/precious", "utf8"),
      }));`,
    );
    const { inside, insideAsync, devNull, read, move, hardlink, procSelf, ...refused } = answer as Record<
      string,
      string
    >;
    assert.deepEqual(
      { inside, insideAsync, devNull, read },
      { inside: "done", insideAsync: "done", devNull: "done", read: "precious" },
    );
    for (const [what, got] of Object.entries(refused)) assert.equal(got, "EACCES", what);
    assert.ok(["EACCES", "EXDEV"].includes(move ?? ""), `move: ${move}`);
    assert.ok(["EACCES", "EXDEV"].includes(hardlink ?? ""), `hardlink: ${hardlink}`);
    assert.ok(["EACCES", "ENOENT"].includes(procSelf ?? ""), `procSelf: ${procSelf}`);
    assert.equal(existsSync(join(base, "calls/out/new")), false);
    assert.equal(readFileSync(join(base, "calls/out/precious"), "utf8"), "precious");
  });

  it("is proved by the self-test, which fails when there is no jail", () => {
    assert.deepEqual(confined("proof", `${CONFINE} console.log(JSON.stringify(jailSelfTest(jail, out)));`), {
      ok: true,
      value: true,
    });
    const without = confined("without", "console.log(JSON.stringify(jailSelfTest(jail, out)));") as {
      ok: boolean;
      error: string;
    };
    assert.equal(without.ok, false);
    assert.match(without.error, /the jail does not hold/);
  });

  it("cannot be widened by confining again", () => {
    assert.equal(
      confined(
        "again",
        `${CONFINE} confineWrites([{ path: "/", kind: "directory" }]);
         console.log(JSON.stringify(attempt(() => fs.writeFileSync(out + "/new", "x"))));`,
      ),
      "EACCES",
    );
  });
});

describe("openBeneath", () => {
  it("follows no link, leaves by no way, and opens what is beneath", () => {
    const flags = "fs.constants.O_WRONLY | fs.constants.O_CREAT";
    assert.deepEqual(
      confined(
        "beneath",
        `const open = (p) => { const r = openBeneath(jail, p, ${flags}, 0o600); if (r.ok) fs.closeSync(r.value); return r.ok ? "done" : r.error; };
        fs.mkdirSync(jail + "/dir"); fs.symlinkSync(jail + "/dir", jail + "/dir/self");
        console.log(JSON.stringify([open("new"), open("dir/new"), open("link/new"), open("dir/self/new"), open("../out/new"),
          open("/etc/passwd"), open("dir/../../out/new"), open("a\\0b"), open(""), open("missing/new"), open("dir")]));`,
      ),
      ["done", "done", "ELOOP", "ELOOP", "EXDEV", "EXDEV", "EXDEV", "EINVAL", "EINVAL", "ENOENT", "EISDIR"],
    );
  });
});
