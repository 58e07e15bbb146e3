// Appending beneath the jail: the gateway's own folders are left alone, whatever the path is called.

import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { defaultOptions } from "../../../src/config/options.ts";
import { foldersOf, reservedFolders } from "../../../src/daemon/folders.ts";
import { openAppend, type Reserved } from "../../../src/sys/mailfile.ts";

const root = mkdtempSync(join(tmpdir(), "postern-mailfile-"));
after(() => rmSync(root, { recursive: true, force: true }));

/** A queue in a jail of its own ("board"), or one that is the jail itself ("host"). */
function place(kind: "board" | "host"): { jail: string; queue: string; reserved: Reserved } {
  const top = mkdtempSync(join(root, `${kind}-`));
  const jail = join(top, "jail");
  const queue = kind === "board" ? join(jail, "var/spool/mqueue") : jail;
  const folders = foldersOf({
    ...defaultOptions(),
    QueueDirectory: queue,
    SafeFileEnvironment: kind === "board" ? jail : "",
    ControlSocketName: join(jail, "run/control"),
    PidFile: join(jail, "pids/pid"),
  });
  for (const folder of ["log", "body", "quarantine", "other/deep"])
    mkdirSync(join(queue, folder), { recursive: true });
  for (const folder of ["run/deep", "pids", "files", "var/spool/mail"])
    mkdirSync(join(jail, folder), { recursive: true });
  mkdirSync(join(folders.state, "deep"), { recursive: true });
  writeFileSync(join(queue, "log/segment-000001"), "records", { mode: 0o600 });
  return { jail, queue, reserved: reservedFolders(folders) };
}

const REFUSED = "lies in a folder of the gateway";

for (const kind of ["board", "host"] as const)
  describe(`file deliveries on a ${kind}`, () => {
    const { jail, queue, reserved } = place(kind);
    const inner = queue.slice(jail.length);
    const state = (reserved.trees[3] ?? "").slice(jail.length);
    const rows: readonly (readonly [string, string, boolean])[] = [
      ["a new body", `${inner}/body/000001`, false],
      ["a new segment", `${inner}/log/segment-000006`, false],
      ["a live segment", `${inner}/log/segment-000001`, false],
      ["a file of quarantine", `${inner}/quarantine/x`, false],
      ["a file of the queue folder", `${inner}/x`, kind === "host"],
      ["the same with the jail's own name", `${queue}/body/000002`, false],
      ["the same with doubled slashes", `${inner}//body///000003`, false],
      ["the same with dots", `${inner}/./body/./000004`, false],
      ["the same by a way round", `${inner}/other/../body/000005`, false],
      ["the same by a way round below", `${inner}/other/deep/../../log/../body/000006`, false],
      ["state", `${state}/CURRENT`, false],
      ["something deep in state", `${state}/deep/x`, false],
      ["beside the control socket", "/run/x", false],
      ["beside the pid file", "/pids/pid", false],
      ["another folder beneath the queue", `${inner}/other/deep/x`, kind === "host"],
      ["a file of its own", "/files/archive", true],
      ["an administrator's mailbox", "/var/spool/mail/mick", true],
      ["what lies deeper beside the control socket", "/run/deep/x", true],
    ];
    for (const [name, path, allowed] of rows)
      it(`${name}: ${allowed ? "written" : "refused"}`, () => {
        const opened = openAppend(jail, path, 0o600, true, reserved);
        if (opened.ok) opened.value.close();
        assert.equal(opened.ok ? "" : opened.error, allowed ? "" : REFUSED);
        if (!allowed && !path.endsWith("segment-000001"))
          assert.equal(existsSync(join(jail, path.startsWith(jail) ? path.slice(jail.length) : path)), false);
      });

    it("the gateway's folders are known by device and inode, also where its own path to them is a link", () => {
      const link = join(root, `link-${kind}`);
      symlinkSync(queue, link);
      const opened = openAppend(jail, `${inner}/body/000009`, 0o600, true, {
        trees: [join(link, "body")],
        folders: [],
      });
      assert.deepEqual(opened, { ok: false, error: REFUSED });
      const beside = openAppend(jail, `${inner}/x`, 0o600, true, { trees: [], folders: [link] });
      assert.deepEqual(beside, { ok: false, error: REFUSED });
    });
  });
