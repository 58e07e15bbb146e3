// LMTP into a real Dovecot, over TCP and over its Unix socket: each recipient has Dovecot's own answer, and the mail lies in the
// Maildir byte for byte. Dovecot is unpacked from Debian's package and seen at its usual paths in a mount namespace of its own.

import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { debianPackages } from "../../../scripts/debian.ts";
import { attempt, body, host, rig } from "./attempt.ts";

const root = process.getuid?.() === 0;
const folder = mkdtempSync(join(tmpdir(), "postern-dovecot-"));
let child: ChildProcess | null = null;
let port = 0;
let skipped = root ? "" : "needs root for a mount namespace";

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, "127.0.0.1", () => {
      const at = server.address();
      server.close(() => resolve(typeof at === "object" && at !== null ? at.port : 0));
    });
  });
}

function configuration(): string {
  return `protocols = lmtp
base_dir = ${folder}/run
state_dir = ${folder}/state
log_path = ${folder}/log
default_login_user = nobody
default_internal_user = nobody
default_internal_group = nogroup
first_valid_uid = 1
mail_location = maildir:${folder}/mail/%u
ssl = no
passdb {
  driver = static
  args = nopassword=y
}
userdb {
  driver = passwd-file
  args = username_format=%u ${folder}/users
}
service lmtp {
  inet_listener lmtp {
    address = 127.0.0.1
    port = ${port}
  }
  unix_listener lmtp {
    mode = 0666
  }
}
service anvil {
  chroot =
}
service stats {
  chroot =
}
`;
}

before(async () => {
  if (skipped !== "") return;
  const packages = await debianPackages(
    process.arch === "arm64" ? "arm64" : "amd64",
    ["dovecot-core", "dovecot-lmtpd"],
    true,
  );
  port = await freePort();
  chmodSync(folder, 0o755);
  for (const name of ["run", "state", "mail"]) mkdirSync(join(folder, name));
  chownSync(join(folder, "mail"), 8, 12);
  writeFileSync(
    join(folder, "users"),
    `mick:x:8:12::${folder}/mail/mick::\nlarry:x:8:12::${folder}/mail/larry::\n`,
  );
  writeFileSync(join(folder, "dovecot.conf"), configuration());
  const layers = [...packages.map((p) => join(p.folder, "usr")), "/usr"].join(":");
  const script = `mount -t overlay overlay -o lowerdir=${layers} /usr && exec /usr/sbin/dovecot -F -c ${folder}/dovecot.conf`;
  const tried = spawnSync("unshare", [
    "-m",
    "sh",
    "-c",
    `mount -t overlay overlay -o lowerdir=${layers} /usr && ldd /usr/lib/dovecot/lmtp`,
  ]);
  const missing = /(\S+) => not found/.exec(
    tried.stdout?.toString().replaceAll(/libdovecot\S* => not found/g, "") ?? "",
  );
  if (tried.status !== 0 || missing !== null) {
    skipped = missing === null ? "no overlay in a mount namespace here" : `${missing[1]} is not installed`;
    return;
  }
  child = spawn("unshare", ["-m", "sh", "-c", script], { stdio: "ignore" });
  for (let tries = 0; tries < 100; tries++) {
    const up = (() => {
      try {
        return readFileSync(join(folder, "log"), "latin1").includes("starting up");
      } catch {
        return false;
      }
    })();
    if (up) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
});

after(async () => {
  if (child !== null) {
    const ended = new Promise<void>((resolve) => child?.on("exit", () => resolve()));
    child.kill("SIGTERM");
    await ended;
  }
  rmSync(folder, { recursive: true, force: true });
});

for (const over of ["TCP", "FILE"])
  test(`Dovecot over ${over}: delivered, unknown user refused, bytes unchanged`, async (t) => {
    if (skipped !== "") {
      t.skip(skipped);
      return;
    }
    const args = over === "TCP" ? "TCP localhost lmtp" : `FILE ${folder}/run/lmtp`;
    const mailer = rig([host(port)]).mailer(
      { name: "cyrusv2", kind: "lmtp", flags: "lsDFMnqXzA@/:|m", args, lineMax: 0 },
      true,
    );
    const text = body("hello\r\n..dot\r\nFrom here\r\n", `${"x".repeat(3000)}\r\n`);
    const outcomes = await mailer.deliver(
      attempt({ to: ["mick", "nobodyhere", "larry"], body: text, header: `Subject: over ${over}\r\n` }),
    );
    await mailer.close();
    const log = readFileSync(join(folder, "log"), "latin1");
    assert.deepEqual(
      outcomes.map((o) => o.kind),
      ["delivered", "failed", "delivered"],
      JSON.stringify(outcomes) + log,
    );
    assert.match(outcomes[0]?.text ?? "", /^Sent \(2\.0\.0 <mick> \S+ Saved\)$/);
    assert.deepEqual([outcomes[1]?.text, outcomes[1]?.status], ["User unknown", "5.1.1"]);
    for (const user of ["mick", "larry"]) {
      const fresh = join(folder, "mail", user, "new");
      const mails = readdirSync(fresh).map((name) => readFileSync(join(fresh, name), "latin1"));
      const mail = mails.find((m) => m.includes(`Subject: over ${over}`)) ?? "";
      const at = mail.indexOf("Subject:");
      assert.equal(
        mail.slice(at).replaceAll("\r\n", "\n"),
        `Subject: over ${over}\n\nhello\n.dot\nFrom here\n${"x".repeat(3000)}\n`,
      );
    }
  });
