// PrivacyOptions restrictmailq and restrictqrun for an ordinary user (Sendmail's words and exit status 77), and trace over the control
// socket. Needs root, to become somebody else.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { callDaemon } from "../../src/control/client.ts";
import type { TraceReport } from "../../src/daemon/tracing.ts";
import { freePort, Gateway } from "./gateway.ts";

const MAIN = join(import.meta.dirname, "../../src/main.ts");
const gateway = new Gateway("privacy");

before(async () => {
  gateway.port = await freePort();
  gateway.write({
    "sendmail.mc": `OSTYPE(\`linux')
define(\`confDOMAIN_NAME', \`mail.polkatistas.org')dnl
define(\`confPRIVACY_FLAGS', \`restrictmailq,restrictqrun')dnl
FEATURE(\`nocanonify')dnl
FEATURE(\`accept_unresolvable_domains')dnl
FEATURE(\`no_default_msa')dnl
DAEMON_OPTIONS(\`Name=MTA, Addr=127.0.0.1, Port=${gateway.port}')dnl
MAILER(\`smtp')dnl
`,
  });
  await gateway.start();
});
after(() => gateway.remove());

/** An applet as an ordinary user who may read the sources. */
function asNobody(applet: string, ...args: string[]): { status: number | null; err: string } {
  const ran = spawnSync(process.execPath, [MAIN, applet, ...gateway.options(), ...args], {
    uid: 65534,
    gid: 65534,
    encoding: "utf8",
    timeout: 30_000,
  });
  return { status: ran.status, err: ran.stderr };
}

/** Sources and runtime may lie where only root gets to. */
const reachable =
  process.getuid?.() === 0 &&
  spawnSync(process.execPath, [MAIN, "version"], { uid: 65534, gid: 65534, timeout: 30_000 }).status === 0;

describe("an ordinary user", {
  skip: reachable ? false : "needs root, and sources that others may read",
}, () => {
  for (const [applet, ...args] of [["mailq"], ["sendmail", "-bp"], ["spool", "list"]] as [
    string,
    ...string[],
  ][])
    it(`is not permitted to see the queue with ${[applet, ...args].join(" ")}`, () => {
      assert.deepEqual(asNobody(applet, ...args), {
        status: 77,
        err: "You are not permitted to see the queue\n",
      });
    });

  it("does not have permission to process the queue", () => {
    assert.deepEqual(asNobody("sendmail", "-q"), {
      status: 77,
      err: "You do not have permission to process the queue\n",
    });
  });
});

describe("trace over the control socket", () => {
  it("explains a decision of the running configuration", async () => {
    const asked = await callDaemon(gateway.control, {
      verb: "trace",
      trace: { client: "127.0.0.1", sender: "joe@example.com", recipient: "bob@[127.0.0.9]" },
    });
    assert.ok(asked.ok);
    // The daemon of this version answers trace with a report.
    const [report] = asked.value as [TraceReport];
    assert.equal(report.accepted, true);
    assert.deepEqual(report.deliveries[0]?.hops[0]?.commands[1], "RCPT To:<bob@[127.0.0.9]>");
  });
});
